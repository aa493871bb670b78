"""What the tests of the commands share: running lpgen, here and as a program, and looking at what it left."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
from dataclasses import dataclass
from pathlib import Path

import pytest

from lpgen.cli import run

ROOT = Path(__file__).parents[2]
LPGEN = [sys.executable, "-m", "lpgen"]


@dataclass(frozen=True)
class Ran:
    """How a run ended: exit code, standard output, standard error."""

    code: int
    out: str
    err: str

    @property
    def error_line(self) -> str:
        """The one line on stderr of a run that failed by what it was given, and nothing else."""
        assert self.code == 2
        assert self.out == ""
        assert self.err.endswith("\n")
        assert self.err.count("\n") == 1
        assert self.err.startswith("lpgen")
        return self.err[:-1]


class Here:
    """Runs lpgen in this process, in a directory of its own."""

    def __init__(self, directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.directory = directory
        self._capsys = capsys

    def __call__(self, *args: str) -> Ran:
        self._capsys.readouterr()
        code = run(list(args))
        captured = self._capsys.readouterr()
        return Ran(code, captured.out, captured.err)

    def tree(self) -> dict[str, bytes | str]:
        """Return every path below the directory with its content, a link's target, or "/" for a directory."""
        return {
            str(path.relative_to(self.directory)): (
                f"-> {path.readlink()}" if path.is_symlink() else "/" if path.is_dir() else path.read_bytes()
            )
            for path in sorted(self.directory.rglob("*"))
        }


def environment(**more: str) -> dict[str, str]:
    """Return an environment in which `python -m lpgen` finds this lpgen and prints plainly."""
    env = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "FORCE_COLOR", "NO_COLOR")}
    return env | {"PYTHONPATH": str(ROOT)} | more


def program(*args: str, cwd: Path, **env: str) -> Ran:
    """Run lpgen as a program of its own."""
    done = subprocess.run(
        [*LPGEN, *args], cwd=cwd, env=environment(**env), capture_output=True, text=True, timeout=120, check=False
    )
    return Ran(done.returncode, done.stdout, done.stderr)


def on_terminal(*args: str, cwd: Path, stream: str = "stderr", columns: int = 80, **env: str) -> tuple[int, bytes]:
    """Run lpgen with a terminal for ``stream``, and none for the other; return exit code and what the terminal got."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    ends = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, stream: theirs}
    done = subprocess.Popen(
        [*LPGEN, *args], cwd=cwd, env=environment(**{"TERM": "xterm-256color", **env}), stdin=subprocess.DEVNULL, **ends
    )
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
    return done.wait(timeout=180), shown
