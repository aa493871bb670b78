"""What a person can cause: the place, the reason, what to do, and the exit code."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Place:
    """A position in a person's own file: ``file`` as they named it, ``line`` counted from 1 (None: the whole file).

    ``at`` is the position in a file that has no lines, an object: symbol+offset.
    """

    file: str
    line: int | None = None
    at: str = ""

    def __str__(self) -> str:
        shown = self.file if self.line is None else f"{self.file}:{self.line}"
        return f"{shown}: {self.at}" if self.at else shown


class LpgenError(Exception):
    """An error in what was given to lpgen: its input or how it was called.

    ``str()`` is the single line that a person reads: place, reason, what to do. ``exit_code`` is 2, as for every usage
    or input error; 1 is kept for a broken contract statement.
    """

    exit_code = 2

    def __init__(self, reason: str, *, place: Place | None = None, hint: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.place = place
        self.hint = hint

    def __str__(self) -> str:
        line = self.reason if self.place is None else f"{self.place}: {self.reason}"
        line = line if self.hint is None else f"{line}; {self.hint}"
        # It may quote a damaged file, or one that was made to take over a terminal.
        return line if line.isprintable() else "".join(char if char.isprintable() else "?" for char in line)
