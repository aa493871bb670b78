"""Functions that are not under test and do no more than answer: what they are asked, what they return."""

from __future__ import annotations

from random import Random

from lpgen.callers.values import decode
from lpgen.callers.variadic import VariadicReader
from lpgen.machine.actors import clobber, use_stack
from lpgen.machine.places import BASE_WINDOW
from lpgen.machine.plan import as_variadic
from lpgen.machine.state import State
from lpgen.machine.trip import Moment, Trip
from lpgen.machine.world import World


def is_current_kprobe_addr(world: World, trip: Trip, state: State, rng: Random) -> State:
    """Return the registers with which is_current_kprobe_addr, called with ``state``, returns."""
    state = state.copy()
    use_stack(world.engine, trip.thread, state, rng)
    clobber(state, rng, floats=False)
    state.gpr[3] = 1 if trip.plan.kprobe else trip.plan.seed & 2
    state.pc = state.lr
    return state


def return_to(world: World, trip: Trip, moment: Moment, rng: Random) -> State:
    """Be ftrace_return_to_handler: say where B was to return to; with the results in a pt_regs, change them."""
    state = moment.state.copy()
    regs = state.gpr[3]
    use_stack(world.engine, trip.thread, state, rng)
    clobber(state, rng, floats=False)
    thread = trip.thread
    changes = trip.plan.edit or bool(trip.plan.seed & 8)
    on_stack = thread.base + BASE_WINDOW <= regs <= thread.top - 400 and not regs & 7
    if "return_regs" in world.kernel.features and changes and on_stack:
        trip.results = {3: rng.getrandbits(64), 4: rng.getrandbits(64)}
        for number, value in trip.results.items():
            world.engine.write_u64(regs + 8 * number, value)
    state.gpr[3] = trip.graph_return
    state.pc = state.lr
    return state


def take_arguments(world: World, trip: Trip, moment: Moment) -> list[tuple[int, bytes]]:
    """Read the arguments as the function under the plan does; return what it spills, by offset from its r1."""
    plan, thread, state = trip.plan, trip.thread, moment.state
    r1 = state.gpr[1]

    def read(offset: int, size: int) -> bytes:
        return world.engine.read(r1 + offset, size) if r1 + offset + size <= thread.top else bytes(size)

    shape = as_variadic(plan.shape) if plan.spill and moment.where == "c" else plan.shape
    placement = shape.placement
    gprs, fprs = dict(enumerate(state.gpr)), dict(enumerate(state.fpr))
    vectors = {n: state.vector(n) for n in range(2, 14)}
    if not placement.prototype.variadic:
        moment.arguments = decode(placement, gprs, fprs, vectors, read)
        return []
    reader = VariadicReader(placement)
    fixed = decode(placement, gprs, fprs, vectors, read)[: len(placement.prototype.params)]
    spilled = reader.spill(gprs)
    for offset, data in spilled:
        world.engine.write(r1 + offset, data)
    moment.arguments = fixed + reader.read_all(read)
    return spilled
