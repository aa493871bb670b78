"""Does verify see a mutant? Callers in an order that was learned, up to the first that sees a statement broken.

A caller whose way through the code as it was does not execute a changed instruction goes the same way through the
mutant, and is left out. What ftrace patches is checked for each mutant, as for any trampolines.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from lpgen.assembly import Unit
from lpgen.campaign.mutants import Mutant
from lpgen.contract.judge import Finding
from lpgen.contract.suite import RUNS_BETWEEN_FLUSHES, WATCHED_DEPTH, Item, Suite, default_callers, judge_trip
from lpgen.errors import LpgenError
from lpgen.kernel.generations import Kernel
from lpgen.machine.cases import SPECIAL_SHAPES, Case, special_cases
from lpgen.machine.plan import INTERRUPT_MODES
from lpgen.machine.rewriting import Rewriter

# The order is learned from so many mutants, each with at most so many callers.
SAMPLE, SAMPLE_CALLERS = 96, 48
# An interrupt this many instructions before or behind a changed one is near it.
NEAR = 2


@dataclass(frozen=True, slots=True)
class Caller:
    """A case, and whether it is run with every instruction watched (or interrupted); ``covers`` are byte offsets.

    They are those of the instructions that its way through the unchanged code executes.
    """

    case: Case
    watch: bool
    covers: frozenset[int]


@dataclass(frozen=True, slots=True)
class Ways:
    """What a full round for a mutant is made of.

    ``callers`` in the order in which they are tried; ``interrupted``: for the cases that `--interrupts` takes the byte
    offsets of the instructions that they execute, in order.
    """

    callers: tuple[Caller, ...]
    interrupted: Mapping[int, tuple[int, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Kill:
    """Who saw what: the statements broken, the name of the case, and the first finding in words."""

    statements: tuple[str, ...]
    caller: str
    what: str


class Bench:
    """The two worlds of one kernel's unit, a fast and a watched one, in which its mutants are run one by one.

    Raises LpgenError when the unit is none that can be run.
    """

    def __init__(self, kernel: Kernel, unit: Unit) -> None:
        self.kernel = kernel
        self.suite = Suite(kernel, unit)
        self._conductors = {watch: self.suite.conductor(watch=watch) for watch in (False, True)}
        self._rewriters = {watch: Rewriter(one.world) for watch, one in self._conductors.items()}
        self._changed: dict[int, int] = {}
        self._written = {False: False, True: False}
        self._runs = 0

    @property
    def text(self) -> bytes:
        """The bytes of .text as they are linked."""
        return self._rewriters[False].text

    @property
    def unit(self) -> Unit:
        """The unit as it was linked, all its code in .text."""
        return self._conductors[False].world.image.unit

    def name_of(self, offset: int) -> str:
        """Return symbol+offset of a byte offset in .text."""
        world = self._conductors[False].world
        return world.name_of(world.text[0] + offset)

    def change(self, words: Mapping[int, int]) -> None:
        """Have the words at byte offsets in .text in both worlds. Raises LpgenError when ftrace would not patch it."""
        self._changed = dict(words)
        self._written = {False: True, True: False}
        self._rewriters[False].rewrite(self._changed)

    def run(self, case: Case, *, watch: bool) -> list[Finding]:
        """Run a case and return what was found."""
        if not self._written[watch]:
            self._rewriters[watch].rewrite(self._changed)
            self._written[watch] = True
        conductor = self._conductors[watch]
        self._runs += 1
        if self._runs % RUNS_BETWEEN_FLUSHES == 0:
            conductor.engine.flush()
        trip = conductor.run(case.plan, trace=watch and case.plan.interrupt is None)
        return judge_trip(conductor.world, trip)[1]

    def covered(self, case: Case, *, watch: bool) -> frozenset[int]:
        """Return the byte offsets in .text of the instructions that a case executes."""
        blocks: set[tuple[int, int]] = set()
        self._recorded(case, watch, blocks, None)
        first, end = self._conductors[watch].world.text
        return frozenset(
            at - first for start, size in blocks if first <= start < end for at in range(start, start + size, 4)
        )

    def visited(self, number: int) -> tuple[int, ...]:
        """Return the byte offsets in .text of the instructions that case ``number`` executes, in order."""
        pcs: list[int] = []
        one = self.suite.case(Item(number))
        self._recorded(replace(one, plan=replace(one.plan, interrupt=None)), True, None, pcs)
        first = self._conductors[True].world.text[0]
        return tuple(pc - first for pc in pcs)

    def _recorded(self, case: Case, watch: bool, blocks: set[tuple[int, int]] | None, pcs: list[int] | None) -> None:
        engine = self._conductors[watch].engine
        engine.record(blocks, pcs)
        try:
            self._conductors[watch].run(case.plan, trace=False)
        finally:
            engine.record(None)


def ways(bench: Bench, check: Callable[[], None]) -> Ways:
    """Return all that `lpgen verify` sends, fast ones first, with what each executes. ``check`` is called in between.

    A case that is watched at every instruction comes twice: without that it shows most of what it shows at all.
    """
    fast: list[Caller] = []
    slow: list[Caller] = []
    for number in range(default_callers(bench.kernel)):
        check()
        one = bench.suite.case(Item(number))
        interrupted = one.plan.interrupt is not None
        covers = bench.covered(one, watch=interrupted)
        if not interrupted:
            fast.append(Caller(one, False, covers))
        if bench.suite.watches(one):
            slow.append(Caller(one, True, covers))
    fixed = special_cases(bench.kernel)

    def first(caller: Caller) -> tuple[bool, int, int]:
        # One of each way of calling before the second one of any.
        number = caller.case.number
        shape = number % SPECIAL_SHAPES if number < fixed else SPECIAL_SHAPES
        return caller.case.plan.depth() > WATCHED_DEPTH, shape, number

    visited = {number: bench.visited(number) for number in bench.suite.interrupted()}
    return Ways((*sorted(fast, key=first), *slow), visited)


def learned(bench: Bench, known: Ways, sample: Iterable[Mutant], check: Callable[[], None]) -> Ways:
    """Return the same ways with those callers first that see most of ``sample``: the same for the same sample."""
    seen = [0] * len(known.callers)
    trial = Round(bench, known, check)
    for mutant in sample:
        try:
            trial.begin(mutant.words(bench.text))
        except LpgenError:
            continue
        if trial.quick(SAMPLE_CALLERS) is not None:
            seen[trial.last] += 1
    bench.change({})
    # Stable: those that saw none stay in the order in which they are, fast before slow.
    order = sorted(range(len(seen)), key=lambda index: (known.callers[index].watch, -seen[index]))
    return Ways(tuple(known.callers[index] for index in order), known.interrupted)


class Round:
    """The callers for a few mutants that are much alike: who saw one is asked first about the next.

    ``last`` is the index of the caller that saw the last one, ``sent`` how many were sent for the one at hand.
    """

    def __init__(self, bench: Bench, known: Ways, check: Callable[[], None]) -> None:
        self._bench = bench
        self._known = known
        self._check = check
        self._order = list(range(len(known.callers)))
        self._left: list[int] = []
        self._words: Mapping[int, int] = {}
        self.last = -1
        self.sent = 0

    def begin(self, words: Mapping[int, int]) -> None:
        """Turn to a mutant, the one with ``words``; {}: one that is not known by its words, which all callers see.

        Raises LpgenError when ftrace would not patch it.
        """
        self._words, self.sent = words, 0
        callers = self._known.callers
        self._left = [index for index in self._order if not words or not callers[index].covers.isdisjoint(words)]
        self._bench.change(words)

    def quick(self, limit: int) -> Kill | None:
        """Send the first ``limit`` callers that come to the changed instructions."""
        return self._send(limit)

    def rest(self) -> Kill | None:
        """Send all others, then interrupts at the boundaries near the changed instructions."""
        kill = self._send(len(self._left))
        if kill is not None:
            return kill
        for item in near_items(self._known, self._words):
            kill = self._ask(self._bench.suite.case(item), watch=True)
            if kill is not None:
                return kill
        return None

    def _send(self, limit: int) -> Kill | None:
        now, self._left = self._left[:limit], self._left[limit:]
        for index in now:
            caller = self._known.callers[index]
            kill = self._ask(caller.case, watch=caller.watch)
            if kill is not None:
                self.last = index
                self._order.remove(index)
                self._order.insert(0, index)
                return kill
        return None

    def _ask(self, one: Case, *, watch: bool) -> Kill | None:
        self._check()
        self.sent += 1
        found = self._bench.run(one, watch=watch)
        if not found:
            return None
        first = found[0]
        said = f"{first.where}: {first.what}, expected {first.expected}, seen {first.seen}"
        return Kill(tuple(dict.fromkeys(finding.statement for finding in found)), one.name, said)


def near_items(known: Ways, words: Mapping[int, int]) -> Iterator[Item]:
    """Yield the interrupts, in every mode, at the boundaries near the changed instructions; none for {}."""
    near = {offset + 4 * step for offset in words for step in range(-NEAR, NEAR + 1)}
    for number, visited in known.interrupted.items():
        if not set(words).isdisjoint(visited):
            for boundary, offset in enumerate(visited, 1):
                if offset in near:
                    yield from (Item(number, boundary, mode) for mode in INTERRUPT_MODES)
