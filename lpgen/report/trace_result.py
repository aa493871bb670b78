"""A trace with what it takes to show it: the trampolines, the command line, and which step broke which statement."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lpgen.assembly import Unit
from lpgen.contract.verdict import Failure
from lpgen.report.result import Result
from lpgen.trace.event import Trace


@dataclass(frozen=True)
class TraceResult:
    """``trace`` of a call through ``unit``. ``command`` is the command line that shows it again."""

    trace: Trace
    unit: Unit
    command: str
    verify: str

    @property
    def judged(self) -> Result:
        """The verdict of this call, as `lpgen verify` shows one; ``verify`` is the start of its command line."""
        return Result.of(self.trace.verdict, self.unit, self.verify)

    @property
    def guilty(self) -> Mapping[int, list[Failure]]:
        """The failures by the number of the step to look at: the last time that the instruction was executed."""
        found: dict[int, list[Failure]] = {}
        for failure in self.trace.verdict.failures:
            steps = [event.number for event in self.trace.events if event.address == failure.address]
            if failure.address is not None and steps:
                found.setdefault(steps[-1], []).append(failure)
        return found
