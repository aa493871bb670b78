"""The known limits of the kernel's own design (contract section 4): reported when seen, never counted as failures."""

from __future__ import annotations

from collections.abc import Iterator

from lpgen.machine.plan import STACKS_MEET
from lpgen.machine.trip import Moment, Trip
from lpgen.machine.world import World

LIMITS = {
    "stacks meet": "no bound check: the normal stack runs over the livepatch stack, the marker traps at C's return",
    "module stub": "a sibling call from C through a module stub rewrites 24(A's frame), A's TOC save doubleword",
    "direct": "a changed nip takes precedence: the direct trampoline that the tracer named too is not called",
    "ccr": "CR0 in pt_regs.ccr is what the test of the paca's flag left there, not the call site's",
    "backtrace": "while C runs, 16(A's frame) holds the handler's address: A is missing from a backtrace",
}


CR0 = 0xF0000000
_GREATER, _SO, _SUMMARY_OVERFLOW = 0x40000000, 0x10000000, 0x80000000


def late_cr0(world: World, trip: Trip, moment: Moment) -> bool:
    """True if CR was saved behind the test of the paca's flag: CR0, volatile at B's entry, says that it is not 0."""
    if "tracing_switch" not in world.kernel.features or not moment.pt_regs or trip.plan.lean:
        return False
    saved = moment.u64(moment.pt_regs + world.offsets["_CCR"] - world.offsets["GPR0"])
    tested = _GREATER | (_SO if trip.entry.xer & _SUMMARY_OVERFLOW else 0)
    return saved is not None and saved & CR0 == tested & CR0 and trip.entry.cr & CR0 != saved & CR0


def limits_shown(world: World, trip: Trip) -> Iterator[tuple[str, bool]]:
    """Yield each limit that the trip exercises, and whether it was seen as documented."""
    plan = trip.plan
    for inner in trip.inner:
        yield from limits_shown(world, inner)
    if plan.patched and plan.marker == STACKS_MEET and trip.at("c") and not trip.cut_short:
        yield "stacks meet", trip.end is not None and trip.end.kind == "trap"
    if any(late_cr0(world, trip, moment) for moment in trip.at("tracer")):
        yield "ccr", True
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
