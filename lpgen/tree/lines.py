"""Assembly text in units that may not be cut: lines, comments of several lines, continued directives; and its #if."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from lpgen.assembly.comments import DIRECTIVE, clean
from lpgen.assembly.preprocess import Sources, preprocess
from lpgen.errors import LpgenError, Place

Kind = Literal["blank", "comment", "code", "directive"]
World = Mapping[str, str]

# In a string no comment begins; the order of the two matters.
_COMMENT = re.compile(r'"(?:\\.|[^"\\\n])*"|/\*.*?\*/|//[^\n]*', re.DOTALL)
_WORD = re.compile(r"\s*#\s*(\w+)")
_OPENING = ("if", "ifdef", "ifndef")
_MIDDLE = ("elif", "else")
# Each is evaluated for every configuration.
_MOST = 1000
# Stands for a line that is no directive: only the #if around it matter.
_MARK = "lpgen_line"


@dataclass(frozen=True, slots=True)
class Unit:
    """Physical lines ``first`` to ``last`` (from 0) that belong together; ``text`` is without comments.

    ``word`` is a directive's name, empty for what is none.
    """

    first: int
    last: int
    kind: Kind
    text: str
    word: str = ""


@dataclass(frozen=True, slots=True)
class Branch:
    """What stands between two directives of an #if: units ``start`` + 1 to ``end`` - 1; -1 and the end: all of it."""

    start: int
    end: int


class Lines:
    """A text as units, with the branch of each and the #endif of each #if.

    ``file`` is the name for errors. Raises LpgenError with file and line for #if and #endif that do not match, and for
    a comment or a string that is not closed.
    """

    def __init__(self, text: str, file: str) -> None:
        self.file = file
        self.raw = re.findall(r"[^\n]*\n|[^\n]+", text)
        self._clean = clean(text, file)[: len(self.raw)]
        self.units = list(self._units(text))
        self.branch: list[Branch] = [Branch(-1, len(self.units))] * len(self.units)
        self.closing: dict[int, int] = {}
        self._pair()
        self._skeleton: list[tuple[int, str]] = []

    def place(self, unit: int) -> Place:
        """Return where a unit begins."""
        return Place(self.file, self.units[unit].first + 1)

    def items(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        """Yield (first, last) of what stands side by side in units ``start`` to ``end`` - 1: a unit, or a whole #if."""
        at = start
        while at < end:
            last = self.closing.get(at, at)
            yield at, last
            at = last + 1

    def code(self, start: int, end: int) -> list[int]:
        """Return the units of code among ``start`` to ``end`` - 1."""
        return [unit for unit in range(start, end) if self.units[unit].kind == "code"]

    def alive(self, world: World) -> frozenset[int]:
        """Return the units, of the directives #include only, that the preprocessor keeps when ``world`` is defined.

        Raises LpgenError with file and line for an #if that cannot be evaluated.
        """
        if not self._skeleton:
            self._skeleton = list(self._reduced())
        text = "".join(f"{line}\n" for _, line in self._skeleton)
        try:
            kept = preprocess(text, self.file, sources=Sources({}, []), defines=world)
        except LpgenError as error:
            line = error.place.line if error.place is not None else None
            place = (
                Place(self.file) if line is None else self.place(self._skeleton[min(line, len(self._skeleton)) - 1][0])
            )
            raise LpgenError(error.reason, place=place, hint=error.hint) from error
        marks = {self._skeleton[line.place.line - 1][0] for line in kept if line.place.line is not None}
        found = []
        alive = False
        stretch = False
        for index, unit in enumerate(self.units):
            if not _is_plain(unit):
                stretch = False
                continue
            if not stretch:
                alive = index in marks
            stretch = True
            if alive:
                found.append(index)
        return frozenset(found)

    def _reduced(self) -> Iterator[tuple[int, str]]:
        """Yield (unit, line) of the directives that matter, and of a mark for each stretch between two of them."""
        stretch = False
        for index, unit in enumerate(self.units):
            if _is_plain(unit):
                if not stretch:
                    yield index, _MARK
                stretch = True
                continue
            stretch = False
            if unit.word not in ("include_next", "error", "warning", "pragma", "line"):
                yield index, unit.text

    def _units(self, text: str) -> Iterator[Unit]:
        glued = self._glued(text)
        first = 0
        for number in range(len(self.raw)):
            if number + 1 in glued:
                continue
            told = " ".join(line for line in self._clean[first : number + 1] if line.strip())
            raw = "".join(self.raw[first : number + 1])
            kind: Kind = "blank" if not raw.strip() else "comment"
            if told:
                kind = "directive" if DIRECTIVE.match(told) else "code"
            word = _WORD.match(told) if kind == "directive" else None
            yield Unit(first, number, kind, told, word[1] if word is not None else "")
            first = number + 1

    def _glued(self, text: str) -> set[int]:
        """Return the lines that cannot be told from the one before: in a comment, or behind a backslash."""
        glued = {number + 1 for number, line in enumerate(self.raw) if line.rstrip("\n").endswith("\\")}
        line = at = 0
        for match in _COMMENT.finditer(text):
            line += text.count("\n", at, match.start())
            at = match.start()
            if match[0].startswith("/*"):
                glued.update(range(line + 1, line + 1 + match[0].count("\n")))
        return glued - {len(self.raw)}

    def _pair(self) -> None:
        open_: list[list[int]] = []  # of each open #if the directives of it so far
        inside: list[list[int]] = [[]]  # the units seen in each open branch
        for index, unit in enumerate(self.units):
            word = unit.word
            if word in _OPENING:
                inside[-1].append(index)
                open_.append([index])
                inside.append([])
            elif word in (*_MIDDLE, "endif"):
                if not open_:
                    raise LpgenError(f"#{word} without #if", place=self.place(index))
                if word != "endif" and self.units[open_[-1][-1]].word == "else":
                    raise LpgenError(f"#{word} after #else", place=self.place(index))
                self._close(inside.pop(), open_[-1][-1], index)
                open_[-1].append(index)
                # The directives of an #if stand where the #if stands.
                inside[-1].append(index)
                if word == "endif":
                    self.closing[open_.pop()[0]] = index
                else:
                    inside.append([])
            else:
                inside[-1].append(index)
        if len(self.closing) > _MOST:
            raise LpgenError(f"has more than {_MOST} #if: no such file of a kernel has", place=Place(self.file))
        if open_:
            raise LpgenError("#if is not closed", place=self.place(open_[-1][0]), hint="add #endif")

    def _close(self, units: Iterable[int], start: int, end: int) -> None:
        for unit in units:
            self.branch[unit] = Branch(start, end)


class Edit:
    """Units to leave out, and text to put in before one; what is left is kept byte for byte."""

    def __init__(self, lines: Lines) -> None:
        self.lines = lines
        self.dropped: set[int] = set()
        self._before: dict[int, list[str]] = {}

    def drop(self, first: int, last: int) -> None:
        """Leave out units ``first`` to ``last``."""
        self.dropped.update(range(first, last + 1))

    def insert(self, unit: int, text: str) -> None:
        """Put ``text`` in before ``unit`` (behind the last one: their number)."""
        self._before.setdefault(unit, []).append(text)

    def text(self) -> str:
        """Return the text after the edit, without an #if that it left with nothing in it."""
        self._drop_emptied()
        out: list[str] = []
        for index, unit in enumerate([*self.lines.units, None]):
            out += self._before.get(index, ())
            if unit is None or index in self.dropped:
                continue
            gap = index - 1 in self.dropped and index - 1 not in self._before and index not in self._before
            if unit.kind == "blank" and gap and (not out or not out[-1].strip()):
                # One blank line is enough where something was between two.
                continue
            out += self.lines.raw[unit.first : unit.last + 1]
        return "".join(out)

    def _drop_emptied(self) -> None:
        gone = sorted(self.dropped)
        # Inner ones first: what they leave may be nothing, too.
        for first, last in sorted(self.lines.closing.items(), key=lambda pair: pair[1] - pair[0]):
            near = bisect_right(gone, first)
            if first in self.dropped or near == len(gone) or gone[near] >= last:
                continue
            if all(self._is_nothing(unit, first) for unit in range(first + 1, last)) and last not in self._before:
                self.drop(first, last)

    def _is_nothing(self, unit: int, opening: int) -> bool:
        """Say whether nothing is left at a unit in the #if at ``opening``, but for that one's own #else."""
        told = self.lines.units[unit]
        own = told.word in _MIDDLE and self.lines.branch[unit] == self.lines.branch[opening]
        return unit not in self._before and (unit in self.dropped or own or told.kind == "blank")


def _is_plain(unit: Unit) -> bool:
    """Say whether the #if around a unit matter and it does not matter for others."""
    return unit.kind != "directive" or unit.word == "include"
