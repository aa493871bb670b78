"""lpgen frame in a terminal, as it was accepted (LPGEN_UPDATE=1 writes it anew), in every encoding and width."""

from __future__ import annotations

import os
import pty
import subprocess
from difflib import unified_diff
from pathlib import Path

import pytest

from lpgen.kernel.generations import kernel
from lpgen.report.frame_caller import caller_of
from lpgen.report.frame_model import Diagram, diagram
from lpgen.report.frame_text import can_draw, frame_lines
from tests.commands.tools import LPGEN, environment, program
from tests.report.frame_cases import DIAGRAMS, NINE

HERE = Path(__file__).parent / "frames"
UPDATE = "LPGEN_UPDATE"
COMMAND = f"{UPDATE}=1 .venv/bin/pytest tests/report"


def text(drawn: Diagram, *, fine: bool = True, unfold: bool = False) -> str:
    return "".join(f"{line.plain}\n" for line in frame_lines(drawn, fine=fine, unfold=unfold))


def texts() -> dict[str, str]:
    found = {f"{version}.txt": text(DIAGRAMS[version]) for version in ("4.7", "5.1", "5.18", "6.12")}
    newest = diagram(kernel("6.18"))
    found |= {"6.18.txt": text(newest), "6.18-all-ascii.txt": text(newest, fine=False, unfold=True)}
    return found | {"6.12-caller.txt": text(diagram(kernel("6.12"), caller_of(NINE)))}


TEXTS = texts()


@pytest.fixture(scope="module", autouse=True)
def updated() -> None:
    if os.environ.get(UPDATE):
        for path in HERE.iterdir():
            path.unlink()
        for name, content in TEXTS.items():
            (HERE / name).write_text(content)


@pytest.mark.parametrize("name", TEXTS)
def test_the_diagram_is_the_one_that_was_accepted(name: str) -> None:
    path = HERE / name
    old = path.read_text() if path.is_file() else ""
    diff = "\n".join(unified_diff(old.splitlines(), TEXTS[name].splitlines(), name, "drawn now", lineterm=""))
    assert old == TEXTS[name], f"{diff}\n\nto accept: {COMMAND}"


def test_every_file_is_one_that_is_drawn() -> None:
    assert {path.name for path in HERE.iterdir()} == set(TEXTS), f"to accept: {COMMAND}"


@pytest.mark.parametrize("fine", [True, False])
@pytest.mark.parametrize("unfold", [True, False])
def test_it_fits_and_its_box_is_straight(fine: bool, unfold: bool) -> None:
    for name, drawn in DIAGRAMS.items():
        lines = text(drawn, fine=fine, unfold=unfold).splitlines()
        assert max(map(len, lines)) < 80, name
        sides = "│├┌└┊" if fine else "|+:"
        boxed = [line for line in lines if line[14:15] and line[14] in sides and line[:14].strip(" +-0123456789") == ""]
        assert len(boxed) > 40
        assert {len(line) for line in boxed} == {79}, name
        if not fine:
            assert "\n".join(lines).isascii()


def test_the_two_ways_to_draw_say_the_same() -> None:
    table = str.maketrans("│─┌┐├┤└┘●┊▼▲", "|-++++++x:v^")
    for drawn in DIAGRAMS.values():
        assert text(drawn).translate(table) == text(drawn, fine=False)


def test_what_can_draw() -> None:
    assert can_draw("utf-8")
    assert can_draw("utf-16")
    for encoding in ("ascii", "latin-1", "cp1252", "koi8-r", "no-such-encoding", None):
        assert not can_draw(encoding)


def test_a_locale_without_box_drawing_gets_ascii(tmp_path: Path) -> None:
    plain = program("frame", cwd=tmp_path, LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
    assert (plain.code, plain.err) == (0, "")
    assert plain.out == text(DIAGRAMS["4.7"], fine=False)
    assert program("frame", cwd=tmp_path, PYTHONIOENCODING="utf-8").out == text(DIAGRAMS["4.7"])


def on_stdout(*args: str, cwd: Path, **env: str) -> bytes:
    """What lpgen prints on standard output when that is a terminal."""
    ours, theirs = pty.openpty()
    done = subprocess.Popen([*LPGEN, *args], cwd=cwd, env=environment(TERM="xterm-256color", **env), stdout=theirs)
    os.close(theirs)
    shown = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:
            break
        if not part:
            break
        shown += part
    os.close(ours)
    assert done.wait(timeout=60) == 0
    return shown


def test_colours_are_for_a_terminal_that_wants_them(tmp_path: Path) -> None:
    coloured = on_stdout("frame", cwd=tmp_path, PYTHONIOENCODING="utf-8")
    assert b"\x1b[1m" in coloured
    plain = on_stdout("frame", cwd=tmp_path, NO_COLOR="1", PYTHONIOENCODING="utf-8")
    assert b"\x1b" not in plain
    assert plain.replace(b"\r\n", b"\n").decode() == text(DIAGRAMS["4.7"])
    assert "\x1b" not in program("frame", cwd=tmp_path, PYTHONIOENCODING="utf-8").out
