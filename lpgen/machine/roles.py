"""What the functions that are not under test do to what they are asked for, and what they answer."""

from __future__ import annotations

from random import Random

from lpgen.callers.values import decode
from lpgen.callers.variadic import VariadicReader
from lpgen.errors import LpgenError
from lpgen.machine.actors import clobber, use_stack
from lpgen.machine.places import BASE_WINDOW, Function, Thread
from lpgen.machine.plan import DIRECT_TRACER, PATCH, SAME, Plan, as_variadic
from lpgen.machine.state import State
from lpgen.machine.trip import Moment, Trip
from lpgen.machine.values import Values, changes_results, edits, free_in_frame, names_stub, overlay
from lpgen.machine.world import World


def is_current_kprobe_addr(world: World, trip: Trip, state: State, rng: Random) -> State:
    """Return the registers with which is_current_kprobe_addr, called with ``state``, returns."""
    state = state.copy()
    use_stack(world.engine, trip.thread, state, rng)
    clobber(state, rng, floats=False)
    state.gpr[3] = 1 if trip.plan.kprobe else trip.plan.seed & 2
    overlay(state, trip.values.kprobe)
    state.pc = state.lr
    return state


def change_regs(world: World, trip: Trip, regs: int, rng: Random) -> None:
    """Change the pt_regs at ``regs`` as the plan's tracer does."""
    plan, features, offsets = trip.plan, world.kernel.features, world.offsets

    def write(name: str, value: int) -> None:
        world.engine.write_u64(regs + offsets[name] - offsets["GPR0"], value)

    if plan.nip == PATCH:
        trip.nip_after = trip.c.gep
    if plan.nip in (PATCH, SAME):
        write("_NIP", trip.nip_after)
    if plan.direct == DIRECT_TRACER:
        trip.direct_stub = names_stub(plan)
        write("ORIG_GPR3", world.symbol("ftrace_stub_direct_tramp") if trip.direct_stub else world.direct_of(trip.b))
    if plan.graph and "return_to_handler" in features:
        trip.graph_return = trip.link_after
        trip.link_after = world.symbol("return_to_handler")
        write("_LINK", trip.link_after)
    if plan.link:
        trip.link_after = world.kretprobe
        write("_LINK", trip.link_after)
    if plan.edit:
        trip.edits = {n: rng.getrandbits(64) for n in (*range(3, 11), *range(14, 32))} | edits(trip.values.tracer)
        for number, value in trip.edits.items():
            world.engine.write_u64(regs + 8 * number, value)


def prepare_ftrace_return(world: World, trip: Trip, moment: Moment, rng: Random) -> State:
    """Be prepare_ftrace_return: say where B is to return to, the graph tracer's own place or A."""
    state = moment.state.copy()
    use_stack(world.engine, trip.thread, state, rng)
    clobber(state, rng, floats=False)
    overlay(state, trip.values.graph)
    trip.graph_return = world.graph_return if trip.plan.seed & 2 else moment.state.gpr[3]
    state.gpr[3] = trip.graph_return
    state.pc = state.lr
    return state


def choose_in_a(world: World, plan: Plan, thread: Thread, b: Function, outer: int, a: State, values: Values) -> None:
    """Put the values that are chosen for A's registers and stack over those of ``a``, whose frame is below ``outer``.

    Raises LpgenError for a doubleword that is not free.
    """
    overlay(a, values.entry, kept_cr=False)
    frame = a.gpr[1]
    free = free_in_frame(plan, outer - frame, stores_r0=world.stores_r0(b))
    for offset, value in values.frame.items():
        if offset not in free:
            raise LpgenError(
                f"frame: {offset}(A's frame) is not free to choose", hint=f"free is {', '.join(map(str, free))}"
            )
        world.engine.write_u64(frame + offset, value)
    below = stack_room(thread, frame)
    for offset, value in values.stack.items():
        if offset not in below:
            raise LpgenError(
                f"stack: {offset}(A's frame) is not free to choose",
                hint=f"free are multiples of 8 from {below.start} to -8",
            )
        world.engine.write_u64(frame + offset, value)


def stack_room(thread: Thread, frame: int) -> range:
    """Return the offsets of the doublewords below A's frame, at ``frame``, that are no part of the livepatch stack."""
    return range(thread.base + BASE_WINDOW - frame, 0, 8)


def return_to(world: World, trip: Trip, moment: Moment, rng: Random) -> State:
    """Be ftrace_return_to_handler: say where B was to return to; with the results in a pt_regs, change them."""
    state = moment.state.copy()
    regs = state.gpr[3]
    use_stack(world.engine, trip.thread, state, rng)
    clobber(state, rng, floats=False)
    thread = trip.thread
    on_stack = thread.base + BASE_WINDOW <= regs <= thread.top - 400 and not regs & 7
    if changes_results(world.kernel, trip.plan) and on_stack:
        trip.results = {3: rng.getrandbits(64), 4: rng.getrandbits(64)} | edits(trip.values.unhook)
        for number, value in trip.results.items():
            world.engine.write_u64(regs + 8 * number, value)
    overlay(state, trip.values.unhook)
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
