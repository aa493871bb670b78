"""A vmlinux's configuration: the .config that it was built with, if it holds one, else what its symbols show."""

from __future__ import annotations

import struct
import zlib

from lpgen.elf.file import SHT_NOBITS, ElfFile
from lpgen.errors import LpgenError
from lpgen.kernel.dotconfig import SIZE_LIMIT, parse_dotconfig
from lpgen.kernel.options import Option, known_options

# CONFIG_IKCONFIG: a gzip file between two marks, in .rodata.
MARK, END_MARK, SYMBOL = b"IKCFG_ST", b"IKCFG_ED", "kernel_config_data"
RODATA_LIMIT = 64 << 20
# A symbol table with one of these is one of a whole kernel.
TRAMPOLINES = ("ftrace_caller", "ftrace_regs_caller")


def read_ikconfig(elf: ElfFile) -> dict[str, bool | int] | None:
    """Return what the .config inside the file says, as ``read_dotconfig`` does; None when it holds none.

    Raises LpgenError for one that is damaged.
    """
    data = _ikconfig(elf)
    if data is None:
        return None
    inflate = zlib.decompressobj(wbits=31)
    try:
        text = inflate.decompress(data, SIZE_LIMIT + 1)
    except zlib.error as error:
        raise elf.damaged("the .config inside (IKCONFIG) cannot be decompressed") from error
    if len(text) > SIZE_LIMIT:
        raise LpgenError(f"the .config inside (IKCONFIG) is larger than {SIZE_LIMIT >> 20} MiB", place=elf.place)
    if not inflate.eof:
        raise elf.damaged("the .config inside (IKCONFIG) has no end")
    return parse_dotconfig(text.decode("utf-8", "replace"), f"{elf.name} (IKCONFIG)")


def _ikconfig(elf: ElfFile) -> bytes | None:
    section = elf.section(".rodata")
    if section is None or section.type == SHT_NOBITS or section.size > RODATA_LIMIT:
        return None
    data = elf.data(section)
    # The mark stands among the strings of a kernel that has /proc/config.gz to read it; then gzip's own follows.
    start = data.find(MARK + b"\x1f\x8b")
    if start < 0:
        return None
    start += len(MARK)
    end = data.find(END_MARK, start)
    return data[start:end] if end > 0 else data[start : start + SIZE_LIMIT]


def config_of_symbols(elf: ElfFile) -> dict[str, bool | int] | None:
    """Return what the symbols show of the options (options.toml); None when they are not those of a whole kernel."""
    options = known_options()
    names = {name for option in options.values() for name in (*option.symbols, *option.without, option.datum)}
    there = elf.symbols({*names, *TRAMPOLINES} - {""})
    if not any(name in there for name in TRAMPOLINES):
        return None
    found: dict[str, bool | int] = {}
    for name, option in options.items():
        if option.datum:
            number = _datum(elf, option) if option.datum in there else None
            if number is not None:
                found[name] = number
        elif option.symbols or option.without:
            on = any(symbol in there for symbol in option.symbols) if option.symbols else True
            found[name] = on and not any(symbol in there for symbol in option.without)
    for name, option in options.items():
        if any(not found.get(need, True) for need in option.needs):
            found[name] = False
    return found


def _datum(elf: ElfFile, option: Option) -> int | None:
    address = elf.symbols([option.datum])[option.datum][0].value
    section = elf.section_at(address)
    if section is None or section.type == SHT_NOBITS:
        return None
    return int(struct.unpack("<I", elf.memory(address, 4))[0])
