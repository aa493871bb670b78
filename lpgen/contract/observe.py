"""What several statements look at: which steps and stores belong to the handler, where A's arguments went."""

from __future__ import annotations

from collections.abc import Sequence

from lpgen.contract.judge import Judge, Location
from lpgen.kernel.checks import RED_ZONE
from lpgen.machine.places import BASE_WINDOW, LIVEPATCH_FRAME
from lpgen.machine.state import State
from lpgen.machine.stop import Step
from lpgen.machine.trip import Moment

ALL_GPRS = (*range(1, 11), *range(13, 32))


def expected_gprs(judge: Judge) -> State:
    """The registers at ftrace_caller's entry with the tracer's edits in them."""
    trip = judge.trip
    if not trip.edits:
        return trip.entry
    state = trip.entry.copy()
    for number, value in trip.edits.items():
        state.gpr[number] = value
    return state


def registers_on(judge: Judge, moment: Moment, expected: State, numbers: Sequence[int]) -> None:
    """Check that all registers that a function may rely on are as expected."""
    judge.gprs(moment, expected, numbers)
    judge.kept_cr(moment, expected)
    judge.floats(moment, expected)
    judge.value(moment, "MSR", expected.msr, moment.state.msr)


def return_slot(judge: Judge, moment: Moment) -> None:
    """Check 16(A's frame), where B returns through it or will put its return address itself.

    A call site that stores r0 (gcc 4.9 and 5) has done that already: then it has to be a return address.
    """
    trip = judge.trip
    slot = trip.frame + 16
    seen = moment.u64(slot)
    allowed = {trip.entry.gpr[0], trip.link_after}
    if trip.plan.graph:
        allowed.add(trip.graph_return)
    if trip.relation == "sibling" or not judge.world.stores_r0(trip.b):
        allowed.add(int.from_bytes(moment.frame[16:24], "little") if len(moment.frame) >= 24 else 0)
    wanted = "A's return address" if len(allowed) == 1 else "A's return address, or what was there"
    judge.true(moment, "16(A's frame)", seen in allowed, wanted, seen, Location("memory", slot))


def arguments(judge: Judge, moment: Moment) -> None:
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


def after_c(judge: Judge, moment: Moment) -> bool:
    """True if the way to ``moment`` started with C's return."""
    index = judge.trip.moments.index(moment)  # by identity: a Moment has no other equality
    return index > 0 and judge.trip.moments[index - 1].where == "c"


def where_in_stack(judge: Judge, address: int) -> str:
    """Return how a person would name an address of the trip's stack."""
    trip = judge.trip
    if trip.frame <= address < trip.thread.top:
        return f"{address - trip.frame}(A's frame)"
    base = trip.thread.livepatch
    if base <= address < base + BASE_WINDOW:
        return f"{address - base:#x} above the stack's base (livepatch_sp {trip.sp - base:#x})"
    if address == trip.thread.sp_address:
        return "livepatch_sp"
    return judge.hex(address)


def report_base(judge: Judge, moment: Moment, offsets: range) -> None:
    """Check the doublewords at ``offsets`` above the stack's base against what they were at the call."""
    trip = judge.trip
    for at in offsets:
        before, now = trip.base[at : at + 8], moment.base[at : at + 8]
        if before != now:
            address = trip.thread.livepatch + at
            judge.value(
                moment,
                where_in_stack(judge, address),
                int.from_bytes(before, "little"),
                int.from_bytes(now, "little"),
                Location("memory", address),
            )


def stray(judge: Judge, moment: Moment, step: Step, allowed: str) -> None:
    """Note a store that went where it may not."""
    judge.broken(
        moment.where,
        f"{step.kind} of {step.size} bytes",
        allowed,
        where_in_stack(judge, step.address),
        Location("pc", step.pc),
        judge.trip.moments.index(moment),
    )


def before_handler(judge: Judge, moment: Moment) -> list[Step]:
    """The steps on the way to ``moment`` before livepatch_handler was reached."""
    handler = judge.world.image.symbols.get("livepatch_handler")
    end = next((n for n, s in enumerate(moment.steps) if s.pc == handler), len(moment.steps))
    return moment.steps[:end]


def handler_steps(judge: Judge, moment: Moment) -> list[Step]:
    """The instructions of livepatch_handler on the way to ``moment``: before C, or those after it."""
    return [s for s in handler_steps_all(judge, moment) if s.kind == "insn"]


def handler_moments(judge: Judge) -> list[Moment]:
    """Return the moments that livepatch_handler leads to: C's entry, and what comes after C."""
    return [m for m in judge.trip.moments if m.where == "c" or after_c(judge, m)]


def handler_steps_all(judge: Judge, moment: Moment) -> list[Step]:
    """Return the handler's steps on the way to ``moment``, accesses included; not those of where it returns to."""
    if not after_c(judge, moment):
        return moment.steps[len(before_handler(judge, moment)) :]
    left_for = judge.world.image.symbols.get("return_to_handler")
    if moment.where != "unhook" or left_for is None:
        return moment.steps
    return moment.steps[: next((n for n, s in enumerate(moment.steps) if s.pc == left_for), len(moment.steps))]


def top_of_livepatch_stack(judge: Judge, moment: Moment) -> int:
    """Return livepatch_sp at the beginning of the handler's way to ``moment``."""
    trip = judge.trip
    if not after_c(judge, moment):
        return trip.sp
    # A patched sibling has its frame above C's.
    sibling = trip.plan.sibling is not None and trip.plan.sibling.patched
    return trip.sp + LIVEPATCH_FRAME * (2 if sibling else 1)


def handler_stores(judge: Judge, moment: Moment) -> list[tuple[Step, str]]:
    """The handler's stores on the way to ``moment``, each with where it goes.

    That is: allowed (livepatch_sp, the topmost livepatch frame, the red zone), frame (the stack below that), a (A's
    frame and above), thread N (another stack) or other.
    """
    trip = judge.trip
    sp = trip.thread.sp_address
    top = top_of_livepatch_stack(judge, moment)
    found = []
    for step in handler_steps_all(judge, moment):
        if step.kind != "store":
            continue
        first, end = step.address, step.address + step.size
        if first == sp and step.size == 8:
            top = step.value
            found.append((step, "allowed"))
        elif (
            top - LIVEPATCH_FRAME <= first and end <= top + LIVEPATCH_FRAME
        ) or trip.frame - RED_ZONE <= first < trip.frame:
            found.append((step, "allowed"))
        elif trip.thread.base + BASE_WINDOW <= first < trip.frame:
            found.append((step, "frame"))
        elif trip.frame <= first < trip.thread.top:
            found.append((step, "a"))
        else:
            other = next((t for t in judge.world.threads if t.base <= first < t.top and t is not trip.thread), None)
            found.append((step, "other" if other is None else f"thread {other.number}"))
    return found


def handler_end(judge: Judge) -> int:
    """Return the address behind livepatch_handler: the next entry point or the end of .text."""
    world = judge.world
    first = world.image.symbols.get("livepatch_handler", 0)
    others = [world.image.symbols.get(s.name, 0) for s in world.kernel.symbols]
    return min((a for a in (*others, world.text[1]) if a > first), default=world.text[1])


def interrupted(judge: Judge, *, in_handler: bool) -> None:
    """Check that r1 pointed to a stack, aligned, when the interrupt came (contract section 2)."""
    came = judge.trip.interruption
    if came is None:
        return
    handler = judge.world.image.symbols.get("livepatch_handler")
    if in_handler == (handler is not None and handler <= came.pc < handler_end(judge)):
        judge.count()
        if not came.handled:
            where = f"at an interrupt before {judge.hex(came.pc)}"
            wanted = "a 16-byte aligned address of a stack"
            judge.broken(where, "r1", wanted, judge.hex(came.r1), Location("pc", came.pc))


def nested(judge: Judge) -> bool:
    """True if this patched call may be inside another one, or has another one inside it or on top of it."""
    return judge.trip.relation in ("inner", "tracer", "interrupt") or judge.trip.plan.patched_inside()
