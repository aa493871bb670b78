"""What the ways through the trampolines cost: counted, and the same as counting by hand."""

from __future__ import annotations

import re

import pytest

from lpgen.api import assemble_text, trampolines
from lpgen.contract.cost import Cost, costs
from lpgen.kernel.generations import kernel
from lpgen.source.emit import emit_source


def by_path(version: str, text: str | None = None) -> dict[tuple[str, str], Cost]:
    made = kernel(version)
    unit = trampolines(made) if text is None else assemble_text(made, text, "mine.S")
    return {(cost.entry, cost.path): cost for cost in costs(made, unit)}


def body(version: str, first: str, last: str) -> list[str]:
    """The instructions of the emitted text between two lines, both included."""
    text = re.sub(r"/\*.*?\*/", "", emit_source(kernel(version)).text, flags=re.DOTALL)
    lines = [s for line in text.splitlines() if line.startswith("\t") and (s := line.strip()) and s[0] != "."]
    start = lines.index(first)
    return lines[start : lines.index(last, start) + 1]


def test_mcount_and_the_way_back_from_c_by_hand() -> None:
    found = by_path("6.12")
    assert found["_mcount", "not patched yet"] == Cost("_mcount", "not patched yet", 4, 0, 0)
    back = body("6.12", "bctrl", "blr")[1:]
    ours = [line for line in back if "EMIT_BUG_ENTRY" not in line]
    loads, stores = (sum(line.startswith(word) for line in ours) for word in ("ld\t", "std\t"))
    cost = found["ftrace_caller", "livepatch, back to A"]
    # The trap itself has a label before it.
    assert (cost.instructions, cost.loads, cost.stores) == (len(ours) + 1, loads, stores)
    assert cost == Cost("ftrace_caller", "livepatch, back to A", 12, 5, 1)


def test_an_instruction_more_is_one_more_on_its_way_only() -> None:
    text = emit_source(kernel("6.12")).text
    before = by_path("6.12")
    head = "_GLOBAL(ftrace_no_trace)\n"
    more = by_path("6.12", text.replace(head, f"{head}\tld\tr12, 16(r1)\n"))
    changed = {key for key, cost in before.items() if more[key] != cost}
    assert changed == {("ftrace_caller", "disabled"), ("ftrace_regs_caller", "disabled")}
    for key in changed:
        assert (more[key].instructions or 0) == (before[key].instructions or 0) + 1
        assert (more[key].loads or 0) == (before[key].loads or 0) + 1


def test_a_way_that_does_not_end_is_said() -> None:
    text = emit_source(kernel("6.12")).text.replace("_GLOBAL(ftrace_no_trace)\n", "_GLOBAL(ftrace_no_trace)\n\ttrap\n")
    cost = by_path("6.12", text)["ftrace_caller", "disabled"]
    assert (cost.instructions, cost.end) == (None, "trap at ftrace_no_trace")


@pytest.mark.parametrize(
    ("version", "paths"),
    [
        ("4.7", {"plain", "plain, no tracer", "plain, graph hook", "livepatch, to C", "livepatch, back to A"}),
        ("5.18", {"plain", "plain, no tracer", "livepatch, to C", "livepatch, back to A", "disabled"}),
    ],
)
def test_the_ways_of_a_kernel(version: str, paths: set[str]) -> None:
    assert {path for entry, path in by_path(version) if entry == "ftrace_caller"} == paths


def test_the_lean_entry_is_lean() -> None:
    found = by_path("6.18")
    for path in {path for entry, path in found if entry == "ftrace_caller"}:
        lean, full = found["ftrace_caller", path], found["ftrace_regs_caller", path]
        if "back to A" not in path:
            assert (lean.instructions or 0) < (full.instructions or 0)
            assert (lean.stores or 0) < (full.stores or 0)
