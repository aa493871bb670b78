"""Damaged kernels: whatever their bytes, one LpgenError, in little time and memory.

A seeded fuzz changes small real kernels. LPGEN_FUZZ=10000 makes that many, LPGEN_FUZZ_SEED starts elsewhere.
"""

from __future__ import annotations

import io
import os
import random
import resource
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from lpgen.elf.dwarf import read_dwarf
from lpgen.elf.fields import offset_of, size_of
from lpgen.elf.file import ElfFile
from lpgen.errors import LpgenError
from lpgen.kernel.vmlinux import kernel_of_vmlinux
from tests.elf.kernel_files import Recipe, SmallKernel, btf_of, needs_gnu, tool

COUNT = int(os.environ.get("LPGEN_FUZZ", "1500"))
SEED = int(os.environ.get("LPGEN_FUZZ_SEED", "1"))
SHARES = 6
# Seconds for one damaged file, on a machine that does other things too; most take a fiftieth.
PATIENCE = 20
GIB = 1 << 30
# Where changes are worth most.
SECTIONS = (
    ".debug_info",
    ".debug_abbrev",
    ".debug_str",
    ".debug_str_offsets",
    ".BTF",
    ".rodata",
    ".text",
    ".symtab",
    ".strtab",
    ".shstrtab",
)
DOTCONFIG = (
    "# Automatically generated file; DO NOT EDIT.\n# Linux/powerpc 6.1.100 Kernel Configuration\nCONFIG_LIVEPATCH=y\n"
)


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Kernels that are read without complaint, by what they are."""
    directory = tmp_path_factory.mktemp("hostile")
    late = SmallKernel(directory / "late", Recipe(version="6.18", debug=("-g", "-gdwarf-5")))
    early = SmallKernel(directory / "early", Recipe(version="4.13", debug=("-g", "-gdwarf-4")))
    inside = SmallKernel(directory / "inside", Recipe(ikconfig=DOTCONFIG, debug=("-g0",)))
    (late.directory / "btf").write_bytes(btf_of(late.truth, {"base": late.truth["GPR0"]}))
    files = {
        "DWARF 5": late.vmlinux,
        "DWARF 4": early.vmlinux,
        "compressed": late.copy("z", "--compress-debug-sections=zlib"),
        "BTF": late.copy("b", "--strip-debug", f"--add-section=.BTF={late.directory / 'btf'}"),
        "IKCONFIG": inside.vmlinux,
        "plain": early.copy("p", "--strip-debug"),
        "stripped": early.copy("s", "--strip-all"),
    }
    return {name: path.read_bytes() for name, path in files.items()}


def read(data: bytes) -> str:
    """Read a kernel as the commands do; return its version, or the one line of the complaint."""
    try:
        return kernel_of_vmlinux(ElfFile(io.BytesIO(data), "vmlinux")).kernel.version
    except LpgenError as error:
        complaint = error
    assert str(complaint).isprintable()
    assert str(complaint).startswith("vmlinux") or complaint.place is None
    assert complaint.exit_code == 2
    return f"refused: {complaint}"


def places(data: bytes) -> list[tuple[int, int]]:
    """What a change may hit: the ELF header, the section headers, some sections."""
    elf = ElfFile(io.BytesIO(data), "vmlinux")
    found = [(0, 64), (struct.unpack_from("<Q", data, 40)[0], 64 * len(elf.sections))]
    return found + [(s.offset, s.size) for s in elf.sections if s.name in SECTIONS and elf.held(s)]


def changes(samples: dict[str, bytes], seed: int, count: int) -> Iterator[tuple[str, bytes]]:
    """Damaged copies of the samples, with what was done to each."""
    rng = random.Random(seed)
    ranges = {name: places(data) for name, data in samples.items()}
    for number in range(count):
        name = rng.choice(list(samples))
        data = bytearray(samples[name])
        what = f"{name} #{number} of seed {seed}"
        way = rng.randrange(10)
        if way == 0:
            del data[rng.randrange(len(data)) :]
        elif way == 1:
            first, size = rng.choice(ranges[name])
            at = first + rng.randrange(size)
            length = rng.randrange(1, 200)
            data[at : at + length] = rng.choice([bytes(length), b"\xff" * length, rng.randbytes(length)])
        elif way == 2:
            (first, size), (second, more) = rng.choice(ranges[name]), rng.choice(ranges[name])
            length = rng.randrange(1, 400)
            source, target = second + rng.randrange(more), first + rng.randrange(size)
            data[target : target + length] = data[source : source + length]
        else:
            for _ in range(rng.randrange(1, 9)):
                first, size = rng.choice(ranges[name])
                at = min(first + rng.randrange(size), len(data) - 9)
                kind = rng.randrange(4)
                if kind == 0:
                    data[at] = rng.randrange(256)
                elif kind == 1:
                    data[at] ^= 1 << rng.randrange(8)
                elif kind == 2:
                    struct.pack_into("<I", data, at, rng.choice([0, 1, 0x7FFFFFFF, 0xFFFFFFFF, 0xFFFFFFFE, len(data)]))
                else:
                    struct.pack_into("<Q", data, at, rng.choice([1 << 63, (1 << 64) - 1, len(data), 1 << 32]))
        yield what, bytes(data)


@needs_gnu
def test_the_samples_are_sound(samples: dict[str, bytes]) -> None:
    found = {name: read(data) for name, data in samples.items()}
    stripped = found.pop("stripped")
    assert found == {
        "DWARF 5": "6.18",
        "DWARF 4": "4.13",
        "compressed": "6.18",
        "BTF": "6.18",
        "IKCONFIG": "6.1.100",
        "plain": "4.13",
    }
    assert stripped == "4.13"


@needs_gnu
@pytest.mark.parametrize("share", range(SHARES))
def test_damaged_kernels(samples: dict[str, bytes], share: int) -> None:
    refused = count = 0
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    slowest = (0.0, "")
    for what, data in changes(samples, SEED * 1000 + share, -(-COUNT // SHARES)):
        began = time.perf_counter()
        try:
            answer = read(data)
        except Exception as error:
            pytest.fail(f"{what}: {type(error).__name__}: {error}")
        slowest = max(slowest, (time.perf_counter() - began, what))
        count += 1
        refused += answer.startswith("refused")
    assert slowest[0] < PATIENCE, slowest
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory) << 10 < GIB // 4
    # Neither everything nor nothing is noticed.
    assert count // 10 < refused < count * 9 // 10


def section(name: str, lines: str, flags: str = "") -> str:
    return f'\t.section {name},"{flags}",@progbits\n{lines}\n'


# One structure of one member, whose type is what the test makes of it.
ABBREVS = """
	.uleb128 1, 0x11
	.byte 1
	.uleb128 0, 0
	.uleb128 2, 0x13
	.byte 1
	.uleb128 0x03, 0x08, 0x0b, 0x0b, 0, 0
	.uleb128 3, 0x0d
	.byte 0
	.uleb128 0x03, 0x08, 0x49, 0x13, 0x38, 0x0b, 0, 0
	.uleb128 4, 0x16
	.byte 0
	.uleb128 0x49, 0x13, 0, 0
	.uleb128 5, 0x01
	.byte 1
	.uleb128 0x49, 0x13, 0, 0
	.uleb128 6, 0x21
	.byte 0
	.uleb128 0x2f, 0x0b, 0, 0
	.uleb128 7, 0x13
	.byte 1
	.uleb128 0x0b, 0x0b, 0x01, 0x13, 0, 0
	.uleb128 8, 0x0d
	.byte 0
	.uleb128 0x03, 0x08, 0x49, 0x13, 0x38, 0x0a, 0, 0
	.uleb128 9, 0x0d
	.byte 0
	.uleb128 0x03, 0x08, 0, 0
	.byte 0
"""
HEAD = """
.Lunit:	.long .Lend-.Lbegin
.Lbegin:	.short 4
	.long 0
	.byte 8
	.uleb128 1
"""
LOOPS = {
    "typedef of itself": """
	.uleb128 2
	.asciz "pt_regs"
	.byte 8
	.uleb128 3
	.asciz "gpr"
	.long .Lt-.Lunit
	.byte 0, 0
.Lt:	.uleb128 4
	.long .Lt-.Lunit
	.byte 0
""",
    "array of itself": """
	.uleb128 2
	.asciz "pt_regs"
	.byte 8
	.uleb128 3
	.asciz "gpr"
	.long .Lt-.Lunit
	.byte 0, 0
.Lt:	.uleb128 5
	.long .Lt-.Lunit
	.uleb128 6
	.byte 2, 0, 0
""",
    "anonymous structure in itself": """
	.uleb128 2
	.asciz "pt_regs"
	.byte 8
	.uleb128 3
	.asciz ""
	.long .Lt-.Lunit
	.byte 0
	.uleb128 3
	.asciz ""
	.long .Lt-.Lunit
	.byte 0
	.byte 0
.Lt:	.uleb128 7
	.byte 8
	.long .Lt-.Lunit
	.rept 50
	.uleb128 3
	.asciz ""
	.long .Lt-.Lunit
	.byte 0
	.endr
	.byte 0, 0
""",
    "type outside": """
	.uleb128 2
	.asciz "pt_regs"
	.byte 8
	.uleb128 3
	.asciz "gpr"
	.long 0x7fffffff
	.byte 0, 0, 0
""",
    "members without end": """
	.uleb128 2
	.asciz "pt_regs"
	.byte 8
	.rept 20000
	.uleb128 9
	.asciz ""
	.endr
	.byte 0, 0
""",
    "a place that is an expression": """
	.uleb128 2
	.asciz "pt_regs"
	.byte 8
	.uleb128 8
	.asciz "gpr"
	.long 0
	.byte 1, 0x96
	.byte 0, 0
""",
    "a long name, over and over": """
	.rept 100
	.uleb128 2
	.asciz "pt_regs"
	.byte 8
	.uleb128 3
	.fill 200000, 1, 'x'
	.byte 0
	.long 0
	.byte 0, 0
	.endr
	.byte 0
""",
    "structures in structures": """
	.rept 100000
	.uleb128 2
	.asciz "pt_regs"
	.byte 8
	.endr
	.byte 0
""",
}


@needs_gnu
@pytest.mark.parametrize("name", LOOPS)
def test_dwarf_that_never_ends(tmp_path: Path, name: str) -> None:
    """Each is refused, or answers that there is no such field, within seconds."""
    source = section(".debug_abbrev", ABBREVS) + section(".debug_info", HEAD + LOOPS[name] + ".Lend:")
    (tmp_path / "a.s").write_text(source)
    tool("as", "-o", tmp_path / "a.o", tmp_path / "a.s")
    tool("ld", "-e", "0", "-o", tmp_path / "a", tmp_path / "a.o")
    began = time.perf_counter()
    types = read_dwarf(ElfFile(io.BytesIO((tmp_path / "a").read_bytes()), "a"))
    assert types is not None
    for ask in (
        lambda: offset_of(types, "pt_regs", "gpr[3]"),
        lambda: offset_of(types, "pt_regs", "nip"),
        lambda: size_of(types, "pt_regs"),
    ):
        try:
            answer: object = ask()
        except LpgenError as error:
            answer = str(error)
        assert answer in (8, None) or "damaged" in str(answer)
    assert time.perf_counter() - began < PATIENCE


@needs_gnu
def test_abbreviations_without_end(tmp_path: Path) -> None:
    """pyelftools would take a minute to find out that they have one."""
    many = "\t.rept 1000000\n\t.byte 11, 0x0d, 0, 0, 0\n\t.endr\n\t.byte 0\n"
    (tmp_path / "a.s").write_text(
        section(".debug_abbrev", many) + section(".debug_info", HEAD + LOOPS["type outside"] + ".Lend:")
    )
    tool("as", "-o", tmp_path / "a.o", tmp_path / "a.s")
    tool("ld", "-e", "0", "-o", tmp_path / "a", tmp_path / "a.o")
    types = read_dwarf(ElfFile(io.BytesIO((tmp_path / "a").read_bytes()), "a"))
    assert types is not None
    with pytest.raises(LpgenError, match="takes more reading than a kernel's"):
        size_of(types, "pt_regs")


MEMORY = """
import re, sys
from pathlib import Path
from lpgen.elf.file import ElfFile
from lpgen.errors import LpgenError
from lpgen.kernel.vmlinux import kernel_of_vmlinux
try:
    kernel_of_vmlinux(ElfFile(Path(sys.argv[1]).open("rb"), "vmlinux"), version="6.18")
except LpgenError as error:
    print(error)
# Not ru_maxrss: that one is the parent's where it is larger.
print(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])
"""


@needs_gnu
def test_memory_of_large_sections(tmp_path: Path, samples: dict[str, bytes]) -> None:
    """300 MB of zeros in 1.3 MB: what is held at once is a piece."""
    size = 300 << 20
    packer = zlib.compressobj(1)
    zeros = bytes(1 << 20)
    packed = b"".join([*(packer.compress(zeros) for _ in range(size >> 20)), packer.flush()])
    data = bytearray(samples["compressed"])
    elf = ElfFile(io.BytesIO(data), "vmlinux")
    info = elf.section(".debug_info")
    assert info is not None
    header = struct.unpack_from("<Q", data, 40)[0] + 64 * info.index
    at = len(data)
    data += struct.pack("<IIQQ", 1, 0, size, 1) + packed
    struct.pack_into("<QQ", data, header + 24, at, len(data) - at)
    (tmp_path / "bomb").write_bytes(data)
    done = subprocess.run(
        [sys.executable, "-c", MEMORY, tmp_path / "bomb"], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    complaint, peak = done.stdout.splitlines()
    assert "damaged" in complaint
    assert int(peak) << 10 < GIB // 8
