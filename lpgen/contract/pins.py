"""What is fixed and what is free in one call: to what a proof pins its variables, so that its model can be replayed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lpgen.machine.conductor import Conductor
from lpgen.machine.places import Ground, Thread
from lpgen.machine.plan import Plan
from lpgen.machine.roles import stack_room
from lpgen.machine.state import State
from lpgen.machine.trip import Trip
from lpgen.machine.values import free_in_frame, free_registers


@dataclass(frozen=True, slots=True)
class Pins:
    """One call of a plan, run without chosen values: all addresses in it, and what may be chosen instead.

    All are addresses of the emulated world but sizes and offsets, which are in bytes.

    ``entry``: the registers at ftrace_caller (or where the call site leads, ``target``), of which those named in
    ``free["entry"]`` may be chosen, in the State ``a`` of A at the call too. ``frame``: A's frame, r1 at the call, of
    ``frame_size`` bytes; ``back_chain``: the doubleword at 0(frame); ``chain``: the return addresses above A's.
    ``above``: the memory from ``frame`` to the top of the stack at the call, arguments included. What else is in memory
    before the call is what ``conductor.world.engine.read(address, size)`` gives, but for the stacks.
    ``site``: B's call-site bl; ``lr``: LR behind it; ``nip``: where B goes on. ``nip_after`` and ``link_after``: what
    the tracer makes of pt_regs.nip and pt_regs.link. ``returns``: the return address into A.
    ``c``, ``c_toc``: C's global entry and TOC pointer, where the plan is patched or a kprobe's redirected.
    ``graph_return``: what prepare_ftrace_return or ftrace_return_to_handler answers, 0 where none is asked.
    ``thread``: the stack, where its livepatch_sp is, and thread_info. ``sp``: livepatch_sp at the call.
    ``ground``: where the kernel's parts are (toc, pacas, function_trace_op, ...); ``paca``: r13 at the call;
    ``toc``: of kernel, module 1 and module 2, by ``home_a`` and so on. ``ops``: the ftrace_ops of B; ``tracer``: what
    ftrace_call leads to; ``direct``: the direct trampoline; ``functions``: C functions that trampolines may call.
    ``symbols``: the trampolines' own. ``results``: what ftrace_return_to_handler makes of r3 and r4 in pt_regs.

    ``free``: by event of values.EVENTS, the names that may be chosen; ``frame_free``: the offsets of doublewords of A's
    frame, ``stack_free`` those below it. CR of an entry is free as a whole, at a return only where CR_KEPT has no bit;
    XER only in XER_BITS (both of lpgen.machine.actors).
    ``trip`` is the call itself: its moments hold registers, stack and, in a watched world, the instructions at each
    event. It is that of the code as it is: wrong code may not have come to each event.
    """

    plan: Plan
    entry: State
    a: State
    target: int
    frame: int
    frame_size: int
    back_chain: int
    chain: tuple[int, ...]
    above: bytes
    site: int
    lr: int
    nip: int
    nip_after: int
    link_after: int
    returns: int
    c: int
    c_toc: int
    graph_return: int
    thread: Thread
    sp: int
    ground: Ground
    paca: int
    toc: tuple[int, ...]
    ops: int
    tracer: int
    direct: int
    functions: Mapping[str, int]
    symbols: Mapping[str, int]
    results: Mapping[int, int]
    free: Mapping[str, frozenset[str]]
    frame_free: tuple[int, ...]
    stack_free: range
    trip: Trip


def pins(conductor: Conductor, plan: Plan) -> Pins:
    """Run ``plan``, a settled one, without chosen values and return what is fixed in it and what is free.

    ``conductor`` is one of ``Suite.conductor(watch=...)`` for the kernel and unit, or Conductor(World(kernel, unit)).
    An interrupt comes only in a world that watches. The world is the same in each process that builds it, so a replay
    elsewhere has the same addresses.
    """
    world = conductor.world
    trip = conductor.run(plan)
    outer = int.from_bytes(trip.outset[:8], "little")
    changes = plan.patched or plan.redirected
    hooked = plan.graph and plan.traced and "return_to_handler" in world.kernel.features
    link = trip.site.returns
    if plan.traced and plan.link:
        link = world.kretprobe
    elif hooked:
        link = world.symbol("return_to_handler")
    graph_return = trip.site.returns if hooked else 0
    if plan.graph and "graph_hook" in world.kernel.features:
        graph_return = world.graph_return if plan.seed & 2 else link
    return Pins(
        plan=plan,
        entry=trip.entry,
        a=trip.a,
        target=trip.entry.pc,
        frame=trip.frame,
        frame_size=outer - trip.frame,
        back_chain=outer,
        chain=tuple(trip.chain),
        above=trip.outset,
        site=trip.b.site,
        lr=trip.b.lr,
        nip=trip.b.site + 4,
        nip_after=trip.c.gep if changes else trip.b.site + 4,
        link_after=link,
        returns=trip.site.returns,
        c=trip.c.gep if changes else 0,
        c_toc=trip.c.toc if changes else 0,
        graph_return=graph_return,
        thread=trip.thread,
        sp=trip.sp,
        ground=world.ground,
        paca=trip.a.gpr[13],
        toc=world.toc,
        ops=world.ops_of(trip.b),
        tracer=world.tracer_of(trip.b),
        direct=world.direct_of(trip.b),
        functions={
            "prepare_ftrace_return": world.graph,
            "is_current_kprobe_addr": world.kprobe,
            "ftrace_return_to_handler": world.unhook,
            "kretprobe_trampoline": world.kretprobe,
        },
        symbols=world.image.symbols,
        results=trip.results,
        free=free_registers(world.kernel, plan),
        frame_free=free_in_frame(plan, outer - trip.frame, stores_r0=world.stores_r0(trip.b)),
        stack_free=stack_room(trip.thread, trip.frame),
        trip=trip,
    )
