"""Random calls and random values: the same seed gives the same ones, on every machine."""

from __future__ import annotations

import random
import struct as packing

from lpgen.callers.placement import Prototype
from lpgen.callers.shape import CallShape
from lpgen.callers.types import (
    BOOL,
    CHAR,
    DOUBLE,
    FLOAT,
    INT,
    INT128,
    LONG,
    POINTER,
    SCHAR,
    SHORT,
    UINT,
    UINT128,
    ULONG,
    USHORT,
    V2DF,
    V4SF,
    V4SI,
    V16QU,
    VOID,
    Array,
    Bool,
    CType,
    Float,
    Integer,
    Struct,
    Vector,
    leaves,
    round_up,
)

MAX_ARGUMENTS = 40
MAX_ARGUMENT_BYTES = 2048
"""A random call's arguments stand for at most so many bytes of parameter save area."""
_INTEGERS: tuple[CType, ...] = (INT, LONG, POINTER, ULONG, UINT, SHORT, USHORT, SCHAR, CHAR, BOOL, INT128, UINT128)
_FLOATS: tuple[CType, ...] = (DOUBLE, FLOAT)
_VECTORS: tuple[CType, ...] = (V4SI, V4SF, V2DF, V16QU)
_EDGES = (0, 1, -1, 1 << 31, 1 << 63, 0x80, 0x8000, 0x7FFF_FFFF, 0xFFFF_FFFF)


def _random_struct(rng: random.Random, depth: int = 0) -> Struct:
    if rng.random() < 0.4:
        base = rng.choice((FLOAT, DOUBLE, rng.choice(_VECTORS)))
        return Struct((Array(base, rng.randint(1, 9)),)) if rng.random() < 0.5 else Struct((base,) * rng.randint(1, 8))
    members: list[CType] = []
    for _ in range(rng.randint(1, 4)):
        kind = rng.random()
        if kind < 0.15 and depth < 2:
            members.append(_random_struct(rng, depth + 1))
            continue
        scalar = rng.choice(_INTEGERS + _FLOATS + (_VECTORS if kind < 0.3 else ()))
        members.append(Array(scalar, rng.randint(1, 5)) if rng.random() < 0.3 else scalar)
    return Struct(tuple(members))


def random_type(rng: random.Random) -> CType:
    """A type that can be an argument or a result."""
    kind = rng.random()
    if kind < 0.5:
        return rng.choice(_INTEGERS)
    if kind < 0.72:
        return rng.choice(_FLOATS)
    if kind < 0.84:
        return rng.choice(_VECTORS)
    return _random_struct(rng)


def random_shape(rng: random.Random, name: str | None = None) -> CallShape:
    """A call with up to 40 arguments, one in four variadic; many favour one kind, so that its registers run out."""
    count = rng.choice((rng.randint(0, 8), rng.randint(0, 16), rng.randint(0, MAX_ARGUMENTS)))
    favourite = rng.choice((None, None, LONG, DOUBLE, rng.choice(_VECTORS), _random_struct(rng)))

    def argument() -> CType:
        return favourite if favourite is not None and rng.random() < 0.6 else random_type(rng)

    types: tuple[CType, ...] = ()
    room = MAX_ARGUMENT_BYTES - 8
    for ctype in [argument() for _ in range(count)]:
        room -= round_up(ctype.size, 8) + (8 if ctype.alignment == 16 else 0)
        if room >= 0:
            types += (ctype,)
    variadic = rng.random() < 0.25
    fixed = len(types)
    if variadic:
        types = types or (POINTER,)
        fixed = rng.randint(1, len(types))
    result = VOID if rng.random() < 0.2 else random_type(rng)
    if name is None:
        name = f"random_{rng.getrandbits(32):08x}"
    return CallShape(name, Prototype(result, types[:fixed], variadic), types[fixed:])


def _random_scalar(ctype: CType, rng: random.Random) -> bytes:
    if isinstance(ctype, Bool):
        return bytes([rng.getrandbits(1)])
    if isinstance(ctype, Float):
        number = rng.choice((1.0, -1.0)) * rng.uniform(1.0, 2.0) * 2.0 ** rng.randint(-100, 100)
        if rng.random() < 0.05:
            number = rng.choice((0.0, -0.0, float("inf"), 2.0**-140))
        return packing.pack("<f" if ctype.size == 4 else "<d", number)
    if isinstance(ctype, Vector):
        return b"".join(_random_scalar(ctype.element, rng) for _ in range(16 // ctype.element.size))
    bits = rng.choice(_EDGES) if isinstance(ctype, Integer) and rng.random() < 0.15 else rng.getrandbits(8 * ctype.size)
    return (bits & ((1 << (8 * ctype.size)) - 1)).to_bytes(ctype.size, "little")


def random_value(ctype: CType, rng: random.Random) -> bytes:
    """An object of this type: zeros in its padding, and no NaN, so that every float survives a trip through double."""
    value = bytearray(ctype.size)
    for offset, leaf in leaves(ctype):
        value[offset : offset + leaf.size] = _random_scalar(leaf, rng)
    return bytes(value)


def promote_value(ctype: CType, value: bytes) -> bytes:
    """The value of an argument for the ellipsis after C's default promotions."""
    if isinstance(ctype, Float) and ctype.size == 4:
        return packing.pack("<d", packing.unpack("<f", value)[0])
    if isinstance(ctype, Bool | Integer) and ctype.size < 4:
        signed = isinstance(ctype, Integer) and ctype.signed
        return int.from_bytes(value, "little", signed=signed).to_bytes(4, "little", signed=signed)
    return value


def random_values(shape: CallShape, rng: random.Random) -> list[bytes]:
    """A value for every argument, as ``encode`` takes them: for the ellipsis, of the promoted types."""
    values = [random_value(ctype, rng) for ctype in shape.prototype.params]
    values += [promote_value(ctype, random_value(ctype, rng)) for ctype in shape.extra]
    return values


def random_result(shape: CallShape, rng: random.Random) -> bytes:
    """A value for the result; b"" for void."""
    return random_value(shape.prototype.result, rng)
