"""The kernel change as text: complete, deterministic, marked with its origin."""

from __future__ import annotations

from pathlib import Path

import pytest
from change_tools import BANNER, GENERATIONS

from lpgen.errors import LpgenError
from lpgen.kernel.generations import kernel
from lpgen.kernel.offsets import read_offsets
from lpgen.source.change import change_files, offsets_header

REAL = Path(__file__).parent.parent / "kernel" / "data" / "asm-offsets-6.1.192.h"
OFFSETS = ("asm-offsets.h", "asm-offsets.c")


@pytest.mark.parametrize("version", GENERATIONS)
def test_the_files(version: str) -> None:
    """Kconfig and livepatch.h came with the change that brought livepatch; later kernels have their own."""
    made = kernel(version)
    expected = (*OFFSETS, "Kconfig", "livepatch.h") if GENERATIONS[version] == "G1" else OFFSETS
    assert tuple(change_files(made, banner=BANNER)) == made.change_files == expected


@pytest.mark.parametrize("on", [True, False], ids=["all on", "all off"])
@pytest.mark.parametrize("version", GENERATIONS)
def test_the_first_line_is_the_banner(version: str, on: bool) -> None:
    made = kernel(version, config=dict.fromkeys(kernel(version).options, on))
    for name, text in change_files(made, banner=BANNER).items():
        lines = text.split("\n")
        assert lines[0] == (f"# {BANNER}" if name == "Kconfig" else f"/* {BANNER} */")
        assert "SPDX-License-Identifier: GPL-2.0" in lines[1]
        assert f"ernel {version}" in text
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
    for version in ("4.7", "6.1.192"):
        for text in change_files(kernel(version, offsets=read_offsets(here)), banner=BANNER).values():
            assert str(tmp_path) not in text


@pytest.mark.parametrize("banner", ["two\nlines", "ends */ here"])
def test_a_banner_that_would_end_the_comment(banner: str) -> None:
    with pytest.raises(LpgenError, match="cannot stand in a comment"):
        change_files(kernel(), banner=banner)


@pytest.mark.parametrize("version", GENERATIONS)
def test_the_header_has_what_the_build_defines(version: str, tmp_path: Path) -> None:
    """All but what belongs to an option that is off."""
    full = kernel(version)
    optional = {"TI_livepatch_sp"}
    if GENERATIONS[version] == "G10":
        optional |= {"FTRACE_OPS_FUNC", "FTRACE_OPS_DIRECT_CALL", "FTRACE_OOL_STUB_SIZE"}
    file = tmp_path / "asm-offsets.h"
    for on in (True, False):
        made = kernel(version, config=dict.fromkeys(full.options, on))
        file.write_text(offsets_header(made, banner=BANNER))
        expected = {name: value for name, value in made.offsets.items() if on or name not in optional}
        assert dict(read_offsets(file)) == expected
        assert optional <= made.offsets.keys()


@pytest.mark.parametrize(("version", "option"), [("4.7", "CONFIG_LIVEPATCH"), ("6.18", "CONFIG_LIVEPATCH_64")])
def test_the_source_of_the_change_does_not_depend_on_the_configuration(
    version: str, option: str, tmp_path: Path
) -> None:
    """A header from a kernel without livepatch has no TI_livepatch_sp; the change still adds it, where it is new."""
    file = tmp_path / "asm-offsets.h"
    file.write_text(kernel(version).offsets.without(["TI_livepatch_sp"]).header_text())
    without = kernel(version, offsets=read_offsets(file), config={option: False})
    ours, theirs = change_files(kernel(version), banner=BANNER), change_files(without, banner=BANNER)
    assert "TI_livepatch_sp" not in theirs.pop("asm-offsets.h")
    ours.pop("asm-offsets.h")
    if version != "4.7":
        entry = f"#ifdef {option}\n\tDEFINE(TI_livepatch_sp, offsetof(struct thread_info, livepatch_sp));\n#endif\n"
        assert entry in ours["asm-offsets.c"]
        ours["asm-offsets.c"] = ours["asm-offsets.c"].replace(entry, "")
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
