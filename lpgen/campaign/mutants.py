"""Mutants of assembled code: each a single change of the kind that a slip of the pen makes.

    delete        a nop in its place
    swap          with the instruction behind it; relative branches still go where they went
    displacement  of a load or store: +8, -8, +4, -4
    base          another base register of a load or store
    register      another register, or SPR, in any other operand; two registers exchanged
    width         ld and lwz, std and stw, lbz and wider, cmpd and cmpw, td and tw; a store with update without it
    constant      another number: one more or less, 8 more or less, negated, a bit of the upper half
    condition     a branch or trap on the opposite, on another bit or field of CR, always
    link          bl for b and the other way round; also bclr and bcctr
    target        a branch to the instruction before or behind its target, or to the label before or behind it
    through       blr for bctr and the other way round

No two mutants of a unit have the same words, none has those of the unit, and each word is an instruction that the
Power ISA defines. The hint bits of a branch are left alone: they change nothing that a program can see.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from lpgen.assembly import Unit
from lpgen.assembly.encoder import decode
from lpgen.assembly.fields import Field, fields
from lpgen.assembly.flow import displacement

KINDS = (
    *("delete", "swap", "displacement", "base", "register", "width"),
    *("constant", "condition", "link", "target", "through"),
)
NOP = 0x60000000
_OPCODE = 63 << 26
# Registers that are easily taken for each other in these trampolines.
_MISTAKEN = {0: 12, 1: 13, 2: 12, 3: 4, 11: 12, 12: 11, 13: 1, 14: 15, 15: 14}
_XER, _LR, _CTR = 1, 8, 9
_OTHER_SPR = {_XER: (_CTR,), _LR: (_CTR,), _CTR: (_LR,)}
# Primary opcodes, and of some with the extended one in the low bits (Power ISA 3.0B).
_BC, _B, _XL, _X, _LD, _STD = 16, 18, 19, 31, 58, 62
_BCLR, _BCCTR = 16 << 1, 528 << 1
_EXTENDED = 0x7FE
_D_OTHERS = {32: (_LD,), 34: (32, 40), 36: (_STD,), 40: (34,)}  # lwz, lbz, stw, lhz
_X_OTHERS = {21: 23, 23: 21, 149: 151, 151: 149, 4: 68, 68: 4}  # ldx lwzx, stdx stwx, tw td
_CONDITIONAL = 20


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change of the code: of the instruction at byte ``offset`` in .text, or of it and the next (``swap``).

    ``id`` is symbol+offset, kind and what changes, unique in a unit. The bits of ``mask`` become ``bits``, or, with
    ``adds``, have ``bits`` added: so the same mutant can be made of the code at any address.
    """

    id: str
    offset: int
    kind: str
    mask: int = 0
    bits: int = 0
    adds: bool = False

    def words(self, text: bytes) -> dict[int, int]:
        """Return the changed words by byte offset; ``text`` are the bytes of .text, linked, before the change."""
        first = _word(text, self.offset)
        if self.kind == "swap":
            second = _word(text, self.offset + 4)
            return {self.offset: _moved(second, -4), self.offset + 4: _moved(first, 4)}
        said = first + self.bits if self.adds else self.bits
        return {self.offset: first & ~self.mask | said & self.mask}


@dataclass(frozen=True, slots=True)
class _Change:
    kind: str
    what: str
    mask: int
    bits: int
    adds: bool = False


def mutants(unit: Unit, text: bytes, name: Callable[[int], str]) -> list[Mutant]:
    """Return the mutants of ``unit``'s code in the order of the instructions.

    ``text`` are the bytes of its .text as they are linked, ``name`` writes a byte offset in it as symbol+offset.
    """
    section = unit.sections[".text"]
    offsets = [line.offset for line in section.lines if section.counted is None or line.offset in section.counted]
    labels = {symbol.value for symbol in unit.symbols.values() if symbol.section == ".text"}
    for at in offsets:
        distance = displacement(_word(text, at))
        if distance is not None and 0 <= at + distance < len(text):
            labels.add(at + distance)
    found: list[Mutant] = []
    ids: set[str] = set()
    for at in offsets:
        seen: list[dict[int, int]] = []
        word = _word(text, at)
        changes = list(_changes(word, at, sorted(labels)))
        if at + 4 in offsets:
            changes.append(_Change("swap", "with the next", 0, 0))
        for change in changes:
            mutant = Mutant(
                f"{name(at)} {change.kind} {change.what}", at, change.kind, change.mask, change.bits, change.adds
            )
            words = mutant.words(text)
            same = all(_word(text, offset) == new for offset, new in words.items())
            if same or words in seen or mutant.id in ids or not all(map(_defined, words.values())):
                continue
            seen.append(words)
            ids.add(mutant.id)
            found.append(mutant)
    return found


def _word(text: bytes, offset: int) -> int:
    value: int = struct.unpack_from("<I", text, offset)[0]
    return value


def _moved(word: int, by: int) -> int:
    """Return a word that does the same ``by`` bytes further on: a relative branch leads to the same place."""
    if displacement(word) is None:
        return word
    bits = 0x3FFFFFC if word >> 26 == _B else 0xFFFC
    return word & ~bits | (word - by) & bits


def _defined(word: int) -> bool:
    return fields(word) is not None and decode(word) is not None


def _changes(word: int, at: int, labels: Sequence[int]) -> Iterator[_Change]:
    """Yield the changes of an instruction by itself; some are none, some make no instruction."""
    if word == NOP:
        return
    yield _Change("delete", "nop", 0xFFFFFFFF, NOP)
    read = fields(word)
    if read is not None:
        mnemonic, found = read
        if mnemonic == "or" and found[1].value == found[2].value:
            # mr: what it copies is in two fields
            yield from _field_changes(found[0], 1)
            yield from _copied(found[0].value, found[1].value)
        else:
            for number, field in enumerate(found, 1):
                yield from _field_changes(field, number)
            yield from _exchanged(found)
    yield from _width(word)
    yield from _branches(word, at, labels)


def _field_changes(field: Field, number: int) -> Iterator[_Change]:
    value = field.value

    def to(kind: str, what: str, new: int) -> Iterator[_Change]:
        if field.holds(new) and new != value:
            yield _Change(kind, what, field.mask, field.bits(new))

    def by(kind: str, step: int) -> Iterator[_Change]:
        # Added to what is there: of an instruction with a relocation that is another number at another address.
        if field.holds(value + step):
            yield _Change(kind, f"{step:+}", field.mask, step, adds=True)

    if field.cls == "mem":
        small = 16 if field.name == "dq" else 4
        for step in (8, -8, small, -small):
            yield from by("displacement", step)
    elif field.cls == "base":
        for new in _near(value):
            yield from to("base", f"r{value} to r{new}", new)
    elif field.cls == "gpr":
        for new in _near(value):
            yield from to("register", f"{number}: r{value} to r{new}", new)
    elif field.cls in ("fpr", "vr", "vsr", "crf"):
        for new in (value + 1, value - 1):
            yield from to("register", f"{number}: {field.cls} {value} to {new}", new)
    elif field.name == "spr":
        for new in _OTHER_SPR.get(value, ()):
            yield from to("register", f"{number}: SPR {value} to {new}", new)
    elif field.cls == "imm":
        for step in (1, -1, 8, -8):
            yield from by("constant", step)
        yield from to("constant", "negated", -value)
        if not field.holds(-1):
            yield _Change("constant", "bit 15", field.mask, field.bits(value ^ 0x8000))
    elif field.name.startswith(("sh", "mb", "me")):
        for new in (value + 1, value - 1):
            yield from to("constant", f"{number}: {value} to {new}", new)


def _copied(to: int, source: int) -> Iterator[_Change]:
    for new in _near(source):
        yield _Change("register", f"2: r{source} to r{new}", 31 << 21 | 31 << 11, new << 21 | new << 11)
    bits = to << 21 | source << 16 | to << 11
    yield _Change("register", f"r{to} and r{source} exchanged", 31 << 21 | 31 << 16 | 31 << 11, bits)


def _near(register: int) -> tuple[int, int]:
    """Return the registers that are taken instead of a GPR."""
    return (register + 1) % 32, _MISTAKEN.get(register, register - 1)


def _exchanged(found: Sequence[Field]) -> Iterator[_Change]:
    registers = [field for field in found if field.cls in ("gpr", "base")]
    for n, one in enumerate(registers):
        for other in registers[n + 1 :]:
            if one.value != other.value:
                bits = one.bits(other.value) | other.bits(one.value)
                yield _Change("register", f"r{one.value} and r{other.value} exchanged", one.mask | other.mask, bits)


def _width(word: int) -> Iterator[_Change]:
    opcode, low = word >> 26, word & 3
    if opcode in (10, 11) or (opcode == _X and word & _EXTENDED in (0, 32 << 1)):
        yield _Change("width", "of the comparison", 1 << 21, ~word & 1 << 21)
    elif opcode in (2, 3):
        yield _Change("width", "of the trap", _OPCODE, (opcode ^ 1) << 26)
    elif opcode == _X and (other := _X_OTHERS.get(word >> 1 & 0x3FF)) is not None:
        yield _Change("width", "of the access" if other > 100 else "of the operation", _EXTENDED, other << 1)
    elif opcode in _D_OTHERS:
        for new in _D_OTHERS[opcode]:
            if new not in (_LD, _STD) or not low:
                yield _Change("width", f"opcode {opcode} to {new}", _OPCODE, new << 26)
    elif opcode == _LD and low == 0:
        yield _Change("width", "ld to lwz", _OPCODE, 32 << 26)
    elif opcode == _STD and low == 0:
        yield _Change("width", "std to stw", _OPCODE, 36 << 26)
    elif opcode == _STD and low == 1:
        yield _Change("width", "stdu to stwu", _OPCODE | 3, 37 << 26)
        yield _Change("width", "stdu to std", 3, 0)


def _branches(word: int, at: int, labels: Sequence[int]) -> Iterator[_Change]:
    opcode, extended = word >> 26, word & _EXTENDED
    through = opcode == _XL and extended in (_BCLR, _BCCTR)
    if opcode in (2, 3) or (opcode == _X and extended in (4 << 1, 68 << 1)):
        to = word >> 21 & 31
        yield _Change("condition", "opposite", 31 << 21, (to ^ (28 if to & 28 else 7)) << 21)
        yield _Change("condition", "always", 31 << 21, 31 << 21)
    if opcode not in (_B, _BC) and not through:
        return
    yield _Change("link", "bit", 1, ~word & 1)
    if through:
        yield _Change("through", "the other", _EXTENDED, extended ^ _BCLR ^ _BCCTR)
    options, bit = word >> 21 & 31, word >> 16 & 31
    if opcode != _B and options & _CONDITIONAL != _CONDITIONAL:
        if not options & 16:
            yield _Change("condition", "opposite", 8 << 21, ~word & 8 << 21)
            yield _Change("condition", "another bit", 31 << 16, (bit & ~3 | (bit + 1) & 3) << 16)
            yield _Change("condition", "another field", 31 << 16, (bit + 4) % 32 << 16)
        else:
            yield _Change("condition", "opposite", 2 << 21, ~word & 2 << 21)
        yield _Change("condition", "always", 31 << 21 | 31 << 16, _CONDITIONAL << 21)
    distance = displacement(word)
    if distance is not None:
        mask = 0x3FFFFFC if opcode == _B else 0xFFFC
        for step in (4, -4):
            yield _Change("target", f"{step:+}", mask, step, adds=True)
        goal = at + distance
        for what, near in (
            ("the next label", next((label for label in labels if label > goal), None)),
            ("the label before", next((label for label in reversed(labels) if label < goal), None)),
        ):
            if near is not None and labels[0] <= goal <= labels[-1]:
                yield _Change("target", what, mask, near - goal, adds=True)
