"""The suite: many cases through one kernel's trampolines, and the verdict."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

from lpgen.assembly import Unit
from lpgen.contract.blame import guilty_pc
from lpgen.contract.guests import Guests, GuestSuite
from lpgen.contract.judge import Finding, Judge
from lpgen.contract.limits import limits_shown
from lpgen.contract.statements import STATEMENTS
from lpgen.contract.verdict import Failure, StatementResult, Verdict
from lpgen.kernel.generations import Kernel
from lpgen.machine.cases import SPECIAL_SHAPES, Case, case, fixed_cases, interrupt_plan, special_cases
from lpgen.machine.conductor import Conductor
from lpgen.machine.plan import INTERRUPT_MODES, Interrupt
from lpgen.machine.trip import Trip
from lpgen.machine.world import World

# Statements that only a kernel with the feature has.
_NEEDS = {"X3": "livepatch", **{f"L{n}": "livepatch" for n in range(1, 8)}, "X2": "full_regs"}
_NEEDS |= {"S6": "kprobe_test", "S7": "direct_calls", "S8": "graph_hook", "S8m": "mcount", "S8r": "return_to_handler"}
# Calls nested deeper than this are not watched at every instruction: that takes seconds and shows nothing new.
WATCHED_DEPTH = 8
# Of the cases of each special way of calling, this many are watched.
WATCHED_SHAPES = 2
# Unicorn's translations pile up, since each run ends in a freshly translated exit: drop them now and then.
RUNS_BETWEEN_FLUSHES = 512
# The special ways of calling that `--interrupts` interrupts at every boundary; those that the options allow.
INTERRUPTED = (
    "off",
    "edit-link",
    "pointer",
    "graph",
    "patched-pointer",
    "patched-edit-link",
    "patched-to-kernel",
    "patched-nested",
    "patched-sibling-patched",
    "patched-marker",
    "disabled",
    "early",
    "kprobe",
    "direct",
    "direct-tracer",
    "patched-graph",
)


@dataclass(frozen=True, slots=True)
class Item:
    """One piece of work: case ``number``; if ``boundary`` is not 0, interrupted in ``mode`` before that instruction."""

    number: int
    boundary: int = 0
    mode: str = ""


def applicable(kernel: Kernel) -> list[str]:
    """Return the ids of the statements that ``kernel`` has to keep, in contract order."""
    return [id_ for id_ in STATEMENTS if _NEEDS.get(id_) is None or _NEEDS[id_] in kernel.features]


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

    The fixed cases of a run, interrupted ones, and every failing one again are run with each instruction watched.
    """

    def __init__(self, kernel: Kernel, unit: Unit, *, seed: int = 0) -> None:
        self.kernel = kernel
        self.unit = unit
        self.seed = seed
        self._fast: Conductor | None = None
        self._slow: Conductor | None = None
        self._guests: GuestSuite | None = None
        self._runs = 0

    def conductor(self, *, watch: bool) -> Conductor:
        """Return the conductor of the watched or of the fast world, built on first use."""
        if watch:
            if self._slow is None:
                self._slow = Conductor(World(self.kernel, self.unit, watch=True))
            return self._slow
        if self._fast is None:
            self._fast = Conductor(World(self.kernel, self.unit))
        return self._fast

    def case(self, item: Item | int) -> Case:
        """Return the case of a piece of work, with its interrupt."""
        if isinstance(item, int):
            item = Item(item)
        one = case(self.kernel, item.number, self.seed)
        if not item.boundary:
            return one
        plan = interrupt_plan(self.kernel, item.mode, self.seed + item.number)
        interrupt = Interrupt(item.boundary, item.mode, plan)
        interrupted = replace(one.plan, interrupt=interrupt).settled(self.kernel)
        return Case(item.number, f"{one.name}@{item.boundary}:{item.mode}", interrupted)

    def empty_verdict(self, *, full: bool) -> Verdict:
        """Return the verdict of no case at all."""
        statements = {id_: StatementResult(id_, STATEMENTS[id_].text) for id_ in applicable(self.kernel)}
        return Verdict(self.kernel, self.seed, full=full, statements=statements)

    def run(
        self,
        items: Iterable[Item | int | Case | Guests],
        *,
        full: bool = True,
        watch_all: bool = False,
        trace_all: bool = False,
        tick: Callable[[int], None] | None = None,
    ) -> Verdict:
        """Run the pieces of work ``items`` (a bare number: that case); ``tick`` is told how many more are done.

        A Case is run as it is, whatever its number. Of Guests those that do not pass in the guest are judged in full.

        ``watch_all``: watch every instruction of every case; ``trace_all``: of what is interrupted judge the steps too,
        not only what comes of them, which takes three times as long. ``full``: a statement not exercised is a failure.
        """
        verdict = self.empty_verdict(full=full)
        advance = tick or (lambda done: None)
        for item in items:
            if isinstance(item, Guests):
                self._guests = self._guests or GuestSuite(self)
                self._guests.run(verdict, item, advance)
                continue
            self.run_into(verdict, item, watch_all=watch_all, trace_all=trace_all)
            advance(1)
        return verdict

    def run_into(
        self, verdict: Verdict, item: Item | int | Case, *, watch_all: bool = False, trace_all: bool = False
    ) -> None:
        """Run one piece of work as ``run`` does, and add what it shows to ``verdict``."""
        one = item if isinstance(item, Case) else self.case(item)
        watch = watch_all or self.watches(one)
        conductor = self.conductor(watch=watch)
        # With an interrupt, what counts is what comes of it; the steps are watched in the cases without one.
        trace = (watch and trace_all) or (watch and one.plan.interrupt is None)
        self.count(verdict, one, conductor, conductor.run(one.plan, trace=trace, values=one.values))
        self._runs += 1
        if self._runs % RUNS_BETWEEN_FLUSHES == 0:
            self._flush()

    def watches(self, one: Case) -> bool:
        """True for a case that a run watches at every instruction, or interrupts."""
        sample = one.number < special_cases(self.kernel) and one.number % SPECIAL_SHAPES < WATCHED_SHAPES
        return one.plan.interrupt is not None or (sample and one.plan.depth() <= WATCHED_DEPTH)

    def _flush(self) -> None:
        for conductor in (self._fast, self._slow):
            if conductor is not None:
                conductor.engine.flush()

    def boundaries(self, number: int) -> int:
        """Return how many instructions of the trampolines case ``number`` executes."""
        plan = replace(case(self.kernel, number, self.seed).plan, interrupt=None)
        return _instructions(self.conductor(watch=True).run(plan))

    def interrupt_items(self) -> Iterator[Item]:
        """Yield every boundary of the calls of INTERRUPTED, in every mode."""
        for number in self.interrupted():
            last = self.boundaries(number)
            for mode in INTERRUPT_MODES:
                yield from (Item(number, boundary, mode) for boundary in range(1, last + 1))

    def interrupted(self) -> Iterator[int]:
        """Yield the numbers of the cases that ``interrupt_items`` interrupts."""
        for number in range(special_cases(self.kernel)):
            name, _, shape = case(self.kernel, number, self.seed).name.rpartition("-")
            # Of each way the second case goes through ftrace_caller where there is ftrace_regs_caller too.
            if name in INTERRUPTED and (shape == "0" or (shape == "1" and "two_entries" in self.kernel.features)):
                yield number

    def count(self, verdict: Verdict, one: Case, conductor: Conductor, trip: Trip) -> None:
        """Judge what ``conductor`` showed of a case, and add it to ``verdict``."""
        watch = conductor.world.watched
        checks, findings = judge_trip(conductor.world, trip)
        kinds = one.plan.kinds()
        if trip.interruption is None:
            # The way was over before the boundary was reached.
            kinds -= {"interrupt", *(f"interrupt {mode}" for mode in INTERRUPT_MODES)}
        verdict.callers += 1
        verdict.watched += watch and one.plan.interrupt is None
        verdict.interrupted += trip.interruption is not None
        if watch:
            verdict.coverage.add(trip, conductor.world.text[0])
        for kind in kinds:
            verdict.kinds[kind] = verdict.kinds.get(kind, 0) + 1
        limits: dict[str, bool] = {}
        for limit, seen in limits_shown(conductor.world, trip):
            limits[limit] = limits.get(limit, True) and seen
        for limit, seen in limits.items():
            before = verdict.limits.get(limit, (0, 0))
            verdict.limits[limit] = (before[0] + 1, before[1] + seen)
        for id_, count in checks.items():
            result = verdict.statements[id_]
            result.callers += 1
            result.checks += count
            for kind in kinds:
                result.kinds[kind] = result.kinds.get(kind, 0) + 1
        for id_ in {f.statement: None for f in findings}:
            result = verdict.statements[id_]
            result.broken += 1
            result.killers = kinds if result.killers is None else result.killers & kinds
            if result.broken == 1:
                verdict.failures.append(self.failure(one, next(f for f in findings if f.statement == id_)))

    def findings(self, one: Case) -> list[Finding]:
        """Run one case, watched, and return what was found."""
        conductor = self.conductor(watch=True)
        return judge_trip(conductor.world, conductor.run(one.plan, values=one.values))[1]

    def failure(self, one: Case, finding: Finding) -> Failure:
        """Run a failing case again, watched, to name the instruction."""
        failure = Failure(one, finding)
        conductor = self.conductor(watch=True)
        trip = conductor.run(one.plan, values=one.values)
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


def _instructions(trip: Trip) -> int:
    steps = sum(1 for m in trip.moments for s in m.steps if s.kind == "insn")
    steps += sum(1 for s in trip.last_steps if s.kind == "insn" and not trip.cut_short)
    return steps + sum(_instructions(inner) for inner in trip.inner)


def default_callers(kernel: Kernel) -> int:
    """Return how many callers a run has when none are asked for: the fixed ones and a hundred random ones."""
    return fixed_cases(kernel) + 100
