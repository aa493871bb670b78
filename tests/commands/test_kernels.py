"""`lpgen kernels`: every generation and where it changes, and all that holds for one kernel."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from lpgen.kernel.generations import every_config, kernel, spans, stretches, versions_of
from lpgen.kernel.options import setting_text
from tests.commands.tools import Here

ALL_VERSIONS = [version for generation, *_ in spans() for version in versions_of(generation)]


def shown(lpgen: Here, *args: str) -> str:
    ran = lpgen("kernels", *args)
    assert (ran.code, ran.err) == (0, "")
    return ran.out


def rows(text: str) -> dict[str, str]:
    """The table's rows by their first column, each in one line."""
    found: dict[str, str] = {}
    for line in text[text.index("\n4.7") + 1 :].splitlines():
        if line[0] != " ":
            found[line.split()[0]] = " ".join(line.split()[1:])
        else:
            found[list(found)[-1]] += f" {line.strip()}"
    return found


@pytest.fixture(autouse=True)
def _no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)


def test_list(lpgen: Here) -> None:
    text = shown(lpgen)
    assert text.startswith("kernels          gen  layout  file replaced: what is different; + and - symbols\n")
    assert max(map(len, text.splitlines())) <= 80
    assert not re.search(r" $", text, re.MULTILINE)
    found = rows(text)
    assert list(found) == [
        *("4.7-4.11", "4.12", "4.13-4.17", "4.14.334-4.14.y", "4.18-4.19", "4.19.303-4.19.y", "4.20-5.0", "5.1-5.10"),
        *("5.4.265-5.4.y", "5.10.205-5.10.y", "5.11-5.17", "5.18", "5.19-6.1", "6.1.45-6.1.y", "6.2-6.4", "6.5"),
        *("6.6-6.7", "6.8-6.12", "6.13-6.17", "6.18-"),
    ]
    assert found["4.7-4.11"].startswith(
        "G1 L1 entry_64.S (a part): one entry, full registers, thread_info on the stack"
    )
    assert found["4.14.334-4.14.y"] == "G3 L1 ftrace_64_mprofile.S: back-ported: frame_for_b"
    assert found["5.10.205-5.10.y"] == "G5 L2 ftrace_64_mprofile.S: back-ported: frame_for_b"
    assert found["4.18-4.19"].endswith("+ ftrace_regs_caller, ftrace_regs_call, ftrace_no_trace")
    assert found["4.20-5.0"] == "G4 L2 ftrace_64_mprofile.S: SWITCH_FRAME_SIZE 480"
    assert found["5.18"].endswith("- ftrace_graph_call, ftrace_graph_stub, ftrace_graph_caller")
    assert found["6.2-6.4"] == "G7 L4 ftrace_mprofile.S: SWITCH_FRAME_SIZE 432"
    assert found["6.6-6.7"].startswith("G8 L4 ftrace_entry.S: new: mcount, return_to_handler, tramp_areas + mcount, ")
    assert found["6.13-6.17"].endswith("- ftrace_regs_call, ftrace_call")
    assert found["6.18-"] == "G10 L4 ftrace_entry.S: new: return_regs"


def test_symbols_of_the_list_add_up(lpgen: Here) -> None:
    """What came and went, row by row, leaves the symbols of the newest kernels."""
    there: set[str] = set()
    for row in rows(shown(lpgen)).values():
        for sign, names in re.findall(r"([+-]) (\w+(?:, \w+)*)", row):
            assert bool(set(names.split(", ")) & there) is (sign == "-")
            there ^= set(names.split(", "))
    assert there == {symbol.name for symbol in kernel(list(stretches())[-1].first).symbols}


def test_width_of_the_terminal(lpgen: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    wide = shown(lpgen)
    assert 80 < max(map(len, wide.splitlines())) <= 200
    monkeypatch.setenv("COLUMNS", "60")
    assert max(map(len, shown(lpgen).splitlines())) <= 60
    assert rows(shown(lpgen)) == rows(wide)


def test_list_as_json(lpgen: Here) -> None:
    document = json.loads(shown(lpgen, "--json"))
    assert document["schema"] == "lpgen.kernels/1"
    assert [(row["first"], row["last"], row["back_port"]) for row in document["kernels"]] == [
        (stretch.first, stretch.last, stretch.ported) for stretch in stretches()
    ]
    row = document["kernels"][3]
    assert row["first"] == "4.14.334"
    assert (row["generation"], row["layout"]) == ("G3", "L1")
    assert row["file"] == "arch/powerpc/kernel/trace/ftrace_64_mprofile.S"
    assert row["section"] == ""
    assert "frame_for_b" in row["features"]
    assert "livepatch_handler" in row["symbols"]


def test_one_kernel(lpgen: Here) -> None:
    text = shown(lpgen, "6.1.192")
    assert max(map(len, text.splitlines())) <= 80
    lines = text.splitlines()
    assert lines[:5] == [
        "kernel       6.1.192",
        "generation   G7, 5.19-6.4: what must hold is as in G6; layout L4 from 6.2",
        "back-port    frame_for_b, since 6.1.45",
        "layout       L3, 5.11-6.1: SWITCH_FRAME_SIZE 496, INT_FRAME_SIZE 784",
        "replaces     arch/powerpc/kernel/trace/ftrace_mprofile.S, the whole file",
    ]
    assert lines[5].startswith("thread_info  in the task: the doubleword at")
    assert "call sites   mflr r0; bl ftrace_caller\n             mflr r0; std r0,16(r1); bl ftrace_caller\n" in text
    assert "  CONFIG_LIVEPATCH_64=y        y        n\n" in text
    assert "CONFIG_LIVEPATCH sets it" in text
    assert "commits" not in text


@pytest.mark.parametrize("version", ALL_VERSIONS)
def test_every_fact_of_a_kernel_is_there(lpgen: Here, version: str) -> None:
    made = kernel(version)
    text = shown(lpgen, f"v{version}")
    assert max(map(len, text.splitlines())) <= 80
    words = text.split()
    assert {made.version, made.file + ",", str(made.offsets["SWITCH_FRAME_SIZE"]) + ","} <= set(words)
    for name in (*(symbol.name for symbol in made.symbols), *made.features, *made.commits):
        assert re.search(rf"^  {re.escape(name)} ", text, re.MULTILINE), name
    for name, value in (*made.options.items(), *made.numbers.items()):
        assert setting_text(name, value) in words
    assert ("back-port" in words) is bool(made.backports)


def test_a_part_of_a_file_and_commits(lpgen: Here) -> None:
    text = shown(lpgen, "4.7")
    assert "replaces     arch/powerpc/kernel/entry_64.S, the -mprofile-kernel half" in text
    assert "at the low end of every stack: r1 with the low 14" in text
    assert "\ncommits\n  153086644fd1  v4.6: " in text


def test_config_decides(lpgen: Here) -> None:
    Path(".config").write_text("CONFIG_PPC64=y\n# CONFIG_DYNAMIC_FTRACE_WITH_CALL_OPS is not set\n")
    text = shown(lpgen, "6.13", "--config", ".config", "--config", "CONFIG_FUNCTION_GRAPH_TRACER=n")
    for setting in ("LIVEPATCH_64=n", "DYNAMIC_FTRACE_WITH_CALL_OPS=n", "FUNCTION_GRAPH_TRACER=n"):
        assert f"  CONFIG_{setting} " in text
    assert "  ftrace_call " in text
    assert "livepatch_handler  " not in text
    assert "  return_to_handler " not in text
    assert "  CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS=n " in text


def one(lpgen: Here, *args: str) -> dict[str, Any]:
    document = json.loads(shown(lpgen, *args, "--json"))
    assert document["schema"] == "lpgen.kernels/1"
    found: dict[str, Any] = document["kernel"]
    return found


def test_one_kernel_as_json(lpgen: Here) -> None:
    found = one(lpgen, "6.1.192")
    title = "what must hold is as in G6; layout L4 from 6.2"
    assert found["generation"] == {"id": "G7", "title": title, "first": "5.19", "last": "6.4"}
    assert found["back_ports"] == {"frame_for_b": "6.1.45"}
    assert found["layout"] == {
        "id": "L3",
        "first": "5.11",
        "last": "6.1",
        "switch_frame_size": 496,
        "int_frame_size": 784,
    }
    assert found["thread_info"]["feature"] == "thread_info_in_task"
    assert found["call_sites"][0] == ["mflr r0", "bl ftrace_caller"]
    assert {"name": "ftrace_call", "kind": "label", "inner": False} | {
        "what": "the bl that ftrace points at the tracer"
    } in found["symbols"]


def test_json_says_what_an_option_decides(lpgen: Here) -> None:
    """Each feature that it names is there with one setting of the option and not with the other."""
    for option in one(lpgen, "6.18")["options"]:
        if isinstance(option["value"], int) and not isinstance(option["value"], bool):
            assert option["features"] == []
            assert option["default"] == option["value"] == 32768
            continue
        for config in every_config("6.18"):
            if option["name"] == "CONFIG_PPC_FTRACE_OUT_OF_LINE":
                assert option["features"] == ["out_of_line"]
            made, other = (kernel("6.18", config=config | {"CONFIG_LIVEPATCH_64": on}) for on in (True, False))
            if option["name"] == "CONFIG_LIVEPATCH_64":
                assert set(option["features"]) == made.features ^ other.features
    needs = {option["name"]: option["needs"] for option in one(lpgen, "6.18")["options"]}
    assert needs["CONFIG_DYNAMIC_FTRACE_WITH_CALL_OPS"] == ["CONFIG_PPC_FTRACE_OUT_OF_LINE"]
    decides = {option["name"]: option["features"] for option in one(lpgen, "6.18")["options"]}
    assert decides["CONFIG_DYNAMIC_FTRACE_WITH_CALL_OPS"] == ["ops_from_toc", "call_ops"]
    assert decides["CONFIG_FUNCTION_GRAPH_TRACER"] == ["return_to_handler", "return_regs"]
