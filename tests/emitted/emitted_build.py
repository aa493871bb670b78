"""The emitted text through GNU's tools, objects and executables read back, and the comparison with lpgen's own.

Independent of lpgen/assembly/headers: the kernel style is compiled against include/ beside this file.
"""

from __future__ import annotations

import io
import itertools
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from elftools.elf.elffile import ELFFile
from elftools.elf.enums import ENUM_RELOC_TYPE_PPC64

from lpgen.assembly import Unit
from lpgen.assembly.kernel_text import assemble_source
from lpgen.commands.offsets import offsets_text
from lpgen.kernel.generations import Kernel, kernel
from lpgen.kernel.offsets import Offsets, read_offsets
from lpgen.source.emit import FILE_NAME, STYLES, emit_source
from lpgen.source.render import Rendered

INCLUDE = Path(__file__).parent / "include"
REAL_HEADERS = sorted((Path(__file__).parent.parent / "kernel" / "data").glob("asm-offsets-*.h"))

PREFIX = "powerpc64le-linux-gnu-"
TOOLS = ("gcc", "as", "ld")
needs_gnu = pytest.mark.skipif(
    any(shutil.which(PREFIX + tool) is None for tool in TOOLS),
    reason="apt-get install gcc-powerpc64le-linux-gnu binutils-powerpc64le-linux-gnu",
)

OPTIONS = ("CONFIG_LIVEPATCH", "CONFIG_FUNCTION_GRAPH_TRACER")
CONFIGS = [dict(zip(OPTIONS, values, strict=True)) for values in itertools.product((True, False), repeat=len(OPTIONS))]
# What a 4.7 kernel that has ftrace_caller defines besides: the stub headers ask for it, as the kernel's do.
KERNEL_MACROS = ("__ASSEMBLY__", "__KERNEL__", "CONFIG_PPC64", "CONFIG_BUG", "CONFIG_FUNCTION_TRACER")
CFLAGS = ("-mcpu=power8", "-mabi=elfv2", "-mprofile-kernel", "-Wall", "-Werror", "-Wa,--fatal-warnings")

_TYPES = {number: name for name, number in ENUM_RELOC_TYPE_PPC64.items() if isinstance(number, int)}
_SHF_ALLOC = 2


def config_id(config: Mapping[str, bool]) -> str:
    return " ".join(f"{name.removeprefix('CONFIG_')}={'y' if on else 'n'}" for name, on in config.items())


every_config = pytest.mark.parametrize("config", CONFIGS, ids=config_id)
every_style = pytest.mark.parametrize("style", STYLES)
every_real_header = pytest.mark.parametrize("header", REAL_HEADERS, ids=lambda path: path.stem)


@dataclass(frozen=True)
class Emitted:
    """One emitted text. ``offsets_header`` is the text of the asm-offsets.h that it is compiled with."""

    kernel: Kernel
    style: str
    rendered: Rendered
    offsets_header: str

    @property
    def text(self) -> str:
        return self.rendered.text

    def unit(self) -> Unit:
        """What lpgen's assembler makes of it."""
        return assemble_source(self.kernel, self.rendered, name=FILE_NAME, isolated=False)


def emitted(config: Mapping[str, bool], style: str, *, real_header: Path | None = None) -> Emitted:
    """Emit for a configuration, with lpgen's offsets or those of a real kernel build (and then that very header)."""
    offsets: Offsets | None = None if real_header is None else read_offsets(real_header)
    wanted = kernel("4.7", config=config, offsets=offsets)
    header = offsets_text(wanted, "header") if real_header is None else real_header.read_text()
    return Emitted(wanted, style, emit_source(wanted, style=style), header)


def run(*command: str | Path, cwd: Path) -> None:
    """Run one of GNU's tools, which has to succeed without a word."""
    name, *arguments = map(str, command)
    done = subprocess.run([PREFIX + name, *arguments], cwd=cwd, capture_output=True, text=True, timeout=60, check=False)
    said = done.stdout + done.stderr
    assert (done.returncode, said) == (0, ""), f"{name} {' '.join(arguments)}: exit code {done.returncode}\n{said}"


def compile_gnu(what: Emitted, directory: Path, *, text: str | None = None, out: str = "gnu.o") -> Path:
    """Compile with gcc -c as a kernel build does; __FILE__ is the bare name, as it is for lpgen."""
    (directory / FILE_NAME).write_text(what.text if text is None else text)
    flags: list[str | Path] = list(CFLAGS)
    if what.style == "kernel":
        (directory / "generated").mkdir(exist_ok=True)
        (directory / "generated" / "asm-offsets.h").write_text(what.offsets_header)
        macros = [*KERNEL_MACROS, *(name for name, on in what.kernel.options.items() if on)]
        flags += ["-nostdinc", "-I", INCLUDE, "-I", directory, *(f"-D{name}" for name in macros)]
    else:
        flags.append("-D__ASSEMBLY__")
    run("gcc", "-c", *flags, "-o", out, FILE_NAME, cwd=directory)
    return directory / out


@dataclass(frozen=True, order=True)
class Reloc:
    """One relocation, its target named so that it means the same whoever wrote it.

    ``target`` is the symbol, or section+offset for what is local to the object; ``addend`` is the rest.
    """

    section: str
    offset: int
    type: str
    target: str
    addend: int


@dataclass(frozen=True)
class Binary:
    """An object or an executable: what is loaded, its relocations in order, its named symbols."""

    sections: Mapping[str, bytes]
    addresses: Mapping[str, int]
    relocations: Sequence[Reloc]
    # name -> (section, None when undefined; value; binding; type; st_other)
    symbols: Mapping[str, tuple[str | None, int, str, str, int]]


def read(data: bytes) -> Binary:
    """Read ELF. GNU as always makes .text, .data and .bss: an empty section is no difference and is left out."""
    elf: Any = ELFFile(io.BytesIO(data))
    assert (elf.elfclass, elf.little_endian, elf["e_machine"]) == (64, True, "EM_PPC64")
    assert elf["e_flags"] in (0, 2), "neither ELFv2 nor, as of a kernel's assembly, unspecified"
    table = elf.get_section_by_name(".symtab")
    sections, addresses, symbols = {}, {}, {}
    relocations: list[Reloc] = []

    def home(symbol: Any) -> str | None:
        index = symbol["st_shndx"]
        return {"SHN_UNDEF": None, "SHN_ABS": "*ABS*"}[index] if isinstance(index, str) else elf.get_section(index).name

    for symbol in table.iter_symbols():
        kind = symbol["st_info"]["type"].removeprefix("STT_").lower()
        if symbol.name and kind not in ("section", "file"):
            other = symbol["st_other"]["local"] << 5 | (symbol["st_other"]["visibility"] != "STV_DEFAULT")
            bind = symbol["st_info"]["bind"].removeprefix("STB_").lower()
            symbols[symbol.name] = (home(symbol), symbol["st_value"], bind, kind, other)
    for section in elf.iter_sections():
        if section["sh_flags"] & _SHF_ALLOC and section["sh_size"]:
            nobits = section["sh_type"] == "SHT_NOBITS"
            sections[section.name] = bytes(section["sh_size"]) if nobits else section.data()
            addresses[section.name] = section["sh_addr"]
        if section["sh_type"] == "SHT_RELA":
            owner = elf.get_section(section["sh_info"]).name
            for entry in section.iter_relocations():
                symbol = table.get_symbol(entry["r_info_sym"])
                where = home(symbol)
                local = where is not None and symbol["st_info"]["bind"] == "STB_LOCAL"
                target, base = (str(where), symbol["st_value"]) if local else (symbol.name, 0)
                kind = _TYPES[entry["r_info_type"]]
                relocations.append(Reloc(owner, entry["r_offset"], kind, target, base + entry["r_addend"]))
    return Binary(sections, addresses, sorted(relocations), symbols)


def relocations_of(unit: Unit) -> list[Reloc]:
    """The unit's relocations in the same words."""
    found = []
    for section in unit.sections.values():
        for entry in section.relocations:
            symbol = unit.symbols.get(entry.symbol)
            local = symbol is not None and symbol.section is not None and symbol.binding == "local"
            target, base = (str(symbol.section), symbol.value) if symbol and local else (entry.symbol, 0)
            found.append(Reloc(section.name, entry.offset, entry.type, target, base + entry.addend))
    return sorted(found)


def _instruction(unit: Unit, section: str, offset: int) -> str:
    for line in unit.sections[section].lines:
        if line.offset <= offset < line.offset + line.size:
            written = f" (from {line.template})" if line.template is not None else ""
            return f"`{line.text}` at {line.place}{written}"
    return "no instruction"


def first_difference(unit: Unit, section: str, ours: bytes, theirs: bytes) -> str | None:
    """Say where and how lpgen's bytes of a section differ from GNU's, for a person; None when they are the same."""
    for at in range(0, max(len(ours), len(theirs)), 4):
        word, other = ours[at : at + 4], theirs[at : at + 4]
        if word != other:
            return (
                f"{section}+{at:#x}: lpgen {word[::-1].hex() or 'ends'}, GNU {other[::-1].hex() or 'ends'}: "
                f"{_instruction(unit, section, at)}"
            )
    return None


def first_relocation_difference(unit: Unit, ours: Iterable[Reloc], theirs: Iterable[Reloc]) -> str | None:
    """The same for relocations, which are given in order."""
    for mine, other in itertools.zip_longest(ours, theirs):
        if mine != other:
            first = min(entry for entry in (mine, other) if entry is not None)
            where = f"{first.section}+{first.offset:#x}"
            return f"{where}: lpgen {mine}, GNU {other}: {_instruction(unit, first.section, first.offset)}"
    return None


def assert_same_object(unit: Unit, ours: Binary, theirs: Binary) -> None:
    """Compare two objects: the code first, so that what is said first is the first instruction."""
    assert sorted(ours.sections) == sorted(theirs.sections)
    for name in sorted(theirs.sections, key=lambda name: (name != ".text", name)):
        difference = first_difference(unit, name, ours.sections[name], theirs.sections[name])
        assert difference is None, difference
    difference = first_relocation_difference(unit, ours.relocations, theirs.relocations)
    assert difference is None, difference
    assert ours.symbols == theirs.symbols


SCRIPT = """\
OUTPUT_FORMAT(elf64-powerpcle)
SECTIONS
{{
	.text {text:#x} : {{ *(.text) }}
	.rodata {rodata:#x} : {{ *(.rodata) }}
	__bug_table {bug_table:#x} : {{ *(__bug_table) }}
	/DISCARD/ : {{ *(.comment) *(.gnu.attributes) *(.note*) }}
}}
{externals}
".TOC." = {toc:#x};
"""


def link_gnu(
    directory: Path, object_file: Path, *, addresses: Mapping[str, int], externals: Mapping[str, int], toc: int
) -> Binary:
    """Link one object with GNU ld at the given addresses; ld may not rewrite code that reaches the TOC."""
    script = SCRIPT.format(
        text=addresses[".text"],
        rodata=addresses[".rodata"],
        bug_table=addresses["__bug_table"],
        externals="\n".join(f"{name} = {value:#x};" for name, value in externals.items()),
        toc=toc,
    )
    (directory / "link.lds").write_text(script)
    out = object_file.with_suffix(".elf")
    flags = ("--no-toc-optimize", "--fatal-warnings", "-e", "0")
    run("ld", *flags, "-T", "link.lds", "-o", out, object_file, cwd=directory)
    return read(out.read_bytes())
