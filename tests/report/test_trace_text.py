"""What is shown of a trace is what was accepted: tests/report/traces holds it; LPGEN_UPDATE=1 writes it anew."""

from __future__ import annotations

import os
from difflib import unified_diff
from pathlib import Path

import pytest

from lpgen.api import plan_case
from lpgen.assembly import Unit, assemble
from lpgen.assembly.kernel_text import defines, headers
from lpgen.kernel.generations import kernel
from lpgen.machine.cases import case, special_cases
from lpgen.report.trace_result import TraceResult
from lpgen.report.trace_text import View, plain_trace, trace_lines
from lpgen.trace.build import trace_call
from lpgen.trace.fold import rows
from tests.contract.must_fail import ALL
from tests.trace.truth import unit_of

HERE = Path(__file__).parent / "traces"
NINE = "long f(long*9) seed=0"
# name: kernel, plan, broken trampoline ("" for none), view, columns
SHOWN = {
    "4.7-traced": ("4.7", NINE, "", View(), 80),
    "4.7-values": ("4.7", "int f(int) seed=1 link", "", View(values=True), 120),
    "4.7-unfolded": ("4.7", f"{NINE} nip=patch", "", View(fold=False), 120),
    "4.7-graph": ("4.7", "int f(int) seed=1 graph", "", View(), 100),
    "4.7-broken": ("4.7", f"{NINE} nip=patch", "handler_loses_r2", View(), 80),
    "6.12-patched": ("6.12", f"{NINE} nip=patch", "", View(), 120),
    "6.18-direct": ("6.18", "long f(long*2) seed=5 direct=2 home_b=1", "", View(), 120),
    "6.18-interrupt": ("6.18", f"{NINE} nip=patch interrupt=60:calls[int f(int) seed=3 nip=patch]", "", View(), 100),
    "4.7-turns": ("4.7", "int f(int) seed=3 nip=patch beside=[int f(int) seed=4 nip=patch thread=1]", "", View(), 100),
}


def result_of(version: str, plan: str, broken: str) -> TraceResult:
    made = kernel(version)
    unit = next(wrong for wrong in ALL if wrong.name == broken).unit() if broken else unit_of(version)
    one = plan_case(made, plan)
    return TraceResult(trace_call(made, unit, one.plan, case=one), unit, "lpgen trace ...", "lpgen verify ...")


@pytest.mark.parametrize("name", SHOWN)
def test_the_text_is_the_one_that_was_accepted(name: str) -> None:
    version, plan, broken, view, width = SHOWN[name]
    text = plain_trace(result_of(version, plan, broken), view, width)
    assert all(len(line) <= width and line == line.rstrip() for line in text.splitlines())
    path = HERE / f"{name}.txt"
    if os.environ.get("LPGEN_UPDATE"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    old = path.read_text() if path.is_file() else ""
    if old != text:
        shown = "\n".join(unified_diff(old.splitlines(), text.splitlines(), path.name, "shown now", lineterm=""))
        pytest.fail(f"{shown}\n\nto accept: LPGEN_UPDATE=1 .venv/bin/pytest tests/report", False)


def test_every_file_is_one_that_is_shown() -> None:
    assert {path.stem for path in HERE.iterdir()} == set(SHOWN)


@pytest.mark.parametrize("version", ["4.7", "6.18"])
def test_at_any_width_each_step_is_there_once(version: str) -> None:
    made = kernel(version)
    one = next(c for n in range(special_cases(made)) if (c := case(made, n)).name == "patched-nested-1")
    result = TraceResult(trace_call(made, unit_of(version), one.plan, case=one), unit_of(version), "x", "y")
    folded = list(rows(result.trace.events))
    assert [event for row in folded for event in row.events] == result.trace.events
    assert len(folded) < len(result.trace.events) * 4 // 5
    for width in (60, 80, 95, 112, 160):
        numbers = [line.plain[:5].strip() for line in trace_lines(result, View(), width)]
        assert [int(n) for n in numbers if n.isdecimal()] == [row.events[0].number for row in folded]


PUSH = "\tstdu\tr1, -SWITCH_FRAME_SIZE(r1)"


def wrong(instead: str) -> Unit:
    made = kernel("4.7")
    from lpgen.source.emit import emit_source

    text = emit_source(made).text
    assert text.count(PUSH) == 1
    text = text.replace(PUSH, instead)
    return assemble(text, name="x.S", headers=headers(made), defines=defines(made), isolated=False)


@pytest.mark.parametrize(
    ("instead", "said", "most"),
    [
        ("\tb .", "more rounds of these 1 instructions; --unfold shows them", 60),
        (f"{PUSH}\n77:\tstd r3,-16(r1)\n\tb 77b", "rounds of these 2 instructions", 60),
        (f"{PUSH}\n77:\n" + "\tstd r3,-16(r1)\n" * 3000 + "\tb 77b", "it loops at ftrace_caller+", 26000),
        ("\tli r1,0", "store to unmapped at ftrace_caller+0x8, address 0x70", 60),
        ("\tmr r1,r13", "BROKEN in this call: ", 300),
        ("\taddi r1,r1,64", "r1 = 64(A's frame)", 300),
        ("\taddi r1,r1,-3", "r1 = frame of 3 bytes", 300),
        ("\tstd r1,-464(r1)\n\taddi r1,r1,-464", "r1 = frame with pt_regs", 300),
        ("\tsc", "system call at ftrace_caller+0x4", 60),
        ("\ttrap", "trap at ftrace_caller+0x4", 60),
        ("\t.long 0", "illegal instruction at ftrace_caller+0x4", 60),
        ("\tli r11,4\n\tmtctr r11\n\tbctr", "fetch from unmapped", 60),
    ],
)
def test_hostile_code_is_shown_in_bounds(instead: str, said: str, most: int) -> None:
    made = kernel("4.7")
    one = plan_case(made, f"{NINE} nip=patch")
    unit = wrong(instead)
    trace = trace_call(made, unit, one.plan, case=one)
    text = plain_trace(TraceResult(trace, unit, "x", "y"), View())
    assert said in text
    assert len(text.splitlines()) < most
    for event in trace.events:
        assert sum(placed.frame.size for placed in event.frames) <= 1 << made.thread_shift


def test_a_runaway_leaves_the_registers_that_it_had() -> None:
    """Its last step changes nothing that the code does not."""
    made = kernel("4.7")
    one = plan_case(made, NINE)
    trace = trace_call(made, wrong(f"{PUSH}\n\tli r3,5\n77:\taddi r3,r3,1\n\tb 77b"), one.plan, case=one)
    changed = {change.register for event in trace.events[9:] for change in event.registers}
    assert changed == {"r3"}
    assert trace.events[-1].text == "it loops at ftrace_caller+0xc"
