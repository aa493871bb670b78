"""Structures and fields out of DWARF and BTF, against what the compiler says."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from lpgen.elf.btf import Btf, read_btf
from lpgen.elf.dwarf import read_dwarf
from lpgen.elf.fields import Types, offset_of, size_of
from lpgen.elf.file import SHF_COMPRESSED, ElfFile, open_elf
from lpgen.errors import LpgenError
from tests.elf.kernel_files import DATA, DECLARED, STRUCTS, BtfWriter, needs_gnu, tool

FLAGS = ("-DLAYOUT=3", "-DPACA_PAD=2000", "-DOPS_PAD=4", "-DBUG_RELATIVE=1", "-DLIVEPATCH")
FIELDS = (
    ("pt_regs", "gpr[0]"),
    ("pt_regs", "gpr[31]"),
    ("pt_regs", "user_regs.gpr[3]"),
    ("pt_regs", "nip"),
    ("pt_regs", "dear"),
    ("pt_regs", "exit"),
    ("pt_regs", "iamr"),
    ("paca_struct", "kernel_toc"),
    ("paca_struct", "inner[2].deep"),
    ("paca_struct", "ftrace_enabled"),
    ("task_struct", "thread_info"),
    ("task_struct", "stack"),
    ("thread_info", "livepatch_sp"),
    ("ftrace_ops", "func"),
    ("ftrace_ops", "direct_call"),
    ("ftrace_ool_stub", "insn[2]"),
)
SIZES = ("pt_regs", "bug_entry", "ftrace_ool_stub", "paca_struct")
NOT_THERE = (
    ("pt_regs", "nap"),
    ("no_struct", "nip"),
    ("pt_regs", "nip[0]"),
    ("pt_regs", "gpr.x"),
    ("pt_regs", "gpr[0"),
)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    directory = tmp_path_factory.mktemp("types")
    (directory / "declared.c").write_text(DECLARED)
    (directory / "data.c").write_text(STRUCTS + DATA)
    made: dict[Sequence[str], Path] = {}

    def build(*options: str) -> Path:
        if options not in made:
            name = "".join(options).replace("=", "")
            for source in ("declared", "data"):
                tool(
                    "gcc",
                    "-c",
                    "-ffreestanding",
                    *FLAGS,
                    *options,
                    "-o",
                    f"{source}{name}.o",
                    f"{source}.c",
                    cwd=directory,
                )
            linking = ["--compress-debug-sections=zlib"] if "-gz=zlib" in options else []
            tool("ld", "-e", "0", *linking, "-o", name, f"declared{name}.o", f"data{name}.o", cwd=directory)
            made[options] = directory / name
        return made[options]

    return build


@pytest.fixture(scope="module")
def truth(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], int]:
    """Each field's offset and each size, "" being the field, as the compiler computes them."""
    directory = tmp_path_factory.mktemp("truth")
    wanted = {(s, f): f"offsetof(struct {s}, {f})" for s, f in FIELDS} | {(s, ""): f"sizeof(struct {s})" for s in SIZES}
    table = "const unsigned int numbers[] = {" + ", ".join(wanted.values()) + "};\n"
    (directory / "truth.c").write_text(STRUCTS + table)
    tool("gcc", "-c", "-ffreestanding", *FLAGS, "-o", "truth.o", "truth.c", cwd=directory)
    tool("objcopy", "-O", "binary", "-j", ".rodata", "truth.o", "truth.bin", cwd=directory)
    numbers = struct.unpack(f"<{len(wanted)}I", (directory / "truth.bin").read_bytes()[: 4 * len(wanted)])
    return dict(zip(wanted, numbers, strict=True))


def found_in(types: Types) -> dict[tuple[str, str], int | None]:
    fields = {(s, f): offset_of(types, s, f) for s, f in FIELDS}
    return fields | {(s, ""): size_of(types, s) for s in SIZES}


@needs_gnu
@pytest.mark.parametrize(
    "options",
    [
        ("-g", "-gdwarf-5"),
        ("-g", "-gdwarf-4"),
        ("-g", "-gdwarf-3", "-gstrict-dwarf"),
        ("-g", "-gdwarf-2", "-gstrict-dwarf"),
        ("-g", "-gdwarf-5", "-gdwarf64"),
        ("-g", "-gdwarf-5", "-gz=zlib"),
        ("-g", "-gdwarf-4", "-fdebug-types-section", "-fno-debug-types-section"),
        ("-g3", "-gdwarf-5", "-O2"),
    ],
    ids=" ".join,
)
def test_dwarf(built: Callable[..., Path], truth: dict[tuple[str, str], int], options: tuple[str, ...]) -> None:
    with open_elf(built(*options)) as elf:
        types = read_dwarf(elf)
        assert types is not None
        try:
            assert found_in(types) == truth
            assert [offset_of(types, s, f) for s, f in NOT_THERE] == [None] * len(NOT_THERE)
        finally:
            types.close()


@needs_gnu
def test_a_field_elsewhere_is_seen(built: Callable[..., Path], truth: dict[tuple[str, str], int]) -> None:
    """The comparison above compares: with another structure it fails."""
    with open_elf(built("-g", "-UPACA_PAD", "-DPACA_PAD=2008")) as elf:
        types = read_dwarf(elf)
        assert types is not None
        found = found_in(types)
    assert {key for key in truth if found[key] != truth[key]} == {
        ("paca_struct", "inner[2].deep"),
        ("paca_struct", "ftrace_enabled"),
        ("paca_struct", ""),
    }


@needs_gnu
def test_no_debug_data(built: Callable[..., Path]) -> None:
    with open_elf(built("-g0")) as elf:
        assert read_dwarf(elf) is None
        assert read_btf(elf) is None


@needs_gnu
def test_names_by_index(tmp_path: Path) -> None:
    source = Path(__file__).parent / "data" / "indexed_names.s"
    tool("as", "-o", tmp_path / "o", source)
    tool("ld", "-e", "0", "-o", tmp_path / "vmlinux", tmp_path / "o")
    with open_elf(tmp_path / "vmlinux") as elf:
        types = read_dwarf(elf)
        assert types is not None
        assert (offset_of(types, "thread_info", "livepatch_sp"), size_of(types, "thread_info")) == (8, 16)


@needs_gnu
def test_numbers_that_are_no_names(tmp_path: Path) -> None:
    """What looks like the definition by its first bytes is looked at as a whole."""
    source = Path(__file__).parent / "data" / "numbers_that_are_no_names.s"
    tool("as", "-o", tmp_path / "o", source)
    tool("ld", "-e", "0", "-o", tmp_path / "vmlinux", tmp_path / "o")
    with open_elf(tmp_path / "vmlinux") as elf:
        types = read_dwarf(elf)
        assert types is not None
        assert (size_of(types, "thread_info"), offset_of(types, "thread_info", "livepatch_sp")) == (24, 16)


# BTF


class Damaged(ElfFile):
    """What a Btf asks of its file: how to refuse."""

    def __init__(self) -> None:
        self.name = "vmlinux"
        from lpgen.errors import Place

        self.place = Place("vmlinux")


def btf(data: bytes) -> Btf:
    return Btf(data, Damaged())


def sample() -> BtfWriter:
    out = BtfWriter()
    word = out.integer("long", 8)
    out.struct("x_pt_regs", 8, [("wrong", word, 0)])
    numbers = out.array(out.array(word, word, 2), word, 3)
    bits = out.struct("", 8, [("low", word, 0)], flag=True, kind=5)
    named = out.add(8, "named_t", bits)
    out.struct("pt_regs", 88, [("gpr", numbers, 8), ("", named, 56), ("last", word, 80)])
    return out


def test_btf_arrays_typedefs_anonymous_members() -> None:
    types = btf(sample().data())
    assert offset_of(types, "pt_regs", "gpr[2]") == 8 + 2 * 16
    assert offset_of(types, "pt_regs", "gpr[2][1]") == 8 + 2 * 16 + 8
    assert offset_of(types, "pt_regs", "low") == 56
    assert offset_of(types, "pt_regs", "wrong") is None
    assert (size_of(types, "pt_regs"), size_of(types, "x_pt_regs"), size_of(types, "regs")) == (88, 8, None)


def test_btf_bitfields_and_a_second_definition() -> None:
    out = BtfWriter()
    word = out.integer("long", 8)
    out.struct("thread_info", 8, [("other", word, 0)])
    tail = struct.pack("<III", out.name("bits"), word, 3 << 24 | 35) + struct.pack("<III", out.name("sp"), word, 128)
    out.add(4, "thread_info", 24, vlen=2, flag=True, tail=tail)
    types = btf(out.data())
    assert (offset_of(types, "thread_info", "bits"), offset_of(types, "thread_info", "sp")) == (4, 16)


def loop(kind: int) -> bytes:
    out = BtfWriter()
    out.struct("pt_regs", 8, [("nip", 2, 0), ("", 2, 0)])
    if kind == 3:
        out.array(2, 2, 2)
    else:
        out.add(kind, "t", 2)
    return out.data()


def itself() -> bytes:
    out = BtfWriter()
    out.struct("pt_regs", 8, [("", 1, 0)] * 5000)
    return out.data()


@pytest.mark.parametrize("data", [loop(8), loop(10), loop(3)], ids=["typedef", "const", "array"])
def test_btf_loops(data: bytes) -> None:
    types = btf(data)
    for path in ("nip[1]", "nap"):
        with pytest.raises(LpgenError, match=r"itself|own element"):
            assert offset_of(types, "pt_regs", path) is None


def test_btf_a_structure_in_itself_ends() -> None:
    assert offset_of(btf(itself()), "pt_regs", "nip") is None


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda data: data[:20], "less than its header"),
        (lambda data: b"\x9f\xeb\x02" + data[3:], "version 2"),
        (lambda data: data[::-1], "begins with"),
        (lambda data: data[:-5], "larger than it is"),
        (lambda data: data[:12] + struct.pack("<I", len(data)) + data[16:], "larger than it is"),
        (lambda data: data[:12] + struct.pack("<I", 20) + data[16:], "has no end"),
        (lambda data: data[:31] + b"\x1f" + data[32:], "unknown kind 31"),
        (lambda data: data[:31] + b"\x14" + data[32:], "unknown kind 20"),
        (lambda data: data[:31] + b"\x00" + data[32:], "unknown kind 0"),
        (lambda data: data[:-1] + b"x", "have no end"),
    ],
)  # fmt: skip
def test_btf_damaged(change: Callable[[bytes], bytes], says: str) -> None:
    btf(sample().data())
    with pytest.raises(LpgenError, match=says):
        btf(change(sample().data()))


def test_btf_member_of_a_type_that_is_not_there() -> None:
    out = BtfWriter()
    out.struct("pt_regs", 8, [("nip", 77, 0), ("", 77, 0)])
    with pytest.raises(LpgenError, match="type 77 of 1"):
        offset_of(btf(out.data()), "pt_regs", "link")


@needs_gnu
def test_a_decompression_bomb(tmp_path: Path, built: Callable[..., Path]) -> None:
    """What the header of a compressed section says is bounded, and so is what comes out."""
    data = bytearray(built("-g", "-gdwarf-5", "-gz=zlib").read_bytes())
    elf = ElfFile(io.BytesIO(data), "vmlinux")
    section = next(s for s in elf.sections if s.name == ".debug_info")
    assert section.flags & SHF_COMPRESSED
    for size in (1 << 40, 1 << 31, 1, section.size * 1000):
        data[section.offset + 8 : section.offset + 16] = struct.pack("<Q", size)
        with pytest.raises(LpgenError, match=r"compression header|has not the|more than lpgen reads"):
            read_dwarf(ElfFile(io.BytesIO(data), "vmlinux"))
    data[section.offset : section.offset + 4] = struct.pack("<I", 2)
    with pytest.raises(LpgenError, match="zstd"):
        read_dwarf(ElfFile(io.BytesIO(data), "vmlinux"))
