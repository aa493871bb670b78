"""Branches, CR logic, special purpose registers, barriers (Power ISA 3.0B, book I 2.4 to 2.5, 3.3.17, book III 4.4)."""

from __future__ import annotations

from collections.abc import Callable

from lpgen.proof.outcome import (
    NEXT,
    RA_FIELD,
    RB_FIELD,
    RC,
    RT_FIELD,
    Decoder,
    Handler,
    NotModelledError,
    Outcome,
    Table,
    no_effect,
)
from lpgen.proof.state import Memory, Registers
from lpgen.proof.term import TRUE, Term, both, concat, const, differ, either, equal, extract, invert, plus, var, zext

_ZERO = const(64, 0)
_XER, _LR, _CTR = 1, 8, 9
# What may be read of the special purpose registers besides those three: any value, for all that is known here. DSCR
# (twice), DSISR, DAR, DEC, SRR0, SRR1, CFAR, VRSAVE, SPRG3 for the user, TB, TBU, SPRG0 to SPRG3, PVR, TAR.
_READABLE = frozenset((3, 17, 18, 19, 22, 26, 27, 28, 256, 259, 268, 269, 272, 273, 274, 275, 287, 815))


# Branches


def _distance(word: int, bits: int) -> int:
    """Return the distance in ``bits`` of the word, with its sign."""
    return (word & bits) - ((word & bits) << 1 & (bits + 4))


def _unconditional(word: int) -> Handler:
    links, distance, absolute = bool(word & 1), _distance(word, 0x3FFFFFC), bool(word & 2)

    def run(address: int, registers: Registers, memory: Memory) -> Outcome:
        if links:
            registers.lr = const(64, address + 4)
        return Outcome(TRUE, const(64, distance if absolute else address + distance), links=links)

    return run


def _condition(word: int) -> Callable[[Registers], Term]:
    """Return what decides on a conditional branch, and counts CTR down where BO says so (book I, 2.4, BO field)."""
    options, bit = word >> 21 & 31, word >> 16 & 31
    ignores_cr, if_true, ignores_ctr, if_zero = options & 16, options & 8, options & 4, options & 2
    # The hint "at" is 0b01: reserved. It is the low two bits, or bits 3 and 0 where CR is not tested.
    hint = (options >> 2 & 2 | options & 1) if ignores_cr else options & 3
    if bool(ignores_cr) != bool(ignores_ctr) and hint == 1:
        raise NotModelledError(f"{word:#010x}: branch option {options} is reserved")

    def decide(registers: Registers) -> Term:
        taken = TRUE
        if not ignores_ctr:
            registers.ctr = plus(registers.ctr, -1)
            is_zero = equal(registers.ctr, _ZERO)
            taken = is_zero if if_zero else invert(is_zero)
        if not ignores_cr:
            cr = registers.cr[bit]
            taken = both(taken, cr if if_true else invert(cr))
        return taken

    return decide


def _conditional(word: int) -> Handler:
    decide, links, distance, absolute = _condition(word), bool(word & 1), _distance(word, 0xFFFC), bool(word & 2)

    def run(address: int, registers: Registers, memory: Memory) -> Outcome:
        taken = decide(registers)
        if links:
            registers.lr = const(64, address + 4)
        return Outcome(taken, const(64, distance if absolute else address + distance), links=links)

    return run


def _to_register(*, ctr: bool) -> Decoder:
    def decode(word: int) -> Handler:
        decide, links = _condition(word), bool(word & 1)
        if ctr and not word >> 21 & 4:
            raise NotModelledError(f"{word:#010x}: a branch to CTR that decrements CTR (invalid form)")

        def run(address: int, registers: Registers, memory: Memory) -> Outcome:
            to = registers.ctr if ctr else registers.lr
            taken = decide(registers)
            if links:
                registers.lr = const(64, address + 4)
            return Outcome(taken, concat(extract(to, 63, 2), const(2, 0)), links=links)

        return run

    return decode


def _add_to_pc(word: int) -> Handler:
    """Decode addpcis, whose number is in three pieces (book I, DX form)."""
    number = word & 0xFFC0 | (word >> 16 & 31) << 1 | word & 1
    number = (number & 0x7FFF) - (number & 0x8000)
    rt = word >> 21 & 31

    def run(address: int, registers: Registers, memory: Memory) -> Outcome:
        registers.gpr[rt] = const(64, address + 4 + (number << 16))
        return NEXT

    return run


# The condition register


def _cr_logic(make: Callable[[Term, Term], Term]) -> tuple[Decoder, int]:
    def decode(word: int) -> Handler:
        bt, ba, bb = word >> 21 & 31, word >> 16 & 31, word >> 11 & 31

        def run(address: int, registers: Registers, memory: Memory) -> Outcome:
            registers.cr[bt] = make(registers.cr[ba], registers.cr[bb])
            return NEXT

        return run

    return decode, RC


def _move_field(word: int) -> Handler:
    to, source = word >> 21 & 28, word >> 16 & 28

    def run(address: int, registers: Registers, memory: Memory) -> Outcome:
        registers.cr[to : to + 4] = registers.cr[source : source + 4]
        return NEXT

    return run


def _fields(word: int) -> list[int]:
    """Return the first bit of each CR field that FXM names; mfocrf and mtocrf (bit 20 set) are defined for one."""
    mask = word >> 12 & 255
    if word & 1 << 20 and (not mask or mask & (mask - 1)):
        raise NotModelledError(f"{word:#010x}: it has to name one field of CR, all else is undefined")
    return [4 * field for field in range(8) if mask & 128 >> field]


def _from_cr(word: int) -> Handler:
    rt = word >> 21 & 31
    if not word & 1 << 20:
        if word & 0xFF000:
            raise NotModelledError(f"{word:#010x}: reserved bits are set")

        def whole(address: int, registers: Registers, memory: Memory) -> Outcome:
            registers.gpr[rt] = zext(registers.cr_word(), 64)
            return NEXT

        return whole
    (first,) = _fields(word)

    def one(address: int, registers: Registers, memory: Memory) -> Outcome:
        # The other bits are undefined (book I, 3.3.17).
        rest, low = var(64, f"mfocrf@{address:#x}"), 28 - first
        parts = [extract(rest, 63, low + 4), *registers.cr[first : first + 4]]
        registers.gpr[rt] = concat(*parts, extract(rest, low - 1, 0)) if low else concat(*parts)
        return NEXT

    return one


def _to_cr(word: int) -> Handler:
    rs, fields = word >> 21 & 31, _fields(word)

    def run(address: int, registers: Registers, memory: Memory) -> Outcome:
        value = registers.gpr[rs]
        for first in fields:
            for bit in range(first, first + 4):
                registers.cr[bit] = extract(value, 31 - bit, 31 - bit)
        return NEXT

    return run


# Special purpose registers


def _spr(word: int) -> int:
    return word >> 16 & 31 | (word >> 11 & 31) << 5


def _from_spr(word: int) -> Handler:
    rt, number = word >> 21 & 31, _spr(word)
    if number not in (_XER, _LR, _CTR) and number not in _READABLE:
        raise NotModelledError(f"{word:#010x}: SPR {number} is read")

    def run(address: int, registers: Registers, memory: Memory) -> Outcome:
        if number == _LR:
            value = registers.lr
        elif number == _CTR:
            value = registers.ctr
        elif number == _XER:
            value = registers.xer_word()
        else:
            value = var(64, f"spr{number}@{address:#x}")
        registers.gpr[rt] = value
        return NEXT

    return run


def _to_spr(word: int) -> Handler:
    rs, number = word >> 21 & 31, _spr(word)
    done = NEXT if number in (_XER, _LR, _CTR) else Outcome(privileged=f"SPR {number}")

    def run(address: int, registers: Registers, memory: Memory) -> Outcome:
        value = registers.gpr[rs]
        if number == _LR:
            registers.lr = value
        elif number == _CTR:
            registers.ctr = value
        elif number == _XER:
            registers.set_xer_word(value)
        return done

    return run


def _from_time_base(word: int) -> Handler:
    if _spr(word) not in (268, 269):
        raise NotModelledError(f"{word:#010x}: mftb of SPR {_spr(word)}")
    return _from_spr(word)


def _from_msr(word: int) -> Handler:
    rt = word >> 21 & 31

    def run(address: int, registers: Registers, memory: Memory) -> Outcome:
        registers.gpr[rt] = registers.msr
        return NEXT

    return run


def _to_msr(word: int) -> Handler:
    done, rs = Outcome(privileged="MSR"), word >> 21 & 31
    # With L = 1 no more than EE and RI are set (book III, 5.4.1).
    mask = 0x8002 if word >> 16 & 1 else (1 << 64) - 1

    def run(address: int, registers: Registers, memory: Memory) -> Outcome:
        kept, set_ = both(registers.msr, const(64, ~mask)), both(registers.gpr[rs], const(64, mask))
        registers.msr = either(kept, set_)
        return done

    return run


# The rest


def _barrier(word: int) -> Handler:
    if word >> 21 & 3 == 3:
        raise NotModelledError(f"{word:#010x}: sync with a reserved L")
    return no_effect(word)


def _ends(fault: str) -> Decoder:
    done = Outcome(fault=fault)
    return lambda word: lambda address, registers, memory: done


def _system_call(word: int) -> Handler:
    if not word & 2:
        raise NotModelledError(f"{word:#010x}: scv, or a reserved opcode")
    return _ends("system call")(word)


# The one word that is illegal for good (book I, 1.8.3): other words of its opcode are not.
PRIMARY: Table = {
    0: (_ends("illegal instruction"), 0x3FFFFFF),
    16: (_conditional, 0),
    17: (_system_call, 0x3FFF01D),
    18: (_unconditional, 0),
}

EXTENDED_19: Table = {
    0: (_move_field, 3 << 21 | 3 << 16 | RB_FIELD | RC),
    16: (_to_register(ctr=False), 7 << 13),
    528: (_to_register(ctr=True), 7 << 13),
    150: (no_effect, RT_FIELD | RA_FIELD | RB_FIELD | RC),  # isync
    33: _cr_logic(lambda a, b: invert(either(a, b))),
    129: _cr_logic(lambda a, b: both(a, invert(b))),
    193: _cr_logic(differ),
    225: _cr_logic(lambda a, b: invert(both(a, b))),
    257: _cr_logic(both),
    289: _cr_logic(lambda a, b: invert(differ(a, b))),
    417: _cr_logic(lambda a, b: either(a, invert(b))),
    449: _cr_logic(either),
    # DX form: the number's upper bits are in what is the extended opcode's upper part elsewhere.
    **{upper << 5 | 2: (_add_to_pc, 0) for upper in range(32)},
}

EXTENDED_31: Table = {
    19: (_from_cr, 1 << 11 | RC),
    83: (_from_msr, RA_FIELD | RB_FIELD | RC),
    144: (_to_cr, 1 << 11 | RC),
    146: (_to_msr, 15 << 17 | RB_FIELD | RC),
    178: (_to_msr, 15 << 17 | RB_FIELD | RC),
    339: (_from_spr, RC),
    371: (_from_time_base, RC),
    467: (_to_spr, RC),
    598: (_barrier, 28 << 21 | RA_FIELD | RB_FIELD | RC),
    854: (no_effect, RT_FIELD | RA_FIELD | RB_FIELD | RC),
}
