"""The suite: many cases through one kernel's trampolines, and the verdict."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from lpgen.assembly import Unit
from lpgen.contract.blame import guilty_pc
from lpgen.contract.judge import Finding, Judge
from lpgen.contract.statements import STATEMENTS
from lpgen.kernel.generations import Kernel
from lpgen.machine.cases import Case, case, fixed_cases
from lpgen.machine.conductor import Conductor
from lpgen.machine.trip import Trip
from lpgen.machine.world import World

# Statements that only a kernel with the feature has.
_NEEDS = {"X3": "livepatch", **{f"L{n}": "livepatch" for n in range(1, 8)}, "S8": "graph_hook", "X2": "full_regs"}
FAILURES_KEPT = 1


@dataclass(slots=True)
class StatementResult:
    """One statement over a run: callers that exercised it, single checks, callers that saw it broken."""

    id: str
    text: str
    callers: int = 0
    checks: int = 0
    broken: int = 0


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
    """What a run says. ``holds`` is False when a statement is broken or, in a full run, was never exercised."""

    kernel: Kernel
    seed: int
    callers: int = 0
    watched: int = 0
    full: bool = True
    statements: dict[str, StatementResult] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)

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


def applicable(kernel: Kernel) -> list[str]:
    """Return the ids of the statements that ``kernel`` has to keep, in contract order."""
    return [id_ for id_ in STATEMENTS if _NEEDS.get(id_, "full_regs") in kernel.features or id_ not in _NEEDS]


def judge_trip(
    world: World, trip: Trip, path: tuple[int, ...] = (), root: Trip | None = None
) -> tuple[dict[str, int], list[Finding]]:
    """Judge a trip and those inside it by every statement: checks per statement, findings (the deepest first)."""
    checks: dict[str, int] = {}
    findings: list[Finding] = []
    for index, inner in enumerate(trip.inner):
        inner_checks, inner_findings = judge_trip(world, inner, (*path, index), root or trip)
        for id_, count in inner_checks.items():
            checks[id_] = checks.get(id_, 0) + count
        findings += inner_findings
    judge = Judge(world, root or trip, trip, path)
    for id_ in applicable(world.kernel):
        judge.statement = id_
        STATEMENTS[id_].check(judge)
    for id_, count in judge.checks.items():
        checks[id_] = checks.get(id_, 0) + count
    return checks, findings + judge.findings


class Suite:
    """Runs cases on one kernel and unit of trampolines.

    The first ``watched`` cases, and every failing one again, are run with each instruction watched.
    """

    def __init__(self, kernel: Kernel, unit: Unit, *, seed: int = 0) -> None:
        self.kernel = kernel
        self.unit = unit
        self.seed = seed
        self._fast: Conductor | None = None
        self._slow: Conductor | None = None

    def conductor(self, *, watch: bool) -> Conductor:
        """Return the conductor of the watched or of the fast world, built on first use."""
        if watch:
            if self._slow is None:
                self._slow = Conductor(World(self.kernel, self.unit, watch=True))
            return self._slow
        if self._fast is None:
            self._fast = Conductor(World(self.kernel, self.unit))
        return self._fast

    def run(
        self, numbers: Iterable[int], *, watched: int = 0, full: bool = True, tick: Callable[[], None] | None = None
    ) -> Verdict:
        """Run the cases ``numbers``; ``tick`` is called after each one."""
        verdict = Verdict(self.kernel, self.seed, full=full)
        verdict.statements = {id_: StatementResult(id_, STATEMENTS[id_].text) for id_ in applicable(self.kernel)}
        for number in numbers:
            one = case(self.kernel, number, self.seed)
            watch = verdict.callers < watched or one.plan.interrupt is not None
            conductor = self.conductor(watch=watch)
            trip = conductor.run(one.plan)
            checks, findings = judge_trip(conductor.world, trip)
            verdict.callers += 1
            verdict.watched += watch
            self._add(verdict, one, checks, findings)
            if tick is not None:
                tick()
        return verdict

    def _add(self, verdict: Verdict, one: Case, checks: dict[str, int], findings: list[Finding]) -> None:
        for id_, count in checks.items():
            result = verdict.statements[id_]
            result.callers += 1
            result.checks += count
        for id_ in {f.statement for f in findings}:
            verdict.statements[id_].broken += 1
            kept = sum(1 for f in verdict.failures if f.finding.statement == id_)
            if kept < FAILURES_KEPT:
                verdict.failures.append(self._failure(one, next(f for f in findings if f.statement == id_)))

    def _failure(self, one: Case, finding: Finding) -> Failure:
        """Run the case again, watched, to name the instruction."""
        failure = Failure(one, finding)
        conductor = self.conductor(watch=True)
        trip = conductor.run(one.plan)
        _, again = judge_trip(conductor.world, trip)
        same = next((f for f in again if f.statement == finding.statement and f.what == finding.what), None)
        pc = guilty_pc(trip, same or finding)
        if pc is None:
            return failure
        failure.address = pc
        failure.symbol = conductor.world.name_of(pc)
        line = conductor.world.image.line_at(pc)
        if line is not None:
            failure.instruction = line.text
            failure.place = str(line.place)
            failure.template = str(line.template) if line.template is not None else ""
        return failure


def default_callers(kernel: Kernel) -> int:
    """Return how many callers a run has when none are asked for: the fixed ones and some random ones."""
    return max(500, fixed_cases(kernel) + 100)
