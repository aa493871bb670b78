"""The drawing: well-formed, one file, no text over another, readable in light and dark."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from lpgen.report.frame_model import Diagram, folded, offset_texts
from lpgen.report.frame_svg import description, frame_drawing, frame_svg
from lpgen.report.svg import CHARACTER, COLOURS, Drawing, characters, text_width
from tests.report.frame_cases import DIAGRAMS

SVG = "{http://www.w3.org/2000/svg}"
Box = tuple[float, float, float, float, str]

each = pytest.mark.parametrize("drawn", DIAGRAMS.values(), ids=DIAGRAMS)
unfolded = pytest.mark.parametrize("unfold", [False, True])


def parsed(svg: str) -> ElementTree.Element:
    return ElementTree.fromstring(svg.encode())


def boxes(root: ElementTree.Element) -> list[Box]:
    """The box of each text: no character is wider than CHARACTER of the font's size, or reaches far below its line."""
    found = []
    for text in root.iter(f"{SVG}text"):
        said = "".join(text.itertext())
        x, y, size = (float(text.attrib[name]) for name in ("x", "y", "font-size"))
        width = CHARACTER * size * len(said)
        left = x - {"start": 0.0, "middle": width / 2, "end": width}[text.get("text-anchor", "start")]
        found.append((left, y - 0.8 * size, left + width, y + 0.22 * size, said))
    return found


def overlaps(found: list[Box]) -> list[tuple[str, str]]:
    return [
        (one[4], two[4])
        for n, one in enumerate(found)
        for two in found[n + 1 :]
        if one[0] < two[2] and two[0] < one[2] and one[1] < two[3] and two[1] < one[3]
    ]


def test_texts_that_overlap_are_seen() -> None:
    drawing = Drawing(200)
    drawing.text(10, 20, "0123456789")
    drawing.text(10, 33, "below")
    drawing.text(90, 20, "beside")
    assert overlaps(boxes(parsed(drawing.document("t", "d")))) == []
    drawing.text(80, 25, "over")
    assert overlaps(boxes(parsed(drawing.document("t", "d")))) == [("0123456789", "over"), ("beside", "over")]


@each
@unfolded
def test_no_text_is_over_another_or_outside(drawn: Diagram, unfold: bool) -> None:
    root = parsed(frame_svg(drawn, unfold=unfold))
    found = boxes(root)
    assert len(found) > 100
    assert overlaps(found) == []
    width, height = (float(root.attrib[name]) for name in ("width", "height"))
    assert root.attrib["viewBox"] == f"0 0 {width:.0f} {height:.0f}"
    for left, top, right, bottom, said in found:
        assert left >= 0, said
        assert top >= 0, said
        assert right <= width, said
        assert bottom <= height, said
    # What is in the stack's box does not run out of it.
    sides = sorted({float(line.attrib["x1"]) for line in root.iter(f"{SVG}line") if line.get("class") == "edge"})
    box = (sides[0], sides[-1])
    assert not [
        said for left, top, right, _, said in found if box[0] <= left < box[1] < right and 130 < top < height - 250
    ]


@each
@unfolded
def test_it_says_what_the_terminal_says(drawn: Diagram, unfold: bool) -> None:
    said = {"".join(text.itertext()) for text in parsed(frame_svg(drawn, unfold=unfold)).iter(f"{SVG}text")}
    for number, block in enumerate(drawn.blocks):
        for row in (block if unfold else folded(block)).rows:
            assert row.name in said
            assert not row.constant or row.constant in said
            assert set(offset_texts(row, signed=number < drawn.gap)) <= {*said, ""}
    words = " ".join(said)
    for note in drawn.notes:
        assert set(note.split()) <= set(words.split())


@each
def test_it_is_one_file_that_a_screen_reader_can_say(drawn: Diagram) -> None:
    svg = frame_svg(drawn)
    root = parsed(svg)
    assert root.tag == f"{SVG}svg"
    assert root.attrib["role"] == "img"
    title, desc = root.find(f"{SVG}title"), root.find(f"{SVG}desc")
    assert title is not None
    assert desc is not None
    assert root.attrib["aria-labelledby"].split() == [title.attrib["id"], desc.attrib["id"]]
    assert title.text == drawn.title
    assert desc.text == description(drawn)
    for block in drawn.blocks:
        assert block.name in (desc.text or "")
    tags = {element.tag.removeprefix(SVG) for element in root.iter()}
    assert tags == {"svg", "title", "desc", "style", "rect", "line", "circle", "path", "text"}
    assert not re.search(r"href|url\(|@import|@font-face|<script|\bon[a-z]+=", svg)
    assert re.findall(r"https?://[^\"\s<]+", svg) == ["http://www.w3.org/2000/svg"]


def test_each_class_has_a_style_and_each_colour_is_light_and_dark() -> None:
    root = parsed(frame_svg(DIAGRAMS["6.12"]))
    style = root.findtext(f"{SVG}style") or ""
    light, dark = style.split("@media (prefers-color-scheme: dark)")
    defined = [set(re.findall(r"--([a-z-]+):", part)) for part in (light, dark)]
    assert defined[0] == defined[1]
    assert set(re.findall(r"var\(--([a-z-]+)\)", style)) <= defined[0]
    assert {f"{colour}-fill" for colour in COLOURS} < defined[0]
    classes = {word for element in root.iter() for word in element.get("class", "").split()} - {"lpgen-svg"}
    assert not [word for word in classes if not re.search(rf"\.{word}\b(?!-)", light)]


def contrast(one: str, two: str) -> float:
    """The contrast of two colours, 1 to 21 (WCAG 2.1, contrast ratio)."""

    def luminance(colour: str) -> float:
        parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    high, low = sorted((luminance(one), luminance(two)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_text_can_be_read_on_every_ground() -> None:
    style = parsed(frame_svg(DIAGRAMS["6.12"])).findtext(f"{SVG}style") or ""
    for part in style.split("@media"):
        colours = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", part))
        grounds = [colours["page"], *(colours[f"{colour}-fill"] for colour in COLOURS)]
        for text in ("ink", "muted", "point"):
            assert min(contrast(colours[text], ground) for ground in grounds) >= 4.5, text


def test_the_same_diagram_gives_the_same_bytes() -> None:
    for drawn in DIAGRAMS.values():
        assert frame_svg(drawn) == frame_svg(drawn)
    assert frame_svg(DIAGRAMS["4.7"]) != frame_svg(DIAGRAMS["4.12"])


def test_a_page_can_hold_two_drawings() -> None:
    one, two = (
        frame_drawing(DIAGRAMS[version]).element("t", "d", ident=f"frame-{version}") for version in ("4.7", "6.12")
    )
    ids = [re.findall(r'\bid="([^"]+)"', text) for text in (one, two)]
    assert len(ids[0]) == 2
    assert not set(ids[0]) & set(ids[1])
    assert one.startswith("<svg ")


def test_text_is_escaped_and_measured() -> None:
    drawing = Drawing(100)
    drawing.text(1, 20, 'a<b & "c"')
    drawing.text(1, 40, "")
    root = parsed(drawing.document("<t>", "a & b"))
    assert ["".join(text.itertext()) for text in root.iter(f"{SVG}text")] == ['a<b & "c"']
    assert root.findtext(f"{SVG}title") == "<t>"
    assert drawing.height == 26
    for size in (11, 12, 13, 20):
        fits = characters(200, size)
        assert text_width("x" * fits, size) <= 200 < text_width("x" * (fits + 1), size)


def test_an_arrow_ends_where_it_points() -> None:
    for points, head in (
        (((0, 5), (20, 5)), "M 20 5 L 12 1 L 12 9 Z"),
        (((20, 5), (0, 5)), "M 0 5 L 8 1 L 8 9 Z"),
        (((5, 0), (5, 20)), "M 5 20 L 1 12 L 9 12 Z"),
        (((5, 20), (5, 0)), "M 5 0 L 1 8 L 9 8 Z"),
    ):
        drawing = Drawing(30)
        drawing.arrow(*points)
        paths = [path.attrib["d"] for path in parsed(drawing.document("t", "d")).iter(f"{SVG}path")]
        assert paths[1] == head
