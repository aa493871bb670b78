"""What a round of `lpgen emit --watch` says: a line for its verdict, and a few for each broken statement."""

from __future__ import annotations

from lpgen.contract.verdict import Failure, Verdict
from lpgen.report.result import Result
from lpgen.report.terminal import failure_head


def round_line(verdict: Verdict, total: int, seconds: float, *, ifdef: bool = False) -> str:
    """Return the verdict on the callers that were run so far of ``total``, ``seconds`` after the change was noticed.

    ``ifdef``: the text is for other options too, which were not run.
    """
    whole = verdict.callers >= total
    ran = f"{verdict.callers:,} callers" if whole else f"{verdict.callers:,} of {total:,} callers"
    ran = f"({ran}, {'these options only, ' if ifdef else ''}{seconds:.2f} s)"
    if verdict.broken:
        return f"BROKEN: {', '.join(verdict.broken)} {ran}"
    count, missing = len(verdict.statements), verdict.not_exercised
    if whole and missing:
        return f"NOT SHOWN: no caller exercised {', '.join(missing)} {ran}"
    said = f"{count - len(missing)} of {count}" if missing else f"all {count}"
    return f"holds{'' if whole else ' so far'}: {said} statements {ran}"


def failure_text(failure: Failure, result: Result) -> str:
    """Return the lines on one broken statement: what was seen, the instruction, its template line, more."""
    return "\n".join(f"  {line}" for line in (*failure_head(failure), f"  again        {result.again(failure)}"))
