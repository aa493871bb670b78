"""What a person calls the addresses of the emulated kernel: functions, call sites, data."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from lpgen.machine.places import HOMES, OPS_SPACING

if TYPE_CHECKING:
    from lpgen.machine.world import World


def named_places(world: World) -> Iterator[tuple[int, str]]:
    """Yield the addresses that have a name of their own, with it."""
    yield world.tracer, "tracer"
    yield world.module_tracer, "tracer in module 1"
    yield world.graph, "prepare_ftrace_return"
    yield world.kprobe, "is_current_kprobe_addr"
    yield world.unhook, "ftrace_return_to_handler"
    for direct in {*world.directs.values()}:
        yield direct, "direct trampoline"
    yield world.kretprobe, "kretprobe_trampoline"
    if "call_ops" in world.kernel.features:
        for home in range(len(HOMES)):
            yield world.ground.ops + OPS_SPACING * home, f"ops of the stub ({HOMES[home]})"
        yield world.data.decoy_ops, "*function_trace_op"
    else:
        yield world.ground.ops, "*function_trace_op"
    yield world.ground.toc, "kernel TOC"
    for home in range(1, len(HOMES)):
        yield world.toc[home], f"TOC of {HOMES[home]}"
    for function in (*world.functions_b.values(), *world.functions_c, *world.twins.values(), *world.chosen_c):
        yield function.gep, f"{function.name} (GEP)"
        if function.lep != function.gep:
            yield function.lep, f"{function.name} (LEP)"
        if function.site:
            yield function.site, f"the call site's bl in {function.name}"
            yield function.site + 4, f"behind the call site in {function.name}"
            if function.lr != function.site + 4:
                yield function.lr, f"the mtlr of the stub of {function.name}"
    for site in (*world.local_calls.values(), *world.pointer_calls):
        yield site.returns, f"return address into A ({HOMES[site.home]})"
