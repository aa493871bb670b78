"""The rules of the house that a tool can check."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import lpgen

ROOT = Path(__file__).parent.parent
MODULE_LINES = 500
CHECKS = {
    "ruff": ["-m", "ruff", "check", "--no-cache", "."],
    "ruff format": ["-m", "ruff", "format", "--no-cache", "--check", "."],
    "mypy": ["-m", "mypy", "--cache-dir={cache}"],
    "import-linter": ["-c", "from importlinter.cli import lint_imports_command; lint_imports_command()", "--no-cache"],
}


@pytest.mark.parametrize("name", CHECKS)
def test_tool_finds_nothing(name: str, tmp_path: Path) -> None:
    command = [sys.executable, *(word.format(cache=tmp_path) for word in CHECKS[name])]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", sorted((ROOT / "lpgen").rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT)))
def test_modules_are_short(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= MODULE_LINES


def test_one_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == lpgen.__version__
    assert f"\n## [{lpgen.__version__}] " in (ROOT / "CHANGELOG.md").read_text()


def test_nothing_is_left_to_do() -> None:
    marks = ("TO" + "DO", "FIX" + "ME", "XX" + "X")
    for directory in ("lpgen", "templates", "tests"):
        for path in (ROOT / directory).rglob("*"):
            if path.is_file() and path.suffix not in {".pyc", ".gz"}:
                text = path.read_text(errors="replace")
                assert not [mark for mark in marks if mark in text], path
