"""A trace as a picture of a terminal: an SVG that needs no other file and no network."""

from __future__ import annotations

import io

from rich.console import Console
from rich.terminal_theme import SVG_EXPORT_THEME
from rich.text import Text

from lpgen.report.trace_result import TraceResult
from lpgen.report.trace_text import View, trace_lines

COLUMNS = 110
# As rich's own, without the fonts that it would fetch, and with what a screen reader says of it.
_FORMAT = """\
<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg" role="img">
<title>%(title)s</title>
<style>
.{unique_id}-matrix {{ font-family: ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace; \
font-size: {char_height}px; line-height: {line_height}px; }}
.{unique_id}-title {{ font-size: 18px; font-weight: bold; font-family: system-ui, sans-serif; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" />
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


def trace_svg(result: TraceResult, view: View, columns: int = COLUMNS) -> str:
    """Return what a terminal of ``columns`` columns shows of a trace, in colour; the same trace, the same bytes."""
    console = Console(
        record=True,
        width=columns,
        file=io.StringIO(),
        force_terminal=True,
        color_system="truecolor",
        highlight=False,
        legacy_windows=False,
        no_color=False,
    )
    for line in trace_lines(result, view, columns):
        console.print(Text.from_ansi(line.painted()), soft_wrap=True)
    title = _escaped(result.command)
    made = console.export_svg(
        title=result.command,
        theme=SVG_EXPORT_THEME,
        code_format=_FORMAT % {"title": title.replace("{", "{{").replace("}", "}}")},
        unique_id="lpgen",
    )
    return "".join(f"{line.rstrip()}\n" for line in made.splitlines())


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
