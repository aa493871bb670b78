"""asm-offsets.c the kernel's own way: compiled, and its -> lines are the header that lpgen writes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from change_tools import GENERATIONS, compile_c, constants, write_change

from lpgen.kernel.generations import Kernel, defined_offsets, kernel

NEWEST = list(GENERATIONS)[-1]
ALL = ("-S", "-DLPGEN_ALL_ENTRIES", "-DCONFIG_BUG")
# Contract sections 5 and 6: from when on the stub headers are other ones.
LAYOUTS = {"L1": 1, "L2": 2, "L3": 3, "L4": 4}


def tree(made: Kernel) -> list[str]:
    """The macros that make the stub headers those of a kernel in its configuration."""
    version = tuple(int(number) for number in made.version.split(".")[:2])
    macros = [f"STUB_LAYOUT={LAYOUTS[made.layout]}", *(name for name, on in made.options.items() if on)]
    if version >= (5, 1):
        macros.append("STUB_THREAD_INFO_IN_TASK")
    if version >= (6, 1):
        macros.append("STUB_RELATIVE_BUG")
    return [f"-D{macro}" for macro in macros]


@pytest.mark.parametrize("on", [True, False], ids=["all on", "all off"])
@pytest.mark.parametrize("version", [*GENERATIONS, "4.11"])
def test_the_compiler_finds_the_same_constants(version: str, on: bool, tmp_path: Path) -> None:
    made = kernel(version, config=dict.fromkeys(kernel(version).options, on))
    files = write_change(made, tmp_path)
    assembly = compile_c("asm-offsets-main.c", tmp_path, *ALL, *tree(made), out="asm-offsets.s").read_text()
    found = constants(assembly)
    lines = {f"#define {name} {value} /* {expression} */" for name, value, expression in found}
    assert len(lines) == len(found)
    assert lines == {
        line for line in files["asm-offsets.h"].split("\n") if line.startswith("#define ") and "/*" in line
    }
    assert {name: value for name, value, _ in found} == dict(defined_offsets(made))


# Names that a kernel has with an option only: the option of early and of late kernels.
OPTIONS = {
    "TI_livepatch_sp": {"CONFIG_LIVEPATCH", "CONFIG_LIVEPATCH_64"},
    "BUG_ENTRY_SIZE": {"CONFIG_BUG"},
    "FTRACE_OPS_FUNC": {"CONFIG_DYNAMIC_FTRACE_WITH_CALL_OPS"},
    "FTRACE_OPS_DIRECT_CALL": {"CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS"},
    "FTRACE_OOL_STUB_SIZE": {"CONFIG_PPC_FTRACE_OUT_OF_LINE"},
}
LATE_OPTION = {f"G{n}" for n in range(6, 11)}


@pytest.mark.parametrize("version", GENERATIONS)
def test_an_entry_stands_behind_the_option_that_its_field_needs(version: str, tmp_path: Path) -> None:
    text = write_change(kernel(version), tmp_path)["asm-offsets.c"]
    entries = dict(re.findall(r"(?m)^#ifdef (CONFIG_\w+)\n\tDEFINE\((\w+),", text))
    behind = {name: option for option, name in entries.items()}
    wanted = "CONFIG_LIVEPATCH_64" if GENERATIONS[version] in LATE_OPTION else "CONFIG_LIVEPATCH"
    assert behind["TI_livepatch_sp"] == wanted
    late = set(OPTIONS) if GENERATIONS[version] == "G10" else {"TI_livepatch_sp", "BUG_ENTRY_SIZE"}
    assert behind.keys() == late
    assert all(option in OPTIONS[name] for name, option in behind.items())
    # Each is an #ifdef of one entry.
    assert text.count("#ifdef CONFIG_") == len(behind)


@pytest.mark.parametrize(
    ("version", "option", "names"),
    [
        ("4.7", "-DCONFIG_LIVEPATCH", ["TI_livepatch_sp"]),
        ("4.7", "-DCONFIG_BUG", []),
        ("4.12", "-DCONFIG_LIVEPATCH", []),
        (NEWEST, "-DCONFIG_LIVEPATCH_64", []),
    ],
)
def test_included_as_it_is_it_adds_only_what_is_new(
    version: str, option: str, names: list[str], tmp_path: Path
) -> None:
    write_change(kernel(version), tmp_path)
    assembly = compile_c("asm-offsets-main.c", tmp_path, "-S", option, out="asm-offsets.s").read_text()
    assert [name for name, _, _ in constants(assembly)] == names


@pytest.mark.parametrize(("version", "value"), [("4.7", 32), (NEWEST, 24)])
def test_another_structure_gives_another_value(version: str, value: int, tmp_path: Path) -> None:
    """The check can fail: a field in front of livepatch_sp, and the compiler disagrees with lpgen's header."""
    made = kernel(version)
    write_change(made, tmp_path)
    options = (*tree(made), "-Dlocal_flags=local_flags, another")
    assembly = compile_c("asm-offsets-main.c", tmp_path, *ALL, *options, out="asm-offsets.s").read_text()
    found = {name: value for name, value, _ in constants(assembly)}
    assert found["TI_livepatch_sp"] == value != made.offsets["TI_livepatch_sp"]
