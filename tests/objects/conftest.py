"""A directory of its own for each test, and lpgen's commands in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.commands.tools import Here


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Here:
    monkeypatch.chdir(tmp_path)
    return Here(tmp_path, capsys)
