"""The callers beyond the first thousands: few ways of calling, each with registers and memory drawn from a pool.

Caller number n is a way (a plan), and a *window*: WINDOW doublewords of a pool of random ones, from which come all
registers and arguments of A, and all that the tracer, C and the others leave behind. So a caller is two numbers, which
guest code can turn into registers by itself (guest_routines.py), and Python into a plan with chosen values: the same
call in both.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from random import Random
from typing import Any

from lpgen.callers.placement import MINIMUM_SAVE_AREA, PARAMETER_SAVE_AREA
from lpgen.callers.shape import CallShape, shape
from lpgen.callers.types import LONG, VOID
from lpgen.kernel.generations import Kernel
from lpgen.machine.actors import CR_KEPT, XER_BITS
from lpgen.machine.places import STORES_R0
from lpgen.machine.plan import DIRECT_OPS, DIRECT_TRACER, PATCH, SAME, Plan
from lpgen.machine.values import EVENTS, Values, free_in_frame, free_registers

FIRST = 4_000
"""The number of the first of these callers."""
PHASE = 4096
"""So many callers in a row find the same patched in, and are on the same stack."""
RUN = 32
"""So many of them go the same way: what is translated stays in the host's caches."""
POOL = 1 << 14
"""Doublewords of the pool, which is another one after so many callers."""
WINDOW = 192
# Odd, and more than a window: callers side by side have nothing in common, and POOL of them have different windows.
STEP = 197

# Where in a window what is: registers at A's call and those that others leave behind, by the order of _LEFT.
ENTRY, TRACER, LEFT, EDITS, OTHER, UNHOOK, ARGUMENTS, FRAME = 0, 35, 50, 65, 97, 112, 130, 160
_LEFT = ("r0", *(f"r{n}" for n in range(3, 13)), "ctr", "xer", "cr", "r2")
_ENTRY = (*(f"r{n}" for n in range(32)), "ctr", "xer", "cr")
_OFFSETS = {
    "entry": {name: ENTRY + n for n, name in enumerate(_ENTRY)},
    "tracer": {
        **{name: TRACER + n for n, name in enumerate(_LEFT)},
        **{f"gpr{n}": EDITS + n for n in range(32)},
    },
    "body": {name: LEFT + n for n, name in enumerate(_LEFT)},
    "c": {name: LEFT + n for n, name in enumerate(_LEFT)},
    "unhook": {**{name: UNHOOK + n for n, name in enumerate(_LEFT)}, "gpr3": UNHOOK + 15, "gpr4": UNHOOK + 16},
    **{event: {name: OTHER + n for n, name in enumerate(_LEFT)} for event in ("kprobe", "graph", "direct")},
}
# r0 is the call site's at entry; is_current_kprobe_addr answers with the plan's int.
_NOT_DRAWN = {"entry": {"r0"}, "kprobe": {"r3"}}
RESULT = LEFT + _LEFT.index("r3")
MAX_ARGUMENTS = FRAME - ARGUMENTS
_M32 = 0xFFFFFFFF


@dataclass(frozen=True)
class GuestPlan(Plan):
    """A plan whose arguments (``given``) and result (``returned``), 8 bytes each, are chosen, not drawn."""

    given: tuple[bytes, ...] = ()
    returned: bytes = b""

    @cached_property
    def values(self) -> list[bytes]:
        """The arguments' values."""
        return list(self.given) if self.given else super().values

    @cached_property
    def result(self) -> bytes:
        """The value that B or C returns."""
        return self.returned or super().result


@dataclass(frozen=True, slots=True)
class Setting:
    """What a phase's callers have in common: fields of their plans, and their ways of calling."""

    name: str
    ways: tuple[GuestPlan, ...]


_SHAPES = (
    shape("f", LONG, LONG, LONG, LONG, LONG),
    shape("f", LONG, *[LONG] * 12),
    shape("f", LONG, LONG, LONG, extra=(LONG,) * 8),
    shape("f", LONG, *[LONG] * 9),
    shape("f", VOID),
    shape("f", LONG, *[LONG] * 8),
)
_FAR: dict[str, Any] = {"pointer": True, "home_a": 2, "home_b": 1}
_DEEP: dict[str, Any] = {"nip": PATCH, **_FAR, "inner": ({"nip": PATCH, "edit": True},)}
_WAYS: tuple[dict[str, Any], ...] = (
    {},
    {"home_b": 1, "form": 1},
    {**_FAR},
    {"nip": SAME, "home_b": 2},
    {"link": True},
    {"edit": True, "home_b": 1},
    {"edit": True, "link": True},
    {"nip": PATCH},
    {"nip": PATCH, "home_b": 1, "home_c": 2},
    {"nip": PATCH, "home_b": 2, "home_c": 0, "form": 1},
    {"nip": PATCH, "home_b": 1, "home_c": 1},
    {"nip": PATCH, **_FAR},
    {"nip": PATCH, "pointer": True, "home_a": 1, "home_c": 0},
    {"nip": PATCH, "link": True},
    {"nip": PATCH, "edit": True},
    {"nip": PATCH, "edit": True, "link": True, "home_b": 1},
    {"nip": PATCH, "twin": True},
    {"nip": PATCH, "kprobe": True},
    {"direct": DIRECT_TRACER},
    {"direct": DIRECT_TRACER, "home_b": 1, "link": True},
    {"direct": DIRECT_TRACER, "nip": PATCH},
    {"early": True},
    {**_FAR, "early": True},
)
_NESTED: tuple[dict[str, Any], ...] = (
    {"nip": PATCH, "inner": ({"nip": PATCH, **_FAR},)},
    {"nip": PATCH, "home_c": 0, "link": True, "inner": ({"pointer": True},)},
    {"home_b": 1, "inner": ({"nip": PATCH, "pointer": True}, {"nip": PATCH})},
    {
        "nip": PATCH,
        "home_b": 2,
        "inner": ({"nip": PATCH, **_FAR, "inner": ({"nip": PATCH, "edit": True},)}, {"link": True}),
    },
)
_RETURN_HOOKED: tuple[dict[str, Any], ...] = (
    {"graph": True},
    {"graph": True, "edit": True, "home_b": 1},
    {"graph": True, "nip": PATCH},
    {"graph": True, "nip": PATCH, **_FAR},
)
_PLAIN = _WAYS[:3]


@lru_cache(maxsize=8)
def settings(kernel: Kernel) -> tuple[Setting, ...]:
    """Return the settings of ``kernel``, in the order in which phases have them."""
    has = kernel.features
    ways = _WAYS + _NESTED + (_RETURN_HOOKED if "return_to_handler" in has else ())
    found = [_setting(kernel, f"on stack {thread}", ways, {"thread": thread}) for thread in (0, 1, 2)]
    found.append(_setting(kernel, "no tracer", _PLAIN, {"tracing": False}))
    if "tracing_switch" in has:
        found.append(_setting(kernel, "disabled", _PLAIN, {"disabled": True, "thread": 1}))
    if "graph_hook" in has:
        found.append(_setting(kernel, "graph hook", _WAYS, {"graph": True}))
    if "direct_calls" in has:
        found.append(_setting(kernel, "direct calls", _PLAIN, {"direct": DIRECT_OPS}))
    return tuple(found)


def _setting(kernel: Kernel, name: str, ways: tuple[dict[str, Any], ...], fields: dict[str, Any]) -> Setting:
    found: dict[Plan, GuestPlan] = {}
    for number, way in enumerate(ways):
        for lean in (False, True):
            wanted = {"lean": lean, **way, **fields}
            wanted["inner"] = tuple(_inside(inside, number + 2 + lean) for inside in way.get("inner", ()))
            made = GuestPlan(_SHAPES[(number + lean) % len(_SHAPES)], _seed(len(found)), **wanted)
            plan = made.settled(kernel)
            assert isinstance(plan, GuestPlan)
            found.setdefault(replace(plan, seed=0, shape=_SHAPES[0]), plan)
    return Setting(name, tuple(found.values()))


def _inside(way: dict[str, Any], number: int) -> Plan:
    """Return the plan of a call inside another one, all of whose values are drawn."""
    inner = tuple(_inside(inside, number + 1) for inside in way.get("inner", ()))
    wanted = {"lean": bool(number & 1) and not way.get("edit"), **way, "inner": inner}
    return Plan(_SHAPES[number % len(_SHAPES)], number, **wanted)


def _seed(number: int) -> int:
    """Return a seed for way ``number`` with which A's frame is as small as its arguments allow."""
    return next(seed for seed in range(number * 1009, 1 << 32) if not Random(seed ^ 0x5EED).randint(0, 3))


@lru_cache(maxsize=8)
def schedule(ways: int) -> tuple[int, ...]:
    """Return which of so many ways each caller of a phase goes."""
    rng = Random(f"ways/{ways}")
    drawn = [*range(ways), *rng.choices(range(ways), k=PHASE // RUN - ways)]
    rng.shuffle(drawn)
    return tuple(way for way in drawn for _ in range(RUN))


@lru_cache(maxsize=2)
def pool(seed: int, number: int) -> bytes:
    """Return pool ``number`` of a run: POOL doublewords, and a window's more."""
    return Random(f"{seed}/pool/{number}").randbytes(8 * (POOL + WINDOW))


def number_of_setting(kernel: Kernel, number: int) -> int:
    """Return the index in ``settings`` of the setting of caller ``number``."""
    return (number - FIRST) // PHASE % len(settings(kernel))


def place_of(number: int) -> tuple[int, int, int]:
    """Return the pool of caller ``number``, where its window starts in it (in doublewords), its place in a phase."""
    at = number - FIRST
    return at // POOL, at * STEP % POOL, at % PHASE


@lru_cache(maxsize=256)
def chosen(kernel: Kernel, plan: GuestPlan) -> Mapping[str, Mapping[str, int]]:
    """Return what of a way's registers comes from the window: for each event, names, and where in the window."""
    free = free_registers(kernel, plan)
    return {
        event: {name: at for name, at in _OFFSETS[event].items() if name in free[event] - _NOT_DRAWN.get(event, set())}
        for event in EVENTS
    }


@lru_cache(maxsize=256)
def frame_offsets(kernel: Kernel, plan: GuestPlan) -> Mapping[int, int]:
    """Return what of A's frame comes from the window: offsets from its r1, and where in the window."""
    placement = plan.shape.placement
    stores_r0 = not plan.early and STORES_R0 in kernel.call_sites[plan.form]
    free = free_in_frame(plan, frame_bytes(plan.shape), stores_r0=stores_r0)
    memory = {piece.index: ARGUMENTS + n for n, pieces in enumerate(placement.arguments) for piece in pieces}
    found = {offset: FRAME + offset // 8 for offset in free if offset >= PARAMETER_SAVE_AREA}
    return found | {offset: at for offset, at in memory.items() if offset >= PARAMETER_SAVE_AREA + MINIMUM_SAVE_AREA}


def frame_bytes(of: CallShape) -> int:
    """Return the size of A's frame in bytes."""
    return PARAMETER_SAVE_AREA + ((of.placement.parameter_save_area_size + 15) & ~15)


def transformed(name: str, value: int, *, entry: bool) -> int:
    """Return what a doubleword of the window is as register ``name``."""
    if name == "xer":
        return value & XER_BITS
    if name == "cr":
        return value & _M32 if entry else value & _M32 & ~CR_KEPT
    return value


def guest_case(kernel: Kernel, number: int, seed: int) -> tuple[str, GuestPlan, Values]:
    """Return name, plan and chosen values of caller ``number`` (FIRST or more) of the run with ``seed``."""
    setting = settings(kernel)[number_of_setting(kernel, number)]
    which, start, at = place_of(number)
    way = setting.ways[schedule(len(setting.ways))[at]]
    window = struct.unpack_from(f"<{WINDOW}Q", pool(seed, which), 8 * start)
    arguments = way.shape.arguments
    given = tuple(window[ARGUMENTS + n].to_bytes(8, "little") for n in range(len(arguments)))
    returned = window[RESULT].to_bytes(8, "little") if way.shape.prototype.result == LONG else b""
    plan = replace(way, given=given, returned=returned)
    registers = {
        event: {name: transformed(name, window[index], entry=event == "entry") for name, index in names.items()}
        for event, names in chosen(kernel, way).items()
    }
    free = set(free_in_frame(plan, frame_bytes(plan.shape), stores_r0=True))
    frame = {offset: window[index] for offset, index in frame_offsets(kernel, way).items() if offset in free}
    return f"guest-{number}", plan, Values.of(registers, frame, {}, None)
