"""Rotates and shifts (Power ISA 3.0B, book I, 3.3.14).

One by as many bits as a register says is made of constant ones: by 1, 2, 4, ... bits where the count has that bit.
"""

from __future__ import annotations

from collections.abc import Callable

from lpgen.proof.integer import binary, record
from lpgen.proof.outcome import NEXT, RC, Decoder, Handler, NotModelledError, Outcome, Table
from lpgen.proof.state import Memory, Registers
from lpgen.proof.term import (
    FALSE,
    Term,
    both,
    concat,
    const,
    either,
    equal,
    extract,
    invert,
    ite,
    rotate_left,
    sext,
    shift_left,
    shift_right,
    shift_right_signed,
    zext,
)

_ALL = (1 << 64) - 1


def _mask(first: int, last: int) -> int:
    """Return ones from bit ``first`` to bit ``last``, counted from the highest; around the end if last < first."""
    if first > last:
        return _ALL ^ _mask(last + 1, first - 1) if last + 1 < first else _ALL
    return (_ALL >> first) & (_ALL << (63 - last)) & _ALL


def _doubled(value: Term, count: int) -> Term:
    """Return ROTL32: the low half rotated, in both halves."""
    half = rotate_left(extract(value, 31, 0), count)
    return concat(half, half)


def _variable(shift: Callable[[Term, int], Term], value: Term, count: Term) -> Term:
    """Return ``shift`` of a value by as many bits as ``count`` says."""
    for bit in range(count.width):
        value = ite(extract(count, bit, bit), shift(value, 1 << bit), value)
    return value


def _rotate(
    rotate: Callable[[Term, int], Term], count: int, mask: int, *, insert: bool = False
) -> Callable[[int], Handler]:
    """Make what decodes a rotate by a constant: the bits of ``mask`` are the rotated ones, the others 0, or RA's."""
    ones, zeros = const(64, mask), const(64, ~mask)

    def decode(word: int) -> Handler:
        rs, ra, records = word >> 21 & 31, word >> 16 & 31, bool(word & RC)

        def run(address: int, registers: Registers, memory: Memory) -> Outcome:
            gpr = registers.gpr
            value = both(rotate(gpr[rs], count), ones)
            if insert:
                value = either(value, both(gpr[ra], zeros))
            gpr[ra] = value
            if records:
                record(registers, value)
            return NEXT

        return run

    return decode


def _rotate_word(word: int) -> Handler:
    count, first, last = word >> 11 & 31, word >> 6 & 31, word >> 1 & 31
    return _rotate(_doubled, count, _mask(first + 32, last + 32), insert=word >> 26 == 20)(word)


def _rotate_by_register(rotated: Callable[[Term, Term], Term], mask: int) -> Decoder:
    ones = const(64, mask)
    return binary(lambda value, count: both(rotated(value, count), ones))


def _rotated_word(value: Term, count: Term) -> Term:
    half = _variable(rotate_left, extract(value, 31, 0), extract(count, 4, 0))
    return concat(half, half)


def _rotated(value: Term, count: Term) -> Term:
    return _variable(rotate_left, value, extract(count, 5, 0))


def _rotate_word_by_register(word: int) -> Handler:
    return _rotate_by_register(_rotated_word, _mask((word >> 6 & 31) + 32, (word >> 1 & 31) + 32))(word)


def _rotate_doubleword(word: int) -> Handler:
    """Decode primary opcode 30: rldicl, rldicr, rldic, rldimi, rldcl, rldcr."""
    count = word >> 11 & 31 | (word & 2) << 4
    edge = word >> 6 & 31 | word & 32
    kind = word >> 2 & 7
    if kind < 4:
        mask = (_mask(edge, 63), _mask(0, edge), _mask(edge, 63 - count), _mask(edge, 63 - count))[kind]
        return _rotate(rotate_left, count, mask, insert=kind == 3)(word)
    if kind == 4:
        return _rotate_by_register(_rotated, _mask(0, edge) if word & 2 else _mask(edge, 63))(word)
    raise NotModelledError(f"{word:#010x}: a reserved opcode")


def _shift(bits: int, shift: Callable[[Term, int], Term]) -> Decoder:
    """Decode a shift of ``bits`` bits by RB, zeros coming in: nothing is left if the bit above the count is set."""
    steps = bits.bit_length() - 1

    def shifted(value: Term, count: Term) -> Term:
        left = _variable(shift, extract(value, bits - 1, 0), extract(count, steps - 1, 0))
        return zext(ite(extract(count, steps, steps), const(bits, 0), left), 64)

    return binary(shifted)


def _arithmetic(bits: int, *, immediate: bool) -> Decoder:
    """Decode a shift of a signed number to the right: CA and CA32 if it is negative and loses ones."""
    steps = bits.bit_length() - 1

    def decode(word: int) -> Handler:
        rs, ra, rb, records = word >> 21 & 31, word >> 16 & 31, word >> 11 & 31, bool(word & RC)
        constant = rb | (word & 2) << 4 if bits == 64 else rb

        def run(address: int, registers: Registers, memory: Memory) -> Outcome:
            source = extract(registers.gpr[rs], bits - 1, 0)
            sign = extract(source, bits - 1, bits - 1)
            if immediate:
                value = shift_right_signed(source, constant)
                lost = invert(equal(extract(source, constant - 1, 0), const(constant, 0))) if constant else FALSE
            else:
                count = extract(registers.gpr[rb], steps - 1, 0)
                whole = extract(registers.gpr[rb], steps, steps)
                value = ite(whole, sext(sign, bits), _variable(shift_right_signed, source, count))
                kept = _variable(shift_left, _variable(shift_right, source, count), count)
                # A negative number that is shifted out as a whole has lost its sign bit at least.
                lost = either(whole, invert(equal(kept, source)))
            registers.xer["ca"] = registers.xer["ca32"] = both(sign, lost)
            registers.gpr[ra] = value = sext(value, 64)
            if records:
                record(registers, value)
            return NEXT

        return run

    return decode


PRIMARY: Table = {
    20: (_rotate_word, 0),
    21: (_rotate_word, 0),
    23: (_rotate_word_by_register, 0),
    30: (_rotate_doubleword, 0),
}

EXTENDED: Table = {
    24: (_shift(32, shift_left), 0),
    27: (_shift(64, shift_left), 0),
    536: (_shift(32, shift_right), 0),
    539: (_shift(64, shift_right), 0),
    792: (_arithmetic(32, immediate=False), 0),
    794: (_arithmetic(64, immediate=False), 0),
    824: (_arithmetic(32, immediate=True), 0),
    # XS form: the count's highest bit is in what is the extended opcode's lowest one elsewhere.
    826: (_arithmetic(64, immediate=True), 0),
    827: (_arithmetic(64, immediate=True), 0),
}
