"""Which calls a run makes: case number -> plan, from a seed; the same on every machine and in any order."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import lru_cache
from random import Random
from typing import Any

from lpgen.callers.randoms import random_shape
from lpgen.callers.shape import CallShape
from lpgen.callers.zoo import zoo
from lpgen.kernel.generations import Kernel
from lpgen.machine import guest_callers
from lpgen.machine.places import BYSTANDER, HOMES
from lpgen.machine.plan import (
    CALLS,
    DIRECT_OPS,
    DIRECT_TRACER,
    FRAME,
    INTERRUPT_MODES,
    KEEP,
    MARKERS,
    PATCH,
    SAME,
    SWITCH,
    Interrupt,
    Plan,
    can_be_sibling,
    can_spill,
)
from lpgen.machine.values import NOTHING, Values

# Of each special way of calling there are this many cases, with different prototypes.
SPECIAL_SHAPES = 4
# This many random cases in a row have the same prototype, with other values, functions and tracers.
SHARED = 4
# An interrupt's boundary in a case that is not made for one boundary: no way through the trampolines is longer.
BOUNDARIES = 150
HARDIRQ, SOFTIRQ, EMERGENCY = 2, 3, 4
DEEP, SHALLOW = 100, 12


@dataclass(frozen=True, slots=True)
class Case:
    """Case ``number`` of a run: its name and plan; ``values`` are chosen ones, where not all are drawn."""

    number: int
    name: str
    plan: Plan
    values: Values = field(default=NOTHING, kw_only=True, hash=False)


@lru_cache(maxsize=1)
def _zoo() -> tuple[CallShape, ...]:
    return tuple(zoo())


@lru_cache(maxsize=1)
def _small() -> tuple[CallShape, ...]:
    """The shapes that need no parameter save area: a hundred of their frames fit on a stack."""
    return tuple(s for s in _zoo() if can_be_sibling(s))


Way = tuple[str, dict[str, Any]]
PATCHED = {"nip": PATCH}


# What decides on the ways of calling.
_DECIDING = frozenset(
    {
        "livepatch",
        "graph_hook",
        "return_to_handler",
        "two_entries",
        "partial_regs",
        "tracing_switch",
        "kprobe_test",
        "direct_calls",
        "mcount",
    }
)


@lru_cache(maxsize=16)
def _special(features: frozenset[str]) -> tuple[Way, ...]:
    """Return the ways of calling that every run has, each with a name, whatever the number of random callers.

    ``inner`` and the like hold the ways of the calls inside. ``features``: those of _DECIDING that the kernel has.
    """
    livepatch, graph = "livepatch" in features, "graph_hook" in features
    far: dict[str, Any] = {"pointer": True, "home_b": 1}
    ways: list[Way] = [
        ("off", {"tracing": False}),
        ("off-pointer", {"tracing": False, "pointer": True, "home_a": 1}),
        ("same-nip", {"nip": SAME}),
        ("link", {"link": True}),
        ("edit", {"edit": True}),
        ("edit-link", {"edit": True, "link": True}),
        ("pointer", {"pointer": True, "home_a": 1, "home_b": 2}),
        ("module", {"home_b": 1, "form": 1}),
        ("inner", {"inner": [far]}),
        ("recursion", {"recursion": [{}]}),
        ("wander", {"wander": True}),
        ("hardirq", {"thread": HARDIRQ}),
    ]
    for mode in (FRAME, SWITCH):
        ways.append((f"interrupt-{mode}", {"interrupt": (mode, {"thread": 1})}))
    if graph:
        ways += [
            ("graph", {"graph": True}),
            ("graph-link", {"graph": True, "link": True}),
            ("graph-edit", {"graph": True, "edit": True}),
            ("graph-wander", {"graph": True, "wander": True}),
            ("graph-off", {"graph": True, "tracing": False}),
            ("graph-interrupt", {"graph": True, "interrupt": (FRAME, {})}),
        ]
    if livepatch:
        ways += [(f"patched-{name}", {**way, **PATCHED}) for name, way in _patched_ways(far)]
        if graph:
            ways.append(("patched-graph", {"graph": True, **PATCHED}))
    return tuple(ways + _late_ways(features))


def _late_ways(features: frozenset[str]) -> list[Way]:
    """Return the ways of calling that came with the features of later kernels."""
    ways: list[Way] = []
    far: dict[str, Any] = {"pointer": True, "home_b": 1}
    if "tracing_switch" in features:
        ways += [
            ("disabled", {"disabled": True}),
            ("disabled-pointer", {**far, "home_a": 2, "disabled": True}),
            ("disabled-wander", {"home_b": 2, "disabled": True, "thread": 1, "inner": [{**far, "disabled": True}]}),
            ("disabled-interrupt", {"disabled": True, "interrupt": (FRAME, {})}),
        ]
        if "livepatch" in features:
            ways.append(("patched-disabled-in-flight", {**PATCHED, "inner": [{"pointer": True, "disabled": True}]}))
    if {"graph_hook", "two_entries"} <= features:
        ways.append(("graph-module", {"graph": True, "home_b": 1}))
    if "return_to_handler" in features:
        ways += [
            ("graph", {"graph": True}),
            ("graph-pointer", {**far, "graph": True}),
            ("graph-edit", {"graph": True, "edit": True}),
            ("graph-wander", {"graph": True, "wander": True}),
            ("graph-inner", {"graph": True, "inner": [{**far, "graph": True}]}),
            ("graph-interrupt", {"graph": True, "interrupt": (FRAME, {})}),
            ("graph-hardirq", {"graph": True, "thread": HARDIRQ}),
        ]
        if "livepatch" in features:
            ways.append(("patched-graph", {"graph": True, **PATCHED}))
            ways.append(("patched-graph-nested", {"graph": True, **PATCHED, "inner": [{**far, **PATCHED}]}))
    if "kprobe_test" in features or "livepatch" not in features:
        ways += [
            ("kprobe", {"kprobe": True}),
            ("kprobe-link", {"kprobe": True, "link": True}),
            ("kprobe-edit", {"kprobe": True, "edit": True, "home_b": 1}),
            ("kprobe-wander", {"kprobe": True, "wander": True}),
            ("kprobe-interrupt", {"kprobe": True, "interrupt": (FRAME, {})}),
        ]
    if "direct_calls" in features:
        ways += [
            ("direct", {"direct": DIRECT_OPS}),
            ("direct-pointer", {**far, "home_a": 2, "direct": DIRECT_OPS}),
            ("direct-tracer", {"direct": DIRECT_TRACER}),
            ("direct-link", {"direct": DIRECT_TRACER, "link": True, "home_b": 1}),
            ("direct-edit", {"direct": DIRECT_TRACER, "edit": True}),
            ("direct-module", {"direct": DIRECT_TRACER, "home_b": 2}),
            ("direct-wander", {"direct": DIRECT_TRACER, "wander": True}),
            ("direct-interrupt", {"direct": DIRECT_TRACER, "interrupt": (FRAME, {})}),
        ]
        if "livepatch" in features:
            ways.append(("patched-direct", {"direct": DIRECT_TRACER, **PATCHED}))
            ways.append(("patched-direct-inner", {**PATCHED, "inner": [{**far, "direct": DIRECT_OPS}]}))
    if "mcount" in features:
        ways += [("early", {"early": True}), ("early-pointer", {**far, "early": True})]
        ways.append(("early-module", {"early": True, "home_b": 2}))
    return ways


def _deciding(kernel: Kernel) -> frozenset[str]:
    return kernel.features & _DECIDING


def _patched_ways(far: dict[str, Any]) -> list[Way]:
    again = {"pointer": True, **PATCHED}
    ways: list[Way] = [
        ("link", {"link": True}),
        ("edit", {"edit": True}),
        ("edit-link", {"edit": True, "link": True}),
        ("pointer", {"pointer": True, "home_a": 2, "home_b": 1}),
        ("module", {"home_b": 1, "home_c": 2}),
        ("to-kernel", {"home_b": 2, "home_c": 0, "form": 1}),
        ("same-toc", {"home_b": 1, "home_c": 1}),
        ("twin", {"twin": True}),
        ("marker", {"marker": 1}),
        ("spill", {"spill": True}),
        ("sleep", {"sleep": True}),
        ("wander", {"wander": True}),
        ("recursion", {"recursion": [{**PATCHED}]}),
        ("sibling", {"sibling": {"form": 1}}),
        ("sibling-patched", {"home_b": 1, "sibling": {**PATCHED, "home_c": 0}}),
        ("sibling-stub", {"pointer": True, "home_a": 1, "sibling": {}, "stub": True}),
        # Mutual recursion is B, D, B, D, ...; the chain below goes through three homes.
        ("nested", {"inner": [{**far, **PATCHED}]}),
        ("nested-twice", {"inner": [{**far, **PATCHED}, {**again, "home_b": 2, "inner": [{**far, **PATCHED}]}]}),
        ("again-in-flight", {"home_c": 1, "inner": [{**again, "home_c": 2}]}),
        ("unpatched-in-flight", {"inner": [{"pointer": True}]}),
        ("off-in-flight", {"inner": [{"pointer": True, "tracing": False}]}),
        ("chain", {"chain": DEEP}),
        ("chain-marker", {"chain": 20, "marker": MARKERS}),
        ("second-task", {"thread": 1}),
        ("hardirq", {"thread": HARDIRQ}),
        ("softirq", {"thread": SOFTIRQ}),
        ("emergency", {"thread": EMERGENCY}),
        ("turns", {"beside": {**PATCHED, "thread": 1, "inner": [{**far, **PATCHED}]}, "inner": [{**far, **PATCHED}]}),
    ]
    for mode in INTERRUPT_MODES:
        for name, where in (("", {}), ("-nested", {"inner": [{**far, **PATCHED}]})):
            thread = 1 if mode == SWITCH else 0
            ways.append((f"interrupt-{mode}{name}", {**where, "interrupt": (mode, {**PATCHED, "thread": thread})}))
    ways.append(("interrupt-hardirq", {"interrupt": (CALLS, {**PATCHED, "thread": HARDIRQ})}))
    return ways


def special_cases(kernel: Kernel) -> int:
    """Return how many cases, from number 0 on, are of a special way of calling."""
    return SPECIAL_SHAPES * len(_special(_deciding(kernel)))


def fixed_cases(kernel: Kernel) -> int:
    """Return how many cases, from number 0 on, are the same for every seed but for the values passed."""
    return special_cases(kernel) + len(_zoo()) * (2 if "livepatch" in kernel.features else 1)


def case(kernel: Kernel, number: int, seed: int = 0) -> Case:
    """Return case ``number`` (from 0) of the run with ``seed``.

    Special ways come first, then the zoo, then random ones; from guest_callers.FIRST on those of the guest.
    """
    if number >= guest_callers.FIRST:
        name, guest, values = guest_callers.guest_case(kernel, number, seed)
        return Case(number, name, guest, values=values)
    name, plan = _case(kernel, number, seed)
    return Case(number, name, plan.settled(kernel))


def _case(kernel: Kernel, number: int, seed: int) -> tuple[str, Plan]:
    rng = Random(f"{seed}/{number}")
    livepatch = "livepatch" in kernel.features
    lean, partial = "two_entries" in kernel.features, "partial_regs" in kernel.features
    special = special_cases(kernel)
    if number < special:
        name, way = _special(_deciding(kernel))[number // SPECIAL_SHAPES]
        plan = _from_way(way, rng, number % SPECIAL_SHAPES)
        return f"{name}-{number % SPECIAL_SHAPES}", _through_lean(plan, number, partial=partial) if lean else plan
    at = number - special
    if number < fixed_cases(kernel):
        shape, patched = (_zoo()[at // 2], bool(at % 2)) if livepatch else (_zoo()[at], False)
        plan = Plan(shape, rng.getrandbits(60), home_b=at % 3, nip=PATCH if patched else KEEP)
        if lean:
            plan = replace(plan, lean=(partial or not patched) and at // 2 % 2 == 1)
        return f"{shape.name}{'-patched' if patched else ''}", plan
    shape = _shared_shape(seed, number // SHARED)
    plan = random_plan(rng, shape, livepatch=livepatch, graph=not kernel.features.isdisjoint(_GRAPH))
    return f"random-{number}", _with_late(rng, plan, _deciding(kernel))


_GRAPH = frozenset({"graph_hook", "return_to_handler"})


def _through_lean(plan: Plan, n: int, *, partial: bool) -> Plan:
    """Return the plan with every second call going through ftrace_caller, if it is one that may."""
    inner = tuple(_through_lean(p, n + 1, partial=partial) for p in plan.inner)
    recursion = tuple(_through_lean(p, n, partial=partial) for p in plan.recursion)
    # Without a pt_regs there is nothing that the tracer could change.
    may = n % 2 == 1 and not plan.edit and (partial or not (plan.nip != KEEP or plan.link))
    sibling = None if plan.sibling is None else _through_lean(plan.sibling, n + 1, partial=partial)
    return replace(plan, inner=inner, recursion=recursion, sibling=sibling, lean=may)


def _with_late(rng: Random, plan: Plan, features: frozenset[str]) -> Plan:
    """Return a random plan with what later kernels have, for it and the calls inside; for others it is unchanged."""
    fields: dict[str, Any] = {}
    if "two_entries" in features:
        fields["lean"] = rng.random() < 0.5 and ("partial_regs" in features or (plan.nip == KEEP and not plan.link))
    if "tracing_switch" in features:
        fields["disabled"] = rng.random() < 0.03
    if "kprobe_test" in features and plan.nip == PATCH:
        fields["kprobe"] = rng.random() < 0.1
    if "direct_calls" in features:
        fields["direct"] = rng.choice((0,) * 8 + (DIRECT_OPS, DIRECT_TRACER))
    if "mcount" in features:
        fields["early"] = rng.random() < 0.02
    if not fields:
        return plan
    for name in ("inner", "recursion"):
        fields[name] = tuple(_with_late(rng, inside, features) for inside in getattr(plan, name))
    for name in ("sibling", "beside"):
        if (single := getattr(plan, name)) is not None:
            fields[name] = _with_late(rng, single, features)
    return replace(plan, **fields)


@lru_cache(maxsize=64)
def _shared_shape(seed: int, number: int) -> CallShape:
    """Return a random prototype; making and placing one takes as long as the call, so some cases share it."""
    return random_shape(Random(f"{seed}/shape/{number}"))


def _from_way(way: dict[str, Any], rng: Random, n: int) -> Plan:
    """Return the plan of a special way; its case 0 has arguments in memory where the way allows that."""
    fields = dict(way)
    shapes = _shapes_for(fields)
    with_memory = next((s for s in shapes if s.placement.memory_bytes), shapes[0])
    shape = with_memory if n == 0 else shapes[rng.randrange(len(shapes))]
    if fields.get("marker") == 1:
        fields["marker"] = 1 + n % (MARKERS - 1)
    for key in ("inner", "recursion"):
        if key in fields:
            fields[key] = tuple(_from_way(inside, rng, n + 1) for inside in fields[key])
    for key in ("sibling", "beside"):
        if key in fields:
            fields[key] = _from_way(fields[key], rng, n + 1)
    if "interrupt" in fields:
        mode, inside = fields["interrupt"]
        made = _from_way(inside, rng, n + 1) if mode != FRAME else None
        fields["interrupt"] = Interrupt(rng.randint(1, BOUNDARIES), mode, made)
    # One chain as deep as a stack allows; a hundred calls take as long as the other cases together.
    depth = fields.pop("chain", 1) if n == 0 else min(fields.pop("chain", 1), SHALLOW)
    plan = Plan(shape, rng.getrandbits(60), **fields)
    if depth == 1:
        return plan
    small = _small()
    last = plan.marker
    for level in range(depth):
        link = replace(
            plan,
            shape=small[rng.randrange(len(small))],
            seed=rng.getrandbits(60),
            home_b=level % 3,
            home_c=(level + 1) % 3,
            pointer=True,
            marker=last if level == 0 else 0,
        )
        plan = link if level == 0 else replace(link, inner=(plan,))
    return plan


def _shapes_for(way: dict[str, Any]) -> tuple[CallShape, ...]:
    if "sibling" in way or "chain" in way:
        return _small()
    if way.get("spill"):
        return tuple(s for s in _zoo() if can_spill(s))
    return _zoo()


def random_plan(rng: Random, shape: CallShape, *, livepatch: bool, graph: bool, depth: int = 0) -> Plan:
    """Return a random plan for ``shape``; ``livepatch`` and ``graph``: what the kernel's options allow.

    Calls inside it have prototypes of the zoo.
    """
    homes = range(len(HOMES))
    top = depth == 0
    patched = livepatch and rng.random() < 0.6

    def another(**fixed: Any) -> Plan:
        inside = _zoo()[rng.randrange(len(_zoo()))]
        return replace(random_plan(rng, inside, livepatch=livepatch, graph=graph, depth=depth + 1), **fixed)

    fields: dict[str, Any] = {}
    if depth < 4 and rng.random() < 0.12:
        fields["inner"] = tuple(another() for _ in range(rng.randint(1, 2)))
    elif patched and rng.random() < 0.05 and can_be_sibling(shape):
        fields["sibling"] = another()
    if top:
        fields["thread"] = rng.choice((0, 0, 0, 1, HARDIRQ, SOFTIRQ, EMERGENCY))
        if rng.random() < 0.05:
            fields["recursion"] = (another(),)
        if rng.random() < 0.04:
            fields["beside"] = another(thread=(fields["thread"] + 1) % BYSTANDER)
        if patched and not fields.get("inner") and rng.random() < 0.05:
            fields["marker"] = rng.randint(1, MARKERS)
            fields.pop("sibling", None)
    return Plan(
        shape=shape,
        seed=rng.getrandbits(60),
        home_b=rng.choice(homes),
        form=rng.randrange(2),
        pointer=rng.random() < 0.4,
        home_a=rng.choice(homes),
        home_c=rng.choice(homes),
        nip=PATCH if patched else rng.choice((KEEP, KEEP, SAME)),
        link=rng.random() < 0.15,
        edit=rng.random() < 0.15,
        # What is patched in is the same for a case's calls; some find it switched off.
        tracing=rng.random() > 0.05,
        graph=graph and rng.random() < 0.25,
        twin=patched and rng.random() < 0.05,
        spill=patched and can_spill(shape) and rng.random() < 0.3,
        sleep=patched and rng.random() < 0.1,
        wander=rng.random() < 0.05,
        **fields,
    )


def interrupt_plan(kernel: Kernel, mode: str, seed: int) -> Plan | None:
    """Return the call that an interrupt of ``mode`` makes or gives way to, None for mode frame."""
    if mode == FRAME:
        return None
    rng = Random(f"interrupt/{mode}/{seed}")
    livepatch = "livepatch" in kernel.features
    thread = 1 if mode == SWITCH else 0
    return _from_way({"nip": PATCH if livepatch else KEEP, "thread": thread}, rng, 1)
