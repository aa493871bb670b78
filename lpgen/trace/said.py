"""What functions did, in words."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

from lpgen.callers.types import Float, Integer, Pointer
from lpgen.machine.places import HOMES, Gate
from lpgen.machine.state import State
from lpgen.machine.stop import Stop
from lpgen.machine.trip import Trip
from lpgen.trace.event import Event
from lpgen.trace.names import Names

# The kernel's functions and what they get in r3 and on.
_PARAMETERS = {
    "tracer": ("ip", "parent_ip", "ops", "regs"),
    "graph": ("parent", "ip", "sp"),
    "kprobe": ("addr",),
    "unhook": ("frame_pointer",),
}
_REGISTER = re.compile(r"([a-z]+)(\d*)")


def number(value: int) -> str:
    """Return a value as a person reads it."""
    return str(value) if value < 10 else f"{value:#x}"


def named(names: Names, value: int) -> str:
    """Return a value by its name where it has one."""
    return names.value(value) or number(value)


def call_said(names: Names, trip: Trip, who: str) -> str:
    """Return what call ``who`` makes."""
    plan, b = trip.plan, trip.b
    how = f"through {names.title(b)}'s global entry" if plan.pointer else "a local call"
    if trip.relation == "sibling":
        how = "in a sibling call" + (" through a module's stub" if plan.pointer else "")
    where = f"{HOMES[b.home]}, r2 = {named(names, trip.a.gpr[2])}"
    return f"{who} calls {plan.shape.c_prototype(names.title(b))}: {how}; {names.title(b)} in {where}"


def enter_said(names: Names, trip: Trip, gate: Gate, state: State, read: Callable[[int, int], int]) -> Iterator[str]:
    """Yield what a function gets: its arguments, by name and by place."""
    if gate.kind in ("body", "c"):
        yield from _arguments(trip, state, read)
        if gate.kind == "c":
            held = {"r1": state.gpr[1], "r12": state.gpr[12], "LR": state.lr}
            yield ", ".join(f"{register} = {named(names, value)}" for register, value in held.items())
        return
    parameters = _PARAMETERS.get(gate.kind, ())
    if gate.kind == "graph" and "graph_passes_sp" not in names.world.kernel.features:
        parameters = parameters[:2]
    if parameters:
        said = (f"{name} = {named(names, state.gpr[3 + n])}" for n, name in enumerate(parameters))
        yield f"{', '.join(said)}; r2 = {named(names, state.gpr[2])}"


def _arguments(trip: Trip, state: State, read: Callable[[int, int], int]) -> Iterator[str]:
    placement = trip.plan.shape.placement
    for n, (ctype, pieces) in enumerate(zip(placement.types, placement.arguments, strict=True), 1):
        where, value = [], ""
        for piece in pieces:
            where.append(piece.where)
            if len(pieces) == 1 and isinstance(ctype, Integer | Pointer) and ctype.size <= 8:
                bits = (1 << 8 * ctype.size) - 1
                at = state.gpr[piece.index] if piece.kind == "gpr" else read(state.gpr[1] + piece.index, 8)
                value = f" = {at & bits:#x}"
            elif len(pieces) == 1 and isinstance(ctype, Float) and piece.kind == "fpr":
                value = f" = {_double(state.fpr[piece.index])!r}"
        yield f"a{n} ({ctype.c_name}) in {', '.join(where)}{value}"


def result_said(trip: Trip, state: State) -> Iterator[str]:
    """Yield what A gets back."""
    placement = trip.plan.shape.placement
    ctype = placement.prototype.result
    if placement.hidden is not None:
        yield f"result ({ctype.c_name}) in memory at r3 = {state.gpr[3]:#x}"
    elif placement.result:
        yield f"result ({ctype.c_name}) in {', '.join(piece.where for piece in placement.result)}"


def _double(bits: int) -> float:
    import struct

    found: float = struct.unpack("<d", bits.to_bytes(8, "little"))[0]
    return found


def return_said(event: Event, who: str, changed: Sequence[str]) -> str:
    """Return what ``who`` did before it went on: what it wrote where a name is; ``changed`` registers it left so."""
    said = [f"{who} returns"]
    named_writes = [
        f"{access.name} = {access.means or number(access.value)}"
        for access in event.stores
        if access.name.startswith(("pt_regs.", "livepatch", "STACK_END"))
    ]
    if named_writes:
        said.append("writes " + ", ".join(named_writes))
    others = sum(access.size for access in event.stores) - 8 * len(named_writes) + event.scratch
    if others:
        said.append(f"writes {others} bytes of its own and of what the ABI gives it")
    said.append(f"changes {runs(changed)}" if changed else "every register is as it was")
    return "; ".join(said)


def runs(registers: Sequence[str]) -> str:
    """Return names of registers with rows of them as one: r3-r12 ctr f0-f13."""
    found: list[tuple[str, int, int]] = []
    for name in registers:
        match = _REGISTER.fullmatch(name)
        assert match is not None
        kind, digits = match[1], match[2]
        at = int(digits) if digits else -1
        if found and digits and found[-1][0] == kind and found[-1][2] == at - 1:
            found[-1] = (kind, found[-1][1], at)
        else:
            found.append((kind, at, at))
    return " ".join(
        kind if first < 0 else f"{kind}{first}" if first == last else f"{kind}{first}-{kind}{last}"
        for kind, first, last in found
    )


def fields_said(before: int, after: int) -> str:
    """Return the fields of CR that changed, with the bits that are set now: cr0 = gt so."""
    found = []
    for field in range(8):
        was, now = (value >> 28 - 4 * field & 15 for value in (before, after))
        if was != now:
            bits = " ".join(name for n, name in enumerate(("lt", "gt", "eq", "so")) if now >> 3 - n & 1)
            found.append(f"cr{field} = {bits or '0'}")
    return ", ".join(found)


def stop_said(names: Names, stop: Stop) -> str:
    """Return why the guest stopped elsewhere than in a function."""
    if stop.kind == "boundary":
        return f"an interrupt comes before {names.world.name_of(stop.pc)}"
    if stop.kind == "trap":
        return f"trap at {names.world.name_of(stop.pc)}"
    what = stop.what or "it loops"
    at = "" if stop.address in (0, stop.pc) else f", address {stop.address:#x}"
    return f"{what} at {names.world.name_of(stop.pc)}{at}"
