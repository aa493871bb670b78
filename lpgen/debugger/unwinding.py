"""Where the return addresses are at each instruction of a call, as call frame information (DWARF 4, 6.4), for `bt`.

It is found in a run of the call before: the way of the trampolines is no plain C frame, and the code under test says
nothing of it. What the run did not execute has none.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from lpgen.assembly.elf import RawSection
from lpgen.debugger.leb import signed, unsigned
from lpgen.kernel.frames import HEADER_BYTES
from lpgen.machine.places import LIVEPATCH_FRAME
from lpgen.machine.stop import Step
from lpgen.machine.trip import Moment, Trip
from lpgen.machine.world import World

# DWARF numbers of registers (ELFv2 ABI 1.5, table 2.28).
_R0, _R1, _LR = 0, 1, 65
_DEF_CFA, _DEF_CFA_OFFSET, _UNDEFINED, _SAME, _REGISTER, _EXPRESSION, _OFFSET_SF = 0x0C, 0x0E, 7, 8, 9, 0x10, 0x11
_OP_ADDR, _OP_DEREF, _OP_CONST1U, _OP_MINUS = 3, 6, 8, 0x1C
_CODE_ALIGN, _DATA_ALIGN = 4, -8
_LR_SAVE = 16
_NOWHERE = bytes([_UNDEFINED]) + unsigned(_LR)
_IN_R0 = bytes([_REGISTER]) + unsigned(_LR) + unsigned(_R0)


@dataclass(frozen=True, slots=True)
class _Rules:
    """What is known at an instruction: A's r1 is ``cfa`` bytes above r1, rules for LR and r0 as DWARF has them.

    ``called`` are those rules while a function runs that it called.
    """

    cfa: int
    here: bytes
    called: bytes


class _Places:
    """What registers and memory hold, as the steps of a call go by."""

    def __init__(self, world: World, trip: Trip) -> None:
        self._offsets = world.offsets
        self._trip = trip
        self._memory: dict[int, int] = {}
        self._sp = trip.sp

    def enter(self, steps: list[Step], before: Moment | None, moment: Moment | None) -> None:
        """Begin the way from ``before`` to ``moment``: what its stack holds and no step stored was there then."""
        if moment is not None:
            stored = {step.address for step in steps if step.kind == "store"}
            for number, (value,) in enumerate(struct.iter_unpack("<Q", moment.stack[: len(moment.stack) & ~7])):
                if moment.low + 8 * number not in stored:
                    self._memory[moment.low + 8 * number] = value
        if before is not None and before.pt_regs:
            for field, value in (("_NIP", self._trip.nip_after), ("_LINK", self._trip.link_after)):
                self._memory[before.pt_regs + self._offsets[field] - self._offsets["GPR0"]] = value

    def store(self, step: Step) -> None:
        if step.size == 8:
            self._memory[step.address] = step.value
            if step.address == self._trip.thread.sp_address:
                self._sp = step.value

    def rules(self, step: Step, *, called: bool) -> bytes:
        """Return the rules for LR, and for r0 where B is what is returned to."""
        trip = self._trip
        into_a = dict.fromkeys((trip.site.returns, trip.link_after, trip.graph_return))
        in_r0 = self._first(_R0, into_a, step, called=called)
        # Where B's stub takes over from the trampolines LR is its own address still.
        into_b = () if step.pc == trip.b.lr else (trip.b.lr, trip.b.site + 4)
        found = self._first(_LR, into_b, step, called=called)
        return found + in_r0 if found else self._first(_LR, into_a, step, called=called) or _NOWHERE

    def _first(self, column: int, values: Iterable[int], step: Step, *, called: bool) -> bytes:
        rules = (self._rule(column, value, step, called=called) for value in values if value)
        return next((rule for rule in rules if rule), b"")

    def _rule(self, column: int, value: int, step: Step, *, called: bool) -> bytes:
        """Return the rule for a register that held ``value`` at the call, empty where that is nowhere.

        ``called``: a function that it called runs, and what that may change does not count.
        """
        number = unsigned(column)
        if step.lr == value and not called:
            return bytes([_SAME]) + number if column == _LR else bytes([_REGISTER]) + number + unsigned(_LR)
        r1, cfa = step.gpr[1], self._trip.frame
        for address in range(cfa + HEADER_BYTES - 8, r1 - 1, -8):
            if self._memory.get(address) == value and not (called and address == r1 + _LR_SAVE):
                return bytes([_OFFSET_SF]) + number + signed((address - cfa) // _DATA_ALIGN)
        if step.gpr[0] == value and not called:
            return bytes([_REGISTER]) + number + unsigned(_R0)
        for below in range(8, LIVEPATCH_FRAME + 1, 8):
            if self._memory.get(self._sp - below) == value:
                at = struct.pack("<BQ", _OP_ADDR, self._trip.thread.sp_address)
                expression = at + bytes((_OP_DEREF, _OP_CONST1U, below, _OP_MINUS))
                return bytes([_EXPRESSION]) + number + unsigned(len(expression)) + expression
        return b""


def frame_section(
    world: World, trip: Trip, callers: Iterable[tuple[int, int]], acted: Iterable[tuple[int, int]]
) -> RawSection:
    """Return .debug_frame for the way of ``trip``, run in a ``world`` that watches what is around the trampolines.

    ``callers`` are address and bytes of each A, where it ends; ``acted`` are those of functions that are entered and
    left with nothing on the stack.
    """
    made = bytearray(_entry(0xFFFFFFFF, struct.pack("<BBB", 4, 0, 8) + b"\0" + _common()))
    pieces = dict.fromkeys(acted, b"")
    pieces |= dict.fromkeys(callers, _NOWHERE)
    for (address, size), program in pieces.items():
        made += _entry(0, struct.pack("<QQ", address, size) + program)
    for address, rules in _rules(world, trip).items():
        if not any(first <= address < first + size for first, size in pieces):
            cfa = bytes([_DEF_CFA_OFFSET]) + unsigned(rules.cfa)
            # Who unwinds from a called function looks one byte before the address that it returns to.
            made += _entry(0, struct.pack("<QQ", address, 3) + cfa + rules.here)
            made += _entry(0, struct.pack("<QQ", address + 3, 1) + cfa + rules.called)
    return RawSection(".debug_frame", "progbits", align=8, data=bytes(made), size=len(made))


def _common() -> bytes:
    return unsigned(_CODE_ALIGN) + signed(_DATA_ALIGN) + unsigned(_LR) + bytes([_DEF_CFA]) + unsigned(_R1) + b"\0"


def _entry(kind: int, body: bytes) -> bytes:
    body = struct.pack("<I", kind) + body
    body += bytes(-(len(body) + 4) % 8)
    return struct.pack("<I", len(body)) + body


def _rules(world: World, outermost: Trip) -> Mapping[int, _Rules]:
    """Return what is known at each instruction, as it was when that was executed first."""
    found: dict[int, _Rules] = {}
    first, end = world.text
    for trip in all_trips(outermost):
        places = _Places(world, trip)
        before = None
        for steps, moment in _ways(trip):
            places.enter(steps, before, moment)
            before = moment
            for step in steps:
                if step.kind == "store":
                    places.store(step)
                elif step.kind == "insn" and step.pc not in found and trip.thread.base < step.gpr[1] <= trip.frame:
                    here = places.rules(step, called=False)
                    # The trampolines give B and its stub the return address into A back in r0.
                    called = places.rules(step, called=True) if first <= step.pc < end else _IN_R0
                    found[step.pc] = _Rules(trip.frame - step.gpr[1], here, called)
    return found


def all_trips(trip: Trip) -> Iterator[Trip]:
    """Yield a call and those inside it."""
    yield trip
    for inside in trip.inner:
        yield from all_trips(inside)


def _ways(trip: Trip) -> Iterator[tuple[list[Step], Moment | None]]:
    yield from ((moment.steps, moment) for moment in trip.moments)
    yield trip.last_steps, None
