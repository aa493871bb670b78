"""The register of the contract's statements: id, text in short, and the function that judges it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from lpgen.contract.judge import Judge


@dataclass(frozen=True, slots=True)
class Statement:
    """A contract statement: id, its text in short, and the function that judges it."""

    id: str
    text: str
    check: Callable[[Judge], None]


STATEMENTS: dict[str, Statement] = {}


def statement(id_: str, text: str) -> Callable[[Callable[[Judge], None]], Callable[[Judge], None]]:
    """Register the function below as the statement ``id_``."""

    def register(check: Callable[[Judge], None]) -> Callable[[Judge], None]:
        STATEMENTS[id_] = Statement(id_, text, check)
        return check

    return register
