"""Which instruction it was: the last one that wrote what was found wrong."""

from __future__ import annotations

from collections.abc import Iterator

from lpgen.contract.judge import Finding, Location
from lpgen.machine.stop import Step
from lpgen.machine.trip import Trip


def guilty_pc(trip: Trip, finding: Finding) -> int | None:
    """Return the address of the instruction to look at, None when no trampoline instruction was involved.

    ``trip`` was run in a watched world. For a register or memory it is the last instruction that changed it on the way
    to where it was judged; for a wrong turn, or when nothing changed it, the last instruction on that way.
    """
    location = finding.location
    for index in finding.path:
        if index >= len(trip.inner):
            return None
        trip = trip.inner[index]
    if location is not None and location.kind == "pc":
        return location.number
    ways = [(m.steps, m.state.gpr, m.state.lr, m.state.ctr, m.state.cr) for m in trip.moments]
    if finding.moment >= 0:
        ways = ways[: finding.moment + 1]
    if trip.end is not None and (finding.moment < 0 or finding.moment >= len(trip.moments)):
        end = trip.end.state
        ways.append((trip.last_steps, end.gpr, end.lr, end.ctr, end.cr))
    if location is not None and location.kind != "way":
        for steps, gpr, lr, ctr, cr in reversed(ways):
            last = Step("insn", 0, tuple(gpr), lr=lr, ctr=ctr, cr=cr)
            for step, after in reversed(list(_pairs(steps, last))):
                if _wrote(location, step, after):
                    return step.pc
    for steps, *_ in reversed(ways):
        for step in reversed(steps):
            return step.pc
    return None


def _pairs(steps: list[Step], last: Step) -> Iterator[tuple[Step, Step]]:
    """Pair each step with the next instruction's registers (accesses with None's place taken by themselves)."""
    instructions = [s for s in steps if s.kind == "insn"]
    following = iter([*instructions[1:], last])
    for step in steps:
        yield step, (next(following) if step.kind == "insn" else step)


def _wrote(location: Location, step: Step, after: Step) -> bool:
    if step.kind == "insn":
        if location.kind == "gpr":
            return step.gpr[location.number] != after.gpr[location.number]
        if location.kind in ("lr", "ctr", "cr"):
            return bool(getattr(step, location.kind) != getattr(after, location.kind))
        return False
    return (
        step.kind == "store"
        and location.kind == "memory"
        and step.address < location.number + 8
        and step.address + step.size > location.number
    )
