"""What the trampolines cost on each way through them: instructions, loads and stores, counted as they run."""

from __future__ import annotations

from dataclasses import dataclass, replace

from lpgen.assembly import Unit
from lpgen.callers.placement import Prototype
from lpgen.callers.shape import CallShape
from lpgen.callers.types import VOID
from lpgen.contract.route import expected_route
from lpgen.kernel.generations import Kernel
from lpgen.machine.conductor import Conductor
from lpgen.machine.places import LEAN, MCOUNT, REGS
from lpgen.machine.plan import DIRECT_OPS, DIRECT_TRACER, PATCH, Plan
from lpgen.machine.stop import Step
from lpgen.machine.trip import Trip
from lpgen.machine.world import World

_NOTHING = CallShape("f", Prototype(VOID))


@dataclass(frozen=True, slots=True)
class Cost:
    """One way through the trampolines: ``entry``, the symbol that the call site leads to, and what is done there.

    ``instructions``, ``loads`` and ``stores`` are counts of those executed between B's call and what comes of it,
    without the tracer's, C's or B's own; None when the call did not come to its end, which ``end`` then says.
    """

    entry: str
    path: str
    instructions: int | None
    loads: int | None
    stores: int | None
    end: str = ""


def costs(kernel: Kernel, unit: Unit) -> list[Cost]:
    """Run one call for each way through the trampolines of ``unit`` and count. Raises LpgenError as World does."""
    world = World(kernel, unit, watch=True)
    conductor = Conductor(world)
    found = []
    for entry, path, plan in _ways(kernel, world):
        # A seed whose tracer names a direct trampoline of its own.
        trip = conductor.run(replace(plan, seed=1).settled(kernel))
        if trip.end is not None:
            end = trip.end
            found.append(Cost(entry, path, None, None, None, f"{end.what or end.kind} at {world.name_of(end.pc)}"))
            continue
        way = [gate for gate, _ in expected_route(world, trip)]
        if [moment.where for moment in trip.moments] != way:
            found.append(Cost(entry, path, None, None, None, "went elsewhere: lpgen verify says more"))
            continue
        steps = _steps(trip, path)
        counts = {kind: sum(step.kind == kind for step in steps) for kind in ("insn", "load", "store")}
        found.append(Cost(entry, path, counts["insn"], counts["load"], counts["store"]))
    return found


# The ways, each with the feature that it takes ("" none) and what makes it.
_PATHS: tuple[tuple[str, str, dict[str, object]], ...] = (
    ("plain", "", {}),
    ("plain, no tracer", "", {"tracing": False}),
    ("plain, graph hook", "graph_hook", {"graph": True}),
    ("livepatch, to C", "livepatch", {"nip": PATCH}),
    ("livepatch, back to A", "livepatch", {"nip": PATCH}),
    ("disabled", "tracing_switch", {"disabled": True}),
    ("direct, from ops", "direct_calls", {"direct": DIRECT_OPS}),
    ("direct, by the tracer", "direct_calls", {"direct": DIRECT_TRACER}),
)


def _ways(kernel: Kernel, world: World) -> list[tuple[str, str, Plan]]:
    found = []
    plan = Plan(_NOTHING, 1)
    for kind, symbol in world.entries.items():
        if kind == MCOUNT:
            found.append((symbol, "not patched yet", replace(plan, early=True)))
            continue
        honours_nip = kind == REGS or "partial_regs" in kernel.features
        for path, feature, changes in _PATHS:
            if feature and feature not in kernel.features:
                continue
            if feature == "livepatch" and not honours_nip:
                continue
            found.append((symbol, path, replace(plan, lean=kind == LEAN, **changes)))  # type: ignore[arg-type]
    if "return_to_handler" in kernel.features:
        found.append(("return_to_handler", "B returns", replace(plan, graph=True)))
    return found


def _steps(trip: Trip, path: str) -> list[Step]:
    """Return the trampolines' steps that belong to a way: all, or those before or behind C, or behind B."""
    wheres = [moment.where for moment in trip.moments]
    first, last = 0, len(wheres)
    if "c" in wheres:
        c = wheres.index("c") + 1
        first, last = (0, c) if path.endswith("to C") else (c, last)
    elif "unhook" in wheres:
        first = wheres.index("body") + 1
    return [step for moment in trip.moments[first:last] for step in moment.steps]
