"""GNU as, gcc and ld as oracles, and objects read with pyelftools into something that can be compared."""

from __future__ import annotations

import io
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from elftools.elf.elffile import ELFFile
from elftools.elf.enums import ENUM_RELOC_TYPE_PPC64

TOOLS = ("as", "gcc", "ld", "objdump")
needs_gnu = pytest.mark.skipif(
    any(shutil.which(f"powerpc64le-linux-gnu-{tool}") is None for tool in TOOLS),
    reason="powerpc64le-linux-gnu binutils and gcc are not installed",
)
_TYPE_NAMES = {number: name for name, number in ENUM_RELOC_TYPE_PPC64.items() if isinstance(number, int)}


def run(tool: str, *arguments: str) -> str:
    done = subprocess.run(
        [f"powerpc64le-linux-gnu-{tool}", *arguments], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


def gas(text: str, folder: Path, *options: str) -> bytes:
    """Assemble plain text with GNU as; the object's bytes."""
    (folder / "gas.s").write_text(text)
    run("as", *options, "-o", str(folder / "gas.o"), str(folder / "gas.s"))
    return (folder / "gas.o").read_bytes()


def gcc(text: str, folder: Path, name: str, *options: str) -> bytes:
    """Assemble a .S file with gcc -c in the folder, so that __FILE__ is its bare name."""
    (folder / name).write_text(text)
    command = ["powerpc64le-linux-gnu-gcc", "-c", *options, "-o", "gcc.o", name]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return (folder / "gcc.o").read_bytes()


@dataclass(frozen=True)
class Object:
    sections: dict[str, bytes]
    # (section, offset, type) -> (target, addend); a symbol that the object defines locally counts as section + value
    relocations: dict[tuple[str, int, str], tuple[str, int]]
    # name -> (section or None, value, binding, type, other)
    symbols: dict[str, tuple[str | None, int, str, str, int]]


def _section_name(elf: Any, index: Any) -> str | None:
    if index == "SHN_UNDEF":
        return None
    return "*ABS*" if index == "SHN_ABS" else elf.get_section(index).name


def read(data: bytes) -> Object:
    elf = ELFFile(io.BytesIO(data))
    sections, relocations, symbols = {}, {}, {}
    table = elf.get_section_by_name(".symtab")
    for symbol in table.iter_symbols():
        kind = symbol["st_info"]["type"]
        if symbol.name and kind not in ("STT_SECTION", "STT_FILE"):
            symbols[symbol.name] = (
                _section_name(elf, symbol["st_shndx"]),
                symbol["st_value"],
                symbol["st_info"]["bind"],
                kind,
                symbol["st_other"]["local"] << 5
                | {"STV_DEFAULT": 0, "STV_HIDDEN": 2}[symbol["st_other"]["visibility"]],
            )
    for section in elf.iter_sections():
        if section["sh_flags"] & 2 and section["sh_size"]:
            sections[section.name] = section.data() if section["sh_type"] != "SHT_NOBITS" else bytes(section["sh_size"])
        if section["sh_type"] == "SHT_RELA":
            owner = elf.get_section(section["sh_info"]).name
            for entry in section.iter_relocations():
                symbol = table.get_symbol(entry["r_info_sym"])
                home = _section_name(elf, symbol["st_shndx"])
                local = home is not None and symbol["st_info"]["bind"] == "STB_LOCAL"
                target, addend = (home, symbol["st_value"]) if local else (symbol.name, 0)
                kind = _TYPE_NAMES[entry["r_info_type"]]
                relocations[owner, entry["r_offset"], kind] = (str(target), addend + entry["r_addend"])
    return Object(sections, relocations, symbols)


def link_text(folder: Path, objects: Sequence[Path], *options: str) -> bytes:
    """Link with GNU ld, refusing any warning; the executable's bytes."""
    out = folder / "linked"
    warnings = run("ld", "--fatal-warnings", "-o", str(out), *options, *map(str, objects))
    assert warnings == ""
    return out.read_bytes()
