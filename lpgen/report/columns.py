"""Plain columns for a terminal: all but the last as wide as they need, the last wrapped into what is left."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterator, Sequence

# The last column is not made narrower than this, whatever the terminal.
_NARROWEST = 24


def terminal_width(otherwise: int = 80) -> int:
    """Return the columns of the terminal (or of COLUMNS); ``otherwise`` where standard output is none."""
    return shutil.get_terminal_size((otherwise, 24)).columns


def wrapped(text: str, width: int, indent: str = "", first: str | None = None) -> list[str]:
    """Return ``text`` in lines of ``width`` columns, each behind ``indent`` (the first behind ``first``)."""
    return textwrap.wrap(
        text,
        max(width, len(indent) + _NARROWEST),
        initial_indent=indent if first is None else first,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def columns(rows: Sequence[Sequence[str]], width: int, indent: str = "") -> Iterator[str]:
    """Yield the lines of a table. Where a last cell has several lines, each is wrapped for itself."""
    if not rows:
        return
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]) - 1)]
    left = len(indent) + sum(widths) + 2 * len(widths)
    for row in rows:
        head = indent + "".join(f"{cell:<{size}}  " for cell, size in zip(row[:-1], widths, strict=True))
        for line in row[-1].split("\n"):
            for part in wrapped(line, width, " " * left) or [""]:
                yield (head + part[left:]).rstrip()
                head = " " * left
