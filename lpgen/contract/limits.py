"""The known limits of the kernel's own design (contract section 4): reported when seen, never counted as failures."""

from __future__ import annotations

from collections.abc import Iterator

from lpgen.machine.plan import STACKS_MEET
from lpgen.machine.trip import Trip
from lpgen.machine.world import World

LIMITS = {
    "stacks meet": "no bound check: the normal stack runs over the livepatch stack, the marker traps at C's return",
    "module stub": "a sibling call from C through a module stub rewrites 24(A's frame), A's TOC save doubleword",
    "direct": "a changed nip takes precedence: the direct trampoline that the tracer named too is not called",
    "backtrace": "while C runs, 16(A's frame) holds the handler's address: A is missing from a backtrace",
}


def limits_shown(world: World, trip: Trip) -> Iterator[tuple[str, bool]]:
    """Yield each limit that the trip exercises, and whether it was seen as documented."""
    plan = trip.plan
    for inner in trip.inner:
        yield from limits_shown(world, inner)
    if plan.patched and plan.marker == STACKS_MEET and trip.at("c") and not trip.cut_short:
        yield "stacks meet", trip.end is not None and trip.end.kind == "trap"
    if plan.patched and plan.direct and not trip.direct_stub and trip.at("c"):
        yield "direct", not trip.at("direct")
    if plan.sibling is not None and plan.stub and plan.pointer and trip.at("back"):
        yield "module stub", trip.at("back")[-1].state.gpr[2] == trip.c.toc
    if plan.patched and trip.at("c"):
        calls = [t for t in trip.inner if t.relation == "inner" and t.at("tracer")]
        if calls:
            slot = calls[0].at("tracer")[0].u64(trip.frame + 16)
            handler = world.image.symbols.get("livepatch_handler", 0)
            yield "backtrace", slot is not None and handler < slot < world.text[1]
