"""Where an instruction leads, by the fields of its word (Power ISA 3.0B, book I, 2.4 and book III, 3.3)."""

from __future__ import annotations

_BC, _B, _XL = 16, 18, 19
# Extended opcodes of _XL: bclr, bcctr, bctar; rfid, hrfid, rfscv.
_TO_REGISTER = (16, 528, 560)
_RETURNS = (18, 274, 82)
_ALWAYS = 20


def displacement(word: int) -> int | None:
    """Return the distance in bytes that a relative branch jumps; None for any other instruction."""
    opcode = word >> 26
    if word & 2 or opcode not in (_B, _BC):
        return None
    bits = 0x3FFFFFC if opcode == _B else 0xFFFC
    return (word & bits) - (((word & bits) << 1) & (bits + 4))


def branch_target(word: int, address: int) -> int | None:
    """Return where the branch ``word`` at ``address`` goes when it is taken; None: no branch, or one to LR or CTR."""
    distance = displacement(word & ~2)
    return None if distance is None else (distance if word & 2 else address + distance) & 0xFFFFFFFFFFFFFFFF


def links(word: int) -> bool:
    """True for a branch that sets LR."""
    return word >> 26 in (_B, _BC, _XL) and bool(word & 1)


def falls_through(word: int) -> bool:
    """True if the instruction behind ``word`` may come next: also when a called function returns."""
    opcode, extended = word >> 26, word >> 1 & 0x3FF
    if opcode == _XL and extended in _RETURNS:
        return False
    if opcode == _B:
        return bool(word & 1)
    if opcode == _BC or (opcode == _XL and extended in _TO_REGISTER):
        return bool(word & 1) or word >> 21 & _ALWAYS != _ALWAYS
    return True
