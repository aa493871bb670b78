"""``ElfFile``: a 64-bit little-endian ELFv2 file, opened for reading; pyelftools behind a door that trusts nothing.

The header is parsed by pyelftools. What comes in rows of one size, section headers and symbols, is unpacked here: for
the hundred thousand symbols of a kernel pyelftools takes seconds, and so it does for the section headers that a damaged
file announces.
"""

from __future__ import annotations

import os
import re
import struct
import sys
from array import array
from bisect import bisect_right
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO, Literal, NamedTuple

from lpgen.errors import LpgenError, Place

MAGIC = b"\x7fELF"
EM_PPC64, ELFV2 = 21, 2
SHT_NULL, SHT_SYMTAB, SHT_STRTAB, SHT_RELA, SHT_NOBITS, SHT_REL = 0, 2, 3, 4, 8, 9
SHF_WRITE, SHF_ALLOC, SHF_EXECINSTR, SHF_COMPRESSED = 1, 2, 4, 0x800
SHN_UNDEF, SHN_ABS, SHN_COMMON, SHN_XINDEX = 0, 0xFFF1, 0xFFF2, 0xFFFF
# A kernel has some hundred sections, an object built with -ffunction-sections some ten thousand.
MAX_SECTIONS = 200_000
# A symbol or string table, or a piece of memory, that is held as a whole.
MAX_TABLE = 256 << 20
# One name, in bytes, and all the names of one table: C++ has names of some thousand bytes, the kernel short ones.
MAX_NAME = 16 << 10
MAX_NAMES = 128 << 20
_SECTION = struct.Struct("<IIQQQQIIQQ")
_SYMBOL = struct.Struct("<IBBHQQ")
_KINDS: dict[Any, Literal["object", "executable"]] = {
    "ET_REL": "object",
    "ET_EXEC": "executable",
    "ET_DYN": "executable",
}
_WANTED = "give a 64-bit little-endian PowerPC ELF file of the ELFv2 ABI: an object, or a kernel's vmlinux"


@dataclass(frozen=True, slots=True)
class ElfSection:
    """One section header. ``offset`` and ``size`` are bytes in the file (nobits: none there), ``flags`` SHF_ bits.

    ``type`` is the number of the generic ELF specification; the contents lie in the file as a whole.
    """

    index: int
    name: str
    type: int
    flags: int
    address: int
    offset: int
    size: int
    link: int
    info: int
    align: int
    entry_size: int

    @property
    def allocated(self) -> bool:
        """True for what is in memory when the program runs."""
        return bool(self.flags & SHF_ALLOC)


class ElfSymbol(NamedTuple):
    """One symbol: ``section`` is an index or SHN_UNDEF or SHN_ABS; ``binding`` and ``type`` are ELF's numbers.

    ``number`` is its place in the symbol table.
    """

    name: str
    value: int
    size: int
    binding: int
    type: int
    other: int
    section: int
    number: int


def is_elf(path: Path) -> bool:
    """Tell whether a file is there and starts as an ELF file does."""
    try:
        # A pipe is not looked into: what was read of it would be gone.
        if not path.is_file():
            return False
        with path.open("rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except (OSError, ValueError):
        return False


@contextmanager
def open_elf(path: Path) -> Iterator[ElfFile]:
    """Open an ELF file for reading. Raises LpgenError for a file that cannot be read, or is none for ppc64le ELFv2."""
    place = Place(str(path))
    try:
        if not path.is_file():
            reason = "is a directory, not a file" if path.is_dir() else "is no regular file"
            reason = reason if path.exists() else "there is no such file"
            raise LpgenError(reason, place=place, hint=_WANTED)
        stream = path.open("rb")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise LpgenError(f"cannot be read: {reason}", place=place) from None
    with stream:
        yield ElfFile(stream, str(path))


class ElfFile:
    """``name`` is the file as the person named it; ``kind`` "object" (ET_REL) or "executable" (ET_EXEC, ET_DYN).

    The constructor checks every header. Raises LpgenError for what is no such file, and for one that is damaged.
    """

    def __init__(self, stream: BinaryIO, name: str) -> None:
        self._stream = stream
        self.name = name
        self.place = Place(name)
        try:
            self.size = stream.seek(0, os.SEEK_END)
            stream.seek(0)
            magic = stream.read(len(MAGIC))
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise LpgenError(f"cannot be read: {reason}", place=self.place) from None
        if magic != MAGIC:
            raise LpgenError("is not an ELF file", place=self.place, hint=_WANTED)
        from elftools.elf.elffile import ELFFile

        try:
            elf = ELFFile(stream)
            header = elf.header
            ident = header["e_ident"]
            shape = (ident["EI_CLASS"], ident["EI_DATA"], header["e_machine"], header["e_type"])
            flags, shoff, shentsize = header["e_flags"], header["e_shoff"], header["e_shentsize"]
        except Exception as error:
            # pyelftools answers damaged headers with whatever its parsing raises.
            raise self.damaged("its ELF header cannot be read") from error
        self._check_kind(shape, flags)
        self.kind = _KINDS[shape[3]]
        self.sections = self._read_sections(elf, shoff, shentsize)
        if self.kind == "object" and flags & 3 == 0 and self.section(".opd") is not None:
            raise LpgenError("is of the ELFv1 ABI: it has an .opd section", place=self.place, hint=_WANTED)

    def damaged(self, reason: str) -> LpgenError:
        """Return the error for a file whose contents contradict themselves."""
        return LpgenError(f"{reason}: the file is damaged or cut short", place=self.place, hint="build or copy it anew")

    def _check_kind(self, shape: tuple[Any, Any, Any, Any], flags: int) -> None:
        elf_class, data, machine, kind = shape
        reason = None
        if elf_class != "ELFCLASS64":
            reason = f"is of class {str(elf_class).removeprefix('ELFCLASS')}, not 64 bits"
        elif data != "ELFDATA2LSB":
            reason = "is big-endian" if data == "ELFDATA2MSB" else "has no known byte order"
        elif machine != "EM_PPC64":
            reason = f"is for the machine {str(machine).removeprefix('EM_')}, not ppc64"
        elif kind not in _KINDS:
            reason = f"is of the type {kind}, neither an object nor a program"
        elif flags & 3 not in (0, ELFV2):
            reason = f"is of the ELFv{flags & 3} ABI"
        if reason is not None:
            raise LpgenError(reason, place=self.place, hint=_WANTED)

    def _read_sections(self, elf: Any, shoff: int, shentsize: int) -> tuple[ElfSection, ...]:
        if not shoff:
            raise LpgenError(
                "has no section headers",
                place=self.place,
                hint="it was stripped of them; give the file as it was built",
            )
        try:
            count, names_index = elf.num_sections(), elf.get_shstrndx()
        except Exception as error:
            # As above: more than 65,279 sections have their number in the first header.
            raise self.damaged("its section headers cannot be read") from error
        if shentsize != _SECTION.size or not 0 < count <= MAX_SECTIONS:
            raise self.damaged(f"{count} section headers of {shentsize} bytes")
        if shoff + count * shentsize > self.size:
            raise self.damaged(f"the section headers end behind the file's {self.size} bytes")
        made: list[ElfSection] = []
        name_offsets: list[int] = []
        for index, raw in enumerate(_SECTION.iter_unpack(self.bytes_at(shoff, count * shentsize))):
            name_offsets.append(raw[0])
            made.append(ElfSection(index, "", *raw[1:]))
        self._check_sections(made)
        if not 0 <= names_index < count:
            raise self.damaged(f"the section of section names is number {names_index} of {count}")
        names = self._texts(self.data(made[names_index]))
        named = zip(made, name_offsets, strict=True)
        return tuple(replace(section, name=names(offset)) for section, offset in named)

    def _check_sections(self, sections: list[ElfSection]) -> None:
        for section in sections:
            if section.type not in (SHT_NULL, SHT_NOBITS) and section.offset + section.size > self.size:
                raise self.damaged(f"section {section.index} ends behind the file's {self.size} bytes")
            if section.align & (section.align - 1):
                raise self.damaged(f"section {section.index} has an alignment of {section.align}")
            if section.address + section.size > 1 << 64:
                raise self.damaged(f"section {section.index} ends behind the last address")

    def _texts(self, table: bytes) -> Callable[[int], str]:
        """Return the function that gives the text at an offset of a string table.

        It raises LpgenError for what is no name: outside the table, or so long that with each other name's being as
        long they would fill the memory.
        """
        total = 0

        def text(offset: int) -> str:
            nonlocal total
            end = table.find(b"\0", offset, offset + MAX_NAME + 1)
            if offset > len(table) or (end < 0 and table):
                raise self.damaged("a name lies outside its string table, or is too long for one")
            total += max(end - offset, 0)
            if total > MAX_NAMES:
                raise self.damaged(f"names of more than {MAX_NAMES >> 20} MiB")
            name = table[offset : max(end, offset)].decode("utf-8", "replace")
            # It may come into a message.
            return name if name.isprintable() else "".join(c if c.isprintable() else "?" for c in name)

        return text

    # Contents

    def section(self, name: str) -> ElfSection | None:
        """Return the first section of that name, None if there is none."""
        return next((section for section in self.sections if section.name == name), None)

    def held(self, section: ElfSection) -> bool:
        """Tell whether the file has bytes of the section; a separate debug file has none of what is in memory."""
        return section.type not in (SHT_NULL, SHT_NOBITS) and section.size > 0

    def data(self, section: ElfSection) -> bytes:
        """Return a section's bytes as they are in the file; of a nobits section none.

        Raises LpgenError for one that is larger than MAX_TABLE.
        """
        if section.type in (SHT_NULL, SHT_NOBITS):
            return b""
        return self.bytes_at(section.offset, section.size)

    def bytes_at(self, offset: int, size: int) -> bytes:
        """Return ``size`` bytes from the byte ``offset`` of the file. Raises LpgenError when they are not there."""
        if size > MAX_TABLE:
            raise LpgenError(f"a table of {size} bytes is more than lpgen reads", place=self.place)
        try:
            self._stream.seek(offset)
            data = self._stream.read(size)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise LpgenError(f"cannot be read: {reason}", place=self.place) from None
        if len(data) != size:
            raise self.damaged(f"no {size} bytes at {offset:#x}")
        return data

    @cached_property
    def _loaded(self) -> list[ElfSection]:
        """The sections of an executable that take memory, by address."""
        found = [s for s in self.sections if s.allocated and s.size and s.type != SHT_NULL]
        return sorted(found, key=lambda section: section.address)

    def section_at(self, address: int) -> ElfSection | None:
        """Return the section of an executable that is at ``address`` when it runs, None if there is none."""
        index = bisect_right(self._loaded, address, key=lambda section: section.address) - 1
        if index < 0:
            return None
        section = self._loaded[index]
        return section if address < section.address + section.size else None

    def memory(self, address: int, size: int) -> bytes:
        """Return what is at ``address`` when an executable was loaded; 0 where nothing of the file is.

        Relocations of .rela.dyn are not applied. Raises LpgenError as ``bytes_at`` does.
        """
        out = bytearray(size)
        end = address + size
        start = bisect_right(self._loaded, address, key=lambda section: section.address + section.size - 1)
        # Sections of a sane file do not overlap, so that both their ends are in order.
        for section in self._loaded[max(start - 1, 0) :]:
            if section.address >= end:
                break
            first, last = max(address, section.address), min(end, section.address + section.size)
            if section.type != SHT_NOBITS and first < last:
                part = self.bytes_at(section.offset + first - section.address, last - first)
                out[first - address : last - address] = part
        return bytes(out)

    # Symbols

    @cached_property
    def _tables(self) -> tuple[bytes, bytes]:
        """The symbol table and its strings, both empty when there is none."""
        table = next((s for s in self.sections if s.type == SHT_SYMTAB), None)
        if table is None:
            return b"", b""
        if table.entry_size != _SYMBOL.size or table.size % _SYMBOL.size:
            raise self.damaged(f"{table.name} has entries of {table.entry_size} bytes")
        if not 0 < table.link < len(self.sections) or self.sections[table.link].type != SHT_STRTAB:
            raise self.damaged(f"{table.name} names no string table")
        return self.data(table), self.data(self.sections[table.link])

    @cached_property
    def _columns(self) -> tuple[array[int], array[int]]:
        """Of each symbol the offset of its name, and its value: what a kernel's hundred thousand are searched by."""
        words, doublewords = array("I", self._tables[0]), array("Q", self._tables[0])
        if sys.byteorder == "big":
            words.byteswap()
            doublewords.byteswap()
        return words[:: _SYMBOL.size // 4], doublewords[1 :: _SYMBOL.size // 8]

    def _symbol(self, index: int, name: str) -> ElfSymbol:
        _, info, other, section, value, size = _SYMBOL.unpack_from(self._tables[0], index * _SYMBOL.size)
        return ElfSymbol(name, value, size, info >> 4, info & 15, other, section, index)

    @property
    def symbol_count(self) -> int:
        """The number of entries in the symbol table, the empty one at 0 included."""
        return len(self._tables[0]) // _SYMBOL.size

    @property
    def has_symbols(self) -> bool:
        """True if the file has a symbol table with a symbol in it."""
        return len(self._tables[0]) > _SYMBOL.size

    def symbols(self, names: Collection[str]) -> dict[str, list[ElfSymbol]]:
        """Return the symbols of these names, in the order of the table: several may have one name.

        A name that no symbol has is not in the result.
        """
        strings = self._tables[1]
        offsets: dict[int, str] = {}
        for name in names:
            # A linker stores "mcount" as the end of "_mcount".
            pattern = re.escape(name.encode()) + rb"\0"
            offsets |= dict.fromkeys((match.start() for match in re.finditer(pattern, strings)), name)
        found: dict[str, list[ElfSymbol]] = {}
        for index in [n for n, name_at in enumerate(self._columns[0]) if name_at in offsets and n]:
            name = offsets[self._columns[0][index]]
            found.setdefault(name, []).append(self._symbol(index, name))
        return found

    def symbols_between(self, first: int, end: int) -> list[ElfSymbol]:
        """Return the defined symbols whose value is ``first`` or more and below ``end``, by value."""
        text = self._texts(self._tables[1])
        names, values = self._columns
        found = [self._symbol(n, text(names[n])) for n, value in enumerate(values) if first <= value < end]
        return sorted((s for s in found if s.section != SHN_UNDEF), key=lambda symbol: symbol.value)

    def all_symbols(self) -> list[ElfSymbol]:
        """Return every entry of the symbol table in its order, the empty one at 0 included."""
        table, strings = self._tables
        text = self._texts(strings)
        return [
            ElfSymbol(text(name_at), value, size, info >> 4, info & 15, other, section, index)
            for index, (name_at, info, other, section, value, size) in enumerate(_SYMBOL.iter_unpack(table))
        ]
