"""A call that shows what is wrong with a trampoline of tests/must_fail."""

from __future__ import annotations

from collections.abc import Iterator

from lpgen.contract.suite import Item, Suite
from lpgen.contract.verdict import Failure
from lpgen.machine.cases import case, fixed_cases, special_cases
from tests.contract.must_fail import Wrong


def failing(wrong: Wrong) -> tuple[Suite, Failure]:
    """Return the first failure of a statement that ``wrong`` breaks, the special ways of calling first."""
    made = wrong.kernel
    suite = Suite(made, wrong.unit())
    for item in _items(wrong, suite):
        for failure in suite.run([item], full=False).failures:
            if failure.finding.statement in wrong.breaks:
                return suite, failure
    raise AssertionError(f"{wrong.name}: no caller breaks {wrong.breaks}")


def _items(wrong: Wrong, suite: Suite) -> Iterator[Item | int]:
    made = wrong.kernel
    special = special_cases(made)
    if wrong.interrupts is not None:
        named = f"{wrong.interrupts}-0"
        yield from (item for item in suite.interrupt_items() if case(made, item.number).name == named)
    for shape in range(4):
        yield from range(shape, special, 4)
    yield from range(special, fixed_cases(made) + 100)
