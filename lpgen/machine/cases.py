"""Which calls a run makes: case number -> plan, from a seed; the same on every machine and in any order."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from random import Random

from lpgen.callers.randoms import random_shape
from lpgen.callers.shape import CallShape
from lpgen.callers.zoo import zoo
from lpgen.kernel.generations import Kernel
from lpgen.machine.plan import KEEP, MARKERS, PATCH, SAME, Plan
from lpgen.machine.world import HOMES


@dataclass(frozen=True, slots=True)
class Case:
    """Case ``number`` of a run: its name and plan."""

    number: int
    name: str
    plan: Plan


@lru_cache(maxsize=1)
def _zoo() -> tuple[CallShape, ...]:
    return tuple(zoo())


@lru_cache(maxsize=8)
def _special(livepatch: bool, graph: bool) -> tuple[tuple[str, dict[str, object]], ...]:
    """Return the ways of calling that every run has, each with a name, whatever the number of random callers."""
    ways: list[tuple[str, dict[str, object]]] = [
        ("off", {"tracing": False}),
        ("off-pointer", {"tracing": False, "pointer": True, "home_a": 1}),
        ("same-nip", {"nip": SAME}),
        ("link", {"link": True}),
        ("edit", {"edit": True}),
        ("edit-link", {"edit": True, "link": True}),
        ("pointer", {"pointer": True, "home_a": 1, "home_b": 2}),
        ("module", {"home_b": 1, "form": 1}),
        ("inner", {"inner": 1}),
    ]
    if graph:
        ways += [
            ("graph", {"graph": True}),
            ("graph-link", {"graph": True, "link": True}),
            ("graph-edit", {"graph": True, "edit": True}),
            ("graph-off", {"graph": True, "tracing": False}),
        ]
    if livepatch:
        patched: list[tuple[str, dict[str, object]]] = [
            ("link", {"link": True}),
            ("edit", {"edit": True}),
            ("edit-link", {"edit": True, "link": True}),
            ("pointer", {"pointer": True, "home_a": 2, "home_b": 1}),
            ("module", {"home_b": 1, "home_c": 2}),
            ("to-kernel", {"home_b": 2, "home_c": 0, "form": 1}),
            ("same-toc", {"home_b": 1, "home_c": 1}),
            ("twin", {"twin": True}),
            ("marker", {"marker": 1}),
            ("inner", {"inner": 1}),
            ("chain", {"inner": 2}),
            ("other-thread", {"thread": 1}),
        ]
        if graph:
            patched.append(("graph", {"graph": True}))
        ways += [(f"patched-{name}", {**way, "nip": PATCH}) for name, way in patched]
    return tuple(ways)


SPECIAL_SHAPES = 4


def special_cases(kernel: Kernel) -> int:
    """Return how many cases, from number 0 on, are of a special way of calling."""
    return SPECIAL_SHAPES * len(_special("livepatch" in kernel.features, "graph_hook" in kernel.features))


def fixed_cases(kernel: Kernel) -> int:
    """Return how many cases, from number 0 on, are the same for every seed but for the values passed."""
    return special_cases(kernel) + len(_zoo()) * (2 if "livepatch" in kernel.features else 1)


def case(kernel: Kernel, number: int, seed: int = 0) -> Case:
    """Return case ``number`` (from 0) of the run with ``seed``: special ways first, then the zoo, then random ones."""
    name, plan = _case(kernel, number, seed)
    return Case(number, name, plan.settled(len(kernel.call_sites)))


def _case(kernel: Kernel, number: int, seed: int) -> tuple[str, Plan]:
    rng = Random(f"{seed}/{number}")
    livepatch, graph = "livepatch" in kernel.features, "graph_hook" in kernel.features
    special = special_cases(kernel)
    if number < special:
        name, way = _special(livepatch, graph)[number // SPECIAL_SHAPES]
        return f"{name}-{number % SPECIAL_SHAPES}", _from_way(way, rng, number % SPECIAL_SHAPES)
    at = number - special
    if number < fixed_cases(kernel):
        shape, patched = (_zoo()[at // 2], bool(at % 2)) if livepatch else (_zoo()[at], False)
        plan = Plan(shape, rng.getrandbits(60), home_b=at % 3, nip=PATCH if patched else KEEP)
        return f"{shape.name}{'-patched' if patched else ''}", plan
    return f"random-{number}", random_plan(rng, livepatch=livepatch, graph=graph)


def _from_way(way: dict[str, object], rng: Random, n: int) -> Plan:
    shapes = _zoo()
    shape = shapes[rng.randrange(len(shapes))] if n else next(s for s in shapes if s.placement.memory_bytes)
    depth = way.get("inner", 0)
    fields = {k: v for k, v in way.items() if k != "inner"}
    if "marker" in fields:
        fields["marker"] = 1 + n % MARKERS
    plan = Plan(shape, rng.getrandbits(60), **fields)  # type: ignore[arg-type]
    if isinstance(depth, int):
        for level in range(depth):
            inner_shape = shapes[rng.randrange(len(shapes))]
            inner = replace(plan, shape=inner_shape, seed=rng.getrandbits(60), pointer=True, home_b=level % 3)
            plan = replace(plan, inner=(inner, *plan.inner) if level == 0 else (replace(inner, inner=plan.inner),))
    return plan


def random_plan(rng: Random, *, livepatch: bool, graph: bool, depth: int = 0) -> Plan:
    """Return a random plan; ``livepatch`` and ``graph``: what the kernel's options allow."""
    homes = range(len(HOMES))
    patched = livepatch and rng.random() < 0.6
    inner: tuple[Plan, ...] = ()
    if depth < 4 and rng.random() < 0.12:
        inner = tuple(
            random_plan(rng, livepatch=livepatch, graph=graph, depth=depth + 1) for _ in range(rng.randint(1, 2))
        )
    top = depth == 0
    return Plan(
        shape=random_shape(rng),
        seed=rng.getrandbits(60),
        home_b=rng.choice(homes),
        form=rng.randrange(2),
        pointer=rng.random() < 0.4,
        home_a=rng.choice(homes),
        home_c=rng.choice(homes),
        nip=PATCH if patched else rng.choice((KEEP, KEEP, SAME)),
        link=rng.random() < 0.15,
        edit=rng.random() < 0.15,
        # What ftrace has patched is the same for all calls of a case: inner ones take the outermost one's.
        tracing=not top or rng.random() > 0.05,
        graph=graph and top and rng.random() < 0.25,
        twin=patched and rng.random() < 0.05,
        marker=rng.randint(1, MARKERS) if patched and top and not inner and rng.random() < 0.05 else 0,
        thread=rng.randrange(2) if top else 0,
        inner=inner,
    )
