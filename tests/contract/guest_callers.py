"""Callers that show every way of calling that the guest knows, and the two ways to judge them."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from lpgen.api import trampolines
from lpgen.contract.guests import Guests
from lpgen.contract.judge import Finding
from lpgen.contract.suite import Suite, judge_trip
from lpgen.contract.verdict import Verdict
from lpgen.kernel.generations import Kernel
from lpgen.machine.guest import Guest
from lpgen.machine.guest_callers import FIRST, PHASE, GuestPlan, schedule, settings
from lpgen.machine.trip import Trip


def numbers(kernel: Kernel, *, stacks: bool = False) -> list[int]:
    """One caller of each way of each setting; those of other stacks, which are the same ways, only with ``stacks``."""
    found = []
    for number, setting in enumerate(settings(kernel)):
        if stacks or number not in (1, 2):
            ways = schedule(len(setting.ways))
            found += [FIRST + PHASE * number + ways.index(way) + 1 for way in range(len(setting.ways))]
    return found


@lru_cache(maxsize=4)
def right(kernel: Kernel) -> Suite:
    """The suite of what is emitted for a kernel."""
    return Suite(kernel, trampolines(kernel))


def right_model(kernel: Kernel) -> Any:
    """Models from the emitted trampolines, whatever the guest then runs."""
    suite = right(kernel)

    def model(plan: GuestPlan, number: int) -> Trip | None:
        one = suite.case(number)
        return suite.conductor(watch=False).run(one.plan, values=one.values)

    return model


def findings(suite: Suite, number: int) -> list[Finding]:
    """What the full judgement finds of a caller."""
    conductor = suite.conductor(watch=False)
    one = suite.case(number)
    return judge_trip(conductor.world, conductor.run(one.plan, values=one.values))[1]


def failed(guest: Guest, callers: list[int]) -> set[int]:
    """Which of some callers do not pass in the guest."""
    return {number for caller in callers for number in guest.run(caller, caller + 1)}


def as_pieces(callers: list[int]) -> list[Guests]:
    return [Guests(number, number + 1) for number in callers]


def said(verdict: Verdict) -> dict[str, Any]:
    """What a verdict says, but for who judged and how many single checks that were."""
    return {
        "broken": verdict.broken,
        "callers": verdict.callers,
        "statements": [(s.id, s.callers, s.broken, s.kinds, s.killers) for s in verdict.statements.values()],
        "failures": [(f.case.number, f.finding, f.symbol, f.instruction) for f in verdict.failures],
        "kinds": verdict.kinds,
        "limits": verdict.limits,
    }
