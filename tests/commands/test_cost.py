"""lpgen cost."""

from __future__ import annotations

import json
from pathlib import Path

from tests.commands.tools import Here


def test_the_table(lpgen: Here) -> None:
    ran = lpgen("cost", "--kernel", "6.12")
    lines = ran.out.splitlines()
    assert (ran.code, ran.err) == (0, "")
    assert lines[0] == "kernel 6.12, generation G9; offsets: layout L4, default paca"
    assert lines[1].split() == ["entry", "path", "instructions", "loads", "stores"]
    assert lines[2].split()[:2] == ["ftrace_regs_caller", "plain"]
    assert len({len(line) for line in lines[1:]}) == 1
    assert lpgen("cost", "--kernel", "6.12", "--config", "CONFIG_LIVEPATCH=n").out.count("livepatch") == 0


def test_a_file_is_compared(lpgen: Here) -> None:
    assert lpgen("emit", "--kernel", "6.12", "--out", "mine.S").code == 0
    text = Path("mine.S").read_text()
    Path("mine.S").write_text(text.replace("_GLOBAL(ftrace_stub)\n", "_GLOBAL(ftrace_stub)\n\tnop\n"))
    ran = lpgen("cost", "--kernel", "6.12", "mine.S")
    rows = [line for line in ran.out.splitlines() if "no tracer" in line]
    assert all("(+1)" in row and row.count("(=)") == 2 for row in rows)
    assert sum("(+1)" in line for line in ran.out.splitlines()) == 2
    document = json.loads(lpgen("cost", "--kernel", "6.12", "mine.S", "--json").out)
    assert document["schema"] == "lpgen.cost/1"
    more = [c["instructions"] - o["instructions"] for c, o in zip(document["costs"], document["own"], strict=True)]
    assert more.count(1) == 2
    assert more.count(0) == len(more) - 2


def test_a_way_without_an_end_is_exit_1(lpgen: Here) -> None:
    assert lpgen("emit", "--kernel", "6.12", "--out", "mine.S").code == 0
    text = Path("mine.S").read_text()
    Path("mine.S").write_text(text.replace("_GLOBAL(_mcount)\n", "_GLOBAL(_mcount)\n\ttrap\n"))
    ran = lpgen("cost", "--kernel", "6.12", "mine.S")
    assert ran.code == 1
    (row,) = (line for line in ran.out.splitlines() if "not patched yet" in line)
    assert row.split()[-6:] == ["-", "-", "-", "trap", "at", "mcount"]


def test_errors(lpgen: Here) -> None:
    assert "FILE and --templates exclude each other" in lpgen("cost", "x.S", "--templates", "t").error_line
    assert "x.S: cannot be read" in lpgen("cost", "x.S").error_line
    assert "series ended" in lpgen("cost", "--kernel", "4.99").error_line
