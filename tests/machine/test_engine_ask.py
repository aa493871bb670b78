"""Somebody is asked before each instruction of the guest, and hears nothing of the harness around it."""

from __future__ import annotations

from lpgen.assembly.kernel_text import assemble_source
from lpgen.kernel.generations import kernel
from lpgen.machine.conductor import Conductor
from lpgen.machine.engine import PAGE
from lpgen.machine.plan_text import parse_plan
from lpgen.machine.state import State
from lpgen.machine.stop import Stop
from lpgen.machine.world import World
from lpgen.source.emit import emit_source

FACTS = kernel("4.7")
PLAN = parse_plan("long f(long*9) seed=3 nip=patch").settled(FACTS)


def made() -> World:
    return World(FACTS, assemble_source(FACTS, emit_source(FACTS), name="emitted.S", isolated=False), watch=True)


def test_every_instruction_is_asked_for_and_none_of_the_harness() -> None:
    world = made()
    trip = Conductor(world).run(PLAN)
    ways = [step for moment in trip.moments for step in moment.steps]
    asked: list[int] = []
    accesses: list[tuple[int, int, bool]] = []

    def before(pc: int) -> bool:
        asked.append(pc)
        return False

    # The code ran already, without the hook.
    world.engine.ask(before, lambda *access: accesses.append(access))
    assert Conductor(world).run(PLAN).end is None
    first, end = world.text
    assert [pc for pc in asked if first <= pc < end] == [step.pc for step in ways if step.kind == "insn"]
    around = {trip.site.call, *range(trip.b.lep, trip.b.site + 4, 4), trip.c.gep, world.tracer, trip.site.returns}
    assert {pc for pc in asked if not first <= pc < end} == around
    kinds = [(step.address, step.size, step.kind == "store") for step in ways if step.kind != "insn"]
    assert accesses == kinds
    world.engine.ask(None, None)
    asked.clear()
    Conductor(world).run(PLAN)
    assert not asked


def test_a_run_that_is_stopped_and_goes_on_is_the_same_run() -> None:
    world = made()
    plain = Conductor(world).run(PLAN)
    here: list[int] = []
    stops: list[Stop] = []

    class Stopping(Conductor):
        def _run(self, state: State, thread: object) -> Stop:
            while True:
                here[:] = [state.pc]
                stop = super()._run(state, thread)  # type: ignore[arg-type]
                if stop.kind != "asked":
                    return stop
                stops.append(stop)
                state = stop.state

    world.engine.ask(lambda pc: here != [pc], None)
    trip = Stopping(world).run(PLAN)
    assert len(stops) > 60
    assert all(stop.pc == stop.state.pc for stop in stops)
    assert [moment.state for moment in trip.moments] == [moment.state for moment in plain.moments]


def test_where_there_is_memory_and_whose_it_is() -> None:
    world = made()
    engine, ground = world.engine, world.ground
    thread = world.threads[0]
    assert engine.room(thread.base) == thread.top - thread.base
    assert engine.room(thread.top - 1) == 1
    assert engine.room(thread.top) == 0
    assert engine.room(0) == engine.room((1 << 64) - 1) == 0
    assert engine.is_harness(ground.monitor, 1)
    assert engine.is_harness(ground.monitor + 2 * PAGE - 1, 8)
    assert not engine.is_harness(ground.monitor + 2 * PAGE, 8)
    assert not engine.is_harness(ground.text, 0x200)
    # The way from a gate to the monitor, which the gate's branch leads to.
    word = int.from_bytes(engine.read(world.tracer, 4), "little")
    assert engine.is_harness(world.tracer + (word & 0x3FFFFFC), 1)
    assert not engine.is_harness(world.tracer, 4)
