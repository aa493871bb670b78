"""Statements of the contract's sections 6 to 8: kprobe test, direct calls, graph hook, _mcount, return_to_handler."""

from __future__ import annotations

from lpgen.contract.judge import Judge, Location
from lpgen.contract.observe import ALL_GPRS, expected_gprs, registers_on, return_slot
from lpgen.contract.register import statement
from lpgen.contract.route import check_route
from lpgen.machine.trip import Moment

# r11 is free on the way through the trampolines, but not in _mcount.
_KEPT_BY_MCOUNT = (*range(1, 12), *range(13, 32))
_AFTER_RETURN = (1, 3, 4, *range(13, 32))


def _frame_below(judge: Judge, moment: Moment) -> None:
    """Check that a C function is called from an aligned frame below A's, with a back chain that leads to A's."""
    r1, trip = moment.state.gpr[1], judge.trip
    judge.true(moment, "r1", not r1 & 15, "16-byte aligned", r1, Location("gpr", 1))
    below = moment.u64(r1)
    judge.true(
        moment,
        "back chain",
        below is not None and r1 < below <= trip.frame,
        "an address up to A's frame",
        below,
        Location("memory", r1),
    )


@statement("S6", "kprobe test: is_current_kprobe_addr(ip) = 1 makes a changed nip no livepatch")
def s6(judge: Judge) -> None:
    """Contract section 6, G3."""
    trip = judge.trip
    check_route(judge, "kprobe")
    for moment in trip.at("kprobe"):
        gpr = moment.state.gpr
        judge.value(moment, "MSR", trip.entry.msr, moment.state.msr)
        judge.value(moment, "r3 (ip)", trip.b.site, gpr[3], Location("gpr", 3))
        _frame_below(judge, moment)


@statement("S7", "direct calls: the direct trampoline gets all as it was, and returns into B")
def s7(judge: Judge) -> None:
    """Contract section 7, direct calls."""
    trip, world = judge.trip, judge.world
    for moment in trip.at("tracer"):
        if moment.pt_regs:
            slot = moment.pt_regs + world.offsets["ORIG_GPR3"] - world.offsets["GPR0"]
            judge.value(moment, "pt_regs.orig_gpr3", 0, moment.u64(slot), Location("memory", slot))
    if not trip.plan.direct:
        return
    check_route(judge, "direct")
    expected = expected_gprs(judge)
    for moment in trip.at("direct"):
        registers_on(judge, moment, expected, [n for n in ALL_GPRS if n not in trip.edits])
        return_slot(judge, moment)
        judge.value(moment, "LR", trip.b.lr, moment.state.lr, Location("lr"))
        parent = trip.link_after if trip.plan.traced else trip.entry.gpr[0]
        judge.value(moment, "r0", parent, moment.state.gpr[0], Location("gpr", 0))


@statement("S8", "graph hook: prepare_ftrace_return(parent, ip) chooses where B returns to")
def s8(judge: Judge) -> None:
    """Contract section 8, graph hook: only on the unpatched way out."""
    trip = judge.trip
    if not trip.plan.graph or trip.plan.patched:
        return
    check_route(judge, "graph")
    for moment in trip.at("graph"):
        gpr = moment.state.gpr
        judge.value(moment, "MSR", trip.entry.msr, moment.state.msr)
        judge.value(moment, "r3 (return address into A)", trip.link_after, gpr[3], Location("gpr", 3))
        judge.value(moment, "r4 (ip)", trip.b.site, gpr[4], Location("gpr", 4))
        if "graph_passes_sp" in judge.world.kernel.features:
            judge.value(moment, "r5 (r1 of A's frame)", trip.frame, gpr[5], Location("gpr", 5))
        _frame_below(judge, moment)
    if trip.at("graph"):
        for moment in trip.at("body"):
            judge.value(moment, "LR", trip.graph_return, moment.state.lr, Location("lr"))
            judge.value(moment, "r0", trip.graph_return, moment.state.gpr[0], Location("gpr", 0))
            judge.value(moment, "CTR (nip)", trip.b.site + 4, moment.state.ctr, Location("ctr"))
            slot = trip.frame + 16
            judge.value(moment, "16(A's frame)", trip.graph_return, moment.u64(slot), Location("memory", slot))


@statement("S8m", "_mcount: back to the call site at once, LR = r0; r12 and CTR may change")
def s8m(judge: Judge) -> None:
    """Contract section 8, _mcount."""
    trip = judge.trip
    if not trip.plan.early:
        return
    check_route(judge, "mcount")
    for moment in trip.at("body"):
        registers_on(judge, moment, trip.entry, _KEPT_BY_MCOUNT)
        judge.value(moment, "LR", trip.entry.gpr[0], moment.state.lr, Location("lr"))
        judge.value(moment, "r0", trip.entry.gpr[0], moment.state.gpr[0], Location("gpr", 0))
        judge.value(moment, "CR", trip.entry.cr, moment.state.cr, Location("cr"))
        judge.value(moment, "XER", trip.entry.xer, moment.state.xer)
        return_slot(judge, moment)


@statement("S8r", "return_to_handler: ftrace_return_to_handler says where to; A gets B's results")
def s8r(judge: Judge) -> None:
    """Contract section 8, return_to_handler."""
    trip, world = judge.trip, judge.world
    if not trip.plan.graph or not trip.plan.traced:
        return
    check_route(judge, "unhook")
    left = trip.left
    for moment in trip.at("unhook"):
        gpr = moment.state.gpr
        judge.value(moment, "MSR", trip.entry.msr, moment.state.msr)
        judge.value(moment, "r2", judge.world.ground.toc, gpr[2], Location("gpr", 2))
        _frame_below(judge, moment)
        if "return_regs" in world.kernel.features and left is not None:
            _results_in_regs(judge, moment, left.gpr)
    for moment in trip.at("back"):
        if left is None or not trip.at("unhook"):
            continue
        expected = left.copy()
        for number, value in trip.results.items():
            expected.gpr[number] = value
        judge.gprs(moment, expected, _AFTER_RETURN)
        if not trip.plan.pointer:
            # Behind a call through a pointer A has reloaded it already; of C's there is nothing left.
            r2 = trip.entry.gpr[2] if trip.plan.patched else left.gpr[2]
            judge.value(moment, "r2", r2, moment.state.gpr[2], Location("gpr", 2))
        judge.kept_cr(moment, left)
        judge.floats(moment, left)
        judge.frame(moment)


def _results_in_regs(judge: Judge, moment: Moment, left: list[int]) -> None:
    """Check the pt_regs that ftrace_return_to_handler gets from 6.18 on."""
    gpr, trip = moment.state.gpr, judge.trip
    regs, base = gpr[3], judge.world.offsets["GPR0"]
    size = judge.world.offsets["SWITCH_FRAME_SIZE"]
    inside = gpr[1] + 32 <= regs and regs + size - base <= trip.frame and not regs & 7
    if judge.true(moment, "r3 (pt_regs)", inside, "an address in the new frame", regs, Location("gpr", 3)):
        for number in (3, 4):
            slot = regs + 8 * number
            judge.value(moment, f"pt_regs.gpr[{number}]", left[number], moment.u64(slot), Location("memory", slot))
