"""The shipped templates are compiled once in a process: this directory renders them some hundred times."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import Any

import pytest

# `lpgen.source.render` is the function of that name.
MODULE: Any = import_module("lpgen.source.render")
make = MODULE._environment


@cache
def shipped() -> Any:
    return make(None)


@pytest.fixture(autouse=True)
def compiled_templates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MODULE, "_environment", lambda directory: shipped() if directory is None else make(directory))
