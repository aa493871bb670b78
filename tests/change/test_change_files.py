"""The kernel change as text: complete, deterministic, marked with its origin."""

from __future__ import annotations

from pathlib import Path

import pytest
from change_tools import BANNER

from lpgen.errors import LpgenError
from lpgen.kernel.generations import kernel, spans, versions_of
from lpgen.kernel.offsets import read_offsets
from lpgen.source.change import change_files, offsets_header

REAL = Path(__file__).parent.parent / "kernel" / "data" / "asm-offsets-6.1.192.h"
CHANGE_FILES = ("asm-offsets.h", "asm-offsets.c", "Kconfig", "livepatch.h")
OPTIONS = [
    {"CONFIG_LIVEPATCH": livepatch, "CONFIG_FUNCTION_GRAPH_TRACER": graph}
    for livepatch in (True, False)
    for graph in (True, False)
]


def test_the_files() -> None:
    assert tuple(change_files(kernel(), banner=BANNER)) == CHANGE_FILES


@pytest.mark.parametrize("generation", [generation for generation, *_ in spans()][1:])
def test_what_came_with_livepatch_is_in_the_tree_already(generation: str) -> None:
    for version in versions_of(generation):
        files = change_files(kernel(version), banner=BANNER)
        assert tuple(files) == ("asm-offsets.h", "asm-offsets.c")
        for text in files.values():
            assert text.startswith(f"/* {BANNER} */\n")
            assert text.endswith("\n")
            assert not any(line != line.rstrip() for line in text.split("\n"))
            assert "\n\n\n" not in text


@pytest.mark.parametrize("config", [{}, {"CONFIG_DYNAMIC_FTRACE_WITH_CALL_OPS": False}, {"CONFIG_LIVEPATCH": False}])
def test_the_header_has_what_the_build_of_a_later_kernel_defines(config: dict[str, bool], tmp_path: Path) -> None:
    made = kernel("6.13", config=config)
    file = tmp_path / "asm-offsets.h"
    file.write_text(offsets_header(made, banner=BANNER))
    left_out = {
        "TI_livepatch_sp": "CONFIG_LIVEPATCH",
        "FTRACE_OPS_FUNC": "CONFIG_DYNAMIC_FTRACE_WITH_CALL_OPS",
        # Call ops off turns the default of direct calls off.
        "FTRACE_OPS_DIRECT_CALL": "CONFIG_DYNAMIC_FTRACE_WITH_CALL_OPS",
    }
    expected = {name: value for name, value in made.offsets.items() if config.get(left_out.get(name, ""), True)}
    assert dict(read_offsets(file)) == expected


@pytest.mark.parametrize("config", OPTIONS, ids=lambda config: "-".join(str(int(on)) for on in config.values()))
@pytest.mark.parametrize("name", CHANGE_FILES)
def test_the_first_line_is_the_banner(name: str, config: dict[str, bool]) -> None:
    text = change_files(kernel(config=config), banner=BANNER)[name]
    lines = text.split("\n")
    assert lines[0] == (f"# {BANNER}" if name == "Kconfig" else f"/* {BANNER} */")
    assert "SPDX-License-Identifier: GPL-2.0" in lines[1]
    assert text.endswith("\n")
    assert not text.endswith("\n\n")
    assert text.isascii()
    assert not any(line != line.rstrip() for line in lines)
    assert "\n\n\n" not in text


def test_the_same_input_gives_the_same_bytes() -> None:
    assert change_files(kernel("4.9"), banner=BANNER) == change_files(kernel("v4.9"), banner=BANNER)


def test_no_path_gets_in(tmp_path: Path) -> None:
    here = tmp_path / "asm-offsets.h"
    here.write_text(REAL.read_text())
    for text in change_files(kernel(offsets=read_offsets(here)), banner=BANNER).values():
        assert str(tmp_path) not in text


@pytest.mark.parametrize("banner", ["two\nlines", "ends */ here"])
def test_a_banner_that_would_end_the_comment(banner: str) -> None:
    with pytest.raises(LpgenError, match="cannot stand in a comment"):
        change_files(kernel(), banner=banner)


@pytest.mark.parametrize("livepatch", [True, False])
def test_the_header_has_what_the_build_defines(livepatch: bool, tmp_path: Path) -> None:
    made = kernel(config={"CONFIG_LIVEPATCH": livepatch})
    file = tmp_path / "asm-offsets.h"
    file.write_text(offsets_header(made, banner=BANNER))
    expected = {name: value for name, value in made.offsets.items() if livepatch or name != "TI_livepatch_sp"}
    assert dict(read_offsets(file)) == expected


def test_the_source_of_the_change_does_not_depend_on_the_configuration(tmp_path: Path) -> None:
    """A header from a kernel without livepatch has no TI_livepatch_sp; the change still adds it."""
    file = tmp_path / "asm-offsets.h"
    file.write_text(kernel().offsets.without(["TI_livepatch_sp"]).header_text())
    without = kernel(offsets=read_offsets(file), config={"CONFIG_LIVEPATCH": False})
    ours, theirs = change_files(kernel(), banner=BANNER), change_files(without, banner=BANNER)
    assert "TI_livepatch_sp" not in theirs.pop("asm-offsets.h")
    ours.pop("asm-offsets.h")
    assert theirs == ours


def test_a_template_can_be_overridden(tmp_path: Path) -> None:
    (tmp_path / "Kconfig.j2").write_text("# {{ banner }}: mine\n")
    files = change_files(kernel(), banner=BANNER, templates_dir=tmp_path)
    assert files["Kconfig"] == f"# {BANNER}: mine\n"
    assert files["livepatch.h"] == change_files(kernel(), banner=BANNER)["livepatch.h"]


def test_an_override_with_a_fault_names_its_line(tmp_path: Path) -> None:
    (tmp_path / "Kconfig.j2").write_text("fine\n{{ undefined_thing }}\n")
    with pytest.raises(LpgenError) as caught:
        change_files(kernel(), banner=BANNER, templates_dir=tmp_path)
    assert str(caught.value.place).endswith("Kconfig.j2:2")
