"""Every kind of relocation that lpgen resolves: the bytes are GNU ld's, and what GNU ld refuses is refused."""

from __future__ import annotations

import re
import subprocess
from io import BytesIO
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile

from lpgen.assembly import Unit, link
from lpgen.assembly.elf import R_TYPES
from lpgen.assembly.linker import linkable
from lpgen.errors import LpgenError
from tests.emitted.emitted_build import needs_gnu
from tests.objects import objects

TEXT, DATA = 0x10000000, 0x10020000
# Value + addend may not be a multiple of 4 where the field holds no such number.
HALVES = ("", "_LO", "_HI", "_HA", "_HIGH", "_HIGHA", "_HIGHER", "_HIGHERA", "_HIGHEST", "_HIGHESTA")
KINDS: dict[str, tuple[str, str]] = {
    # relocation -> the instruction or datum that it is in, and what it is against
    "REL24": ("bl .", "near"),
    "REL24_NOTOC": ("bl .", "near"),
    "REL24_P9NOTOC": ("bl .", "near"),
    "REL14": ("beq .", "near"),
    "REL14_BRTAKEN": ("bne .", "near"),
    "REL14_BRNTAKEN": ("bdnz .", "near"),
    "ADDR24": ("ba 0", "low"),
    "ADDR14": ("bca 12,2,0", "low"),
    "ADDR14_BRTAKEN": ("bca 4,2,0", "low"),
    "ADDR14_BRNTAKEN": ("bca 16,0,0", "low"),
    "ADDR64": (".quad 0", "datum+5"),
    "UADDR64": (".quad 0", "datum+5"),
    "ADDR64_LOCAL": (".quad 0", "entry"),
    "REL64": (".quad 0", "datum-16"),
    "TOC": (".quad 0", "0"),
    "ADDR32": (".long 0", "datum+5"),
    "UADDR32": (".long 0", "datum+5"),
    "REL32": (".long 0", "datum+5"),
    "UADDR16": (".short 0,0", "low"),
    "NONE": ("nop", "datum"),
    "ENTRY": ("nop", "0"),
    "REL16DX_HA": ("addpcis 3,0", "datum+0x18001"),
}
KINDS |= {f"ADDR16{half}": ("addi 3,3,0", "low+1" if half == "" else "datum") for half in HALVES}
KINDS |= {f"REL16{half}": ("addi 3,3,0", "near+1" if half == "" else "datum") for half in HALVES}
KINDS |= {f"TOC16{half}": ("addi 3,3,0", "datum+0x8001") for half in HALVES[:4]}
KINDS |= {f"{family}16{half}_DS": ("ld 3,0(3)", "datum+8") for family in ("TOC", "ADDR") for half in ("", "_LO")}
KINDS["ADDR16_DS"] = ("ld 3,0(3)", "low")

SOURCE = """
    .abiversion 2
    .globl _start, entry
    .set low, 0x1234
_start:
    nop
    .reloc ., R_PPC64_{kind}, {symbol}
    {field}
    .balign 4
near: blr
    .type entry, @function
entry:
0:  addis 9,12,(.TOC.-0b)@ha
    addi 9,9,(.TOC.-0b)@l
    .localentry entry, .-entry
    blr
    .data
    .space 0x300
datum: .quad 0
    .section .toc, "aw"
    .quad 0
"""


def both(text: str, directory: Path) -> tuple[Unit, dict[str, int], dict[int, bytes], int]:
    """The object as a unit, where GNU ld puts its sections, what is there then, and the TOC pointer."""
    objects.gas(text, directory, "-a64", "-mpower10")
    out = directory / "linked"
    options = [f"-Ttext={TEXT:#x}", f"-Tdata={DATA:#x}", "--no-toc-optimize", "--fatal-warnings"]
    assert objects.run("ld", *options, "-o", str(out), str(directory / "x.o")) == ""
    elf = ELFFile(BytesIO(out.read_bytes()))
    parts = [s for s in elf.iter_sections() if s["sh_flags"] & 2 and s["sh_size"] and s["sh_type"] != "SHT_NOBITS"]
    symbols = {s.name: s["st_value"] for s in elf.get_section_by_name(".symtab").iter_symbols()}
    got = elf.get_section_by_name(".got")
    toc = symbols.get(".TOC.", (got["sh_addr"] if got else 0) + 0x8000)
    addresses = {s.name: s["sh_addr"] for s in parts}
    return objects.read((directory / "x.o").read_bytes()), addresses, {s["sh_addr"]: s.data() for s in parts}, toc


@needs_gnu
@pytest.mark.parametrize("kind", KINDS)
def test_bytes_of_gnu_ld(kind: str, tmp_path: Path) -> None:
    field, symbol = KINDS[kind]
    unit, addresses, theirs, toc = both(SOURCE.format(kind=kind, field=field, symbol=symbol), tmp_path)
    assert f"R_PPC64_{kind}" in {r.type for r in unit.sections[".text"].relocations}
    # GNU ld puts .toc into .got; what is nowhere else is the 8 bytes behind its header.
    places = {n: addresses.get(n, addresses.get(".got", DATA + 0x1000) + 8) for n, s in unit.sections.items() if s.size}
    image = link(unit, addresses=places, toc=toc)
    text = next(data for address, data in image.segments if address == TEXT)
    assert text.hex(" ", 4) == theirs[TEXT][: len(text)].hex(" ", 4)


def test_every_kind_that_is_resolved_is_compared() -> None:
    notes = {"TOCSAVE", "PLTSEQ", "PLTCALL", "PCREL_OPT", "GNU_VTINHERIT", "GNU_VTENTRY"}
    resolved = {name.removeprefix("R_PPC64_") for name in R_TYPES if linkable(name)}
    assert resolved - notes == set(KINDS)


LIMITS = [
    ("ADDR16", "li 3,0", (-0x8000, 0x7FFF), (-0x8001, 0x8000)),
    ("ADDR16", "ori 3,3,0", (0, 0xFFFF), (-1, 0x10000)),
    ("ADDR16", "andi. 3,3,0", (0, 0xFFFF), (-1, 0x10000)),
    ("ADDR16", "cmpldi 3,0", (-0x8000, 0xFFFF), (0x10000,)),
    ("ADDR16", ".short 0,0", (-0x8000, 0x7FFF), (0x10000 + 0x12345678 * 0x10000,)),
    ("ADDR16_DS", "ld 3,0(3)", (-0x8000, 0x7FFC), (-0x8004, 0x8000)),
    ("ADDR16_HI", "lis 3,0", (-0x80000000, 0x7FFFFFFF), (0x80000000, -0x80000001)),
    ("ADDR16_HA", "lis 3,0", (-0x80008000, 0x7FFF7FFF), (0x7FFF8000, -0x80008001)),
    ("ADDR16_HIGHA", "lis 3,0", (0x7FFF8000, 1 << 40), ()),
    ("ADDR32", ".long 0", (-0x80000000, 0xFFFFFFFF), (1 << 32,)),
    # Of 26 bits GNU ld drops the sign, which the processor does not: what is between is refused by lpgen alone.
    ("ADDR24", "ba 0", (0x1FFFFFC, -0x2000000), (0x4000000, -0x4000004)),
    ("ADDR14", "bca 12,2,0", (0x7FFC, -0x8000), (0x8000, -0x8004)),
]


@needs_gnu
@pytest.mark.parametrize(("kind", "field", "fits", "overflows"), LIMITS, ids=lambda value: str(value)[:20])
def test_overflow_is_gnu_lds(
    kind: str, field: str, fits: tuple[int, ...], overflows: tuple[int, ...], tmp_path: Path
) -> None:
    section = ".data" if field.startswith(".short") else ".text"
    text = f".globl _start\n_start: nop\n{section}\n.reloc .,R_PPC64_{kind},value\n{field}\n"
    path = objects.gas(text, tmp_path, "-a64")
    unit = objects.read(path.read_bytes())
    for value in (*fits, *overflows):
        options = ["-e", "_start", f"--defsym=value={value & (1 << 64) - 1:#x}", "-o", str(tmp_path / "out")]
        command = [f"{objects.PREFIX}ld", *options, str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        said = "" if done.returncode == 0 else done.stderr
        assert bool(re.search("relocation truncated", said)) == (value in overflows), f"{value:#x}: {said}"
        try:
            link(unit, addresses={".text": TEXT}, externals={"value": value & (1 << 64) - 1})
            refused = ""
        except LpgenError as error:
            refused = str(error)
        assert ("does not fit" in refused) == (value in overflows), f"{value:#x}: {refused}"


@needs_gnu
@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("bl f@notoc\n.localentry f,8", "stub that only a linker makes"),
        (".reloc .,R_PPC64_REL24_P9NOTOC,f\nbl .\n.localentry f,8", "stub that only a linker makes"),
        ("bl f\nnop\n.localentry f,1", "stub that only a linker makes"),
        ("ld 3,f@got(2)", "R_PPC64_GOT16_DS needs tables that only a linker builds"),
        (".reloc .,R_PPC64_TPREL16_HA,f\nnop", "R_PPC64_TPREL16_HA needs tables that only a linker builds"),
        ("pld 3,f@pcrel", "R_PPC64_PCREL34 needs tables that only a linker builds"),
        (".reloc .,R_PPC64_PLT16_HA,f\nnop", "only a linker builds"),
        ("b f+0x4000000", "does not fit in 26 bits"),
        ("bl nowhere", "undefined symbol 'nowhere'"),
    ],
)
def test_refused_with_the_place(text: str, words: str, tmp_path: Path) -> None:
    source = f".abiversion 2\n.globl f\n.type f,@function\nf: nop\nnop\nf2: {text}\nblr\n"
    unit = objects.read(objects.gas(source, tmp_path, "-a64", "-mpower10").read_bytes())
    with pytest.raises(LpgenError, match=re.escape(words)) as caught:
        link(unit, addresses={".text": TEXT})
    assert str(caught.value.place) == "x.o: f2"


@needs_gnu
def test_with_debug_information_the_place_is_the_source_line(tmp_path: Path) -> None:
    for version in ("2", "3", "4", "5"):
        path = objects.gas("nop\n\nbl nowhere\n", tmp_path, "-a64", f"--gdwarf-{version}")
        with pytest.raises(LpgenError) as caught:
            link(objects.read(path.read_bytes()), addresses={".text": TEXT})
        place = caught.value.place
        assert place is not None
        assert (Path(place.file).name, place.line) == ("x.s", 3), version


@needs_gnu
@pytest.mark.parametrize("version", ["3", "5"])
def test_compressed_debug_information(version: str, tmp_path: Path) -> None:
    text = ".globl f\nf:\n" + 200 * "\tnop\n\n" + "\tblr\n"
    path = objects.gcc(text, tmp_path, f"-gdwarf-{version}", "-gz", name="z.S")
    found = {s.name for s in ELFFile(BytesIO(path.read_bytes())).iter_sections() if s["sh_flags"] & 0x800}
    assert ".debug_line" in found
    lines = objects.read(path.read_bytes()).sections[".text"].lines
    assert [(Path(line.place.file).name, line.place.line) for line in lines] == [("z.S", 3 + 2 * n) for n in range(201)]
    # A C file's strings are long enough, too.
    names = "".join(f"int a_variable_with_a_long_name_{n};\n" for n in range(200))
    path = objects.gcc(f"{names}int f(int a) {{\n return a + 1; }}\n", tmp_path, f"-gdwarf-{version}", "-gz", "-O1")
    lines = objects.read(path.read_bytes()).sections[".text"].lines
    assert {(Path(line.place.file).name, line.place.line) for line in lines} == {("x.c", 202)}


WEAK = [kind for kind in KINDS if kind.endswith(("_HA", "HIGHA", "HIGHERA", "HIGHESTA", "_HI", "_LO", "ADDR64"))]


@needs_gnu
@pytest.mark.parametrize("kind", WEAK)
@pytest.mark.parametrize("addend", [0x1234, 0x9234])
def test_a_weak_symbol_that_is_nowhere(kind: str, addend: int, tmp_path: Path) -> None:
    """GNU ld (elf64-ppc.c, "It's just possible that this symbol is a weak symbol") adjusts no such half."""
    field = KINDS[kind][0]
    if kind.endswith(("ERA", "ESTA")):
        addend += 0xFFFFFFFF0000
    text = f"{SOURCE.format(kind=kind, field=field, symbol=f'nowhere+{addend}')}\n.weak nowhere\n"
    unit, addresses, theirs, toc = both(text, tmp_path)
    places = {n: addresses.get(n, addresses.get(".got", DATA + 0x1000) + 8) for n, s in unit.sections.items() if s.size}
    image = link(unit, addresses=places, toc=toc)
    text = next(data for address, data in image.segments if address == TEXT)
    assert text.hex(" ", 4) == theirs[TEXT][: len(text)].hex(" ", 4)
