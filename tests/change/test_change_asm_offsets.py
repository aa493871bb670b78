"""asm-offsets.c the kernel's own way: compiled, and its -> lines are the header that lpgen writes."""

from __future__ import annotations

from pathlib import Path

import pytest
from change_tools import compile_c, constants, write_change

from lpgen.kernel.generations import defined_offsets, kernel

ALL = ("-S", "-DLPGEN_ALL_ENTRIES", "-DCONFIG_BUG")


@pytest.mark.parametrize("version", ["4.7", "4.11"])
@pytest.mark.parametrize("livepatch", [True, False])
def test_the_compiler_finds_the_same_constants(version: str, livepatch: bool, tmp_path: Path) -> None:
    made = kernel(version, config={"CONFIG_LIVEPATCH": livepatch})
    files = write_change(made, tmp_path)
    option = ["-DCONFIG_LIVEPATCH"] if livepatch else []
    assembly = compile_c("asm-offsets-main.c", tmp_path, *ALL, *option, out="asm-offsets.s").read_text()
    found = constants(assembly)
    lines = {f"#define {name} {value} /* {expression} */" for name, value, expression in found}
    assert len(lines) == len(found)
    assert lines == {
        line for line in files["asm-offsets.h"].split("\n") if line.startswith("#define ") and "/*" in line
    }
    assert {name: value for name, value, _ in found} == dict(defined_offsets(made))


@pytest.mark.parametrize(("option", "names"), [("-DCONFIG_LIVEPATCH", ["TI_livepatch_sp"]), ("-DCONFIG_BUG", [])])
def test_included_as_it_is_it_adds_only_what_is_new(option: str, names: list[str], tmp_path: Path) -> None:
    write_change(kernel(), tmp_path)
    assembly = compile_c("asm-offsets-main.c", tmp_path, "-S", option, out="asm-offsets.s").read_text()
    assert [name for name, _, _ in constants(assembly)] == names


def test_another_structure_gives_another_value(tmp_path: Path) -> None:
    """The check can fail: a field in front of livepatch_sp, and the compiler disagrees with lpgen's header."""
    write_change(kernel(), tmp_path)
    options = ("-DCONFIG_LIVEPATCH", "-Dlocal_flags=local_flags, another")
    assembly = compile_c("asm-offsets-main.c", tmp_path, *ALL, *options, out="asm-offsets.s").read_text()
    found = {name: value for name, value, _ in constants(assembly)}
    assert found["TI_livepatch_sp"] == 32 != kernel().offsets["TI_livepatch_sp"]
