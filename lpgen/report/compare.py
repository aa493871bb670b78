"""Two kernels compared: what must hold, the offsets, the emitted code."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import cached_property

from lpgen.assembly.comments import clean
from lpgen.kernel.generations import Kernel, feature_texts, required_names
from lpgen.kernel.options import known_options, setting_text
from lpgen.report.kernels import sorted_features, thread_info_text
from lpgen.source.emit import emit_source

PARTS = ("contract", "offsets", "code")

_ENTRY = re.compile(r"_GLOBAL\((\w+)\)|(\w+):")
_LABELLED = re.compile(r"(\w+:)\s*(.*)")
# Directives that put no byte where they stand.
_NO_CODE = re.compile(r"\.(globl|type|size|align|balign|section|pushsection|popsection|previous|text)\b")


@dataclass(frozen=True)
class Fact:
    """Something that each of the two kernels has, and not the same."""

    name: str
    old: str
    new: str


@dataclass(frozen=True)
class Member:
    """Something that only one of the two has: the new one (``added``) or the old one."""

    added: bool
    name: str
    what: str = ""


@dataclass(frozen=True)
class OffsetChange:
    """A constant with another value; None for the kernel that does not need it."""

    name: str
    old: int | None
    new: int | None


@dataclass(frozen=True)
class CodeChange:
    """The lines of one symbol in both kernels; None where it is not there."""

    name: str
    old: tuple[str, ...] | None
    new: tuple[str, ...] | None

    @cached_property
    def runs(self) -> list[tuple[str, tuple[str, ...], tuple[str, ...]]]:
        """The lines in runs: what difflib calls each run (equal, replace, delete, insert), and both sides of it."""
        old, new = self.old or (), self.new or ()
        matcher = SequenceMatcher(None, old, new, autojunk=False)
        return [(tag, old[a:b], new[c:d]) for tag, a, b, c, d in matcher.get_opcodes()]

    @property
    def differs(self) -> bool:
        """Whether the two sides are not the same."""
        return self.old != self.new


@dataclass(frozen=True)
class Comparison:
    """All that differs between two kernels; ``code`` has every symbol, those that are the same included."""

    old: Kernel
    new: Kernel
    facts: tuple[Fact, ...]
    members: Mapping[str, tuple[Member, ...]]
    offsets: tuple[OffsetChange, ...]
    code: tuple[CodeChange, ...]

    def differs(self, part: str) -> bool:
        """Say whether the two differ in ``part``, one of PARTS."""
        if part == "contract":
            return bool(self.facts) or any(self.members.values())
        return bool(self.offsets) if part == "offsets" else any(change.differs for change in self.code)


def compare(old: Kernel, new: Kernel) -> Comparison:
    """Compare two kernels, each in its configuration."""
    return Comparison(old, new, tuple(_facts(old, new)), _members(old, new), tuple(_offsets(old, new)), _code(old, new))


def _facts(old: Kernel, new: Kernel) -> Iterable[Fact]:
    sides = [
        {
            "generation": f"{made.generation}: {made.title}",
            "layout": made.layout,
            "file": f"{made.file} (a part)" if made.section else made.file,
            "thread_info": thread_info_text(made).removeprefix("thread_info is "),
        }
        for made in (old, new)
    ]
    for name, value in sides[0].items():
        if value != sides[1][name]:
            yield Fact(name, value, sides[1][name])


def _members(old: Kernel, new: Kernel) -> dict[str, tuple[Member, ...]]:
    features = feature_texts()
    return {
        "features": _only({name: features[name] for name in sorted_features(made.features)} for made in (old, new)),
        "symbols": _only({symbol.name: symbol.what for symbol in made.symbols} for made in (old, new)),
        "options": _only(
            {
                setting_text(name, value): known_options()[name].what
                for name, value in (*made.options.items(), *made.numbers.items())
            }
            for made in (old, new)
        ),
        "call sites": _only({"; ".join(code): "" for code in made.call_sites} for made in (old, new)),
    }


def _only(sides: Iterable[Mapping[str, str]]) -> tuple[Member, ...]:
    old, new = sides
    gone = [Member(False, name, what) for name, what in old.items() if name not in new]
    return (*gone, *(Member(True, name, what) for name, what in new.items() if name not in old))


def _offsets(old: Kernel, new: Kernel) -> Iterable[OffsetChange]:
    sides = [{name: made.offsets[name] for name in required_names(made)} for made in (old, new)]
    for name in dict.fromkeys((*sides[0], *sides[1])):
        values = [side.get(name) for side in sides]
        if values[0] != values[1]:
            yield OffsetChange(name, *values)


def _code(old: Kernel, new: Kernel) -> tuple[CodeChange, ...]:
    sides = code_of(old), code_of(new)
    names = dict.fromkeys((*sides[1], *sides[0]))
    return tuple(CodeChange(name, sides[0].get(name), sides[1].get(name)) for name in names)


def code_of(made: Kernel) -> dict[str, tuple[str, ...]]:
    """Return the emitted code by symbol: its labels and instructions, without comments.

    Symbols at the same place share an entry, under all their names.
    """
    entries = {symbol.name for symbol in made.symbols if symbol.kind != "label"}
    blocks: list[tuple[list[str], list[str]]] = []
    for line in clean(emit_source(made).text, made.file_name):
        text = " ".join(line.split())
        entry = _ENTRY.fullmatch(text)
        name = "" if entry is None else entry[1] or entry[2]
        if name in entries:
            if blocks and not blocks[-1][1]:
                blocks[-1][0].append(name)
            else:
                blocks.append(([name], []))
        elif blocks and text and not _NO_CODE.match(text):
            labelled = _LABELLED.fullmatch(text)
            blocks[-1][1].extend([text] if labelled is None else filter(None, labelled.groups()))
    return {", ".join(names): tuple(lines) for names, lines in blocks}
