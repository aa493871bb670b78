"""Callers that are judged in the guest, and what they add to a verdict.

A caller that passes there did what its way's model did, which every statement judged; what the guest compares for it is
lpgen.machine.guest_routines' and lpgen.machine.guest's. A caller that does not pass is run again and judged in full,
and so is every caller of a way whose model breaks a statement: findings come from there only.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from lpgen.contract.verdict import Verdict
from lpgen.machine import guest_callers
from lpgen.machine.guest import Guest
from lpgen.machine.guest_callers import PHASE, POOL, GuestPlan
from lpgen.machine.trip import Trip

if TYPE_CHECKING:
    from lpgen.contract.suite import Suite

FIRST = guest_callers.FIRST


@dataclass(frozen=True, slots=True)
class Guests:
    """One piece of work: the callers from number ``first`` (FIRST or more) up to, not with, ``last``."""

    first: int
    last: int


def pieces(first: int, last: int) -> list[Guests]:
    """Return the callers from ``first`` up to, not with, ``last`` in pieces that need one pool each."""
    cuts = [first, *range(first + POOL - (first - FIRST) % POOL, last, POOL), last]
    return [Guests(a, b) for a, b in pairwise(cuts) if a < b]


class GuestSuite:
    """Judges callers from FIRST on for ``suite``, in the guest where that can be."""

    def __init__(self, suite: Suite) -> None:
        self._suite = suite
        self._settings = guest_callers.settings(suite.kernel)
        # What one caller of a setting's way adds to a verdict.
        self._adds: dict[tuple[int, int], Verdict] = {}
        self._guest = Guest(suite.kernel, suite.unit, suite.seed, self._model)

    def run(self, verdict: Verdict, work: Guests, tick: Callable[[int], None]) -> None:
        """Add what the callers of ``work`` show to ``verdict``; ``tick`` is told how many more are done."""
        first = work.first
        while first < work.last:
            last = min(work.last, first + PHASE - (first - FIRST) % PHASE)
            again = self._guest.run(first, last)
            self._count(verdict, first, last, again)
            tick(last - first - len(again))
            for number in again:
                self._suite.run_into(verdict, number)
                tick(1)
            first = last

    def _model(self, plan: GuestPlan, number: int) -> Trip | None:
        """Return the call of caller ``number``, of way ``plan``, if no statement is broken by it."""
        suite = self._suite
        conductor = suite.conductor(watch=False)
        if conductor.world.privileged:
            # The guest rests on an MSR, with FP and vectors off, that only the harness writes.
            return None
        one = suite.case(number)
        trip = conductor.run(one.plan, values=one.values)
        added = suite.empty_verdict(full=False)
        suite.count(added, one, conductor, trip)
        if added.broken:
            return None
        setting = guest_callers.number_of_setting(suite.kernel, number)
        self._adds[setting, self._settings[setting].ways.index(plan)] = added
        return trip

    def _count(self, verdict: Verdict, first: int, last: int, again: list[int]) -> None:
        setting = guest_callers.number_of_setting(self._suite.kernel, first)
        ways = guest_callers.schedule(len(self._settings[setting].ways))
        start = (first - FIRST) // PHASE * PHASE + FIRST
        counted = Counter(ways[first - start : last - start])
        counted.subtract(Counter(ways[number - start] for number in again))
        for way, callers in counted.items():
            if callers:
                verdict.add_alike(self._adds[setting, way], callers)
