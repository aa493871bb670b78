from __future__ import annotations

from pathlib import Path

import pytest

from tests.commands.tools import Here


@pytest.fixture
def lpgen(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Here:
    """lpgen in this process, in an empty directory."""
    directory = tmp_path / "cwd"
    directory.mkdir()
    monkeypatch.chdir(directory)
    return Here(directory, capsys)
