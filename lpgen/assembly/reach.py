"""What of a unit the trampolines are: its code as one section, and of that what its entry points lead to.

An object of a kernel's build has C functions beside the entry code, which no trampoline calls and which call functions
that are not there.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches

from lpgen.assembly.flow import displacement, falls_through
from lpgen.assembly.linker import linkable
from lpgen.assembly.model import LPGEN, Relocation, Section, Symbol, Unit
from lpgen.errors import LpgenError

TEXT = ".text"
BUG_TABLE = "__bug_table"


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
    """Byte offsets in .text of the ``instructions`` that can come to run; ``sections`` of data that they use."""

    instructions: frozenset[int]
    sections: frozenset[str]


def reached(unit: Unit, roots: Iterable[str]) -> Reach:
    """Return what the symbols ``roots`` of a gathered unit lead to.

    Followed are branches, and every address that such an instruction, or data that it uses, refers to: where a branch
    to CTR or LR leads is not known otherwise.
    """
    if TEXT not in unit.sections:
        return Reach(frozenset(), frozenset())
    walk = _Walk(unit)
    for name in roots:
        if name in unit.symbols:
            walk.refer(name, 0)
    walk.run()
    return Reach(frozenset(walk.instructions), frozenset(walk.sections))


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
        self._data: list[str] = []

    def refer(self, name: str, addend: int) -> None:
        """Note that the place ``name`` + ``addend`` is used."""
        symbol = self._unit.symbols.get(name)
        section, value = (name, addend) if symbol is None else (symbol.section, symbol.value + addend)
        if section == TEXT:
            self._ahead.append(value & ~3)
            if symbol is not None and symbol.local_entry:
                self._ahead.append(value + symbol.local_entry & ~3)
        elif section in self._unit.sections and section not in self.sections:
            self.sections.add(section)
            self._data.append(section)

    def run(self) -> None:
        while self._ahead or self._data:
            if self._data:
                for relocation in self._unit.sections[self._data.pop()].relocations:
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
                    self.refer(relocation.symbol, relocation.addend)
                distance = displacement(word)
                if distance is not None and not relocations:
                    self._ahead.append(at + distance)
                if not falls_through(word):
                    break
                at += 4


def judged(unit: Unit, roots: Iterable[str]) -> Unit:
    """Return the unit with its code gathered; of an object the instructions count that ``roots`` lead to.

    What lpgen itself assembled counts as a whole: a statement that no entry point leads to is a finding. In an object
    it may be another function, or padding.
    """
    unit = gathered(unit)
    text = unit.sections.get(TEXT)
    if text is None or unit.made_by == LPGEN:
        return unit
    counted = reached(unit, roots).instructions
    return replace(unit, sections={**unit.sections, TEXT: replace(text, counted=counted)})


def needed(unit: Unit, roots: Collection[str], externals: Collection[str]) -> tuple[Unit, list[Relocation]]:
    """Return what of a gathered unit has to be linked for its symbols ``roots`` to run, and what it cannot be for.

    That is .text, the data that is used, and __bug_table. What the rest of .text refers to is resolved where it can be.
    ``externals`` are the names of symbols that are given from outside, also if the unit has such functions of its own.
    The second are the relocations, in what is used, against symbols that are neither there nor given.
    """
    symbols = {
        name: replace(s, section=None, binding="global") if name in externals else s for name, s in unit.symbols.items()
    }
    unit = replace(unit, symbols=symbols)
    reach = reached(unit, roots)
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
        left = []
        for relocation in section.relocations:
            used = relocation.offset & ~3 in reach.instructions if name == TEXT else name in reach.sections
            there = _there(relocation, symbols, sections, externals)
            if used and not there:
                unknown.append(relocation)
            if used or (there and linkable(relocation.type)):
                left.append(relocation)
        section.relocations = left
    return replace(unit, sections=sections), unknown


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
