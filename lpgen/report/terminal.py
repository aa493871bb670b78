"""The verdict for a person: one row a statement, then each failure with all that it takes to look at it."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console
from rich.table import Table

from lpgen.contract.suite import Failure, Verdict


def print_verdict(verdict: Verdict, console: Console, command: str) -> None:
    """Print the verdict; ``command`` is the start of the command line that runs one case again."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("", no_wrap=True)
    table.add_column("statement", overflow="fold")
    table.add_column("callers", justify="right", no_wrap=True)
    table.add_column("checks", justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    for result in verdict.statements.values():
        if result.broken:
            said = f"[bold red]BROKEN by {result.broken}[/]"
        elif not result.callers:
            said = "[yellow]not exercised[/]"
        else:
            said = "[green]holds[/]"
        table.add_row(result.id, result.text, f"{result.callers:,}", f"{result.checks:,}", said)
    console.print(table)
    for failure in verdict.failures:
        console.print()
        for line in failure_lines(failure, command):
            console.print(line, markup=False, highlight=False, soft_wrap=True)
    console.print()
    console.print(summary(verdict), markup=False, highlight=False, soft_wrap=True)


def summary(verdict: Verdict) -> str:
    """Return the last line: what was run and what came out."""
    kernel = verdict.kernel
    ran = (
        f"{verdict.callers:,} callers, {verdict.watched:,} of them watched at every instruction, "
        f"kernel {kernel.version} ({kernel.generation}, {kernel.offsets.label}), seed {verdict.seed}"
    )
    if verdict.broken:
        return f"BROKEN: {', '.join(verdict.broken)} ({ran})"
    if verdict.not_exercised:
        return f"NOT SHOWN: no caller exercised {', '.join(verdict.not_exercised)} ({ran})"
    return f"holds: {len(verdict.statements)} statements, {ran}"


def failure_lines(failure: Failure, command: str) -> Iterable[str]:
    """Yield the lines that tell of one failure."""
    finding, case = failure.finding, failure.case
    yield f"{finding.statement} broken {finding.where}: {finding.what}"
    yield f"  expected     {finding.expected}"
    yield f"  seen         {finding.seen}"
    if failure.symbol:
        where = f"  instruction  {failure.symbol}"
        if failure.instruction:
            where += f": {failure.instruction}"
        places = [p for p in (failure.place, failure.template) if p]
        yield where + (f"  ({', '.join(places)})" if places else "")
    yield f"  caller       #{case.number} {case.name}: {case.plan.shape.c_prototype()}"
    yield f"               {'; '.join(case.plan.words())}"
    yield f"  again        {command} --only {case.number}"
