"""Rows of alike loads and stores as one: the 32 saves of pt_regs are one line to a reader."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lpgen.trace.event import INSTRUCTION, Event

# Fewer than this are read as they are.
SHORTEST = 3
_MOVE = re.compile(r"(\w+) ([rfv])(\d+), .*\((r\d+)\)")
_NUMBERED = re.compile(r"^(.*?)(\d+)(\]?)$")


@dataclass(frozen=True, slots=True)
class Row:
    """One event, or several instructions in a row that move registers to or from memory, each the next one."""

    events: tuple[Event, ...]

    @property
    def folded(self) -> bool:
        """True for more than one."""
        return len(self.events) > 1


def rows(events: Sequence[Event], *, fold: bool = True) -> Iterator[Row]:
    """Yield ``events`` in order, rows of SHORTEST alike ones and more as one unless ``fold`` is off."""
    at = 0
    while at < len(events):
        end = at + 1
        while fold and end < len(events) and _next_one(events[end - 1], events[end]):
            end += 1
        if end - at < SHORTEST:
            end = at + 1
        yield Row(tuple(events[at:end]))
        at = end


def moved(event: Event) -> tuple[str, str, int, str] | None:
    """Return mnemonic, kind of register, its number and the base register of a single load or store, else None."""
    if event.kind != INSTRUCTION or len(event.memory) != 1:
        return None
    match = _MOVE.fullmatch(event.text)
    return None if match is None else (match[1], match[2], int(match[3]), match[4])


def _next_one(before: Event, after: Event) -> bool:
    one, other = moved(before), moved(after)
    if one is None or other is None:
        return False
    same = (one[0], one[1], one[2] + 1, one[3]) == other
    size = before.memory[0].size
    near = after.memory[0].address - before.memory[0].address == size == after.memory[0].size
    return same and near and _alike(before, after)


def _alike(before: Event, after: Event) -> bool:
    """True if what lies there has the same name but for the number, and both come from the same template."""
    one, other = _NUMBERED.match(before.memory[0].name), _NUMBERED.match(after.memory[0].name)
    if one is None or other is None or (one[1], int(one[2]) + 1, one[3]) != (other[1], int(other[2]), other[3]):
        return False
    files = [event.template.file if event.template is not None else "" for event in (before, after)]
    return files[0] == files[1] and before.address + 4 == after.address


def folded_name(row: Row) -> str:
    """Return the memory of a folded row as one: pt_regs.gpr[14] to [31]."""
    first, last = row.events[0].memory[0].name, row.events[-1].memory[0].name
    match = _NUMBERED.match(last)
    assert match is not None
    opening = "[" if match[3] else ""
    return f"{first} to {opening}{match[2]}{match[3]}"
