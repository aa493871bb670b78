"""The campaign: states, what is asked of whom, and results that do not depend on how it was cut up or stopped."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from lpgen import api
from lpgen.assembly import Unit
from lpgen.campaign import mutation
from lpgen.campaign.killing import Kill, Round
from lpgen.campaign.mutation import Asked, Campaign, Subject, campaign, id_of, run
from lpgen.campaign.outcome import Outcome, Score
from lpgen.campaign.store import Store
from lpgen.errors import LpgenError
from lpgen.kernel.generations import Kernel, kernel

KERNEL = kernel("4.7")
UNIT = api.trampolines(KERNEL)


@dataclass
class Said:
    refuted: tuple[str, ...] = ()
    undecided: tuple[str, ...] = ()


class FakeProver:
    """Refutes a mutant of an instruction at a multiple of 16, does not know some others, and proves the rest."""

    asked = 0

    def __init__(self, kernel: Kernel, unit: Unit) -> None:
        self.text = unit.sections[".text"].data

    def run(self, words: Mapping[int, int], *, first: bool = False) -> Said:
        FakeProver.asked += 1
        offset = min(words, default=16)
        if offset % 32 == 4:
            raise LpgenError("no idea")
        return Said(refuted=("X1",)) if offset % 16 == 0 else Said(undecided=("T1",)) if offset % 32 == 8 else Said()


@pytest.fixture(autouse=True)
def fake(monkeypatch: pytest.MonkeyPatch) -> type[FakeProver]:
    monkeypatch.setattr(mutation, "_prover", FakeProver)
    monkeypatch.setattr(FakeProver, "asked", 0)
    return FakeProver


def _planned(who: str = "prove", *, thorough: bool = False, emitted: bool = False) -> Campaign:
    return campaign(Subject(KERNEL, UNIT, emitted), Asked(who, thorough))


def _store(path: Path, planned: Campaign) -> Store:
    return Store(path, dict(planned.about))


def _few(planned: Campaign, *numbers: int) -> Campaign:
    return replace(planned, chunks=tuple(planned.chunks[number] for number in numbers))


def test_shards_are_the_whole_each_part_once(tmp_path: Path) -> None:
    planned = _planned()
    whole = _store(tmp_path / "whole", planned)
    run(planned, whole, jobs=2)
    parts: dict[str, Outcome] = {}
    sizes = []
    for number in range(1, 4):
        store = _store(tmp_path / f"{number}", planned)
        run(planned, store, (number, 3), jobs=1)
        part = store.outcomes()
        assert not parts.keys() & part.keys()
        parts |= part
        sizes.append(len(part))
    assert parts == whole.outcomes()
    assert set(parts) == set(planned.ids)
    assert len(planned.ids) == len(set(planned.ids)) > 1500
    assert max(sizes) - min(sizes) <= mutation.CHUNK


def test_what_is_stored_is_not_done_again(tmp_path: Path, fake: type[FakeProver]) -> None:
    planned = _planned()
    undisturbed = _store(tmp_path / "undisturbed", planned)
    run(planned, undisturbed, jobs=1)

    class Enough(Exception):
        pass

    def stop_after(count: int) -> Callable[[int], None]:
        seen = 0

        def tick(done: int) -> None:
            nonlocal seen
            seen += done
            if seen >= count:
                raise Enough

        return tick

    store = _store(tmp_path / "stopped", planned)
    with pytest.raises(Enough):
        run(planned, store, jobs=1, tick=stop_after(700))
    kept = len(store.outcomes())
    assert 700 <= kept < 720
    with pytest.raises(Enough):
        run(planned, store, jobs=2, tick=stop_after(1200))
    fake.asked = 0
    ticks: list[int] = []
    left = len(planned.ids) - len(store.outcomes())
    store.close()
    store = _store(tmp_path / "stopped", planned)
    run(planned, store, jobs=1, tick=ticks.append)
    refused = sum(bool(one.acceptance) for one in store.outcomes().values())
    assert left - refused <= fake.asked <= left < 600
    assert sum(ticks) == len(planned.ids)
    assert store.outcomes() == undisturbed.outcomes()


def test_the_result_does_not_depend_on_the_number_of_processes(tmp_path: Path) -> None:
    """With callers, who learn: chunks of the entry, the handler, and a template."""
    planned = _planned("verify", emitted=True)
    few = _few(planned, 3, 60, 150, 185, len(planned.chunks) - 8)
    stores = []
    for name, jobs, method in (("one", 1, None), ("two", 2, "fork"), ("other", 2, "spawn")):
        store = _store(tmp_path / name, planned)
        run(few, store, jobs=jobs, method=method)
        stores.append(store.outcomes())
    assert stores[0] == stores[1] == stores[2]
    assert set(stores[0]) == set(few.ids)
    assert {"killed", "passed"} <= {one.verify for one in stores[0].values()}


def _asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick: Kill | None, rest: Kill | None, **how: bool
) -> dict[int, Outcome]:
    """Return by offset what becomes of the nops in place of instructions, callers seeing what is given."""
    rests: list[int] = []
    monkeypatch.setattr(Round, "quick", lambda self, limit: quick)
    monkeypatch.setattr(Round, "rest", lambda self: (rests.append(1), rest)[1])
    planned = _planned("both", **how)
    few = replace(planned, chunks=tuple(tuple(p for p in c if id_of(p).endswith("delete nop")) for c in planned.chunks))
    few = replace(few, chunks=tuple(chunk for chunk in few.chunks if chunk)[:20])
    store = _store(tmp_path / "asked", planned)
    run(few, store, jobs=1)
    offsets = {id_of(piece): piece.offset for chunk in few.chunks for piece in chunk if hasattr(piece, "offset")}
    return {offsets[one.id]: one for one in store.outcomes().values()}


KILL = Kill(("L4",), "patched-0", "back in A: r2")


def test_a_mutant_that_is_seen_at_once_is_not_proved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = _asked(tmp_path, monkeypatch, KILL, None)
    assert {(one.state, one.verify, one.prove) for one in found.values()} == {("killed", "killed", "not asked")}
    assert {one.statements for one in found.values()} == {("L4",)}
    assert FakeProver.asked == 0


def test_a_proved_one_is_equivalent_and_a_refuted_one_is_asked_of_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = _asked(tmp_path, monkeypatch, None, None)
    assert (found[12].state, found[12].verify, found[12].prove) == ("equivalent", "not asked", "proved")
    assert (found[16].state, found[16].verify, found[16].refuted, found[16].only_prove) == (
        "killed",
        "passed",
        ("X1",),
        True,
    )
    assert (found[8].state, found[8].prove, found[8].undecided) == ("survived", "undecided", ("T1",))
    assert (found[4].state, found[4].prove, found[4].undecided) == ("survived", "undecided", ("no idea",))
    score = Score.of(found.values())
    assert score.mutants == score.killed + score.equivalent + score.survived == len(found)
    assert score.only_prove == score.killed
    assert score.only_verify == 0


def test_a_refuted_one_that_a_late_caller_sees(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = _asked(tmp_path, monkeypatch, None, KILL)
    assert (found[16].state, found[16].only_prove, found[16].only_verify) == ("killed", False, False)
    assert (found[8].state, found[8].only_verify) == ("killed", True)
    assert found[12].verify == "not asked"


def test_thorough_asks_everybody_and_finds_contradictions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = _asked(tmp_path, monkeypatch, None, KILL, thorough=True)
    assert (found[12].state, found[12].contradicted, found[12].only_verify) == ("killed", True, True)
    assert {one.prove for one in found.values()} == {"proved", "refuted", "undecided"}
    assert FakeProver.asked == len(found)


def test_nothing_is_proved_where_verify_is_asked_alone(tmp_path: Path) -> None:
    planned = _planned("verify")
    store = _store(tmp_path / "verify", planned)
    run(_few(planned, 0), store, jobs=1)
    assert {one.prove for one in store.outcomes().values()} == {"not asked"}
    assert FakeProver.asked == 0


def test_a_macro_left_out(tmp_path: Path) -> None:
    planned = _planned("verify", emitted=True)
    pieces = {id_of(piece): piece for chunk in planned.chunks for piece in chunk}
    wanted = {
        '{{ asm.bug_entry("1b") }}': ("killed", ("L4",), ""),
        '{% include "push_frames.S.j2" %}': ("killed", ("X1",), ""),
        '{% include "livepatch_handler.S.j2" %}': ("killed", (), "livepatch_handler"),
        '{% include "load_ops.S.j2" %}': ("none", (), ""),
        # Lines behind it move, and with them the number in __bug_table.
        "{% block no_trace %}": ("none", (), ""),
        "{% for n in range(14, 32) %}": ("killed", ("X1",), ""),
    }
    chosen = {tag: next(id_ for id_ in pieces if id_.endswith(f"without {tag}")) for tag in wanted}
    few = replace(planned, chunks=tuple((pieces[id_],) for id_ in chosen.values()))
    store = _store(tmp_path / "templates", planned)
    run(few, store, jobs=1)
    for tag, (state, statements, acceptance) in wanted.items():
        one = store.outcomes()[chosen[tag]]
        assert one.state == state, one
        assert set(statements) <= set(one.statements), one
        assert acceptance in one.acceptance
        assert "/tmp" not in one.acceptance
    assert Score.of(store.outcomes().values()).mutants == len(wanted) - 2


def test_another_campaign_is_refused(tmp_path: Path) -> None:
    planned = _planned()
    _store(tmp_path / "one", planned).close()
    without = kernel("4.7", config={"CONFIG_FUNCTION_GRAPH_TRACER": False})
    for changed in (
        campaign(Subject(KERNEL, UNIT, False), Asked("verify")),
        campaign(Subject(KERNEL, UNIT, True), Asked("prove")),
        campaign(Subject(kernel("4.8"), api.trampolines(kernel("4.8")), False), Asked("prove")),
        campaign(Subject(without, api.trampolines(without), False), Asked("prove")),
    ):
        with pytest.raises(LpgenError, match=r"has the results of another campaign: another .*; name another file"):
            _store(tmp_path / "one", changed)
    assert _store(tmp_path / "one", _planned()).outcomes() == {}


def test_what_cannot_be_a_store(tmp_path: Path) -> None:
    about = {"kernel": "4.7"}
    (tmp_path / "text").write_text("no database\n" * 100)
    with pytest.raises(LpgenError, match="cannot be used"):
        Store(tmp_path / "text", about)
    assert (tmp_path / "text").read_text() == "no database\n" * 100
    with sqlite3.connect(tmp_path / "other") as other:
        other.execute("CREATE TABLE songs (name TEXT)")
    with pytest.raises(LpgenError, match="is a database of something else"):
        Store(tmp_path / "other", about)
    with pytest.raises(LpgenError, match="make the directory first"):
        Store(tmp_path / "none" / "store", about)


def test_results_are_added_whole_or_not_at_all_and_once(tmp_path: Path) -> None:
    store = Store(tmp_path / "store", {"kernel": "4.7"})
    one, two = Outcome("a", "delete", verify="killed", statements=("L1", "L2")), Outcome("b", "swap", same=True)
    store.add([one])
    store.add([one, two])
    assert store.outcomes() == {"a": one, "b": two}

    unwritable = replace(two, id=["d"])  # type: ignore[arg-type]
    with pytest.raises((sqlite3.Error, LpgenError)):
        store.add([replace(one, id="c"), unwritable])
    assert store.outcomes() == {"a": one, "b": two}
    assert Store(tmp_path / "store", {"kernel": "4.7"}).outcomes() == {"a": one, "b": two}
