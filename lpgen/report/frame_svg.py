"""The stack around a traced call as a drawing: frames as boxes, who points where beside them."""

from __future__ import annotations

from lpgen.kernel.frames import LIVEPATCH, REGS, A, B
from lpgen.report.frame_model import (
    INTERRUPT,
    LOW_END,
    OUTER,
    RED_ZONE,
    THREAD_INFO,
    TRACER,
    Block,
    Diagram,
    Row,
    folded,
    letters_of,
    offset_texts,
    title_of,
)
from lpgen.report.svg import Drawing, characters
from lpgen.report.wrap import wrapped

_COLOUR = {
    A: "blue",
    B: "green",
    REGS: "amber",
    RED_ZONE: "red",
    INTERRUPT: "red",
    LIVEPATCH: "violet",
    OUTER: "violet",
    LOW_END: "violet",
    THREAD_INFO: "violet",
}

_WIDTH = 1080
_SIZE, _SMALL = 12, 11
_ROW, _LINE = 19, 15
# Right ends of the two columns of offsets, then the box and the columns in it, and what stands beside it.
_FAR, _NEAR = 72, 120
_LEFT, _RIGHT = 134, 800
_NAME, _CONSTANT, _MARK, _WHAT = 150, 272, 408, 452
_SIDE, _SIDE_END = 850, 1064
_BETWEEN_MARKS = 18
_TOP = 24


def frame_svg(drawn: Diagram, *, unfold: bool = False) -> str:
    """Return the diagram as an SVG file; ``unfold``: a row for each GPR."""
    return frame_drawing(drawn, unfold=unfold).document(drawn.title, description(drawn))


def frame_drawing(drawn: Diagram, *, unfold: bool = False) -> Drawing:
    """Return the drawing, for a file or for a page (``Drawing.element`` with ``description``)."""
    return _Painter(drawn, unfold=unfold).drawing


def description(drawn: Diagram) -> str:
    """Return the drawing in words, from the highest address to the lowest, for a screen reader."""
    names = [title_of(block) + (f" (r1: {block.r1})" if block.r1 else "") for block in drawn.blocks]
    beside = [f"Beside the stack: {title_of(block)}." for block in drawn.beside]
    return " ".join([f"From the highest address to the lowest: {'; '.join(names)}.", *beside, *drawn.notes])


class _Painter:
    def __init__(self, drawn: Diagram, *, unfold: bool) -> None:
        self.drawn = drawn
        self.drawing = Drawing(_WIDTH)
        self.letters = letters_of(drawn)
        self.unfold = unfold
        self._at = self._head()
        self._ends: dict[str, int] = {}
        self._thread_info: int | None = None
        for number, block in enumerate(drawn.blocks):
            if number == drawn.gap:
                self._gap(block)
            else:
                self._block(block if unfold else folded(block), signed=number < drawn.gap)
        self.drawing.line(_LEFT, self._at, _RIGHT, self._at, "edge")
        self._beside()
        self._foot()

    def _head(self) -> int:
        draw, drawn = self.drawing, self.drawn
        draw.text(_TOP, 40, drawn.title, "strong", size=20)
        draw.text(_TOP, 62, drawn.subtitle, "faint")
        who = ", ".join(f"{letter} {symbol}" for symbol, letter in self.letters.items())
        said = f"{drawn.stack_size} bytes (THREAD_SIZE), the highest address at the top."
        draw.text(_TOP, 80, f"{said} Stored before the tracer is called by {who}", "faint")
        y = 116
        draw.text(_FAR, y - 14, "from", "faint", size=_SMALL, anchor="end")
        draw.text(_FAR, y, "A's r1", "faint", size=_SMALL, anchor="end")
        draw.text(_NEAR, y - 14, "from", "faint", size=_SMALL, anchor="end")
        draw.text(_NEAR, y, "r1", "faint", size=_SMALL, anchor="end")
        draw.text(_CONSTANT, y, "asm-offsets", "faint", size=_SMALL)
        for number, letter in enumerate(self.letters.values()):
            draw.text(_MARK + _BETWEEN_MARKS * number, y, letter, "strong", size=_SMALL, anchor="middle")
        draw.text(_WHAT, y, "what is there", "faint", size=_SMALL)
        return y + 10

    def _block(self, block: Block, *, signed: bool) -> None:
        draw, top = self.drawing, self._at
        colour = _COLOUR.get(block.kind, "grey")
        rows = [(row, self._what(row)) for row in block.rows]
        heights = [_ROW + _LINE * (len(lines) - 1) for _, lines in rows]
        title = wrapped(title_of(block), characters(_RIGHT - _NAME - 10, 13), "")
        height = 6 + 18 * len(title) + sum(heights) + (4 if rows else 6)
        if block.kind == TRACER:
            height += 16
        draw.rect(_LEFT, top, _RIGHT - _LEFT, height, f"{colour}-fill")
        draw.rect(_LEFT, top, 5, height, colour)
        draw.line(_LEFT, top, _RIGHT, top, "edge")
        for number, line in enumerate(title):
            draw.text(_NAME, top + 18 + 18 * number, line, "strong", size=13)
        y = top + 6 + 18 * len(title)
        for (row, lines), tall in zip(rows, heights, strict=True):
            draw.line(_LEFT + 5, y, _RIGHT, y, "rule")
            self._row(row, lines, y, signed=signed)
            if block.kind == THREAD_INFO:
                self._thread_info = y + 10
            y += tall
        for x in (_LEFT, _RIGHT):
            draw.line(x, top, x, top + height, "edge")
        self._at = top + height
        self._ends[block.kind] = top
        if block.r1:
            self._pointer(self._at, f"r1: {block.r1}")

    def _what(self, row: Row) -> list[str]:
        return wrapped(row.said, characters(_RIGHT - _WHAT - 8, _SIZE), "")

    def _row(self, row: Row, lines: list[str], y: int, *, signed: bool) -> None:
        draw, base = self.drawing, y + 14
        far, near = offset_texts(row, signed=signed)
        draw.text(_FAR, base, far, "mono", size=_SIZE, anchor="end")
        draw.text(_NEAR, base, near, "mono faint", size=_SIZE, anchor="end")
        draw.text(_NAME, base, row.name, "mono", size=_SIZE)
        draw.text(_CONSTANT, base, row.constant, "mono faint", size=_SIZE)
        stored = [symbol for symbol, _ in row.stored]
        for number, symbol in enumerate(self.letters):
            if symbol in stored:
                draw.circle(_MARK + _BETWEEN_MARKS * number, y + 10, 4, "mark")
        for number, line in enumerate(lines):
            draw.text(_WHAT, base + _LINE * number, line, size=_SIZE)

    def _pointer(self, y: int, said: str) -> None:
        """Draw an arrow to the boundary at ``y`` of the box, with what points there."""
        self.drawing.arrow((_SIDE - 6, y), (_RIGHT + 2, y))
        self._beside_text(y, said)

    def _beside_text(self, y: int, said: str) -> None:
        lines = wrapped(said, characters(_SIDE_END - _SIDE, _SIZE), "")
        first = y + 4 - _LINE * (len(lines) - 1) // 2
        for number, line in enumerate(lines):
            self.drawing.text(_SIDE, first + _LINE * number, line, "point", size=_SIZE)

    def _gap(self, block: Block) -> None:
        draw, top, height = self.drawing, self._at, 104
        middle = (_LEFT + _RIGHT) // 2
        draw.line(_LEFT, top, _RIGHT, top, "edge")
        for x in (_LEFT, _RIGHT):
            draw.line(x, top, x, top + height, "dashed")
        draw.arrow((middle - 150, top + 6), (middle - 150, top + 34))
        draw.text(middle - 136, top + 24, "the stack grows down", "point")
        draw.text(middle, top + 56, block.name, "strong", size=13, anchor="middle")
        if self.drawn.livepatch:
            draw.arrow((middle - 150, top + height - 6), (middle - 150, top + height - 34))
            draw.text(middle - 136, top + height - 16, "the livepatch stack grows up", "point")
            draw.text(_NEAR, top + height - 18, "from", "faint", size=_SMALL, anchor="end")
            draw.text(_NEAR, top + height - 4, "sp", "faint", size=_SMALL, anchor="end")
        draw.text(_FAR, top + height - 18, "from", "faint", size=_SMALL, anchor="end")
        draw.text(_FAR, top + height - 4, "low end", "faint", size=_SMALL, anchor="end")
        self._at = top + height

    def _beside(self) -> None:
        """Draw where livepatch_sp is kept, and what it points to."""
        if not self.drawn.livepatch:
            return
        target = self._ends[LIVEPATCH]
        draw = self.drawing
        if self._thread_info is not None:
            lane = _RIGHT + 28
            draw.arrow((_RIGHT, self._thread_info), (lane, self._thread_info), (lane, target), (_RIGHT + 2, target))
            self._beside_text(target, "livepatch_sp")
            return
        self._pointer(target, "livepatch_sp")
        for block in self.drawn.beside:
            self._task(block, target + 30)

    def _task(self, block: Block, top: int) -> None:
        """Draw a block that is in no stack, at the side: thread_info, in the task."""
        draw = self.drawing
        width = _SIDE_END - _SIDE + 14
        lines = wrapped(title_of(block), characters(width - 20, _SIZE), "")
        rows = [wrapped(f"{row.constant}: {row.said}", characters(width - 20, _SIZE), "") for row in block.rows]
        height = 8 + _LINE * len(lines) + sum(_ROW + 4 + _LINE * len(said) for said in rows) + 6
        x = _SIDE - 14
        draw.rect(x, top, width, height, "violet-fill")
        draw.rect(x, top, 5, height, "violet")
        draw.arrow((x + 7, top), (x + 7, self._ends[LIVEPATCH] + 10))
        y = top + 4
        for line in lines:
            y += _LINE
            draw.text(x + 14, y, line, "strong", size=_SIZE)
        for row, said in zip(block.rows, rows, strict=True):
            y += 6
            draw.line(x + 5, y, x + width, y, "rule")
            y += 15
            draw.text(x + 14, y, f"{row.name} at {row.offset}", "mono", size=_SIZE)
            for line in said:
                y += _LINE
                draw.text(x + 14, y, line, "faint", size=_SIZE)
        draw.reach(y + 16)

    def _foot(self) -> None:
        draw = self.drawing
        y = draw.height + 14
        room = characters(_WIDTH - 2 * _TOP, _SIZE)
        if self.drawn.caller is not None:
            for said in self.drawn.caller.lines(room):
                y += 17
                self.drawing.text(_TOP, y, said.plain, "mono spaced", size=_SIZE)
            y += 10
        for note in self.drawn.notes:
            for line in wrapped(note, room, ""):
                y += 17
                self.drawing.text(_TOP, y, line, "faint", size=_SIZE)
        draw.reach(y + _TOP)
