"""The entries of a __bug_table: what each is for, and how large they are by a kernel's own table."""

from __future__ import annotations

import struct

from lpgen.elf.file import SHF_EXECINSTR, SHT_NOBITS, ElfFile

# include/asm-generic/bug.h: addresses with file and line, and without; the same as 32-bit distances from the field.
_SIZES = (24, 16, 12, 8)
_ADDRESSES = 16
# Primary opcodes of tdi, twi; opcode 31 with the extended opcodes of tw, td (Power ISA 3.0B, book I).
_TRAPS = (2, 3)
_X, _TW, _TD = 31, 4, 68
# A kernel has thousands of entries; so many tell.
_SAMPLE = 64


def bug_target(table: bytes, at: int, address: int, size: int) -> int:
    """Return the address that the entry of ``size`` bytes at the offset ``at`` of ``table`` is for.

    ``address`` is where ``table`` starts: the distances in short entries count from their own field.
    """
    if size >= _ADDRESSES:
        target: int = struct.unpack_from("<Q", table, at)[0]
        return target
    distance: int = struct.unpack_from("<i", table, at)[0]
    return address + at + distance


def bug_entry_size(elf: ElfFile) -> int | None:
    """Return the size in bytes with which every entry is for a trap instruction, None when that is not one size.

    Raises LpgenError for a damaged file.
    """
    symbols = elf.symbols(["__start___bug_table", "__stop___bug_table"])
    if len(symbols) != 2:
        return None
    first, end = (symbols[name][0].value for name in ("__start___bug_table", "__stop___bug_table"))
    section = elf.section_at(first)
    if section is None or section.type == SHT_NOBITS or not 0 < end - first <= section.size:
        return None
    length = end - first
    fits = [size for size in _SIZES if length % size == 0 and _all_traps(elf, first, length // size, size)]
    return fits[0] if len(fits) == 1 else None


def _all_traps(elf: ElfFile, first: int, count: int, size: int) -> bool:
    data = elf.memory(first, min(count, _SAMPLE) * size)
    return bool(data) and all(_is_trap(elf, bug_target(data, at, first, size)) for at in range(0, len(data), size))


def _is_trap(elf: ElfFile, address: int) -> bool:
    section = elf.section_at(address)
    if section is None or not section.flags & SHF_EXECINSTR or section.type == SHT_NOBITS or address % 4:
        return False
    word = int.from_bytes(elf.memory(address, 4), "little")
    return word >> 26 in _TRAPS or (word >> 26 == _X and word >> 1 & 0x3FF in (_TW, _TD))
