"""`lpgen prove`: where its replays go, and that one line says what is wrong with that."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.commands.tools import Here
from tests.contract.must_fail import ALL

WORDS = next(wrong for wrong in ALL if wrong.name == "caller_compares_words")
WRONG = ("prove", "wrong.S", "--kernel", "4.7")


@pytest.fixture
def wrong(lpgen: Here) -> Here:
    Path("wrong.S").write_text(WORDS.text())
    return lpgen


def test_the_directory_is_made_when_there_is_something_to_write(wrong: Here) -> None:
    ran = wrong(*WRONG)
    assert ran.code == 1
    assert "REFUTED: X3" in ran.out
    assert Path("out/prove-X3.json").exists()


def test_nothing_is_written_for_what_is_proved(lpgen: Here) -> None:
    assert lpgen("prove", "--kernel", "4.7").code == 0
    assert not Path("out").exists()


@pytest.mark.parametrize("out", ["file", "file/below"])
def test_a_file_is_no_directory(wrong: Here, out: str) -> None:
    Path("file").write_text("")
    ran = wrong(*WRONG, "--out-dir", out)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == "lpgen: file: is a file, not a directory; name a directory\n" if out == "file" else ran.err


def test_no_call_was_tried_and_so_nothing_is_said_of_one(wrong: Here) -> None:
    ran = wrong(*WRONG, "--no-replay")
    assert "X3 refuted" in ran.out
    assert "no call that was tried" not in ran.out
