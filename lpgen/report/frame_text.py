"""The stack around a traced call in a terminal: 79 columns, box drawing where the encoding has it, else ASCII."""

from __future__ import annotations

import codecs
from collections.abc import Iterator

from lpgen.report.frame_model import Block, Diagram, Row, folded, letters_of, offset_texts, title_of
from lpgen.report.style import FAINT, HEADING, Text
from lpgen.report.wrap import wrapped

WIDTH = 79
# Columns of the offsets in front of the box, and those inside it.
_FAR, _NEAR = 7, 6
_MARGIN = _FAR + _NEAR + 1
_NAME, _CONSTANT = 14, 15

# Part of a line, and its style ("" for none).
Part = tuple[str, str]


class Glyphs:
    """What lines are drawn with: box drawing (``fine``) or ASCII."""

    def __init__(self, *, fine: bool) -> None:
        self.side, self.line = ("│", "─") if fine else ("|", "-")
        self.top = ("┌", "┐") if fine else ("+", "+")
        self.middle = ("├", "┤") if fine else ("+", "+")
        self.bottom = ("└", "┘") if fine else ("+", "+")
        self.mark = "●" if fine else "x"
        self.gap = "┊" if fine else ":"
        self.down, self.up = ("▼", "▲") if fine else ("v", "^")


def can_draw(encoding: str | None) -> bool:
    """Say whether text of that encoding (None: not known) can hold the box drawing."""
    try:
        codecs.encode("│─┌┐├┤└┘●┊▼▲", encoding or "ascii")
    except (LookupError, UnicodeEncodeError):
        return False
    return True


def frame_lines(drawn: Diagram, *, fine: bool = True, unfold: bool = False) -> Iterator[Text]:
    """Yield the diagram's lines; ``fine``: with box drawing, else ASCII; ``unfold``: a row for each GPR."""
    for line in _lines(drawn, Glyphs(fine=fine), unfold=unfold):
        yield line if isinstance(line, Text) else Text.assemble(*line)


def _lines(drawn: Diagram, glyphs: Glyphs, *, unfold: bool) -> Iterator[list[Part] | Text]:
    yield from map(Text, wrapped(drawn.subtitle, WIDTH))
    yield [(f"a thread's stack, {drawn.stack_size} bytes (THREAD_SIZE), the highest address at the top", "")]
    marks = letters_of(drawn)
    if len(marks) > 1:
        said = ", ".join(f"{letter} {symbol}" for symbol, letter in marks.items())
        yield [(f"stored before the tracer is called by {said}", "")]
    else:
        symbol, letter = next(iter(marks.items()))
        yield [(f"stored before the tracer is called: {letter} {symbol}", "")]
    yield []
    yield [(f"{'from':>{_FAR}}{'from':>{_NEAR}}", FAINT)]
    yield _heading("A's r1", "r1", marks)
    yield [_rule(glyphs, glyphs.top)]
    for number, block in enumerate(drawn.blocks):
        if number == drawn.gap:
            yield from _gap(block, glyphs, both=drawn.livepatch)
            continue
        if block.above:
            yield _pointed_rule(block.above, glyphs, glyphs.middle)
        yield from _block(block if unfold else folded(block), glyphs, marks, signed=number < drawn.gap)
        last = number == len(drawn.blocks) - 1
        ends = glyphs.bottom if last else glyphs.middle
        yield _pointed_rule(f"r1: {block.r1}", glyphs, ends) if block.r1 else [_rule(glyphs, ends)]
    for block in drawn.beside:
        yield []
        yield [_rule(glyphs, glyphs.top)]
        yield from _block(block, glyphs, marks)
        yield [_rule(glyphs, glyphs.bottom)]
    if drawn.caller is not None:
        yield []
        yield from drawn.caller.lines(WIDTH)
    yield []
    for note in drawn.notes:
        yield from ([(line, "")] for line in wrapped(note, WIDTH, "  ", first="- "))


def _heading(far: str, near: str, marks: dict[str, str]) -> list[Part]:
    letters = " ".join(marks.values())
    inside = f"  {'':{_NAME}} {'asm-offsets':{_CONSTANT}} {letters:3} what"
    return [(f"{far:>{_FAR}}{near:>{_NEAR}} {inside}", FAINT)]


def _rule(glyphs: Glyphs, ends: tuple[str, str]) -> Part:
    return f"{'':{_MARGIN}}{ends[0]}{glyphs.line * (WIDTH - _MARGIN - 2)}{ends[1]}", ""


def _pointed_rule(who: str, glyphs: Glyphs, ends: tuple[str, str]) -> list[Part]:
    """Return the line between two blocks to which something points: r1 to the low end of the upper one."""
    said = f" {who} "
    left = f"{'':{_MARGIN}}{ends[0]}{glyphs.line * 2}"
    rest = WIDTH - len(left) - len(said) - 1
    return [(left, ""), (said, HEADING), (glyphs.line * rest + ends[1], "")]


def _inside(parts: list[Part], glyphs: Glyphs, left: str = "", side: str = "") -> list[Part]:
    """Return a line of the box: ``left`` in front of it, ``parts`` between its sides."""
    width = sum(len(text) for text, _ in parts)
    side = side or glyphs.side
    room = WIDTH - _MARGIN - 3 - width
    return [(f"{left:{_MARGIN}}", ""), (f"{side} ", ""), *parts, (" " * room + side, "")]


def _block(block: Block, glyphs: Glyphs, marks: dict[str, str], *, signed: bool = False) -> Iterator[list[Part]]:
    for line in wrapped(title_of(block), WIDTH - _MARGIN - 4, ""):
        yield _inside([(line, HEADING)], glyphs)
    for row in block.rows:
        yield from _row(row, glyphs, marks, signed=signed)


def _row(row: Row, glyphs: Glyphs, marks: dict[str, str], *, signed: bool) -> Iterator[list[Part]]:
    far, near = offset_texts(row, signed=signed)
    stored = [symbol for symbol, _ in row.stored]
    letters = " ".join(glyphs.mark if symbol in stored else " " for symbol in marks)
    name = row.name if row.constant else f"{row.name:{_NAME + 1 + _CONSTANT}}"
    head = f"{name:{_NAME}} {row.constant:{_CONSTANT}}" if row.constant else name
    head = f"{head} {letters:3} "
    room = WIDTH - _MARGIN - 4 - len(head)
    left = f"{far:>{_FAR}}{near:>{_NEAR}}"
    for line in wrapped(row.said, room, "") or [""]:
        yield _inside([(head, ""), (line, "")], glyphs, left)
        head, left = " " * len(head), ""


def _gap(block: Block, glyphs: Glyphs, *, both: bool) -> Iterator[list[Part]]:
    """Yield what lies between the stacks: its middle, and which way each of them grows."""
    yield _inside([(f"{glyphs.down} the stack grows down", "")], glyphs, side=glyphs.gap)
    yield _inside([(block.name, HEADING)], glyphs, side=glyphs.gap)
    if both:
        yield _inside([(f"{glyphs.up} the livepatch stack grows up", "")], glyphs, side=glyphs.gap)
    near = ("from", "sp") if both else ("", "")
    yield [(f"{'from':>{_FAR}}{near[0]:>{_NEAR}}", FAINT)]
    yield [(f"{'low end':>{_FAR}}{near[1]:>{_NEAR}}", FAINT)]
    if not both:
        yield [_rule(glyphs, glyphs.middle)]
