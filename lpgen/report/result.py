"""A verdict with what it takes to show it: the trampolines that were judged, and the command line that judges them."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields

from lpgen.assembly import Unit
from lpgen.contract.coverage import CoverageSummary
from lpgen.contract.replay import Replay
from lpgen.contract.shrink import ShrunkCase
from lpgen.contract.verdict import Failure, Verdict
from lpgen.machine.cases import Case
from lpgen.machine.plan_text import plan_text


@dataclass(slots=True, kw_only=True)
class Result(Verdict):
    """A verdict on ``unit``; ``str()`` is what `lpgen verify` prints.

    ``command`` is the start of the command lines that run one of its calls again, ``every_boundary`` whether interrupts
    came before every instruction of the calls that `--interrupts` takes, or at a sample of them. ``replay`` is the one
    whose call was run, None for a run of callers.
    """

    unit: Unit
    command: str = "lpgen verify"
    every_boundary: bool = False
    replay: Replay | None = None

    @classmethod
    def of(
        cls, verdict: Verdict, unit: Unit, command: str, *, every_boundary: bool = False, replay: Replay | None = None
    ) -> Result:
        """Return the verdict with what it takes to show it."""
        known = {f.name: getattr(verdict, f.name) for f in fields(Verdict)}
        return cls(**known, unit=unit, command=command, every_boundary=every_boundary, replay=replay)

    def __str__(self) -> str:
        from lpgen.report.terminal import plain_text

        return plain_text(self)

    @property
    def assembler(self) -> str:
        """What made the bytes that ran: "lpgen", "GNU as 2.40", or "object" for an object that was handed in."""
        return self.unit.made_by

    @property
    def replayed(self) -> bool:
        """True if the call of a replay broke the statement that the replay names."""
        return self.replay is not None and self.replay.statement in self.broken

    @property
    def taken(self) -> tuple[str, ...]:
        """Offsets that were taken from the very instructions that were judged: they cannot have been found wrong."""
        origin = self.kernel.origin
        return origin.shown if origin is not None and self.unit.fixed is not None else ()

    @property
    def covered(self) -> CoverageSummary:
        """What the watched calls executed of .text."""
        return self.coverage.summary(self.unit.sections[".text"])

    def name_of(self, offset: int) -> str:
        """Return symbol+offset of a byte offset in .text."""
        below = [(s.value, s.name) for s in self.unit.symbols.values() if s.section == ".text" and s.value <= offset]
        value, name = max(below, default=(0, ".text"))
        return name if value == offset else f"{name}+{offset - value:#x}"

    def names_of(self, offsets: Iterable[int]) -> Iterator[str]:
        """Yield the names of byte offsets in .text, those of a row of instructions as one: from, to."""
        rows: list[list[int]] = []
        for offset in sorted(offsets):
            if rows and offset == rows[-1][1] + 4:
                rows[-1][1] = offset
            else:
                rows.append([offset, offset])
        for first, last in rows:
            yield self.name_of(first) if first == last else f"{self.name_of(first)} to {self.name_of(last)}"

    def again(self, failure: Failure) -> str:
        """Return the command line that shows a failure again."""
        if self.replay is not None:
            return f"{self.command} --replay {shlex.quote(self.replay.file)}"
        return f"{self.command} {_selector(failure.case)}"

    def first_seen(self, failure: Failure) -> str | None:
        """Return the command line for the call in which a failure was seen before it was shrunk, None if it is that."""
        selector = first_selector(failure)
        return None if selector is None else f"{self.command} {selector}"


def first_selector(failure: Failure) -> str | None:
    """Return the options for the call in which a failure was seen before it was shrunk, None if it is that."""
    case = failure.case
    if not isinstance(case, ShrunkCase):
        return None
    return _selector(Case(case.number, case.name, case.original))


def _selector(case: Case) -> str:
    if isinstance(case, ShrunkCase) or case.number < 0:
        return f"--plan {shlex.quote(plan_text(case.plan))}"
    at = case.name.rpartition("@")[2] if "@" in case.name else ""
    return f"--only {case.number}" + (f" --at {at}" if at else "")
