"""Lines of a width, for every report."""

from __future__ import annotations

import shutil
import sys
import textwrap

# No text is made narrower than this, whatever the terminal.
NARROWEST = 24


def terminal_width(otherwise: int = 80) -> int:
    """Return the columns of the terminal (or of COLUMNS); ``otherwise`` where standard output is none."""
    return shutil.get_terminal_size((otherwise, 24)).columns


def row_width() -> int | None:
    """Return the columns of the terminal; None where standard output is none: a row stays one line, for grep."""
    return terminal_width() if sys.stdout.isatty() else None


def wrapped(
    text: str, width: int, indent: str = "", *, first: str | None = None, lines: int | None = None
) -> list[str]:
    """Return ``text`` in lines of ``width`` columns, ``indent`` before each, ``first`` before the first.

    Words are not broken; no more than ``lines`` lines, None for as many as it takes.
    """
    found = textwrap.wrap(
        text,
        max(width, len(indent) + NARROWEST),
        initial_indent=indent if first is None else first,
        subsequent_indent=indent,
        max_lines=lines,
        placeholder=" ...",
        break_long_words=False,
        break_on_hyphens=False,
    )
    return found or [(indent if first is None else first).rstrip()]
