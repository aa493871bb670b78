"""What a trace says, held against a run without it: an emulated kernel of its own, watched in the usual way."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise

from lpgen.api import trampolines
from lpgen.assembly import Unit
from lpgen.kernel.generations import Kernel, kernel
from lpgen.machine.cases import Case, case, interrupt_plan, special_cases
from lpgen.machine.conductor import Conductor
from lpgen.machine.places import BASE_WINDOW, Gate
from lpgen.machine.plan import INTERRUPT_MODES, Interrupt, Plan
from lpgen.machine.state import State
from lpgen.machine.trip import Moment, Trip
from lpgen.machine.world import World
from lpgen.trace.event import ENTER, INSTRUCTION, INTERRUPT, STOP, TRAMPOLINES, Event, Trace

SPECIAL = ("lr", "ctr", "cr", "xer", "msr")


class Watcher(Conductor):
    """Keeps the moments of all calls in the order in which they came, and the trampolines' pcs."""

    def __init__(self, made: Kernel, unit: Unit) -> None:
        super().__init__(World(made, unit, watch=True))
        self.moments: list[Moment] = []
        self.pcs: list[int] = []

    def _moment(self, trip: Trip, gate: Gate, state: State, frame: bytearray) -> Moment:
        moment = super()._moment(trip, gate, state, frame)
        self.moments.append(moment)
        return moment

    def watch(self, plan: Plan) -> Trip:
        """Run ``plan``: ``moments`` and ``pcs`` are then those of it."""
        self.moments, self.pcs = [], []
        self.engine.record(set(), self.pcs)
        return self.run(plan)


@cache
def unit_of(version: str) -> Unit:
    return trampolines(kernel(version))


@cache
def watcher_of(version: str) -> Watcher:
    return Watcher(kernel(version), unit_of(version))


@dataclass
class Replayed:
    """Registers by name and memory by doubleword, as the events of a trace have made them so far."""

    registers: dict[str, int]
    memory: dict[int, bytearray]

    @classmethod
    def of(cls, trace: Trace) -> Replayed:
        return cls(registers_of(trace.start), {base: bytearray(memory) for base, memory in trace.memory.items()})

    def apply(self, event: Event) -> None:
        """Change what ``event`` says it changed. Fails unless all was what it says that it was."""
        for change in event.registers:
            assert self.registers[change.register] == change.before, (event.text, change)
            self.registers[change.register] = change.after
        for access in event.memory:
            held = self.read(access.address, access.size)
            if held is None:
                continue
            if access.kind == "load":
                assert held == access.value, (event.text, access)
            else:
                assert held == access.before, (event.text, access)
                self.write(access.address, access.size, access.value)

    def _room(self, address: int, size: int) -> tuple[bytearray, int] | None:
        for base, memory in self.memory.items():
            if base <= address and address + size <= base + len(memory):
                return memory, address - base
        return None

    def read(self, address: int, size: int) -> int | None:
        room = self._room(address, size)
        return None if room is None else int.from_bytes(room[0][room[1] : room[1] + size], "little")

    def write(self, address: int, size: int, value: int) -> None:
        room = self._room(address, size)
        assert room is not None
        room[0][room[1] : room[1] + size] = value.to_bytes(size, "little")


def registers_of(state: State) -> dict[str, int]:
    found = {f"r{n}": state.gpr[n] for n in range(32)}
    found |= {name: getattr(state, name) for name in SPECIAL}
    found |= {f"f{n}": state.fpr[n] for n in range(32)}
    return found | {f"v{n}": int.from_bytes(state.vector(n), "little") for n in range(32)}


def check_truth(trace: Trace, watcher: Watcher) -> None:
    """Fail unless ``trace`` says of its plan what ``watcher`` sees of it."""
    watcher.watch(trace.plan)
    check_pcs(trace, watcher.pcs)
    check_moments(trace, watcher)
    check_frames(trace)


def check_pcs(trace: Trace, pcs: list[int]) -> None:
    seen = [event.address for event in trace.events if event.origin == TRAMPOLINES]
    assert seen == pcs
    assert [event.number for event in trace.events] == list(range(len(trace.events)))


def check_moments(trace: Trace, watcher: Watcher) -> None:
    """Registers and memory that come of the events are those that the moments hold, at each gate and trap."""
    has_question = "kprobe_test" in watcher.world.kernel.features
    replayed = Replayed.of(trace)
    moments = iter(watcher.moments)
    at_r1 = {event.thread.sp_address: 0 for event in trace.events}
    for event in trace.events:
        replayed.apply(event)
        assert replayed.registers["r1"] == event.r1, event.text
        held = replayed.read(event.thread.sp_address, 8)
        at_r1[event.thread.sp_address] = event.livepatch_sp
        if held is not None:
            assert held == event.livepatch_sp
        asked = event.actor == "is_current_kprobe_addr" and not has_question
        if (event.kind == ENTER and not asked) or (event.kind == STOP and "trap" in event.text):
            compare(event, replayed, next(moments))
    assert next(moments, None) is None


def compare(event: Event, replayed: Replayed, moment: Moment) -> None:
    seen = registers_of(moment.state)
    assert {n: v for n, v in replayed.registers.items() if seen[n] != v} == {}, event.text
    assert event.livepatch_sp == moment.sp, event.text
    thread = event.thread
    memory = bytes(replayed.memory[thread.base][moment.low - thread.base :])
    differ = [moment.low + n for n in range(0, len(memory), 8) if memory[n : n + 8] != moment.stack[n : n + 8]]
    assert differ == [], (event.number, event.text, [hex(n) for n in differ[:4]])
    if thread.livepatch in replayed.memory:
        above = max(event.livepatch_sp, thread.sp_start) - thread.livepatch
        if above <= BASE_WINDOW:
            first = thread.sp_start - 8 - thread.livepatch
            assert replayed.memory[thread.livepatch][first:above] == moment.base[first:above], event.text


def check_frames(trace: Trace) -> None:
    """Frames lie on their stack, the highest first, apart; r1 points to the innermost one."""
    for event in trace.events:
        frames, thread = event.frames, event.thread
        assert frames, event.text
        for placed in frames:
            assert thread.base <= placed.address < placed.end <= thread.top, (event.text, placed)
            assert placed.frame.size > 0
            ends = [(slot.offset, slot.offset + slot.size) for slot in placed.frame.slots]
            assert all(a[1] <= b[0] for a, b in pairwise(ends)), placed.frame
            assert not ends or ends[-1][1] <= placed.frame.size, placed.frame
        for higher, lower in pairwise(frames):
            assert lower.end <= higher.address, (event.number, event.text, frames)
        if event.origin == TRAMPOLINES or event.kind == ENTER:
            assert frames[-1].address == event.r1, (event.number, event.text)


def plans(version: str, *, every: int = 4) -> list[Case]:
    """Every special way of calling in one of its shapes, but for what takes seconds."""
    made = kernel(version)
    found = [case(made, number) for number in range(0, special_cases(made), every)]
    return [one for one in found if one.plan.depth() <= 20]


def interrupted(version: str, base: Case, boundary: int, mode: str) -> Case:
    made = kernel(version)
    interrupt = Interrupt(boundary, mode, interrupt_plan(made, mode, base.number))
    return Case(base.number, f"{base.name}@{boundary}:{mode}", replace(base.plan, interrupt=interrupt).settled(made))


__all__ = [
    "INSTRUCTION",
    "INTERRUPT",
    "INTERRUPT_MODES",
    "Watcher",
    "check_frames",
    "check_truth",
    "interrupted",
    "plans",
    "unit_of",
    "watcher_of",
]
