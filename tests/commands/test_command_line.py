"""The command group: help with examples, completion, what is loaded and what is not."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from lpgen import __version__
from lpgen.cli import COMMANDS
from tests.commands.tools import Here, environment, program

HEAVY = ("unicorn", "keystone", "capstone", "rich", "pcpp", "elftools", "watchfiles")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example_of_itself(lpgen: Here, name: str) -> None:
    ran = lpgen(name, "--help")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith(f"Usage: lpgen {name} ")
    assert re.search(rf"Examples?:\n +(lpgen .*\| )?lpgen {name}\b", ran.out)
    assert max(map(len, ran.out.splitlines())) <= 100
    assert lpgen(name, "-h").out == ran.out


def test_help_of_the_group(lpgen: Here) -> None:
    ran = lpgen("--help")
    assert (ran.code, ran.err) == (0, "")
    for name in COMMANDS:
        assert f"\n  {name} " in ran.out
    assert "Exit codes: 0" in ran.out
    assert "Example:\n" in ran.out


def test_examples_of_options_are_accepted(lpgen: Here) -> None:
    text = "".join(lpgen(name, "--help").out for name in COMMANDS)
    for option in set(re.findall(r"(?<=\s)--[a-z-]+", text)):
        assert any(re.search(rf"^ +(-\w, )?{option}\b", lpgen(name, "--help").out, re.M) for name in COMMANDS), option


def test_no_arguments_is_usage(lpgen: Here) -> None:
    ran = lpgen()
    assert ran.code == 2
    assert "Usage: lpgen" in ran.err
    assert ran.out == ""


def test_version(lpgen: Here) -> None:
    assert lpgen("--version").out == f"lpgen, version {__version__}\n"


@pytest.mark.parametrize(
    "args",
    [
        ["--help"],
        ["--version"],
        ["emit", "--out", "x"],
        ["emit", "--help"],
        ["offsets"],
        ["kernels"],
        ["kernels", "6.1"],
        ["diff", "4.7", "4.12"],
    ],
)
def test_what_is_not_used_is_not_loaded(tmp_path: Path, args: list[str]) -> None:
    code = (
        "import sys; from lpgen.cli import run; code = run(sys.argv[1:]); "
        f"print(sorted(set(sys.modules) & set({HEAVY!r})), file=sys.stderr); sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *args],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0
    assert done.stderr.splitlines()[-1] == "[]"


def test_help_loads_no_template_engine(tmp_path: Path) -> None:
    code = "import sys; from lpgen.cli import run; run(['--help']); print('jinja2' in sys.modules, file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stderr == "False\n"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_script(tmp_path: Path, shell: str) -> None:
    ran = program(cwd=tmp_path, _LPGEN_COMPLETE=f"{shell}_source")
    assert ran.code == 0
    assert "_LPGEN_COMPLETE=" in ran.out
    assert "lpgen" in ran.out


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("lpgen ", list(COMMANDS)),
        ("lpgen ver", ["verify"]),
        ("lpgen emit --st", ["--style"]),
        ("lpgen emit --style s", ["standalone"]),
        ("lpgen verify --c", ["--callers", "--config", "--cpp"]),
        ("lpgen nope --", ["--version", "--help"]),
    ],
)
def test_completion(tmp_path: Path, words: str, expected: list[str]) -> None:
    ran = program(
        cwd=tmp_path, _LPGEN_COMPLETE="bash_complete", COMP_WORDS=words, COMP_CWORD=str(len(words.split(" ")) - 1)
    )
    assert [line.partition(",")[2] for line in ran.out.splitlines()] == expected
    assert ran.err == ""


def test_doctor(lpgen: Here) -> None:
    ran = lpgen("doctor")
    assert ran.code == 0, ran.out
    assert "BROKEN" not in ran.out
    assert re.search(r"^  unicorn +\d", ran.out, re.MULTILINE)
    assert ran.out.endswith("lpgen works here\n")


def test_doctor_names_what_is_missing(lpgen: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(lpgen.directory))
    monkeypatch.setattr("lpgen.commands.doctor.PACKAGES", ("click", "no-such-package"))
    ran = lpgen("doctor")
    assert ran.code == 1
    assert "  no-such-package  MISSING: pip install no-such-package\n" in ran.out
    assert (
        "qemu-ppc64le               not found: no tests that run compiled programs (Debian: apt-get install qemu-user)"
        in ran.out
    )
    assert ran.out.endswith("lpgen does NOT work here\n")


def test_doctor_says_which_engine_is_broken(lpgen: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lpgen.machine.selftest.selftest", lambda: [("a check", False, "seen 7")])
    ran = lpgen("doctor")
    assert ran.code == 1
    assert "  BROKEN  a check: seen 7\n" in ran.out
