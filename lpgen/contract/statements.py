"""The contract's statements (shared contract, sections 3, 4, 5 and 8), one function each.

A function looks at what one trip showed and reports what the statement does not allow. None compares with lpgen's own
trampolines. Statements that do not apply to a trip check nothing, and so do not count as exercised by it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

from lpgen.callers.compare import result_mismatches
from lpgen.contract.judge import Judge, Location
from lpgen.contract.route import check_route
from lpgen.machine.engine import Step
from lpgen.machine.state import State
from lpgen.machine.trip import Moment
from lpgen.machine.world import BASE_WINDOW, FTRACE_OPS, KERNEL_TOC, LIVEPATCH_FRAME, STACK_END_MAGIC

EDITED = (*range(3, 11), *range(14, 32))
ALL_GPRS = (*range(1, 11), *range(13, 32))


@dataclass(frozen=True, slots=True)
class Statement:
    """A contract statement: id, its text in short, and the function that judges it."""

    id: str
    text: str
    check: Callable[[Judge], None]


STATEMENTS: dict[str, Statement] = {}


def _statement(id_: str, text: str) -> Callable[[Callable[[Judge], None]], Callable[[Judge], None]]:
    def register(check: Callable[[Judge], None]) -> Callable[[Judge], None]:
        STATEMENTS[id_] = Statement(id_, text, check)
        return check

    return register


def _expected_gprs(judge: Judge) -> State:
    """The registers at ftrace_caller's entry with the tracer's edits in them."""
    trip = judge.trip
    if not trip.edits:
        return trip.entry
    state = trip.entry.copy()
    for number, value in trip.edits.items():
        state.gpr[number] = value
    return state


@_statement("T1", "tracer called once: r3 = ip, r4 = parent_ip, r5 = ops, r6 = &pt_regs")
def t1(judge: Judge) -> None:
    """Contract T1."""
    trip = judge.trip
    check_route(judge, "tracer")
    for moment in trip.at("tracer"):
        gpr = moment.state.gpr
        judge.value(moment, "r3 (ip)", trip.b.site, gpr[3], Location("gpr", 3))
        judge.value(moment, "r4 (parent_ip)", trip.entry.gpr[0], gpr[4], Location("gpr", 4))
        judge.value(moment, "r5 (ops)", FTRACE_OPS, gpr[5], Location("gpr", 5))
        inside = moment.pt_regs >= gpr[1] + 32 and moment.pt_regs + _PT_REGS_BYTES <= trip.frame
        judge.true(
            moment,
            "r6 (&pt_regs)",
            inside,
            "an address in the new frame",
            gpr[6],
            Location("gpr", 6),
        )


# ELFv2 kernels' struct pt_regs: 44 doublewords up to and with result; what later layouts add lies behind.
_PT_REGS_BYTES = 44 * 8


@_statement("T2", "r2 = kernel TOC in the tracer; the traced function's r2 at 24(frame)")
def t2(judge: Judge) -> None:
    """Contract T2."""
    end = judge.trip.end
    if end is not None and end.kind == "fault" and end.address != end.pc and not judge.trip.moments:
        # An access to kernel data on the way to the tracer.
        judge.count()
        if end.state.gpr[2] != KERNEL_TOC:
            judge.broken(
                "end",
                f"r2 at the access to {judge.hex(end.address)}",
                judge.hex(KERNEL_TOC),
                judge.hex(end.state.gpr[2]),
                Location("gpr", 2),
            )
    for moment in judge.trip.moments:
        if moment.where in ("tracer", "graph"):
            judge.value(moment, "r2", KERNEL_TOC, moment.state.gpr[2], Location("gpr", 2))
            slot = moment.state.gpr[1] + 24
            judge.value(moment, "24(frame)", judge.trip.entry.gpr[2], moment.u64(slot), Location("memory", slot))


@_statement("T3", "pt_regs holds the state at the call site")
def t3(judge: Judge) -> None:
    """Contract T3, the full registers entry."""
    offsets, entry = judge.world.offsets, judge.trip.entry
    base = offsets["GPR0"]
    for moment in judge.trip.at("tracer"):
        regs = moment.pt_regs
        if not regs:
            continue
        expected = [(f"gpr[{n}]", offsets["GPR0"] + 8 * n, value) for n, value in enumerate(entry.gpr)]
        expected += [
            ("nip", offsets["_NIP"], entry.lr),
            ("link", offsets["_LINK"], entry.gpr[0]),
            ("msr", offsets["_MSR"], entry.msr),
            ("ctr", offsets["_CTR"], entry.ctr),
            ("xer", offsets["_XER"], entry.xer),
            ("ccr", offsets["_CCR"], entry.cr),
        ]
        for name, offset, value in expected:
            address = regs + offset - base
            if name == "gpr[13]" and moment.u64(address) == moment.paca:
                # The thread came to another cpu before r13 was saved.
                continue
            judge.value(moment, f"pt_regs.{name}", value, moment.u64(address), Location("memory", address))


@_statement("T4", "the back chain from the tracer is aligned, rising and complete")
def t4(judge: Judge) -> None:
    """Contract T4, for kernels before 6.5: the list starts with the return address into A."""
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
        wanted = [trip.entry.gpr[0], *trip.chain]
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


@_statement("T5", "stores stay inside the new frames, plus 16(A's frame)")
def t5(judge: Judge) -> None:
    """Contract T5: A's frame and above, the livepatch area before the handler, paca and kernel data."""
    trip = judge.trip
    for moment in trip.moments:
        if moment.where in ("tracer", "graph", "body", "c"):
            judge.frame(moment)
        if moment.where in ("tracer", "graph", "body") and moment.base != trip.base:
            # Above livepatch_sp, calls that an interrupt, the tracer or B made may have left something.
            alone = not trip.inner and judge.root.plan.interrupt is None
            _report_base(judge, moment, range(0, BASE_WINDOW if alone else trip.sp - trip.thread.base, 8))
    _interrupted(judge, in_handler=False)
    for address, before, after in trip.constants:
        judge.broken("end", f"kernel data at {address:#x}", judge.hex(before), judge.hex(after))
    judge.count()
    for moment in trip.moments:
        if not moment.steps or _after_c(judge, moment):
            continue
        lowest = min((s.gpr[1] for s in moment.steps if s.kind == "insn"), default=trip.frame)
        lowest = min(lowest, moment.state.gpr[1])
        for step in _before_handler(judge, moment):
            if step.kind != "store":
                continue
            judge.count()
            at = step.address
            if (lowest <= at and at + step.size <= trip.frame) or (at == trip.frame + 16 and step.size == 8):
                continue
            _stray(judge, moment, step, "inside the new frames or at 16(A's frame)")


def _interrupted(judge: Judge, *, in_handler: bool) -> None:
    """Check that r1 pointed to a stack, aligned, when the interrupt came (contract section 2)."""
    came = judge.trip.interruption
    if came is None:
        return
    handler = judge.world.image.symbols.get("livepatch_handler")
    if in_handler == (handler is not None and handler <= came.pc < _handler_end(judge)):
        judge.count()
        if not came.handled:
            where = f"at an interrupt before {judge.hex(came.pc)}"
            wanted = "a 16-byte aligned address of a stack"
            judge.broken(where, "r1", wanted, judge.hex(came.r1), Location("pc", came.pc))


def _handler_end(judge: Judge) -> int:
    world = judge.world
    first = world.image.symbols.get("livepatch_handler", 0)
    others = [world.symbol(s.name) for s in world.kernel.symbols]
    return min((a for a in others if a > first), default=world.text[1])


def _stray(judge: Judge, moment: Moment, step: Step, allowed: str) -> None:
    judge.broken(
        moment.where,
        f"store of {step.size} bytes",
        allowed,
        _where_in_stack(judge, step.address),
        Location("pc", step.pc),
        judge.trip.moments.index(moment),
    )


def _before_handler(judge: Judge, moment: Moment) -> list[Step]:
    """The steps on the way to ``moment`` before livepatch_handler was reached."""
    handler = judge.world.image.symbols.get("livepatch_handler")
    end = next((n for n, s in enumerate(moment.steps) if s.pc == handler), len(moment.steps))
    return moment.steps[:end]


def _handler_stores(judge: Judge, moment: Moment) -> list[tuple[Step, str]]:
    """The handler's stores on the way to ``moment``, each with where it goes: allowed, frame, thread N or other."""
    trip = judge.trip
    steps = moment.steps if _after_c(judge, moment) else moment.steps[len(_before_handler(judge, moment)) :]
    sp, live = trip.thread.sp_address, (trip.sp, trip.sp + LIVEPATCH_FRAME)
    found = []
    for step in steps:
        if step.kind != "store":
            continue
        first, end = step.address, step.address + step.size
        if (first == sp and step.size == 8) or (live[0] <= first and end <= live[1]):
            found.append((step, "allowed"))
        elif trip.thread.base + BASE_WINDOW <= first < trip.frame:
            found.append((step, "frame"))
        else:
            other = next((t for t in judge.world.threads if t.base <= first < t.top and t is not trip.thread), None)
            found.append((step, "other" if other is None else f"thread {other.number}"))
    return found


def _after_c(judge: Judge, moment: Moment) -> bool:
    """True if the way to ``moment`` started with C's return."""
    index = judge.trip.moments.index(moment)
    return index > 0 and judge.trip.moments[index - 1].where == "c"


def _where_in_stack(judge: Judge, address: int) -> str:
    trip = judge.trip
    if trip.frame <= address < trip.thread.top:
        return f"{address - trip.frame}(A's frame)"
    if trip.thread.base <= address < trip.thread.base + BASE_WINDOW:
        return f"{address - trip.thread.base:#x} above the stack's base (livepatch_sp {trip.sp - trip.thread.base:#x})"
    return judge.hex(address)


def _report_base(judge: Judge, moment: Moment, offsets: range) -> None:
    trip = judge.trip
    for at in offsets:
        before, now = trip.base[at : at + 8], moment.base[at : at + 8]
        if before != now:
            address = trip.thread.base + at
            judge.value(
                moment,
                _where_in_stack(judge, address),
                int.from_bytes(before, "little"),
                int.from_bytes(now, "little"),
                Location("memory", address),
            )


@_statement("X1", "nip unchanged: B goes on at nip with its registers; LR = r0 = pt_regs.link")
def x1(judge: Judge) -> None:
    """Contract X1."""
    trip = judge.trip
    if trip.plan.patched:
        return
    check_route(judge, "body")
    expected = _expected_gprs(judge)
    numbers = [n for n in ALL_GPRS if n not in trip.edits]
    for moment in trip.at("body"):
        _registers_on(judge, moment, expected, numbers)
        if not trip.at("graph"):
            judge.value(moment, "LR", trip.link_after, moment.state.lr, Location("lr"))
            judge.value(moment, "r0", trip.link_after, moment.state.gpr[0], Location("gpr", 0))
        if not trip.edits:
            _arguments(judge, moment)


def _registers_on(judge: Judge, moment: Moment, expected: State, numbers: list[int]) -> None:
    judge.gprs(moment, expected, numbers)
    judge.kept_cr(moment, expected)
    judge.floats(moment, expected)
    judge.value(moment, "MSR", expected.msr, moment.state.msr)


def _arguments(judge: Judge, moment: Moment) -> None:
    """Check what the function itself got as its arguments, through registers, frame and va_arg."""
    plan = judge.trip.plan
    judge.count()
    placement = plan.shape.placement
    if moment.arguments is None:
        judge.broken(moment.where, "r1", "A's frame", judge.hex(moment.state.gpr[1]), Location("gpr", 1))
        return
    for n, (wanted, got) in enumerate(zip(plan.values, moment.arguments, strict=True)):
        mask = placement.masks[n]
        want = int.from_bytes(wanted, "little") & (mask if mask is not None else -1)
        if want == int.from_bytes(got, "little"):
            continue
        pieces = ", ".join(piece.where for piece in placement.arguments[n])
        how = "through va_arg" if placement.is_variadic(n) else f"in {pieces}"
        width = 2 * len(wanted) + 2
        judge.broken(
            moment.where,
            f"argument {n + 1} ({placement.types[n].c_name}) {how}",
            f"{want:#0{width}x}",
            f"{int.from_bytes(got, 'little'):#0{width}x}",
            moment=judge.trip.moments.index(moment),
        )


@_statement("X2", "the tracer's edits of gpr[3..10] and gpr[14..31] take effect")
def x2(judge: Judge) -> None:
    """Contract X2."""
    trip = judge.trip
    if trip.edits:
        expected = _expected_gprs(judge)
        for moment in trip.moments:
            if moment.where in ("body", "c"):
                judge.gprs(moment, expected, EDITED)


@_statement("X3", "nip changed: C gets A's registers and A's frame, through livepatch_handler")
def x3(judge: Judge) -> None:
    """Contract X3."""
    trip = judge.trip
    if not trip.plan.patched:
        return
    check_route(judge, "c")
    expected = _expected_gprs(judge)
    # r1 is L1's: a handler that pushes a frame is seen here only by the arguments that C then misses.
    numbers = [n for n in ALL_GPRS if n not in trip.edits and n != 1]
    for moment in trip.at("c"):
        _registers_on(judge, moment, expected, numbers)
        if not trip.edits:
            _arguments(judge, moment)
        entered = _handler_steps(judge, moment)
        if moment.steps and not entered:
            judge.broken("c", "where it went", "livepatch_handler, then C", "C at once", Location("way"), 0)
        if entered:
            first = entered[0]
            judge.value(moment, "r1 at livepatch_handler", trip.frame, first.gpr[1], Location("gpr", 1))
            judge.value(moment, "LR at livepatch_handler", trip.link_after, first.lr, Location("lr"))
            judge.value(moment, "CTR at livepatch_handler", trip.nip_after, first.ctr, Location("ctr"))


def _handler_steps(judge: Judge, moment: Moment) -> list[Step]:
    """The instructions of livepatch_handler on the way to ``moment``: before C, or those after it."""
    steps = [s for s in moment.steps if s.kind == "insn"]
    if _after_c(judge, moment):
        return steps
    handler = judge.world.image.symbols.get("livepatch_handler")
    start = next((n for n, s in enumerate(steps) if s.pc == handler), len(steps))
    return steps[start:]


def _handler_moments(judge: Judge) -> list[Moment]:
    return [m for m in judge.trip.moments if m.where == "c" or _after_c(judge, m)]


@_statement("L1", "no stack frame in the handler; only r0, r11, r12, r2 after C, CTR, LR, CR0")
def l1(judge: Judge) -> None:
    """Contract L1: at C's entry always, at every single instruction when the world is watched."""
    trip = judge.trip
    _interrupted(judge, in_handler=True)
    for moment in trip.at("c"):
        judge.value(moment, "r1", trip.frame, moment.state.gpr[1], Location("gpr", 1))
    for moment in _handler_moments(judge):
        for step, where in _handler_stores(judge, moment):
            if where == "frame":
                _stray(judge, moment, step, "none on the normal stack")
        steps = _handler_steps(judge, moment)
        if not steps:
            continue
        free = {0, 11, 12} | ({2} if _after_c(judge, moment) else set())
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


@_statement("L2", "livepatch frame: r2, return address, marker; raised before filled, lowered after read")
def l2(judge: Judge) -> None:
    """Contract L2."""
    trip = judge.trip
    thread = trip.thread
    for moment in trip.at("c"):
        top = _livepatch_sp(judge, moment.base)
        judge.value(moment, "livepatch_sp", trip.sp + LIVEPATCH_FRAME, top, Location("memory", thread.sp_address))
        for name, at, wanted in (
            ("r2 at -24(livepatch_sp)", 0, trip.entry.gpr[2]),
            ("return address at -16(livepatch_sp)", 8, trip.link_after),
            ("marker at -8(livepatch_sp)", 16, STACK_END_MAGIC),
        ):
            address = trip.sp + at
            offset = address - thread.base
            seen = int.from_bytes(moment.base[offset : offset + 8], "little")
            judge.value(moment, name, wanted, seen, Location("memory", address))
        live = trip.sp - thread.base
        skip = thread.sp_address - thread.base
        _report_base(judge, moment, range(0, skip, 8))
        _report_base(judge, moment, range(skip + 8, live & ~7, 8))
    for moment in _handler_moments(judge):
        _order(judge, moment)
        for step, where in _handler_stores(judge, moment):
            judge.count()
            if where == "other":
                _stray(judge, moment, step, "livepatch_sp or the 24 bytes of the livepatch frame")


def _livepatch_sp(judge: Judge, base: bytes) -> int:
    at = judge.trip.thread.sp_address - judge.trip.thread.base
    return int.from_bytes(base[at : at + 8], "little")


def _order(judge: Judge, moment: Moment) -> None:
    """Check the order of accesses: livepatch_sp is stored first on the way in, last on the way out."""
    trip = judge.trip
    window = range(trip.sp, trip.sp + LIVEPATCH_FRAME)
    back = _after_c(judge, moment)
    moved = False
    for step in moment.steps:
        if step.kind == "insn":
            continue
        if step.address == trip.thread.sp_address and step.kind == "store":
            # A sibling's frame above this one comes and goes with stores of its own.
            moved = step.value == (trip.sp if back else trip.sp + LIVEPATCH_FRAME)
        elif step.address in window:
            judge.count()
            if back and moved:
                judge.broken(
                    moment.where,
                    f"{step.kind} at {step.address - trip.sp - LIVEPATCH_FRAME}(livepatch frame's top)",
                    "read back before livepatch_sp is lowered",
                    "after it was lowered",
                    Location("pc", step.pc),
                    trip.moments.index(moment),
                )
            if not back and not moved:
                judge.broken(
                    moment.where,
                    f"{step.kind} at {step.address - trip.sp - LIVEPATCH_FRAME}(livepatch frame's top)",
                    "filled after livepatch_sp is raised",
                    "before it was raised",
                    Location("pc", step.pc),
                    trip.moments.index(moment),
                )


@_statement("L3", "C is entered with r12 = CTR = its global entry, LR inside livepatch_handler")
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
            first < state.lr < _handler_end(judge),
            "an address inside livepatch_handler",
            state.lr,
            Location("lr"),
        )


@_statement("L4", "after C: a wrong marker traps; else LR and r2 come back, livepatch_sp - 24, on to A")
def l4(judge: Judge) -> None:
    """Contract L4."""
    trip = judge.trip
    if not trip.plan.patched:
        return
    if trip.at("c") and not trip.cut_short:
        if not _nested(judge):
            check_route(judge, "return")
        destroyed = trip.marker is not None and trip.marker != STACK_END_MAGIC
        if destroyed and trip.end is not None and trip.end.kind == "trap":
            judge.count()
            if trip.end.pc not in judge.world.bug_addresses():
                judge.broken(
                    "end",
                    "__bug_table",
                    f"an entry for the trap at {judge.hex(trip.end.pc)}",
                    "none",
                    Location("pc", trip.end.pc),
                )
            sp = _livepatch_sp(judge, trip.final_base)
            if sp != trip.sp + LIVEPATCH_FRAME:
                judge.broken(
                    "end",
                    "livepatch_sp at the trap",
                    judge.hex(trip.sp + LIVEPATCH_FRAME) + ", nothing popped",
                    judge.hex(sp),
                    Location("memory", trip.thread.sp_address),
                )
    for moment in trip.moments:
        if _after_c(judge, moment):
            if moment.where != "back" or not trip.plan.pointer:
                judge.value(moment, "r2", trip.entry.gpr[2], moment.state.gpr[2], Location("gpr", 2))
            sp = _livepatch_sp(judge, moment.base)
            judge.value(moment, "livepatch_sp", trip.sp, sp, Location("memory", trip.thread.sp_address))


@_statement("L5", "A sees its registers, its TOC, its frame and C's results")
def l5(judge: Judge) -> None:
    """Contract L5."""
    trip = judge.trip
    if not trip.plan.patched:
        return
    kept = [n for n in (1, *range(13, 32)) if n not in trip.edits]
    for moment in trip.at("back"):
        state = moment.state
        judge.gprs(moment, trip.a, kept)
        if not (trip.plan.stub and trip.plan.pointer):
            # A known limit otherwise (limits.py): C's sibling call wrote to A's TOC save doubleword.
            judge.value(moment, "r2 (A's TOC)", trip.site.toc, state.gpr[2], Location("gpr", 2))
        judge.kept_cr(moment, trip.a)
        judge.floats(moment, trip.a, first_fpr=14, first_vr=20)
        judge.frame(moment)
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


def _nested(judge: Judge) -> bool:
    """True if this patched call is inside another one, or another one inside it."""
    return judge.trip.relation in ("inner", "tracer", "interrupt") or any(p.patched for p in judge.trip.plan.inner)


@_statement("L6", "nested calls pair with their own frames; livepatch_sp ends where it began")
def l6(judge: Judge) -> None:
    """Contract L6: calls with a patched call inside."""
    trip = judge.trip
    if not trip.plan.patched or not _nested(judge):
        return
    if trip.at("c") and not trip.cut_short:
        check_route(judge, "return")
    for moment in trip.at("back"):
        judge.value(
            moment,
            "livepatch_sp",
            trip.sp,
            _livepatch_sp(judge, moment.base),
            Location("memory", trip.thread.sp_address),
        )
        live = trip.sp - trip.thread.base
        for at in range(0, live & ~7, 8):
            before, now = trip.base[at : at + 8], moment.base[at : at + 8]
            if before != now:
                address = trip.thread.base + at
                judge.value(
                    moment,
                    f"livepatch stack at {_where_in_stack(judge, address)}",
                    int.from_bytes(before, "little"),
                    int.from_bytes(now, "little"),
                    Location("memory", address),
                )


@_statement("L7", "each thread has its own livepatch stack")
def l7(judge: Judge) -> None:
    """Contract L7: a call on one thread leaves the other thread's stack and livepatch_sp alone."""
    trip = judge.trip
    if not trip.plan.patched:
        return
    for moment in _handler_moments(judge):
        for step, where in _handler_stores(judge, moment):
            if where.startswith("thread"):
                _stray(judge, moment, step, f"thread {trip.thread.number}'s own stack")
    if not judge.path:
        judge.count()
        if trip.other_stack is not None:
            judge.broken("end", f"stack of thread {trip.other_stack}", "untouched", "written to")


@_statement("S8", "graph hook: prepare_ftrace_return(parent, ip) chooses where B returns to")
def s8(judge: Judge) -> None:
    """Contract section 8, graph hook: only on the unpatched way out."""
    trip = judge.trip
    if "graph_hook" not in judge.world.kernel.features or not trip.plan.graph or trip.plan.patched:
        return
    check_route(judge, "graph")
    for moment in trip.at("graph"):
        gpr = moment.state.gpr
        judge.value(moment, "r3 (return address into A)", trip.link_after, gpr[3], Location("gpr", 3))
        judge.value(moment, "r4 (ip)", trip.b.site, gpr[4], Location("gpr", 4))
        judge.true(moment, "r1", not gpr[1] & 15, "16-byte aligned", gpr[1], Location("gpr", 1))
        below = moment.u64(gpr[1])
        judge.true(
            moment,
            "back chain",
            below is not None and gpr[1] < below <= trip.frame,
            "an address up to A's frame",
            below,
            Location("memory", gpr[1]),
        )
    if trip.at("graph"):
        for moment in trip.at("body"):
            judge.value(moment, "LR", trip.graph_return, moment.state.lr, Location("lr"))
            judge.value(moment, "r0", trip.graph_return, moment.state.gpr[0], Location("gpr", 0))
            judge.value(moment, "CTR (nip)", trip.entry.lr, moment.state.ctr, Location("ctr"))
            slot = trip.frame + 16
            judge.value(moment, "16(A's frame)", trip.graph_return, moment.u64(slot), Location("memory", slot))
