"""The emitted text through GNU's tools, objects and executables read back, and the comparison with lpgen's own.

Independent of lpgen/assembly/headers: the kernel style is compiled against include/ beside this file.
"""

from __future__ import annotations

import io
import itertools
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from elftools.elf.elffile import ELFFile
from elftools.elf.enums import ENUM_RELOC_TYPE_PPC64

from lpgen.assembly import Unit, assemble
from lpgen.assembly.kernel_text import assemble_source
from lpgen.commands.offsets import offsets_text
from lpgen.errors import LpgenError
from lpgen.kernel.generations import Kernel, kernel, spans, versions_of
from lpgen.kernel.generations import every_config as configs_of
from lpgen.kernel.offsets import Offsets, read_offsets
from lpgen.kernel.options import Config, setting_text
from lpgen.source.emit import STYLES, emit_source
from lpgen.source.render import Rendered

INCLUDE = Path(__file__).parent / "include"
REAL_HEADERS = sorted((Path(__file__).parent.parent / "kernel" / "data").glob("asm-offsets-*.h"))

PREFIX = "powerpc64le-linux-gnu-"
TOOLS = ("gcc", "as", "ld")
needs_gnu = pytest.mark.skipif(
    any(shutil.which(PREFIX + tool) is None for tool in TOOLS),
    reason="apt-get install gcc-powerpc64le-linux-gnu binutils-powerpc64le-linux-gnu",
)

# Every kernel at which lpgen's facts change, with its generation.
GENERATIONS = {version: generation for generation, *_ in spans() for version in versions_of(generation)}
VERSIONS = tuple(GENERATIONS)
NEWEST = VERSIONS[-1]
STUB_COUNT = "CONFIG_PPC_FTRACE_OUT_OF_LINE_NUM_RESERVE"
# Room for few stubs: the default has 768 KiB of zeros in .text.
FEW_STUBS = 16

# What a kernel that has ftrace_caller defines besides: the stub headers ask for it, as the kernel's do.
KERNEL_MACROS = ("__ASSEMBLY__", "__KERNEL__", "CONFIG_PPC64", "CONFIG_BUG", "CONFIG_FUNCTION_TRACER")
# With it the stub _GLOBAL says nothing of a section, as in late kernels.
PLAIN_GLOBAL = "STUB_GLOBAL_STAYS_IN_ITS_SECTION"
CFLAGS = ("-mcpu=power8", "-mabi=elfv2", "-mprofile-kernel", "-Wall", "-Werror", "-Wa,--fatal-warnings")

_TYPES = {number: name for name, number in ENUM_RELOC_TYPE_PPC64.items() if isinstance(number, int)}
_SHF_ALLOC = 2
# Where the stub EXPORT_SYMBOL writes; not loaded.
EXPORTS = "stub_exports"

every_kernel = pytest.mark.parametrize("version", VERSIONS)
every_style = pytest.mark.parametrize("style", STYLES)
every_real_header = pytest.mark.parametrize("header", REAL_HEADERS, ids=lambda path: path.stem)


def real_version(header: Path) -> str:
    """The kernel whose build made this asm-offsets.h."""
    return header.stem.removeprefix("asm-offsets-")


def configs(version: str) -> list[dict[str, bool | int]]:
    """Every configuration of a kernel, the default one first, with room for few stubs."""
    few = dict.fromkeys(kernel(version).numbers, FEW_STUBS)
    assert few.keys() <= {STUB_COUNT}
    return [config | few for config in configs_of(version)]


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

    @property
    def file_name(self) -> str:
        return self.kernel.file_name

    @property
    def label(self) -> str:
        """Which of all: kernel, style and configuration, as the command line takes them."""
        facts = {**self.kernel.options, **self.kernel.numbers}
        settings = " ".join(setting_text(name, value) for name, value in facts.items())
        return f"{self.kernel.generation} --kernel {self.kernel.version} --style {self.style} {settings}"

    def unit(self) -> Unit:
        """What lpgen's assembler makes of it; the standalone style gets neither headers nor macros."""
        if self.style == "standalone":
            return assemble(self.text, name=self.file_name, origins=self.rendered.origins, isolated=False)
        return assemble_source(self.kernel, self.rendered, name=self.file_name, isolated=False)


def default(version: str) -> dict[str, bool | int]:
    return configs(version)[0]


def emitted(
    version: str, config: Config, style: str = "kernel", *, real_header: Path | None = None, ifdef: bool = False
) -> Emitted:
    """Emit for a configuration, with lpgen's offsets or those of a real kernel build (and then that very header)."""
    offsets: Offsets | None = None if real_header is None else read_offsets(real_header)
    wanted = kernel(version, config=config, offsets=offsets)
    header = offsets_text(wanted, "header") if real_header is None else real_header.read_text()
    return Emitted(wanted, style, emit_source(wanted, style=style, ifdef=ifdef), header)


def every_text(version: str, *styles: str, real_header: Path | None = None) -> Iterator[Emitted]:
    """Emit for every configuration of a kernel, in the styles named (none: all)."""
    for config in configs(version):
        for style in styles or STYLES:
            yield emitted(version, config, style, real_header=real_header)


@contextmanager
def named(what: Emitted) -> Iterator[None]:
    """Put kernel, style and configuration in front of what a failure says."""
    try:
        yield
    except (AssertionError, LpgenError) as error:
        raise AssertionError(f"{what.label}: {error}") from error


def run(*command: str | Path, cwd: Path) -> None:
    """Run one of GNU's tools, which has to succeed without a word."""
    name, *arguments = map(str, command)
    done = subprocess.run([PREFIX + name, *arguments], cwd=cwd, capture_output=True, text=True, timeout=60, check=False)
    said = done.stdout + done.stderr
    assert (done.returncode, said) == (0, ""), f"{name} {' '.join(arguments)}: exit code {done.returncode}\n{said}"


def compile_gnu(
    what: Emitted, directory: Path, *, text: str | None = None, out: str = "gnu.o", macros: Sequence[str] = ()
) -> Path:
    """Compile with gcc -c as a kernel build does; __FILE__ is the bare name, as it is for lpgen."""
    (directory / what.file_name).write_text(what.text if text is None else text)
    flags: list[str | Path] = list(CFLAGS)
    if what.style == "kernel":
        (directory / "generated").mkdir(exist_ok=True)
        (directory / "generated" / "asm-offsets.h").write_text(what.offsets_header)
        options = [name for name, on in what.kernel.options.items() if on]
        numbers = [f"{name}={number}" for name, number in what.kernel.numbers.items()]
        flags += ["-nostdinc", "-I", INCLUDE, "-I", directory]
        flags += [f"-D{name}" for name in (*KERNEL_MACROS, *options, *numbers, *macros)]
    else:
        flags.append("-D__ASSEMBLY__")
    run("gcc", "-c", *flags, "-o", out, what.file_name, cwd=directory)
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
    """An object or an executable: what is loaded, its relocations in order, its named symbols.

    ``kinds`` are type, flags and alignment of each section; ``exports`` the names that the stub EXPORT_SYMBOL recorded.
    """

    sections: Mapping[str, bytes]
    kinds: Mapping[str, tuple[str, str, int]]
    addresses: Mapping[str, int]
    relocations: Sequence[Reloc]
    # name -> (section, None when undefined; value; binding; type; st_other; size)
    symbols: Mapping[str, tuple[str | None, int, str, str, int, int]]
    exports: Sequence[str]


def read(data: bytes) -> Binary:
    """Read ELF. GNU as always makes .text, .data and .bss: an empty section is no difference and is left out."""
    elf: Any = ELFFile(io.BytesIO(data))
    assert (elf.elfclass, elf.little_endian, elf["e_machine"]) == (64, True, "EM_PPC64")
    assert elf["e_flags"] in (0, 2), "neither ELFv2 nor, as of a kernel's assembly, unspecified"
    table = elf.get_section_by_name(".symtab")
    sections, kinds, addresses, symbols = {}, {}, {}, {}
    relocations: list[Reloc] = []
    exports: list[str] = []

    def home(symbol: Any) -> str | None:
        index = symbol["st_shndx"]
        return {"SHN_UNDEF": None, "SHN_ABS": "*ABS*"}[index] if isinstance(index, str) else elf.get_section(index).name

    for symbol in table.iter_symbols():
        kind = symbol["st_info"]["type"].removeprefix("STT_").lower()
        if symbol.name and kind not in ("section", "file"):
            other = symbol["st_other"]["local"] << 5 | (symbol["st_other"]["visibility"] != "STV_DEFAULT")
            bind = symbol["st_info"]["bind"].removeprefix("STB_").lower()
            symbols[symbol.name] = (home(symbol), symbol["st_value"], bind, kind, other, symbol["st_size"])
    for section in elf.iter_sections():
        if section["sh_flags"] & _SHF_ALLOC and section["sh_size"]:
            nobits = section["sh_type"] == "SHT_NOBITS"
            sections[section.name] = bytes(section["sh_size"]) if nobits else section.data()
            flags = "".join(letter for bit, letter in enumerate("wax") if section["sh_flags"] >> bit & 1)
            kind = section["sh_type"].removeprefix("SHT_").lower()
            kinds[section.name] = (kind, flags, section["sh_addralign"])
            addresses[section.name] = section["sh_addr"]
        if section.name == EXPORTS:
            exports += section.data().decode().rstrip("\0").split("\0")
        if section["sh_type"] == "SHT_RELA":
            owner = elf.get_section(section["sh_info"]).name
            for entry in section.iter_relocations():
                symbol = table.get_symbol(entry["r_info_sym"])
                where = home(symbol)
                local = where is not None and symbol["st_info"]["bind"] == "STB_LOCAL"
                target, base = (str(where), symbol["st_value"]) if local else (symbol.name, 0)
                kind = _TYPES[entry["r_info_type"]]
                relocations.append(Reloc(owner, entry["r_offset"], kind, target, base + entry["r_addend"]))
    return Binary(sections, kinds, addresses, sorted(relocations), symbols, exports)


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
    assert ours.kinds == theirs.kinds, "section -> type, flags, alignment"
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
{sections}
	/DISCARD/ : {{ *(.comment) *(.gnu.attributes) *(.note*) *(stub_exports) }}
}}
{externals}
".TOC." = {toc:#x};
"""


def link_gnu(
    directory: Path, object_file: Path, *, addresses: Mapping[str, int], externals: Mapping[str, int], toc: int
) -> Binary:
    """Link one object with GNU ld at the given addresses; ld may not rewrite code that reaches the TOC."""
    script = SCRIPT.format(
        sections="\n".join(f"\t{name} {address:#x} : {{ *({name}) }}" for name, address in addresses.items()),
        externals="\n".join(f"{name} = {value:#x};" for name, value in externals.items()),
        toc=toc,
    )
    (directory / "link.lds").write_text(script)
    out = object_file.with_suffix(".elf")
    flags = ("--no-toc-optimize", "--fatal-warnings", "-e", "0")
    run("ld", *flags, "-T", "link.lds", "-o", out, object_file, cwd=directory)
    return read(out.read_bytes())
