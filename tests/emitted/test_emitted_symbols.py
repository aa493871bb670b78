"""The symbols that the text defines and the ones that it leaves to the kernel are those of the contract, by hand."""

from __future__ import annotations

from collections.abc import Set

import emitted_build as build
import emitted_contract as contract
import pytest

from lpgen.assembly import Unit


def assert_symbols(what: build.Emitted, unit: Unit) -> None:
    generation, version, config = what.kernel.generation, what.kernel.version, {**what.kernel.options}
    assert generation == build.GENERATIONS[version]
    functions = contract.functions(generation, version, config)
    labels = contract.labels(generation, config)
    data = contract.data(version, config)
    symbols = unit.symbols.values()
    undefined = {symbol.name for symbol in symbols if symbol.section is None}
    assert_same_names("left to the kernel", undefined, contract.undefined(generation, version, config))
    given = {s.name: s for s in symbols if s.binding == "global" and s.section not in (None, "*ABS*")}
    assert_same_names("defined", given.keys(), functions | labels | data.keys())
    for name, symbol in given.items():
        # No local entry: LR of a call from C code and a branch that ftrace patches arrive at the same place.
        assert symbol.other == 0, name
        if name in data:
            section, kind, size, align = data[name]
            if size is None:
                size = what.kernel.numbers[build.STUB_COUNT] * what.kernel.offsets["FTRACE_OOL_STUB_SIZE"]
            assert (symbol.section, symbol.type) == (section, kind), name
            assert room(unit, name) == size, name
            # A tramp area has a section of its own: its size is the section's.
            assert symbol.size == (0 if section.startswith(".tramp") else size), name
            assert (symbol.value % align, unit.sections[section].align % align) == (0, 0), name
        else:
            assert (symbol.section, symbol.type) == (".text", "func" if name in functions else "notype"), name
            assert symbol.value % 4 == 0, name
    # Inner labels are local, and only those: another global would be another name in the kernel.
    assert {symbol.binding for symbol in symbols if symbol.name not in given and symbol.section} <= {"local"}


def assert_same_names(what: str, ours: Set[str], wanted: Set[str]) -> None:
    assert ours == wanted, f"{what}: too many: {sorted(ours - wanted)}, missing: {sorted(wanted - ours)}"


def room(unit: Unit, name: str) -> int:
    """Bytes from a symbol to the next one in its section, or to the section's end."""
    symbol = unit.symbols[name]
    assert symbol.section is not None
    behind = [other.value for other in unit.symbols.values() if other.section == symbol.section]
    section = unit.sections[symbol.section]
    ends = [value for value in behind if value > symbol.value]
    return min(ends, default=section.size) - symbol.value


def assert_sections(what: build.Emitted, unit: Unit) -> None:
    livepatch = contract.has_livepatch(what.kernel.generation, what.kernel.options)
    data = contract.data(what.kernel.version, what.kernel.options)
    wanted = {".text": "ax"}
    if livepatch:
        wanted |= {".rodata": "a", "__bug_table": "aw"}
    wanted |= {section: "a" if section == ".rodata" else "aw" for section, *_ in data.values() if section != ".text"}
    found = {name: section for name, section in unit.sections.items() if section.size}
    assert {name: "".join(sorted(section.flags)) for name, section in found.items()} == wanted
    assert {section.kind for section in found.values()} == {"progbits"}
    for name in data.keys() & contract.TRAMPS.keys():
        section = unit.sections[data[name][0]]
        assert (section.size, section.data) == (32, bytes(32)), section.name
    if "ftrace_ool_stub_text" in data:
        count, size = what.kernel.numbers[build.STUB_COUNT], what.kernel.offsets["FTRACE_OOL_STUB_SIZE"]
        assert unit.sections[".text"].data.endswith(bytes(count * size))
        at = unit.symbols["ftrace_ool_stub_text_count"].value
        assert unit.sections[".rodata"].data[at : at + 4] == count.to_bytes(4, "little")


@build.every_kernel
def test_the_symbols_and_sections_are_those_of_the_contract(version: str) -> None:
    """In the style that assembles fast; that the other one has the same is test_emitted_same_code's to say."""
    for what in (build.emitted(version, build.default(version)), *build.every_text(version, "standalone")):
        with build.named(what):
            unit = what.unit()
            assert_symbols(what, unit)
            assert_sections(what, unit)


@build.every_kernel
def test_the_kernels_own_table_of_symbols_agrees(version: str) -> None:
    kinds = {"func": "function", "notype": "label", "object": "data"}
    for what in build.every_text(version, "kernel"):
        with build.named(what):
            generation, config = what.kernel.generation, what.kernel.options
            expected = dict.fromkeys(contract.functions(generation, version, config), "function")
            expected |= dict.fromkeys(contract.labels(generation, config), "label")
            for name, (_, kind, *_) in contract.data(version, config).items():
                expected[name] = "area" if kind == "notype" else kinds[kind]
            assert {symbol.name: symbol.kind for symbol in what.kernel.symbols} == expected


def test_every_generation_of_the_contract_is_there() -> None:
    assert list(dict.fromkeys(build.GENERATIONS.values())) == [f"G{n}" for n in range(1, 11)]
    # Section 6: where layouts, files and features begin; the last row of LTS kernels.
    assert set(build.VERSIONS) >= {"4.7", "4.12", "4.13", "4.18", "4.20", "5.1", "5.11", "5.18", "5.19", "6.2", "6.5"}
    assert set(build.VERSIONS) >= {"6.6", "6.8", "6.13", "6.18"}
    assert set(build.VERSIONS) >= {"4.14.334", "4.19.303", "5.4.265", "5.10.205", "6.1.45"}


@pytest.mark.parametrize(
    ("line", "instead"),
    [
        ("\t.globl\tftrace_call\n", ""),
        ("_GLOBAL(ftrace_stub)\n", "ftrace_stub:\n"),
        ("_GLOBAL(ftrace_stub)\n", "_GLOBAL(ftrace_stubs)\n"),
        ("\tbl\tftrace_return_to_handler\n", "\tbl\tftrace_return_to_handle\n"),
        ("ftrace_tramp_init:\n\t.space\t32\n", "ftrace_tramp_init:\n\t.space\t36\n"),
        ('".tramp.ftrace.init", "aw"', '".tramp.ftrace.init", "ax"'),
        ("\t.align\t3\n\t.globl\tftrace_ool_stub_text\n", "\tnop\n\t.globl\tftrace_ool_stub_text\n"),
        (" * FTRACE_OOL_STUB_SIZE\n", " * 16\n"),
        ("\t.long\tCONFIG_PPC_FTRACE_OUT_OF_LINE_NUM_RESERVE\n", "\t.long\t1\n"),
        ("\t.type\tftrace_ool_stub_text_count, @object\n", ""),
    ],
)
def test_a_wrong_symbol_or_section_would_be_seen(line: str, instead: str) -> None:
    from lpgen.assembly.kernel_text import assemble_source
    from lpgen.source.render import Rendered

    config = build.default(build.NEWEST) | {contract.CALL_OPS: False, contract.DIRECT_CALLS: False}
    what = build.emitted(build.NEWEST, config)
    assert_symbols(what, what.unit())
    assert_sections(what, what.unit())
    assert line in what.text
    changed = Rendered(what.text.replace(line, instead), what.rendered.origins)
    unit = assemble_source(what.kernel, changed, name=what.file_name, isolated=False)
    with pytest.raises(AssertionError):  # noqa: PT012
        assert_symbols(what, unit)
        assert_sections(what, unit)
