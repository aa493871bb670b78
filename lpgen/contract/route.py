"""Where the guest had to come by, in which order, and which statement is broken when it went astray."""

from __future__ import annotations

from lpgen.contract.judge import Judge, Location
from lpgen.machine.places import STACK_END_MAGIC
from lpgen.machine.plan import PATCH
from lpgen.machine.trip import Trip
from lpgen.machine.world import World

NAMES = {
    "tracer": "the tracer",
    "graph": "prepare_ftrace_return",
    "kprobe": "is_current_kprobe_addr",
    "unhook": "ftrace_return_to_handler",
    "direct": "the direct trampoline",
    "redirected": "where the kprobe leads",
    "body": "B's body behind the call site",
    "c": "C's global entry",
    "kretprobe": "the kretprobe trampoline",
    "graph_return": "return_to_handler",
    "back": "A, behind its call",
    "trap": "a trap",
}


def expected_route(world: World, trip: Trip) -> list[tuple[str, str]]:
    """Return the gates of a right call in order, each with its leg.

    Legs are tracer, kprobe, direct, graph, body, mcount (B's body, through _mcount), c, trap, unhook and return.
    """
    plan, features = trip.plan, world.kernel.features
    route = [("tracer", "tracer")] if plan.traced else []
    if plan.traced and plan.nip == PATCH and "kprobe_test" in features:
        route.append(("kprobe", "kprobe"))
    sibling = trip.relation == "sibling"
    if sibling and plan.patched:
        return [*route, ("c", "c")]
    hooked = plan.graph and plan.traced and "return_to_handler" in features
    if plan.patched:
        route.append(("c", "c"))
        if plan.marker if trip.marker is None else trip.marker != STACK_END_MAGIC:
            return [*route, ("trap", "trap")]
        if hooked:
            route.append(("unhook", "unhook"))
        elif plan.link:
            route.append(("kretprobe", "return"))
        return [*route, ("back", "return")]
    leg = "mcount" if plan.early else "body"
    if plan.direct and not trip.direct_stub:
        route.append(("direct", "direct"))
    graph = plan.graph and "graph_hook" in features
    if graph:
        route.append(("graph", "graph"))
    route.append(("redirected" if plan.redirected else "body", leg))
    if hooked:
        route.append(("unhook", "unhook"))
        leg = "unhook"
    elif graph and trip.graph_return == world.graph_return:
        route.append(("graph_return", "body"))
    elif plan.link and plan.traced:
        route.append(("kretprobe", "body"))
    return route if sibling else [*route, ("back", leg)]


def check_route(judge: Judge, leg: str) -> None:
    """Check the part of the way that belongs to ``leg``; the first wrong turn is reported by its own leg only."""
    trip = judge.trip
    route = expected_route(judge.world, trip)
    if any(owner == leg for _, owner in route):
        judge.count()
    seen = [moment.where for moment in trip.moments]
    for n, (gate, owner) in enumerate(route):
        if trip.cut_short and n >= len(seen):
            return
        right = n < len(seen) and seen[n] == gate and _right_one(trip, n)
        if right:
            continue
        if owner == leg:
            _report(judge, n, gate)
        return
    if len(seen) > len(route) and leg == "tracer":
        extra = trip.moments[len(route)]
        judge.broken(extra.where, "where it went", "nowhere else", NAMES.get(extra.where, extra.where))


def _right_one(trip: Trip, n: int) -> bool:
    moment = trip.moments[n]
    wanted = {"body": trip.b, "c": trip.c, "redirected": trip.c, "back": trip.site}.get(moment.where)
    return wanted is None or wanted == moment.what


def _report(judge: Judge, n: int, gate: str) -> None:
    trip = judge.trip
    expected = NAMES[gate]
    if n < len(trip.moments):
        moment = trip.moments[n]
        seen = NAMES.get(moment.where, moment.where)
        if moment.where == gate:
            seen = "another function's or call's " + seen
        judge.broken(moment.where, "where it went", expected, seen, Location("way"), n)
        return
    end = trip.end
    if end is None:
        judge.broken("end", "where it went", expected, "nowhere", Location("way"), len(trip.moments))
        return
    if end.kind == "trap":
        seen = f"a trap at {judge.hex(end.pc)}"
    elif end.kind == "fault":
        seen = f"{end.what} at {judge.hex(end.pc)}"
        if end.address != end.pc:
            seen += f", address {judge.hex(end.address)}"
    else:
        seen = f"no end: {end.what or 'it loops'} at {judge.hex(end.pc)}"
    judge.broken("end", "where it went", expected, seen, Location("way"), len(trip.moments))
