"""Statements X3 and L1 to L7 (contract sections 3 to 5): the way through livepatch_handler, to C and back to A."""

from __future__ import annotations

from itertools import pairwise

from lpgen.callers.compare import result_mismatches
from lpgen.contract.judge import Judge, Location
from lpgen.contract.observe import (
    ALL_GPRS,
    after_c,
    arguments,
    expected_gprs,
    handler_end,
    handler_moments,
    handler_steps,
    handler_steps_all,
    handler_stores,
    interrupted,
    nested,
    registers_on,
    report_base,
    stray,
    top_of_livepatch_stack,
    where_in_stack,
)
from lpgen.contract.register import statement
from lpgen.contract.route import check_route
from lpgen.machine.places import LIVEPATCH_FRAME, STACK_END_MAGIC
from lpgen.machine.trip import Moment


@statement("X3", "nip changed: C gets A's registers and A's frame, through livepatch_handler")
def x3(judge: Judge) -> None:
    """Contract X3."""
    trip = judge.trip
    if not trip.plan.patched:
        return
    check_route(judge, "c")
    expected = expected_gprs(judge)
    # r1 is L1's: a handler that pushes a frame is seen here only by the arguments that C then misses.
    numbers = [n for n in ALL_GPRS if n not in trip.edits and n != 1]
    for moment in trip.at("c"):
        registers_on(judge, moment, expected, numbers)
        if not trip.edits:
            arguments(judge, moment)
        entered = handler_steps(judge, moment)
        if moment.steps and not entered:
            judge.broken("c", "where it went", "livepatch_handler, then C", "C at once", Location("way"), 0)
        if entered:
            first = entered[0]
            judge.value(moment, "r1 at livepatch_handler", trip.frame, first.gpr[1], Location("gpr", 1))
            if "out_of_line" in judge.world.kernel.features:
                judge.value(moment, "r0 at livepatch_handler", trip.link_after, first.gpr[0], Location("gpr", 0))
                judge.value(moment, "LR at livepatch_handler", trip.nip_after, first.lr, Location("lr"))
            else:
                judge.value(moment, "LR at livepatch_handler", trip.link_after, first.lr, Location("lr"))
                judge.value(moment, "CTR at livepatch_handler", trip.nip_after, first.ctr, Location("ctr"))


@statement("L1", "no stack frame in the handler; only r0, r11, r12, r2 after C, CTR, LR, CR0")
def l1(judge: Judge) -> None:
    """Contract L1: at C's entry always, at every single instruction when the world is watched."""
    trip = judge.trip
    interrupted(judge, in_handler=True)
    for moment in trip.at("c"):
        judge.value(moment, "r1", trip.frame, moment.state.gpr[1], Location("gpr", 1))
    for moment in handler_moments(judge):
        for step, where in handler_stores(judge, moment):
            if where == "frame":
                stray(judge, moment, step, "none on the normal stack")
        if after_c(judge, moment) and moment.where != "unhook":
            _kept_from_c(judge, moment)
        for step in handler_steps(judge, moment):
            if step.pc in judge.world.privileged:
                what, n = f"write of {judge.world.privileged[step.pc]}", trip.moments.index(moment)
                judge.broken(moment.where, what, "none", "one", Location("pc", step.pc), n)
        steps = handler_steps(judge, moment)
        if not steps:
            continue
        free = {0, 11, 12} | ({2} if after_c(judge, moment) else set())
        if judge.root.plan.interrupt is not None:
            # The thread may come back on another cpu.
            free.add(13)
        kept = [n for n in range(32) if n not in free]
        first = steps[0]
        for before, step in pairwise(steps):
            judge.count()
            if step.gpr[1] != trip.frame:
                judge.value(moment, "r1 inside the handler", trip.frame, step.gpr[1], Location("pc", before.pc))
                break
            changed = [n for n in kept if step.gpr[n] != first.gpr[n]]
            if changed:
                n = changed[0]
                judge.value(moment, f"r{n} inside the handler", first.gpr[n], step.gpr[n], Location("pc", before.pc))
                break
            if (step.cr ^ first.cr) & 0x0FFFFFFF:
                judge.value(
                    moment,
                    "CR1-CR7 inside the handler",
                    first.cr & 0x0FFFFFFF,
                    step.cr & 0x0FFFFFFF,
                    Location("pc", before.pc),
                )
                break


def _kept_from_c(judge: Judge, moment: Moment) -> None:
    """Check that the handler's second half changed nothing that is not its own of what C left behind."""
    left = judge.trip.left
    if left is None:
        return
    # Behind a call through a pointer A has reloaded r2 already; r13 may be another cpu's by now.
    judge.gprs(moment, left, [n for n in range(32) if n not in (0, 2, 11, 12, 13)])
    # f1-f8 and v2-v9 can hold a result, which L5 judges, as it does the nonvolatile ones.
    state = moment.state
    judge.count()
    if (left.fpr, left.vr) != (state.fpr, state.vr):
        for n in (0, *range(9, 14)):
            judge.value(moment, f"f{n}", left.fpr[n], state.fpr[n])
        for n in (0, 1, *range(10, 20)):
            wanted, seen = int.from_bytes(left.vector(n), "little"), int.from_bytes(state.vector(n), "little")
            judge.value(moment, f"v{n}", wanted, seen)
    judge.value(moment, "CR1-CR7", left.cr & 0x0FFFFFFF, moment.state.cr & 0x0FFFFFFF, Location("cr"))
    judge.value(moment, "XER", left.xer, moment.state.xer)
    judge.value(moment, "MSR", left.msr, moment.state.msr)


@statement("L2", "livepatch frame: r2, return address, marker; raised before filled, lowered after read")
def l2(judge: Judge) -> None:
    """Contract L2."""
    trip = judge.trip
    thread = trip.thread
    for moment in trip.at("c"):
        judge.value(moment, "livepatch_sp", trip.sp + LIVEPATCH_FRAME, moment.sp, Location("memory", thread.sp_address))
        for name, at, wanted in (
            ("r2 at -24(livepatch_sp)", 0, trip.entry.gpr[2]),
            ("return address at -16(livepatch_sp)", 8, trip.link_after),
            ("marker at -8(livepatch_sp)", 16, STACK_END_MAGIC),
        ):
            address = trip.sp + at
            offset = address - thread.livepatch
            seen = int.from_bytes(moment.base[offset : offset + 8], "little")
            judge.value(moment, name, wanted, seen, Location("memory", address))
        live = trip.sp - thread.livepatch
        # livepatch_sp itself, where it is down there.
        skip = thread.sp_address - thread.livepatch
        report_base(judge, moment, range(0, live & ~7, 8) if not 0 <= skip < live else range(0, skip, 8))
        if 0 <= skip < live:
            report_base(judge, moment, range(skip + 8, live & ~7, 8))
    for moment in handler_moments(judge):
        _order(judge, moment)
        for step, where in handler_stores(judge, moment):
            judge.count()
            if where == "other":
                stray(judge, moment, step, "livepatch_sp or the 24 bytes of the livepatch frame")


def _order(judge: Judge, moment: Moment) -> None:
    """Check that at no instruction anything live is above livepatch_sp: raised before filled, lowered after read."""
    trip = judge.trip
    back = after_c(judge, moment)
    top = top_of_livepatch_stack(judge, moment)
    area = range(trip.sp, trip.sp + 3 * LIVEPATCH_FRAME)
    for step in handler_steps_all(judge, moment):
        if step.kind == "insn":
            continue
        if step.address == trip.thread.sp_address and step.kind == "store":
            top = step.value
        elif step.address in area:
            judge.count()
            # On the way in, what a load finds up there is nobody's and does no harm.
            if step.address >= top and (back or step.kind == "store"):
                judge.broken(
                    moment.where,
                    f"{step.kind} at {step.address - top:+}(livepatch_sp)",
                    "read back before livepatch_sp is lowered" if back else "filled after livepatch_sp is raised",
                    "after it was lowered" if back else "before it was raised",
                    Location("pc", step.pc),
                    trip.moments.index(moment),
                )


@statement("L3", "C is entered with r12 = CTR = its global entry, LR inside livepatch_handler")
def l3(judge: Judge) -> None:
    """Contract L3."""
    trip = judge.trip
    for moment in trip.at("c"):
        state = moment.state
        judge.value(moment, "r12", trip.c.gep, state.gpr[12], Location("gpr", 12))
        judge.value(moment, "CTR", trip.c.gep, state.ctr, Location("ctr"))
        first = judge.world.image.symbols.get("livepatch_handler", 0)
        judge.true(
            moment,
            "LR",
            first < state.lr < handler_end(judge),
            "an address inside livepatch_handler",
            state.lr,
            Location("lr"),
        )


@statement("L4", "after C: a wrong marker traps; else LR and r2 come back, livepatch_sp - 24, on to A")
def l4(judge: Judge) -> None:
    """Contract L4."""
    trip = judge.trip
    if not trip.plan.patched:
        return
    if trip.at("c") and not trip.cut_short:
        check_route(judge, "trap")
        if not nested(judge):
            check_route(judge, "return")
        for moment in trip.at("trap"):
            _trapped(judge, moment)
    for moment in trip.moments:
        if after_c(judge, moment) and moment.where != "trap":
            # return_to_handler has the kernel's TOC where it calls; S8r judges what it gives back.
            if moment.where != "unhook" and (moment.where != "back" or not trip.plan.pointer):
                judge.value(moment, "r2", trip.entry.gpr[2], moment.state.gpr[2], Location("gpr", 2))
            if not nested(judge):
                judge.value(moment, "livepatch_sp", trip.sp, moment.sp, Location("memory", trip.thread.sp_address))


def _trapped(judge: Judge, moment: Moment) -> None:
    """Check a trap on the way back: a BUG, not a warning that the kernel goes on after, with nothing popped yet."""
    trip = judge.trip
    pc = moment.state.pc
    flags = judge.world.bug_entries().get(pc)
    judge.count()
    n = trip.moments.index(moment)
    if flags is None:
        judge.broken("trap", "__bug_table", f"an entry for the trap at {judge.hex(pc)}", "none", Location("pc", pc), n)
    elif flags & 1:
        wanted = "flags without BUGFLAG_WARNING (1): the kernel goes on behind a warning"
        judge.broken("trap", "__bug_table", wanted, f"{flags:#x}", Location("pc", pc), n)
    # With a patched sibling it is the sibling's frame that may be found destroyed, on top of C's.
    sibling = trip.plan.sibling is not None and trip.plan.sibling.patched
    lowered = [s for s in moment.steps if s.kind == "store" and s.address == trip.thread.sp_address]
    wanted_sp = trip.sp + LIVEPATCH_FRAME
    sp = moment.sp
    if sp != wanted_sp and not (sibling and sp == wanted_sp + LIVEPATCH_FRAME):
        where = Location("memory", trip.thread.sp_address)
        judge.broken("trap", "livepatch_sp", f"{judge.hex(wanted_sp)}, nothing popped", judge.hex(sp), where, n)
    elif lowered and not sibling:
        judge.broken("trap", "livepatch_sp", "not stored before the trap", "stored", Location("pc", lowered[0].pc), n)


@statement("L5", "A sees its registers, its TOC, its frame and C's results")
def l5(judge: Judge) -> None:
    """Contract L5."""
    trip = judge.trip
    if not trip.plan.patched:
        return
    kept = [n for n in (1, *range(13, 32)) if n not in trip.edits]
    for moment in handler_moments(judge):
        for step, where in handler_stores(judge, moment):
            if where == "a":
                stray(judge, moment, step, "none in A's frame or above it")
    for moment in trip.at("trap"):
        judge.frame(moment)
    for moment in trip.at("back"):
        state = moment.state
        judge.gprs(moment, trip.a, kept)
        if not (trip.plan.stub and trip.plan.pointer):
            # A known limit otherwise (limits.py): C's sibling call wrote to A's TOC save doubleword.
            judge.value(moment, "r2 (A's TOC)", trip.site.toc, state.gpr[2], Location("gpr", 2))
        judge.kept_cr(moment, trip.a)
        judge.floats(moment, trip.a, first_fpr=14, first_vr=20)
        judge.frame(moment)
        if trip.results:
            # The graph tracer changed them on the way: S8r.
            continue
        placement = trip.plan.shape.placement

        def read(address: int, size: int, moment: Moment = moment) -> bytes:
            at = address - moment.low
            return moment.stack[at : at + size] if 0 <= at <= len(moment.stack) - size else bytes(size)

        for text in result_mismatches(
            placement,
            trip.result,
            dict(enumerate(state.gpr)),
            dict(enumerate(state.fpr)),
            {n: state.vector(n) for n in range(2, 10)},
            read,
            trip.a.gpr[3] if placement.hidden is not None else 0,
        ):
            what, _, values = text.partition(": expected ")
            expected, _, seen = values.partition(", got ")
            judge.broken("back", what, expected, seen, moment=trip.moments.index(moment))


@statement("L6", "nested calls pair with their own frames; livepatch_sp ends where it began")
def l6(judge: Judge) -> None:
    """Contract L6: calls with a patched call inside."""
    trip = judge.trip
    if not trip.plan.patched or not nested(judge):
        return
    if trip.at("c") and not trip.cut_short:
        check_route(judge, "return")
    for moment in trip.at("back"):
        judge.value(
            moment,
            "livepatch_sp",
            trip.sp,
            moment.sp,
            Location("memory", trip.thread.sp_address),
        )
        live = trip.sp - trip.thread.livepatch
        for at in range(0, live & ~7, 8):
            before, now = trip.base[at : at + 8], moment.base[at : at + 8]
            if before != now:
                address = trip.thread.livepatch + at
                judge.value(
                    moment,
                    f"livepatch stack at {where_in_stack(judge, address)}",
                    int.from_bytes(before, "little"),
                    int.from_bytes(now, "little"),
                    Location("memory", address),
                )


@statement("L7", "each thread has its own livepatch stack")
def l7(judge: Judge) -> None:
    """Contract L7: a call on one thread leaves the other thread's stack and livepatch_sp alone."""
    trip = judge.trip
    if not trip.plan.patched:
        return
    for moment in handler_moments(judge):
        for step, where in handler_stores(judge, moment):
            if where.startswith("thread"):
                stray(judge, moment, step, f"thread {trip.thread.number}'s own stack")
    if not judge.path:
        judge.count()
        if trip.other_stack is not None:
            judge.broken("end", f"stack of thread {trip.other_stack}", "untouched", "written to")
