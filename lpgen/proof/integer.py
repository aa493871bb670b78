"""Sums, products, logic, comparisons and traps (Power ISA 3.0B, book I, 3.3.9 to 3.3.13)."""

from __future__ import annotations

from collections.abc import Callable

from lpgen.proof.outcome import NEXT, RB_FIELD, RC, Decoder, Handler, NotModelledError, Outcome, Table, signed16
from lpgen.proof.state import Memory, Registers
from lpgen.proof.term import (
    FALSE,
    TRUE,
    Term,
    add,
    both,
    concat,
    const,
    differ,
    either,
    equal,
    extract,
    invert,
    ite,
    less,
    less_signed,
    mul,
    plus,
    sext,
    sub,
    times,
    var,
    zext,
)

_ZERO = const(64, 0)


def record(registers: Registers, value: Term) -> None:
    """Set CR0 as an instruction with Rc=1 does for its result."""
    _compare(registers, 0, value, _ZERO, less_signed)


def _compare(registers: Registers, field: int, a: Term, b: Term, smaller: Callable[[Term, Term], Term]) -> None:
    at = 4 * field
    registers.cr[at : at + 4] = [smaller(a, b), smaller(b, a), equal(a, b), registers.xer["so"]]


# Sums


def _carry(a: Term, b: Term, carry: Term, subtract: bool) -> Term:
    """Return the carry out of b + a + carry, or of b + ~a + carry."""
    if subtract and carry is TRUE:
        return invert(less(b, a))
    if subtract:
        a = invert(a)
    if carry is FALSE:
        return less(add(a, b), a)
    wide = a.width + 1
    return extract(add(add(zext(a, wide), zext(b, wide)), zext(carry, wide)), wide - 1, wide - 1)


def _overflow(a: Term, b: Term, value: Term, subtract: bool) -> Term:
    """Return whether the sum of a (or ~a) and b has a sign that two numbers of their signs cannot have."""
    high = a.width - 1
    sign = extract(b, high, high)
    other = extract(a, high, high)
    alike = differ(sign, other) if subtract else invert(differ(sign, other))
    return both(alike, differ(sign, extract(value, high, high)))


def set_overflow(registers: Registers, whole: Term, low: Term) -> None:
    """Set OV and OV32, and SO as soon as there is an overflow (book I, 3.2.2)."""
    xer = registers.xer
    xer["ov"], xer["ov32"], xer["so"] = whole, low, either(xer["so"], whole)


def _low(term: Term) -> Term:
    return extract(term, 31, 0)


def _add(
    registers: Registers, a: Term, b: Term, carry: Term, *, subtract: bool, carries: bool, overflows: bool
) -> Term:
    """Return b + a + carry, or b + ~a + carry, and set CA and OV where asked to."""
    value = add(plus(sub(b, a), -1) if subtract else add(a, b), zext(carry, 64))
    if carries:
        registers.xer["ca"] = _carry(a, b, carry, subtract)
        registers.xer["ca32"] = _carry(_low(a), _low(b), carry, subtract)
    if overflows:
        low = _overflow(_low(a), _low(b), _low(value), subtract)
        set_overflow(registers, _overflow(a, b, value, subtract), low)
    return value


def _xo(
    *, second: int | None = None, carry: Term | None = FALSE, subtract: bool = False, carries: bool = False
) -> Decoder:
    """Decode a sum of XO form: ``second`` instead of RB, ``carry`` None for CA, with OE and Rc."""

    def decode(word: int) -> Handler:
        rt, ra, rb = word >> 21 & 31, word >> 16 & 31, word >> 11 & 31
        overflows, records = bool(word & 0x400), bool(word & RC)
        number = None if second is None else const(64, second)

        def run(address: int, registers: Registers, memory: Memory) -> Outcome:
            gpr = registers.gpr
            value = _add(
                registers,
                gpr[ra],
                gpr[rb] if number is None else number,
                registers.xer["ca"] if carry is None else carry,
                subtract=subtract,
                carries=carries,
                overflows=overflows,
            )
            gpr[rt] = value
            if records:
                record(registers, value)
            return NEXT

        return run

    return decode


def _add_immediate(shift: int) -> Decoder:
    def decode(word: int) -> Handler:
        rt, ra, number = word >> 21 & 31, word >> 16 & 31, signed16(word) << shift
        alone = const(64, number)

        def run(address: int, registers: Registers, memory: Memory) -> Outcome:
            registers.gpr[rt] = plus(registers.gpr[ra], number) if ra else alone
            return NEXT

        return run

    return decode


def _carrying_immediate(*, subtract: bool = False, records: bool = False) -> Decoder:
    def decode(word: int) -> Handler:
        rt, ra, number = word >> 21 & 31, word >> 16 & 31, const(64, signed16(word))
        carry = TRUE if subtract else FALSE

        def run(address: int, registers: Registers, memory: Memory) -> Outcome:
            a = registers.gpr[ra]
            value = _add(registers, a, number, carry, subtract=subtract, carries=True, overflows=False)
            registers.gpr[rt] = value
            if records:
                record(registers, value)
            return NEXT

        return run

    return decode


# Products


def _multiply_immediate(word: int) -> Handler:
    rt, ra, number = word >> 21 & 31, word >> 16 & 31, signed16(word)

    def run(address: int, registers: Registers, memory: Memory) -> Outcome:
        registers.gpr[rt] = times(registers.gpr[ra], number)
        return NEXT

    return run


def _multiply(bits: int) -> Decoder:
    """Decode mullw and mulld: numbers of ``bits`` bits, OV where their product does not fit into as many."""

    def decode(word: int) -> Handler:
        rt, ra, rb = word >> 21 & 31, word >> 16 & 31, word >> 11 & 31
        overflows, records = bool(word & 0x400), bool(word & RC)

        def run(address: int, registers: Registers, memory: Memory) -> Outcome:
            a, b = extract(registers.gpr[ra], bits - 1, 0), extract(registers.gpr[rb], bits - 1, 0)
            if overflows:
                whole = mul(sext(a, 2 * bits), sext(b, 2 * bits))
                exceeds = invert(equal(whole, sext(extract(whole, bits - 1, 0), 2 * bits)))
                set_overflow(registers, exceeds, exceeds)
            value = mul(sext(a, 64), sext(b, 64))
            registers.gpr[rt] = value
            if records:
                record(registers, value)
            return NEXT

        return run

    return decode


def _multiply_high(bits: int, *, signed: bool) -> Decoder:
    extend = sext if signed else zext

    def decode(word: int) -> Handler:
        rt, ra, rb = word >> 21 & 31, word >> 16 & 31, word >> 11 & 31
        records = bool(word & RC)
        if records and bits == 32:
            raise NotModelledError(f"{word:#010x}: CR0 is undefined after it (book I, 3.3.9)")

        def run(address: int, registers: Registers, memory: Memory) -> Outcome:
            a, b = extract(registers.gpr[ra], bits - 1, 0), extract(registers.gpr[rb], bits - 1, 0)
            value = extract(mul(extend(a, 2 * bits), extend(b, 2 * bits)), 2 * bits - 1, bits)
            if bits == 32:
                value = concat(var(32, f"mulhw@{address:#x}"), value)
            registers.gpr[rt] = value
            if records:
                record(registers, value)
            return NEXT

        return run

    return decode


# Logic


def binary(make: Callable[[Term, Term], Term]) -> Decoder:
    """Decode an X form that puts ``make`` of RS and RB into RA, with Rc."""

    def decode(word: int) -> Handler:
        rs, ra, rb, records = word >> 21 & 31, word >> 16 & 31, word >> 11 & 31, bool(word & RC)

        def run(address: int, registers: Registers, memory: Memory) -> Outcome:
            value = make(registers.gpr[rs], registers.gpr[rb])
            registers.gpr[ra] = value
            if records:
                record(registers, value)
            return NEXT

        return run

    return decode


def unary(make: Callable[[Term], Term]) -> Decoder:
    """Decode an X form that puts ``make`` of RS into RA, with Rc."""

    def decode(word: int) -> Handler:
        rs, ra, records = word >> 21 & 31, word >> 16 & 31, bool(word & RC)

        def run(address: int, registers: Registers, memory: Memory) -> Outcome:
            value = make(registers.gpr[rs])
            registers.gpr[ra] = value
            if records:
                record(registers, value)
            return NEXT

        return run

    return decode


def _logic_immediate(make: Callable[[Term, Term], Term], shift: int, *, records: bool = False) -> Decoder:
    def decode(word: int) -> Handler:
        rs, ra, number = word >> 21 & 31, word >> 16 & 31, const(64, (word & 0xFFFF) << shift)

        def run(address: int, registers: Registers, memory: Memory) -> Outcome:
            value = make(registers.gpr[rs], number)
            registers.gpr[ra] = value
            if records:
                record(registers, value)
            return NEXT

        return run

    return decode


def _extend_sign(bits: int) -> Callable[[Term], Term]:
    return lambda value: sext(extract(value, bits - 1, 0), 64)


def _leading_zeros(bits: int) -> Callable[[Term], Term]:
    def count(value: Term) -> Term:
        found = const(64, bits)
        for bit in range(bits):
            found = ite(extract(value, bit, bit), const(64, bits - 1 - bit), found)
        return found

    return count


def _ones(bits: int) -> Callable[[Term], Term]:
    """Return what counts the ones in each group of ``bits`` bits."""

    def count(value: Term) -> Term:
        groups = []
        for low in range(64 - bits, -1, -bits):
            total = const(bits, 0)
            for bit in range(low, low + bits):
                total = add(total, zext(extract(value, bit, bit), bits))
            groups.append(total)
        return concat(*groups)

    return count


def _equal_bytes(a: Term, b: Term) -> Term:
    return concat(*(sext(equal(extract(a, low + 7, low), extract(b, low + 7, low)), 8) for low in range(56, -8, -8)))


# Comparisons and traps


def _comparison(smaller: Callable[[Term, Term], Term], immediate: Callable[[int], int] | None = None) -> Decoder:
    """Decode cmp and its kin; ``immediate`` takes the second number out of the word, None: it is RB."""

    def decode(word: int) -> Handler:
        field, bits, ra, rb = word >> 23 & 7, 64 if word >> 21 & 1 else 32, word >> 16 & 31, word >> 11 & 31
        number = const(bits, immediate(word)) if immediate else None

        def run(address: int, registers: Registers, memory: Memory) -> Outcome:
            a = extract(registers.gpr[ra], bits - 1, 0)
            b = number or extract(registers.gpr[rb], bits - 1, 0)
            _compare(registers, field, a, b, smaller)
            return NEXT

        return run

    return decode


def _unsigned16(word: int) -> int:
    return word & 0xFFFF


def _any_of(options: int, a: Term, b: Term, smaller: Callable[[Term, Term], Term]) -> Term:
    """Return whether a is smaller than (4), greater than (2) or equal to (1) b, whichever of them ``options`` name."""
    if options in (0, 7):
        return TRUE if options else FALSE
    if options & 1:
        return invert(_any_of(7 - options, a, b, smaller))
    return {2: lambda: smaller(b, a), 4: lambda: smaller(a, b), 6: lambda: invert(equal(a, b))}[options]()


def _trap(bits: int, *, immediate: bool) -> Decoder:
    def decode(word: int) -> Handler:
        options, ra, rb = word >> 21 & 31, word >> 16 & 31, word >> 11 & 31
        number = const(bits, signed16(word)) if immediate else None
        # TO: smaller, greater, equal, then smaller and greater without sign (book I, 3.3.11).
        is_equal, signed, unsigned = options >> 2 & 1, options >> 2 & 6, (options & 3) << 1
        # In the normal form "smaller or equal" is "not greater": equal goes with one of the two.
        unsigned |= is_equal if not signed else 0
        signed |= is_equal if signed else 0

        def run(address: int, registers: Registers, memory: Memory) -> Outcome:
            a = extract(registers.gpr[ra], bits - 1, 0)
            b = number or extract(registers.gpr[rb], bits - 1, 0)
            if a is b:
                trap = TRUE if is_equal else FALSE
            else:
                trap = either(_any_of(signed, a, b, less_signed), _any_of(unsigned, a, b, less))
            return NEXT if trap is FALSE else Outcome(trap=trap)

        return run

    return decode


def _select(word: int) -> Handler:
    rt, ra, rb, bit = word >> 21 & 31, word >> 16 & 31, word >> 11 & 31, word >> 6 & 31

    def run(address: int, registers: Registers, memory: Memory) -> Outcome:
        gpr = registers.gpr
        gpr[rt] = ite(registers.cr[bit], gpr[ra] if ra else _ZERO, gpr[rb])
        return NEXT

    return run


def _set_boolean(word: int) -> Handler:
    rt, bit = word >> 21 & 31, word >> 16 & 28

    def run(address: int, registers: Registers, memory: Memory) -> Outcome:
        greater = zext(registers.cr[bit + 1], 64)
        registers.gpr[rt] = ite(registers.cr[bit], const(64, -1), greater)
        return NEXT

    return run


PRIMARY: Table = {
    2: (_trap(64, immediate=True), 0),
    3: (_trap(32, immediate=True), 0),
    7: (_multiply_immediate, 0),
    8: (_carrying_immediate(subtract=True), 0),
    10: (_comparison(less, _unsigned16), 1 << 22),
    11: (_comparison(less_signed, signed16), 1 << 22),
    12: (_carrying_immediate(), 0),
    13: (_carrying_immediate(records=True), 0),
    14: (_add_immediate(0), 0),
    15: (_add_immediate(16), 0),
    24: (_logic_immediate(either, 0), 0),
    25: (_logic_immediate(either, 16), 0),
    26: (_logic_immediate(differ, 0), 0),
    27: (_logic_immediate(differ, 16), 0),
    28: (_logic_immediate(both, 0, records=True), 0),
    29: (_logic_immediate(both, 16, records=True), 0),
}

_SUMS: Table = {
    8: (_xo(carry=TRUE, subtract=True, carries=True), 0),  # subfc
    10: (_xo(carries=True), 0),  # addc
    40: (_xo(carry=TRUE, subtract=True), 0),  # subf
    104: (_xo(second=0, carry=TRUE, subtract=True), RB_FIELD),  # neg
    136: (_xo(carry=None, subtract=True, carries=True), 0),  # subfe
    138: (_xo(carry=None, carries=True), 0),  # adde
    200: (_xo(second=0, carry=None, subtract=True, carries=True), RB_FIELD),  # subfze
    202: (_xo(second=0, carry=None, carries=True), RB_FIELD),  # addze
    232: (_xo(second=-1, carry=None, subtract=True, carries=True), RB_FIELD),  # subfme
    234: (_xo(second=-1, carry=None, carries=True), RB_FIELD),  # addme
    266: (_xo(), 0),  # add
    233: (_multiply(64), 0),
    235: (_multiply(32), 0),
}

EXTENDED: Table = {
    **_SUMS,
    # OE is the highest bit of what is the extended opcode of other forms.
    **{512 + opcode: how for opcode, how in _SUMS.items()},
    9: (_multiply_high(64, signed=False), 0),
    11: (_multiply_high(32, signed=False), 0),
    73: (_multiply_high(64, signed=True), 0),
    75: (_multiply_high(32, signed=True), 0),
    28: (binary(both), 0),
    60: (binary(lambda a, b: both(a, invert(b))), 0),
    124: (binary(lambda a, b: invert(either(a, b))), 0),
    284: (binary(lambda a, b: invert(differ(a, b))), 0),
    316: (binary(differ), 0),
    412: (binary(lambda a, b: either(a, invert(b))), 0),
    444: (binary(either), 0),
    476: (binary(lambda a, b: invert(both(a, b))), 0),
    508: (binary(_equal_bytes), RC),
    26: (unary(_leading_zeros(32)), RB_FIELD),
    58: (unary(_leading_zeros(64)), RB_FIELD),
    122: (unary(_ones(8)), RB_FIELD | RC),
    378: (unary(_ones(32)), RB_FIELD | RC),
    506: (unary(_ones(64)), RB_FIELD | RC),
    922: (unary(_extend_sign(16)), RB_FIELD),
    954: (unary(_extend_sign(8)), RB_FIELD),
    986: (unary(_extend_sign(32)), RB_FIELD),
    0: (_comparison(less_signed), 1 << 22 | RC),
    32: (_comparison(less), 1 << 22 | RC),
    4: (_trap(32, immediate=False), RC),
    68: (_trap(64, immediate=False), RC),
    128: (_set_boolean, 3 << 16 | RB_FIELD | RC),
    **{bit << 5 | 15: (_select, RC) for bit in range(32)},
}
