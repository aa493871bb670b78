"""`lpgen verify --replay`: a counterexample of `lpgen prove`, in the emulator."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from lpgen.api import trampolines
from lpgen.contract.replay import Replay, code_hash, replay_text
from lpgen.kernel.generations import kernel
from lpgen.machine.values import Values
from tests.commands.test_verify import KEYS
from tests.commands.tools import Here
from tests.contract.must_fail import ALL

PLAN = "void f() seed=3 nip=patch"
WORDS = next(wrong for wrong in ALL if wrong.name == "caller_compares_words")
# B goes on at 0xc000000000040848; this differs from it in the upper half only.
NIP = 0xC000010000040848


@pytest.fixture
def wrong(lpgen: Here) -> Here:
    """lpgen beside wrong.S, which compares the lower halves of nip, and the counterexample x3.json."""
    Path("wrong.S").write_text(WORDS.text())
    unit = trampolines(WORDS.kernel, source="wrong.S")
    replay = Replay("X3", "C is entered without livepatch_handler", code_hash(unit), PLAN, Values(nip=NIP))
    Path("x3.json").write_text(replay_text(replay))
    return lpgen


def test_the_statement_is_broken_as_the_file_says(wrong: Here) -> None:
    ran = wrong("verify", "wrong.S", "--kernel", "4.7", "--replay", "x3.json")
    assert (ran.code, ran.err) == (1, "")
    assert "X3 broken at C's entry: where it went\n" in ran.out
    assert f"\n  chosen       C at {NIP:#x}\n" in ran.out
    last = ran.out.splitlines()[-2:]
    assert last == ["BROKEN: X3, L2, L3, L4, L5", "replayed: X3 is broken, as lpgen prove said"]
    again = next(line for line in ran.out.splitlines() if line.startswith("  again"))
    assert again.endswith(" lpgen verify wrong.S --kernel 4.7 --replay x3.json")
    repeated = wrong(*shlex.split(again)[2:])
    assert (repeated.code, repeated.out) == (1, ran.out)


def test_another_broken_statement_is_not_the_one_that_the_file_names(wrong: Here) -> None:
    Path("x3.json").write_text(Path("x3.json").read_text().replace('"X3"', '"T1"'))
    ran = wrong("verify", "wrong.S", "--replay", "x3.json")
    assert ran.code == 1
    assert ran.out.splitlines()[-2] == "BROKEN: X3, L2, L3, L4, L5"
    assert ran.out.splitlines()[-1].startswith("replayed: T1 holds in this call: ")


def test_right_code_is_a_disagreement(lpgen: Here) -> None:
    for version, options in (("4.7", []), ("6.12", ["--kernel", "6.12"])):
        replay = Replay("X3", "", code_hash(trampolines(kernel(version))), PLAN, Values(nip=NIP, entry={"r14": 5}))
        Path("x.json").write_text(replay_text(replay))
        ran = lpgen("verify", *options, "--replay", "x.json")
        assert (ran.code, ran.err) == (1, "")
        first, last = ran.out.splitlines()[-2:]
        assert first.startswith("holds: ")
        disagree = "the proof's model and the emulator disagree; please report it"
        assert last == f"replayed: X3 holds in this call: {disagree}"
        assert "\n1 caller, seed 0; each watched at every instruction, 0 interrupted\n" in ran.out


def test_json(wrong: Here) -> None:
    ran = wrong("verify", "wrong.S", "--replay", "x3.json", "--json")
    assert (ran.code, ran.err) == (1, "")
    document = json.loads(ran.out)
    written = json.loads(Path("x3.json").read_text())
    assert {key: type(value) for key, value in document.items()} == KEYS | {"replay": dict}
    said = {name: written[name] for name in ("statement", "what", "code")}
    assert document["replay"] == {"file": "x3.json", **said, "broken": True}
    assert document["failures"][0]["statement"] == "X3"
    assert document["failures"][0]["command"] == "lpgen verify wrong.S --kernel 4.7 --replay x3.json"
    assert not document["failures"][0]["shrunk"]


def test_other_code_is_refused(wrong: Here) -> None:
    line = wrong("verify", "--replay", "x3.json").error_line
    assert line.startswith(
        "lpgen: x3.json: was made for other code than the .text of entry_64.S; give the FILE, --kernel"
    )


@pytest.mark.parametrize(
    "others",
    [["--only", "1"], ["--plan", PLAN], ["--callers", "5"], ["--interrupts"], ["--callers", "5", "--interrupts"]],
)
def test_it_is_the_only_caller(wrong: Here, others: list[str]) -> None:
    line = wrong("verify", "wrong.S", "--replay", "x3.json", *others).error_line
    assert f"{others[0]} and " in line
    assert "--replay exclude each other" in line


def test_a_bad_file_is_one_line(wrong: Here) -> None:
    Path("bad.json").write_text('{"schema": "lpgen.replay/1",\n "nip": }')
    assert wrong("verify", "--replay", "bad.json").error_line == (
        "lpgen: bad.json:2: is not JSON: Expecting value, column 9; give a file that `lpgen prove` wrote"
    )
    assert wrong("verify", "--replay", "none.json").error_line.startswith("lpgen: none.json: cannot be read: no such")
    assert wrong("verify", "--replay", ".").error_line.startswith("lpgen: .: cannot be read: is a directory")
    assert wrong("verify", "--replay", "").error_line.startswith("lpgen: --replay names no file")
