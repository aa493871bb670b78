"""Values in their places: bytes -> registers and parameter save area, and back.

A value is the bytes of its object in memory (little endian). Registers are Python integers (GPRs; FPRs: the raw 64
bits) and 16 bytes for a VR, in the order in which ``stvx`` stores them in little-endian mode: element 0 first. Values
of arguments for an ellipsis are of their promoted type (``Placement.types``). Padding in structures is undefined on the
way; decoded values have zeros there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from lpgen.callers.placement import (
    FIRST_GPR,
    STEP_DOUBLE,
    STEP_FLOAT,
    STEP_GPR,
    STEP_GPR_SIGNED,
    STEP_MEM,
    STEP_MEM_SIGNED,
    STEP_VR,
    Placement,
    Step,
)
from lpgen.errors import LpgenError

_M64 = (1 << 64) - 1

ReadMemory = Callable[[int, int], bytes]
"""``read(offset, size)`` gives bytes of memory; for arguments, offset is in bytes from the calling function's r1."""


@dataclass(slots=True)
class ArgumentImage:
    """What holds the arguments at the call: registers by number, memory by offset in bytes from r1.

    Registers and bytes that are not in it are undefined at the call.
    """

    gpr: dict[int, int] = field(default_factory=dict)
    fpr: dict[int, int] = field(default_factory=dict)
    vr: dict[int, bytes] = field(default_factory=dict)
    mem: dict[int, bytes] = field(default_factory=dict)


@dataclass(slots=True)
class ResultImage:
    """What holds a result after the return: registers by number, ``memory`` by absolute address."""

    gpr: dict[int, int] = field(default_factory=dict)
    fpr: dict[int, int] = field(default_factory=dict)
    vr: dict[int, bytes] = field(default_factory=dict)
    memory: dict[int, bytes] = field(default_factory=dict)


def double_from_single(single: int) -> int:
    """The raw double that holds a raw float in an FPR: what ``lfs`` makes of its 32 bits, NaN payloads included."""
    sign = (single >> 31) << 63
    exponent = (single >> 23) & 0xFF
    fraction = single & 0x7FFFFF
    if exponent == 0xFF:
        return sign | 0x7FF << 52 | fraction << 29
    if exponent == 0:
        if not fraction:
            return sign
        shift = 24 - fraction.bit_length()
        exponent = 1 - shift
        fraction = (fraction << shift) & 0x7FFFFF
    return sign | (exponent + 896) << 52 | fraction << 29


def single_from_double(double: int) -> int:
    """The raw float that ``stfs`` stores for a raw double: exact if the double is a float's, else truncated."""
    exponent = (double >> 52) & 0x7FF
    if 874 <= exponent <= 896:
        fraction = (1 << 23 | (double >> 29) & 0x7FFFFF) >> (897 - exponent)
        return (double >> 63) << 31 | fraction
    return (double >> 62) << 30 | (double >> 29) & 0x3FFFFFFF


def _encode_steps(
    steps: Sequence[Step],
    values: Sequence[bytes],
    gpr: dict[int, int],
    fpr: dict[int, int],
    vr: dict[int, bytes],
    mem: dict[int, bytes],
) -> None:
    from_bytes = int.from_bytes
    for code, argument, index, start, end in steps:
        part = values[argument][start:end]
        if code == STEP_GPR:
            gpr[index] = from_bytes(part, "little")
        elif code == STEP_GPR_SIGNED:
            gpr[index] = from_bytes(part, "little", signed=True) & _M64
        elif code == STEP_DOUBLE:
            fpr[index] = from_bytes(part, "little")
        elif code == STEP_FLOAT:
            fpr[index] = double_from_single(from_bytes(part, "little"))
        elif code == STEP_VR:
            vr[index] = part
        elif code == STEP_MEM:
            mem[index] = part
        else:
            fill = b"\xff" if code == STEP_MEM_SIGNED and part[-1] & 0x80 else b"\0"
            mem[index] = part.ljust(8, fill)


def _decode_steps(
    steps: Sequence[Step],
    gpr: Mapping[int, int],
    fpr: Mapping[int, int],
    vr: Mapping[int, bytes],
    read_mem: ReadMemory,
) -> list[bytes]:
    values: list[bytes] = []
    for code, argument, index, start, end in steps:
        size = end - start
        if code <= STEP_GPR_SIGNED:
            part = gpr[index].to_bytes(8, "little")[:size]
        elif code == STEP_DOUBLE:
            part = fpr[index].to_bytes(8, "little")
        elif code == STEP_FLOAT:
            part = single_from_double(fpr[index]).to_bytes(4, "little")
        elif code == STEP_VR:
            part = bytes(vr[index])
        else:
            part = bytes(read_mem(index, size))
        if argument == len(values):
            values.append(part)
        else:
            values[-1] = values[-1][:start] + part
    return values


def without_padding(value: bytes, mask: int | None) -> bytes:
    """The value with zeros in its padding; ``mask`` as ``padding_mask`` gives it."""
    if mask is None:
        return value
    return (int.from_bytes(value, "little") & mask).to_bytes(len(value), "little")


def _check_sizes(placement: Placement, values: Sequence[bytes]) -> None:
    sizes = tuple(map(len, values))
    if sizes != placement.sizes:
        raise LpgenError(
            f"the arguments' values have {list(sizes)} bytes, the call passes {list(placement.sizes)}",
            hint="values for an ellipsis are of the promoted type",
        )


def encode(placement: Placement, values: Sequence[bytes], result_address: int = 0) -> ArgumentImage:
    """Registers and memory of a call with these values; ``result_address``: the hidden pointer, if there is one."""
    _check_sizes(placement, values)
    image = ArgumentImage()
    if placement.hidden is not None:
        image.gpr[FIRST_GPR] = result_address
    _encode_steps(placement.steps, values, image.gpr, image.fpr, image.vr, image.mem)
    return image


def decode(
    placement: Placement,
    gpr: Mapping[int, int],
    fpr: Mapping[int, int],
    vr: Mapping[int, bytes],
    read_mem: ReadMemory,
) -> list[bytes]:
    """The arguments' values, as the called function finds them at its entry; padding reads as zeros."""
    values = _decode_steps(placement.steps, gpr, fpr, vr, read_mem)
    for i, mask in enumerate(placement.masks):
        if mask is not None:
            values[i] = without_padding(values[i], mask)
    return values


def encode_result(placement: Placement, value: bytes, result_address: int = 0) -> ResultImage:
    """What a function leaves behind that returns ``value`` (b"" for void); r3 gives the hidden pointer back."""
    size = placement.prototype.result.size
    if len(value) != size:
        raise LpgenError(f"the result's value has {len(value)} bytes, the function returns {size}")
    image = ResultImage()
    if placement.hidden is not None:
        image.gpr[FIRST_GPR] = result_address
        image.memory[result_address] = value
        return image
    _encode_steps(placement.result_steps, (value,), image.gpr, image.fpr, image.vr, {})
    return image


def decode_result(
    placement: Placement,
    gpr: Mapping[int, int],
    fpr: Mapping[int, int],
    vr: Mapping[int, bytes],
    read_absolute: ReadMemory,
) -> bytes:
    """The value that a call returned (b"" for void); a result in memory is read at the address in r3."""
    if placement.hidden is not None:
        value = bytes(read_absolute(gpr[FIRST_GPR], placement.prototype.result.size))
    else:
        value = b"".join(_decode_steps(placement.result_steps, gpr, fpr, vr, read_absolute))  # one value, or none
    return without_padding(value, placement.result_mask)
