"""What is wrong with the registers and the memory of a call, as text for a person.

Stricter than ``decode``: the extension of narrow integers and all 64 bits of an FPR are compared as well, since a
trampoline has to give back whole registers. Undefined bits (behind a small structure, in padding) are not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lpgen.callers.placement import Piece, Placement
from lpgen.callers.types import CType
from lpgen.callers.values import ReadMemory, decode_result, encode, encode_result, without_padding

_M64 = (1 << 64) - 1


def _defined_bits(piece: Piece, mask: int | None) -> int:
    """Ones where the register or the memory of a piece is defined; ``mask`` is the whole value's padding mask."""
    if piece.kind == "fpr" or (piece.kind == "gpr" and piece.extend is not None):
        return _M64
    if piece.kind == "mem" and piece.extend is not None:
        return _M64
    bits = (1 << (8 * piece.size)) - 1
    if mask is not None:
        bits &= mask >> (8 * piece.value_offset)
    return bits


def _pieces_wrong(
    name: str,
    ctype: CType,
    pieces: Sequence[Piece],
    mask: int | None,
    expected: Mapping[str, Mapping[int, int | bytes]],
    gpr: Mapping[int, int],
    fpr: Mapping[int, int],
    vr: Mapping[int, bytes],
    read_mem: ReadMemory,
) -> list[str]:
    wrong = []
    for piece in pieces:
        want = expected[piece.kind][piece.index]
        got: int | bytes
        if piece.kind == "gpr":
            got = gpr[piece.index]
        elif piece.kind == "fpr":
            got = fpr[piece.index]
        elif piece.kind == "vr":
            got = vr[piece.index]
        else:
            got = read_mem(piece.index, len(want) if isinstance(want, bytes) else 8)
        digits = 16 if isinstance(want, int) else 2 * len(want)
        bits = _defined_bits(piece, mask)
        wanted, found = _number(want) & bits, _number(got) & bits
        if wanted != found:
            part = ""
            if len(pieces) > 1:
                part = f" bytes {piece.value_offset}-{piece.value_offset + piece.size - 1}"
            wrong.append(
                f"{name} ({ctype.c_name}){part} at {piece.where}: expected {wanted:#0{digits + 2}x}, "
                f"got {found:#0{digits + 2}x}"
            )
    return wrong


def _number(content: int | bytes) -> int:
    return content if isinstance(content, int) else int.from_bytes(content, "little")


def mismatches(
    placement: Placement,
    values: Sequence[bytes],
    gpr: Mapping[int, int],
    fpr: Mapping[int, int],
    vr: Mapping[int, bytes],
    read_mem: ReadMemory,
    result_address: int | None = None,
) -> list[str]:
    """One line for every piece of every argument that is not as the call with ``values`` has it; empty: all is well.

    ``read_mem(offset, size)``: offset in bytes from the calling function's r1. ``result_address``: the hidden pointer
    to expect, None: do not look at it. Numbers are little-endian: the lowest byte of memory is the last one printed.
    """
    image = encode(placement, values, result_address or 0)
    expected: dict[str, Mapping[int, int | bytes]] = {
        "gpr": image.gpr,
        "fpr": image.fpr,
        "vr": image.vr,
        "mem": image.mem,
    }
    wrong = []
    if placement.hidden is not None and result_address is not None and gpr[3] != result_address:
        wrong.append(f"address for the result at r3: expected {result_address:#018x}, got {gpr[3]:#018x}")
    for i, (ctype, pieces) in enumerate(zip(placement.types, placement.arguments, strict=True)):
        name = f"argument {i + 1}"
        mask = placement.masks[i]
        wrong += _pieces_wrong(name, ctype, pieces, mask, expected, gpr, fpr, vr, read_mem)
    return wrong


def result_mismatches(
    placement: Placement,
    value: bytes,
    gpr: Mapping[int, int],
    fpr: Mapping[int, int],
    vr: Mapping[int, bytes],
    read_absolute: ReadMemory,
    result_address: int = 0,
) -> list[str]:
    """The same for what a call returned: registers, or memory at ``result_address`` and r3 pointing there."""
    ctype = placement.prototype.result
    if placement.hidden is not None:
        if gpr[3] != result_address:
            return [f"address of the result at r3: expected {result_address:#018x}, got {gpr[3]:#018x}"]
        wanted = without_padding(value, placement.result_mask)
        got = decode_result(placement, gpr, fpr, vr, read_absolute)
        if got != wanted:
            where = f"0x{result_address:x}"
            return [f"result ({ctype.c_name}) in memory at {where}: expected bytes {wanted.hex()}, got {got.hex()}"]
        return []
    image = encode_result(placement, value)
    expected: dict[str, Mapping[int, int | bytes]] = {"gpr": image.gpr, "fpr": image.fpr, "vr": image.vr, "mem": {}}
    mask = placement.result_mask
    return _pieces_wrong("result", ctype, placement.result, mask, expected, gpr, fpr, vr, read_absolute)
