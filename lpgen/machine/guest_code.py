"""Small pieces of the guest's routines: where a value comes from, how it is loaded, compared, stored.

In a routine r12 gathers differences, r11 leads to the caller's window, r0 and then r3 to r5 are free.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lpgen.machine import instructions as w
from lpgen.machine.actors import CALLEE_BYTES
from lpgen.machine.engine import BulkEngine
from lpgen.machine.guest_callers import LEFT, GuestPlan, chosen
from lpgen.machine.instructions import Code
from lpgen.machine.plan import Plan
from lpgen.machine.state import State
from lpgen.machine.values import EVENTS
from lpgen.machine.world import World

# The control block, at BulkEngine.NEXT << 16: where the next gate leads, and what the loop over the callers needs.
CONTROL = BulkEngine.NEXT
NEXT, SCHEDULE, END, WINDOW_AT, OFFSET, POOL_AT, STOP = range(0, 56, 8)
# What C writes to the CR save of A's frame.
CR_SAVE = LEFT + 1
XER_HIGH = -0x1FF4  # lis: 0xE00C0000, the bits of actors.XER_BITS


@dataclass(frozen=True, slots=True)
class Source:
    """Where a value is: a constant, or (``window``) a doubleword of the window; ``form`` is xer or cr for a part."""

    value: int
    window: bool = False
    form: str = ""


def constant(value: int) -> Source:
    """Return the source of a constant."""
    return Source(value)


def window(index: int, name: str = "") -> Source:
    """Return the source of a doubleword of the window, as register ``name`` has it."""
    return Source(index, True, name if name in ("xer", "cr") else "")


class Pieces:
    """Adds instructions to ``code``, for one way of calling, ``plan``."""

    def __init__(self, world: World, plan: Plan, code: Code) -> None:
        self._world, self._plan, self._code = world, plan, code
        self._chosen: Mapping[str, Mapping[str, int]] = {event: {} for event in EVENTS}
        if isinstance(plan, GuestPlan):
            self._chosen = chosen(world.kernel, plan)
        # True while r11 leads to the window.
        self._at_window = False

    def _load(self, register: int, source: Source, scratch: int = 4) -> None:
        """Load a source into a register; a part of XER's needs a ``scratch`` besides.

        Not from memory where it is constant: each access costs Unicorn a call, and what it knows of the registers.
        """
        if not source.window:
            self._code.add(*w.load_constant(register, source.value))
            return
        if not self._at_window:
            self._code.add(w.lis(11, CONTROL), w.ld(11, WINDOW_AT, 11))
            self._at_window = True
        if source.form:
            self._code.add(w.lwz(register, 8 * source.value, 11))
        else:
            self._code.add(w.ld(register, 8 * source.value, 11))
        if source.form == "xer":
            self._code.add(w.lis(scratch, XER_HIGH), w.and_(register, register, scratch))

    def _differ(self, register: int, source: Source, scratch: int = 0) -> None:
        """Note it if a register is not what ``source`` says."""
        if not source.window and source.value == 0:
            self._code.add(w.or_(12, 12, register))
            return
        if not source.window and source.value < 0x8000:
            self._code.add(w.xori(scratch, register, source.value), w.or_(12, 12, scratch))
            return
        self._load(scratch, source)
        self._code.add(w.xor(scratch, scratch, register), w.or_(12, 12, scratch))

    def _all_differ(self, expected: Mapping[int, Source]) -> None:
        for number, source in expected.items():
            self._differ(number, source)

    def _memory(self, wanted: list[tuple[int, int, Source]]) -> None:
        """Note it if doublewords, each with a base register and an offset, are not what they should be."""
        for base, offset, source in wanted:
            self._code.add(w.ld(3, offset, base))
            self._differ(3, source)

    def _next(self, routine: int) -> None:
        self._code.add(w.lis(11, CONTROL), w.lis(0, routine >> 16), w.ori(0, 0, routine & 0xFFFF), w.std(0, NEXT, 11))
        self._at_window = False

    def _write_below(self, r1: int) -> None:
        """Write what a called function may below r1."""
        whole = r1 & -w.LINE
        for at in range(-(-(r1 - CALLEE_BYTES) // w.LINE) * w.LINE, whole, w.LINE):
            self._code.add(w.addi(5, 1, at - r1), w.dcbz(0, 5))
        self._load(0, window(LEFT))
        self._code.add(*(w.std(0, at - r1, 1) for at in range(whole, r1, 8)))

    def _use_stack(self, r1: int, *, in_a: bool = False) -> None:
        """Write what a called function may: below r1, and LR and CR save of its caller's frame (``in_a``: A's)."""
        self._write_below(r1)
        self._load(0, window(CR_SAVE))
        self._code.add(w.std(0, 8, 1) if in_a else w.stw(0, 8, 1), w.mfspr(0, w.LR), w.std(0, 16, 1))

    def _clobber(self, event: str, after: State, sources: Mapping[int, Source]) -> None:
        """Leave behind what ``event`` leaves in the volatile registers: ``after`` where the window has nothing for it.

        CR2 to CR4 stay. ``sources`` are those of the GPRs.
        """
        drawn = self._chosen[event]
        for name, spr in (("ctr", w.CTR), ("xer", w.XER)):
            self._load(0, self._drawn(event, name, getattr(after, name)), 12)
            self._code.add(w.mtspr(spr, 0))
        self._load(0, window(drawn["cr"], "cr") if "cr" in drawn else constant(after.cr))
        self._code.add(w.mtcrf(w.CR_VOLATILE, 0))
        self._load_all(sources)

    def _drawn(self, event: str, name: str, value: int) -> Source:
        """Return where a register that ``event`` chooses comes from: the window, or else it is ``value``."""
        at = self._chosen[event].get(name)
        return constant(value) if at is None else window(at, name)

    def _load_all(self, sources: Mapping[int, Source]) -> None:
        """Load GPRs, r11 last."""
        for number, source in sources.items():
            if number != 11:
                self._load(number, source)
        if 11 in sources:
            self._load(11, sources[11])
        self._at_window = False
