"""The configurations of a kernel up to 4.11 that decide which ftrace code of entry_64.S is built."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import product

from lpgen.tree.lines import World

TRACER = "CONFIG_FUNCTION_TRACER"
DYNAMIC = "CONFIG_DYNAMIC_FTRACE"
MPROFILE = "CC_USING_MPROFILE_KERNEL"
GRAPH = "CONFIG_FUNCTION_GRAPH_TRACER"
LIVEPATCH = "CONFIG_LIVEPATCH"

# What each needs, by Kconfig and the Makefile: other settings cannot be built. DYNAMIC_FTRACE_WITH_REGS, for livepatch,
# is there with -mprofile-kernel only. -mprofile-kernel with static ftrace can be built, if not used.
_NEEDS = {DYNAMIC: (TRACER,), GRAPH: (TRACER,), LIVEPATCH: (DYNAMIC, MPROFILE)}


def worlds() -> Iterator[World]:
    """Yield every configuration that can be built, as what it defines."""
    names = (TRACER, DYNAMIC, MPROFILE, GRAPH, LIVEPATCH)
    for values in product((True, False), repeat=len(names)):
        on = {name for name, value in zip(names, values, strict=True) if value}
        if all(need in on for name in on for need in _NEEDS.get(name, ())):
            more = {"CONFIG_DYNAMIC_FTRACE_WITH_REGS"} if {DYNAMIC, MPROFILE} <= on else set()
            more |= {"CONFIG_MPROFILE_KERNEL"} if MPROFILE in on else set()
            yield dict.fromkeys(sorted(on | more), "1")


def is_ours(world: World) -> bool:
    """Say whether lpgen's text is for this configuration: dynamic ftrace with -mprofile-kernel."""
    return MPROFILE in world and DYNAMIC in world


def agrees(world: World, options: Mapping[str, bool]) -> bool:
    """Say whether a configuration has ``options`` as they are settled."""
    return all((name in world) == on for name, on in options.items())


def world_text(world: World) -> str:
    """Return a configuration as a person reads it."""
    return ", ".join(f"{name}={'y' if name in world else 'n'}" for name in (DYNAMIC, MPROFILE, LIVEPATCH, GRAPH))


def _has(name: str) -> Callable[[World], bool]:
    return lambda world: name in world


# The #if for lpgen's configurations, that for all others, and the former as a test. The first that is right for all
# configurations that come to where it would stand is taken.
GUARDS: tuple[tuple[str, str, Callable[[World], bool]], ...] = (
    (f"#ifdef {MPROFILE}", f"#ifndef {MPROFILE}", _has(MPROFILE)),
    (f"#ifdef {DYNAMIC}", f"#ifndef {DYNAMIC}", _has(DYNAMIC)),
    (
        f"#if defined({MPROFILE}) && defined({DYNAMIC})",
        f"#if !defined({MPROFILE}) || !defined({DYNAMIC})",
        is_ours,
    ),
)
