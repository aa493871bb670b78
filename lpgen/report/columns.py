"""Tables: every column as wide as it needs, two blanks between them, the last one wrapped into what is left."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from lpgen.report.style import HEADING, Text
from lpgen.report.wrap import wrapped

GUTTER = "  "

# A cell: its text, or a pair of text and style.
Cell = str | tuple[str, str]


def columns(
    rows: Sequence[Sequence[Cell]],
    width: int | None,
    indent: str = "",
    *,
    heading: bool = False,
    right: Collection[int] = (),
) -> Iterator[Text]:
    """Yield the lines of a table of ``width`` columns; None: nothing is wrapped.

    ``heading``: the first row is one, in bold. ``right`` are the columns with numbers in them, counted from 0. Where
    a last cell has several lines, each is wrapped for itself.
    """
    if not rows:
        return
    cells = [[(cell, "") if isinstance(cell, str) else cell for cell in row] for row in rows]
    if heading:
        cells[0] = [(text, HEADING) for text, _ in cells[0]]
    last = len(cells[0]) - 1
    sizes = [max(len(row[n][0]) for row in cells) for n in range(last)]
    left = len(indent) + sum(size + len(GUTTER) for size in sizes)
    for row in cells:
        head: list[str | tuple[str, str]] = [indent]
        for n, ((text, style), size) in enumerate(zip(row[:-1], sizes, strict=True)):
            head += [" " * (size - len(text)) if n in right else "", (text, style)]
            head += [GUTTER if n in right else " " * (size - len(text)) + GUTTER]
        text, style = row[-1]
        if last in right:
            text = text.rjust(max(len(row[-1][0]) for row in cells))
        for line in text.split("\n"):
            parts = [line] if width is None or last in right else wrapped(line, width - left)
            for part in parts:
                yield Text.assemble(*head, (part, style))
                head = [" " * left]
