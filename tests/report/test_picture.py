"""The README's pictures are what lpgen shows now. LPGEN_UPDATE=1 makes them anew, with Chromium."""

from __future__ import annotations

import os
import re
import xml.etree.ElementTree as ET
from html import unescape
from pathlib import Path

import pytest

from tests.report.browser import MISSING, REASON
from tests.report.picture import REPORT, SIZE, TRACE, make

ROOT = Path(__file__).parents[2]
PICTURES = ROOT / "pictures"


def _lines(svg: Path) -> list[str]:
    """The lines of text in a picture of a terminal; another release of rich may draw them otherwise."""
    tree = ET.fromstring(svg.read_text())
    rows: dict[float, str] = {}
    for text in tree.iter("{http://www.w3.org/2000/svg}text"):
        row = float(text.get("y", "0"))
        rows[row] = rows.get(row, "") + unescape("".join(text.itertext())).replace("\xa0", " ")
    return [line.rstrip() for _, line in sorted(rows.items())]


@pytest.mark.skipif(bool(MISSING), reason=f"{REASON}: no {', '.join(MISSING)}")
def test_pictures(tmp_path: Path) -> None:
    make(tmp_path)
    if os.environ.get("LPGEN_UPDATE"):
        make(PICTURES)
    assert _lines(tmp_path / TRACE) == _lines(PICTURES / TRACE), "if lpgen is right: LPGEN_UPDATE=1 pytest this file"
    for picture in (tmp_path / REPORT, PICTURES / REPORT):
        head = picture.read_bytes()[:24]
        assert head[:8] == b"\x89PNG\r\n\x1a\n"
        assert (int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big")) == SIZE
        assert picture.stat().st_size > 100_000


def test_readme_shows_them() -> None:
    shown = re.findall(r"!\[[^]]+\]\((\S+)\)", (ROOT / "README.md").read_text())
    assert sorted(shown) == sorted(f"pictures/{path.name}" for path in PICTURES.iterdir())
