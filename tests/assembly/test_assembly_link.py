"""Linking: lpgen's own linker against GNU ld, overflow, and our objects in GNU ld's hands."""

from __future__ import annotations

import io
from pathlib import Path

import assembly_gnu as gnu
import pytest
from elftools.elf.elffile import ELFFile

from lpgen.assembly import assemble, link, write_object
from lpgen.assembly.linker import flat
from lpgen.errors import LpgenError, Place

FIRST = """
    .abiversion 2
    .globl _start, f, value
    .type f, @function
_start:
    bl f
    bl outside
    nop
    beq outside
    bne- f
    b _start
f:
0:  addis 9,12,(.TOC.-0b)@ha    # into r2 it would be: GNU ld rewrites that to a constant
    addi 9,9,(.TOC.-0b)@l
    .localentry f, .-f
    addis 3,2,value@toc@ha
    ld 3,value@toc@l(3)
    addi 3,3,value@toc@l
    lis 4,value@highest ; ori 4,4,value@higher ; oris 4,4,value@high ; ori 4,4,value@l
    lis 5,value@highesta ; lis 5,value@highera ; lis 5,value@higha ; ld 5,value@l(5)
    lis 6,abs@h ; ori 6,6,abs@l ; lis 6,abs@ha ; addi 6,6,abs@l ; ba abs
    blr
    .size f, .-f
    .data
value: .quad value, f, f-., value+8
    .long f-., abs
"""
SECOND = """
    .globl outside, abs
outside: blr
    .set abs, 0x12348000 - 0x12000000
"""


def segments_of(linked: bytes) -> dict[int, bytes]:
    elf = ELFFile(io.BytesIO(linked))
    return {s["sh_addr"]: s.data() for s in elf.iter_sections() if s["sh_flags"] & 2 and s["sh_size"]}


def symbols_of(linked: bytes) -> dict[str, int]:
    table = ELFFile(io.BytesIO(linked)).get_section_by_name(".symtab")
    return {symbol.name: symbol["st_value"] for symbol in table.iter_symbols()}


@gnu.needs_gnu
@pytest.mark.parametrize("ours", [True, False], ids=["our-object", "gas-object"])
def test_linked_bytes_are_those_of_gnu_ld(ours: bool, tmp_path: Path) -> None:
    unit = assemble(FIRST, name="first.s")
    first, second = tmp_path / "first.o", tmp_path / "second.o"
    second.write_bytes(gnu.gas(SECOND, tmp_path))
    first.write_bytes(write_object(unit) if ours else gnu.gas(FIRST, tmp_path))
    linked = gnu.link_text(tmp_path, [first, second], "-Ttext=0x10000", "-Tdata=0x20000", "--no-toc-optimize")
    symbols = symbols_of(linked)
    image = link(
        unit,
        addresses={".text": 0x10000, ".data": 0x20000},
        externals={"outside": symbols["outside"], "abs": symbols["abs"]},
        toc=symbols.get(".TOC.", 0x28000),
    )
    theirs = segments_of(linked)
    for address, data in image.segments:
        place = next(start for start, body in theirs.items() if start <= address < start + len(body))
        body = theirs[place][address - place :][: len(data)]
        assert body.hex(" ", 4) == data.hex(" ", 4)


@gnu.needs_gnu
def test_a_second_object_calls_into_ours(tmp_path: Path) -> None:
    ours = tmp_path / "ours.o"
    ours.write_bytes(write_object(assemble(".globl g\n.type g,@function\ng: li 3,7\nblr\n.size g,.-g", name="g.s")))
    caller = tmp_path / "caller.o"
    caller.write_bytes(gnu.gas(".globl _start\n_start: bl g\nnop\n", tmp_path))
    text = segments_of(gnu.link_text(tmp_path, [caller, ours], "-Ttext=0x10000"))[0x10000]
    assert text.hex(" ", 4) == "09000048 00000060 07006038 2000804e"


def test_image_knows_its_lines_and_ranges() -> None:
    image = link(assemble("nop\n\nfoo: li 3,1\n.long 5\n", name="x.s"), addresses={".text": 0xC000000000000000})
    assert image.symbols == {"foo": 0xC000000000000004}
    assert image.text_range == (0xC000000000000000, 0xC00000000000000C)
    line = image.line_at(0xC000000000000006)
    assert line is not None
    assert (line.text, line.place) == ("li 3,1", Place("x.s", 3))
    assert image.line_at(0xC000000000000008) is None
    assert image.line_at(0) is None


def test_sections_without_an_address_follow_aligned() -> None:
    unit = assemble('nop\n.data\n.align 3\nd: .quad d\n.section .gone,""\n.long 1', name="x.s")
    image = link(unit, addresses={".text": 0x1000})
    assert image.segments == [(0x1000, b"\0\0\0\x60"), (0x1008, (0x1008).to_bytes(8, "little"))]


@pytest.mark.parametrize(
    ("text", "externals", "words"),
    [
        ("nop\nbl far", {"far": 0x10000000}, "does not fit in 26 bits"),
        ("nop\nbeq far", {"far": 0x20000}, "does not fit in 16 bits"),
        ("nop\nbl far", {"far": 0x1002}, "not a multiple of 4"),
        ("nop\nbl far", {}, "undefined symbol 'far'"),
        ("nop\nld 3,far@toc(2)", {"far": 0x20000}, "does not fit in 16 bits"),
        ("nop\nld 3,far@toc@l(2)", {"far": 0x8001}, "not a multiple of 4"),
        ("nop\naddis 3,2,far@toc@ha", {"far": 0x8000_0000_0000}, "does not fit in 32 bits"),
        ("nop\nlis 3,far@h", {"far": 1 << 40}, "does not fit in 32 bits"),
        ("nop\n.long far", {"far": 1 << 33}, "does not fit in 32 bits"),
        ("nop\nld 3,far@got(2)", {"far": 0x1000}, "only a linker builds"),
    ],
)
def test_link_refuses_with_the_line(text: str, externals: dict[str, int], words: str) -> None:
    with pytest.raises(LpgenError, match=words) as caught:
        link(assemble(text, name="x.s"), addresses={".text": 0x1000}, externals=externals, toc=0x8000)
    assert caught.value.place == Place("x.s", 2)


@pytest.mark.parametrize(
    ("addresses", "words"),
    [
        ({".text": 0x1002}, "not a multiple of 4"),
        ({".text": 0x1000, ".data": 0x1000}, "overlap"),
        ({".text": 0x1000, ".rodata": 0}, "no section .rodata"),
        ({".text": 1 << 64}, "outside 64 bits"),
    ],
)
def test_link_refuses_addresses(addresses: dict[str, int], words: str) -> None:
    with pytest.raises(LpgenError, match=words):
        link(assemble("nop\n.data\n.byte 1", name="x.s"), addresses=addresses)


def test_an_undefined_weak_symbol_is_zero() -> None:
    image = link(assemble(".weak w\n.data\n.quad w", name="x.s"), addresses={".text": 0, ".data": 0x1000})
    assert image.segments == [(0x1000, bytes(8))]


def test_flat_resolves_what_holds_anywhere() -> None:
    data, left = flat(assemble(".globl g\nbl g\nbl far\ng: blr", name="x.s"))
    assert data.hex(" ", 4) == "09000048 01000048 2000804e"
    assert [(r.symbol, r.offset) for r in left] == [("far", 4)]
