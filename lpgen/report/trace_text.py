"""A trace for a person at a terminal: one line an instruction, with what it changed by name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from lpgen.assembly.model import LPGEN
from lpgen.contract.verdict import Failure
from lpgen.report.files import write_out
from lpgen.report.style import (
    BAD,
    FAINT,
    FUNCTION,
    GOOD,
    HEADING,
    LIVEPATCH,
    LOADED,
    MEMORY,
    REGISTER,
    RETURNED,
    WARNING,
    Text,
    plain,
    shown,
)
from lpgen.report.terminal import failure_lines, summary
from lpgen.report.trace_result import TraceResult
from lpgen.report.wrap import terminal_width, wrapped
from lpgen.trace.event import INSTRUCTION, INTERRUPT, RETURN, STOP, TRAMPOLINES, Access, Change, Event
from lpgen.trace.fold import Row, folded_name, moved, rows

# Columns: step, offset from the symbol, line of the template; then the instruction, and what it changed.
_STEP, _OFFSET, _LINE = 5, 7, 6
_HEAD = _STEP + _OFFSET + _LINE
_NARROWEST = 24


def _left(width: int) -> int:
    """Return how many columns stand before what an instruction changed."""
    return _HEAD + (27 if width < 96 else 34 if width < 112 else 41)


@dataclass(frozen=True, slots=True)
class View:
    """How much is shown: ``fold`` rows of alike loads and stores; ``values``: beside names the numbers too."""

    fold: bool = True
    values: bool = False


def print_trace(result: TraceResult, view: View) -> None:
    """Print a trace for a person."""
    write_out("-", shown(trace_lines(result, view, terminal_width())))


def plain_trace(result: TraceResult, view: View, width: int = 80) -> str:
    """Return what is printed, without colours, in lines of ``width`` columns where that can be."""
    return plain(trace_lines(result, view, width))


def trace_lines(result: TraceResult, view: View, width: int = 80) -> Iterator[Text]:
    """Yield the lines: each step under the symbol and the template that it is from, then what the contract says."""
    trace = result.trace
    guilty = result.guilty
    several = len({event.thread.number for event in trace.events}) > 1
    heading: tuple[str, str] = ("", "")
    before: Event | None = None
    for row in rows(trace.events, fold=view.fold):
        first = row.events[0]
        if row.rounds:
            each = len(row.events) // row.rounds
            said = f"... {row.rounds:,} more rounds of these {each:,} instructions; --unfold shows them"
            yield Text.assemble((f"{first.number:>{_STEP - 2}}  ", FAINT), (said, WARNING))
            heading = ("", "")
        elif first.kind != INSTRUCTION:
            yield from _happened(first, width, several=several)
            heading = ("", "")
        else:
            symbol, _, _ = first.symbol.partition("+")
            file = str(first.template.file) if first.template is not None else _own(first)
            if (symbol, file) != heading and (symbol, file) != ("", ""):
                yield _heading(symbol, file, width, repeated=symbol == heading[0])
                heading = (symbol, file)
            yield from _instruction(row, view, width, before)
        for event in row.events:
            for failure in guilty.get(event.number, ()):
                yield from _broken(failure, width)
        before = row.events[-1]
    yield Text()
    for failure in trace.verdict.failures:
        yield from map(Text, failure_lines(failure, result.judged, width))
        yield Text()
    kernel = trace.kernel
    yield Text(f"kernel {kernel.version}, generation {kernel.generation}; offsets: {kernel.offsets.label}")
    if result.unit.made_by != LPGEN:
        yield Text(f"{result.unit.name}: made by {result.unit.made_by}")
    instructions = sum(event.kind == INSTRUCTION for event in trace.events)
    yield Text(f"{len(trace.events)} steps, {instructions} of them instructions; the same call again:")
    yield Text(f"  {result.command}")
    verdict, _, rest = summary(trace.verdict).partition(":")
    said = f"{verdict} in this call:{rest.replace('these callers do not', 'it does not')}"
    yield from (Text(line, BAD if trace.verdict.broken else GOOD) for line in wrapped(said, width, ""))


def _own(event: Event) -> str:
    return "" if event.place is None else event.place.file


def _heading(symbol: str, file: str, width: int, *, repeated: bool) -> Text:
    line = Text(" " * _STEP)
    line.append(symbol, HEADING if not repeated else FAINT)
    if file:
        line.append(" " * max(2, _left(width) - line.columns))
        line.append(file, FAINT)
    return line


def _happened(event: Event, width: int, *, several: bool) -> Iterator[Text]:
    """Yield the lines of what is no instruction of the trampolines: a call, a function, an interrupt, an end."""
    style = {INTERRUPT: WARNING, STOP: BAD, RETURN: RETURNED}.get(event.kind, FUNCTION)
    where = f"[{event.thread.name}] " if several else ""
    indent = " " * _STEP
    for number, line in enumerate(wrapped(f"{where}{event.text}", width, indent + "  ", first=indent)):
        said = Text(line, style)
        if not number:
            said = Text.assemble((f"{event.number:>{_STEP - 2}}  ", FAINT), (line[_STEP:], style))
        yield said
    for note in _packed(event.notes):
        yield from map(Text, wrapped(note, width, indent + "    ", first=indent + "  "))


def _packed(notes: list[str]) -> Iterator[str]:
    """Yield the arguments as one paragraph, other notes as they are."""
    arguments = [note for note in notes if note[:1] == "a" and note[1:2].isdigit()]
    if arguments:
        yield ", ".join(arguments)
    yield from (note for note in notes if note not in arguments)


def _instruction(row: Row, view: View, width: int, before: Event | None) -> Iterator[Text]:
    first, last = row.events[0], row.events[-1]
    offset = first.symbol.partition("+")[2] or "0"
    at = f"+{int(offset, 16):#04x}" if first.origin == TRAMPOLINES else ""
    line = "" if first.template is None else str(first.template.line)
    if first.template is None and first.place is not None and first.place.line is not None:
        line = str(first.place.line)
    text = first.text
    if row.folded:
        one = moved(last)
        assert one is not None
        text = f"{text.split(',')[0]}..{one[1]}{one[2]}  ({len(row.events)})"
    changes = list(_folded(row) if row.folded else _changed(first, view))
    head = Text.assemble(
        (f"{first.number:>{_STEP - 2}}  ", FAINT), (f"{at:<{_OFFSET}}", FAINT), (f"{line:>{_LINE - 2}}  ", FAINT)
    )
    left = _left(width)
    head.append(f"{text:<{left - _HEAD - 2}}  ")
    yield from _beside(head, changes, left, max(width - left, _NARROWEST))


def _beside(head: Text, changes: list[tuple[str, str]], left: int, room: int) -> Iterator[Text]:
    """Yield ``head`` with the changes behind it, as many in a line of ``room`` columns as there is room for."""
    line, used = head, max(0, head.columns - left)
    fresh = True
    for text, style in changes:
        for piece in _pieces(text, room):
            if used and used + (0 if fresh else 2) + len(piece) > room:
                yield line
                line, used, fresh = Text(" " * left), 0, True
            if not fresh:
                line.append("; ")
                used += 2
            line.append(piece, style)
            used += len(piece)
            fresh = False
    yield line


def _pieces(text: str, room: int) -> list[str]:
    return [text] if len(text) <= room else [part.strip() for part in wrapped(text, room, "")]


def _changed(event: Event, view: View) -> Iterator[tuple[str, str]]:
    """Yield what a single instruction changed: text and style."""
    loads = [access for access in event.memory if access.kind == "load"]
    shown = [change for change in event.registers if not (change.register == "r1" and len(event.registers) > 1)]
    for change in shown or event.registers:
        yield (change.means if change.register == "cr" else f"{change.register} = {_value(change, view)}"), REGISTER
    for access in loads:
        if event.registers:
            yield f"from {access.name}", LOADED
        else:
            yield f"as it was, from {access.name}", LOADED
    for access in event.stores:
        yield f"{access.name} = {_value(access, view)}", LIVEPATCH if "livepatch" in access.name else MEMORY
    yield from ((note, FAINT) for note in event.notes)


def _value(one: Change | Access, view: View) -> str:
    after = one.after if isinstance(one, Change) else one.value
    number = str(after) if after < 10 else f"{after:#x}"
    if not one.means:
        return number
    return f"{number} ({one.means})" if view.values else one.means


def _folded(row: Row) -> Iterator[tuple[str, str]]:
    first, last = row.events[0], row.events[-1]
    one, other = moved(first), moved(last)
    assert one is not None
    assert other is not None
    span = f"{one[1]}{one[2]} to {other[1]}{other[2]}"
    if first.memory[0].kind == "store":
        yield f"{folded_name(row)} = {span}", MEMORY
        return
    yield f"{span} from {folded_name(row)}", LOADED
    changed = sum(bool(event.registers) for event in row.events)
    yield (f"{changed} of them changed" if changed else "all as they were"), REGISTER


def _broken(failure: Failure, width: int) -> Iterator[Text]:
    finding = failure.finding
    said = (
        f"{finding.statement} BROKEN {finding.where}: {finding.what}: expected {finding.expected}, seen {finding.seen}"
    )
    for line in wrapped(said, width, " " * (_STEP + 4), first=" " * _STEP + "^^^ "):
        yield Text(line, BAD)
