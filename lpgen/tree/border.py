"""The border of what lpgen's text replaces: nothing that stays may need what goes, or bind to what comes."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from lpgen.errors import LpgenError
from lpgen.tree.lines import Lines
from lpgen.tree.symbols import assigned, definitions

# Directives that can go with the code that they are in.
_PASSING = ("if", "ifdef", "ifndef", "elif", "elifdef", "elifndef", "else", "endif", "error", "warning")
_WORD = re.compile(r"[A-Za-z_][\w.$]*")
_STRING = re.compile(r'"(?:\\.|[^"\\])*"')
# A numeric label, 1: or a reference to one, 1b, 1f.
_NUMBER = re.compile(r"(?<![\w.$])(\d+)(?:\s*(:)(?!:)|([bf])(?![\w.$]))")
_MACRO = re.compile(r"\s*\.macro\s+([A-Za-z_][\w.$]*)")
_ENDM = re.compile(r"\s*\.endm\b")
_DEPTH = 20


@dataclass(frozen=True, slots=True)
class Border:
    """The file ``lines``, the units ``gone`` that lpgen's text replaces, and ``own``, those of an earlier one.

    ``new`` is lpgen's text, which comes before unit ``at``.
    """

    lines: Lines
    gone: Collection[int]
    own: Collection[int]
    new: Lines
    at: int

    def check_directives(self) -> None:
        """Refuse a #define, #undef, #include and such in what goes: what comes later may need it."""
        for unit in sorted(self.gone):
            told = self.lines.units[unit]
            if told.kind == "directive" and told.word and told.word not in _PASSING:
                raise LpgenError(
                    f"#{told.word} stands in what lpgen's text replaces, and what comes later may need it",
                    place=self.lines.place(unit),
                    hint="move it above the function",
                )

    def check_names(self, is_ours: Callable[[int], bool], known: Collection[str]) -> None:
        """Refuse when what stays refers to a label, a value or a macro of what goes, other than ``known``."""
        units = self.lines.units
        gone = {
            name: unit
            for unit in self.lines.code(0, len(units))
            if unit in self.gone and is_ours(unit)
            for name in (*definitions(units[unit].text), *assigned(units[unit].text))
            if name not in known
        }
        for unit, told in enumerate(units) if gone else ():
            if unit in self.gone or unit in self.own:
                continue
            # Whether a #define is used, and where, is not asked.
            if told.word != "define" and (told.kind != "code" or not is_ours(unit)):
                continue
            for name in _WORD.findall(told.text):
                if name in gone:
                    line = units[gone[name]].first + 1
                    raise LpgenError(
                        f"refers to {name}, which stands in what lpgen's text replaces (line {line})",
                        place=self.lines.place(unit),
                        hint=f"move {name} out of there, or this with it",
                    )

    def check_numbers(self, alive: Collection[int], new_alive: Collection[int]) -> None:
        """Refuse when 1b or 1f of what stays is another label afterwards; ``alive``: the units of one configuration."""
        old = list(_numbers(self.lines, sorted(alive)))
        out = [found for found in old if found.unit in self.gone or found.unit in self.own]
        names = {found.number for found in out}
        own = [found._replace(unit=-1) for found in _numbers(self.new, sorted(new_alive))]
        names |= {found.number for found in own}
        staying = [found for found in old if found not in out]
        split = sum(found.unit < self.at for found in staying)
        new = [*staying[:split], *own, *staying[split:]]
        before, after = _bound(old), _bound(new)
        for found in staying:
            if found.to and found.number in names and before.get(found) != after.get(found):
                label, other = before.get(found), after.get(found)
                ref = f"{found.number}{found.to}"
                if label is not None and label not in staying:
                    line = self.lines.units[label.unit].first + 1
                    reason = f"{ref} is in line {line}, which lpgen's text replaces"
                else:
                    reason = f"{ref} would be lpgen's {found.number}:" if other is not None else f"{ref} would be lost"
                raise LpgenError(reason, place=self.lines.place(found.unit), hint="give the label a name")


class _Number(NamedTuple):
    """A numeric label at ``unit`` (``to`` empty), or a reference to one; ``turn`` counts those of a unit."""

    unit: int
    turn: int
    number: int
    to: str


def _numbers(lines: Lines, units: Iterable[int]) -> Iterator[_Number]:
    """Yield the numeric labels and references of a configuration's units, those of a macro where it is used."""
    macros: dict[str, list[str]] = {}
    body: list[str] | None = None
    depth = 0
    for unit in units:
        told = lines.units[unit]
        if told.kind != "code":
            continue
        begins = _MACRO.match(told.text)
        if begins is not None:
            depth += 1
            if depth == 1:
                body = macros[begins[1]] = []
                continue
        elif _ENDM.match(told.text) and depth:
            depth -= 1
            if not depth:
                body = None
                continue
        if body is not None:
            body.append(told.text)
            continue
        for turn, match in enumerate(_expanded(told.text, macros)):
            yield _Number(unit, turn, int(match[1]), match[3] or "")


def _expanded(text: str, macros: Mapping[str, list[str]], depth: int = 0) -> Iterator[re.Match[str]]:
    plain = _STRING.sub('""', text)
    yield from _NUMBER.finditer(plain)
    if depth < _DEPTH:
        for name in _WORD.findall(plain) if macros else ():
            for line in macros.get(name, ()):
                yield from _expanded(line, macros, depth + 1)


def _bound(numbers: Iterable[_Number]) -> dict[_Number, _Number]:
    """Return the label of each reference that has one."""
    found: dict[_Number, _Number] = {}
    last: dict[int, _Number] = {}
    waiting: dict[int, list[_Number]] = {}
    for number in numbers:
        if not number.to:
            last[number.number] = number
            for reference in waiting.pop(number.number, ()):
                found[reference] = number
        elif number.to == "f":
            waiting.setdefault(number.number, []).append(number)
        elif number.number in last:
            found[number] = last[number.number]
    return found
