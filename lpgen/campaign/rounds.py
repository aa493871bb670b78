"""A run in two parts, for somebody who waits: few callers that exercise every statement, then all the others.

The two together are the callers of `lpgen verify`, each once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator

from lpgen.assembly import Unit
from lpgen.contract.suite import WATCHED_DEPTH, Suite, default_callers
from lpgen.contract.verdict import Verdict
from lpgen.kernel.generations import Kernel
from lpgen.machine.cases import SPECIAL_SHAPES, case, special_cases

# With a statement broken the first part ends at the latest behind so many seconds: calls that never end take long.
PATIENCE = 0.5
_FEW = 4


def first_callers(kernel: Kernel) -> list[int]:
    """Return the numbers of the cases that run first: one of each special way of calling, watched or interrupted.

    By turns with arguments in memory and through the other entry. Without the chains of a hundred calls, which take
    as long as all the others.
    """
    ways = range(special_cases(kernel) // SPECIAL_SHAPES)
    numbers = (SPECIAL_SHAPES * way + way % 2 for way in ways)
    return [number for number in numbers if case(kernel, number).plan.depth() <= WATCHED_DEPTH]


def rounds(
    kernel: Kernel, unit: Unit, killers: Iterable[int] = (), tick: Callable[[], None] | None = None
) -> Iterator[Verdict]:
    """Yield the verdict of the first callers, then that of all.

    ``killers`` are the cases to begin with: those that saw a statement broken in the round before. ``tick`` is called
    after each caller; what it raises ends the round. Raises LpgenError for a unit that cannot be run.
    """
    suite = Suite(kernel, unit)
    total = default_callers(kernel)
    numbers = list(dict.fromkeys([*(number for number in killers if number < total), *first_callers(kernel)]))
    done = set[int]()
    verdict = suite.empty_verdict(full=True)
    start = time.monotonic()

    def some(part: Iterable[int]) -> Iterator[int]:
        for number in part:
            if verdict.broken and time.monotonic() - start > PATIENCE:
                return
            done.add(number)
            yield number

    def advance(count: int) -> None:
        if tick is not None:
            tick()

    for part in (numbers[:_FEW], numbers[_FEW:]):
        verdict.merge(suite.run(some(part), tick=advance))
    yield verdict
    verdict.merge(suite.run((number for number in range(total) if number not in done), tick=advance))
    yield verdict


def killers_of(verdict: Verdict) -> list[int]:
    """Return the cases that first saw each broken statement."""
    return list(dict.fromkeys(failure.case.number for failure in verdict.failures))
