"""Whatever the bytes of an object are: a unit or one LpgenError, soon and in little memory.

LPGEN_FUZZ=10000 is how many mutated files are read; more of them find more.
"""

from __future__ import annotations

import os
import resource
import struct
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from lpgen.api import trampolines
from lpgen.assembly import Unit, link, write_object
from lpgen.errors import LpgenError
from lpgen.kernel.generations import kernel
from lpgen.machine.world import World
from tests.commands.tools import Here, program
from tests.emitted.emitted_build import needs_gnu
from tests.objects import objects

KERNEL = kernel("6.12")
GOOD = write_object(trampolines(KERNEL, style="standalone"))
SEED = 6120
COUNT = int(os.environ.get("LPGEN_FUZZ", "2000"))
# Every tenth of those that can be read is also put into the world, which takes some milliseconds.
WORLDS = 10
_HEADER, _SECTION = 64, struct.Struct("<IIQQQQIIQQ")
INTERESTING = (0, 1, 2, 3, 7, 8, 0xFF, 0x7FFF, 0x8000, 0xFFF1, 0xFFF2, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
INTERESTING += (1 << 40, 1 << 60, (1 << 63) - 1, 1 << 63, (1 << 64) - 1)


def sections(data: bytes) -> tuple[int, int]:
    """Where the section headers of a good object are, and how many."""
    return struct.unpack_from("<Q", data, 40)[0], struct.unpack_from("<H", data, 60)[0]


def changed(data: bytes, section: int, **fields: int) -> bytes:
    """The object with other fields in one section header."""
    start, _ = sections(data)
    at = start + section * _SECTION.size
    names = ("name", "type", "flags", "addr", "offset", "size", "link", "info", "align", "entsize")
    values = dict(zip(names, _SECTION.unpack_from(data, at), strict=True)) | fields
    return data[:at] + _SECTION.pack(*values.values()) + data[at + _SECTION.size :]


def number_of(data: bytes, name: str) -> int:
    """The number of a section."""
    start, count = sections(data)
    strings = _SECTION.unpack_from(data, start + (count - 1) * _SECTION.size)[4]
    for number in range(count):
        at = strings + _SECTION.unpack_from(data, start + number * _SECTION.size)[0]
        if data[at : data.index(b"\0", at)] == name.encode():
            return number
    raise KeyError(name)


def mutant(random: Random, data: bytes) -> bytes:
    """The object with some fields of its headers, tables or contents changed, or cut, or doubled."""
    out = bytearray(data)
    start, count = sections(data)
    for _ in range(random.choice((1, 1, 1, 2, 3, 8))):
        kind = random.randrange(8)
        if not out:
            break
        if kind == 0:
            out[random.randrange(len(out))] = random.randrange(256)
        elif kind == 1:
            del out[random.randrange(len(out)) :]
        elif kind in (2, 3):
            at = start + random.randrange(count) * _SECTION.size + random.choice((0, 4, 8, 16, 24, 32, 40, 44, 48, 56))
            size = random.choice((4, 8))
            if at + size <= len(out):
                value = random.choice((*INTERESTING, random.getrandbits(8), random.randrange(len(data))))
                out[at : at + size] = (value & ((1 << 8 * size) - 1)).to_bytes(size, "little")
        elif kind in (4, 5):
            # A symbol or relocation table's entry.
            table = number_of(data, random.choice((".symtab", ".rela.text", ".rela__bug_table")))
            first, length = _SECTION.unpack_from(data, start + table * _SECTION.size)[4:6]
            at = first + random.randrange(length // 4) * 4
            if at + 4 <= len(out):
                value = random.choice((*INTERESTING, random.getrandbits(8))) & 0xFFFFFFFF
                out[at : at + 4] = value.to_bytes(4, "little")
        elif kind == 6:
            at = random.randrange(_HEADER)
            if at < len(out):
                out[at] = random.choice((0, 1, 2, 0xFF, random.randrange(256)))
        else:
            at, size = random.randrange(max(len(out), 1)), random.randrange(64)
            out[at:at] = out[at : at + size]
    return bytes(out)


def try_it(data: bytes, *, world: bool = False) -> bool:
    """Read, link and perhaps run what ``data`` is; True if it could be read. Nothing but LpgenError is raised."""
    try:
        unit = objects.read(data)
    except LpgenError as error:
        assert_one_line(error)
        return False
    for attempt in (lambda: objects.placed(KERNEL, unit), lambda: link_all(unit)):
        try:
            attempt()
        except LpgenError as error:
            assert_one_line(error)
        except AssertionError:
            pass  # undefined symbols
    if world:
        try:
            World(KERNEL, trampolines(KERNEL, text=data))
        except LpgenError as error:
            assert_one_line(error)
    return True


def link_all(unit: Unit) -> None:
    if sum(section.size for section in unit.sections.values()) < 1 << 24:
        link(unit, addresses={}, externals=objects.EXTERNALS)


def assert_one_line(error: LpgenError) -> None:
    said = str(error)
    assert said
    assert "\n" not in said
    assert len(said) < 2000


def test_mutants() -> None:
    random = Random(SEED)
    read = 0
    for number in range(COUNT):
        data = mutant(random, GOOD)
        began = time.monotonic()
        try:
            read += try_it(data, world=number % WORLDS == 0)
        except Exception as error:
            raise AssertionError(f"mutant {number} of seed {SEED}: {type(error).__name__}: {error}") from error
        assert time.monotonic() - began < 10, number
    assert COUNT // 10 < read < COUNT, "some can be read, some not"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 1 << 20, "KiB"


@needs_gnu
def test_mutants_of_debug_information(tmp_path: Path) -> None:
    """Of a compiler's object with -g, whose tables are read too."""
    text = "int f(int); int g(int a) { return f(a) + 1; }\nint h(int a) { return g(a) * 2; }\n"
    for version in (2, 5):
        data = objects.gcc(text, tmp_path, f"-gdwarf-{version}", "-O1").read_bytes()
        random = Random(version)
        for _ in range(COUNT // 10):
            out = bytearray(data)
            for _ in range(random.choice((1, 4, 40))):
                out[random.randrange(_HEADER, len(out))] = random.randrange(256)
            try_it(bytes(out))


TEXT = number_of(GOOD, ".text")
SYMTAB = number_of(GOOD, ".symtab")
RELA = number_of(GOOD, ".rela.text")
FIRST_GLOBAL = _SECTION.unpack_from(GOOD, sections(GOOD)[0] + SYMTAB * _SECTION.size)[7]


def field(data: bytes, section: int, offset: int, value: int, size: int) -> bytes:
    start, _ = sections(data)
    at = _SECTION.unpack_from(data, start + section * _SECTION.size)[4] + offset
    return data[:at] + value.to_bytes(size, "little") + data[at + size :]


def header(offset: int, value: int, size: int = 1) -> bytes:
    return GOOD[:offset] + value.to_bytes(size, "little") + GOOD[offset + size :]


HOSTILE: dict[str, tuple[Callable[[], bytes], str]] = {
    "cut in the header": (lambda: GOOD[:40], "header cannot be read"),
    "cut in the sections": (lambda: GOOD[: len(GOOD) // 2], "damaged or cut short"),
    "32 bits": (lambda: header(4, 1), "is of class 32"),
    "big-endian": (lambda: header(5, 2), "big-endian"),
    "another machine": (lambda: header(18, 62, 2), "not ppc64"),
    "ELFv1": (lambda: header(48, 1, 4), "of the ELFv1 ABI"),
    "a core": (lambda: header(16, 4, 2), "neither an object nor a program"),
    "a program": (lambda: header(16, 2, 2), "where none of its sections is"),
    "2^60 bytes": (lambda: changed(GOOD, TEXT, size=1 << 60), "damaged or cut short"),
    "2^60 bytes of .bss": (lambda: changed(GOOD, TEXT, type=8, size=1 << 60), "more than any object of a kernel"),
    "alignment": (lambda: changed(GOOD, TEXT, align=1 << 40), "an alignment of 1099511627776 bytes"),
    "odd alignment": (lambda: changed(GOOD, TEXT, align=24), "an alignment of 24"),
    "overlap": (lambda: changed(GOOD, TEXT, offset=0, size=len(GOOD)), "its sections overlap"),
    "symbols that are its strings": (lambda: changed(GOOD, SYMTAB, link=SYMTAB), "names no string table"),
    "symbols that name nothing": (lambda: changed(GOOD, SYMTAB, link=0xFFFFFFFF), "names no string table"),
    "symbols of 1 byte": (lambda: changed(GOOD, SYMTAB, entsize=1), "entries of 1 bytes"),
    "relocations of 0 bytes": (lambda: changed(GOOD, RELA, entsize=0), "entries of 0 bytes"),
    "relocations of no symbols": (lambda: changed(GOOD, RELA, link=RELA), "names no symbol table"),
    "relocation outside": (lambda: field(GOOD, RELA, 0, 1 << 62, 8), "lies outside section .text"),
    "relocation against nothing": (lambda: field(GOOD, RELA, 12, 0xFFFFFFFF, 4), "which is not there"),
    "symbol in no section": (lambda: field(GOOD, SYMTAB, 24 + 6, 0x1234, 2), "which is not there"),
    "symbol outside": (
        lambda: field(GOOD, SYMTAB, 24 * FIRST_GLOBAL + 8, 1 << 60, 8),
        "lies outside its section",
    ),
    "extended numbers without a table": (lambda: field(GOOD, SYMTAB, 24 + 6, 0xFFFF, 2), "not as long as"),
    "name outside": (lambda: field(GOOD, SYMTAB, 24, 0xFFFFFFF0, 4), "outside its string table"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_said_in_one_line(name: str, here: Here, tmp_path: Path) -> None:
    make, words = HOSTILE[name]
    (tmp_path / "bad.o").write_bytes(make())
    assert words in here("verify", "bad.o", "--kernel", "6.12").error_line


def test_what_would_fill_the_memory(tmp_path: Path) -> None:
    """A small file, or a large one, that names its bytes again and again; a process of its own, with a limit."""
    strings = b"\0" + (b"n" * 8000 + b"\0") * 25
    symbols = bytes(24) + b"".join(struct.pack("<IBBHQQ", 1 + n % 190_000, 0x10, 0, 0, 0, 0) for n in range(150_000))
    names = b"\0.symtab\0.strtab\0.shstrtab\0"
    body = symbols + strings + names
    rows = [
        (0, 0, 0, 0, 0, 0, 0, 0, 0, 0),
        (1, 2, 0, 0, 64, len(symbols), 2, 1, 8, 24),
        (9, 3, 0, 0, 64 + len(symbols), len(strings), 0, 0, 1, 0),
        (17, 3, 0, 0, 64 + len(symbols) + len(strings), len(names), 0, 0, 1, 0),
    ]
    head = GOOD[:40] + struct.pack("<QIHHHHHH", 64 + len(body), 2, 64, 0, 0, 64, 4, 3)
    (tmp_path / "names.o").write_bytes(head + body + b"".join(_SECTION.pack(*row) for row in rows))
    began = time.monotonic()
    assert "names of more than 128 MiB" in program("verify", "names.o", "--kernel", "6.12", cwd=tmp_path).error_line
    assert time.monotonic() - began < 60


@needs_gnu
def test_compressed_debug_information_that_is_damaged_or_vast(tmp_path: Path) -> None:
    """It is an extra: nothing is taken of it, and no memory."""
    text = ".globl f\nf:\n" + 200 * "\tnop\n\n"
    good = objects.gcc(text, tmp_path, "-g", "-gz", name="z.S").read_bytes()
    start, count = sections(good)
    compressed = [n for n in range(count) if _SECTION.unpack_from(good, start + n * _SECTION.size)[2] & 0x800]
    assert compressed
    for section in compressed:
        offset = _SECTION.unpack_from(good, start + section * _SECTION.size)[4]
        for kind, size in ((2, 100), (1, 1 << 40), (1, 5), (9, 9), (0, 0)):
            data = bytearray(good)
            struct.pack_into("<I4xQ", data, offset, kind, size)
            lines = objects.read(bytes(data)).sections[".text"].lines
            assert [line.offset for line in lines] == list(range(0, 800, 4))
        data = bytearray(good)
        data[offset + 30 : offset + 34] = b"\xff\xff\xff\xff"
        objects.read(bytes(data))
