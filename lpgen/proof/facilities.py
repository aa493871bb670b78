"""Instructions of facilities that the kernel has switched off: interrupts (Power ISA 3.0B, book III, 6.5)."""

from __future__ import annotations

from functools import cache

from lpgen.assembly import isa

_FP, _VEC, _VSX = "FP unavailable", "VEC unavailable", "VSX unavailable"
_FPSCR = ("mtfsb0", "mtfsb1")
# Which facility these need depends on the register that they name: the lower half of the VSRs are the FPRs
# (book I, 7.6.3).
_MOVES = ("mfvsrd", "mfvsrwz", "mtvsrd", "mtvsrwa", "mtvsrwz")
_WHOLE = ("lxv", "stxv")


@cache
def _rows() -> dict[int, tuple[tuple[int, int, str, str], ...]]:
    """Return for each primary opcode: the bits that say what a word is, their value, the facility by half of VSRs."""
    rows: dict[int, list[tuple[int, int, str, str]]] = {}
    for mnemonic in isa.mnemonics():
        for form in isa.forms(mnemonic):
            classes = {isa.KINDS[name].cls for name in form.operands}
            if form.base is not None or not (classes & {"fpr", "vr", "vsr"} or mnemonic in _FPSCR):
                continue
            low = _VSX if "vsr" in classes else _VEC if "vr" in classes else _FP
            high = low
            if mnemonic in _MOVES:
                low, high = _FP, _VEC
            elif mnemonic in _WHOLE:
                high = _VEC
            free = 0
            for name in form.operands:
                free |= _field(name)
            rows.setdefault(form.word >> 26, []).append((~free & 0xFFFFFFFF, form.word, low, high))
    return {opcode: tuple(found) for opcode, found in rows.items()}


def _field(name: str) -> int:
    """Return the bits of a word that an operand is in."""
    kind = isa.KINDS[name]
    if kind.cls == "mem":
        return kind.encode(-kind.step) | 31 << 16
    return kind.encode(-1 if kind.low < 0 else (1 << kind.high.bit_length()) - 1)


def facility(word: int) -> str:
    """Return the interrupt that ``word`` is while MSR's FP, VEC and VSX are 0; empty: it is no such instruction."""
    for mask, fixed, low, high in _rows().get(word >> 26, ()):
        if word & mask == fixed:
            upper = word & 8 if word >> 26 == 61 else word & 1
            return high if upper and high != low else low
    return ""
