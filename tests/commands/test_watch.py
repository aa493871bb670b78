"""lpgen emit --watch, as a program: a template is saved, and what comes of it is read."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import selectors
import shutil
import signal
import subprocess
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lpgen.campaign.rounds import first_callers, killers_of, rounds
from lpgen.commands.watching import Watched
from lpgen.contract.suite import Suite, default_callers
from lpgen.kernel.generations import kernel
from lpgen.report.watch_text import round_line
from tests.commands.tools import LPGEN, ROOT, Here, environment
from tests.contract.must_fail import ALL

TEMPLATE = "livepatch_handler.S.j2"
TEXT = (ROOT / "templates" / TEMPLATE).read_text()
# The frame is taken off the livepatch stack before it is read back.
BROKEN = TEXT.replace(
    "\tld\tr0, -16(r11)\n\tld\tr2, -24(r11)\n\taddi\tr11, r11, -24\n\tmtlr\tr0\n\tstd\tr11, TI_livepatch_sp(r12)\n",
    "\taddi\tr11, r11, -24\n\tstd\tr11, TI_livepatch_sp(r12)\n\tld\tr0, 8(r11)\n\tld\tr2, 0(r11)\n\tmtlr\tr0\n",
)
# However slow the machine is.
PATIENCE = 120


class Program:
    """A running `lpgen emit --watch` in ``directory``, whose templates are in own/."""

    def __init__(self, directory: Path, *args: str) -> None:
        self.directory = directory
        self.template = directory / "own" / TEMPLATE
        self.template.parent.mkdir()
        self.template.write_text(TEXT)
        self.out = directory / "out.S"
        self.shown = ""
        self.child = subprocess.Popen(
            [*LPGEN, "emit", "--watch", "--out", "out.S", *args],
            cwd=directory,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        assert self.child.stdout is not None
        self.pipe = self.child.stdout.fileno()
        self.waiting = selectors.DefaultSelector()
        self.waiting.register(self.pipe, selectors.EVENT_READ)

    def until(self, pattern: str) -> str:
        """Return what was printed up to the line that matches ``pattern``, which is then forgotten."""
        deadline = time.monotonic() + PATIENCE
        while (match := re.search(rf"^.*(?:{pattern}).*\n", self.shown, re.MULTILINE)) is None:
            assert self.waiting.select(deadline - time.monotonic()), f"no {pattern!r} in {self.shown!r}"
            part = os.read(self.pipe, 65536)
            assert part, f"ended without {pattern!r}: {self.shown!r}"
            self.shown += part.decode()
        before, self.shown = self.shown[: match.end()], self.shown[match.end() :]
        return before

    def save(self, text: str) -> None:
        """Save the template as an editor does: a new file is renamed over the old one, which is kept as a backup."""
        shutil.copy(self.template, self.template.with_name(f"{TEMPLATE}~"))
        scratch = self.template.with_name(f".{TEMPLATE}.swp")
        scratch.write_text(text)
        scratch.replace(self.template)

    def stop(self) -> int:
        self.child.send_signal(signal.SIGINT)
        rest, _ = self.child.communicate(timeout=PATIENCE)
        self.shown += rest.decode()
        return self.child.returncode


@pytest.fixture
def start(tmp_path: Path) -> Iterator[list[Program]]:
    programs: list[Program] = []
    yield programs
    for program in programs:
        if program.child.poll() is None:
            program.child.kill()
        program.child.communicate()


def test_save_break_mend_stop(tmp_path: Path, start: list[Program]) -> None:
    program = Program(tmp_path, "--templates", "own")
    start.append(program)
    first = program.until(r"holds: all 16 statements \(620 callers, \d+\.\d\d s\)")
    assert re.search(r"^\d\d:\d\d:\d\d holds so far: all 16 statements \(\d\d of 620 callers, \d", first, re.MULTILINE)
    good = program.out.read_text()
    assert "\x1b" not in first

    assert BROKEN != TEXT
    program.save(BROKEN)
    said = program.until(r"BROKEN: [A-Z0-9, ]*\bL2\b.* of 620 callers, ")
    said += program.until(r"BROKEN: [A-Z0-9, ]*\bL2\b.* \(620 callers")
    assert program.out.read_text() != good
    line = TEXT[: TEXT.index("{% block pop %}")].count("\n") + 1
    assert re.search(
        r"^  L2 broken .*\n    expected     .*\n    seen         .*\n    instruction  livepatch_handler\+0x",
        said,
        re.MULTILINE,
    )
    blamed = re.search(rf"L2 broken .*(?:\n    .*)*?, own/{re.escape(TEMPLATE)}:(\d+)\n", said)
    assert blamed is not None
    assert line < int(blamed[1]) <= line + 6
    assert re.search(r"^    again        lpgen verify --kernel 4.7 --templates own --only \d+$", said, re.MULTILINE)
    broken = program.out.read_text()

    program.save(TEXT.replace("{% block pop %}", "{% block pop"))
    said = program.until("not emitted: ")
    assert re.search(rf"not emitted: own/{re.escape(TEMPLATE)}:\d+: template syntax: ", said)
    assert program.out.read_text() == broken

    program.template.write_text(TEXT)
    program.until(r"holds so far: all 16 statements")
    assert program.out.read_text() == good
    assert program.stop() == 130
    assert program.shown.endswith("lpgen: stopped\n")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.S", "own"]


def test_on_a_terminal_it_scrolls_and_ctrl_c_ends_it(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / TEMPLATE).write_text(TEXT)
    ours, theirs = pty.openpty()
    settings = termios.tcgetattr(theirs)
    child = subprocess.Popen(
        [*LPGEN, "emit", "--watch", "--templates", "own", "--out", "out.S"],
        cwd=tmp_path,
        env=environment(TERM="xterm-256color"),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    shown = b""
    while b"holds so far" not in shown:
        assert select.select([ours], [], [], PATIENCE)[0], shown
        shown += os.read(ours, 65536)
    os.write(ours, b"\x03")
    assert child.wait(PATIENCE) == 130
    while select.select([ours], [], [], 0)[0]:
        shown += os.read(ours, 65536)
    assert termios.tcgetattr(theirs) == settings
    os.close(theirs)
    os.close(ours)
    # Colours, and nothing else that moves or clears.
    assert re.sub(rb"\x1b\[[0-9;]*m", b"", shown).endswith(b"lpgen: stopped\r\n")
    assert {code[-1:] for code in re.findall(rb"\x1b\[[0-9;?]*.", shown)} == {b"m"}


def test_what_does_not_assemble(tmp_path: Path, start: list[Program]) -> None:
    program = Program(tmp_path, "--templates", "own")
    start.append(program)
    program.until("holds so far")
    program.save(TEXT.replace("\tbctrl\n", "\tbctrlx\n"))
    said = program.until("not judged: ")
    assert f"own/{TEMPLATE}:" in said or "entry_64.S:" in said
    program.save(TEXT)
    program.until("holds: all 16")
    # What is saved again as it was is not run again.
    program.save(TEXT)
    assert "the same text: holds: all 16 statements (620 callers, " in program.until("same text")
    program.template.unlink()
    program.until(f"own/{TEMPLATE} is gone")
    program.until(f"not emitted: own/{TEMPLATE}~: is no template of lpgen")
    assert program.stop() == 130


def test_offsets_that_were_named(tmp_path: Path, start: list[Program]) -> None:
    header = tmp_path / "asm-offsets.h"
    shown = subprocess.run(
        [*LPGEN, "offsets", "--format", "header"], env=environment(), capture_output=True, text=True, check=True
    )
    header.write_text(shown.stdout)
    program = Program(tmp_path, "--templates", "own", "--offsets", "asm-offsets.h")
    start.append(program)
    program.until("holds so far")
    header.write_text(shown.stdout.replace("#define PACATOC", "#define PACATOCK"))
    assert "asm-offsets.h" in program.until("not emitted: ")
    header.write_text(shown.stdout)
    program.until("holds so far")
    assert program.stop() == 130


def test_an_installed_copy_is_not_watched(lpgen: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lpgen.resources.checkout_templates", lambda: None)
    assert (
        "--watch: the shipped templates are an installed copy; give --templates" in lpgen("emit", "--watch").error_line
    )
    assert lpgen.tree() == {}


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--all"], "--watch writes one file: leave out --all"),
        (["--out", "-"], "--watch writes one file: leave out --out -"),
        (["--diff", "x"], "--watch writes one file: leave out --diff"),
        (["--out", ""], "--out names no file"),
        (["--templates", "none"], "none: is not a directory"),
    ],
)
def test_options_that_exclude_it(lpgen: Here, args: list[str], said: str) -> None:
    assert said in lpgen("emit", "--watch", *args).error_line
    assert lpgen.tree() == {}


def test_what_is_watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("own/a.j2", "own/below/b.j2", "own/.a.j2.swp", "own/a.j2~", "own/4913", "own/.git/c.j2", "own/out.S"):
        Path(name).parent.mkdir(exist_ok=True, parents=True)
        Path(name).touch()
    Path("config").touch()
    watched = Watched(lambda: kernel("4.7"), Path("own/out.S"), Path("own"), (Path("config"),), "kernel", False, str)
    ours = [path for path in watched.seen() if not path.is_relative_to(ROOT)]
    assert sorted(map(str, ours)) == ["config", "own/a.j2", "own/below/b.j2"]
    # In a checkout the shipped ones, which own/ extends, too.
    assert ROOT / "templates" / TEMPLATE in watched.seen()
    before = watched.seen()
    Path("new").write_text("")
    Path("new").replace("own/a.j2")
    assert watched.seen() != before


@pytest.mark.parametrize("version", ["4.7", "4.18", "5.18", "6.18"])
def test_the_first_callers_exercise_every_statement_and_each_runs_once(version: str) -> None:
    from lpgen.api import trampolines

    facts = kernel(version)
    unit = trampolines(facts)
    count = 0

    def tick() -> None:
        nonlocal count
        count += 1

    both = rounds(facts, unit, [7, 100_000], tick)
    first = next(both)
    assert first.callers == count == len({7, *first_callers(facts)})
    assert first.holds
    assert first.callers < default_callers(facts) / 5
    whole = next(both)
    plain = Suite(facts, unit).run(range(default_callers(facts)))
    assert whole.callers == count == plain.callers
    assert {s.id: (s.callers, s.checks) for s in whole.statements.values()} == {
        s.id: (s.callers, s.checks) for s in plain.statements.values()
    }


def test_killers_come_first() -> None:
    """A mistake that only a caller behind the first ones sees is seen by the first ones of the next round."""
    wrong = next(one for one in ALL if one.name == "handler_bound_too_strict")
    facts, unit = wrong.kernel, wrong.unit()
    both = rounds(facts, unit)
    assert next(both).broken == []
    whole = next(both)
    assert set(wrong.breaks) <= set(whole.broken)
    again = next(rounds(facts, unit, killers_of(whole)))
    assert again.broken == whole.broken


def test_a_line_says_no_more_than_was_run() -> None:
    from lpgen.api import trampolines

    facts = kernel("4.7")
    suite = Suite(facts, trampolines(facts))
    said = round_line(suite.run([0, 1]), 620, 0.123)
    assert re.fullmatch(r"holds so far: \d+ of 16 statements \(2 of 620 callers, 0\.12 s\)", said)
    assert re.fullmatch(
        r"NOT SHOWN: no caller exercised .*L4.* \(2 callers, 1\.00 s\)", round_line(suite.run([0, 1]), 2, 1)
    )
    whole = suite.run(first_callers(facts))
    assert round_line(whole, whole.callers, 1, ifdef=True) == (
        f"holds: all 16 statements ({whole.callers} callers, these options only, 1.00 s)"
    )
