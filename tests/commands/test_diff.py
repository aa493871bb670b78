"""`lpgen diff`: what must hold, the offsets and the code of two kernels, side by side."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from lpgen.kernel.generations import kernel, required_names, spans, versions_of
from lpgen.report.compare import code_of
from tests.commands.tools import Here

ALL_VERSIONS = [version for generation, *_ in spans() for version in versions_of(generation)]
PARTS = ("contract", "offsets", "code")


@pytest.fixture(autouse=True)
def _no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)


def shown(lpgen: Here, *args: str) -> str:
    ran = lpgen("diff", *args)
    assert (ran.code, ran.err) == (0, "")
    return ran.out


def document(lpgen: Here, *args: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(shown(lpgen, *args, "--json"))
    assert found["schema"] == "lpgen.diff/1"
    return found


def part(text: str, name: str) -> str:
    """One part of the text, without its heading."""
    return re.split(r"^(?:contract|offsets|code)\n", text, flags=re.MULTILINE)[1 + PARTS.index(name)]


def test_contract(lpgen: Here) -> None:
    lines = part(shown(lpgen, "6.1", "6.12"), "contract")
    text = " ".join(lines.split())
    for said in (
        "generation 6.1 G7: what must hold is as in G6; layout L4 from 6.2 6.12 G9: no nop behind the call",
        "layout 6.1 L3 6.12 L4",
        "file 6.1 arch/powerpc/kernel/trace/ftrace_mprofile.S 6.12 arch/powerpc/kernel/trace/ftrace_entry.S",
        "features - call_with_nop a nop follows the bl at ftrace_call + frame_for_b a 32-byte frame for B",
        "symbols + mcount the same as _mcount",
        "options + CONFIG_FUNCTION_GRAPH_TRACER=y the graph tracer's part",
    ):
        assert said in text
    headings = re.findall(r"^  (\w[\w ]*)$", lines, re.MULTILINE)
    assert headings == ["generation", "layout", "file", "features", "symbols", "options"]


def test_thread_info_and_call_sites(lpgen: Here) -> None:
    text = shown(lpgen, "5.0", "5.1", "--part", "contract")
    assert "  thread_info\n    5.0  at the low end of every stack: r1 with the low 14 bits" in text
    assert "\n    5.1  in the task: the doubleword at PACA_THREAD_INFO(r13);" in text
    text = shown(lpgen, "6.12", "6.13", "--part", "contract")
    assert "  call sites\n    -  mflr r0; bl ftrace_caller\n    -  mflr r0; std r0,16(r1); bl ftrace_caller\n" in text
    assert text.endswith("    +  b stub\n")


def test_offsets(lpgen: Here) -> None:
    lines = part(shown(lpgen, "6.1", "6.2"), "offsets").splitlines()
    assert lines[:3] == [
        "                     6.1  6.2",
        "  SWITCH_FRAME_SIZE  496  432  -64",
        "  INT_FRAME_SIZE     784  720  -64",
    ]
    assert "  _NIP               368  304  -64" in lines
    assert not any("PACA" in line or "livepatch_sp" in line for line in lines)


def test_offsets_that_one_of_them_does_not_need(lpgen: Here) -> None:
    assert part(shown(lpgen, "5.0", "5.1"), "offsets").splitlines()[1:3] == [
        "  TI_livepatch_sp    24    16  -8",
        "  PACA_THREAD_INFO    -  2312",
    ]
    without = ("5.0", "5.1", "--config", "CONFIG_LIVEPATCH=n", "--part", "offsets")
    assert shown(lpgen, *without) == "no difference\n"


def test_code(lpgen: Here) -> None:
    text = part(shown(lpgen, "5.0", "5.1"), "code")
    old, new = 49, 52
    lines = text.splitlines()
    assert lines[0] == f"{'5.0':<{old}}| 5.1"
    assert f"{'  clrrdi  r12, r1, THREAD_SHIFT':<{old}}|   ld      r12, PACA_THREAD_INFO(r13)" in lines
    assert f"{'':<{old}}>   addi    r5, r1, 112" in lines
    assert f"{'  mflr    r0':<{new - 1}}  mflr    r0" in lines
    assert lines[-1].startswith("the same: ftrace_regs_caller, ftrace_caller, ")
    assert "... 17 the same" in lines
    assert "/*" not in text


def test_lines_that_are_gone(lpgen: Here) -> None:
    text = shown(lpgen, "6.7", "6.8", "--part", "code")
    assert len(re.findall(r"^  nop +<$", text, re.MULTILINE)) == 2
    assert not re.search(r"[|>]", "\n".join(text.splitlines()[2:]))
    gone = shown(lpgen, "5.17", "5.18", "--part", "code")
    assert re.search(r"^ftrace_graph_caller: gone\n  stdu +r1, -112\(r1\) +<$", gone, re.MULTILINE)
    new = shown(lpgen, "5.18", "5.17", "--part", "code")
    assert re.search(r"^ftrace_graph_caller: new\n +>   stdu +r1, -112\(r1\)$", new, re.MULTILINE)


@pytest.mark.parametrize("old", ALL_VERSIONS)
@pytest.mark.parametrize(("new", "width"), [("5.4.265", 100), ("6.18", 80)])
def test_both_sides_of_the_code_are_whole(
    lpgen: Here, monkeypatch: pytest.MonkeyPatch, old: str, new: str, width: int
) -> None:
    """What is left of the middle, with what is hidden put back, is the old code, and what is right of it the new."""
    monkeypatch.setenv("COLUMNS", str(width))
    if old == new:
        return
    text = shown(lpgen, old, new, "--part", "code")
    assert max(map(len, text.splitlines())) <= width
    half = (width - 3) // 2
    sides = code_of(kernel(old)), code_of(kernel(new))
    blocks = [block for block in text.split("\n\n")[1:] if not block.startswith("the same: ")]
    assert len(blocks) == sum(sides[0].get(name) != sides[1].get(name) for name in sides[0] | sides[1])
    for block in blocks:
        head, *lines = block.splitlines()
        name = head.partition(":")[0]
        for side, (start, end) in zip(sides, ((0, half), (half + 3, None)), strict=True):
            left = ["".join(line.split()) for line in side.get(name, ())]
            for line in lines:
                hidden = re.fullmatch(r"\.\.\. (\d+) the same", line)
                if hidden is not None:
                    del left[: int(hidden[1])]
                elif piece := "".join(line[start:end].split()):
                    assert left[0].startswith(piece)
                    left[:1] = filter(None, [left[0].removeprefix(piece)])
            assert left == [], name


def test_code_of_a_kernel_is_all_that_it_emits() -> None:
    made = kernel("6.18")
    code = code_of(made)
    assert list(code)[:2] == ["ftrace_regs_caller", "ftrace_caller"]
    assert code["ftrace_no_trace"] == ("blr",)
    assert code["mcount, _mcount"][0] == "EXPORT_SYMBOL(_mcount)"
    assert code["ftrace_tramp_text"] == (".space 32",)
    assert code["ftrace_ool_stub_text_count"] == (".long CONFIG_PPC_FTRACE_OUT_OF_LINE_NUM_RESERVE",)
    assert {name for names in code for name in names.split(", ")} == {
        symbol.name for symbol in made.symbols if symbol.kind != "label"
    }
    assert "ftrace_call:" in code_of(kernel("6.12"))["ftrace_caller"]


@pytest.mark.parametrize(("old", "new"), [("4.8", "4.9"), ("6.1.45", "6.1.192"), ("6.13", "6.13")])
def test_no_difference(lpgen: Here, old: str, new: str) -> None:
    assert shown(lpgen, old, new) == "no difference\n"
    found = document(lpgen, old, new)
    assert found["differs"] is False
    assert found["offsets"] == []


def test_a_part_without_a_difference(lpgen: Here) -> None:
    assert shown(lpgen, "6.7", "6.8", "--part", "offsets") == "no difference\n"
    assert part(shown(lpgen, "6.7", "6.8"), "offsets") == "  no difference\n\n"


@pytest.mark.parametrize("parts", [["contract"], ["code"], ["offsets", "contract"]])
def test_some_parts(lpgen: Here, parts: list[str]) -> None:
    args = ["6.1", "6.2", *(word for name in parts for word in ("--part", name))]
    text = shown(lpgen, *args)
    if set(parts) == {"code"}:
        assert text == "no difference\n"
    else:
        assert re.findall(r"^\w+$", text, re.MULTILINE) == [name for name in PARTS if name in parts]
    found = document(lpgen, *args)
    assert [name for name in PARTS if name in found] == [name for name in PARTS if name in parts]


def test_a_back_port(lpgen: Here) -> None:
    found = document(lpgen, "6.1.44", "6.1.45")
    assert found["contract"]["facts"] == []
    assert [member["name"] for member in found["contract"]["features"]["new"]] == ["frame_for_b"]
    assert found["contract"]["features"]["gone"] == []
    assert found["offsets"] == []
    changed = {symbol["name"] for symbol in found["code"] if symbol["changes"]}
    assert changed == {"ftrace_regs_caller", "ftrace_caller"}


def test_json(lpgen: Here) -> None:
    found = document(lpgen, "4.17", "4.18", "--config", "CONFIG_LIVEPATCH=n")
    assert found["old"] == {"version": "4.17", "generation": "G3", "settings": {"CONFIG_LIVEPATCH": False}}
    assert found["differs"] is True
    assert {"name": "PACA_FTRACE_ENABLED", "old": None, "new": 2556} in found["offsets"]
    assert found["contract"]["options"]["gone"][0]["name"] == "CONFIG_KPROBES_ON_FTRACE=y"
    code = {symbol["name"]: symbol for symbol in found["code"]}
    assert (code["ftrace_regs_caller"]["in_old"], code["ftrace_regs_caller"]["in_new"]) == (False, True)
    assert code["ftrace_stub"]["changes"] == []
    assert code["ftrace_stub"]["same"] == 1
    assert "livepatch_handler" not in code
    sides = [code_of(kernel(version, config={"CONFIG_LIVEPATCH": False})) for version in ("4.17", "4.18")]
    for change in code["ftrace_caller"]["changes"]:
        for side, lines in zip(("old", "new"), (side["ftrace_caller"] for side in sides), strict=True):
            at = change[f"{side}_at"]
            assert list(lines[at : at + len(change[side])]) == change[side]
    assert [row["name"] for row in found["offsets"]] == [
        name for name in required_names(kernel("4.18")) if name == "PACA_FTRACE_ENABLED"
    ]


def test_config_is_for_both(lpgen: Here) -> None:
    text = shown(lpgen, "5.17", "5.18", "--config", "CONFIG_LIVEPATCH=n")
    assert "livepatch_handler:" not in text
    assert "-  CONFIG_LIVEPATCH=n " in text
    assert "+  CONFIG_LIVEPATCH_64=n " in text


def test_config_of_an_option_that_one_of_them_does_not_have(lpgen: Here) -> None:
    text = shown(lpgen, "6.12", "6.13", "--config", "CONFIG_PPC_FTRACE_OUT_OF_LINE=n")
    assert "\n  call sites\n" not in text
    assert "+  CONFIG_PPC_FTRACE_OUT_OF_LINE=n " in text
    reversed_ = document(lpgen, "6.13", "6.12", "--config", "CONFIG_PPC_FTRACE_OUT_OF_LINE=n")
    assert reversed_["old"]["settings"] == {"CONFIG_PPC_FTRACE_OUT_OF_LINE": False}
    assert reversed_["new"]["settings"] == {}


def test_a_dotconfig_is_for_both(lpgen: Here) -> None:
    Path(".config").write_text("CONFIG_PPC64=y\n# CONFIG_FUNCTION_GRAPH_TRACER is not set\n")
    found = document(lpgen, "4.17", "6.12", "--config", ".config")
    assert found["old"]["settings"] == {"CONFIG_LIVEPATCH": False, "CONFIG_FUNCTION_GRAPH_TRACER": False}
    assert found["new"]["settings"] == {"CONFIG_LIVEPATCH_64": False, "CONFIG_FUNCTION_GRAPH_TRACER": False}


def test_width_of_the_terminal(lpgen: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    assert 80 < max(map(len, shown(lpgen, "4.17", "6.18").splitlines())) <= 100
    monkeypatch.setenv("COLUMNS", "80")
    narrow = shown(lpgen, "4.17", "6.18")
    assert max(map(len, narrow.splitlines())) <= 80
    # An instruction that does not fit is wrapped, not cut.
    assert re.search(r"^  addis   r5, r2, .*\n          function_trace_op@toc@ha$", narrow, re.MULTILINE)
