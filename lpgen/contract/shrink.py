"""A smaller counterexample: the simplest call that still breaks the same statement.

Greedy and deterministic: of the simpler plans, boldest first, the first that still breaks the statement is taken, and
so on from there, until none does or the budget of runs is used up. Every step lowers ``weight``, so it comes to an end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields, replace

from lpgen.callers.placement import Prototype
from lpgen.callers.shape import CallShape
from lpgen.callers.shape import shrink as smaller_shapes
from lpgen.callers.types import Array, CType, Float, Integer, Struct, Vector, Void
from lpgen.contract.judge import Finding
from lpgen.contract.suite import Suite, judge_trip
from lpgen.contract.verdict import Failure, Verdict
from lpgen.errors import LpgenError
from lpgen.machine.cases import Case
from lpgen.machine.plan import CALLS, FRAME, KEEP, PATCH, SAME, Interrupt, Plan
from lpgen.machine.plan_text import check_plan
from lpgen.machine.world import World

BUDGET = 300
# The seeds that are tried for the smallest plan; those whose values tell most come first.
SEEDS = range(1, 17)
# Fields that are simplest at their default, in the order in which they are put back.
_FLAGS = ("graph", "edit", "link", "sleep", "wander", "twin", "spill", "stub", "pointer")
_LATE_FLAGS = ("early", "disabled", "kprobe", "lean")
_NUMBERS = ("thread", "form", "home_b", "home_a", "marker", "direct")
_HOME_C = 2
_CHAIN = 8
_NOTHING = CallShape("f", Prototype(Void()))


@dataclass(frozen=True, slots=True)
class ShrunkCase(Case):
    """A case with the smaller plan that was found; ``original`` is its own plan, ``runs`` what finding it took.

    ``interrupted`` names the instruction that the interrupt came before, and its place.
    """

    original: Plan
    runs: int
    interrupted: str = ""


class _Search:
    """Looks for a smaller plan; ``left`` runs are left."""

    def __init__(self, suite: Suite, statement: str, plan: Plan, budget: int, tick: Callable[[], None] | None) -> None:
        self.suite = suite
        self._tick = tick
        self.statement = statement
        self.plan = plan
        self.left = budget
        self._kernel = suite.kernel
        self._tried: set[Plan] = {plan}
        self._watch = plan.interrupt is not None or not self._breaks(plan, watch=False)

    def _breaks(self, plan: Plan, *, watch: bool) -> bool:
        self.left -= 1
        if self._tick is not None:
            self._tick()
        conductor = self.suite.conductor(watch=watch)
        trip = conductor.run(plan, trace=plan.interrupt is None)
        return any(f.statement == self.statement for f in judge_trip(conductor.world, trip)[1])

    def take(self, candidate: Plan) -> bool:
        """Go on from ``candidate`` if it is simpler and breaks the statement."""
        if self.left <= 0:
            return False
        plan = candidate.settled(self._kernel)
        if plan in self._tried or weight(plan) >= weight(self.plan):
            return False
        self._tried.add(plan)
        try:
            check_plan(plan)
        except LpgenError:
            return False
        if not self._breaks(plan, watch=self._watch or plan.interrupt is not None):
            return False
        self.plan = plan
        return True

    def settle_down(self) -> None:
        """Take simpler plans until there are none, then the best seed and the first boundary."""
        while self.left > 0:
            before = self.plan
            for moves in (_fewer_calls, _plainer, _smaller_shapes):
                while any(self.take(candidate) for candidate in moves(self.plan)):
                    pass
            if self.plan == before:
                break
        self._first_boundary()
        for part in range(_calls(self.plan) if self.plan.depth() <= _CHAIN else 1):
            # Each call's seed, the outermost one's first.
            any(self.take(_with_seed(self.plan, part, seed)) for seed in _telling_seeds(_call(self.plan, part).shape))

    def _first_boundary(self) -> None:
        during = self.plan.interrupt
        if during is not None:
            scan = (replace(self.plan, interrupt=replace(during, boundary=n)) for n in range(1, during.boundary))
            any(self.take(candidate) for candidate in scan)


def shrink(suite: Suite, case: Case, finding: Finding, budget: int = BUDGET, hints: Iterable[Plan] = ()) -> Plan:
    """Return the smallest plan found that breaks the statement of ``finding`` as ``case`` does.

    At most ``budget`` plans are run. ``hints`` are tried first, such as what another statement's search came to. The
    plan returned weighs less than the case's, or is the case's own.
    """
    return _search(suite, case, finding, budget, hints).plan


def _search(
    suite: Suite,
    case: Case,
    finding: Finding,
    budget: int,
    hints: Iterable[Plan],
    tick: Callable[[], None] | None = None,
) -> _Search:
    search = _Search(suite, finding.statement, case.plan, budget, tick)
    for hint in sorted(hints, key=weight):
        if search.take(hint):
            break
    search.settle_down()
    return search


def shrink_failures(
    suite: Suite, verdict: Verdict, budget: int = BUDGET, tick: Callable[[], None] | None = None
) -> None:
    """Replace each failure of ``verdict`` by one of the same statement with the smallest plan found (ShrunkCase).

    ``tick`` is called before each run; what it raises ends the search.
    """
    found: list[Plan] = []
    for number, failure in enumerate(verdict.failures):
        case = failure.case
        if case.values:
            # Chosen values are for this very plan.
            continue
        search = _search(suite, case, failure.finding, budget, found, tick)
        found.append(search.plan)
        again = _failure(
            suite, ShrunkCase(case.number, case.name, search.plan, case.plan, budget - search.left), failure
        )
        if again is not None:
            verdict.failures[number] = again


def _failure(suite: Suite, case: ShrunkCase, failure: Failure) -> Failure | None:
    conductor = suite.conductor(watch=True)
    trip = conductor.run(case.plan, trace=case.plan.interrupt is None)
    statement = failure.finding.statement
    seen = [f for f in judge_trip(conductor.world, trip)[1] if f.statement == statement]
    if trip.interruption is not None:
        case = replace(case, interrupted=_instruction(conductor.world, trip.interruption.pc))
    return suite.failure(case, seen[0]) if seen else None


def _instruction(world: World, pc: int) -> str:
    line = world.image.line_at(pc)
    if line is None:
        return f"before {world.name_of(pc)}"
    places = [str(place) for place in (line.place, line.template) if place is not None]
    return f"before {world.name_of(pc)}: {line.text} ({', '.join(places)})"


# What is simpler


def weight(plan: Plan) -> tuple[int, ...]:
    """How big a plan is, comparable: calls, interrupts, what is special, size of the types, boundary, seeds."""
    plans = list(_all(plan))
    return (
        len(plans),
        sum(p.interrupt is not None for p in plans),
        sum(_special(p) for p in plans),
        sum(_shape_cost(p.shape) for p in plans),
        sum(p.interrupt.boundary for p in plans if p.interrupt is not None),
        sum(p.seed for p in plans),
    )


def _special(plan: Plan) -> int:
    cost = sum(int(getattr(plan, name)) for name in (*_FLAGS, *_LATE_FLAGS, *_NUMBERS))
    cost += {KEEP: 0, SAME: 1, PATCH: 2}[plan.nip] + (not plan.tracing)
    during = plan.interrupt
    return cost + abs(plan.home_c - _HOME_C) + (0 if during is None or during.mode == FRAME else 1)


def _shape_cost(shape: CallShape) -> int:
    prototype = shape.prototype
    types = sum(_cost(ctype) for ctype in shape.arguments)
    return types + 3 * prototype.variadic + _cost(prototype.result) + (shape.name != "f")


def _cost(ctype: CType) -> int:
    if isinstance(ctype, Struct):
        return 5 + sum(_cost(member) for member in ctype.members)
    if isinstance(ctype, Array):
        return 2 + ctype.count * _cost(ctype.element)
    if isinstance(ctype, Void):
        return 0
    if isinstance(ctype, Integer):
        return {(8, True): 1, (4, True): 2}.get((ctype.size, ctype.signed), 3)
    if isinstance(ctype, Float):
        return 2 if ctype.size == 8 else 3
    return 3 if isinstance(ctype, Vector) and ctype.element == Integer(4) else 4


def _parts(plan: Plan) -> Iterator[tuple[str, int, Plan]]:
    """Yield the calls that belong to a call: the field, the index in it, the plan."""
    for name in ("inner", "recursion"):
        for index, inside in enumerate(getattr(plan, name)):
            yield name, index, inside
    for name in ("sibling", "beside"):
        if (single := getattr(plan, name)) is not None:
            yield name, 0, single
    if plan.interrupt is not None and plan.interrupt.plan is not None:
        yield "interrupt", 0, plan.interrupt.plan


def _near(plan: Plan) -> list[tuple[str, int, Plan]]:
    """The parts of a call, but not those of a long chain: that is looked at as a whole."""
    return list(_parts(plan)) if plan.depth() <= _CHAIN else []


def _all(plan: Plan) -> Iterator[Plan]:
    yield plan
    for _, _, inside in _parts(plan):
        yield from _all(inside)


def _calls(plan: Plan) -> int:
    return sum(1 for _ in _all(plan))


def _call(plan: Plan, number: int) -> Plan:
    return list(_all(plan))[number]


def _exchanged(plan: Plan, name: str, index: int, inside: Plan | None) -> Plan:
    """Return the plan with one of the calls that belong to it replaced, or left out."""
    if name in ("inner", "recursion"):
        plans = getattr(plan, name)
        made = (*plans[:index], *(() if inside is None else (inside,)), *plans[index + 1 :])
        return replace(plan, **{name: made})  # type: ignore[arg-type]
    if name == "interrupt":
        during = plan.interrupt
        return replace(plan, interrupt=None if during is None or inside is None else replace(during, plan=inside))
    if name == "sibling":
        return replace(plan, sibling=inside, stub=plan.stub and inside is not None)
    return replace(plan, beside=inside)


def _with_seed(plan: Plan, number: int, seed: int) -> Plan:
    """Return the plan with the seed of its ``number``-th call (as ``_all`` counts) replaced."""
    if number == 0:
        return replace(plan, seed=seed)
    number -= 1
    for name, index, inside in _parts(plan):
        if number < (size := _calls(inside)):
            return _exchanged(plan, name, index, _with_seed(inside, number, seed))
        number -= size
    return plan


def _bare(plan: Plan) -> Plan:
    return replace(plan, inner=(), recursion=(), sibling=None, stub=False, beside=None, interrupt=None)


def _cut(plan: Plan, levels: int) -> Plan:
    """Return the plan without the calls nested deeper than ``levels``."""
    inner = tuple(_cut(p, levels - 1) for p in plan.inner) if levels > 1 else ()
    return replace(plan, inner=inner)


def _fewer_calls(plan: Plan) -> Iterator[Plan]:
    """Plans with fewer calls or no interrupt: the call alone, one of its own, half of a chain, one call less."""
    parts = list(_parts(plan))
    if not parts and plan.interrupt is None:
        return
    yield _bare(plan)
    during = plan.interrupt
    for inside in (p for _, _, p in parts):
        yield _bare(replace(inside, thread=plan.thread))
    for levels in _halves(plan.depth()):
        yield _cut(plan, levels)
        yield replace(_deep(plan, plan.depth() - levels), interrupt=during)
    for inside in (p for _, _, p in parts):
        yield replace(inside, interrupt=during)
    yield replace(plan, interrupt=None)
    if during is not None and during.plan is not None:
        yield replace(plan, interrupt=Interrupt(during.boundary))
        if during.mode != CALLS:
            yield replace(plan, interrupt=replace(during, mode=CALLS, plan=replace(during.plan, thread=plan.thread)))
    for name, index, inside in parts:
        if name != "interrupt":
            yield _exchanged(plan, name, index, None)
        # The call's own calls take its place.
        for deeper in inside.inner:
            yield _exchanged(plan, name, index, deeper)
    for name, index, inside in _near(plan):
        for fewer in _fewer_calls(inside):
            yield _exchanged(plan, name, index, fewer)


def _each(plan: Plan, changes: dict[str, object]) -> Plan:
    """Return a chain of calls with the changes made in each of them."""
    return replace(plan, **changes, inner=tuple(_each(p, changes) for p in plan.inner))  # type: ignore[arg-type]


def _halves(depth: int) -> Iterator[int]:
    """Yield smaller depths: half of it, then three quarters and so on, up to one less."""
    less = depth // 2
    while less:
        yield depth - less
        less //= 2


def _deep(plan: Plan, levels: int) -> Plan:
    for _ in range(levels):
        plan = max(plan.inner, key=Plan.depth)
    return plan


def _plainer(plan: Plan) -> Iterator[Plan]:
    """Plans with the same calls and less that is special: all of it off, then one after the other."""
    defaults = {f.name: f.default for f in fields(Plan) if f.name in (*_FLAGS, *_LATE_FLAGS, *_NUMBERS)}
    defaults["home_c"] = _HOME_C
    if plan.inner:
        # Each call of a chain at once.
        yield _each(plan, {**defaults, "shape": _NOTHING, "marker": plan.marker})
        yield _each(plan, {"shape": _NOTHING, "seed": SEEDS[0]})
    stub = {} if plan.sibling is None else {"stub": plan.stub}
    yield replace(plan, **{**defaults, **stub}, nip=KEEP, tracing=True)  # type: ignore[arg-type]
    yield replace(plan, **{**defaults, **stub}, tracing=True)  # type: ignore[arg-type]
    yield replace(plan, **{**defaults, **stub, "marker": plan.marker})  # type: ignore[arg-type]
    for name, value in defaults.items():
        if getattr(plan, name) != value:
            yield replace(plan, **{name: value})  # type: ignore[arg-type]
    if plan.marker > 1:
        yield replace(plan, marker=1)
    if plan.home_b > 1:
        yield replace(plan, home_b=1, home_a=min(plan.home_a, 1))
    if plan.home_a > 1:
        yield replace(plan, home_a=1)
    if abs(plan.home_c - _HOME_C) > 1:
        yield replace(plan, home_c=1)
    for nip in (KEEP, SAME):
        if plan.nip not in (KEEP, nip):
            yield replace(plan, nip=nip)
    if not plan.tracing:
        yield replace(plan, tracing=True)
    for name, index, inside in _near(plan):
        for plainer in _plainer(inside):
            yield _exchanged(plan, name, index, plainer)


def _smaller_shapes(plan: Plan) -> Iterator[Plan]:
    """Plans with the same calls that pass less."""
    shape = replace(plan.shape, name="f")
    yield replace(plan, shape=_NOTHING)
    if plan.shape.placement.needs_parameter_save_area:
        # The least that lies in A's frame: a ninth doubleword.
        yield replace(plan, shape=CallShape("f", Prototype(Void(), (Integer(8),) * 9)))
    if plan.shape != shape:
        yield replace(plan, shape=shape)
    for smaller in smaller_shapes(shape):
        yield replace(plan, shape=smaller)
    for name, index, inside in _near(plan):
        if name != "sibling":
            # A sibling has C's type.
            for less in _smaller_shapes(inside):
                yield _exchanged(plan, name, index, less)


def _telling_seeds(shape: CallShape) -> list[int]:
    """Return small seeds; first those whose values tell most: not zeros and ones, and no two the same."""

    def dull(seed: int) -> int:
        plan = Plan(shape, seed)
        values = [v for v in (*plan.values, plan.result) if v]
        edges = sum(len(v) > 1 and (set(v) <= {0, 255} or v.count(0) > len(v) // 2) for v in values)
        return edges + len(values) - len(set(values))

    return sorted(SEEDS, key=lambda seed: (dull(seed), seed))
