"""GNU as and lpgen make the same of the emitted text: instruction by instruction, as object and linked."""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Mapping
from pathlib import Path

import emitted_build as build
import pytest

from lpgen.assembly import Unit, link, write_object
from lpgen.assembly.linker import flat
from lpgen.errors import LpgenError
from lpgen.source.emit import STYLES

Config = Mapping[str, bool]

TEXT, RODATA, BUG_TABLE = 0xC000000000010000, 0xC000000000030000, 0xC000000000031000
TOC = 0xC000000001008000
# Further from the TOC pointer than 16 bits reach, its low half above 0x8000: @ha has to carry.
EXTERNALS = {"function_trace_op": TOC + 0x1A8F8, "prepare_ftrace_return": 0xC000000000045674}
ADDRESSES = {".text": TEXT, ".rodata": RODATA, "__bug_table": BUG_TABLE}


def linked_by_lpgen(unit: Unit) -> dict[str, bytes]:
    """Bytes by section, as lpgen.assembly.link places them."""
    wanted = {name: address for name, address in ADDRESSES.items() if name in unit.sections}
    undefined = {symbol.name for symbol in unit.symbols.values() if symbol.section is None}
    externals = {name: address for name, address in EXTERNALS.items() if name in undefined}
    image = link(unit, addresses=wanted, externals=externals, toc=TOC)
    at = {address: name for name, address in image.addresses.items()}
    return {at[address]: data for address, data in image.segments}


def assert_same_linked(unit: Unit, theirs: build.Binary) -> None:
    ours = linked_by_lpgen(unit)
    assert sorted(ours) == sorted(theirs.sections)
    for name in (".text", *sorted(ours.keys() - {".text"})):
        assert theirs.addresses[name] == ADDRESSES[name]
        difference = build.first_difference(unit, name, ours[name], theirs.sections[name])
        assert difference is None, difference


@build.needs_gnu
@build.every_style
@build.every_config
def test_the_object_is_what_gnu_as_makes(config: Config, style: str, tmp_path: Path) -> None:
    what = build.emitted(config, style)
    unit = what.unit()
    theirs = build.read(build.compile_gnu(what, tmp_path).read_bytes())
    build.assert_same_object(unit, build.read(write_object(unit)), theirs)
    # The unit itself says the same as the object written from it.
    difference = build.first_relocation_difference(unit, build.relocations_of(unit), theirs.relocations)
    assert difference is None, difference


@build.needs_gnu
@build.every_style
@build.every_config
def test_linked_at_the_same_addresses_it_is_what_gnu_ld_makes(config: Config, style: str, tmp_path: Path) -> None:
    what = build.emitted(config, style)
    unit = what.unit()
    (tmp_path / "lpgen.o").write_bytes(write_object(unit))
    for name in (build.compile_gnu(what, tmp_path), tmp_path / "lpgen.o"):
        assert_same_linked(unit, build.link_gnu(tmp_path, name, addresses=ADDRESSES, externals=EXTERNALS, toc=TOC))


@build.needs_gnu
@build.every_style
@build.every_config
def test_hex_and_bin_are_the_linked_code_but_for_what_is_named(config: Config, style: str, tmp_path: Path) -> None:
    """`lpgen assemble --format bin` resolves what holds at any address, and names the rest, which stays zero."""
    what = build.emitted(config, style)
    unit = what.unit()
    linked = build.link_gnu(
        tmp_path, build.compile_gnu(what, tmp_path), addresses=ADDRESSES, externals=EXTERNALS, toc=TOC
    )
    data, left = flat(unit)
    assert {entry.symbol for entry in left} == {s.name for s in unit.symbols.values() if s.section is None}
    theirs = bytearray(linked.sections[".text"])
    for entry in left:
        # A branch's 26 bits, or the 16 of a @toc@ha and @toc@l, of which ld's lowest two belong to the opcode.
        field = 0x03FFFFFC if entry.type == "R_PPC64_REL24" else 0xFFFC if entry.type.endswith("_DS") else 0xFFFF
        at = entry.offset & ~3
        word = int.from_bytes(theirs[at : at + 4], "little") & ~field
        theirs[at : at + 4] = word.to_bytes(4, "little")
    difference = build.first_difference(unit, ".text", data, bytes(theirs))
    assert difference is None, difference


@build.needs_gnu
@build.every_config
def test_both_styles_are_the_same_code(config: Config, tmp_path: Path) -> None:
    objects, units = {}, {}
    for style in STYLES:
        what = build.emitted(config, style)
        (tmp_path / style).mkdir()
        units[style] = what.unit()
        objects[style] = build.read(build.compile_gnu(what, tmp_path / style).read_bytes())
    kernel, standalone = objects["kernel"], objects["standalone"]
    difference = build.first_difference(
        units["kernel"], ".text", kernel.sections[".text"], standalone.sections[".text"]
    )
    assert difference is None, difference
    assert kernel.relocations == standalone.relocations
    assert kernel.sections.get(".rodata") == standalone.sections.get(".rodata")
    # What the kernel style has as macros the standalone style has as absolute symbols of its own.
    assert {name: symbol for name, symbol in standalone.symbols.items() if symbol[0] != "*ABS*"} == kernel.symbols
    assert {symbol[2] for symbol in standalone.symbols.values() if symbol[0] == "*ABS*"} == {"local"}


@build.needs_gnu
@build.every_style
@build.every_config
def test_the_bug_table_names_the_trap(config: Config, style: str, tmp_path: Path) -> None:
    """Address of the trap, the file's name, line (the kernel style knows it), flags; nothing without livepatch."""
    what = build.emitted(config, style)
    linked = build.link_gnu(
        tmp_path, build.compile_gnu(what, tmp_path), addresses=ADDRESSES, externals=EXTERNALS, toc=TOC
    )
    if not config["CONFIG_LIVEPATCH"]:
        assert set(linked.sections) == {".text"}
        return
    table = linked.sections["__bug_table"]
    address, name, line, flags = struct.unpack_from("<QQHH", table)
    assert len(table) == what.kernel.offsets["BUG_ENTRY_SIZE"] == 24
    words = struct.unpack(f"<{len(linked.sections['.text']) // 4}I", linked.sections[".text"])
    traps = [TEXT + 4 * n for n, word in enumerate(words) if (word >> 26, word >> 1 & 0x3FF) == (31, 68)]  # td
    assert traps == [address]
    at = name - RODATA
    assert linked.sections[".rodata"][at:].split(b"\0")[0] == b"entry_64.S"
    emit_lines = [n for n, text in enumerate(what.text.splitlines(), 1) if text.strip().startswith("EMIT_BUG_ENTRY 1b")]
    assert (line, flags) == ((emit_lines[0] if style == "kernel" else 0), 0)


@build.needs_gnu
@build.every_real_header
@build.every_style
@build.every_config
def test_with_a_real_builds_offsets(config: Config, style: str, header: Path, tmp_path: Path) -> None:
    """The kernel style is compiled with the real header itself, so it can only use what is really in there."""
    what = build.emitted(config, style, real_header=header)
    unit = what.unit()
    object_file = build.compile_gnu(what, tmp_path)
    build.assert_same_object(unit, build.read(write_object(unit)), build.read(object_file.read_bytes()))
    linked = build.link_gnu(tmp_path, object_file, addresses=ADDRESSES, externals=EXTERNALS, toc=TOC)
    assert_same_linked(unit, linked)
    if config["CONFIG_LIVEPATCH"]:
        # 12 bytes: distances, each from where it stands.
        trap, name, _, flags = struct.unpack("<iiHH", linked.sections["__bug_table"])
        assert TEXT < BUG_TABLE + trap < TEXT + len(linked.sections[".text"])
        assert linked.sections[".rodata"][BUG_TABLE + 4 + name - RODATA :].startswith(b"entry_64.S\0")
        assert flags == 0


@build.needs_gnu
@build.every_config
def test_the_standalone_text_needs_no_preprocessor(config: Config, tmp_path: Path) -> None:
    what = build.emitted(config, "standalone")
    expected = build.read(build.compile_gnu(what, tmp_path).read_bytes())
    (tmp_path / "entry.s").write_text(what.text)
    build.run("as", "--fatal-warnings", "-o", "plain.o", "entry.s", cwd=tmp_path)
    plain = build.read((tmp_path / "plain.o").read_bytes())
    assert plain.sections == expected.sections
    assert plain.relocations == expected.relocations
    assert plain.symbols == expected.symbols


# That the comparison sees what it is for.


@build.needs_gnu
def test_one_different_bit_is_reported(tmp_path: Path) -> None:
    what = build.emitted(build.CONFIGS[0], "kernel")
    unit = what.unit()
    theirs = build.read(build.compile_gnu(what, tmp_path).read_bytes())
    text = unit.sections[".text"]
    for line in text.lines:
        for bit in (0, 31):
            changed = bytearray(text.data)
            changed[line.offset + bit // 8] ^= 1 << bit % 8
            said = build.first_difference(unit, ".text", bytes(changed), theirs.sections[".text"])
            assert said is not None
            assert said.startswith(f".text+{line.offset:#x}: lpgen ")
            assert f"`{line.text}` at entry_64.S:{line.place.line} (from " in said


@build.needs_gnu
def test_one_different_instruction_in_the_text_is_reported(tmp_path: Path) -> None:
    """bne+ for bne-: GNU gets another text, which differs in one bit of one word."""
    what = build.emitted(build.CONFIGS[0], "kernel")
    unit = what.unit()
    changed = what.text.replace("bne-\tlivepatch_handler", "bne+\tlivepatch_handler")
    assert changed != what.text
    theirs = build.read(build.compile_gnu(what, tmp_path, text=changed).read_bytes())
    with pytest.raises(AssertionError, match=r"lpgen 40c20000, GNU 40e20000: `bne- livepatch_handler` at entry_64\.S:"):
        build.assert_same_object(unit, build.read(write_object(unit)), theirs)
    build.link_gnu(tmp_path, tmp_path / "gnu.o", addresses=ADDRESSES, externals=EXTERNALS, toc=TOC)


def test_a_missing_instruction_is_reported() -> None:
    unit = build.emitted(build.CONFIGS[0], "kernel").unit()
    data = unit.sections[".text"].data
    assert build.first_difference(unit, ".text", data, data) is None
    assert "GNU ends" in str(build.first_difference(unit, ".text", data, data[:-4]))
    assert "lpgen ends" in str(build.first_difference(unit, ".text", data[:-4], data))


@pytest.mark.parametrize(
    "change",
    [{"offset": 4}, {"type": "R_PPC64_ADDR24"}, {"target": "elsewhere"}, {"addend": 8}, {"section": "other"}],
    ids=lambda change: next(iter(change)),
)
def test_a_different_relocation_is_reported(change: dict[str, str | int]) -> None:
    unit = build.emitted(build.CONFIGS[0], "kernel").unit()
    ours = build.relocations_of(unit)
    assert build.first_relocation_difference(unit, ours, ours) is None
    for n, entry in enumerate(ours):
        theirs = [*ours[:n], dataclasses.replace(entry, **change), *ours[n + 1 :]]  # type: ignore[arg-type]
        said = build.first_relocation_difference(unit, ours, theirs)
        assert said is not None
        assert f"lpgen {entry}" in said
    assert build.first_relocation_difference(unit, ours, ours[:-1]) is not None
    assert build.first_relocation_difference(unit, ours[:-1], ours) is not None


def test_a_call_out_of_reach_is_refused() -> None:
    """The linked comparison rests on addresses that a bl reaches: GNU ld would make a stub, lpgen refuses."""
    unit = build.emitted(build.CONFIGS[0], "kernel").unit()
    far = EXTERNALS | {"prepare_ftrace_return": TEXT + 0x4000000}
    with pytest.raises(LpgenError, match="does not fit in 26 bits"):
        link(unit, addresses=ADDRESSES, externals=far, toc=TOC)
