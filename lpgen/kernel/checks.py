"""What must be true of offsets before a trampoline is built on them: each check raises one LpgenError."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import NoReturn

from lpgen.errors import LpgenError, Place
from lpgen.kernel.model import Offset, Offsets
from lpgen.kernel.names import closest, known_names

# ELFv2: a frame is at least 32 bytes, its header (back chain, CR save, LR save, TOC save).
FRAME_HEADER = 32
# The kernel's red zone below r1 in bytes, which an interrupt's frame skips (contract section 2).
RED_ZONE = 288
SLOT = 8
# How many other names of a header are looked at for a misspelling; a real one has about a hundred.
MISSPELLINGS = 2000

_TRUE_VALUE = "take the value from the kernel's own asm-offsets.h"


def check_offsets(offsets: Offsets, required: Iterable[str]) -> None:
    """Check that every name in ``required`` is there and that the values can be what they say.

    Raises LpgenError with the file and line of the first one that is wrong.
    """
    check_values(offsets)
    missing = [name for name in required if name not in offsets]
    if missing:
        _refuse_missing(offsets, missing)


def check_kernel_offsets(offsets: Offsets, features: Collection[str], *, thread_info_size: int) -> None:
    """Check what the ``features`` of a kernel ask of the values; ``thread_info_size`` in bytes, 0: not on the stack.

    Raises LpgenError with the file and line of the first one that is wrong.
    """
    if "out_of_line" in features:
        # Four instructions, behind the ops pointer (contract section 7), which only call ops need.
        sizes = (24,) if "call_ops" in features else (16, 24)
        if offsets["FTRACE_OOL_STUB_SIZE"] not in sizes:
            entry = offsets.offset("FTRACE_OOL_STUB_SIZE")
            _refuse(entry, f"{entry.name} is {entry.value}, but a stub has {' or '.join(map(str, sizes))} bytes")
    if {"call_ops", "direct_calls"} <= set(features):
        entry = offsets.offset("FTRACE_OPS_DIRECT_CALL")
        if abs(entry.value - offsets["FTRACE_OPS_FUNC"]) < SLOT:
            _refuse(entry, f"{entry.name} is {entry.value}, on top of FTRACE_OPS_FUNC: a pointer has {SLOT} bytes")
    if thread_info_size and "livepatch" in features:
        entry = offsets.offset("TI_livepatch_sp")
        if entry.value + SLOT > thread_info_size:
            _refuse(entry, f"{entry.name} is {entry.value}, but thread_info has {thread_info_size} bytes")


def check_values(offsets: Offsets) -> None:
    """Check the values alone: 16-bit range, alignment, frame sizes, the slots of struct pt_regs.

    Raises LpgenError with the file and line of the first one that is wrong.
    """
    for entry in offsets.entries:
        _check_displacement(entry)
    _check_frames(offsets)
    _check_gprs(offsets)
    _check_slots(offsets)


def _refuse(entry: Offset, reason: str, hint: str = _TRUE_VALUE) -> NoReturn:
    raise LpgenError(reason, place=entry.place, hint=hint)


def _refuse_missing(offsets: Offsets, missing: list[str]) -> NoReturn:
    ignored = {other.name: other for other in offsets.ignored[:MISSPELLINGS]}
    for name in missing:
        near = closest(name, ignored)
        if near is not None:
            raise LpgenError(
                f"{near} is not a name lpgen knows, and {name} is missing",
                place=ignored[near].place,
                hint=f"did you mean {name}?",
            )
    shown = ", ".join(missing[:5]) + (f" and {len(missing) - 5} more" if len(missing) > 5 else "")
    option = known_names()[missing[0]].option if missing[0] in known_names() else ""
    hint = f"add {'them' if len(missing) > 1 else 'it'}, or use the whole asm-offsets.h of a kernel build"
    if option and len(missing) == 1:
        hint += f" with {option}=y"
    raise LpgenError(f"missing: {shown}", place=None if offsets.file is None else Place(offsets.file), hint=hint)


def _check_displacement(entry: Offset) -> None:
    kind = known_names()[entry.name].kind
    if not -0x8000 <= entry.value <= 0x7FFF:
        _refuse(
            entry, f"{entry.name} is {entry.value}, outside the 16-bit signed range -32768..32767 of a displacement"
        )
    if entry.value < 0:
        _refuse(entry, f"{entry.name} is {entry.value}, but neither an offset nor a size is negative")
    if kind in {"slot", "doubleword"} and entry.value % 4:
        _refuse(
            entry,
            f"{entry.name} is {entry.value}, not a multiple of 4: ld and std (DS form) cannot reach it",
        )
    if kind in {"frame", "size"} and entry.value == 0:
        _refuse(entry, f"{entry.name} is 0, but it is a size")


def _check_frames(offsets: Offsets) -> None:
    for entry in offsets.entries:
        if known_names()[entry.name].kind == "frame" and entry.value % 16:
            _refuse(entry, f"{entry.name} is {entry.value}, not a multiple of 16: r1 would lose its alignment (ELFv2)")
    switch, interrupt = offsets.get("SWITCH_FRAME_SIZE"), offsets.get("INT_FRAME_SIZE")
    if switch is not None and interrupt is not None and interrupt != switch + RED_ZONE:
        _refuse(
            offsets.offset("INT_FRAME_SIZE"),
            f"INT_FRAME_SIZE is {interrupt}, but SWITCH_FRAME_SIZE and the red zone make "
            f"{switch} + {RED_ZONE} = {switch + RED_ZONE}",
            "take both from the same kernel's asm-offsets.h",
        )


def _check_gprs(offsets: Offsets) -> None:
    base = offsets.get("GPR0")
    if base is None:
        return
    for n in range(1, 32):
        value = offsets.get(f"GPR{n}")
        if value is not None and value != base + 8 * n:
            _refuse(
                offsets.offset(f"GPR{n}"),
                f"GPR{n} is {value}, but GPR0 + 8 * {n} is {base + 8 * n}: the registers follow each other",
            )


def _check_slots(offsets: Offsets) -> None:
    """Check the slots of struct pt_regs, those of GPR14..GPR31 included: inside the frame, none on another."""
    slots = [entry for entry in offsets.entries if known_names()[entry.name].kind == "slot"]
    frame = offsets.get("SWITCH_FRAME_SIZE")
    for entry in slots:
        if entry.value < FRAME_HEADER:
            _refuse(
                entry, f"{entry.name} is {entry.value}, inside the frame's own header of {FRAME_HEADER} bytes (ELFv2)"
            )
        if frame is not None and entry.value + SLOT > frame:
            _refuse(entry, f"{entry.name} is {entry.value}, but the frame ends at SWITCH_FRAME_SIZE = {frame}")
    if "GPR0" in offsets:
        last = offsets.gpr(31)
        if frame is not None and last + SLOT > frame:
            _refuse(
                offsets.offset("GPR0"),
                f"GPR0 is {offsets['GPR0']}, so r31 is at {last}, but the frame ends at SWITCH_FRAME_SIZE = {frame}",
            )
        unnamed = (n for n in range(32) if f"GPR{n}" not in offsets)
        slots += [Offset(f"GPR{n}", offsets.gpr(n)) for n in unnamed]
    slots.sort(key=lambda entry: entry.value)
    for i, lower in enumerate(slots):
        for upper in slots[i + 1 :]:
            if upper.value >= lower.value + SLOT:
                break
            if upper.value == lower.value and _slot_of(upper) == _slot_of(lower):
                continue
            _refuse_overlap(lower, upper)


def _slot_of(entry: Offset) -> str:
    name = known_names().get(entry.name)
    return entry.name if name is None else name.slot


def _refuse_overlap(lower: Offset, upper: Offset) -> NoReturn:
    """Blame the entry that stands later in the file; a register without a name of its own has no line."""
    first, second = sorted((lower, upper), key=lambda entry: (entry.place.line or 0) if entry.place else -1)
    _refuse(
        second,
        f"{second.name} is {second.value}, on top of {first.name} at {first.value}: a slot has {SLOT} bytes",
    )
