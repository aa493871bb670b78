"""How large a struct bug_entry is, by a kernel's own __bug_table."""

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
    for at in range(0, len(data), size):
        if size >= _ADDRESSES:
            target: int = struct.unpack_from("<Q", data, at)[0]
        else:
            target = first + at + struct.unpack_from("<i", data, at)[0]
        if not _is_trap(elf, target):
            return False
    return bool(data)


def _is_trap(elf: ElfFile, address: int) -> bool:
    section = elf.section_at(address)
    if section is None or not section.flags & SHF_EXECINSTR or section.type == SHT_NOBITS or address % 4:
        return False
    word = int.from_bytes(elf.memory(address, 4), "little")
    return word >> 26 in _TRAPS or (word >> 26 == _X and word >> 1 & 0x3FF in (_TW, _TD))
