"""Putting the emitted text into a kernel file of which it is a part, in place of that file's own code.

lpgen's text is for dynamic ftrace with -mprofile-kernel. For every other configuration the preprocessed file is the
same afterwards, line by line: what only lpgen's configurations have is taken out, what others need too gets an #if
around it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from lpgen.errors import LpgenError, Place
from lpgen.tree.border import Border
from lpgen.tree.lines import Edit, Lines
from lpgen.tree.symbols import (
    closes_section,
    declared_global,
    definitions,
    goes_on,
    is_global,
    is_head,
    is_outside,
    opens_section,
)
from lpgen.tree.worlds import GUARDS, MPROFILE, agrees, is_ours, world_text, worlds

BEGIN = "/* lpgen begins: `lpgen install` puts its text here, and replaces all up to the end mark */\n"
END = "/* lpgen ends */\n"
_BEGIN = re.compile(r"/\* lpgen begins\b")
_END = re.compile(r"/\* lpgen ends\b")
_KEPT = "\t/* lpgen's own is used with it */\n"
_LICENSE = re.compile(r"/\* SPDX-License-Identifier:[^\n]*\*/\n")
ANCHOR = "ftrace_caller"


def splice(old: str, text: str, *, file: str, known: Iterable[str], options: Mapping[str, bool] | None = None) -> str:
    """Return ``old`` with the emitted ``text`` in place of its own definitions of the same symbols.

    ``file`` names ``old`` in errors, ``known`` are lpgen's symbols even if this ``text`` does not define them,
    ``options`` are those that ``text`` was made for (None: it is for every setting). An earlier text of lpgen is
    replaced. Raises LpgenError with file and line when the file's structure leaves no safe way.
    """
    return _Splice(old, text, file, frozenset(known), options).result()


@dataclass(frozen=True, slots=True)
class _Span:
    """Units ``first`` to ``last``, in the branch of ``site``: definitions of lpgen's symbols, with their comments."""

    first: int
    last: int
    site: int


class _Splice:
    def __init__(
        self, old: str, text: str, file: str, known: frozenset[str], options: Mapping[str, bool] | None
    ) -> None:
        self.file = file
        self.options = options
        self.lines = Lines(old, file)
        self.new = Lines(text, "the emitted text")
        self.worlds = list(worlds())
        self.alive = [self.lines.alive(world) for world in self.worlds]
        self.ours = frozenset(number for number, world in enumerate(self.worlds) if is_ours(world))
        self.wanted = _defined(self.new, range(len(self.new.units)))
        self.known = known | self.wanted
        self.declared = declared_global(self.lines)
        self.own = self._own()

    def result(self) -> str:
        """Return the spliced file, checked."""
        edit = Edit(self.lines)
        spans = self._spans()
        anchor = self._anchor(spans)
        self._check_cuts(spans)
        self._check_border(spans, anchor)
        edit.insert(anchor.first, self._block(anchor))
        if self.own is not None:
            edit.drop(self.own.first, self.own.last)
        for span in spans:
            self._take_out(edit, span)
        made = edit.text()
        self._check(made)
        return made

    # Where the code of the file is.

    def _own(self) -> _Span | None:
        """Return what lpgen put in earlier."""
        begins: list[int] = []
        ends: list[int] = []
        for index, unit in enumerate(self.lines.units):
            if unit.kind == "comment":
                raw = self.lines.raw[unit.first].lstrip()
                for found, mark in ((begins, _BEGIN), (ends, _END)):
                    if mark.match(raw):
                        found.append(index)
        if not begins and not ends:
            return None
        if len(begins) != 1 or len(ends) != 1 or ends < begins:
            odd = begins[1:] or ends[1:] or begins or ends
            raise LpgenError(
                "lpgen's marks do not match: it takes one that begins, and one that ends below it",
                place=self.lines.place(odd[0]),
                hint="restore the file, or take out lpgen's text and its marks",
            )
        first, last = begins[0], ends[0]
        if self.lines.branch[first] != self.lines.branch[last]:
            raise LpgenError(
                f"an #if begins or ends between here and line {self.lines.units[last].first + 1}, in lpgen's text",
                place=self.lines.place(first),
                hint="restore the file, or take out lpgen's text and its marks",
            )
        return _Span(first, last, first)

    def _in_own(self, unit: int) -> bool:
        return self.own is not None and self.own.first <= unit <= self.own.last

    def _worlds_at(self, unit: int) -> frozenset[int]:
        return frozenset(number for number, alive in enumerate(self.alive) if unit in alive)

    def _is_ours(self, unit: int) -> bool:
        return not self._worlds_at(unit).isdisjoint(self.ours)

    def _sites(self, names: frozenset[str]) -> list[int]:
        """Return the units that define one of ``names`` in a configuration of lpgen's."""
        return [
            unit
            for unit in self.lines.code(0, len(self.lines.units))
            if not self._in_own(unit) and not names.isdisjoint(definitions(self.lines.units[unit].text))
            if self._is_ours(unit)
        ]

    def _spans(self) -> list[_Span]:
        spans: list[_Span] = []
        for site in self._sites(self.wanted):
            if not spans or site > spans[-1].last:
                start = self._start(site, spans[-1].last + 1 if spans else 0)
                spans.append(_Span(start, self._end(site), site))
        return spans

    def _start(self, site: int, least: int) -> int:
        """Return the first unit that belongs to the definition: its comment, its .globl."""
        units = self.lines.units
        least = max(least, self.lines.branch[site].start + 1)
        at = site
        while at > least and units[at - 1].kind == "code" and is_head(units[at - 1].text):
            at -= 1
        above = at
        while above > least and units[above - 1].kind == "blank":
            above -= 1
        if above > least and units[above - 1].kind == "comment":
            while above > least and units[above - 1].kind == "comment" and not self._in_own(above - 1):
                above -= 1
                at = above
        return at

    def _end(self, site: int) -> int:
        """Return the last unit of what begins at ``site``: up to the next function of others, or its #if's end."""
        units = self.lines.units
        last = site
        away = False
        for first, final in self.lines.items(site + 1, self.lines.branch[site].end):
            unit = units[first]
            if self._in_own(first) or self._is_foreign(first, final):
                break
            if unit.kind == "code":
                if opens_section(unit.text):
                    if not self._comes_back(final + 1, self.lines.branch[site].end):
                        break
                    away = True
                elif closes_section(unit.text):
                    if not away:
                        break
                    away = False
                elif is_head(unit.text):
                    continue  # taken with what it is for
                elif is_outside(unit.text) and not away:
                    break
                last = final
            elif unit.kind == "directive":
                if first == final:
                    break  # #define or #include: not the function's
                if self.lines.code(first, final + 1):
                    last = final
        return last

    def _is_foreign(self, first: int, last: int) -> bool:
        """Say whether units ``first`` to ``last`` define for other files what is none of lpgen's symbols."""
        return any(
            is_global(self.lines.units[unit].text, name, self.declared)
            for unit in self.lines.code(first, last + 1)
            if self._is_ours(unit)
            for name in definitions(self.lines.units[unit].text)
            if name not in self.known
        )

    def _comes_back(self, start: int, end: int) -> bool:
        for first, last in self.lines.items(start, end):
            if self.lines.units[first].kind == "code":
                text = self.lines.units[first].text
                if closes_section(text):
                    return True
                if opens_section(text) or self._is_foreign(first, last):
                    return False
        return False

    def _anchor(self, spans: list[_Span]) -> _Span:
        """Return what lpgen's text is put in place of, or before."""
        if self.own is not None:
            return self.own
        sites = self._sites(frozenset({ANCHOR}))
        if not sites:
            self._refuse_without_anchor()
        at = next(span for span in spans if span.first <= sites[0] <= span.last)
        missing = self.ours - self._worlds_at(sites[0])
        if missing:
            raise LpgenError(
                f"{ANCHOR} is not defined here for {world_text(self.worlds[min(missing)])}",
                place=self.lines.place(sites[0]),
                hint="lpgen's text is for every configuration: have one definition of it",
            )
        return at

    def _refuse_without_anchor(self) -> None:
        reason, place = f"has no {ANCHOR} for -mprofile-kernel ({MPROFILE} and CONFIG_DYNAMIC_FTRACE)", Place(self.file)
        for unit in self.lines.code(0, len(self.lines.units)):
            if ANCHOR in definitions(self.lines.units[unit].text):
                place = self.lines.place(unit)
                reason = f"this {ANCHOR} is not for -mprofile-kernel ({MPROFILE} and CONFIG_DYNAMIC_FTRACE)"
        raise LpgenError(reason, place=place, hint="Linux has it from 4.6 on: lpgen's text takes its place")

    # What may not be cut.

    def _check_border(self, spans: list[_Span], anchor: _Span) -> None:
        gone = frozenset(unit for span in spans for unit in range(span.first, span.last + 1))
        own = frozenset() if self.own is None else frozenset(range(self.own.first, self.own.last + 1))
        border = Border(self.lines, gone - own, own, self.new, anchor.first)
        border.check_directives()
        border.check_names(self._is_ours, self.known)
        for number in sorted(self.ours):
            border.check_numbers(self.alive[number], self.new.alive(self.worlds[number]))

    def _check_cuts(self, spans: list[_Span]) -> None:
        units = self.lines.units
        taken = {unit for span in spans for unit in range(span.first, span.last + 1)}
        if self.own is not None:
            taken.update(range(self.own.first, self.own.last + 1))
        for number in self.ours:
            code = [unit for unit in self.lines.code(0, len(units)) if unit in self.alive[number]]
            for before, unit in zip([None, *code], [*code, None], strict=True):
                if before is not None and before in taken and unit is not None and unit not in taken:
                    self._check_behind(before, unit)
                if before is None or before in taken or unit is None or unit not in taken or self._in_own(unit):
                    continue
                if goes_on(units[before].text):
                    raise LpgenError(
                        f"runs on into line {units[unit].first + 1}, which lpgen's text replaces",
                        place=self.lines.place(before),
                        hint="end it with a branch, or move it",
                    )

    def _check_behind(self, before: int, unit: int) -> None:
        if self._in_own(before):
            return
        text = self.lines.units[unit].text
        line = self.lines.units[before].last + 1
        if goes_on(self.lines.units[before].text):
            raise LpgenError(
                f"is reached from line {line}, which lpgen's text replaces",
                place=self.lines.place(unit),
                hint="move it out of the function above",
            )
        if not definitions(text) and not is_outside(text):
            raise LpgenError(
                f"belongs neither to what lpgen's text replaces, up to line {line}, nor to a function of its own",
                place=self.lines.place(unit),
                hint="keep a function within one #if, or give this code a name with _GLOBAL",
            )

    # The edit.

    def _take_out(self, edit: Edit, span: _Span) -> None:
        """Drop what only lpgen's configurations have, and put an #if around what others need."""
        runs: list[tuple[bool, int, int]] = []  # needed by others, first, last
        open_ = span.first
        for first, last in self.lines.items(span.first, span.last + 1):
            code = self.lines.code(first, last + 1)
            if not code:
                continue  # goes with what follows: a comment of it
            needed = any(not self._worlds_at(unit) <= self.ours for unit in code)
            if runs and runs[-1][0] == needed:
                runs[-1] = (needed, runs[-1][1], last)
            else:
                runs.append((needed, open_, last))
            open_ = last + 1
        for needed, first, last in runs:
            if not needed:
                edit.drop(first, last)
                continue
            while self.lines.units[first].kind == "blank":
                first += 1
            _, guard = self._guard(span)
            edit.insert(first, f"{guard}{_KEPT}")
            edit.insert(last + 1, "#endif\n")

    def _guard(self, span: _Span) -> tuple[str, str]:
        """Return the #if for lpgen's configurations, empty if there are no others here, and the #if for the others."""
        here = self._worlds_at(span.site)
        for ours, others, test in GUARDS:
            if all(test(self.worlds[number]) == (number in self.ours) for number in here):
                return ("" if here <= self.ours else f"{ours}\n"), others
        raise LpgenError("no #if tells lpgen's configurations from the others", place=self.lines.place(span.site))

    def _block(self, anchor: _Span) -> str:
        """Return what is put in: the text between the marks, without what is for the head of a file."""
        edit = Edit(self.new)
        if self.new.units and _LICENSE.fullmatch(self.new.raw[0]):
            edit.drop(0, 0)
        there: dict[str, frozenset[int]] = {}
        for unit in range(anchor.first):
            if self.lines.units[unit].word == "include":
                name = _included(self.lines.units[unit].text)
                there[name] = there.get(name, frozenset()) | self._worlds_at(unit)
        alive = {number: self.new.alive(self.worlds[number]) for number in self.ours}
        for unit, told in enumerate(self.new.units):
            if told.word == "include":
                wanted = {number for number, kept in alive.items() if unit in kept}
                if wanted <= there.get(_included(told.text), frozenset()):
                    edit.drop(unit, unit)
        guard, _ = self._guard(anchor)
        text = edit.text().strip("\n")
        return f"{BEGIN}{guard}{text}\n{'#endif' + chr(10) if guard else ''}{END}"

    # The result.

    def _check(self, made: str) -> None:
        """Check the whole: each symbol once, and nothing changed where lpgen's text is not built."""
        lines = Lines(made, self.file)
        inside = _marked(lines)
        for number, world in enumerate(self.worlds):
            kept = lines.alive(world)
            if number not in self.ours:
                if _code(lines, kept) != _code(self.lines, self.alive[number]):
                    raise LpgenError(
                        f"the code for {world_text(world)} would change, which lpgen's text is not for",
                        place=Place(self.file),
                        hint="lay out the ftrace code as Linux has it: each function in one #if",
                    )
                continue
            stray = Counter(_code(lines, kept - inside)) - Counter(_code(self.lines, self.alive[number]))
            if stray:
                raise LpgenError(f"{next(iter(stray)).strip()!r} would be left of a line", place=Place(self.file))
            want = _count(self.new, self.new.alive(world), self.wanted)
            have = _count(lines, kept, self.wanted)
            settled = self.options is None or agrees(world, self.options)
            for name in sorted(self.wanted):
                seen = have.get(name, [])
                if len(seen) > 1 or (settled and len(seen) != len(want.get(name, []))):
                    raise LpgenError(
                        f"{name} would be defined {len(seen)} times for {world_text(world)}",
                        place=lines.place(seen[-1]) if seen else Place(self.file),
                        hint="have one definition of it for -mprofile-kernel",
                    )


def _marked(lines: Lines) -> frozenset[int]:
    """Return the units from lpgen's first mark to its last."""
    marks = [
        index
        for index, unit in enumerate(lines.units)
        if unit.kind == "comment" and lines.raw[unit.first] in (BEGIN, END)
    ]
    return frozenset(range(marks[0], marks[-1] + 1))


def _defined(lines: Lines, units: Iterable[int]) -> frozenset[str]:
    return frozenset(
        name for unit in units if lines.units[unit].kind == "code" for name in definitions(lines.units[unit].text)
    )


def _count(lines: Lines, alive: frozenset[int], names: frozenset[str]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for unit in sorted(alive):
        if lines.units[unit].kind == "code":
            for name in definitions(lines.units[unit].text):
                if name in names:
                    found.setdefault(name, []).append(unit)
    return found


def _code(lines: Lines, alive: frozenset[int]) -> list[str]:
    return [lines.units[unit].text for unit in sorted(alive) if lines.units[unit].text]


def _included(text: str) -> str:
    return text.partition("include")[2].strip()
