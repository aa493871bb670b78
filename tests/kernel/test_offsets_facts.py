"""lpgen's own offsets: against the contract's table and against the asm-offsets.h of real builds."""

from __future__ import annotations

from pathlib import Path

import pytest

from lpgen.errors import LpgenError
from lpgen.kernel.checks import check_offsets
from lpgen.kernel.generations import kernel, required_names
from lpgen.kernel.offsets import LAYOUTS, Offset, Offsets, default_offsets, layout_span, read_offsets
from lpgen.kernel.versions import in_span, parse_version

DATA = Path(__file__).parent / "data"

# Contract section 6: layout, SWITCH_FRAME_SIZE, base, then the slots from _NIP on.
SLOTS = ["_NIP", "_MSR", "ORIG_GPR3", "_CTR", "_LINK", "_XER", "_CCR", "SOFTE", "_TRAP", "_DAR", "_DSISR", "RESULT"]
TABLE = {
    "L1": (464, 112, [368, 376, 384, 392, 400, 408, 416, 424, 432, 440, 448, 456]),
    "L2": (480, 112, [368, 376, 384, 392, 400, 408, 416, 424, 432, 440, 448, 456]),
    "L3": (496, 112, [368, 376, 384, 392, 400, 408, 416, 424, 432, 440, 448, 456]),
    "L4": (432, 48, [304, 312, 320, 328, 336, 344, 352, 360, 368, 376, 384, 392]),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_layout_is_the_contracts(layout: str) -> None:
    frame, base, slots = TABLE[layout]
    offsets = default_offsets(layout)
    assert offsets["SWITCH_FRAME_SIZE"] == frame
    assert offsets["INT_FRAME_SIZE"] == frame + 288
    assert [offsets.gpr(n) for n in range(32)] == [base + 8 * n for n in range(32)]
    assert [offsets[f"GPR{n}"] for n in range(14)] == [base + 8 * n for n in range(14)]
    assert [offsets[name] for name in SLOTS] == slots
    assert offsets.label == f"layout {layout}, default paca"


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_defaults_pass_their_own_checks(layout: str) -> None:
    check_offsets(default_offsets(layout), required_names(kernel()))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_fact_says_what_it_is_and_where_it_comes_from(layout: str) -> None:
    offsets = default_offsets(layout)
    assert len(offsets.entries) == len(offsets)
    for entry in offsets.entries:
        assert entry.source
        assert entry.field
        assert entry.place is None


def test_the_layouts_follow_each_other() -> None:
    spans = [layout_span(layout) for layout in LAYOUTS]
    assert spans == [("4.7", "4.19"), ("4.20", "5.10"), ("5.11", "6.1"), ("6.2", None)]


@pytest.mark.parametrize(
    ("layout", "file", "version"),
    [("L3", "asm-offsets-6.1.192.h", "6.1.192"), ("L4", "asm-offsets-6.12.117.h", "6.12.117")],
)
def test_the_defaults_are_a_real_builds(layout: str, file: str, version: str) -> None:
    real = read_offsets(DATA / file)
    ours = default_offsets(layout, version)
    assert in_span(parse_version(version), *layout_span(layout))
    assert {name: real.get(name) for name in ours} == dict(ours)
    for entry in ours.entries:
        if entry.struct:
            seen = real.offset(entry.name)
            assert (seen.base, seen.struct, seen.field) == (entry.base, entry.struct, entry.field)
    # What else the real header has of our names is not of any trampoline's business in these kernels.
    assert real.keys() - ours.keys() == {"_DEAR", "_ESR"}


@pytest.mark.parametrize(
    ("layout", "version", "livepatch_sp", "bug_entry"),
    [
        ("L1", None, 24, 24),
        ("L1", "4.19.300", 24, 24),
        ("L2", "5.0.21", 24, 24),
        ("L2", "5.1", 16, 24),
        ("L2", "5.10.205", 16, 24),
        ("L3", None, 16, 24),
        ("L3", "6.1", 16, 12),
        ("L4", None, 16, 12),
    ],
)
def test_what_changes_within_a_layout(layout: str, version: str | None, livepatch_sp: int, bug_entry: int) -> None:
    offsets = default_offsets(layout, version)
    assert offsets["TI_livepatch_sp"] == livepatch_sp
    assert offsets["BUG_ENTRY_SIZE"] == bug_entry


def test_paca_fields_come_with_their_kernels() -> None:
    assert "PACA_FTRACE_ENABLED" not in default_offsets("L1", "4.17")
    assert "PACA_FTRACE_ENABLED" in default_offsets("L1", "4.18")
    assert "PACA_THREAD_INFO" not in default_offsets("L2", "5.0")
    assert "PACA_THREAD_INFO" in default_offsets("L2", "5.1")


def test_an_unknown_layout() -> None:
    with pytest.raises(LpgenError) as caught:
        default_offsets("L5")
    assert str(caught.value) == "'L5' is not a layout; the layouts are L1, L2, L3, L4"


def test_offsets_are_a_mapping() -> None:
    offsets = default_offsets()
    assert offsets["PACATOC"] == 16
    assert offsets.get("nothing") is None
    assert list(offsets) == [entry.name for entry in offsets.entries]
    assert (
        offsets.offset("_NIP").define == "#define _NIP 368 /* STACK_FRAME_OVERHEAD + offsetof(struct pt_regs, nip) */"
    )
    assert offsets.offset("PACATOC").expression == "offsetof(struct paca_struct, kernel_toc)"
    assert offsets.offset("BUG_ENTRY_SIZE").expression == "sizeof(struct bug_entry)"
    assert set(offsets) - set(offsets.without(["PACATOC"])) == {"PACATOC"}
    with pytest.raises(KeyError):
        offsets.offset("nothing")


@pytest.mark.parametrize("n", [-1, 32])
def test_there_are_32_registers(n: int) -> None:
    with pytest.raises(ValueError, match="there is no GPR"):
        default_offsets().gpr(n)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("form", ["header", "toml"])
def test_round_trip(layout: str, form: str, tmp_path: Path) -> None:
    ours = default_offsets(layout)
    file = tmp_path / "offsets"
    file.write_text(ours.header_text() if form == "header" else ours.toml_text())
    back = read_offsets(file)
    assert list(back.items()) == list(ours.items())
    assert [entry.expression for entry in back.entries] == [entry.expression for entry in ours.entries]
    if form == "toml":
        assert back.entries == ours.entries
    assert (back.label, back.file) == ("offsets", str(file))


def test_toml_strings_are_escaped(tmp_path: Path) -> None:
    odd = Offsets([Offset("PACATOC", 16, "", 'a "quoted" \\ thing', "somewhere")], label='a "b" \\\n\x01')
    file = tmp_path / "odd.toml"
    file.write_text(odd.toml_text())
    assert read_offsets(file).entries == odd.entries


def test_an_entry_without_an_expression_has_no_comment() -> None:
    assert Offset("_ESR", 448).define == "#define _ESR 448"
