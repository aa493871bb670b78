"""Values into their places and back; results; text of mismatches; floats in FPRs bit by bit."""

from __future__ import annotations

import random
import struct as packing
import timeit

import pytest

from lpgen.callers.cgen import Call
from lpgen.callers.compare import mismatches, result_mismatches
from lpgen.callers.placement import Prototype, place
from lpgen.callers.types import CHAR, DOUBLE, FLOAT, INT, LONG, POINTER, SCHAR, VOID, Array, struct
from lpgen.callers.values import (
    ArgumentImage,
    decode,
    decode_result,
    double_from_single,
    encode,
    encode_result,
    single_from_double,
)
from lpgen.callers.variadic import VariadicReader
from lpgen.callers.zoo import zoo
from lpgen.errors import LpgenError


def frame_reader(image: ArgumentImage) -> bytearray:
    frame = bytearray(b"\x5a" * 4096)
    for offset, data in image.mem.items():
        frame[offset : offset + len(data)] = data
    return frame


def test_encode_then_decode(calls: list[Call]) -> None:
    for call in calls:
        placement = call.shape.placement
        image = encode(placement, call.values, 0x1234)
        frame = frame_reader(image)
        read_mem = lambda offset, size, frame=frame: bytes(frame[offset : offset + size])  # noqa: E731
        state = image.gpr, image.fpr, image.vr, read_mem
        assert decode(placement, *state) == list(call.values), call.shape.name
        assert mismatches(placement, call.values, *state, result_address=0x1234) == []


def test_encode_then_spill_and_walk(calls: list[Call]) -> None:
    for call in calls:
        if call.shape.prototype.variadic:
            image = encode(call.shape.placement, call.values)
            frame = frame_reader(image)
            reader = VariadicReader(call.shape.placement)
            for offset, data in reader.spill({r: image.gpr.get(r, 0) for r in range(3, 11)}):
                frame[offset : offset + 8] = data
            read = reader.read_all(lambda offset, size, frame=frame: bytes(frame[offset : offset + size]))
            assert read == list(call.values[len(call.shape.prototype.params) :]), call.shape.c_prototype()


def test_encode_result_then_decode_result(calls: list[Call]) -> None:
    for call in calls:
        placement = call.shape.placement
        image = encode_result(placement, call.result, 0x4000)
        state = image.gpr, image.fpr, image.vr, lambda at, size, image=image: image.memory[at][:size]
        assert decode_result(placement, *state) == call.result
        assert result_mismatches(placement, call.result, *state, result_address=0x4000) == []


def test_extension_in_registers_and_in_memory() -> None:
    placement = place(Prototype(VOID, (SCHAR, CHAR, *[LONG] * 6, INT, CHAR)))
    values = [b"\x80", b"\x80", *[bytes(8)] * 6, b"\xfe\xff\xff\xff", b"\xff"]
    image = encode(placement, values)
    assert image.gpr[3] == 0xFFFF_FFFF_FFFF_FF80
    assert image.gpr[4] == 0x80
    assert image.mem == {96: b"\xfe" + b"\xff" * 7, 104: b"\xff" + bytes(7)}


def test_padding_reads_as_zeros() -> None:
    placement = place(Prototype(VOID, (struct(INT, CHAR),)))
    got = decode(placement, {3: 0xFFFF_FFFF_FFFF_FFFF}, {}, {}, lambda offset, size: b"")
    assert got == [b"\xff\xff\xff\xff\xff\0\0\0"]


@pytest.mark.parametrize(
    ("single", "double"),
    [
        (0x0000_0000, 0x0000_0000_0000_0000),
        (0x8000_0000, 0x8000_0000_0000_0000),
        (0x3F80_0000, 0x3FF0_0000_0000_0000),
        (0xC049_0FDB, 0xC009_21FB_6000_0000),
        (0x7F80_0000, 0x7FF0_0000_0000_0000),
        (0x0000_0001, 0x36A0_0000_0000_0000),
        (0x007F_FFFF, 0x380F_FFFF_C000_0000),
        (0x7F80_0001, 0x7FF0_0000_2000_0000),
    ],
)
def test_a_float_in_an_fpr(single: int, double: int) -> None:
    assert double_from_single(single) == double
    assert single_from_double(double) == single


def test_floats_convert_as_the_processor_does_it() -> None:
    rng = random.Random(3)
    for _ in range(5000):
        single = rng.getrandbits(32)
        double = double_from_single(single)
        assert single_from_double(double) == single
        if (single >> 23) & 0xFF != 0xFF:
            number = packing.unpack("<f", single.to_bytes(4, "little"))[0]
            assert double.to_bytes(8, "little") == packing.pack("<d", number)


def test_the_text_of_a_mismatch() -> None:
    placement = place(Prototype(VOID, (*[LONG] * 8, DOUBLE, *[POINTER] * 5, SCHAR), variadic=False))
    values = [bytes([i + 1, *bytes(7)]) for i in range(14)] + [b"\xff"]
    image = encode(placement, values)
    image.gpr[4] = 7
    image.mem[136] = bytes([0xAB, *bytes(7)])
    image.mem[144] = b"\xff" + bytes(7)
    lines = mismatches(placement, values, image.gpr, image.fpr, image.vr, lambda offset, size: image.mem[offset][:size])
    assert lines == [
        "argument 2 (long) at r4: expected 0x0000000000000002, got 0x0000000000000007",
        "argument 14 (void *) at 136(r1): expected 0x000000000000000e, got 0x00000000000000ab",
        "argument 15 (signed char) at 144(r1): expected 0xffffffffffffffff, got 0x00000000000000ff",
    ]
    assert decode(placement, image.gpr, image.fpr, image.vr, lambda o, size: image.mem[o][:size])[14] == b"\xff"


def test_the_text_of_a_mismatch_in_a_part_and_in_a_result() -> None:
    big = struct(Array(LONG, 3))
    placement = place(Prototype(big, (FLOAT, big)))
    values = [packing.pack("<f", 1.0), bytes(24)]
    image = encode(placement, values, 0x1000)
    image.gpr[6] = 1
    image.fpr[1] ^= 1  # a bit that stfs drops
    state = image.gpr, image.fpr, image.vr, lambda offset, size: bytes(size)
    assert mismatches(placement, values, *state, result_address=0x2000) == [
        "address for the result at r3: expected 0x0000000000002000, got 0x0000000000001000",
        "argument 1 (float) at f1: expected 0x3ff0000000000000, got 0x3ff0000000000001",
        "argument 2 (struct s_3xi64_e) bytes 8-15 at r6: expected 0x0000000000000000, got 0x0000000000000001",
    ]
    wrong = result_mismatches(placement, bytes(24), {3: 0x1000}, {}, {}, lambda at, size: b"\1" * size, 0x1000)
    assert wrong == [f"result (struct s_3xi64_e) in memory at 0x1000: expected bytes {'00' * 24}, got {'01' * 24}"]
    wrong = result_mismatches(placement, bytes(24), {3: 0x18}, {}, {}, lambda at, size: bytes(size), 0x1000)
    assert wrong == ["address of the result at r3: expected 0x0000000000001000, got 0x0000000000000018"]
    wrong = result_mismatches(place(Prototype(SCHAR)), b"\xff", {3: 0xFF}, {}, {}, lambda at, size: b"")
    assert wrong == ["result (signed char) at r3: expected 0xffffffffffffffff, got 0x00000000000000ff"]


def test_a_result_of_the_wrong_size_is_refused() -> None:
    with pytest.raises(LpgenError, match="returns 8"):
        encode_result(place(Prototype(LONG)), bytes(4))


def test_ten_arguments_are_quick() -> None:
    """Some 5 microseconds each on a plain machine; 60 are allowed, and the best of several runs counts."""
    shape = next(shape for shape in zoo() if shape.name == "mixed")
    placement = shape.placement
    values = [bytes(size) for size in placement.sizes]
    image = encode(placement, values)
    state = image.gpr, image.fpr, image.vr, lambda offset, size: image.mem[offset][:size]
    assert min(timeit.repeat(lambda: encode(placement, values), number=200, repeat=10)) / 200 < 60e-6
    assert min(timeit.repeat(lambda: decode(placement, *state), number=200, repeat=10)) / 200 < 60e-6
