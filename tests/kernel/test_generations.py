"""Kernels: generation, features and options of a version."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from lpgen.errors import LpgenError
from lpgen.kernel import generations
from lpgen.kernel.generations import defined_offsets, kernel, required_names, supported
from lpgen.kernel.names import KINDS, known_names
from lpgen.kernel.offsets import read_offsets

DATA = Path(__file__).parent / "data"


@pytest.mark.parametrize(
    "version", ["4.7", "v4.7", "4.7-rc1", "4.7.10", "4.8", "4.9.337", "4.10.17", "4.11", "4.11.12"]
)
def test_g1_kernels(version: str) -> None:
    made = kernel(version)
    assert (made.generation, made.layout) == ("G1", "L1")
    assert made.file == "arch/powerpc/kernel/entry_64.S"
    assert made.features == {
        "full_regs",
        "thread_info_on_stack",
        "livepatch",
        "graph_hook",
        "graph_frame_in_caller",
        "ops_from_toc",
        "call_with_nop",
    }
    assert made.offsets["TI_livepatch_sp"] == 24
    assert made.offsets.label == "layout L1, default paca"
    assert made.offsets_file is None


def test_the_default_is_4_7() -> None:
    assert kernel() == kernel("4.7")
    assert kernel("v4.7").version == "4.7"
    assert supported() == ("4.7", "4.11")


def test_a_kernel_can_be_hashed() -> None:
    assert len({kernel(), kernel("4.7"), kernel("4.8")}) == 2


@pytest.mark.parametrize("livepatch", [True, False])
@pytest.mark.parametrize("graph", [True, False])
def test_options_decide_on_features_and_symbols(livepatch: bool, graph: bool) -> None:
    made = kernel(config={"CONFIG_LIVEPATCH": livepatch, "CONFIG_FUNCTION_GRAPH_TRACER": graph})
    symbols = {symbol.name for symbol in made.symbols}
    assert ("livepatch" in made.features) is livepatch
    assert ("livepatch_handler" in symbols) is livepatch
    assert ("TI_livepatch_sp" in required_names(made)) is livepatch
    assert ("TI_livepatch_sp" in defined_offsets(made)) is livepatch
    assert {"graph_hook", "graph_frame_in_caller"} <= made.features if graph else "graph_hook" not in made.features
    assert {"ftrace_graph_call", "ftrace_graph_stub", "ftrace_graph_caller"} & symbols == (
        {"ftrace_graph_call", "ftrace_graph_stub", "ftrace_graph_caller"} if graph else set()
    )
    assert {"ftrace_caller", "ftrace_call", "ftrace_stub"} <= symbols


@pytest.mark.parametrize(
    ("version", "message"),
    [
        ("4.12", "lpgen has kernels 4.7 to 4.11 so far; 4.12 is not among them, the nearest is --kernel 4.11"),
        ("6.12.117", "lpgen has kernels 4.7 to 4.11 so far; 6.12.117 is not among them, the nearest is --kernel 4.11"),
        (
            "4.6.7",
            "kernel 4.6.7 has no livepatch on ppc64le: livepatch on ppc64le came with 4.7; use --kernel 4.7 or later",
        ),
        ("nonsense", "'nonsense' is not a kernel version; give it as 4.7, v4.7, 4.9.337 or 4.7-rc1"),
    ],
)
def test_a_kernel_that_lpgen_does_not_have(version: str, message: str) -> None:
    with pytest.raises(LpgenError) as caught:
        kernel(version)
    assert str(caught.value) == message
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("CONFIG_LIVEPATHC", "did you mean CONFIG_LIVEPATCH?"),
        ("LIVEPATCH", "did you mean CONFIG_LIVEPATCH?"),
        ("CONFIG_SMP", "it has CONFIG_LIVEPATCH, CONFIG_FUNCTION_GRAPH_TRACER"),
    ],
)
def test_an_unknown_option(name: str, hint: str) -> None:
    with pytest.raises(LpgenError) as caught:
        kernel(config={name: True})
    assert str(caught.value) == f"{name} is not an option of generation G1; {hint}"


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


def test_the_data_of_a_generation_is_consistent() -> None:
    names = known_names()
    features: set[str] = set()
    for facts in generations._generations():
        features |= facts["features"].keys()
        for feature in facts["features"].values():
            assert feature["what"]
            assert feature.get("option") in {None, *facts["options"]}
        assert all(symbol.get("feature") in {None, *facts["features"]} for symbol in facts["symbols"])
        assert set(facts["new_offsets"]) <= names.keys()
        assert facts["commits"]
        assert facts["call_sites"]
    assert {name.kind for name in names.values()} <= KINDS
    assert all(name.alias in {"", *names} for name in names.values())
    assert "livepatch" in features


def test_a_generation_is_a_data_file_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second generation with late point releases of an old series: the span that begins last wins."""
    g1 = dict(generations._generations()[0])
    g2 = dict(g1, id="G2", first="4.12", last="4.12", also=[{"first": "4.9.300", "last": "4.9"}])
    monkeypatch.setattr(generations, "_generations", lambda: (g1, g2))
    assert [kernel(v).generation for v in ("4.9.299", "4.9.300", "4.10", "4.12.14")] == ["G1", "G2", "G1", "G2"]
    with pytest.raises(LpgenError, match=r"4\.7 to 4\.12 so far"):
        kernel("4.13")


def test_importing_is_cheap() -> None:
    code = "import lpgen.kernel.generations as g, sys; g.kernel(); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"click", "jinja2", "rich", "unicorn", "keystone", "difflib", "capstone", "elftools"}
    assert not heavy & set(done.stdout.split())
