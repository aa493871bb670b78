"""Kernels: generation, features and options of a version."""

from __future__ import annotations

import itertools
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lpgen.errors import LpgenError
from lpgen.kernel import generations
from lpgen.kernel.generations import (
    Stretch,
    feature_texts,
    kernel,
    spans,
    stretches,
    supported,
    versions_of,
)
from lpgen.kernel.names import KINDS, known_names
from lpgen.kernel.offsets import read_offsets
from lpgen.kernel.options import known_options
from lpgen.kernel.versions import parse_version

DATA = Path(__file__).parent / "data"

# Contract section 6, by hand: version, generation, layout, whether B gets a frame of its own, the file replaced.
KERNELS = [
    ("4.7", "G1", "L1", False, "entry_64.S"),
    ("4.11.12", "G1", "L1", False, "entry_64.S"),
    ("4.12", "G2", "L1", False, "trace/ftrace_64_mprofile.S"),
    ("4.13", "G3", "L1", False, "trace/ftrace_64_mprofile.S"),
    ("4.14", "G3", "L1", False, "trace/ftrace_64_mprofile.S"),
    ("4.14.333", "G3", "L1", False, "trace/ftrace_64_mprofile.S"),
    ("4.14.334", "G3", "L1", True, "trace/ftrace_64_mprofile.S"),
    ("4.14.336", "G3", "L1", True, "trace/ftrace_64_mprofile.S"),
    ("4.15", "G3", "L1", False, "trace/ftrace_64_mprofile.S"),
    ("4.17", "G3", "L1", False, "trace/ftrace_64_mprofile.S"),
    ("4.18", "G4", "L1", False, "trace/ftrace_64_mprofile.S"),
    ("4.19.302", "G4", "L1", False, "trace/ftrace_64_mprofile.S"),
    ("4.19.303", "G4", "L1", True, "trace/ftrace_64_mprofile.S"),
    ("4.20", "G4", "L2", False, "trace/ftrace_64_mprofile.S"),
    ("5.0.21", "G4", "L2", False, "trace/ftrace_64_mprofile.S"),
    ("5.1", "G5", "L2", False, "trace/ftrace_64_mprofile.S"),
    ("5.4.264", "G5", "L2", False, "trace/ftrace_64_mprofile.S"),
    ("5.4.265", "G5", "L2", True, "trace/ftrace_64_mprofile.S"),
    ("5.10", "G5", "L2", False, "trace/ftrace_64_mprofile.S"),
    ("5.10.204", "G5", "L2", False, "trace/ftrace_64_mprofile.S"),
    ("5.10.205", "G5", "L2", True, "trace/ftrace_64_mprofile.S"),
    ("5.11", "G5", "L3", False, "trace/ftrace_64_mprofile.S"),
    ("5.15", "G5", "L3", False, "trace/ftrace_64_mprofile.S"),
    ("5.17", "G5", "L3", False, "trace/ftrace_64_mprofile.S"),
    ("5.18", "G6", "L3", False, "trace/ftrace_mprofile.S"),
    ("5.19", "G7", "L3", False, "trace/ftrace_mprofile.S"),
    ("6.1", "G7", "L3", False, "trace/ftrace_mprofile.S"),
    ("6.1.44", "G7", "L3", False, "trace/ftrace_mprofile.S"),
    ("6.1.45", "G7", "L3", True, "trace/ftrace_mprofile.S"),
    ("6.1.192", "G7", "L3", True, "trace/ftrace_mprofile.S"),
    ("6.2", "G7", "L4", False, "trace/ftrace_mprofile.S"),
    ("6.4", "G7", "L4", False, "trace/ftrace_mprofile.S"),
    ("6.5", "G8", "L4", True, "trace/ftrace_mprofile.S"),
    ("6.6", "G8", "L4", True, "trace/ftrace_entry.S"),
    ("6.7", "G8", "L4", True, "trace/ftrace_entry.S"),
    ("6.8", "G9", "L4", True, "trace/ftrace_entry.S"),
    ("6.12.117", "G9", "L4", True, "trace/ftrace_entry.S"),
    ("6.13", "G10", "L4", True, "trace/ftrace_entry.S"),
    ("6.17", "G10", "L4", True, "trace/ftrace_entry.S"),
    ("6.18", "G10", "L4", True, "trace/ftrace_entry.S"),
    ("7.0", "G10", "L4", True, "trace/ftrace_entry.S"),
]
# The same section and section 8: the kernel from which on a feature is there, and the last with it.
FEATURES = {
    "graph_frame_in_caller": ("4.7", "4.11"),
    "kprobe_test": ("4.13", "4.17"),
    "two_entries": ("4.18", None),
    "tracing_switch": ("4.18", None),
    "thread_info_on_stack": ("4.7", "5.0"),
    "thread_info_in_task": ("5.1", None),
    "graph_passes_sp": ("5.1", "5.17"),
    "graph_hook": ("4.7", "5.17"),
    "partial_regs": ("5.18", None),
    "mcount": ("6.6", None),
    "return_to_handler": ("6.6", None),
    "tramp_areas": ("6.6", None),
    "call_with_nop": ("4.7", "6.7"),
    "out_of_line": ("6.13", None),
    "call_ops": ("6.13", None),
    "direct_calls": ("6.13", None),
    "ops_from_toc": ("4.7", "6.12"),
    "return_regs": ("6.18", None),
    "full_regs": ("4.7", None),
    "livepatch": ("4.7", None),
}
ALL_VERSIONS = [version for generation, *_ in spans() for version in versions_of(generation)]


@pytest.mark.parametrize(("version", "generation", "layout", "frame", "file"), KERNELS, ids=lambda value: str(value))
def test_section_6(version: str, generation: str, layout: str, frame: bool, file: str) -> None:
    made = kernel(version)
    assert (made.version, made.generation, made.layout) == (version, generation, layout)
    assert ("frame_for_b" in made.features) is frame
    assert made.file == f"arch/powerpc/kernel/{file}"
    assert bool(made.section) is (generation == "G1")
    assert made.offsets.label == f"layout {layout}, default paca"
    assert made.offsets_file is None


@pytest.mark.parametrize("feature", FEATURES)
def test_where_a_feature_begins_and_ends(feature: str) -> None:
    first, last = FEATURES[feature]
    for version, *_ in KERNELS:
        release = parse_version(version)[:2]
        there = parse_version(first)[:2] <= release and (last is None or release <= parse_version(last)[:2])
        assert (feature in kernel(version).features) is there, version


def test_every_feature_is_in_a_table_of_this_test() -> None:
    assert {*FEATURES, "frame_for_b"} == feature_texts().keys()


@pytest.mark.parametrize(
    ("version", "since"),
    [("4.14.336", "4.14.334"), ("4.19.303", "4.19.303"), ("5.4.300", "5.4.265"), ("6.1.192", "6.1.45")],
)
def test_a_back_port_is_told_from_what_a_generation_has(version: str, since: str) -> None:
    assert kernel(version).backports == {"frame_for_b": since}
    assert kernel("6.12").backports == {}


@pytest.mark.parametrize(
    ("version", "names"),
    [
        ("4.7", "ftrace_caller ftrace_call ftrace_graph_call ftrace_graph_stub ftrace_graph_caller"),
        ("4.18", "ftrace_regs_caller ftrace_regs_call ftrace_caller ftrace_call ftrace_no_trace ftrace_graph_call"),
        ("5.18", "ftrace_regs_caller ftrace_regs_call ftrace_caller ftrace_call ftrace_no_trace"),
        ("6.6", "ftrace_call _mcount mcount return_to_handler ftrace_tramp_text ftrace_tramp_init"),
        ("6.13", "ftrace_no_trace ftrace_stub_direct_tramp ftrace_ool_stub_text_count ftrace_ool_stub_text"),
    ],
)
def test_symbols(version: str, names: str) -> None:
    assert {*names.split(), "ftrace_stub", "livepatch_handler"} <= {symbol.name for symbol in kernel(version).symbols}


def test_symbols_that_are_gone() -> None:
    def names(version: str, **config: bool) -> set[str]:
        return {symbol.name for symbol in kernel(version, config=config).symbols}

    assert not names("5.18") & {"ftrace_graph_call", "ftrace_graph_stub", "ftrace_graph_caller"}
    assert not names("6.13") & {"ftrace_call", "ftrace_regs_call"}
    assert {"ftrace_call", "ftrace_regs_call"} <= names("6.13", CONFIG_DYNAMIC_FTRACE_WITH_CALL_OPS=False)
    assert not names("6.13", CONFIG_PPC_FTRACE_OUT_OF_LINE=False) & {"ftrace_ool_stub_text"}
    assert not names("4.17") & {"ftrace_regs_caller"}


def test_call_sites() -> None:
    inline = (("mflr r0", "bl ftrace_caller"), ("mflr r0", "std r0,16(r1)", "bl ftrace_caller"))
    assert kernel("4.7").call_sites == kernel("6.12").call_sites == inline
    assert kernel("6.13").call_sites == (("b stub",),)
    assert kernel("6.13", config={"CONFIG_PPC_FTRACE_OUT_OF_LINE": False}).call_sites == inline


@pytest.mark.parametrize(("version", "value"), [("4.7", 24), ("5.0.21", 24), ("5.1", 16), ("6.18", 16)])
def test_livepatch_sp(version: str, value: int) -> None:
    assert kernel(version).offsets["TI_livepatch_sp"] == value


def test_the_default_is_4_7() -> None:
    assert kernel() == kernel("4.7")
    assert kernel("v4.7").version == kernel("4.7-rc1").version == "4.7"
    assert supported() == ("4.7", None)


def test_a_kernel_can_be_hashed() -> None:
    assert len({kernel(), kernel("4.7"), kernel("4.8")}) == 2


def test_offsets_of_a_person_are_checked_for_what_the_kernel_needs(tmp_path: Path) -> None:
    lines = [line for line in (DATA / "asm-offsets-6.1.192.h").read_text().split("\n") if "livepatch_sp" not in line]
    file = tmp_path / "asm-offsets.h"
    file.write_text("\n".join(lines))
    offsets = read_offsets(file)
    with pytest.raises(LpgenError) as caught:
        kernel(offsets=offsets)
    assert str(caught.value) == (
        f"{file}: missing: TI_livepatch_sp; "
        "add it, or use the whole asm-offsets.h of a kernel build with CONFIG_LIVEPATCH=y"
    )
    made = kernel(offsets=offsets, config={"CONFIG_LIVEPATCH": False})
    assert made.offsets is offsets
    assert made.offsets_file == "asm-offsets.h"


@pytest.mark.parametrize("version", ["6.1.192", "6.12.117"])
def test_lpgens_own_offsets_are_those_of_a_real_build(version: str) -> None:
    """The paca apart: it depends on the configuration, and the default is that of the older of the two."""
    real, own = read_offsets(DATA / f"asm-offsets-{version}.h"), kernel(version).offsets
    both = [name for name in own if name in real and not (name.startswith("PACA") and version == "6.12.117")]
    assert len(both) > 30
    assert {name: own[name] for name in both} == {name: real[name] for name in both}


def test_the_data_of_the_generations_is_consistent() -> None:
    names, texts = known_names(), feature_texts()
    used: set[str] = set(generations._table("backports"))
    set_options: set[str] = set()
    for facts in generations._generations():
        used |= facts["features"].keys()
        set_options |= facts["options"].keys()
        for feature in facts["features"].values():
            assert {*feature.get("options", ()), *filter(None, [feature.get("unless")])} <= facts["options"].keys()
        for site in facts["call_sites"]:
            assert {site.get("needs", "livepatch"), site.get("unless", "livepatch")} <= texts.keys()
        assert set(facts["new_offsets"]) <= names.keys()
        assert facts["call_sites"]
        assert facts["title"]
        assert facts["files"][0]["first"] == facts["first"]
    assert used == texts.keys()
    assert all(texts.values())
    assert set_options == known_options().keys()
    assert all(option.what for option in known_options().values())
    for option in known_options().values():
        assert {*option.needs, *option.follows, *filter(None, [option.alias])} <= known_options().keys()
    for symbol in generations._table("symbols")["symbols"]:
        assert {*symbol.get("needs", ()), *symbol.get("unless", ())} <= texts.keys()
        assert symbol["kind"] in {"function", "label", "data", "area"}
        assert symbol["what"]
    for name in names.values():
        assert set(name.needed) <= {"always", *texts}
        assert name.option in {"", "CONFIG_BUG", *known_options()}
    assert {name.kind for name in names.values()} <= KINDS
    assert all(name.alias in {"", *names} for name in names.values())


def test_spans_have_no_gap_and_no_overlap() -> None:
    """Each begins at the release after the one that the one before ends with; the last has no end."""
    found = list(spans())
    assert [generation for generation, *_ in found] == [f"G{n}" for n in range(1, len(found) + 1)]
    for (_, _, last), (_, first, _) in itertools.pairwise(found):
        assert last is not None
        assert first in _following(last)
    assert found[-1][2] is None


def _following(release: str) -> tuple[str, str]:
    major, minor, _ = parse_version(release)
    return f"{major}.{minor + 1}", f"{major + 1}.0"


def test_stretches() -> None:
    assert [tuple(vars(stretch).values()) for stretch in stretches()] == [
        ("G1", "4.7", "4.11", False),
        ("G2", "4.12", "4.12", False),
        ("G3", "4.13", "4.17", False),
        ("G3", "4.14.334", "4.14", True),
        ("G4", "4.18", "4.19", False),
        ("G4", "4.19.303", "4.19", True),
        ("G4", "4.20", "5.0", False),
        ("G5", "5.1", "5.10", False),
        ("G5", "5.4.265", "5.4", True),
        ("G5", "5.10.205", "5.10", True),
        ("G5", "5.11", "5.17", False),
        ("G6", "5.18", "5.18", False),
        ("G7", "5.19", "6.1", False),
        ("G7", "6.1.45", "6.1", True),
        ("G7", "6.2", "6.4", False),
        ("G8", "6.5", "6.5", False),
        ("G8", "6.6", "6.7", False),
        ("G9", "6.8", "6.12", False),
        ("G10", "6.13", "6.17", False),
        ("G10", "6.18", None, False),
    ]


def test_versions_of_a_generation() -> None:
    assert versions_of("G5") == ("5.1", "5.11", "5.4.265", "5.10.205")
    assert versions_of("G10") == ("6.13", "6.18")
    with pytest.raises(LpgenError, match="'G99' is not a generation; there are G1, G2, "):
        versions_of("G99")


def test_a_generation_is_a_data_file_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """A g11.toml, and its kernels, options and features are there; what was the last generation ends before it."""
    read = generations._generation_file
    last = len(list(spans()))
    newest = read(last)
    assert newest is not None
    added = dict(newest, id=f"G{last + 1}", first="7.3", title="made up", options={"CONFIG_LIVEPATCH_64": {}})
    added["features"] = {
        "two_entries": {},
        "thread_info_in_task": {},
        "livepatch": {"options": ["CONFIG_LIVEPATCH_64"]},
    }
    added["files"] = [{"name": "arch/powerpc/kernel/trace/new.S", "first": "7.3"}]

    def with_one_more(number: int) -> dict[str, Any] | None:
        return added if number == last + 1 else dict(newest, last="7.2") if number == last else read(number)

    monkeypatch.setattr(generations, "_generation_file", with_one_more)
    assert [kernel(v).generation for v in ("4.7", "7.2.9", "7.3", "8.0")] == ["G1", "G10", "G11", "G11"]
    made = kernel("7.3", config={"CONFIG_LIVEPATCH": False})
    assert (made.file_name, made.features) == ("new.S", {"two_entries", "thread_info_in_task"})
    assert list(spans())[-1] == ("G11", "7.3", None)
    assert list(stretches())[-1] == Stretch("G11", "7.3", None)


def test_a_version_behind_the_last_generation(monkeypatch: pytest.MonkeyPatch) -> None:
    read = generations._generation_file
    monkeypatch.setattr(generations, "_generation_file", lambda number: read(number) if number == 1 else None)
    with pytest.raises(LpgenError) as caught:
        kernel("4.12")
    assert str(caught.value) == (
        "lpgen has kernels 4.7 to 4.11 so far; 4.12 is not among them, the nearest is --kernel 4.11"
    )


def test_importing_is_cheap() -> None:
    code = "import lpgen.kernel.generations as g, sys; g.kernel(); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"click", "jinja2", "rich", "unicorn", "keystone", "difflib", "capstone", "elftools"}
    assert not heavy & set(done.stdout.split())
