"""Rows of alike loads and stores as one: the 32 saves of pt_regs are one line to a reader; so are rounds of a loop."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lpgen.trace.event import INSTRUCTION, Event

# Fewer than this are read as they are.
SHORTEST = 3
# A loop of fewer rounds is read as it is.
ROUNDS = 4
_MOVE = re.compile(r"(\w+) ([rfv])(\d+), .*\((r\d+)\)")
_NUMBERED = re.compile(r"^(.*?)(\d+)(\]?)$")


@dataclass(frozen=True, slots=True)
class Row:
    """One event, or several instructions in a row that move registers to or from memory, each the next one.

    ``rounds`` is not 0 where ``events`` are that many rounds of a loop.
    """

    events: tuple[Event, ...]
    rounds: int = 0

    @property
    def folded(self) -> bool:
        """True for more than one that are no loop."""
        return len(self.events) > 1 and not self.rounds


def rows(events: Sequence[Event], *, fold: bool = True) -> Iterator[Row]:
    """Yield ``events`` in order, rows of SHORTEST alike ones and more as one unless ``fold`` is off.

    Of a loop the first round and the last one are there, those between are one row.
    """
    again = _again(events) if fold else {}
    at = shown = 0
    while at < len(events):
        length = again.get(at, len(events)) - at
        rounds = _rounds(events, at, length) if at >= shown else 0
        if rounds >= ROUNDS:
            last = at + length * (rounds - 1)
            first = events[at : at + length]
            inside = 0
            while inside < length:
                row = _row(first, inside, fold=fold)
                yield row
                inside += len(row.events)
            yield Row(tuple(events[at + length : last]), rounds - 2)
            at, shown = last, last + length
            continue
        row = _row(events, at, fold=fold)
        yield row
        at += len(row.events)


def _row(events: Sequence[Event], at: int, *, fold: bool) -> Row:
    """Return the row that starts at ``at``."""
    end = at + 1
    while fold and end < len(events) and _next_one(events[end - 1], events[end]):
        end += 1
    return Row(tuple(events[at : end if end - at >= SHORTEST else at + 1]))


def _again(events: Sequence[Event]) -> dict[int, int]:
    """Return where each instruction is executed the next time, with nothing but instructions between."""
    found: dict[int, int] = {}
    last: dict[int, int] = {}
    for at, event in enumerate(events):
        if event.kind != INSTRUCTION:
            last.clear()
            continue
        if event.address in last:
            found[last[event.address]] = at
        last[event.address] = at
    return found


def _rounds(events: Sequence[Event], at: int, length: int) -> int:
    """Return how often the ``length`` instructions at ``at`` are executed in a row."""
    end = at + length
    while end < len(events) and events[end].kind == INSTRUCTION and events[end].address == events[end - length].address:
        end += 1
    return (end - at) // length


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
