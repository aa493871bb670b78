"""The one look: colours on a terminal that wants them, the same everywhere; plain text elsewhere."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from lpgen.report.columns import columns
from lpgen.report.style import BAD, FAINT, GOOD, HEADING, WARNING, Text, colours, plain, shown
from lpgen.report.wrap import wrapped
from tests.commands.test_install import needs_git
from tests.commands.tools import Ran, on_terminal, program
from tests.contract.must_fail import ALL
from tests.tree.trees import make_tree

ESCAPE = re.compile(r"\x1b\[([0-9;]*)m")
BOLD, GREEN, RED, YELLOW, FAINTED = "\x1b[1m", "\x1b[32m", "\x1b[1;31m", "\x1b[33m", "\x1b[2m"
OFF = "\x1b[0m"

# Its results are kept, so that all but the first run have nothing left to do.
MUTATE = ("mutate", "--with", "verify", "--out", "store")

# What prints a listing or a table, and some of what a terminal gets of it.
PRINTED: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "kernels": (("kernels",), (f"{BOLD}kernels{OFF}", f"{BOLD}gen{OFF}", f"{BOLD}layout{OFF}")),
    "kernel": (("kernels", "6.12"), (f"{BOLD}symbols{OFF}", f"{BOLD}features{OFF}")),
    "diff": (("diff", "4.17", "4.18"), (f"{BOLD}contract{OFF}", f"{BOLD}offsets{OFF}", f"{BOLD}code{OFF}")),
    "offsets": (("offsets",), (f"{BOLD}name{OFF}", f"{BOLD}dec{OFF}", f"{BOLD}source{OFF}")),
    "schema": (("schema",), (f"{BOLD}schema{OFF}", f"{BOLD}command{OFF}")),
    "assemble": (("assemble", "small.S"), (f"{BOLD}section .text ax align 4 size 4{OFF}",)),
    "doctor": (("doctor",), (f"{BOLD}Unicorn{OFF}", f"  {GREEN}ok{OFF}  ", f"{GREEN}lpgen works here{OFF}", YELLOW)),
    "cost": (("cost",), (f"{BOLD}entry{OFF}", f"{BOLD}stores{OFF}")),
    "cost without an end": (("cost", "traps.S"), (f"{RED}trap at ftrace_stub{OFF}",)),
    "verify": (("verify", "--callers", "3"), (BOLD, f"{GREEN}holds{OFF}", f"{YELLOW}-{OFF}", f"\n{GREEN}holds: ")),
    "verify broken": (("verify", "wrong.S", "--callers", "60"), (f"{RED}BROKEN{OFF}", f"\n{RED}BROKEN: T3{OFF}")),
    "prove": (("prove", "--kernel", "4.7"), (BOLD, f"{GREEN}proved", f"{FAINTED}n/a", f"\n{GREEN}proved: all ")),
    "mutate": (
        ("mutate", "--with", "verify", "--shard", "1/300", "--jobs", "1", "--out", "store"),
        (BOLD, "mutants: "),
    ),
}
# These take seconds.
SLOW = {"cost", "cost without an end", "verify", "verify broken", "prove", "mutate"}
# What reads as a text of its own, wherever it goes.
NEVER = {
    "emit": ("emit", "--out", "-"),
    "emit --diff": ("emit", "--diff", "small.S"),
    "offsets header": ("offsets", "--format", "header"),
    "hex": ("assemble", "small.S", "--format", "hex"),
    "json": ("kernels", "--json"),
    "a schema": ("schema", "verify"),
    "install --dry-run": ("install", "--tree", "linux", "--dry-run"),
}
ERRORS = {
    "input": (("kernels", "4.99"), "lpgen:"),
    "usage": (("emit", "--nothing"), "lpgen emit:"),
    "a command": (("emti",), "lpgen:"),
}


@pytest.fixture
def room(tmp_path: Path) -> Path:
    """A directory with what the commands read, and no optional tool on the PATH."""
    (tmp_path / "small.S").write_text("f:\tblr\n")
    (tmp_path / "wrong.S").write_text(next(w for w in ALL if w.name == "caller_saves_half_of_ctr").text())
    emitted = program("emit", "--out", "-", cwd=tmp_path).out
    (tmp_path / "traps.S").write_text(emitted.replace("_GLOBAL(ftrace_stub)\n", "_GLOBAL(ftrace_stub)\n\ttrap\n"))
    return tmp_path


def _run(room: Path, args: tuple[str, ...], **env: str) -> Ran:
    return program(*args, cwd=room, PATH=str(room), **env)


def _seen(room: Path, args: tuple[str, ...], stream: str = "stdout", **more: str) -> str:
    """What a terminal gets; its line discipline makes of each line feed two characters."""
    _, seen = on_terminal(*args, cwd=room, stream=stream, **{"PATH": str(room), **more})  # type: ignore[arg-type]
    return seen.decode().replace("\r\n", "\n")


def _without_seconds(text: str) -> str:
    return re.sub(r"[0-9.]+ s\n", "N s\n", text)


@pytest.mark.parametrize("name", PRINTED)
def test_a_listing_or_table(room: Path, name: str) -> None:
    args, parts = PRINTED[name]
    piped = _run(room, args)
    assert piped.code in (0, 1)
    assert "\x1b" not in piped.out
    seen = _seen(room, args)
    for part in parts:
        assert part in seen, part
    assert {f"\x1b[{code}m" for code in ESCAPE.findall(seen)} <= {BOLD, GREEN, RED, YELLOW, FAINTED, OFF}
    bare = _without_seconds(ESCAPE.sub("", seen))
    assert "\x1b" not in bare
    assert not [line for line in bare.splitlines() if line != line.rstrip()]
    plainly = ({"NO_COLOR": "1"}, {"TERM": "dumb"}, {"NO_COLOR": "1", "FORCE_COLOR": "1"}, {"FORCE_COLOR": ""})
    for env in plainly[: name == "verify"] if name in SLOW else plainly:
        assert _without_seconds(_seen(room, args, **env)) == bare, env
    if name in SLOW:
        return
    forced = _run(room, args, FORCE_COLOR="1")
    assert _without_seconds(ESCAPE.sub("", forced.out)) == _without_seconds(piped.out)
    assert BOLD in forced.out


@pytest.mark.parametrize("name", NEVER)
def test_a_text_of_its_own_is_never_painted(room: Path, name: str) -> None:
    make_tree(room / "linux", "6.12")
    assert "\x1b" not in _seen(room, NEVER[name])
    assert "\x1b" not in _run(room, NEVER[name], FORCE_COLOR="1").out


@pytest.mark.parametrize("name", ERRORS)
def test_an_error(room: Path, name: str) -> None:
    args, head = ERRORS[name]
    line = _run(room, args).error_line
    assert "\x1b" not in line
    assert line.startswith(f"{head} ")
    assert _seen(room, args, "stderr") == line.replace(head, f"{RED}{head}{OFF}", 1) + "\n"
    assert _run(room, args, FORCE_COLOR="1").err == line.replace(head, f"{RED}{head}{OFF}", 1) + "\n"
    for env in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        assert _seen(room, args, "stderr", **env) == f"{line}\n"


def test_a_warning_on_stderr(room: Path) -> None:
    (room / "far.S").write_text("f:\tbl g\n")
    args = ("assemble", "far.S", "--format", "hex")
    line = "far.S:1: left unresolved: R_PPC64_REL24 g"
    assert _run(room, args).err == f"{line}\n"
    assert _seen(room, args, "stderr") == f"{YELLOW}{line}{OFF}\n"


def test_what_an_error_quotes_moves_no_cursor(room: Path) -> None:
    args = ("doctor", "x\x1b[2J")
    assert "unexpected extra argument (x?[2J)" in _run(room, args).error_line
    assert _seen(room, args, "stderr").startswith(f"{RED}lpgen doctor:{OFF} Got unexpected extra argument (x?[2J)")


def test_a_closed_stderr(room: Path) -> None:
    import subprocess

    from tests.commands.tools import LPGEN, environment

    done = subprocess.run(["sh", "-c", 'exec "$@" 2>&-', "sh", *LPGEN, "kernels", "4.99"], cwd=room, env=environment(),
                          stdout=subprocess.PIPE, check=False)  # fmt: skip
    assert (done.returncode, done.stdout) == (2, b"")


FITS = [("kernels", 60), ("doctor", 60), ("verify", 60)] + [
    (name, 100) for name in ("kernels", "kernel", "schema", "doctor", "diff")
]


@pytest.mark.parametrize(("name", "width"), FITS)
def test_a_table_fits_the_terminal(room: Path, name: str, width: int) -> None:
    args, _ = PRINTED[name]
    seen = ESCAPE.sub("", _seen(room, args, columns=width))  # type: ignore[arg-type]
    table = seen.split("\n\n")[0] if name == "verify" else seen
    # A word is not broken, and kernels has long ones.
    assert not [line for line in table.splitlines() if len(line) > width and " " in line[width:].strip()]


@pytest.mark.parametrize("name", ["offsets", "cost without an end", "doctor"])
def test_elsewhere_a_row_is_a_line(room: Path, name: str) -> None:
    args, _ = PRINTED[name]
    wide = ESCAPE.sub("", _seen(room, args, columns=400))  # type: ignore[arg-type]
    assert _run(room, args).out == wide


@needs_git
def test_what_is_told_on_stderr_is_plain(room: Path) -> None:
    make_tree(room / "linux", "6.12")
    assert "\x1b" not in _seen(room, ("emit", "--out", "x.S"), "stderr")
    assert "\x1b" not in _seen(room, ("install", "--tree", "linux"), "stderr")


def test_columns() -> None:
    rows = [("name", "n", "what"), ("a", "1", "one two three four five six seven"), (("bcd", GOOD), "10", "x\ny")]
    lines = list(columns(rows, 34, "  ", heading=True, right=(1,)))
    assert plain(lines) == (
        "  name   n  what\n"
        "  a      1  one two three four five\n"
        "            six seven\n"
        "  bcd   10  x\n"
        "            y\n"
    )  # fmt: skip
    assert lines[0].painted() == f"  {BOLD}name{OFF}   {BOLD}n{OFF}  {BOLD}what{OFF}"
    assert lines[3].painted() == f"  {GREEN}bcd{OFF}   10  x"
    assert plain(columns(rows, None, right=(1,))).splitlines()[1] == "a      1  one two three four five six seven"
    assert list(columns([], 80)) == []
    assert plain(columns([("a", "10"), ("b", "5")], 80, right=(1,))) == "a  10\nb   5\n"


def test_text() -> None:
    line = Text.assemble("a ", ("b ", BAD), ("", WARNING), " ")
    assert (line.plain, line.painted()) == ("a b", f"a {RED}b{OFF}")
    assert Text("\x1b[31mred\r\x07\u200b", HEADING).plain == "?[31mred???"
    assert Text("a\tb").plain == "a       b"
    assert Text("x", FAINT).painted() == f"{FAINTED}x{OFF}"


@pytest.mark.parametrize(
    ("env", "terminal", "expected"),
    [
        ({}, True, True),
        ({}, False, False),
        ({"NO_COLOR": "1"}, True, False),
        ({"NO_COLOR": ""}, True, True),
        ({"TERM": "dumb"}, True, False),
        ({"TERM": "unknown", "FORCE_COLOR": "1"}, False, False),
        ({"FORCE_COLOR": "1"}, False, True),
        ({"FORCE_COLOR": ""}, True, False),
        ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, True, False),
    ],
)
def test_who_gets_colours_is_what_rich_says(
    env: dict[str, str],
    terminal: bool,
    expected: bool,
    monkeypatch: pytest.MonkeyPatch,
    stream: Callable[[bool], object],
) -> None:
    from rich.console import Console

    for name in ("NO_COLOR", "FORCE_COLOR", "TERM", "COLORTERM", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    file = stream(terminal)
    assert colours(file) is expected  # type: ignore[arg-type]
    assert ("\x1b" in shown([Text("x", GOOD)], file)) is expected  # type: ignore[arg-type]
    console = Console(file=file)  # type: ignore[arg-type]
    # rich keeps bold where NO_COLOR is set; here nothing is kept.
    assert (console.color_system is not None and not console.no_color) is expected


@pytest.fixture
def stream() -> Callable[[bool], object]:
    from io import StringIO

    class Stream(StringIO):
        def __init__(self, terminal: bool) -> None:
            super().__init__()
            self.terminal = terminal

        def isatty(self) -> bool:
            return self.terminal

    return Stream


def test_wrapped() -> None:
    assert wrapped("", 80, "  ") == [""]
    assert wrapped("a b", 80, "  ", first="- ") == ["- a b"]
    assert wrapped("word " * 30, 40, "  ", lines=2)[-1].endswith(" ...")
    assert all(len(line) <= 30 for line in wrapped("a-b " * 30, 30))
    assert wrapped("x" * 90, 30) == ["x" * 90]
