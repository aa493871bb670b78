"""What of a unit the trampolines are: its code as one section, and of that what its entry points lead to.

An object of a kernel's build has C functions beside the entry code, which no trampoline calls and which call functions
that are not there.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from itertools import groupby

from lpgen.assembly.flow import displacement, falls_through
from lpgen.assembly.linker import linkable
from lpgen.assembly.model import LPGEN, OBJECT, Relocation, Section, Symbol, Unit
from lpgen.errors import LpgenError

TEXT = ".text"
BUG_TABLE = "__bug_table"
# What code runs into, or reads, that was not linked: an instruction that traps, and as an address one of no memory.
_TRAP = (0x7FE00008).to_bytes(4, "little")


def gathered(unit: Unit) -> Unit:
    """Return the unit with all its code in .text, as a linker lays it out: the sections one behind the other, aligned.

    ``parts`` of .text then says where each of them is. A unit with no code elsewhere is returned as it is.
    """
    code = [s for s in unit.sections.values() if "x" in s.flags and (s.size or s.name == TEXT)]
    if all(section.name == TEXT for section in code):
        return unit
    text = Section(TEXT, "ax", "progbits")
    base: dict[str, int] = {}
    data = bytearray()
    parts = []
    for section in code:
        data += bytes(-len(data) % section.align)
        start = base[section.name] = len(data)
        data += section.data if section.kind != "nobits" else bytes(section.size)
        parts.append((start, len(data)))
        text.align = max(text.align, section.align)
        text.lines += [replace(line, offset=start + line.offset) for line in section.lines]
        text.relocations += [replace(r, offset=start + r.offset) for r in section.relocations]
    text.data, text.size, text.parts = bytes(data), len(data), tuple(parts)
    symbols = {name: _moved(symbol, base) for name, symbol in unit.symbols.items()}
    sections = {TEXT: text} | {name: replace(s) for name, s in unit.sections.items() if name not in base}
    for section in sections.values():
        section.relocations = [
            replace(r, symbol=TEXT, addend=r.addend + base[r.symbol]) if r.symbol in base else r
            for r in section.relocations
        ]
    return replace(unit, sections=sections, symbols=symbols)


def _moved(symbol: Symbol, base: Mapping[str, int]) -> Symbol:
    if symbol.section not in base:
        return symbol
    return replace(symbol, section=TEXT, value=symbol.value + base[symbol.section or ""])


@dataclass(frozen=True)
class Reach:
    """Byte offsets in .text of the ``instructions`` that can come to run; ``sections`` of data that they use.

    ``slots`` are the offsets of the doublewords in use of those sections of addresses that are not used as a whole.
    """

    instructions: frozenset[int]
    sections: frozenset[str]
    slots: Mapping[str, frozenset[int]] = field(default_factory=dict)

    def uses(self, section: str, offset: int) -> bool:
        """Tell whether the byte ``offset`` of a section is part of an instruction or of data that is used."""
        if section == TEXT:
            return offset & ~3 in self.instructions
        return section in self.sections and (section not in self.slots or offset & ~7 in self.slots[section])


def reached(unit: Unit, roots: Iterable[str], *, whole: bool = False) -> Reach:
    """Return what the symbols ``roots`` of a gathered unit lead to.

    Followed are branches, and every address that such an instruction, or data that it uses, refers to: where a branch
    to CTR or LR leads is not known otherwise. ``whole``: all of .text counts, and what it refers to.
    """
    if TEXT not in unit.sections:
        return Reach(frozenset(), frozenset())
    walk = _Walk(unit)
    for name in roots:
        if name in unit.symbols:
            walk.refer(name, 0)
    if whole:
        walk.instructions |= set(range(0, len(unit.sections[TEXT].data), 4))
        for relocation in unit.sections[TEXT].relocations:
            walk.follow(relocation)
    walk.run()
    return Reach(frozenset(walk.instructions), frozenset(walk.sections), walk.partly())


class _Walk:
    def __init__(self, unit: Unit) -> None:
        self.instructions: set[int] = set()
        self.sections: set[str] = set()
        self._unit = unit
        self._text = unit.sections[TEXT].data
        self._relocations: dict[int, list[Relocation]] = {}
        for relocation in unit.sections[TEXT].relocations:
            self._relocations.setdefault(relocation.offset & ~3, []).append(relocation)
        self._ahead: list[int] = []
        self._data: list[Relocation] = []
        # Of each section of addresses its relocations by doubleword, those in use, and whether it is used as a whole.
        self._slots: dict[str, dict[int, list[Relocation]]] = {}
        self._used: dict[str, set[int]] = {}
        self._wholly: set[str] = set()

    def partly(self) -> dict[str, frozenset[int]]:
        """Return the doublewords in use of the sections that are not used as a whole."""
        return {name: frozenset(slots) for name, slots in self._used.items() if name not in self._wholly}

    def follow(self, relocation: Relocation) -> None:
        """Note that the word with ``relocation`` is used."""
        name, value = self._at(relocation.symbol, relocation.addend)
        # One doubleword is what a load through the TOC pointer takes; its first instruction says no more.
        if is_toc(name) and relocation.type.startswith("R_PPC64_TOC16") and relocation.type.endswith(("_DS", "_HA")):
            self._use_slot(name, value & ~7)
        else:
            self.refer(relocation.symbol, relocation.addend)

    def refer(self, name: str, addend: int) -> None:
        """Note that the place ``name`` + ``addend`` is used."""
        symbol = self._unit.symbols.get(name)
        section, value = self._at(name, addend)
        if section == TEXT:
            self._ahead.append(value & ~3)
            if symbol is not None and symbol.local_entry:
                self._ahead.append(value + symbol.local_entry & ~3)
        elif section in self._unit.sections and section not in self._wholly:
            self._wholly.add(section)
            self.sections.add(section)
            self._data += self._unit.sections[section].relocations

    def _at(self, name: str, addend: int) -> tuple[str, int]:
        symbol = self._unit.symbols.get(name)
        return (name, addend) if symbol is None else (symbol.section or "", symbol.value + addend)

    def _use_slot(self, section: str, slot: int) -> None:
        if section not in self._unit.sections:
            return
        if section not in self._slots:
            slots = self._slots[section] = {}
            for relocation in self._unit.sections[section].relocations:
                slots.setdefault(relocation.offset & ~7, []).append(relocation)
        self.sections.add(section)
        used = self._used.setdefault(section, set())
        if slot not in used:
            used.add(slot)
            self._data += self._slots[section].get(slot, ())

    def run(self) -> None:
        while self._ahead or self._data:
            if self._data:
                relocation = self._data.pop()
                self.refer(relocation.symbol, relocation.addend)
                continue
            at = self._ahead.pop()
            while 0 <= at <= len(self._text) - 4 and at not in self.instructions:
                word = int.from_bytes(self._text[at : at + 4], "little")
                if not word:
                    break  # data
                self.instructions.add(at)
                relocations = self._relocations.get(at, ())
                for relocation in relocations:
                    self.follow(relocation)
                distance = displacement(word)
                if distance is not None and not relocations:
                    self._ahead.append(at + distance)
                if not falls_through(word):
                    break
                at += 4


def is_toc(section: str) -> bool:
    """True for the name of a section of addresses that code reaches through the TOC pointer."""
    return section.split("#")[0] in (".toc", ".got")


def judged(unit: Unit, roots: Iterable[str]) -> Unit:
    """Return the unit with its code gathered; of an object the instructions count that ``roots`` lead to.

    Text counts as a whole: a statement that no entry point leads to is a finding. In an object it may be another
    function, or padding.
    """
    unit = gathered(unit)
    text = unit.sections.get(TEXT)
    if text is None or unit.made_by == LPGEN:
        return unit
    counted = reached(unit, roots).instructions
    if unit.made_by != OBJECT:
        counted = counted.union(_statements(text, counted))
    return replace(unit, sections={**unit.sections, TEXT: replace(text, counted=counted)})


def _statements(text: Section, counted: Collection[int]) -> Iterator[int]:
    """Yield the offsets of the statements with no instruction in ``counted``.

    What GNU as fills a gap with, and data, has the place of the statement before, most often a branch.
    """
    for _, group in groupby(text.lines, key=lambda line: line.place):
        offsets = [line.offset for line in group]
        if any(offset in counted for offset in offsets):
            continue
        for offset in offsets:
            yield offset
            if not falls_through(int.from_bytes(text.data[offset : offset + 4], "little")):
                break


def needed(unit: Unit, roots: Collection[str], externals: Collection[str]) -> tuple[Unit, list[Relocation]]:
    """Return what of a gathered unit has to be linked for its symbols ``roots`` to run, and what it cannot be for.

    That is .text, the data that is used, and __bug_table. ``externals`` are the names of symbols that are given from
    outside, also if the unit has such functions of its own. The second are the relocations, in what is used, against
    symbols that are neither there nor given. Of text everything in .text is used.

    What else is in .text of an object is resolved where it can be. What cannot is made to trap, and is ``unlinked`` of
    the section: it may come to run all the same.
    """
    symbols = {
        name: replace(s, section=None, binding="global") if name in externals else s for name, s in unit.symbols.items()
    }
    unit = replace(unit, symbols=symbols)
    text = unit.made_by != OBJECT
    reach = reached(unit, roots, whole=text)
    table = unit.sections.get(BUG_TABLE)
    kept = {TEXT, *reach.sections}
    if table is not None:
        # It names every trap of the file: none comes to run for that.
        kept |= {
            BUG_TABLE,
            *(symbols[r.symbol].section or "" if r.symbol in symbols else r.symbol for r in table.relocations),
        }
    sections = {name: replace(s) for name, s in unit.sections.items() if name in kept}
    unknown = []
    for name, section in sections.items():
        left: list[Relocation] = []
        cut: list[Relocation] = []
        for relocation in section.relocations:
            used = reach.uses(name, relocation.offset)
            there = _there(relocation, symbols, sections, externals)
            if used and not there:
                unknown.append(relocation)
            (left if used or (there and linkable(relocation.type)) else cut).append(relocation)
        section.relocations = left
        if cut and name != BUG_TABLE:
            _cut(section, cut)
    return replace(unit, sections=sections), unknown


def _cut(section: Section, relocations: Iterable[Relocation]) -> None:
    """Make what relocations that were left out belong to a trap, if it is run, and no address, if it is read."""
    data = bytearray(section.data)
    unlinked = {}
    for relocation in relocations:
        size = 8 if relocation.type.endswith("64") else 4
        for at in range(relocation.offset & ~3, min(relocation.offset + size, len(data) & ~3), 4):
            data[at : at + 4] = _TRAP
            unlinked[at] = relocation
    section.data, section.unlinked = bytes(data), unlinked


def _there(
    relocation: Relocation, symbols: Mapping[str, Symbol], sections: Mapping[str, Section], externals: Collection[str]
) -> bool:
    name = relocation.symbol
    symbol = symbols.get(name)
    if symbol is None:
        return name in sections or name in (".TOC.", "*ABS*")
    if symbol.section is None:
        return name in externals or name == ".TOC." or symbol.binding == "weak"
    return symbol.section in sections or symbol.section == "*ABS*"


def renamed(unit: Unit, entries: Mapping[str, str]) -> Unit:
    """Return the unit with each symbol of the names ``entries``, a contract's, being the unit's symbol it maps to.

    What the unit has under such a name itself is NAME (in the file) then. Raises LpgenError when a symbol is not there.
    """
    symbols = dict(unit.symbols)
    moved: dict[str, str] = {}
    for name in entries:
        own = symbols.get(name)
        if own is not None and own.section is not None and entries[name] != name:
            moved[name] = f"{name} (in the file)"
            symbols[moved[name]] = replace(own, name=moved[name])
    for name, wanted in entries.items():
        found = unit.symbols.get(wanted)
        if found is None or found.section is None:
            raise LpgenError(f"{unit.name} does not define {wanted}, which is to be {name}", hint=_near(unit, wanted))
        symbols[name] = replace(found, name=name, binding="global")
    sections = {name: replace(section) for name, section in unit.sections.items()}
    for section in sections.values():
        section.relocations = [replace(r, symbol=moved.get(r.symbol, r.symbol)) for r in section.relocations]
    return replace(unit, sections=sections, symbols=symbols)


def _near(unit: Unit, wanted: str) -> str | None:
    names = [symbol.name for symbol in unit.symbols.values() if symbol.section is not None]
    close = get_close_matches(wanted, names, 3, 0.5)
    return f"is it {' or '.join(close)}?" if close else None
