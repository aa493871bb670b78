"""A trace as JSON. ``schema`` names the format; it changes when a field's meaning does.

lpgen.trace/1: what was run (``kernel``, ``generation``, ``options``, ``offsets``, ``assembler``, ``command``), the call
(``call``), the ``functions`` and the ``stacks`` with their memory at the begin, the ``registers`` at the begin, the
``layouts`` of the frames, the ``events`` and the ``verdict`` on this call: lpgen/report/schemas/trace-1.json says what
each field is. 64-bit values and addresses are text, "0x...": JSON's numbers are doubles to most readers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from lpgen.contract.verdict import Failure
from lpgen.kernel.frames import Frame
from lpgen.machine.places import Thread
from lpgen.machine.plan_text import plan_text
from lpgen.machine.state import State
from lpgen.report.json_head import json_head
from lpgen.report.json_verdict import verdict_json
from lpgen.report.trace_result import TraceResult
from lpgen.trace.event import Access, Change, Event, Trace
from lpgen.trace.names import Placed

SCHEMA = "lpgen.trace/1"


def trace_json(result: TraceResult) -> dict[str, Any]:
    """Return a trace as JSON-able data."""
    trace = result.trace
    guilty = result.guilty
    verdict = verdict_json(result.judged)
    layouts = _layouts(trace)
    return {
        **json_head(SCHEMA, result.command, trace.kernel, result.unit.made_by),
        "call": _call(trace),
        "functions": {name: {k: f"{v:#x}" for k, v in where.items()} for name, where in trace.functions.items()},
        "stacks": [
            {
                "thread": thread.name,
                "base": f"{thread.base:#x}",
                "top": f"{thread.top:#x}",
                "livepatch_sp_at": f"{thread.sp_address:#x}",
                "livepatch_stack": f"{thread.sp_start:#x}",
                "memory": dict(_doublewords(trace, thread)),
            }
            for thread in trace.threads
        ],
        "registers": _registers(trace.start),
        "layouts": [_layout(frame) for frame in layouts],
        "events": list(_events(trace, guilty, layouts)),
        "verdict": {key: verdict[key] for key in ("holds", "statements", "failures")},
    }


def _call(trace: Trace) -> dict[str, Any]:
    plan = trace.plan
    placement = plan.shape.placement
    arguments = []
    for number, (ctype, pieces, value) in enumerate(
        zip(placement.types, placement.arguments, plan.values, strict=True), 1
    ):
        arguments.append(
            {
                "name": f"a{number}",
                "type": ctype.c_name,
                "where": [piece.where for piece in pieces],
                "bytes": value.hex(),
            }
        )
    return {
        "prototype": plan.shape.c_prototype("B"),
        "plan": plan_text(plan),
        "words": list(plan.words()),
        "arguments": arguments,
    }


def _doublewords(trace: Trace, thread: Thread) -> Iterator[tuple[str, str]]:
    """Yield what a stack held at the begin, where a frame is or a livepatch frame comes to be."""
    memory = trace.memory[thread.base]
    shown = {
        at
        for event in trace.events
        for placed in event.frames
        if thread.base <= placed.address < thread.top
        for at in range(placed.address, min(placed.end, thread.top), 8)
    }
    if thread.livepatch == thread.base:
        tops = [e.livepatch_sp for e in trace.events if thread.sp_start <= e.livepatch_sp < thread.top]
        shown |= set(range(thread.sp_start - 8, max(tops, default=thread.sp_start), 8))
    for address in sorted(shown):
        at = address - thread.base
        yield f"{address:#x}", f"{int.from_bytes(memory[at : at + 8], 'little'):#x}"


def _registers(state: State) -> dict[str, str]:
    found = {f"r{n}": state.gpr[n] for n in range(32)}
    found |= {"lr": state.lr, "ctr": state.ctr, "cr": state.cr, "xer": state.xer, "msr": state.msr}
    found |= {f"f{n}": state.fpr[n] for n in range(32)}
    found |= {f"v{n}": int.from_bytes(state.vector(n), "little") for n in range(32)}
    return {name: f"{value:#x}" for name, value in found.items()}


def _events(
    trace: Trace, guilty: Mapping[int, list[Failure]], layouts: Mapping[Frame, int]
) -> Iterator[dict[str, Any]]:
    before: tuple[Placed, ...] | None = None
    for event in trace.events:
        said = _event(event, [failure.finding.statement for failure in guilty.get(event.number, ())])
        if event.frames != before:
            said["frames"] = [_placed(placed, layouts) for placed in event.frames]
            before = event.frames
        yield said


def _layouts(trace: Trace) -> dict[Frame, int]:
    """Return every kind of frame of the trace with its number, in the order in which they come."""
    found: dict[Frame, int] = {}
    for event in trace.events:
        for placed in event.frames:
            found.setdefault(placed.frame, len(found))
    return found


def _layout(frame: Frame) -> dict[str, Any]:
    slots = [
        {"offset": slot.offset, "size": slot.size, "name": slot.name} | ({"what": slot.what} if slot.what else {})
        for slot in frame.slots
    ]
    return {"kind": frame.kind, "name": frame.name, "size": frame.size, "slots": slots}


def _event(event: Event, broken: list[str]) -> dict[str, Any]:
    said: dict[str, Any] = {
        "number": event.number,
        "kind": event.kind,
        "thread": event.thread.name,
        "depth": event.depth,
        "text": event.text,
    }
    if event.address:
        said["address"] = f"{event.address:#x}"
    for name in ("symbol", "origin", "actor"):
        if value := getattr(event, name):
            said[name] = value
    for name in ("place", "template"):
        if (place := getattr(event, name)) is not None:
            said[name] = str(place)
    if event.notes:
        said["notes"] = event.notes
    if event.registers:
        said["registers"] = [_change(change) for change in event.registers]
    if event.memory:
        said["memory"] = [_access(access) for access in event.memory]
    if event.scratch:
        said["scratch"] = event.scratch
    said |= {"r1": f"{event.r1:#x}", "livepatch_sp": f"{event.livepatch_sp:#x}"}
    if broken:
        said["broken"] = broken
    return said


def _change(change: Change) -> dict[str, str]:
    said = {"register": change.register, "before": f"{change.before:#x}", "after": f"{change.after:#x}"}
    return said | ({"means": change.means} if change.means else {})


def _access(access: Access) -> dict[str, Any]:
    said: dict[str, Any] = {
        "kind": access.kind,
        "address": f"{access.address:#x}",
        "size": access.size,
        "value": f"{access.value:#x}",
        "name": access.name,
    }
    if access.kind == "store":
        said["before"] = f"{access.before:#x}"
    return said | ({"means": access.means} if access.means else {})


def _placed(placed: Placed, layouts: Mapping[Frame, int]) -> dict[str, Any]:
    return {"address": f"{placed.address:#x}", "name": placed.name, "layout": layouts[placed.frame]}
