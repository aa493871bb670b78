"""Running one call with everything kept: the guest's runs between two gates, and what was done between two runs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from lpgen.machine.conductor import Conductor
from lpgen.machine.places import CallSite, Gate, Thread
from lpgen.machine.plan import Plan
from lpgen.machine.state import State
from lpgen.machine.stop import Step, Stop
from lpgen.machine.trip import Trip
from lpgen.machine.values import NOTHING, Values
from lpgen.machine.world import World

Image = dict[int, bytearray]


@dataclass(frozen=True, slots=True)
class Written:
    """A doubleword of memory that changed, at an address that is a multiple of 8."""

    address: int
    before: int
    after: int


@dataclass(slots=True)
class Departure:
    """A call is about to be made: ``trip`` is all that will be known of it."""

    trip: Trip


@dataclass(slots=True)
class Run:
    """The guest ran on ``thread`` from ``start`` to ``stop``, through ``steps``.

    ``written`` is what changed in memory before it, since the run before: by the functions that are not under test.
    ``gate`` is where it came to, None when it did not come to one. ``paca`` is the current one's address.
    """

    thread: Thread
    start: State
    written: list[Written]
    paca: int
    steps: list[Step] = field(default_factory=list)
    stop: Stop | None = None
    gate: Gate | None = None


@dataclass(slots=True)
class Recording:
    """One call as it happened. ``memory`` is what the guest's memory held at its begin, by first address."""

    world: World
    trip: Trip
    memory: Image
    parts: list[Departure | Run]


def record(world: World, plan: Plan, *, values: Values = NOTHING) -> Recording:
    """Run ``plan``, a settled one, in a world that watches what is around the trampolines too.

    Raises LpgenError as Conductor.run does.
    """
    conductor = _Recorder(world)
    trip = conductor.run(plan, values=values)
    return Recording(world, trip, conductor.first, conductor.parts)


class _Recorder(Conductor):
    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.parts: list[Departure | Run] = []
        self.first: Image = {}
        self._now: Image = {}

    def _trip(
        self, plan: Plan, thread: Thread, site: CallSite, a: State, relation: str, values: Values = NOTHING
    ) -> Trip:
        trip = super()._trip(plan, thread, site, a, relation, values)
        self.parts.append(Departure(trip))
        return trip

    def _run(self, state: State, thread: Thread) -> Stop:
        paca = self._paca[thread.number]
        self.world.data.run_on(paca, thread)
        if not self.first:
            self.first = {address: bytearray(memory) for address, memory in self.engine.written()}
            self._now = {address: bytearray(memory) for address, memory in self.first.items()}
        run = Run(thread, state.copy(), list(self._changed()), paca)
        self.parts.append(run)
        already = len(self._steps)
        run.stop = stop = super()._run(state, thread)
        run.steps = self._steps[already:]
        run.gate = self.world.gate(stop.gate) if stop.kind == "gate" else None
        for _ in self._changed():
            pass
        return stop

    def _changed(self) -> Iterator[Written]:
        """Yield the doublewords that are not as they were the last time."""
        for address, memory in self.engine.written():
            kept = self._now[address]
            if memory == kept:
                continue
            for at in range(0, len(kept), 8):
                before, after = kept[at : at + 8], memory[at : at + 8]
                if before != after:
                    yield Written(address + at, int.from_bytes(before, "little"), int.from_bytes(after, "little"))
            kept[:] = memory
