"""From a word back to the instruction's form and the values in its fields: isa.py's table read the other way."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from lpgen.assembly.isa import KINDS, VALID_BO, Form, forms, mnemonics

_BASE = 31 << 16


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a word: the operand's name in isa.KINDS, its class of operand, its bits in the word, its value.

    A memory operand is two: the displacement, of the class ``mem``, and its base register, of the class ``base``.
    """

    name: str
    cls: str
    mask: int
    value: int

    def bits(self, value: int) -> int:
        """Return the bits of the word that say ``value``."""
        return value << 16 & _BASE if self.cls == "base" else KINDS[self.name].encode(value) & self.mask

    def holds(self, value: int) -> bool:
        """True if ``value`` is one that the field can have."""
        if self.cls == "base":
            return 0 <= value < 32
        kind = KINDS[self.name]
        return kind.low <= value <= kind.high and not value % kind.step


def fields(word: int) -> tuple[str, tuple[Field, ...]] | None:
    """Return the base mnemonic of an instruction and its fields, in the order of the operands.

    None for what the table does not have, or what the Power ISA calls an invalid form. Branch targets are no fields.
    """
    for form, mask in _by_opcode().get(word >> 26, ()):
        if word & ~mask != form.word:
            continue
        found = tuple(field for name in form.operands for field in _fields_of(name, word))
        return (form.mnemonic, found) if _valid(form, found) else None
    return None


@cache
def _by_opcode() -> dict[int, list[tuple[Form, int]]]:
    """Return all forms that are no aliases with the bits of their operands, by primary opcode."""
    found: dict[int, list[tuple[Form, int]]] = {}
    for mnemonic in mnemonics():
        for form in forms(mnemonic):
            if form.base is None:
                mask = 0
                for name in form.operands:
                    mask |= _mask(name)
                found.setdefault(form.word >> 26, []).append((form, mask))
    return found


@cache
def _mask(name: str) -> int:
    """Return the bits of a word that an operand takes."""
    kind = KINDS[name]
    if kind.cls == "target":
        return 0x3FFFFFC if name.startswith("li") else 0xFFFC
    if kind.cls == "mem":
        return _BASE | 0x10000 - kind.step
    return kind.encode(-1 if kind.low < 0 else (1 << kind.high.bit_length()) - 1)


def _fields_of(name: str, word: int) -> list[Field]:
    kind, mask = KINDS[name], _mask(name)
    if kind.cls == "target":
        return []
    if kind.cls in ("imm", "mem"):
        low = mask & 0xFFFF
        value = word & low
        value -= (value & 0x8000) << 1 if kind.low < 0 else 0
        found = [Field(name, kind.cls, low, value)]
        return [*found, Field(name, "base", _BASE, word >> 16 & 31)] if kind.cls == "mem" else found
    said = word & mask
    value = next((v for v in range(kind.low, kind.high + 1) if kind.encode(v) & mask == said), kind.low)
    return [Field(name, kind.cls, mask, value)]


def _valid(form: Form, found: tuple[Field, ...]) -> bool:
    by_name = {field.name if field.cls != "base" else "ra": field.value for field in found}
    if form.flags & {"lu", "su"} and not by_name["ra"]:
        return False
    if "lu" in form.flags and by_name["ra"] == by_name.get("rt"):
        return False
    bo = by_name.get("bo")
    return bo is None or (bo in VALID_BO and not (form.mnemonic.startswith("bcctr") and not bo & 4))
