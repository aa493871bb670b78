"""SVG by hand: the few shapes that a diagram needs, a document that is one file, and the look that all of them share.

No script, no font and nothing else from outside. Colours are CSS variables: light, and dark where the reader's system
says so (prefers-color-scheme). Coordinates are whole numbers of CSS pixels, y downwards; the same calls give the same
bytes.
"""

from __future__ import annotations

from typing import Literal
from xml.sax.saxutils import escape, quoteattr

Anchor = Literal["start", "middle", "end"]

# The width of a character as a part of the font's size: no less than that of any character of the fonts below.
CHARACTER = 0.62

_LIGHT = {
    "page": "#ffffff",
    "ink": "#1b1f24",
    "muted": "#5a6370",
    "line": "#c9d0d8",
    "point": "#b3261e",
    "blue": "#2f6db5",
    "blue-fill": "#eaf2fb",
    "green": "#3f7d3a",
    "green-fill": "#edf6eb",
    "amber": "#9a6700",
    "amber-fill": "#fdf6e3",
    "red": "#a84232",
    "red-fill": "#fbeeeb",
    "violet": "#7341a8",
    "violet-fill": "#f4eefb",
    "grey": "#8a939e",
    "grey-fill": "#f5f6f8",
}
_DARK = {
    "page": "#14171b",
    "ink": "#e4e8ed",
    "muted": "#a0a9b4",
    "line": "#3c444e",
    "point": "#ff8a80",
    "blue": "#6cabf2",
    "blue-fill": "#18283a",
    "green": "#7cc175",
    "green-fill": "#19291a",
    "amber": "#e3b341",
    "amber-fill": "#2c2512",
    "red": "#e88a7a",
    "red-fill": "#321d1a",
    "violet": "#b892ea",
    "violet-fill": "#271d36",
    "grey": "#7d8691",
    "grey-fill": "#1d2127",
}
COLOURS = ("blue", "green", "amber", "red", "violet", "grey")


def style() -> str:
    """Return the style sheet: classes of shapes (page, rule, COLOUR, COLOUR-fill...) and of text (faint, mono...)."""
    root = ".lpgen-svg"
    rules = [
        f"{root} {{ {_variables(_LIGHT)} color-scheme: light dark; }}",
        f"{root} {{ font-family: system-ui, 'DejaVu Sans', sans-serif; }}",
        f"{root} text {{ fill: var(--ink); }}",
        f"{root} .page {{ fill: var(--page); }}",
        f"{root} .rule {{ stroke: var(--line); fill: none; }}",
        f"{root} .dashed {{ stroke: var(--grey); fill: none; stroke-dasharray: 3 4; }}",
        f"{root} .edge {{ stroke: var(--ink); fill: none; }}",
        f"{root} .arrow {{ stroke: var(--point); fill: none; stroke-width: 1.5; }}",
        f"{root} .head {{ fill: var(--point); }}",
        f"{root} .mark {{ fill: var(--ink); }}",
        f"{root} .mono {{ font-family: ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace; }}",
        f"{root} .spaced {{ white-space: pre; }}",
        f"{root} .strong {{ font-weight: 600; }}",
        f"{root} text.faint {{ fill: var(--muted); }}",
        f"{root} text.point {{ fill: var(--point); }}",
    ]
    for colour in COLOURS:
        rules += [
            f"{root} .{colour} {{ fill: var(--{colour}); }}",
            f"{root} .{colour}-fill {{ fill: var(--{colour}-fill); }}",
        ]
    rules.append(f"@media (prefers-color-scheme: dark) {{ {root} {{ {_variables(_DARK)} }} }}")
    return "\n".join(rules)


def _variables(colours: dict[str, str]) -> str:
    return " ".join(f"--{name}: {value};" for name, value in colours.items())


def text_width(text: str, size: int) -> float:
    """Return a width that ``text`` does not exceed, in pixels, in a font of ``size`` pixels."""
    return len(text) * size * CHARACTER


def characters(width: int, size: int) -> int:
    """Return how many characters of a font of ``size`` pixels surely fit into ``width`` pixels."""
    return int(width / (size * CHARACTER))


class Drawing:
    """Shapes, in the order that they are painted in. ``cls`` are classes of ``style``."""

    def __init__(self, width: int) -> None:
        self.width = width
        self.height = 0
        self._shapes: list[str] = []

    def reach(self, y: int) -> None:
        """Make the drawing at least ``y`` high."""
        self.height = max(self.height, y)

    def rect(self, x: int, y: int, width: int, height: int, cls: str) -> None:
        """Add a rectangle with its upper left corner at ``x``, ``y``."""
        self._shapes.append(f'<rect x="{x}" y="{y}" width="{width}" height="{height}" class="{cls}"/>')
        self.reach(y + height)

    def line(self, x1: int, y1: int, x2: int, y2: int, cls: str) -> None:
        """Add a line."""
        self._shapes.append(f'<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}" class="{cls}"/>')
        self.reach(max(y1, y2))

    def circle(self, x: int, y: int, radius: int, cls: str) -> None:
        """Add a filled circle around ``x``, ``y``."""
        self._shapes.append(f'<circle cx="{x}" cy="{y}" r="{radius}" class="{cls}"/>')
        self.reach(y + radius)

    def arrow(self, *points: tuple[int, int]) -> None:
        """Add a line through ``points`` with a head at the last one; the last stretch is horizontal or vertical."""
        (x0, y0), (x, y) = points[-2:]
        path = " L ".join(f"{px} {py}" for px, py in points)
        self._shapes.append(f'<path d="M {path}" class="arrow"/>')
        if x == x0:
            back = y + 8 if y < y0 else y - 8
            head = f"M {x} {y} L {x - 4} {back} L {x + 4} {back} Z"
        else:
            back = x + 8 if x < x0 else x - 8
            head = f"M {x} {y} L {back} {y - 4} L {back} {y + 4} Z"
        self._shapes.append(f'<path d="{head}" class="head"/>')
        self.reach(max(py for _, py in points))

    def text(self, x: int, y: int, text: str, cls: str = "", *, size: int = 12, anchor: Anchor = "start") -> None:
        """Add a line of text whose baseline is at ``y``; ``size`` is the font's, in pixels."""
        if not text:
            return
        where = "" if anchor == "start" else f' text-anchor="{anchor}"'
        named = f' class="{cls}"' if cls else ""
        self._shapes.append(f'<text x="{x}" y="{y}" font-size="{size}"{where}{named}>{escape(text)}</text>')
        self.reach(y + size // 2)

    def element(self, title: str, desc: str, *, ident: str = "lpgen") -> str:
        """Return the <svg> element, for a page or as a file; ``ident`` makes its ids unique in a page.

        ``title`` and ``desc`` are what a screen reader says. The style sheet is inside.
        """
        ids = quoteattr(f"{ident}-title {ident}-desc")
        size = f'width="{self.width}" height="{self.height}" viewBox="0 0 {self.width} {self.height}"'
        shapes = "\n".join(self._shapes)
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" class="lpgen-svg" role="img" aria-labelledby={ids} {size}>\n'
            f"<title id={quoteattr(f'{ident}-title')}>{escape(title)}</title>\n"
            f"<desc id={quoteattr(f'{ident}-desc')}>{escape(desc)}</desc>\n"
            f"<style>\n{style()}\n</style>\n"
            f'<rect width="100%" height="100%" class="page"/>\n'
            f"{shapes}\n</svg>\n"
        )

    def document(self, title: str, desc: str) -> str:
        """Return the drawing as an SVG file of its own."""
        return f'<?xml version="1.0" encoding="UTF-8"?>\n{self.element(title, desc)}'
