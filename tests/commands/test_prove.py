"""lpgen prove on the command line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from lpgen.contract.statements import STATEMENTS
from tests.commands.tools import Here
from tests.contract.must_fail import ALL


def _wrong(name: str, path: Path) -> Path:
    path.write_text(next(w for w in ALL if w.name == name).text())
    return path


def test_what_is_emitted_is_proved(lpgen: Here) -> None:
    ran = lpgen("prove", "--kernel", "6.12")
    assert ran.code == 0
    assert ran.out.endswith("proved: all 17 statements, for all inputs, on every path\n")
    for id_ in STATEMENTS:
        verdict = "n/a" if id_ in ("S6", "S7", "S8") else "proved"
        assert any(line.startswith(f"{id_:3} ") and verdict in line for line in ran.out.splitlines()), id_
    assert not list(lpgen.directory.iterdir())


def test_a_refutation_is_written_and_replayed(lpgen: Here) -> None:
    file = _wrong("caller_compares_words", lpgen.directory / "words.S")
    ran = lpgen("prove", "words.S", "--out-dir", "found")
    assert ran.code == 1
    assert "\nX3 refuted: where it went\n" in ran.out
    assert ran.out.endswith("\nREFUTED: X3\n")
    again = next(line for line in ran.out.splitlines() if line.startswith("  replay ")).split()[2:]
    assert again == ["verify", "words.S", "--kernel", "4.7", "--replay", "found/prove-X3.json"]
    assert [path.name for path in (lpgen.directory / "found").iterdir()] == ["prove-X3.json"]
    replayed = lpgen(*again)
    assert replayed.code == 1
    assert replayed.out.endswith("replayed: X3 is broken, as lpgen prove said\n")
    file.write_text(file.read_text() + "\tnop\n")
    assert "was made for other code" in lpgen(*again).error_line


def test_no_replay_writes_nothing(lpgen: Here) -> None:
    _wrong("handler_loses_r2", lpgen.directory / "r2.S")
    ran = lpgen("prove", "r2.S", "--no-replay")
    assert ran.code == 1
    assert [path.name for path in lpgen.directory.iterdir()] == ["r2.S"]


def test_json(lpgen: Here) -> None:
    _wrong("handler_checks_half_the_marker", lpgen.directory / "half.S")
    ran = lpgen("prove", "half.S", "--json")
    assert ran.code == 1
    said = json.loads(ran.out)
    assert said["schema"] == "lpgen.prove/1"
    assert (said["holds"], said["refuted"], said["undecided"]) == (False, ["L4"], [])
    assert {s["id"]: s["verdict"] for s in said["statements"]} == {
        id_: "not applicable" if id_ in ("S6", "S7", "S8m", "S8r") else "refuted" if id_ == "L4" else "proved"
        for id_ in STATEMENTS
    }
    (one,) = said["refutations"]
    assert one["statement"] == "L4"
    assert one["replay"]["schema"] == "lpgen.replay/1"
    assert one["path"][0] == "ftrace_caller"
    # Of the marker the lower half is right, and only that.
    marker = int(one["values"]["c.marker"], 16)
    assert marker & 0xFFFFFFFF == 0x57AC6E9D != marker
    assert one["file"] == str(Path("out/prove-L4.json"))
    assert {"name", "text", "guard"} == set(said["assumptions"][0])


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["missing.S"], "missing.S: cannot be read"),
        (["--kernel", "4.6"], "4.6"),
        (["x.S", "--templates", "t"], "exclude each other"),
        (["x.S", "--style", "standalone"], "--style is for what lpgen emits"),
        (["--out-dir", ""], "--out-dir names no directory"),
        (["--cpp"], "--cpp is for a FILE"),
        (["empty.S"], "empty.S: is empty"),
    ],
)
def test_bad_input(lpgen: Here, args: list[str], says: str) -> None:
    (lpgen.directory / "x.S").write_text("nop\n")
    (lpgen.directory / "empty.S").write_text("")
    assert says in lpgen("prove", *args).error_line


def test_an_instruction_that_is_not_modelled_has_its_place(lpgen: Here) -> None:
    text = next(w for w in ALL if w.name == "handler_loses_r2").text()
    (lpgen.directory / "x.S").write_text(text.replace("\tmfmsr\tr10\n", "\tmfmsr\tr10\n\tlwarx r10, 0, r1\n"))
    line = lpgen("prove", "x.S").error_line
    number = text.split("\n").index("\tmfmsr\tr10") + 2
    assert line.startswith(f"lpgen: x.S:{number}: lwarx")
    assert "the prover does not know this instruction" in line


def test_where_the_replay_cannot_be_written(lpgen: Here) -> None:
    _wrong("handler_loses_r2", lpgen.directory / "r2.S")
    (lpgen.directory / "out").write_text("a file")
    ran = lpgen("prove", "r2.S")
    assert "out" in ran.error_line
    assert (lpgen.directory / "out").read_text() == "a file"


def test_without_the_solver_it_says_what_to_install() -> None:
    code = "import sys; sys.modules['z3'] = None\nfrom lpgen.cli import run; sys.exit(run(['prove']))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert "pip install z3-solver" in done.stderr
