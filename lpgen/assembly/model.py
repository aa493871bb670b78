"""What assembly makes: sections with bytes, symbols, relocations, and the line each instruction came from."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from lpgen.errors import LpgenError, Place

# Unit.made_by.
LPGEN, OBJECT, LINKED = "lpgen", "object", "linked kernel"

Binding = Literal["local", "global", "weak"]
SymbolType = Literal["notype", "func", "object"]


class UnknownError(LpgenError):
    """What lpgen's assembler does not know, though another may: not a mistake in the text."""


@dataclass(frozen=True, slots=True)
class Relocation:
    """One relocation: byte ``offset`` in its section, the ELF name of its type, symbol, addend.

    ``symbol`` is a symbol of the unit or, for a target that is local to the unit, the name of its section.
    """

    offset: int
    type: str
    symbol: str
    addend: int
    place: Place


@dataclass(frozen=True, slots=True)
class Line:
    """One instruction: byte offset and size in its section, the statement after macro expansion, where it was written.

    ``place`` is the line in the text that was handed in (of a macro's expansion: the line that calls it); ``template``
    the template line which that line was rendered from, when the caller said so.
    """

    offset: int
    size: int
    text: str
    place: Place
    template: Place | None


@dataclass
class Section:
    """One section. ``align`` and ``size`` are in bytes; a nobits section has a size but no ``data``.

    ``address`` is where a linked program has it; None: it can be anywhere. ``parts`` are the byte ranges of the
    sections that it was made of, when those were several. ``counted`` are the offsets of the instructions that a run
    should execute, when that is not every one that has a line. ``unlinked`` are the offsets of words that are not what
    the file has, because what a relocation of theirs refers to is not there.
    """

    name: str
    flags: str
    kind: Literal["progbits", "nobits", "note"]
    align: int = 1
    data: bytes = b""
    size: int = 0
    relocations: list[Relocation] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    address: int | None = None
    parts: tuple[tuple[int, int], ...] = ()
    counted: frozenset[int] | None = None
    unlinked: Mapping[int, Relocation] = field(default_factory=dict)

    def part_end(self, offset: int) -> int:
        """Return where the section ends that ``offset`` was in before several were put together."""
        return next((end for start, end in self.parts if start <= offset < end), self.size)


@dataclass(frozen=True, slots=True)
class Symbol:
    """One symbol. ``section`` None: undefined; ``*ABS*``: ``value`` is a number; else a byte offset in the section.

    ``other`` is ELF's st_other: bits 0-1 the visibility, bits 5-7 the ELFv2 local entry code.
    """

    name: str
    section: str | None
    value: int
    binding: Binding = "local"
    type: SymbolType = "notype"
    size: int = 0
    other: int = 0

    @property
    def local_entry(self) -> int:
        """Bytes from the global to the local entry point (ELFv2 ABI, st_other)."""
        return ((1 << (self.other >> 5)) >> 2) << 2


@dataclass(frozen=True)
class Fixed:
    """What a linked program has around the code that is looked at, as addresses.

    ``toc`` is its TOC pointer, ``externals`` where its code goes for what the unit does not define, ``data`` are bytes
    that its code reads, by address. ``gates`` are all entry points of functions that the unit does not define.
    """

    toc: int
    externals: Mapping[str, int]
    data: tuple[tuple[int, bytes], ...] = ()
    gates: Mapping[int, str] = field(default_factory=dict)


@dataclass
class Unit:
    """A file's sections and symbols by name, in the order of first mention: assembled, or read from an object.

    ``made_by`` is what made its bytes: "lpgen" for lpgen's assembler with Keystone, "object" for an object that was
    handed in, "linked kernel" for what was cut out of one, else the name and version of another assembler. ``fixed`` is
    not None for what was cut out of a linked program, whose sections have their address.
    """

    name: str
    sections: dict[str, Section]
    symbols: dict[str, Symbol]
    made_by: str = LPGEN
    fixed: Fixed | None = None


@dataclass
class Image:
    """A linked unit: bytes at addresses, every symbol's address.

    ``segments`` are (address, bytes), sorted by address; ``addresses`` maps each section of the unit that takes memory
    to its address.
    """

    segments: list[tuple[int, bytes]]
    symbols: dict[str, int]
    unit: Unit
    addresses: Mapping[str, int]

    @property
    def text_range(self) -> tuple[int, int]:
        """Return (start, end) of .text; both are its address when it is empty."""
        return self.section_range(".text")

    def section_range(self, name: str) -> tuple[int, int]:
        """Return (start, end) of a section as addresses. Raises KeyError when the image has no such section."""
        start = self.addresses[name]
        return start, start + self.unit.sections[name].size

    def line_at(self, address: int) -> Line | None:
        """Return the instruction whose bytes hold ``address``, or None."""
        for name, start in self.addresses.items():
            section = self.unit.sections[name]
            if start <= address < start + section.size:
                index = bisect_right(section.lines, address - start, key=lambda line: line.offset) - 1
                if index >= 0:
                    line = section.lines[index]
                    return line if address - start < line.offset + line.size else None
        return None
