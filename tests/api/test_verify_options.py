"""`lpgen verify`: files, plans, interrupts, processes, kinds, and failures that were shrunk."""

from __future__ import annotations

import io
import json
import re
import shlex
import sys
from pathlib import Path

import pytest

from lpgen.cli import run
from lpgen.contract.suite import applicable
from lpgen.kernel.generations import kernel as kernel_facts
from lpgen.source.emit import emit_source
from tests.commands.tools import on_terminal
from tests.contract.must_fail import ALL, KERNEL

G1_STATEMENTS = applicable(kernel_facts("4.7"))

WRONG = {wrong.name: wrong for wrong in ALL}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with good.S and wrong.S."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COLUMNS", raising=False)
    Path("good.S").write_text(emit_source(KERNEL).text)
    Path("wrong.S").write_text(WRONG["handler_pushes_a_frame"].text())
    return tmp_path


def _lpgen(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, str, str]:
    capsys.readouterr()
    code = run(["verify", *args])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_a_file_and_standard_input(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code, from_file, _ = _lpgen(capsys, "good.S", "--callers", "100")
    assert code == 0
    stdin = io.TextIOWrapper(io.BytesIO(Path("good.S").read_bytes()))
    monkeypatch.setattr(sys, "stdin", stdin)
    code, from_stdin, _ = _lpgen(capsys, "-", "--callers", "100")
    assert (code, from_stdin) == (0, from_file)


def test_a_failure_is_shrunk_and_its_last_line_shows_it_again(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = _lpgen(capsys, "wrong.S")
    assert code == 1
    failures = [part for part in out.split("\n\n") if " broken " in part]
    assert len(failures) >= 4
    for failure in failures:
        id_ = failure.split()[0]
        lines = failure.splitlines()
        assert lines[-1].startswith("  again        lpgen verify wrong.S --kernel 4.7 --plan '")
        assert re.search(r"^  first seen   #\d+ \S+  \(--only \d+\)$", failure, re.MULTILINE)
        assert all(len(line) <= 80 for line in lines[:-1])
        code, again, _ = _lpgen(capsys, *shlex.split(lines[-1])[3:])
        assert code == 1
        assert f"\n{id_} broken " in again
        assert "\n1 caller, " in again
    x3 = next(failure for failure in failures if failure.startswith("X3"))
    assert "\n  caller       void f(long a1, long a2," in x3
    assert "\n  values       a1 = 0x" in x3


def test_not_shrunk(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = _lpgen(capsys, "wrong.S", "--no-shrink")
    assert code == 1
    again = [line for line in out.splitlines() if line.startswith("  again")]
    assert again
    assert all(re.search(r" --only \d+$", line) for line in again)
    assert "first seen" not in out


def test_an_interrupted_failure_names_the_instruction(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("late.S").write_text(WRONG["handler_lowers_for_a_moment"].text())
    code, out, _ = _lpgen(capsys, "late.S", "--callers", "1", "--interrupts")
    assert code == 1
    assert re.search(r"\n  interrupted  before livepatch_handler\+0x[0-9a-f]+: \S.*\n", out)
    assert " --plan 'void f() seed=1 nip=patch interrupt=" in out
    code, out, _ = _lpgen(capsys, "late.S", "--callers", "1", "--interrupts", "--no-shrink")
    again = next(line for line in out.splitlines() if line.startswith("  again"))
    assert re.search(r" --only \d+ --at \d+:(calls|switch|frame)$", again)
    code, out, _ = _lpgen(capsys, *shlex.split(again)[3:])
    assert code == 1
    assert "1 interrupted\n" in out


def test_every_boundary(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = _lpgen(capsys, "--interrupts")
    assert code == 0
    said = " ".join(out.split())
    found = re.search(r"([\d,]+) interrupted: several ways of calling at every boundary, in every mode", said)
    assert found is not None
    assert int(found[1].replace(",", "")) > 3000
    assert f"holds: all {len(G1_STATEMENTS)} statements" in out


def test_the_default_says_that_interrupts_are_a_sample(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = _lpgen(capsys)
    assert code == 0
    assert "interrupted: a sample (all boundaries: --interrupts)" in " ".join(out.split())
    assert "(seen as documented)" in out
    found = re.search(r"^executed (\d+) of (\d+) instructions, (\d+) of (\d+) branches both ways$", out, re.MULTILINE)
    assert found is not None
    assert (found[1], found[3]) == (found[2], found[4])


def test_what_was_not_executed_is_named(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = _lpgen(capsys, "--only", "0")
    assert code == 0
    assert "  not executed: " in out
    assert re.search(r"\S+ to livepatch_handler\+0x[0-9a-f]+", " ".join(out.split()))


def test_kinds(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = _lpgen(capsys, "--kinds")
    assert code == 0
    tables = [part for part in out.split("\n\n") if "\nvariadic " in part]
    heads = [id_ for table in tables for id_ in table.splitlines()[0].split()]
    assert heads == list(G1_STATEMENTS)
    assert all(len(line) <= 80 for table in tables for line in table.splitlines())
    code, out, _ = _lpgen(capsys, "--json")
    document = json.loads(out)
    row = next(line for line in tables[0].splitlines() if line.startswith("variadic "))
    assert [int(word) for word in row.split()[1:]] == [s["kinds"]["variadic"] for s in document["statements"]][:8]
    assert document["coverage"]["missed"] == []
    assert document["coverage"]["executed"] == document["coverage"]["instructions"]


def test_json_is_the_same_for_any_number_of_processes(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    outs = {_lpgen(capsys, "wrong.S", "--json", "--callers", "200", "--jobs", jobs)[1] for jobs in ("1", "2", "3")}
    assert len(outs) == 1
    failure = next(f for f in json.loads(outs.pop())["failures"] if f["statement"] == "X3")
    assert failure["shrunk"]
    assert failure["plan_text"].startswith("void f(long*9) ")
    assert len(failure["values"]) == 9
    assert failure["first_seen"].endswith(f"--only {failure['case']}")


def test_json_of_a_plan_has_no_case(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = _lpgen(capsys, "wrong.S", "--json", "--plan", "void f() nip=patch")
    assert code == 1
    failure = json.loads(out)["failures"][0]
    assert (failure["case"], failure["first_seen"], failure["shrunk"]) == (None, None, False)
    assert failure["command"].endswith("--plan 'void f() seed=0 nip=patch'")


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["--plan", "long f("], "lpgen: plan, column 8: expected a type, not the end"),
        (["--plan", "void f() spill nip=patch"], "lpgen: not a plan: spill"),
        (["--plan", "void f() nip=patch", "--config", "CONFIG_LIVEPATCH=n"], "no livepatch"),
        (["--plan", "void f()", "--only", "3"], "--only and --plan exclude each other"),
        (["--plan", "void f()", "--callers", "3"], "--callers and --plan exclude each other"),
        (["--only", "3", "--interrupts"], "--only and --interrupts exclude each other"),
        (["--at", "3:frame"], "add --only N"),
        (["--only", "3", "--at", "3"], "--at '3': not a boundary"),
        (["--only", "3", "--at", "0:frame"], "--at '0:frame': not a boundary"),
        (["--only", "3", "--at", "3:nmi"], "one of frame, calls, switch"),
        (["good.S", "--templates", "x"], "FILE and --templates exclude each other"),
        (["good.S", "--style", "standalone"], "--style is for what lpgen emits"),
        (["none.S"], "lpgen: none.S: cannot be read: no such file or directory"),
        (["--jobs", "0"], "--jobs"),
    ],
)
def test_input_errors(here: Path, capsys: pytest.CaptureFixture[str], args: list[str], says: str) -> None:
    code, out, err = _lpgen(capsys, *args)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert says in err


def test_a_boundary_in_each_mode(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for mode in ("frame", "calls", "switch"):
        code, out, _ = _lpgen(capsys, "--only", "84", "--at", f"30:{mode}")
        assert (code, "1 interrupted" in out) == (0, True)


def test_progress_on_a_terminal(here: Path) -> None:
    code, shown = on_terminal("verify", "--callers", "3200", "--jobs", "2", cwd=here)
    assert code == 0
    assert b"/3200" in shown
