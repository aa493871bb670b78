"""A trace for the Perfetto viewer (https://ui.perfetto.dev), in the Trace Event Format that it reads as JSON.

One step is one microsecond. Each thread has a track with slices that lie inside each other: the call, the trampoline or
the function that acts, the instruction with what it changed; and two counters in bytes, the stack below the outermost
frame and the livepatch stack.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from lpgen.machine.places import Thread
from lpgen.report.trace_result import TraceResult
from lpgen.trace.event import CALL, ENTER, INSTRUCTION, RETURN, TRAMPOLINES, Event

_PROCESS = 1


def perfetto_json(result: TraceResult) -> dict[str, Any]:
    """Return the whole file as JSON-able data."""
    trace = result.trace
    events: list[dict[str, Any]] = [_named("process_name", 0, f"lpgen: kernel {trace.kernel.version}")]
    for thread in trace.threads:
        own = [event for event in trace.events if event.thread.number == thread.number]
        if own:
            events.append(_named("thread_name", thread.number + 1, f"{thread.name} stack"))
            events += _Track(thread).slices(own)
            events += _counters(thread, own)
    return {
        "traceEvents": events,
        "displayTimeUnit": "ns",
        "otherData": {"command": result.command, "kernel": trace.kernel.version, "one microsecond": "one step"},
    }


def _named(what: str, track: int, name: str) -> dict[str, Any]:
    return {"ph": "M", "pid": _PROCESS, "tid": track, "name": what, "args": {"name": name}}


class _Track:
    """The slices of one thread: begun and ended like brackets."""

    def __init__(self, thread: Thread) -> None:
        self._track = thread.number + 1
        self._open: list[tuple[str, str]] = []
        self._found: list[dict[str, Any]] = []

    def slices(self, events: list[Event]) -> list[dict[str, Any]]:
        """Return the slices of the thread's events."""
        for event in events:
            self._slice(event)
        last = events[-1].number + 1
        while self._open:
            self._end(last)
        return self._found

    def _slice(self, event: Event) -> None:
        at = event.number
        if event.kind == INSTRUCTION:
            symbol = event.symbol.partition("+")[0] if event.origin == TRAMPOLINES else ""
            if self._top != ("trampoline", symbol):
                if self._top[0] == "trampoline":
                    self._end(at)
                if symbol:
                    self._begin("trampoline", symbol, at, {})
            self._whole(event, {**_changes(event), **_places(event)})
            return
        if self._top[0] == "trampoline":
            self._end(at)
        if event.kind == CALL:
            self._begin("call", event.text.partition(":")[0], at, {"what": event.text})
        elif event.kind == RETURN:
            if self._top[0] == "function":
                self._end(at)
        elif event.kind == ENTER and event.text.startswith("back in "):
            while self._open and self._end(at) != "call":
                pass
        elif event.actor:
            self._begin("function", event.actor, at, {str(n): note for n, note in enumerate(event.notes)})
        self._whole(event, {"notes": "; ".join(event.notes), **_changes(event)})

    @property
    def _top(self) -> tuple[str, str]:
        return self._open[-1] if self._open else ("", "")

    def _begin(self, kind: str, name: str, at: int, args: dict[str, Any]) -> None:
        self._open.append((kind, name))
        begun = {"ph": "B", "pid": _PROCESS, "tid": self._track, "ts": at, "name": name, "cat": kind, "args": args}
        self._found.append(begun)

    def _end(self, at: int) -> str:
        kind, _ = self._open.pop()
        self._found.append({"ph": "E", "pid": _PROCESS, "tid": self._track, "ts": at})
        return kind

    def _whole(self, event: Event, args: dict[str, Any]) -> None:
        self._found.append(
            {
                "ph": "X",
                "pid": _PROCESS,
                "tid": self._track,
                "ts": event.number,
                "dur": 1,
                "name": event.text,
                "cat": event.kind,
                "args": args,
            }
        )


def _changes(event: Event) -> dict[str, str]:
    said = {change.register: change.means or f"{change.after:#x}" for change in event.registers}
    for access in event.memory:
        said[f"{access.kind} {access.name}"] = access.means or f"{access.value:#x}"
    return said


def _places(event: Event) -> dict[str, str]:
    found = {"address": f"{event.address:#x}", "at": event.symbol}
    if event.template is not None:
        found["template"] = str(event.template)
    return found


def _counters(thread: Thread, events: list[Event]) -> Iterator[dict[str, Any]]:
    """Yield the two counters of a thread wherever they change."""
    highest = events[0].r1
    before: tuple[int, int] | None = None
    for event in events:
        now = (max(highest - event.r1, 0), max(event.livepatch_sp - thread.sp_start, 0))
        if now == before:
            continue
        before = now
        for name, value in zip(("stack", "livepatch stack"), now, strict=True):
            yield {
                "ph": "C",
                "pid": _PROCESS,
                "ts": event.number,
                "name": f"{thread.name}: {name} (bytes)",
                "args": {"bytes": value},
            }
