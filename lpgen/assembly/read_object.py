"""``read_object``: a relocatable ELF64 object for ppc64le, ELFv2, as the Unit that assembling its text would give.

Whatever the bytes of the file are, it comes to a Unit or to one LpgenError, in time and memory that its size bounds.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Literal

from lpgen.assembly.disassembly import is_branch, statements
from lpgen.assembly.elf import R_TYPES
from lpgen.assembly.model import OBJECT, Binding, Line, Relocation, Section, Symbol, SymbolType, Unit
from lpgen.elf.file import (
    SHF_ALLOC,
    SHF_COMPRESSED,
    SHF_EXECINSTR,
    SHF_WRITE,
    SHN_ABS,
    SHN_COMMON,
    SHN_XINDEX,
    SHT_NOBITS,
    SHT_NULL,
    SHT_REL,
    SHT_RELA,
    SHT_SYMTAB,
    ElfFile,
    ElfSection,
    ElfSymbol,
)
from lpgen.elf.lines import Row, source_lines
from lpgen.elf.sections import Area
from lpgen.errors import LpgenError, Place

SHT_NOTE, SHT_SYMTAB_SHNDX = 7, 18
_STT_OBJECT, _STT_FUNC, _STT_SECTION, _STT_FILE, _STT_GNU_IFUNC = 1, 2, 3, 4, 10
_BINDINGS: dict[int, Binding] = {0: "local", 1: "global", 2: "weak"}
_TYPES: dict[int, SymbolType] = {_STT_OBJECT: "object", _STT_FUNC: "func"}
_NAMES = {number: name for name, number in R_TYPES.items()}
_RELA = struct.Struct("<QQq")
# The largest object of a kernel has less: what has more is a whole kernel (vmlinux.o).
MAX_CODE = 4 << 20
MAX_ALIGN = 1 << 20
MAX_SYMBOLS = 200_000
MAX_RELOCATIONS = 500_000
MAX_NOBITS = 1 << 32
# Of compressed debug information, decompressed.
MAX_STRINGS = 64 << 20
_COMMON = "COMMON"
_WANTED = "give the object of the file that has the entry points"
_SPECIAL = {SHN_ABS: "*ABS*", SHN_COMMON: _COMMON}


def read_object(elf: ElfFile) -> Unit:
    """Return an object as a unit named as the file is.

    The sections of a unit have names of their own: where the object has several of one name (groups, COMDAT), the
    second is NAME#INDEX, INDEX its number in the file; symbols likewise. Sections that take no memory (.debug_*,
    .comment) are left out; common symbols are in a section COMMON. Each instruction has a line: its disassembly, and
    where it was written if the object says so (-g), else FILE and symbol+offset.

    Raises LpgenError for what is no relocatable object, contradicts itself, or is larger than any of a kernel's.
    """
    if elf.kind != "object":
        raise LpgenError("is a program, not a relocatable object", place=elf.place, hint=_WANTED)
    return _Reader(elf).unit()


class _Reader:
    def __init__(self, elf: ElfFile) -> None:
        self.elf = elf
        self._check_sizes()
        if elf.symbol_count > MAX_SYMBOLS:
            raise self._too_large(f"{elf.symbol_count} symbols")
        self._entries = entries = elf.all_symbols()
        self._homes = self._section_numbers(entries)
        named = {s.name for s in entries if s.type not in (_STT_SECTION, _STT_FILE)}
        self.keys = self._section_keys(named)
        self.sections = {key: self._section(elf.sections[index]) for index, key in self.keys.items()}
        self.common, self.common_align = 0, 1
        # The symbol that a relocation means, by its number in the table; None for the name of a file.
        self.targets: list[str | None] = []
        self.symbols: dict[str, Symbol] = {}
        self._read_symbols(entries)
        self._inside: dict[str, list[Symbol]] = {}
        for symbol in self.symbols.values():
            self._inside.setdefault(symbol.section or "", []).append(symbol)
        self._where = {key: self._positions(key) for key in self.sections}

    def unit(self) -> Unit:
        self._count = 0
        for table in self.elf.sections:
            if table.type not in (SHT_RELA, SHT_REL) or table.info not in self.keys:
                continue
            key = self.keys[table.info]
            if table.type == SHT_REL:
                raise self.elf.damaged(f"{table.name} has relocations without addends, which ppc64le has not")
            self.sections[key].relocations += self._relocations(table, key)
        rows = self._source_rows()
        for key, section in self.sections.items():
            section.relocations.sort(key=lambda relocation: relocation.offset)
            places = _places(rows[key]) if key in rows else None
            if places is not None:
                section.relocations = [replace(r, place=places(r.offset) or r.place) for r in section.relocations]
            if "x" in section.flags and section.kind == "progbits":
                section.lines = list(self._lines(key, section, places))
        used = {r.symbol for section in self.sections.values() for r in section.relocations}
        for name in [s.name for s in self.symbols.values() if s.section is None and s.binding == "local"]:
            if name not in used:
                del self.symbols[name]
        return Unit(self.elf.name, self.sections, self.symbols, made_by=OBJECT)

    def _too_large(self, what: str) -> LpgenError:
        return LpgenError(f"has {what}: more than any object of a kernel", place=self.elf.place, hint=_WANTED)

    # Sections

    def _check_sizes(self) -> None:
        """Refuse what would fill the memory: sections that share their bytes, alignments and sizes beyond reason."""
        inside = [s for s in self.elf.sections if s.type not in (SHT_NULL, SHT_NOBITS)]
        if sum(s.size for s in inside) > self.elf.size:
            raise self.elf.damaged("its sections overlap")
        loaded = [s for s in self.elf.sections if s.allocated and s.type != SHT_NULL]
        for section in loaded:
            if section.align > MAX_ALIGN:
                reason = f"section {section.name} has an alignment of {section.align} bytes"
                raise LpgenError(reason, place=self.elf.place, hint=f"lpgen places up to {MAX_ALIGN}")
            if section.flags & SHF_COMPRESSED:
                raise self.elf.damaged(f"section {section.name} is loaded and compressed")
        code = sum(s.size for s in loaded if s.flags & SHF_EXECINSTR)
        if code > MAX_CODE:
            raise self._too_large(f"{code} bytes of code")
        empty = sum(s.size for s in loaded if s.type == SHT_NOBITS)
        if empty > MAX_NOBITS:
            raise self._too_large(f"{empty} bytes of .bss")

    def _section_keys(self, named: set[str]) -> dict[int, str]:
        """Return the name in the unit of each section that takes memory, by its number."""
        keys: dict[int, str] = {}
        taken: set[str] = set()
        for section in self.elf.sections:
            if section.allocated and section.type not in (SHT_NULL, SHT_RELA, SHT_REL):
                name = section.name or "section"
                # A C name may be a section's, too; a name with a dot is the section's.
                # Code is what is executable: a .text that is not would be taken for code by its name.
                clash = name == ".text" and not section.flags & SHF_EXECINSTR
                clash = clash or name in taken or (name in named and not name.startswith((".", "__")))
                keys[section.index] = f"{name}#{section.index}" if clash or name in _SPECIAL.values() else name
                taken.add(keys[section.index])
        return keys

    def _section(self, section: ElfSection) -> Section:
        kind: Literal["progbits", "nobits", "note"] = "progbits"
        if section.type == SHT_NOBITS:
            kind = "nobits"
        elif section.type == SHT_NOTE:
            kind = "note"
        bits = (("a", SHF_ALLOC), ("w", SHF_WRITE), ("x", SHF_EXECINSTR))
        flags = "".join(letter for letter, bit in bits if section.flags & bit)
        data = self.elf.data(section)
        return Section(self.keys[section.index], flags, kind, max(section.align, 1), data, section.size)

    # Symbols

    def _section_numbers(self, entries: list[ElfSymbol]) -> list[int]:
        """Return each symbol's section; those of 65,280 and more stand in a table of their own (SHN_XINDEX)."""
        large: tuple[int, ...] = ()
        if any(symbol.section == SHN_XINDEX for symbol in entries):
            table = next((s for s in self.elf.sections if s.type == SHT_SYMTAB_SHNDX), None)
            data = b"" if table is None else self.elf.data(table)
            if len(data) != 4 * len(entries):
                raise self.elf.damaged("the table of the symbols' sections is not as long as that of the symbols")
            large = struct.unpack(f"<{len(entries)}I", data)
        homes = []
        for symbol in entries:
            home = large[symbol.number] if symbol.section == SHN_XINDEX else symbol.section
            special = symbol.section in (SHN_ABS, SHN_COMMON)
            if not special and home >= len(self.elf.sections):
                raise self.elf.damaged(f"symbol {symbol.number} is in section {home}, which is not there")
            homes.append(home)
        return homes

    def _read_symbols(self, entries: list[ElfSymbol]) -> None:
        self.targets = [None] * len(entries)
        # A global symbol has its name for itself: it comes first.
        for symbol in sorted(entries[1:], key=lambda symbol: symbol.binding == 0):
            home = self._homes[symbol.number]
            if symbol.type == _STT_FILE:
                continue
            special = symbol.section in _SPECIAL
            if symbol.type == _STT_SECTION and not special and home in self.keys:
                self.targets[symbol.number] = self.keys[home]
                continue
            # What is in a section that takes no memory, and what only the program's start settles, is not there.
            section = _SPECIAL[symbol.section] if special else self.keys.get(home)
            if symbol.type == _STT_GNU_IFUNC:
                section = None
            key = self._symbol_key(symbol)
            self.targets[symbol.number] = key
            value = symbol.value
            if section == _COMMON:
                value = self._add_common(symbol)
            elif section is not None and section in self.sections and value > self.sections[section].size:
                raise self.elf.damaged(f"symbol {key} lies outside its section")
            kind = _TYPES.get(symbol.type, "notype")
            binding = _BINDINGS.get(symbol.binding, "global")
            self.symbols[key] = Symbol(key, section, value, binding, kind, symbol.size, symbol.other)
        if self.common:
            self.sections[_COMMON] = Section(_COMMON, "aw", "nobits", self.common_align, b"", self.common)

    def _symbol_key(self, symbol: ElfSymbol) -> str:
        name = symbol.name or f"symbol#{symbol.number}"
        if name not in self.symbols and name not in self.sections and name not in _SPECIAL.values():
            return name
        if symbol.binding != 0 and name in self.symbols:
            raise self.elf.damaged(f"symbol {name} is there twice")
        return f"{name}#{symbol.number}"

    def _add_common(self, symbol: ElfSymbol) -> int:
        """Set aside room for a common symbol, whose value is its alignment; return its offset."""
        if not 0 < symbol.value <= MAX_ALIGN or symbol.value & (symbol.value - 1):
            raise self.elf.damaged(f"symbol {symbol.name} has an alignment of {symbol.value} bytes")
        start = self.common + -self.common % symbol.value
        self.common, self.common_align = start + symbol.size, max(self.common_align, symbol.value)
        if self.common > MAX_NOBITS:
            raise self._too_large(f"{self.common} bytes of common symbols")
        return start

    def _positions(self, key: str) -> Callable[[int], str]:
        """Return the function that names an offset in a section: symbol+offset."""
        found: dict[int, tuple[int, str]] = {}
        for symbol in self._inside.get(key, ()):
            # Of several at one place the one that a person knows: a global function.
            rank = 2 * (symbol.binding == "local") + (symbol.type != "func")
            found[symbol.value] = min(found.get(symbol.value, (9, "")), (rank, symbol.name))
        starts = sorted(found)

        def name(offset: int) -> str:
            index = bisect_right(starts, offset) - 1
            base, text = (starts[index], found[starts[index]][1]) if index >= 0 else (0, key)
            return text if offset == base else f"{text}+{offset - base:#x}"

        return name

    # Relocations

    def _relocations(self, table: ElfSection, key: str) -> Iterator[Relocation]:
        section = self.sections[key]
        data = self._table(table)
        self._count += len(data) // _RELA.size
        if self._count > MAX_RELOCATIONS:
            raise self._too_large(f"{self._count} relocations")
        where, file = self._where[key], self.elf.name
        for offset, info, addend in _RELA.iter_unpack(data):
            name = _NAMES.get(info & 0xFFFFFFFF, f"R_PPC64 number {info & 0xFFFFFFFF}")
            if offset >= section.size or section.kind == "nobits":
                raise self.elf.damaged(f"a relocation at {offset:#x} lies outside section {key}")
            place = Place(file, None, where(offset))
            number = info >> 32
            if number >= len(self.targets):
                raise self.elf.damaged(f"a relocation of section {key} is against symbol {number}, which is not there")
            target = self.targets[number] if number else "*ABS*"
            if target is None:
                raise self.elf.damaged(f"a relocation of section {key} is against the name of a file")
            yield Relocation(offset, name, target, addend, place)

    def _table(self, table: ElfSection) -> bytes:
        if table.entry_size != _RELA.size or table.size % _RELA.size:
            raise self.elf.damaged(f"{table.name} has entries of {table.entry_size} bytes")
        if table.link >= len(self.elf.sections) or self.elf.sections[table.link].type != SHT_SYMTAB:
            raise self.elf.damaged(f"{table.name} names no symbol table")
        return self.elf.data(table)

    # Lines

    def _lines(self, key: str, section: Section, places: Callable[[int], Place | None] | None) -> Iterator[Line]:
        where, file = self._where[key], self.elf.name
        targets = {r.offset: r for r in section.relocations if is_branch(r.type)}
        data = [(s.value, s.value + s.size) for s in self._inside.get(key, ()) if s.type == "object"]
        for offset, text in statements(section.data, targets, where, data):
            place = places(offset) if places is not None else None
            yield Line(offset, 4, text, place or Place(file, None, where(offset)), None)

    def _source_rows(self) -> dict[str, list[Row]]:
        """Return the rows of .debug_line by section; none when there is no such section."""
        section = self.elf.section(".debug_line")
        if section is None or section.size > MAX_CODE:
            return {}
        data = bytearray(self._debug(section, MAX_CODE))
        starts: dict[int, tuple[str, int]] = {}
        symbols = self._entries
        for table in self.elf.sections:
            if table.type != SHT_RELA or table.info != section.index:
                continue
            for offset, info, addend in _RELA.iter_unpack(self._table(table)):
                number, kind = info >> 32, _NAMES.get(info & 0xFFFFFFFF)
                if number >= len(symbols):
                    return {}
                symbol, home = symbols[number], self.keys.get(self._homes[number])
                if kind == "R_PPC64_ADDR64" and home is not None:
                    starts[offset] = (home, symbol.value + addend)
                elif kind == "R_PPC64_ADDR32" and offset + 4 <= len(data):
                    data[offset : offset + 4] = (symbol.value + addend & 0xFFFFFFFF).to_bytes(4, "little")
        sections = [self.elf.section(name) for name in (".debug_str", ".debug_line_str")]
        strings = [b"" if section is None else self._debug(section, MAX_STRINGS) for section in sections]
        return source_lines(bytes(data), (strings[0], strings[1]), starts)

    def _debug(self, section: ElfSection, limit: int) -> bytes:
        """Return a section of debug information, decompressed; nothing of what is damaged or has more than ``limit``.

        Only zlib's is read.
        """
        if not section.flags & SHF_COMPRESSED:
            return self.elf.data(section)
        try:
            area = Area(self.elf, section, limit)
        except LpgenError:
            return b""
        try:
            return area.read(0, area.size)
        finally:
            area.close()


def _places(rows: list[Row]) -> Callable[[int], Place | None]:
    """Return the function that gives the source line of an offset, None where the rows have none."""
    starts = [row.first for row in rows]

    def place(offset: int) -> Place | None:
        index = bisect_right(starts, offset) - 1
        if index < 0 or offset >= rows[index].end:
            return None
        return Place(rows[index].file, rows[index].line)

    return place
