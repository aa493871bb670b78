"""A replay: chosen values reach the guest, show what they are to show, and are refused where nothing is free."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import replace
from functools import cache
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lpgen.api import judge_replay, plan_case, trampolines
from lpgen.assembly import Unit
from lpgen.contract.pins import Pins, pins
from lpgen.contract.replay import Replay, code_hash, parse_replay, read_replay, replay_text, to_json
from lpgen.contract.shrink import shrink_failures
from lpgen.contract.suite import Suite
from lpgen.errors import LpgenError
from lpgen.kernel.generations import Kernel, kernel
from lpgen.machine.actors import CR_KEPT, XER_BITS
from lpgen.machine.places import STACK_END_MAGIC
from lpgen.machine.trip import Trip
from lpgen.machine.values import EVENTS, Values
from tests.contract.must_fail import ALL

WRONG = {wrong.name: wrong for wrong in ALL}
PATCHED = "void f() seed=3 nip=patch"
CALL_OPS = ("CONFIG_DYNAMIC_FTRACE_WITH_CALL_OPS", "CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS")
GATES = {event: (event,) for event in EVENTS} | {"body": ("body", "redirected")}


@cache
def _kernel(version: str) -> Kernel:
    """The kernel; from 6.13 on with all that it can have."""
    known = kernel(version)
    return kernel(version, config={name: True for name in CALL_OPS if name in known.options})


@cache
def _unit(version: str) -> Unit:
    return trampolines(_kernel(version))


@cache
def _suite(version: str) -> Suite:
    return Suite(_kernel(version), _unit(version))


def _run(version: str, text: str, values: Values) -> Trip:
    conductor = _suite(version).conductor(watch=True)
    return conductor.run(plan_case(_kernel(version), text).plan, values=values)


def _pins(version: str, text: str) -> Pins:
    return pins(_suite(version).conductor(watch=True), plan_case(_kernel(version), text).plan)


def _values(found: Pins, seed: int) -> Values:
    """All that is free in a call, each with a random value."""
    rng = Random(seed)

    def one(event: str, name: str) -> int:
        value = rng.getrandbits(64)
        if name == "cr":
            return value & 0xFFFFFFFF & (-1 if event == "entry" else ~CR_KEPT)
        if name == "xer":
            return value & XER_BITS
        # What destroys the marker is another matter, and is_current_kprobe_addr answers with an int.
        return STACK_END_MAGIC if name == "marker" else value & 6 if (event, name) == ("kprobe", "r3") else value

    chosen = {event: {name: one(event, name) for name in sorted(found.free[event])} for event in EVENTS}
    memory = {
        "frame": {at: rng.getrandbits(64) for at in found.frame_free},
        "stack": {at: rng.getrandbits(64) for at in found.stack_free[-200:]},
    }
    return Values(**chosen, **memory)  # type: ignore[arg-type]


CALLS = [
    ("4.7", PATCHED),
    ("4.7", "void f()"),
    ("4.7", "void f() edit nip=patch pointer home_a=1 home_b=2 seed=5"),
    ("4.7", "void f() graph home_b=1 form=1"),
    ("4.7", "long f(long*9,double) seed=9 nip=patch home_b=1"),
    ("4.7", f"{PATCHED} interrupt=40:calls[void f() seed=4 nip=patch]"),
    ("4.13", PATCHED),
    ("4.13", "void f() kprobe nip=patch"),
    ("4.18", "int f(int,...;double,long) lean"),
    ("5.1", "{long*5} f(long) graph"),
    ("6.1", f"{PATCHED} lean"),
    ("6.6", "void f() graph seed=8"),
    ("6.18", "void f() graph seed=8"),
    ("6.18", f"{PATCHED} graph edit"),
    ("6.18", "void f() direct=1"),
    ("6.18", "void f() direct=2 link home_b=2"),
    ("6.13", f"{PATCHED} link wander"),
    ("6.13", "void f() disabled"),
    ("6.12", "void f() early pointer"),
]


@pytest.mark.parametrize(("version", "text"), CALLS)
def test_what_is_free_reaches_the_guest_and_breaks_nothing(version: str, text: str) -> None:
    found = _pins(version, text)
    values = _values(found, 7)
    trip = _run(version, text, values)
    assert trip.end is None
    shown = []
    for event in EVENTS:
        at = -1
        if event != "entry":
            at = next((n for n, m in enumerate(trip.moments) if m.where in GATES[event]), -2)
            assert (at == -2) == (not values.at(event)), event
        if at == -2 or not values.at(event) or trip.plan.interrupt is not None:
            continue
        moment = trip.moments[at + 1]
        now = moment.steps[0] if moment.steps else moment.state
        for name, value in values.at(event).items():
            if name[0] == "r":
                assert now.gpr[int(name[1:])] == value, (event, name)
            elif name == "ctr":
                assert now.ctr == value, event
            elif name == "cr":
                assert now.cr & (0xFFFFFFFF if event == "entry" else ~CR_KEPT) == value, event
            elif name[:3] == "gpr":
                assert (trip.edits if event == "tracer" else trip.results)[int(name[3:])] == value, (event, name)
        shown.append(event)
    assert shown or trip.plan.interrupt is not None
    assert (trip.interruption is None) == (trip.plan.interrupt is None)
    assert judge_replay(_kernel(version), _unit(version), _replay(version, "T1", text, values)).broken == []


def _replay(version: str, statement: str, text: str, values: Values) -> Replay:
    return Replay(statement, "what", code_hash(_unit(version)), text, values)


def test_what_is_chosen_is_seen_by_the_tracer_in_c_and_back_in_a() -> None:
    entry = {"r5": 0x5555, "r14": 0x1414, "cr": 0x12345678, "xer": XER_BITS, "ctr": 1 << 63}
    left = {"r6": 0x66, "xer": 0, "cr": 0xF0000000}
    trip = _run("4.7", PATCHED, Values(entry=entry, c=left, frame={32: 0x3232, 24: 0x2424}, stack={-8: 0x8888}))
    offsets, seen = _kernel("4.7").offsets, trip.at("tracer")[0]
    saved = seen.pt_regs - offsets["GPR0"]
    slots = {"_CCR": 0x12345678, "_XER": XER_BITS, "_CTR": 1 << 63}
    assert {name: seen.u64(saved + offsets[name]) for name in slots} == slots
    assert [seen.u64(seen.pt_regs + 8 * n) for n in (5, 14)] == [0x5555, 0x1414]
    assert [seen.u64(trip.frame + at) for at in (24, 32, -8)] == [0x2424, 0x3232, 0x8888]
    at_c = trip.at("c")[0]
    assert (at_c.state.gpr[5], at_c.state.gpr[14], at_c.u64(trip.frame + 32)) == (0x5555, 0x1414, 0x3232)
    back = trip.at("back")[0].state
    assert (back.gpr[14], back.gpr[6], back.xer, back.cr & ~CR_KEPT & 0x0FFFFFFF) == (0x1414, 0x66, 0, 0)
    assert back.cr & CR_KEPT == 0x12345678 & CR_KEPT


@pytest.mark.parametrize("version", ["4.7", "4.18"])
def test_a_run_without_values_is_what_it_was(version: str) -> None:
    plan = plan_case(_kernel(version), PATCHED).plan
    conductor = _suite(version).conductor(watch=True)
    before = repr(conductor.run(plan))
    flag = {"flag": 0x40} if version == "4.18" else {}
    values = Values(
        entry={"r14": 1}, c={"marker": 7, "r2": 9}, frame={32: 3}, stack={-800: 1}, nip=0xC0000000F0000000, **flag
    )
    changed = conductor.run(plan, values=values)
    assert (changed.moments[-1].where, changed.c.gep, changed.marker) == ("trap", 0xC0000000F0000000, 7)
    assert repr(conductor.run(plan)) == before
    for refused in (Values(frame={0: 1}), Values(stack={-20000: 1}), Values(nip=conductor.world.tracer)):
        with pytest.raises(LpgenError):
            conductor.run(plan, values=replace(refused, entry={"r14": 1}))
        # Not the second task's doing either.
        other = conductor.run(replace(plan, thread=1))
        assert other.other_stack is None
    assert repr(conductor.run(plan)) == before


def test_c_goes_where_a_run_has_trapped_and_gets_the_toc_of_its_home() -> None:
    plan = plan_case(_kernel("4.7"), PATCHED).plan
    conductor = _suite("4.7").conductor(watch=True)
    nip = conductor.world.ground.functions + 0x7FF0
    state = conductor.run(plan).a.copy()
    state.pc = nip
    assert conductor.engine.resume(state).kind == "trap"
    for home in (1, 2):
        trip = conductor.run(replace(plan, home_c=home), values=Values(nip=nip))
        assert [moment.where for moment in trip.moments] == ["tracer", "c", "back"]
        assert trip.at("c")[0].what == trip.c
        assert (trip.c.gep, trip.c.toc) == (nip, conductor.world.toc[home])


# A marker that is right in the lower half.
UPPER = STACK_END_MAGIC | 1 << 63
# What is not stored of CTR is there already: 392(frame), in a frame of 464 bytes.
CTR_IN_STACK = {"entry": {"ctr": 0x1234567890}, "stack": {392 - 464: 0x1234567890}}
# Wrong code, the statement, the plan, values that show it and values that do not.
SHOWN: list[tuple[str, str, str, dict[str, Any], dict[str, Any]]] = [
    ("caller_compares_words", "X3", PATCHED, {"nip": 1 << 40}, {"nip": 0x80000}),
    ("handler_checks_half_the_marker", "L4", PATCHED, {"c": {"marker": UPPER}}, {"c": {"marker": 1}}),
    ("caller_saves_half_of_ctr", "T3", "void f()", {"entry": {"ctr": 1 << 32}}, CTR_IN_STACK),
    ("caller_loses_xer", "T3", "void f()", {"entry": {"xer": 1 << 31}}, {}),
    ("flag_compared_with_1", "T1", "void f() lean", {"flag": 2}, {"flag": 1}),
    ("caller_compares_words", "X3", f"{PATCHED} interrupt=3:frame", {"nip": 1 << 32}, {"nip": 4 << 24}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "statement", "text", "shows", "hides"), SHOWN)
def test_wrong_code_is_shown_by_the_values_that_matter(
    name: str, statement: str, text: str, shows: dict[str, Any], hides: dict[str, Any]
) -> None:
    wrong = WRONG[name]
    unit = wrong.unit()
    found = pins(Suite(wrong.kernel, unit).conductor(watch=False), plan_case(wrong.kernel, text).plan)
    at = {"L4": "livepatch_handler", "T1": "ftrace_no_trace"}.get(statement, "ftrace_")
    for chosen, broken in ((shows, True), (hides, False)):
        values = Values(**(chosen if "nip" not in chosen else {"nip": found.nip ^ chosen["nip"]}))
        if values:
            verdict = judge_replay(wrong.kernel, unit, Replay(statement, "", code_hash(unit), text, values))
            assert (statement in verdict.broken) == broken
            if broken:
                assert next(f for f in verdict.failures if f.finding.statement == statement).symbol.startswith(at)
            assert (verdict.callers, verdict.interrupted) == (1, int("interrupt" in text))


def test_a_replay_is_not_shrunk() -> None:
    wrong = WRONG["caller_saves_half_of_ctr"]
    unit = wrong.unit()
    replay = Replay("T3", "", code_hash(unit), "void f() seed=77", Values(entry={"ctr": 1 << 32}))
    verdict = judge_replay(wrong.kernel, unit, replay)
    before = list(verdict.failures)
    assert len({failure.case for failure in before}) == 1
    shrink_failures(Suite(wrong.kernel, unit), verdict)
    assert verdict.failures == before


def test_pins_are_those_of_the_call() -> None:
    found = _pins("6.18", f"{PATCHED} link home_b=1")
    trip = _run("6.18", f"{PATCHED} link home_b=1", Values())
    assert (found.nip_after, found.link_after) == (trip.nip_after, trip.link_after)
    assert (found.c, found.site, found.lr, found.returns) == (trip.c.gep, trip.b.site, trip.b.lr, trip.site.returns)
    assert trip.at("tracer")[0].state.gpr[5] == found.ops
    assert trip.at("tracer")[0].state.gpr[12] == found.tracer
    assert found.above == trip.outset
    assert (found.entry.gpr, found.entry.lr) == (trip.entry.gpr, found.lr)
    assert found.free["entry"].isdisjoint({"r0", "r1", "r2", "r11", "r12", "r13", "ctr"})
    for text, graph_return in (("void f() graph", None), ("void f() graph link seed=2", None)):
        made = _run("4.7", text, Values())
        assert _pins("4.7", text).graph_return == made.graph_return != graph_return


REFUSED: list[tuple[str, str, dict[str, Any], str]] = [
    (
        "4.7",
        "void f(long) nip=patch",
        {"entry": {"r3": 1}},
        "entry: r3 is not free to choose; free is cr, ctr, xer, r4",
    ),
    ("4.7", PATCHED, {"entry": {"r13": 1}}, "entry: r13 is not free"),
    ("4.7", PATCHED, {"entry": {"lr": 1}}, "entry: lr is not free"),
    ("4.7", PATCHED, {"entry": {"xer": 1}}, "entry: xer = 0x1: only the bits 0xe00c0000 can be chosen"),
    ("4.7", PATCHED, {"entry": {"cr": 1 << 32}}, "entry: cr = 0x100000000: only 32 bits"),
    ("4.7", PATCHED, {"tracer": {"cr": 0x00100000}}, "tracer: cr = 0x100000: only CR0, CR1 and CR5 to CR7"),
    ("4.7", PATCHED, {"tracer": {"r14": 1}}, "tracer: r14 is not free"),
    ("4.7", PATCHED, {"tracer": {"gpr5": 1}}, "tracer: gpr5 is not free"),
    ("4.7", PATCHED, {"body": {"r3": 1}}, "body: r3 is not free to choose; free is nothing: the plan "),
    ("4.7", "long f() nip=patch", {"c": {"r3": 1}}, "c: r3 is not free"),
    ("4.7", "void f()", {"nip": 1 << 63 | 1 << 62}, "nip: the plan has no nip=patch"),
    ("4.7", PATCHED, {"nip": 0xC000000000000002}, "nip: 0xc000000000000002 is no address of an instruction"),
    ("4.7", PATCHED, {"nip": 0x1000}, "nip: 0x1000 is no address of an instruction"),
    ("4.7", PATCHED, {"nip": 0xC000000001008000}, "C cannot be at 0xc000000001008000: something else is there"),
    ("4.7", PATCHED, {"frame": {0: 1}}, "frame: 0(A's frame) is not free to choose; free is 8, 16, 24"),
    ("4.7", "long f(long*9)", {"frame": {96: 1}}, "frame: 96(A's frame) is not free"),
    ("4.7", "void f() form=1", {"frame": {16: 1}}, "frame: 16(A's frame) is not free"),
    ("4.7", "void f() pointer", {"frame": {24: 1}}, "frame: 24(A's frame) is not free"),
    ("4.7", "void f()", {"frame": {800: 1}}, "frame: 800(A's frame) is not free"),
    ("4.7", "void f()", {"stack": {-16000: 1}}, "stack: -16000(A's frame) is not free"),
    ("4.7", "void f()", {"flag": 1}, "flag: nobody looks at it"),
    ("4.18", "void f()", {"flag": 256}, "flag: 0x100 is no byte other than 0"),
    ("4.18", "void f() disabled", {"flag": 1}, "flag: nobody looks at it"),
    ("4.13", PATCHED, {"kprobe": {"r3": 1}}, "kprobe: r3 = 0x1 is no answer"),
    ("4.13", PATCHED, {"kprobe": {"r3": 1 << 32}}, "kprobe: r3 = 0x100000000 is no answer"),
    ("4.13", "void f() nip=patch kprobe", {"kprobe": {"r3": 1}}, "kprobe: r3 is not free"),
]


@pytest.mark.parametrize(("version", "text", "chosen", "reason"), REFUSED)
def test_what_is_not_free_is_refused(version: str, text: str, chosen: dict[str, Any], reason: str) -> None:
    replay = replace(_replay(version, "T1", text, Values(**chosen)), file="x.json")
    with pytest.raises(LpgenError) as error:
        judge_replay(_kernel(version), _unit(version), replay)
    assert str(error.value).startswith(f"x.json: {reason}")


def test_other_code_and_other_kernels_are_refused() -> None:
    replay = replace(_replay("4.7", "X3", PATCHED, Values()), file="x.json")
    with pytest.raises(
        LpgenError, match=r"^x\.json: was made for other code than the \.text of ftrace_entry\.S; give "
    ):
        judge_replay(_kernel("6.12"), _unit("6.12"), replay)
    with pytest.raises(LpgenError, match=r"^x\.json: kernel 4\.7 with these options has no S6$"):
        judge_replay(_kernel("4.7"), _unit("4.7"), replace(replay, statement="S6"))
    with pytest.raises(LpgenError, match=r"^x\.json: the plan says lean"):
        judge_replay(_kernel("4.7"), _unit("4.7"), replace(replay, plan="void f() lean"))


# Files


def test_written_and_read_again(tmp_path: Path) -> None:
    for version, text in CALLS:
        values = _values(_pins(version, text), 1)
        replay = _replay(version, "T1", text, replace(values, flag=3, nip=0xC000000000000000))
        (tmp_path / "r.json").write_text(replay_text(replay))
        again = read_replay(tmp_path / "r.json")
        assert (again, again.file) == (replay, str(tmp_path / "r.json"))
    assert parse_replay(replay_text(_replay("4.7", "T1", "void f()", Values())), "").values == Values()


GOOD = to_json(Replay("X3", "what", "0" * 64, PATCHED, Values(entry={"r3": 1}, frame={16: 2}, flag=1)))
BAD: list[tuple[Any, str]] = [
    ({"schema": "lpgen.replay/2"}, 'r.json:2: its "schema" is not "lpgen.replay/1"'),
    ({"statement": "X9"}, "r.json:4: there is no statement X9; there are T1,"),
    ({"statement": 3}, 'r.json:4: "statement" is no text'),
    ({"what": "two\nlines"}, 'r.json:5: "what" is no line'),
    ({"code": "0" * 63}, "r.json:6: code is no SHA-256"),
    ({"plan": "void f() nip=path"}, "r.json:7: plan, column 14: expected same or patch"),
    ({"entrys": {}}, "r.json:15: entrys is in no replay; did you mean entry?"),
    ({"entry": []}, 'r.json:8: "entry" is no object'),
    ({"entry": {"r3": -1}}, "r.json:9: entry: r3 is no 64-bit value"),
    ({"entry": {"r3": True}}, "r.json:9: entry: r3 is no 64-bit value"),
    ({"entry": {"r3": 1.5}}, "r.json:9: entry: r3 is no 64-bit value"),
    ({"entry": {"r3": "12"}}, "r.json:9: entry: r3 is no 64-bit value"),
    ({"entry": {"r3": "0x1" + "0" * 16}}, "r.json:9: entry: r3 is no 64-bit value"),
    ({"frame": {"12": "0x1"}}, "r.json:12: frame: 12 is no offset; give"),
    ({"stack": {"8": "0x1"}}, "r.json:16: stack: 8 is no offset"),
    ({"flag": None}, "r.json:14: flag is no 64-bit value"),
]


@pytest.mark.parametrize(("change", "reason"), BAD)
def test_a_malformed_file_is_refused_with_its_line(change: dict[str, Any], reason: str) -> None:
    with pytest.raises(LpgenError) as error:
        parse_replay(json.dumps(GOOD | change, indent=2), "r.json")
    assert str(error.value).startswith(reason.replace("; give", ""))
    assert error.value.exit_code == 2


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "is not JSON: Expecting value, column 1"),
        (b'{"a": 1,\n}', "is not JSON: "),
        (b"[]", "is not a JSON object"),
        (b"\xff", "is not UTF-8 text"),
        (b"[" * 100_000, "is not a replay: nested too deep"),
        (b'{"flag": ' + b"9" * 5000 + b"}", "has a number that is too large"),
        (b'{"flag": NaN}', "NaN is no number"),
        (b'{"flag": 1, "flag": 2}', "flag is there twice"),
        (b" " * ((1 << 20) + 1), "is larger than 1 MiB"),
        (None, "cannot be read: no such file"),
    ],
)
def test_what_is_no_replay_is_refused(tmp_path: Path, data: bytes | None, reason: str) -> None:
    path = tmp_path / "r.json"
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(LpgenError) as error:
        read_replay(path)
    assert error.value.reason.startswith(reason)
    assert error.value.place is not None
    assert error.value.place.file == str(path)


TEXT = st.text("r0123456789x-ab\n\udc80\x1b ", max_size=6)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inside: st.lists(inside, max_size=4) | st.dictionaries(TEXT, inside, max_size=4),
    max_leaves=8,
)
REGISTERS = st.dictionaries(
    st.sampled_from(["r3", "r99", "cr", "gpr4", "marker", "r", "", "-16", "xer"]), JSON, max_size=4
)


@given(st.dictionaries(st.sampled_from([*GOOD, *EVENTS, "nip", "stack", "x"]), JSON | REGISTERS, max_size=4))
def test_no_document_makes_anything_but_a_replay_or_an_error(change: dict[str, Any]) -> None:
    text = json.dumps(GOOD | change)
    with suppress(LpgenError):
        replay = replace(parse_replay(text, "r.json"), code=code_hash(_unit("4.7")))
        assert judge_replay(_kernel("4.7"), _unit("4.7"), replay).callers == 1


@given(st.binary(max_size=60), st.integers(0, 400), st.integers(0, 60))
def test_no_bytes_make_anything_but_a_replay_or_an_error(data: bytes, at: int, over: int) -> None:
    good = json.dumps(GOOD, indent=1).encode()
    with TemporaryDirectory() as directory:
        path = Path(directory) / "r.json"
        path.write_bytes(good[:at] + data + good[at + over :])
        with suppress(LpgenError):
            assert read_replay(path).code == GOOD["code"]
