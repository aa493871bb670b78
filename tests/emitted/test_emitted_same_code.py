"""GNU as and lpgen make the same of the emitted text: instruction by instruction, as object and linked.

For every kernel, every configuration, both styles; one test a kernel, so that GNU's tools run once for each text.
"""

from __future__ import annotations

import dataclasses
import struct
from pathlib import Path

import emitted_build as build
import emitted_contract as contract
import pytest

from lpgen.assembly import Unit, link, write_object
from lpgen.assembly.linker import flat
from lpgen.errors import LpgenError
from lpgen.source.emit import STYLES

TEXT, RODATA, BUG_TABLE = 0xC000000000010000, 0xC000000000200000, 0xC000000000201000
TOC = 0xC000000001008000
# Further from the TOC pointer than 16 bits reach, its low half above 0x8000: @ha has to carry.
EXTERNALS = {
    "function_trace_op": TOC + 0x1A8F8,
    "prepare_ftrace_return": 0xC000000000345674,
    "is_current_kprobe_addr": 0xC000000000356784,
    "ftrace_return_to_handler": 0xC000000000367894,
}
ADDRESSES = {
    ".text": TEXT,
    ".rodata": RODATA,
    "__bug_table": BUG_TABLE,
    ".tramp.ftrace.text": 0xC000000000202000,
    ".tramp.ftrace.init": 0xC000000000203000,
}


def linked_by_lpgen(unit: Unit) -> dict[str, bytes]:
    """Bytes by section, as lpgen.assembly.link places them."""
    wanted = {name: address for name, address in ADDRESSES.items() if name in unit.sections}
    undefined = {symbol.name for symbol in unit.symbols.values() if symbol.section is None}
    externals = {name: address for name, address in EXTERNALS.items() if name in undefined}
    image = link(unit, addresses=wanted, externals=externals, toc=TOC)
    at = {address: name for name, address in image.addresses.items()}
    return {at[address]: data for address, data in image.segments}


def link_gnu(directory: Path, object_file: Path) -> build.Binary:
    return build.link_gnu(directory, object_file, addresses=ADDRESSES, externals=EXTERNALS, toc=TOC)


def assert_same_linked(unit: Unit, theirs: build.Binary) -> None:
    ours = linked_by_lpgen(unit)
    assert sorted(ours) == sorted(theirs.sections)
    for name in (".text", *sorted(ours.keys() - {".text"})):
        assert theirs.addresses[name] == ADDRESSES[name]
        difference = build.first_difference(unit, name, ours[name], theirs.sections[name])
        assert difference is None, difference


def assert_same_flat(unit: Unit, linked: build.Binary) -> None:
    """`lpgen assemble --format bin` resolves what holds at any address, and names the rest, which stays zero."""
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


def assert_bug_table(what: build.Emitted, linked: build.Binary) -> None:
    """Address of the trap, the file's name, line (the kernel style knows it), flags; nothing without livepatch."""
    if not contract.has_livepatch(what.kernel.generation, what.kernel.options):
        assert "__bug_table" not in linked.sections
        return
    table, rodata = linked.sections["__bug_table"], linked.sections[".rodata"]
    assert len(table) == what.kernel.offsets["BUG_ENTRY_SIZE"] in (12, 24)
    if len(table) == 24:
        trap, name, line, flags = struct.unpack("<QQHH4x", table)
    else:
        # Distances, each from where it stands.
        trap, name, line, flags = struct.unpack("<iiHH", table)
        trap, name = BUG_TABLE + trap, BUG_TABLE + 4 + name
    code = linked.sections[".text"]
    words = struct.unpack(f"<{len(code) // 4}I", code)
    assert [TEXT + 4 * n for n, word in enumerate(words) if (word >> 26, word >> 1 & 0x3FF) == (31, 68)] == [trap]  # td
    assert rodata[name - RODATA :].split(b"\0")[0] == what.file_name.encode()
    emit_lines = [n for n, text in enumerate(what.text.splitlines(), 1) if text.strip().startswith("EMIT_BUG_ENTRY 1b")]
    assert (line, flags) == ((emit_lines[0] if what.style == "kernel" else 0), 0)


def assert_same_code(kernel: build.Binary, standalone: build.Binary, unit: Unit) -> None:
    """Both styles. What the kernel style has as macros the standalone style has as absolute symbols of its own."""
    difference = build.first_difference(unit, ".text", kernel.sections[".text"], standalone.sections[".text"])
    assert difference is None, f"(the GNU objects of both styles, not lpgen) {difference}"
    assert kernel.kinds == standalone.kinds
    assert kernel.relocations == standalone.relocations
    assert kernel.sections.get(".rodata") == standalone.sections.get(".rodata")
    assert {name: symbol for name, symbol in standalone.symbols.items() if symbol[0] != "*ABS*"} == kernel.symbols
    assert {symbol[2] for symbol in standalone.symbols.values() if symbol[0] == "*ABS*"} == {"local"}


def assert_needs_no_preprocessor(what: build.Emitted, expected: build.Binary, directory: Path) -> None:
    (directory / "entry.s").write_text(what.text)
    build.run("as", "--fatal-warnings", "-o", "plain.o", "entry.s", cwd=directory)
    assert build.read((directory / "plain.o").read_bytes()) == expected, "as makes another object of it than gcc -c"


def assert_rests_on_no_section(what: build.Emitted, expected: build.Binary, directory: Path) -> None:
    """_GLOBAL as in late kernels, which names no section, makes the same object of the kernel style."""
    late = build.read(build.compile_gnu(what, directory, macros=[build.PLAIN_GLOBAL]).read_bytes())
    assert late == expected, "another object with a _GLOBAL that names no section"
    assert late.exports == contract.exports(what.kernel.version, what.kernel.options)


def compared(what: build.Emitted, directory: Path) -> tuple[Unit, build.Binary]:
    """Compare all that lpgen makes of one text with what GNU's tools make of it; return both."""
    unit = what.unit()
    object_file = build.compile_gnu(what, directory)
    theirs = build.read(object_file.read_bytes())
    build.assert_same_object(unit, build.read(write_object(unit)), theirs)
    # The unit itself says the same as the object written from it.
    difference = build.first_relocation_difference(unit, build.relocations_of(unit), theirs.relocations)
    assert difference is None, difference
    linked = link_gnu(directory, object_file)
    assert_same_linked(unit, linked)
    assert_same_flat(unit, linked)
    assert_bug_table(what, linked)
    return unit, theirs


def compared_in_both_styles(version: str, config: contract.Config, directory: Path, header: Path | None = None) -> None:
    units, objects = {}, {}
    for style in STYLES:
        what = build.emitted(version, config, style, real_header=header)
        with build.named(what):
            units[style], objects[style] = compared(what, directory)
            if style == "kernel":
                assert_rests_on_no_section(what, objects[style], directory)
            else:
                assert_needs_no_preprocessor(what, objects[style], directory)
                assert_same_code(objects["kernel"], objects["standalone"], units["kernel"])


@build.needs_gnu
@build.every_kernel
def test_gnu_as_and_ld_make_the_same(version: str, tmp_path: Path) -> None:
    for config in build.configs(version):
        compared_in_both_styles(version, config, tmp_path)


@build.needs_gnu
def test_with_room_for_as_many_stubs_as_a_kernel_has(tmp_path: Path) -> None:
    config = build.default(build.NEWEST) | {build.STUB_COUNT: 32768}
    assert len(build.emitted(build.NEWEST, config).unit().sections[".text"].data) > 32768 * 24
    compared_in_both_styles(build.NEWEST, config, tmp_path)


@build.needs_gnu
@build.every_real_header
def test_with_a_real_builds_offsets(header: Path, tmp_path: Path) -> None:
    """The kernel style is compiled with the real header itself, so it can only use what is really in there."""
    for config in build.configs(build.real_version(header)):
        compared_in_both_styles(build.real_version(header), config, tmp_path, header)


@build.needs_gnu
def test_a_linked_object_of_lpgens_is_the_same(tmp_path: Path) -> None:
    """GNU ld takes the object that lpgen writes for what it is."""
    for version in ("4.7", build.NEWEST):
        for what in (build.emitted(version, build.default(version), style) for style in STYLES):
            with build.named(what):
                unit = what.unit()
                (tmp_path / "lpgen.o").write_bytes(write_object(unit))
                assert_same_linked(unit, link_gnu(tmp_path, tmp_path / "lpgen.o"))


# That the comparison sees what it is for.


@build.needs_gnu
def test_one_different_bit_is_reported(tmp_path: Path) -> None:
    what = build.emitted("4.7", build.default("4.7"))
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


def test_a_failure_names_kernel_style_and_configuration() -> None:
    what = build.emitted("5.10.205", build.default("5.10.205") | {"CONFIG_LIVEPATCH": False}, "standalone")
    for error in (AssertionError("it"), LpgenError("it")):
        with pytest.raises(AssertionError) as caught, build.named(what):
            raise error
        said = "G5 --kernel 5.10.205 --style standalone CONFIG_LIVEPATCH=n CONFIG_FUNCTION_GRAPH_TRACER=y: it"
        assert str(caught.value).startswith(said)


@build.needs_gnu
def test_one_different_instruction_in_the_text_is_reported(tmp_path: Path) -> None:
    """bne+ for bne-: GNU gets another text, which differs in one bit of one word."""
    what = build.emitted("4.7", build.default("4.7"))
    unit = what.unit()
    changed = what.text.replace("bne-\tlivepatch_handler", "bne+\tlivepatch_handler")
    assert changed != what.text
    theirs = build.read(build.compile_gnu(what, tmp_path, text=changed).read_bytes())
    with pytest.raises(AssertionError, match=r"lpgen 40c20000, GNU 40e20000: `bne- livepatch_handler` at entry_64\.S:"):
        build.assert_same_object(unit, build.read(write_object(unit)), theirs)


def test_a_missing_instruction_is_reported() -> None:
    unit = build.emitted("4.7", build.default("4.7")).unit()
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
    unit = build.emitted("4.7", build.default("4.7")).unit()
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
    unit = build.emitted("4.7", build.default("4.7")).unit()
    far = EXTERNALS | {"prepare_ftrace_return": TEXT + 0x4000000}
    with pytest.raises(LpgenError, match="does not fit in 26 bits"):
        link(unit, addresses={".text": TEXT}, externals=far, toc=TOC)
