"""Statements T1 to T5, X1, X2 (contract section 3): ftrace_caller and ftrace_regs_caller."""

from __future__ import annotations

import struct

from lpgen.contract.judge import Judge, Location
from lpgen.contract.limits import CR0, late_cr0
from lpgen.contract.observe import (
    ALL_GPRS,
    after_c,
    arguments,
    before_handler,
    expected_gprs,
    interrupted,
    registers_on,
    report_base,
    return_slot,
    stray,
)
from lpgen.contract.register import statement
from lpgen.contract.route import check_route
from lpgen.kernel.checks import RED_ZONE
from lpgen.machine.places import BASE_WINDOW
from lpgen.machine.trip import Moment

EDITED = (*range(3, 11), *range(14, 32))


# ELFv2 kernels' struct pt_regs: 44 doublewords up to and with result; what later layouts add lies behind.
_PT_REGS_BYTES = 44 * 8


@statement("T1", "tracer called once: r3 = ip, r4 = parent_ip, r5 = ops, r6 = &pt_regs")
def t1(judge: Judge) -> None:
    """Contract T1."""
    trip, features = judge.trip, judge.world.kernel.features
    check_route(judge, "tracer")
    for moment in trip.at("tracer"):
        gpr = moment.state.gpr
        judge.value(moment, "MSR", trip.entry.msr, moment.state.msr)
        judge.value(moment, "r3 (ip)", trip.b.site, gpr[3], Location("gpr", 3))
        judge.value(moment, "r4 (parent_ip)", trip.entry.gpr[0], gpr[4], Location("gpr", 4))
        judge.value(moment, "r5 (ops)", judge.world.ops_of(trip.b), gpr[5], Location("gpr", 5))
        if "call_ops" in features:
            wanted = judge.world.tracer_of(trip.b)
            judge.value(moment, "r12 (the tracer's global entry)", wanted, gpr[12], Location("gpr", 12))
        if trip.plan.lean and "partial_regs" not in features:
            judge.value(moment, "r6 (no pt_regs)", 0, gpr[6], Location("gpr", 6))
            continue
        inside = moment.pt_regs >= gpr[1] + 32 and moment.pt_regs + _PT_REGS_BYTES <= trip.frame
        judge.true(
            moment,
            "r6 (&pt_regs)",
            inside,
            "an address in the new frame",
            gpr[6],
            Location("gpr", 6),
        )


@statement("T2", "r2 = kernel TOC in the tracer; the traced function's r2 at 24(frame)")
def t2(judge: Judge) -> None:
    """Contract T2."""
    end = judge.trip.end
    if end is not None and end.kind == "fault" and end.address != end.pc and not judge.trip.moments:
        # An access to kernel data on the way to the tracer.
        judge.count()
        if end.state.gpr[2] != judge.world.ground.toc:
            judge.broken(
                "end",
                f"r2 at the access to {judge.hex(end.address)}",
                judge.hex(judge.world.ground.toc),
                judge.hex(end.state.gpr[2]),
                Location("gpr", 2),
            )
    for moment in judge.trip.moments:
        if moment.where in ("tracer", "graph", "kprobe"):
            judge.value(moment, "r2", judge.world.ground.toc, moment.state.gpr[2], Location("gpr", 2))
            slot = moment.state.gpr[1] + 24
            judge.value(moment, "24(frame)", judge.trip.entry.gpr[2], moment.u64(slot), Location("memory", slot))


# What the lean entry saves of the GPRs, where it has a pt_regs to give (contract section 6, G6).
PARTIAL = (0, 1, *range(3, 11))


@statement("T3", "pt_regs holds the state at the call site")
def t3(judge: Judge) -> None:
    """Contract T3, the full and the partial registers entry."""
    offsets, trip = judge.world.offsets, judge.trip
    entry, base = trip.entry, offsets["GPR0"]
    for moment in trip.at("tracer"):
        regs = moment.pt_regs
        if not regs:
            continue
        judge.count()
        at = regs - moment.low
        saved = struct.unpack_from("<32Q", moment.stack, at) if 0 <= at <= len(moment.stack) - 256 else ()
        numbers = PARTIAL if trip.plan.lean else range(32)
        expected = [(f"gpr[{n}]", base + 8 * n, entry.gpr[n]) for n in numbers if not saved or saved[n] != entry.gpr[n]]
        expected += [
            ("nip", offsets["_NIP"], trip.b.site + 4),
            ("link", offsets["_LINK"], entry.gpr[0]),
        ]
        if trip.plan.lean:
            expected.append(("msr (0: partial)", offsets["_MSR"], 0))
        else:
            cr = entry.cr
            if late_cr0(judge.world, trip, moment):
                # A known limit (limits.py).
                cr = cr & ~CR0 | (moment.u64(regs + offsets["_CCR"] - base) or 0) & CR0
            expected += [
                ("msr", offsets["_MSR"], entry.msr),
                ("ctr", offsets["_CTR"], entry.ctr),
                ("xer", offsets["_XER"], entry.xer),
                ("ccr", offsets["_CCR"], cr),
            ]
        for name, offset, value in expected:
            address = regs + offset - base
            if name == "gpr[13]" and moment.u64(address) == moment.paca:
                # The thread came to another cpu before r13 was saved.
                continue
            judge.value(moment, f"pt_regs.{name}", value, moment.u64(address), Location("memory", address))


@statement("T4", "the back chain from the tracer is aligned, rising and complete")
def t4(judge: Judge) -> None:
    """Contract T4: the list starts with the call site in B where B has a frame, else with the return address into A."""
    trip = judge.trip
    for moment in trip.at("tracer"):
        r1 = moment.state.gpr[1]
        if not judge.true(moment, "r1", not r1 & 15, "16-byte aligned", r1, Location("gpr", 1)):
            continue
        listed: list[int] = []
        at = r1
        for _ in range(len(trip.chain) + 4):
            above = moment.u64(at)
            if above == 0:
                break
            if above is None or above <= at or above & 15 or moment.u64(above + 16) is None:
                judge.broken(
                    "tracer",
                    f"back chain at {at:#x}",
                    "a higher 16-byte aligned address of the stack, or 0 at the end",
                    judge.hex(above),
                    Location("memory", at),
                    trip.moments.index(moment),
                )
                break
            listed.append(moment.u64(above + 16) or 0)
            at = above
        b = [trip.b.site + 4] if "frame_for_b" in judge.world.kernel.features else []
        wanted = [*b, trip.entry.gpr[0], *trip.chain]
        judge.count()
        if listed != wanted:
            judge.broken(
                "tracer",
                "back chain",
                ", ".join(map(judge.hex, wanted)),
                ", ".join(map(judge.hex, listed)) or "nothing",
                Location("memory", trip.frame + 16),
                trip.moments.index(moment),
            )


@statement("T5", "stores stay inside the new frames, plus 16(A's frame)")
def t5(judge: Judge) -> None:
    """Contract T5: A's frame and above, the livepatch area before the handler, paca and kernel data."""
    trip = judge.trip
    for moment in trip.moments:
        if moment.where in ("tracer", "kprobe", "direct", "graph", "body", "redirected", "c", "unhook"):
            judge.frame(moment)
        # A call that an interrupt made and that came to no end leaves its frame behind.
        whole = not judge.root.cut_short
        before_c = moment.where in ("tracer", "kprobe", "direct", "graph", "body", "redirected")
        if before_c and moment.sp != trip.sp and whole:
            where = Location("memory", trip.thread.sp_address)
            judge.value(moment, "livepatch_sp", trip.sp, moment.sp, where)
        if before_c and moment.base != trip.base and whole:
            # Above livepatch_sp, calls that an interrupt, the tracer or B made may have left something.
            alone = not trip.inner and judge.root.plan.interrupt is None
            report_base(judge, moment, range(0, BASE_WINDOW if alone else trip.sp - trip.thread.livepatch, 8))
    interrupted(judge, in_handler=False)
    for address, before, after in trip.constants:
        judge.broken("end", f"kernel data at {address:#x}", judge.hex(before), judge.hex(after))
    _at_every_instruction(judge)


def _at_every_instruction(judge: Judge) -> None:
    """Check stores, and that an interrupt could come before each instruction: r1 and what is live below it."""
    trip = judge.trip
    lowest = trip.frame
    for moment in trip.moments:
        if after_c(judge, moment):
            return
        steps = before_handler(judge, moment)
        lowest = min([lowest, *(s.gpr[1] for s in steps if s.kind == "insn"), moment.state.gpr[1]])
        # stdu stores where r1 will point: what an access may reach is counted from r1 behind its instruction.
        after = iter([*(s.gpr[1] for s in steps if s.kind == "insn"), moment.state.gpr[1]][1:])
        reach, bad_r1 = trip.frame, False
        for step in steps:
            judge.count()
            if step.kind == "insn":
                if step.pc in judge.world.privileged:
                    what, n = f"write of {judge.world.privileged[step.pc]}", trip.moments.index(moment)
                    judge.broken(moment.where, what, "none", "one", Location("pc", step.pc), n)
                r1, reach = step.gpr[1], min(step.gpr[1], next(after))
                if not bad_r1 and (r1 & 15 or not trip.thread.base + BASE_WINDOW <= r1 <= trip.frame):
                    bad_r1 = True
                    judge.broken(
                        moment.where,
                        f"r1 before {judge.hex(step.pc)}",
                        "16-byte aligned, at A's frame or below it",
                        judge.hex(r1),
                        Location("pc", step.pc),
                        trip.moments.index(moment),
                    )
                continue
            at = step.address
            if not trip.thread.base <= at < trip.thread.top:
                if step.kind == "store":
                    stray(judge, moment, step, "inside the new frames or at 16(A's frame)")
            elif at < reach - RED_ZONE:
                stray(judge, moment, step, f"no further below r1 than the red zone, {RED_ZONE} bytes")
            elif step.kind == "store" and not (
                (lowest <= at and at + step.size <= trip.frame) or (at == trip.frame + 16 and step.size == 8)
            ):
                stray(judge, moment, step, "inside the new frames or at 16(A's frame)")


@statement("X1", "nip unchanged: B goes on at nip with its registers; LR = r0 = pt_regs.link")
def x1(judge: Judge) -> None:
    """Contract X1."""
    trip = judge.trip
    if trip.plan.patched or trip.plan.early:
        return
    check_route(judge, "body")
    expected = expected_gprs(judge)
    numbers = [n for n in ALL_GPRS if n not in trip.edits]
    for moment in (*trip.at("body"), *trip.at("redirected")):
        registers_on(judge, moment, expected, numbers)
        return_slot(judge, moment)
        if trip.plan.disabled:
            _as_at_entry(judge, moment)
        if not trip.at("graph"):
            # Out of line a changed nip is gone on at through LR, or through CTR: section 7 does not say.
            if moment.where == "body" or "out_of_line" not in judge.world.kernel.features:
                judge.value(moment, "LR", trip.link_after, moment.state.lr, Location("lr"))
            judge.value(moment, "r0", trip.link_after, moment.state.gpr[0], Location("gpr", 0))
        if not trip.edits:
            arguments(judge, moment)


def _as_at_entry(judge: Judge, moment: Moment) -> None:
    """Check what tracing that is off in the paca leaves alone besides; out of line r11 and r12 are free."""
    entry, state = judge.trip.entry, moment.state
    if "out_of_line" not in judge.world.kernel.features:
        judge.value(moment, "r11", entry.gpr[11], state.gpr[11], Location("gpr", 11))
    judge.value(moment, "CR1-CR7", entry.cr & ~CR0, state.cr & ~CR0, Location("cr"))
    judge.value(moment, "XER", entry.xer, state.xer)


@statement("X2", "the tracer's edits of gpr[3..10] and gpr[14..31] take effect")
def x2(judge: Judge) -> None:
    """Contract X2."""
    trip = judge.trip
    if trip.edits:
        expected = expected_gprs(judge)
        for moment in trip.moments:
            if moment.where in ("body", "redirected", "direct", "c"):
                judge.gprs(moment, expected, EDITED)
