"""What a run says: statement by statement, with what was exercised how often; and how parts of a run are joined."""

from __future__ import annotations

from dataclasses import dataclass, field

from lpgen.contract.coverage import Coverage
from lpgen.contract.judge import Finding
from lpgen.kernel.generations import Kernel
from lpgen.machine.cases import Case


@dataclass(slots=True)
class StatementResult:
    """One statement over a run: callers that exercised it, single checks, callers that saw it broken.

    ``in_guest``: how many of the callers were judged in the guest; their checks are not counted.
    ``kinds``: how many of the callers were of each kind of scenario. ``killers``: the kinds that all the callers which
    saw it broken have in common, None if there is none that did.
    """

    id: str
    text: str
    callers: int = 0
    checks: int = 0
    broken: int = 0
    in_guest: int = 0
    kinds: dict[str, int] = field(default_factory=dict)
    killers: frozenset[str] | None = None

    def merge(self, other: StatementResult) -> None:
        """Add the other part's figures."""
        self.callers += other.callers
        self.in_guest += other.in_guest
        self.checks += other.checks
        self.broken += other.broken
        for kind, count in other.kinds.items():
            self.kinds[kind] = self.kinds.get(kind, 0) + count
        if other.killers is not None:
            self.killers = other.killers if self.killers is None else self.killers & other.killers


@dataclass(slots=True)
class Failure:
    """A broken statement: the case, what was found, and the instruction (address, text, place, template place)."""

    case: Case
    finding: Finding
    address: int | None = None
    symbol: str = ""
    instruction: str = ""
    place: str = ""
    template: str = ""


@dataclass(slots=True)
class Verdict:
    """What a run says. ``holds`` is False when a statement is broken or, in a full run, was never exercised.

    ``in_guest``: how many of the ``callers`` were judged in the guest, where each did what one that was judged in full
    did. ``failures`` has the first failing case of each broken statement. ``limits``: for each known limit of the
    design, how many callers came to it and how many saw it as documented.
    """

    kernel: Kernel
    seed: int
    callers: int = 0
    watched: int = 0
    interrupted: int = 0
    in_guest: int = 0
    full: bool = True
    statements: dict[str, StatementResult] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)
    kinds: dict[str, int] = field(default_factory=dict)
    limits: dict[str, tuple[int, int]] = field(default_factory=dict)
    coverage: Coverage = field(default_factory=Coverage)

    @property
    def broken(self) -> list[str]:
        """The ids of the broken statements, in contract order."""
        return [s.id for s in self.statements.values() if s.broken]

    @property
    def not_exercised(self) -> list[str]:
        """The ids of the statements that a full run should have exercised and did not."""
        return [s.id for s in self.statements.values() if not s.callers] if self.full else []

    @property
    def holds(self) -> bool:
        """True if no statement is broken and none went unexercised."""
        return not self.broken and not self.not_exercised

    def merge(self, other: Verdict) -> None:
        """Add another part of the same run, one with higher case numbers: the first failures stay the first."""
        self.callers += other.callers
        self.watched += other.watched
        self.interrupted += other.interrupted
        self.in_guest += other.in_guest
        for id_, result in other.statements.items():
            self.statements[id_].merge(result)
        known = {f.finding.statement for f in self.failures}
        self.failures += [f for f in other.failures if f.finding.statement not in known]
        for kind, count in other.kinds.items():
            self.kinds[kind] = self.kinds.get(kind, 0) + count
        for limit, (came, seen) in other.limits.items():
            before = self.limits.get(limit, (0, 0))
            self.limits[limit] = (before[0] + came, before[1] + seen)
        self.coverage.merge(other.coverage)

    def add_alike(self, one: Verdict, callers: int) -> None:
        """Add callers that the guest judged and that did what the caller of ``one``, which broke nothing, did."""
        self.callers += callers
        self.in_guest += callers
        for id_, result in one.statements.items():
            if result.callers:
                mine = self.statements[id_]
                mine.callers += callers
                mine.in_guest += callers
                for kind, count in result.kinds.items():
                    mine.kinds[kind] = mine.kinds.get(kind, 0) + count * callers
        for kind, count in one.kinds.items():
            self.kinds[kind] = self.kinds.get(kind, 0) + count * callers
        for limit, (came, seen) in one.limits.items():
            before = self.limits.get(limit, (0, 0))
            self.limits[limit] = (before[0] + came * callers, before[1] + seen * callers)
