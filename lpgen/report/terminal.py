"""The verdict for a person: one row a statement, then each failure with all that it takes to look at it."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable

from rich.console import Console
from rich.text import Text

from lpgen.contract.limits import LIMITS
from lpgen.contract.verdict import Failure, StatementResult, Verdict

# Columns before a statement's text: id, callers, verdict.
_INDENT = 22
_NARROWEST = 24


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Leave it to the command line, as for every other command (rich would exit with 1)."""
        raise


def print_verdict(verdict: Verdict, command: str, console: Console | None = None) -> None:
    """Print the verdict; ``command`` is the start of the command line that runs one case again."""
    console = console or _Console(highlight=False)
    for line in verdict_lines(verdict, command, console.width):
        console.print(line, soft_wrap=True)


def verdict_lines(verdict: Verdict, command: str, width: int = 80) -> Iterable[Text]:
    """Yield the lines that a person reads: statements, failures, what was run, and the verdict itself."""
    yield Text(f"{'':2}  {'callers':>7}  {'verdict':7}  statement", "bold")
    for result in verdict.statements.values():
        yield from _statement_lines(result, width)
    for failure in verdict.failures:
        yield Text()
        yield from map(Text, failure_lines(failure, verdict, command))
    if verdict.limits:
        yield Text()
        yield Text("known limits of the kernel's design, seen and no failure:")
        for limit, (came, seen) in verdict.limits.items():
            yield from _limit_lines(limit, came, seen, width)
    yield Text()
    kernel = verdict.kernel
    watched = "each" if verdict.watched == verdict.callers else f"{verdict.watched:,}"
    yield Text(f"kernel {kernel.version}, generation {kernel.generation}; offsets: {kernel.offsets.label}")
    yield Text(
        f"{_callers(verdict.callers)}, seed {verdict.seed}; {watched} watched at every instruction, "
        f"{verdict.interrupted:,} interrupted"
    )
    yield Text(summary(verdict), "bold")


def _statement_lines(result: StatementResult, width: int) -> Iterable[Text]:
    if result.broken:
        said, style = "BROKEN", "bold red"
    elif result.callers:
        said, style = "holds", "green"
    else:
        said, style = "-", "yellow"
    wrapped = textwrap.wrap(result.text, max(width - _INDENT, _NARROWEST))
    yield Text.assemble(f"{result.id:2}  {result.callers:7,}  ", (said, style), " " * (9 - len(said)), wrapped[0])
    for more in wrapped[1:]:
        yield Text(" " * _INDENT + more)


def _limit_lines(limit: str, came: int, seen: int, width: int) -> Iterable[Text]:
    figures = f"{came:11,}  "
    said = LIMITS[limit] if seen == came else f"{LIMITS[limit]} (so for {seen:,} of them, not for the others)"
    for number, line in enumerate(textwrap.wrap(said, max(width - len(figures), _NARROWEST))):
        yield Text((" " * len(figures) if number else figures) + line)


def summary(verdict: Verdict) -> str:
    """Return the last line: what came out."""
    unseen = [s.id for s in verdict.statements.values() if not s.callers]
    if verdict.broken:
        return f"BROKEN: {', '.join(verdict.broken)}"
    if verdict.not_exercised:
        return f"NOT SHOWN: no caller exercised {', '.join(verdict.not_exercised)}"
    total = len(verdict.statements)
    if unseen:
        return f"holds: {total - len(unseen)} of {total} statements; these callers do not exercise {', '.join(unseen)}"
    return f"holds: all {total} statements"


def failure_lines(failure: Failure, verdict: Verdict, command: str) -> Iterable[str]:
    """Yield the lines that tell of one failure, the first of its statement."""
    finding, case = failure.finding, failure.case
    result = verdict.statements[finding.statement]
    yield f"{finding.statement} broken {finding.where}: {finding.what}"
    yield f"  expected     {finding.expected}"
    yield f"  seen         {finding.seen}"
    if failure.symbol:
        yield f"  instruction  {failure.symbol}{f': {failure.instruction}' if failure.instruction else ''}"
        places = [p for p in (failure.place, failure.template) if p]
        if places:
            yield f"               {', '.join(places)}"
    yield f"  caller       #{case.number} {case.name}: {case.plan.shape.c_prototype()}"
    yield f"               {'; '.join(case.plan.words())}"
    yield f"  how many     {_callers(result.broken)} of {result.callers:,}"
    yield f"  again        {command} --only {case.number}"


def _callers(count: int) -> str:
    return f"{count:,} caller{'' if count == 1 else 's'}"
