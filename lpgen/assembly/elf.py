"""A unit as a relocatable ELF64 object for ppc64le, ELFv2, and what other ELF files of lpgen are made with.

The same unit always gives the same bytes.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from lpgen.assembly.model import Section, Symbol, Unit

# Numbers of the ELFv2 ABI 1.5, table 3.10 (R_PPC64_REL24_P9NOTOC is binutils' own), and of the generic ELF
# specification.
R_TYPES = {
    "R_PPC64_NONE": 0,
    "R_PPC64_ADDR32": 1,
    "R_PPC64_ADDR24": 2,
    "R_PPC64_ADDR16": 3,
    "R_PPC64_ADDR16_LO": 4,
    "R_PPC64_ADDR16_HI": 5,
    "R_PPC64_ADDR16_HA": 6,
    "R_PPC64_ADDR14": 7,
    "R_PPC64_ADDR14_BRTAKEN": 8,
    "R_PPC64_ADDR14_BRNTAKEN": 9,
    "R_PPC64_REL24": 10,
    "R_PPC64_REL14": 11,
    "R_PPC64_REL14_BRTAKEN": 12,
    "R_PPC64_REL14_BRNTAKEN": 13,
    "R_PPC64_GOT16": 14,
    "R_PPC64_GOT16_LO": 15,
    "R_PPC64_GOT16_HI": 16,
    "R_PPC64_GOT16_HA": 17,
    "R_PPC64_UADDR32": 24,
    "R_PPC64_UADDR16": 25,
    "R_PPC64_REL32": 26,
    "R_PPC64_PLT32": 27,
    "R_PPC64_PLTREL32": 28,
    "R_PPC64_PLT16_LO": 29,
    "R_PPC64_PLT16_HI": 30,
    "R_PPC64_PLT16_HA": 31,
    "R_PPC64_SECTOFF": 33,
    "R_PPC64_SECTOFF_LO": 34,
    "R_PPC64_SECTOFF_HI": 35,
    "R_PPC64_SECTOFF_HA": 36,
    "R_PPC64_ADDR30": 37,
    "R_PPC64_ADDR64": 38,
    "R_PPC64_ADDR16_HIGHER": 39,
    "R_PPC64_ADDR16_HIGHERA": 40,
    "R_PPC64_ADDR16_HIGHEST": 41,
    "R_PPC64_ADDR16_HIGHESTA": 42,
    "R_PPC64_UADDR64": 43,
    "R_PPC64_REL64": 44,
    "R_PPC64_PLT64": 45,
    "R_PPC64_PLTREL64": 46,
    "R_PPC64_TOC16": 47,
    "R_PPC64_TOC16_LO": 48,
    "R_PPC64_TOC16_HI": 49,
    "R_PPC64_TOC16_HA": 50,
    "R_PPC64_TOC": 51,
    "R_PPC64_ADDR16_DS": 56,
    "R_PPC64_ADDR16_LO_DS": 57,
    "R_PPC64_GOT16_DS": 58,
    "R_PPC64_GOT16_LO_DS": 59,
    "R_PPC64_PLT16_LO_DS": 60,
    "R_PPC64_SECTOFF_DS": 61,
    "R_PPC64_SECTOFF_LO_DS": 62,
    "R_PPC64_TOC16_DS": 63,
    "R_PPC64_TOC16_LO_DS": 64,
    "R_PPC64_TLS": 67,
    "R_PPC64_DTPMOD64": 68,
    "R_PPC64_TPREL16": 69,
    "R_PPC64_TPREL16_LO": 70,
    "R_PPC64_TPREL16_HI": 71,
    "R_PPC64_TPREL16_HA": 72,
    "R_PPC64_TPREL64": 73,
    "R_PPC64_DTPREL16": 74,
    "R_PPC64_DTPREL16_LO": 75,
    "R_PPC64_DTPREL16_HI": 76,
    "R_PPC64_DTPREL16_HA": 77,
    "R_PPC64_DTPREL64": 78,
    "R_PPC64_TLSGD": 107,
    "R_PPC64_TLSLD": 108,
    "R_PPC64_TOCSAVE": 109,
    "R_PPC64_ADDR16_HIGH": 110,
    "R_PPC64_ADDR16_HIGHA": 111,
    "R_PPC64_REL24_NOTOC": 116,
    "R_PPC64_ADDR64_LOCAL": 117,
    "R_PPC64_ENTRY": 118,
    "R_PPC64_PLTSEQ": 119,
    "R_PPC64_PLTCALL": 120,
    "R_PPC64_PLTSEQ_NOTOC": 121,
    "R_PPC64_PLTCALL_NOTOC": 122,
    "R_PPC64_PCREL_OPT": 123,
    "R_PPC64_REL24_P9NOTOC": 124,
    "R_PPC64_D34": 128,
    "R_PPC64_PCREL34": 132,
    "R_PPC64_GOT_PCREL34": 133,
    "R_PPC64_PLT_PCREL34": 134,
    "R_PPC64_PLT_PCREL34_NOTOC": 135,
    "R_PPC64_REL16_HIGH": 240,
    "R_PPC64_REL16_HIGHA": 241,
    "R_PPC64_REL16_HIGHER": 242,
    "R_PPC64_REL16_HIGHERA": 243,
    "R_PPC64_REL16_HIGHEST": 244,
    "R_PPC64_REL16_HIGHESTA": 245,
    "R_PPC64_REL16DX_HA": 246,
    "R_PPC64_REL16": 249,
    "R_PPC64_REL16_LO": 250,
    "R_PPC64_REL16_HI": 251,
    "R_PPC64_REL16_HA": 252,
    "R_PPC64_GNU_VTINHERIT": 253,
    "R_PPC64_GNU_VTENTRY": 254,
}
ET_REL, ET_EXEC = 1, 2
_EM_PPC64, _ELFV2 = 21, 2
_SHT = {"progbits": 1, "symtab": 2, "strtab": 3, "rela": 4, "note": 7, "nobits": 8}
_SHF = {"w": 1, "a": 2, "x": 4}
_SHF_INFO_LINK = 0x40
_SHN_ABS = 0xFFF1
_BINDINGS = {"local": 0, "global": 1, "weak": 2}
_TYPES = {"notype": 0, "object": 1, "func": 2, "section": 3}
_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_SECTION = struct.Struct("<IIQQQQIIQQ")
_SYMBOL = struct.Struct("<IBBHQQ")
_RELA = struct.Struct("<QQq")


class StringTable:
    """A string table; index 0 is the empty string."""

    def __init__(self) -> None:
        self.data = bytearray(b"\0")
        self._index = {"": 0}

    def add(self, text: str) -> int:
        """Return the index of ``text``, put in if it is not there."""
        if text not in self._index:
            self._index[text] = len(self.data)
            self.data += text.encode("utf-8") + b"\0"
        return self._index[text]


@dataclass
class RawSection:
    """One section header and its contents. ``size`` is for one of type nobits, others have that of ``data``."""

    name: str
    type: str
    flags: int = 0
    align: int = 1
    data: bytes = b""
    size: int = 0
    link: int = 0
    info: int = 0
    entry: int = 0
    address: int = 0
    offset: int = field(default=0, init=False)


def write_object(unit: Unit) -> bytes:
    """Return the unit as the bytes of an ELF64 little-endian ET_REL file (EM_PPC64, e_flags 2)."""
    sections = list(unit.sections.values())
    numbers = {section.name: index for index, section in enumerate(sections, 1)}
    table, names, symbols, first_global = _symbol_table(unit, numbers)
    raws = [RawSection("", "progbits"), *(_raw(section) for section in sections)]
    relocated = [section for section in sections if section.relocations]
    symtab = len(raws) + len(relocated)
    for section in relocated:
        data = b"".join(
            _RELA.pack(r.offset, names[r.symbol] << 32 | R_TYPES[r.type], r.addend) for r in section.relocations
        )
        number = numbers[section.name]
        raws.append(
            RawSection(f".rela{section.name}", "rela", _SHF_INFO_LINK, 8, data, len(data), symtab, number, _RELA.size)
        )
    raws.append(RawSection(".symtab", "symtab", 0, 8, table, len(table), symtab + 1, first_global, _SYMBOL.size))
    raws.append(RawSection(".strtab", "strtab", 0, 1, bytes(symbols.data), len(symbols.data)))
    raws.append(RawSection(".shstrtab", "strtab"))
    return elf_file(raws, ET_REL)


def _raw(section: Section) -> RawSection:
    flags = sum(bit for letter, bit in _SHF.items() if letter in section.flags)
    return RawSection(section.name, section.kind, flags, section.align, section.data, section.size)


def _symbol_table(unit: Unit, numbers: dict[str, int]) -> tuple[bytes, dict[str, int], StringTable, int]:
    """Return the table's bytes, each symbol's and section's index in it, the strings, the number of local symbols."""
    strings = StringTable()
    entries = [_SYMBOL.pack(0, 0, 0, 0, 0, 0)]
    index: dict[str, int] = {}
    for name, number in numbers.items():
        index[name] = len(entries)
        entries.append(_SYMBOL.pack(0, _TYPES["section"], 0, number, 0, 0))
    ordered = sorted(unit.symbols.values(), key=lambda symbol: symbol.binding != "local")
    first_global = len(entries) + sum(symbol.binding == "local" for symbol in ordered)
    for symbol in ordered:
        index[symbol.name] = len(entries)
        entries.append(_symbol(symbol, strings, numbers))
    return b"".join(entries), index, strings, first_global


def _symbol(symbol: Symbol, strings: StringTable, numbers: dict[str, int]) -> bytes:
    info = _BINDINGS[symbol.binding] << 4 | _TYPES[symbol.type]
    number = 0 if symbol.section is None else numbers.get(symbol.section, _SHN_ABS)
    value = symbol.value & 0xFFFFFFFFFFFFFFFF
    return _SYMBOL.pack(strings.add(symbol.name), info, symbol.other, number, value, symbol.size)


def elf_file(raws: list[RawSection], kind: int) -> bytes:
    """Return the ELF file of ``kind`` (ET_REL or ET_EXEC) with these sections: first the null one, last .shstrtab."""
    names = StringTable()
    name_offsets = [names.add(raw.name) for raw in raws]
    raws[-1].data = bytes(names.data)
    raws[-1].size = len(names.data)
    body = bytearray(_HEADER.size)
    for raw in raws[1:]:
        body += bytes(-len(body) % raw.align)
        raw.offset = len(body)
        body += raw.data
    body += bytes(-len(body) % 8)
    table = len(body)
    body += bytes(_SECTION.size)
    for raw, name in zip(raws[1:], name_offsets[1:], strict=True):
        body += _SECTION.pack(
            name,
            _SHT[raw.type],
            raw.flags,
            raw.address,
            raw.offset,
            raw.size,
            raw.link,
            raw.info,
            raw.align,
            raw.entry,
        )
    ident = b"\x7fELF" + bytes((2, 1, 1)) + bytes(9)
    count = len(raws)
    body[: _HEADER.size] = _HEADER.pack(
        ident, kind, _EM_PPC64, 1, 0, 0, table, _ELFV2, _HEADER.size, 0, 0, _SECTION.size, count, count - 1
    )
    return bytes(body)
