"""A trace for Perfetto is one by the rules of the Trace Event Format, and its slices lie inside each other."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from lpgen.kernel.generations import kernel
from lpgen.machine.cases import case, special_cases
from lpgen.report.perfetto import perfetto_json
from lpgen.report.trace_result import TraceResult
from lpgen.trace.build import trace_call
from lpgen.trace.event import Trace
from tests.trace.truth import interrupted, unit_of

WAYS = (
    "patched-nested-twice-0",
    "patched-turns-1",
    "patched-sibling-stub-1",
    "recursion-1",
    "patched-marker-0",
    "off-0",
)
REQUIRED = {"M": {"name", "args"}, "B": {"ts", "name"}, "E": {"ts"}, "X": {"ts", "dur", "name"}, "C": {"ts", "name"}}


@pytest.fixture(scope="module", params=["4.7", "6.18"])
def files(request: pytest.FixtureRequest) -> list[tuple[Trace, dict[str, Any]]]:
    made = kernel(request.param)
    unit = unit_of(request.param)
    number = {case(made, n).name: n for n in range(special_cases(made))}
    cases = [case(made, number[name]) for name in WAYS]
    cases += [interrupted(made.version, cases[0], 60, mode) for mode in ("frame", "calls", "switch")]
    traces = [trace_call(made, unit, one.plan, case=one) for one in cases]
    return [(t, json.loads(json.dumps(perfetto_json(TraceResult(t, unit, "trace", "verify"))))) for t in traces]


def tracks(file: dict[str, Any]) -> Iterator[list[dict[str, Any]]]:
    found: dict[int, list[dict[str, Any]]] = {}
    for event in file["traceEvents"]:
        if event["ph"] in "BEX":
            found.setdefault(event["tid"], []).append(event)
    yield from found.values()


def test_each_event_has_what_the_format_asks_for(files: list[tuple[Trace, dict[str, Any]]]) -> None:
    for _, file in files:
        assert set(file) == {"traceEvents", "displayTimeUnit", "otherData"}
        assert file["displayTimeUnit"] in ("ms", "ns")
        for event in file["traceEvents"]:
            assert event.keys() >= {"ph", "pid"} | REQUIRED[event["ph"]]
            assert isinstance(event["pid"], int)
            assert isinstance(event.get("args", {}), dict)
            assert isinstance(event.get("ts", 0), int)
            if event["ph"] != "C":
                assert isinstance(event["tid"], int)


def test_slices_lie_inside_each_other(files: list[tuple[Trace, dict[str, Any]]]) -> None:
    for trace, file in files:
        whole = 0
        for track in tracks(file):
            last, begun = 0, list[int]()
            for event in track:
                assert event["ts"] >= last
                last = event["ts"]
                if event["ph"] == "B":
                    begun.append(last)
                elif event["ph"] == "E":
                    assert begun.pop() < last, "a slice of no length cannot be seen"
                else:
                    whole += 1
                    assert begun or event["name"].startswith("back in A"), event
                    assert event["dur"] == 1
                    last = event["ts"] if event is track[-1] else last
            assert begun == []
        assert whole == len(trace.events)


def test_a_slice_ends_behind_what_is_in_it(files: list[tuple[Trace, dict[str, Any]]]) -> None:
    for _, file in files:
        for track in tracks(file):
            busy = 0
            for event in track:
                if event["ph"] == "X":
                    assert event["ts"] >= busy
                    busy = event["ts"] + event["dur"]
                else:
                    assert event["ts"] >= busy, event


def test_counters_are_bytes_of_the_stacks(files: list[tuple[Trace, dict[str, Any]]]) -> None:
    for trace, file in files:
        counters = {(e["name"], e["ts"]): e["args"]["bytes"] for e in file["traceEvents"] if e["ph"] == "C"}
        for thread in trace.threads:
            own = [event for event in trace.events if event.thread.number == thread.number]
            now: dict[str, int] = {}
            for event in own:
                for what in ("stack", "livepatch stack"):
                    now[what] = counters.get((f"{thread.name}: {what} (bytes)", event.number), now.get(what, -1))
                assert now["stack"] == max(own[0].r1 - event.r1, 0)
                assert now["livepatch stack"] == event.livepatch_sp - event.thread.sp_start
