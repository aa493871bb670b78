"""What a trace says is what a run without it shows: every instruction, every register, every doubleword."""

from __future__ import annotations

import re

import pytest

from lpgen.kernel.generations import Kernel, kernel, spans, versions_of
from lpgen.kernel.offsets import Offsets
from lpgen.machine.cases import Case, case, special_cases
from lpgen.machine.plan import CALLS, INTERRUPT_MODES
from lpgen.trace.build import trace_call
from lpgen.trace.event import CALL, ENTER, RETURN, STOP, TRAMPOLINES, Event, Trace
from tests.trace.truth import check_truth, interrupted, unit_of, watcher_of

VERSIONS = [version for generation, _, _ in spans() for version in versions_of(generation)]
# One way of calling of each kind; a kernel has some of them.
WAYS = [
    "off",
    "edit-link",
    "inner",
    "recursion",
    "wander",
    "hardirq",
    "graph-edit",
    "kprobe-wander",
    "direct-pointer",
    "direct-tracer",
    "disabled",
    "early-module",
    "patched-pointer",
    "patched-spill",
    "patched-sleep",
    "patched-marker",
    "patched-sibling",
    "patched-sibling-stub",
    "patched-nested-twice",
    "patched-turns",
    "patched-softirq",
    "patched-interrupt-switch-nested",
    "patched-graph-nested",
    "interrupt-switch",
]
NUMBER = re.compile(r"0x[0-9a-f]+")
# What has no better name is so many bytes from something that has one.
OFFSETS = re.compile(r"^-?\d+\(|frame of \d+ bytes| bytes below ")


def ways(made: Kernel) -> list[Case]:
    """The calls of WAYS that ``made`` has, and two of them interrupted in every mode, early and late."""
    number = {case(made, n).name: n for n in range(special_cases(made))}
    found = [case(made, number[f"{name}-{n % 2}"]) for n, name in enumerate(WAYS) if f"{name}-0" in number]
    inside = "patched-nested-0" if "livepatch" in made.features else "inner-0"
    for boundary, mode in zip((3, 58, 97, 140), (*INTERRUPT_MODES, CALLS), strict=True):
        found.append(interrupted(made.version, case(made, number[inside]), boundary, mode))
    return found


@pytest.fixture(scope="module", params=VERSIONS)
def traces(request: pytest.FixtureRequest) -> list[Trace]:
    """What a kernel's calls are, step by step."""
    made = kernel(request.param)
    return [trace_call(made, unit_of(request.param), one.plan, case=one) for one in ways(made)]


def test_each_trace_is_what_a_run_shows(traces: list[Trace]) -> None:
    for trace in traces:
        assert trace.verdict.broken == []
        check_truth(trace, watcher_of(trace.kernel.version))


def test_what_the_trampolines_use_has_a_name(traces: list[Trace]) -> None:
    for trace in traces:
        for event in trace.events:
            if event.origin != TRAMPOLINES:
                continue
            for access in event.memory:
                assert access.name, event
                assert not NUMBER.search(access.name), (event.text, access)
                assert not OFFSETS.search(access.name), (event.text, access)


def test_names_of_pt_regs_are_those_of_the_offsets(traces: list[Trace]) -> None:
    seen = set()
    for trace in traces:
        fields = fields_of(trace.kernel.offsets)
        for event in trace.events:
            for placed in event.frames:
                for access in event.memory:
                    at = access.address - placed.address
                    if placed.frame.kind == "pt_regs" and event.origin == TRAMPOLINES and at in fields:
                        assert access.name == f"pt_regs.{fields[at]}", (event.text, access)
                        seen.add(fields[at])
    assert {"nip", "link", "ctr", "xer", "ccr", "gpr[1]", "gpr[31]"} <= seen


def fields_of(offsets: Offsets) -> dict[int, str]:
    """Fields of pt_regs by their offset from the frame's address, as the kernel's asm-offsets has them."""
    found = {offsets.gpr(n): f"gpr[{n}]" for n in range(32)}
    for name, field in {"_NIP": "nip", "_LINK": "link", "_CTR": "ctr", "_XER": "xer", "_CCR": "ccr"}.items():
        found[offsets[name]] = field
    return found | {offsets["_MSR"]: "msr"}


def whole(traces: list[Trace]) -> list[Trace]:
    """Those calls that end in A; the others end in the trap of a destroyed marker."""
    found = [trace for trace in traces if trace.events[-1].kind != STOP]
    assert len(found) >= len(traces) - 2
    assert all("trap at livepatch_handler" in t.events[-1].text for t in traces if t not in found)
    return found


def test_livepatch_sp_is_named_and_goes_back(traces: list[Trace]) -> None:
    """Each frame that is pushed is popped: livepatch_sp ends where it began, and both are named stores."""
    for trace in whole(traces):
        written = [a for e in trace.events if e.origin == TRAMPOLINES for a in e.stores if "livepatch_sp" in a.name]
        pushed = sum(access.value - access.before == 24 for access in written)
        popped = sum(access.before - access.value == 24 for access in written)
        assert pushed == popped == len(written) // 2
        first = {t.sp_address: t.sp_start for t in trace.threads}
        last = {event.thread.sp_address: event.livepatch_sp for event in trace.events}
        assert all(value == first[address] for address, value in last.items())
        if trace.plan.patched:
            assert pushed > 0


def test_functions_come_and_go_in_pairs(traces: list[Trace]) -> None:
    """On each thread a function that is reached returns, or makes a call that it is reached again from."""
    for trace in whole(traces):
        for thread in {event.thread.number for event in trace.events}:
            depth, acting = 0, list[str]()
            for event in (e for e in trace.events if e.thread.number == thread):
                depth = follow(event, depth, acting)
                if event.kind in (CALL, ENTER):
                    assert event.depth == depth, event.text
            assert depth == 0
            assert acting == []


def follow(event: Event, depth: int, acting: list[str]) -> int:
    if event.kind == CALL:
        if "in a sibling call" in event.text:
            assert acting.pop().removesuffix("'s body") == event.actor
        return depth + 1
    if event.kind == "interrupt" or (event.kind == ENTER and not event.text.startswith("back in ")):
        acting.append(event.actor)
    elif event.kind == ENTER:
        depth = event.depth
    elif event.kind == RETURN:
        assert acting.pop() == event.actor
    return depth
