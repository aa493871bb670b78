"""One path through the trampolines: registers and memory as terms, and what holds on the way.

Between any two instructions an interrupt may come. It overwrites what lies more than the red zone below r1 and what
lies at livepatch_sp and above, and the thread may go on on another cpu, with another paca. A path has all of that
happen at each of its instructions: what a trampoline keeps where it is not safe is unknown when it is read back.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from dataclasses import dataclass, field

from lpgen.kernel.checks import RED_ZONE
from lpgen.proof.ground import LIVEPATCH_SP, R1, TOC, World, paca
from lpgen.proof.memory import Bytes
from lpgen.proof.outcome import signed16
from lpgen.proof.reading import variables
from lpgen.proof.semantics import NotModelledError, Outcome, execute
from lpgen.proof.state import Registers
from lpgen.proof.term import (
    FALSE,
    TRUE,
    Term,
    add,
    base_and_offset,
    concat,
    const,
    extract,
    invert,
    plus,
    var,
)

# The extended opcode of stdux.
STDUX = 181
# More instructions than any way through the trampolines has.
LONGEST = 3000


class DeadEnd(Exception):
    """The path goes no further: ``what`` happened at ``pc``."""

    def __init__(self, pc: int, what: str) -> None:
        super().__init__(what)
        self.pc = pc
        self.what = what


@dataclass(frozen=True, slots=True)
class Store:
    """A store to the stack: the instruction, the offset from A's frame and the size in bytes."""

    pc: int
    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class Way:
    """How a path came to where a statement does not hold: what ``Path`` says of it, without its state."""

    entry: str
    lean: bool
    phase: str
    events: tuple[str, ...]
    trace: tuple[int, ...]
    nip: Term | None
    tracing: bool | None
    graph: bool | None


# Told of a statement that is broken whatever the values: statement, instruction, what, allowed, seen.
Report = Callable[["Path", str, int, str, str, str], None]
# Finds region and offset of an address that is no base and distance as it stands; None: it has no one place.
Find = Callable[["Path", Term], tuple[str, int] | None]
# Told of a value that an instruction may not have changed: statement, instruction, what, what it was, what it is.
Differs = Callable[["Path", str, int, str, Term, Term], None]


@dataclass(slots=True)
class Path:
    """Where a path stands.

    ``entry``: the symbol that it started at, ``lean``: that saves few registers only.
    ``conditions``: terms of one bit that hold on it. ``phase``: "ftrace", "handler" before C, "back" after it,
    "unhook" or "mcount". ``events``: the kinds of gates that it came by; ``trace``: the instructions on the way.
    ``facts``: what the functions that it called left behind, by name. ``lowest``: the lowest offset of r1 from A's
    frame so far; ``deepest``: the lowest offset of a store that is still known; ``top``: livepatch_sp, counted from
    what it was at the call; ``highest``: where what is known on the livepatch stack ends. ``stored_sp``: livepatch_sp
    was stored in this phase. ``started``: how many instructions came before the phase. ``handler_registers``: those
    that the handler's half started with.
    ``tracing``, ``graph``: whether ftrace has patched ftrace_call and ftrace_graph_call, None while that made no
    difference.
    """

    world: World
    report: Report
    differs: Differs
    find: Find
    registers: Registers
    pc: int
    memory: Bytes = field(default_factory=Bytes)
    entry: str = ""
    lean: bool = False
    conditions: tuple[Term, ...] = ()
    phase: str = "ftrace"
    events: tuple[str, ...] = ()
    trace: list[int] = field(default_factory=list)
    facts: dict[str, Term] = field(default_factory=dict)
    stores: list[Store] = field(default_factory=list)
    lowest: int = 0
    deepest: int = 0
    top: int = 0
    highest: int = 0
    stored_sp: bool = False
    tracing: bool | None = None
    graph: bool | None = None
    started: int = 0
    handler_registers: Registers | None = None
    _fresh: int = 0

    def fork(self) -> Path:
        """Return a path that goes another way from here."""
        made = copy(self)
        made.registers, made.memory = self.registers.copy(), self.memory.copy()
        made.trace, made.facts, made.stores = self.trace.copy(), self.facts.copy(), self.stores.copy()
        return made

    def way(self) -> Way:
        """Return how the path came here."""
        return Way(
            self.entry,
            self.lean,
            self.phase,
            self.events,
            tuple(self.trace),
            self.facts.get("nip"),
            self.tracing,
            self.graph,
        )

    def fresh(self, width: int, what: str, zeros: int = 0) -> Term:
        """Return a variable that nothing else on the path has, with a name that says what it is."""
        self._fresh += 1
        return var(width, f"{what}~{self._fresh}", zeros)

    # r13

    @property
    def paca(self) -> Term:
        """The paca of the cpu that the thread is on now."""
        return paca(len(self.trace))

    def _to_any_cpu(self, before: Term) -> None:
        if self.registers.gpr[13] is before:
            self.registers.gpr[13] = self.paca

    # Memory, as semantics.Memory

    def load(self, address: Term, size: int) -> Term:
        """Return what is at ``address``. Raises DeadEnd where no memory is known to be."""
        region, offset = self._where(address, "load")
        if region == "":
            found = self.world.absolute(offset, size)
            if found is None and self.world.changes(offset, size):
                # Whether a tracer is patched in may change at any time.
                found = self.fresh(8 * size, "what ftrace writes")
            if found is None:
                self._lost("load", address)
            assert found is not None
            return found
        fields = self.world.regions[region]
        known = any(at <= offset < at + term.width // 8 for at, term in fields.known.items())
        if not known and not (fields.first <= offset and offset + size <= fields.end):
            self._lost("load", address)
        if region == "stack":
            if offset < self._reach() - RED_ZONE:
                self._stray("load", size, self._where_in_stack(offset), "the red zone")
            # What is down there may be another value as soon as r1 is above it again.
            self.deepest = min(self.deepest, offset)
            return self.memory.load(region, offset, size)
        if region == "livepatch" and self.phase == "back" and offset + size > self.top:
            seen = "after it was lowered"
            self.report(
                self,
                "L2",
                self.pc,
                f"load at {offset - self.top:+}(livepatch_sp)",
                "read back before livepatch_sp is lowered",
                seen,
            )
        if region == "livepatch":
            self.highest = max(self.highest, offset + size)
            return self.memory.load(region, offset, size)
        if region == "thread_info":
            at = self.world.offsets.get("TI_livepatch_sp", fields.end)
            if at <= offset and offset + size <= at + 8:
                return self.memory.load(region, offset, size)
            # Flags, for one: others set them at any time.
            return self.fresh(8 * size, f"{offset}(thread_info)")
        return self._read_only(region, offset, size)

    def _read_only(self, region: str, offset: int, size: int) -> Term:
        """Return what is in memory that trampolines only read; what is not known of it is another unknown each time."""
        if region == "another paca":
            if offset == self.world.offsets["PACATOC"] and size == 8:
                return TOC
            return self.fresh(8 * size, f"{offset}({region})")
        for start, term in self.world.regions[region].known.items():
            if start <= offset and offset + size <= start + term.width // 8:
                low = 8 * (offset - start)
                return extract(term, low + 8 * size - 1, low)
        if region == "toc":
            data = self.world.image_bytes(self.world.ground.toc + offset, size)
            if data is not None:
                return const(8 * size, int.from_bytes(data, "little"))
        if size > 1:
            # Part of it may be known.
            halves = [self._read_only(region, offset + at, 1) for at in range(size)]
            return concat(*reversed(halves))
        return self.fresh(8, f"{offset}({region})")

    def store(self, address: Term, size: int, value: Term) -> None:
        """Write ``value`` to ``address``. Raises DeadEnd where no memory is known to be."""
        region, offset = self._where(address, "store")
        if region == "stack":
            self._store_on_stack(offset, size, value)
        elif region == "thread_info":
            self._store_livepatch_sp(offset, size, value)
        elif region == "livepatch":
            self._store_on_livepatch_stack(offset, size, value)
        else:
            allowed = "inside the new frames or at 16(A's frame)"
            if self.phase in ("handler", "back"):
                allowed = "livepatch_sp or the 24 bytes of the livepatch frame"
            where = f"{offset:#x}" if region == "" else f"{offset}({region})"
            if region or self.phase not in ("handler", "back"):
                self._stray("store", size, where, allowed)
            self._elsewhere("store", where)

    def _where(self, address: Term, access: str) -> tuple[str, int]:
        base, offset = base_and_offset(address)
        if base is None:
            return "", address.args[0]
        region = self.world.bases.get(base)
        if region is not None:
            return region, offset
        if base.op == "var" and str(base.args[0]).startswith("paca@"):
            return "paca" if base is self.paca_before else "another paca", offset
        found = self.find(self, address)
        if found is None:
            self._lost(access, address)
        assert found is not None
        return found

    @property
    def paca_before(self) -> Term:
        """The paca while the current instruction runs."""
        return paca(len(self.trace) - 1)

    def _lost(self, access: str, address: Term) -> None:
        base, _ = base_and_offset(address)
        if base is not None and base is self.facts.get("entry r2") and self.phase == "ftrace":
            self.report(self, "T2", self.pc, f"r2 at the {access}", "kernel TOC", "B's r2")
        if access == "store":
            self._elsewhere(access, str(address))
        raise DeadEnd(self.pc, f"{access} at {address}, where no memory is known to be")

    def _elsewhere(self, access: str, where: str) -> None:
        if self.phase in ("handler", "back"):
            self.report(self, "L7", self.pc, access, "memory of this thread", where)

    def _where_in_stack(self, offset: int) -> str:
        return f"{offset}(A's frame)"

    def _stray(self, access: str, size: int, where: str, allowed: str, statement: str | None = None) -> None:
        if statement is None:
            statement = "L2" if self.phase in ("handler", "back") else "T5"
        self.report(self, statement, self.pc, f"{access} of {size} bytes", allowed, where)

    def _reach(self) -> int:
        """Where the red zone is counted from: stdu stores where r1 will point."""
        base, offset = base_and_offset(self.registers.gpr[1])
        now = offset if base is R1 else 0
        return min(now, self.pending)

    # stdu, stdux: the new r1, which the instruction sets behind its store.
    @property
    def pending(self) -> int:
        """The offset of r1 behind the current instruction where that moves r1, else 0."""
        word, gpr = (self.world.words.get(self.pc) or 0), self.registers.gpr
        if word >> 16 & 31 != 1:
            return 0
        if word >> 26 == 62 and word & 3 == 1:
            new = plus(gpr[1], signed16(word & ~3))
        elif word >> 26 == 31 and word >> 1 & 0x3FF == STDUX:
            new = add(gpr[1], gpr[word >> 11 & 31])
        else:
            return 0
        base, offset = base_and_offset(new)
        return offset if base is R1 else 0

    def _store_on_stack(self, offset: int, size: int, value: Term) -> None:
        fields = self.world.regions["stack"]
        where = self._where_in_stack(offset)
        if not fields.first <= offset or not offset + size <= fields.end:
            raise DeadEnd(self.pc, f"store at {where}")
        self.memory.store("stack", offset, size, value)
        self.deepest = min(self.deepest, offset)
        if self.phase in ("handler", "back"):
            if offset >= 0:
                self._stray("store", size, where, "none in A's frame or above it", "L5")
            elif offset < -RED_ZONE:
                self._stray("store", size, where, "none on the normal stack", "L1")
            return
        if offset < self._reach() - RED_ZONE:
            self._stray("store", size, where, f"no further below r1 than the red zone, {RED_ZONE} bytes")
        elif offset + size > 0 and not (offset == 16 and size == 8):
            self._stray("store", size, where, "inside the new frames or at 16(A's frame)")
        elif offset < 0:
            self.stores.append(Store(self.pc, offset, size))

    def _store_livepatch_sp(self, offset: int, size: int, value: Term) -> None:
        if self.phase not in ("handler", "back") or offset != self.world.offsets["TI_livepatch_sp"] or size != 8:
            statement = "L2" if self.phase in ("handler", "back") else "T5"
            self._stray("store", size, f"{offset}(thread_info)", "livepatch_sp alone, by livepatch_handler", statement)
            return
        self.memory.store("thread_info", offset, size, value)
        self.stored_sp = True
        base, distance = base_and_offset(value)
        if base is LIVEPATCH_SP:
            self.top = distance
            if distance < 0:
                wanted = "not below what it was: the frames of other calls are there"
                for statement in ("L2", "L6"):
                    self.report(self, statement, self.pc, "livepatch_sp", wanted, f"{distance} from it")
            return
        self.report(self, "L2", self.pc, "livepatch_sp", "what it was, and 24 while C runs", str(value))
        self.top = 0

    def _store_on_livepatch_stack(self, offset: int, size: int, value: Term) -> None:
        where = f"{offset}(livepatch_sp at the call)"
        if self.phase not in ("handler", "back"):
            self._stray("store", size, where, "inside the new frames or at 16(A's frame)")
        elif offset < 0:
            self._stray("store", size, where, "the 24 bytes of the livepatch frame")
            self.report(self, "L6", self.pc, f"store of {size} bytes", "no other call's livepatch frame", where)
            return
        elif offset + size > 24 + 24:
            self._stray("store", size, where, "the 24 bytes of the livepatch frame")
        elif offset >= self.top:
            allowed = "filled after livepatch_sp is raised" if self.phase == "handler" else "none above livepatch_sp"
            self._stray("store", size, f"{offset - self.top:+}(livepatch_sp)", allowed)
        self.memory.store("livepatch", offset, size, value)
        self.highest = max(self.highest, offset + size)

    # Running

    def step(self) -> Outcome:
        """Execute the instruction at pc, and let an interrupt come behind it. Raises DeadEnd."""
        word = self.world.words.get(self.pc)
        if word is None:
            raise DeadEnd(self.pc, "no instruction is there")
        if len(self.trace) - self.started > LONGEST:
            raise DeadEnd(self.pc, "it loops")
        before = self.paca
        self.trace.append(self.pc)
        try:
            outcome = execute(word, self.pc, self.registers, self)
        except NotModelledError as error:
            raise self.error(f"the prover does not know this instruction ({error})") from error
        if self.pc in self.trace[:-1] and self._undefined(word):
            raise self.error("it leaves another undefined value each time, and runs twice")
        if outcome.fault:
            raise DeadEnd(self.pc, outcome.fault)
        if outcome.privileged:
            statement = "L1" if self.phase in ("handler", "back") else "T5"
            self.report(self, statement, self.pc, f"write of {outcome.privileged}", "none", "one")
        self._to_any_cpu(before)
        self._interrupted()
        return outcome

    def error(self, why: str) -> NotModelledError:
        """Return the error that the proof ends with at the current instruction: ``why`` it cannot go on."""
        line = self.world.image.line_at(self.pc)
        named = f"{self.world.image.unit.name} at {self.pc:#x}" if line is None else line.text
        hint = "write it another way, or judge by `lpgen verify`"
        return NotModelledError(f"{named}: {why}", place=None if line is None else line.place, hint=hint)

    def _undefined(self, word: int) -> bool:
        """Tell whether an instruction, just executed, has left a variable of its own in its RT."""
        own = f"@{self.pc:#x}"
        return any(str(v.args[0]).endswith(own) for v in variables(self.registers.gpr[word >> 21 & 31]))

    def enter_handler(self, phase: str) -> None:
        """Note that livepatch_handler is reached, or that C returned into it: r1 has to be A's frame from here on."""
        self.phase, self.started, self.stored_sp = phase, len(self.trace), False
        self.handler_registers = None
        self._interrupted()
        self.handler_registers = self.registers.copy()

    def pass_over(self, pc: int) -> None:
        """Note an instruction that is not executed as it stands: ftrace has written another one there."""
        before = self.paca
        self.trace.append(pc)
        self._to_any_cpu(before)
        self._interrupted()

    def _interrupted(self) -> None:
        base, r1 = base_and_offset(self.registers.gpr[1])
        if self.phase in ("handler", "back"):
            if base is not R1 or r1:
                self.report(self, "L1", self.pc, "r1 inside the handler", "r1", str(self.registers.gpr[1]))
                raise DeadEnd(self.pc, "r1 is not A's frame")
            self._kept_in_handler()
        elif base is not R1 or r1 > 0 or r1 & 15 or r1 < self.world.regions["stack"].first:
            allowed = "16-byte aligned, at A's frame or below it"
            self.report(self, "T5", self.pc, "r1 behind it", allowed, str(self.registers.gpr[1]))
            if base is not R1 or r1 < self.world.regions["stack"].first:
                raise DeadEnd(self.pc, "r1 is no address of the stack")
        self.lowest = min(self.lowest, r1)
        if self.deepest < r1 - RED_ZONE:
            self.memory.forget("stack", self.deepest, r1 - RED_ZONE)
            self.deepest = r1 - RED_ZONE
        if self.highest > self.top:
            self.memory.forget("livepatch", self.top, max(self.highest, self.top))
            self.highest = self.top

    def _kept_in_handler(self) -> None:
        """Ask that each instruction of the handler leaves alone all that is not its own: an interrupt may look."""
        was, now = self.handler_registers, self.registers
        if was is None:
            return
        free = (0, 11, 12, 13) if self.phase == "handler" else (0, 2, 11, 12, 13)
        for number in range(32):
            if now.gpr[number] is not was.gpr[number] and number not in free:
                self._changed(f"r{number}", was.gpr[number], now.gpr[number])
        for bit in range(4, 32):
            if now.cr[bit] is not was.cr[bit]:
                self._changed(f"CR bit {bit}", was.cr[bit], now.cr[bit])

    def _changed(self, what: str, was: Term, now: Term) -> None:
        self.differs(self, "L1", self.pc, f"{what} inside the handler", was, now)

    # Conditions

    def knows(self, condition: Term) -> bool | None:
        """Tell whether a condition holds by what the path's conditions say at once; None: they do not."""
        if condition is TRUE or condition in self.conditions:
            return True
        if condition is FALSE or invert(condition) in self.conditions:
            return False
        return None

    def assume(self, *conditions: Term) -> None:
        """Take conditions as given from here on."""
        self.conditions += tuple(c for c in conditions if c is not TRUE and c not in self.conditions)
