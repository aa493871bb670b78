"""Loads and stores of GPRs, and what cache instructions do (Power ISA 3.0B, book I 3.3, book II 4.3)."""

from __future__ import annotations

from lpgen.proof.outcome import (
    NEXT,
    RC,
    RT_FIELD,
    Decoder,
    Handler,
    NotModelledError,
    Outcome,
    Table,
    no_effect,
    signed16,
)
from lpgen.proof.state import Memory, Registers
from lpgen.proof.term import Term, add, concat, const, extract, plus, sext, zext

_ZERO = const(64, 0)


def _base(registers: Registers, ra: int) -> Term:
    return registers.gpr[ra] if ra else _ZERO


def _reversed(value: Term) -> Term:
    return concat(*(extract(value, low + 7, low) for low in range(0, value.width, 8)))


def _load(word: int, size: int, distance: int | None, *, signed: bool, update: bool, swap: bool = False) -> Handler:
    """Make the handler of a load whose address counts ``distance`` from RA; None: as much as RB says."""
    rt, ra, rb = word >> 21 & 31, word >> 16 & 31, word >> 11 & 31
    if update and ra in (0, rt):
        raise NotModelledError(
            f"{word:#010x}: a load with update of r0, or of the register that it loads (invalid form)"
        )
    extend = sext if signed else zext

    def run(address: int, registers: Registers, memory: Memory) -> Outcome:
        base = _base(registers, ra)
        where = add(base, registers.gpr[rb]) if distance is None else plus(base, distance)
        value = memory.load(where, size)
        registers.gpr[rt] = extend(_reversed(value) if swap else value, 64)
        if update:
            registers.gpr[ra] = where
        return NEXT

    return run


def _store(word: int, size: int, distance: int | None, *, update: bool, swap: bool = False) -> Handler:
    rs, ra, rb = word >> 21 & 31, word >> 16 & 31, word >> 11 & 31
    if update and not ra:
        raise NotModelledError(f"{word:#010x}: a store with update of r0 (invalid form)")

    def run(address: int, registers: Registers, memory: Memory) -> Outcome:
        base = _base(registers, ra)
        where = add(base, registers.gpr[rb]) if distance is None else plus(base, distance)
        value = extract(registers.gpr[rs], 8 * size - 1, 0)
        memory.store(where, size, _reversed(value) if swap else value)
        if update:
            registers.gpr[ra] = where
        return NEXT

    return run


def _load_d(size: int, *, signed: bool = False, update: bool = False) -> tuple[Decoder, int]:
    return lambda word: _load(word, size, signed16(word), signed=signed, update=update), 0


def _store_d(size: int, *, update: bool = False) -> tuple[Decoder, int]:
    return lambda word: _store(word, size, signed16(word), update=update), 0


def _load_x(size: int, *, signed: bool = False, update: bool = False, swap: bool = False) -> tuple[Decoder, int]:
    return lambda word: _load(word, size, None, signed=signed, update=update, swap=swap), RC


def _store_x(size: int, *, update: bool = False, swap: bool = False) -> tuple[Decoder, int]:
    return lambda word: _store(word, size, None, update=update, swap=swap), RC


def _load_ds(word: int) -> Handler:
    kind = word & 3
    if kind == 3:
        raise NotModelledError(f"{word:#010x}: a reserved opcode")
    return _load(word, 4 if kind == 2 else 8, signed16(word & ~3), signed=kind == 2, update=kind == 1)


def _store_ds(word: int) -> Handler:
    if word & 2:
        raise NotModelledError(f"{word:#010x}: stq, or a reserved opcode")
    return _store(word, 8, signed16(word & ~3), update=bool(word & 1))


def _touch(word: int) -> Handler:
    """Decode a cache instruction that changes no memory but is checked as a load of a byte is (book III, 5.7.14)."""
    ra, rb = word >> 16 & 31, word >> 11 & 31

    def run(address: int, registers: Registers, memory: Memory) -> Outcome:
        memory.load(add(_base(registers, ra), registers.gpr[rb]), 1)
        return NEXT

    return run


PRIMARY: Table = {
    32: _load_d(4),
    33: _load_d(4, update=True),
    34: _load_d(1),
    35: _load_d(1, update=True),
    36: _store_d(4),
    37: _store_d(4, update=True),
    38: _store_d(1),
    39: _store_d(1, update=True),
    40: _load_d(2),
    41: _load_d(2, update=True),
    42: _load_d(2, signed=True),
    43: _load_d(2, signed=True, update=True),
    44: _store_d(2),
    45: _store_d(2, update=True),
    58: (_load_ds, 0),
    62: (_store_ds, 0),
}

EXTENDED: Table = {
    21: _load_x(8),
    23: _load_x(4),
    53: _load_x(8, update=True),
    55: _load_x(4, update=True),
    87: _load_x(1),
    119: _load_x(1, update=True),
    149: _store_x(8),
    151: _store_x(4),
    181: _store_x(8, update=True),
    183: _store_x(4, update=True),
    215: _store_x(1),
    247: _store_x(1, update=True),
    279: _load_x(2),
    311: _load_x(2, update=True),
    341: _load_x(4, signed=True),
    343: _load_x(2, signed=True),
    373: _load_x(4, signed=True, update=True),
    375: _load_x(2, signed=True, update=True),
    407: _store_x(2),
    439: _store_x(2, update=True),
    532: _load_x(8, swap=True),
    534: _load_x(4, swap=True),
    660: _store_x(8, swap=True),
    662: _store_x(4, swap=True),
    790: _load_x(2, swap=True),
    918: _store_x(2, swap=True),
    54: (_touch, RC | RT_FIELD),  # dcbst
    86: (_touch, RC | 28 << 21),  # dcbf
    982: (_touch, RC | RT_FIELD),  # icbi
    # A touch that cannot be done is not done (book II, 4.3.2): dcbtst, dcbt.
    246: (no_effect, RC),
    278: (no_effect, RC),
}
