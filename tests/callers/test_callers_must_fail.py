"""Wrong placements: each is noticed, by gcc's code or by lpgen's own comparison."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from callers_guest import STACK, Guest

from lpgen.callers import placement as rules
from lpgen.callers.cgen import BUFFER_SIZE, Call, received_values
from lpgen.callers.compare import mismatches
from lpgen.callers.placement import Placement, place
from lpgen.callers.types import CType, Integer
from lpgen.callers.values import ArgumentImage, decode, encode
from lpgen.errors import LpgenError

RESULT = STACK + 0x800


def _everything_like_a_fixed_argument(allocator: rules._Allocator, ctype: CType, *, variadic: bool) -> object:
    return ORIGINAL_ARGUMENT(allocator, ctype, variadic=False)


def _fprs_take_no_slot(allocator: rules._Allocator, ctype: CType, *, variadic: bool) -> object:
    before = allocator.slot
    pieces = ORIGINAL_ARGUMENT(allocator, ctype, variadic=variadic)
    if pieces[0].kind == "fpr":
        allocator.slot = before
    return pieces


ORIGINAL_ARGUMENT = rules._Allocator.argument
MUTANTS: dict[str, tuple[object, str, object]] = {
    "12 FPRs": (rules, "LAST_FPR", 12),
    "14 FPRs": (rules, "LAST_FPR", 14),
    "11 VRs": (rules, "LAST_VR", 12),
    "13 VRs": (rules, "LAST_VR", 14),
    "7 GPRs": (rules, "GPR_SLOTS", 7),
    "9 GPRs": (rules, "GPR_SLOTS", 9),
    "ELFv1's save area": (rules, "PARAMETER_SAVE_AREA", 48),
    "no quadword alignment": (rules, "_quadword_aligned", lambda ctype: False),
    "aligned __int128": (rules, "_quadword_aligned", lambda ctype: ctype.alignment >= 16),
    "no homogeneous aggregates": (rules, "homogeneous", lambda ctype: None),
    "no hidden pointer": (rules, "result_in_memory", lambda ctype: False),
    "hidden pointer from 9 bytes on": (rules, "result_in_memory", lambda ctype: ctype.size > 8),
    "variadic like fixed": (rules._Allocator, "argument", _everything_like_a_fixed_argument),
    "FPRs take no slot": (rules._Allocator, "argument", _fprs_take_no_slot),
}


def _received(call: Call, number: int, placement: Placement, callees: Guest) -> list[bytes]:
    image = encode(placement, call.values, RESULT)
    callees.uc.mem_write(callees.symbols["received"], bytes(BUFFER_SIZE))
    callees.enter(f"callee_{number}", image)
    return received_values(placement, callees.read(callees.symbols["received"], BUFFER_SIZE))


@pytest.mark.parametrize("name", MUTANTS)
def test_gccs_callees_notice_a_wrong_rule(
    name: str, calls: list[Call], callees: Guest, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner, attribute, wrong = MUTANTS[name]
    monkeypatch.setattr(owner, attribute, wrong)
    for number, call in enumerate(calls):
        placement = place(call.shape.prototype, call.shape.extra)
        if placement.steps != call.shape.placement.steps or placement.hidden != call.shape.placement.hidden:
            try:
                if _received(call, number, placement, callees) != list(call.values):
                    return
            except Exception as error:
                if type(error).__name__ == "UcError":  # the callee followed what it took for the hidden pointer
                    return
                raise
    pytest.fail("no call noticed")


def _swapped_extension(original: Callable[[CType], object]) -> Callable[[CType], object]:
    def extension(ctype: CType) -> object:
        swapped = Integer(ctype.size, signed=not ctype.signed) if isinstance(ctype, Integer) else ctype
        return original(swapped)

    return extension


def test_a_wrong_extension_is_a_mismatch(calls: list[Call], callers: Guest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "_extension", _swapped_extension(rules._extension))
    number, call = next((i, call) for i, call in enumerate(calls) if call.shape.name == "narrow_in_memory")
    callers.enter(f"call_{number}", ArgumentImage(), until=callers.symbols["probe"])
    state = callers.gpr(), callers.fpr(), callers.vr(), callers.read_frame
    assert not mismatches(call.shape.placement, call.values, *state)
    assert mismatches(place(call.shape.prototype), call.values, *state)


def _moved(placement: Placement, by: int) -> Placement:
    """The placement with everything in memory moved by some bytes."""
    arguments = tuple(
        tuple(replace(piece, index=piece.index + by) if piece.kind == "mem" else piece for piece in pieces)
        for pieces in placement.arguments
    )
    steps = tuple(
        step._replace(at=step.at + by) if rules.STEP_MEM <= step.code <= rules.STEP_MEM_SIGNED else step
        for step in placement.steps
    )
    return replace(placement, arguments=arguments, steps=steps)


@pytest.mark.parametrize("by", [-8, 8])
def test_a_frame_that_is_off_by_a_slot_is_noticed(by: int, calls: list[Call]) -> None:
    in_memory = [call for call in calls if call.shape.placement.memory_bytes]
    assert len(in_memory) > 60
    for call in in_memory:
        placement = call.shape.placement
        image = encode(_moved(placement, by), call.values)
        frame = bytearray(b"\xa5" * 4096)
        for offset, data in image.mem.items():
            frame[offset : offset + len(data)] = data

        def read_mem(offset: int, size: int, frame: bytearray = frame) -> bytes:
            return bytes(frame[offset : offset + size])

        assert decode(placement, image.gpr, image.fpr, image.vr, read_mem) != list(call.values), call.shape.name
        lines = mismatches(placement, call.values, image.gpr, image.fpr, image.vr, read_mem)
        assert any("(r1): expected 0x" in line for line in lines), call.shape.name


def _a_defined_bit(placement: Placement, argument: int, piece: rules.Piece) -> int:
    """A number with one bit set that belongs to the value and not to its padding; 0: the piece is all padding."""
    mask = placement.masks[argument]
    bits = (1 << 8 * piece.size) - 1 if mask is None else mask >> 8 * piece.value_offset & (1 << 8 * piece.size) - 1
    return bits & -bits


def test_every_register_and_every_piece_of_memory_counts(calls: list[Call]) -> None:
    """Flip one defined bit in a piece of what encode made: mismatches has a line for that piece."""
    for call in calls:
        placement = call.shape.placement
        for i, pieces in enumerate(placement.arguments):
            for piece in pieces:
                image = encode(placement, call.values)
                bit = _a_defined_bit(placement, i, piece)
                if piece.kind in ("mem", "vr"):
                    bank = image.mem if piece.kind == "mem" else image.vr
                    right = bank[piece.index]
                    bank[piece.index] = (int.from_bytes(right, "little") ^ bit).to_bytes(len(right), "little")
                else:
                    (image.gpr if piece.kind == "gpr" else image.fpr)[piece.index] ^= bit

                def read_mem(offset: int, size: int, mem: dict[int, bytes] = image.mem) -> bytes:
                    return mem[offset][:size]

                lines = mismatches(placement, call.values, image.gpr, image.fpr, image.vr, read_mem)
                if bit:
                    assert len(lines) == 1
                    assert lines[0].startswith(f"argument {i + 1} (")
                    assert f" at {piece.where}: expected 0x" in lines[0]
                else:
                    assert not lines


def test_values_of_the_wrong_size_are_refused(calls: list[Call]) -> None:
    call = next(call for call in calls if call.shape.name == "variadic_narrow")
    with pytest.raises(LpgenError, match="promoted"):
        encode(call.shape.placement, [b"\0"] * len(call.values))
    with pytest.raises(LpgenError, match="bytes"):
        encode(call.shape.placement, call.values[:-1])
