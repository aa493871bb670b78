"""A mutant is seen by whom it should be, in worlds that no mutant before it has changed."""

from __future__ import annotations

import pytest

from lpgen import api
from lpgen.campaign.killing import Bench, Kill, Round, Ways, learned, near_items, ways
from lpgen.campaign.mutants import Mutant, mutants
from lpgen.contract.suite import default_callers
from lpgen.errors import LpgenError
from lpgen.kernel.generations import kernel
from lpgen.machine.cases import case
from lpgen.machine.plan import INTERRUPT_MODES

VERSIONS = ("4.7", "6.18")


def _bench(version: str) -> Bench:
    made = kernel(version)
    return Bench(made, api.trampolines(made))


def _check() -> None:
    pass


class Known:
    """A bench, what is known of it, and its mutants: made once for a version."""

    def __init__(self, version: str) -> None:
        self.bench = _bench(version)
        self.ways = ways(self.bench, _check)
        self.mutants = mutants(self.bench.unit, self.bench.text, self.bench.name_of)


@pytest.fixture(scope="module", params=VERSIONS)
def known(request: pytest.FixtureRequest) -> Known:
    return Known(request.param)


def _tried(bench: Bench, order: Ways, one: Mutant, limit: int) -> Kill | str | None:
    trial = Round(bench, order, _check)
    try:
        trial.begin(one.words(bench.text))
    except LpgenError as error:
        return str(error)
    return trial.quick(limit)


def test_no_mutant_disturbs_the_next(known: Known) -> None:
    """Forwards, backwards, and each in worlds of its own: the same is seen."""
    sample = known.mutants[5::61]
    order = Ways(tuple(known.ways.callers[::37]) + tuple(c for c in known.ways.callers if c.watch)[:6])
    forwards = [_tried(known.bench, order, one, 40) for one in sample]
    backwards = [_tried(known.bench, order, one, 40) for one in reversed(sample)]
    assert forwards == backwards[::-1]
    version = known.bench.kernel.version
    assert forwards[::4] == [_tried(_bench(version), order, one, 40) for one in sample[::4]]
    assert sum(isinstance(seen, Kill) for seen in forwards) > len(sample) // 2
    known.bench.change({})
    for caller in (*known.ways.callers[::11], *(c for c in known.ways.callers if c.watch)):
        assert known.bench.run(caller.case, watch=caller.watch) == [], caller.case.name


def test_memory_that_a_mutant_changed_is_as_it_was() -> None:
    bench = _bench("4.7")
    conductor = bench.suite.conductor(watch=False)
    world, engine = conductor.world, conductor.engine
    bench.change({})
    before = {page: engine.read(page, 0x4000) for page in (world.ground.toc & ~0xFFFF, world.ground.pacas[0])}
    for page in before:
        engine.write(page + 0x3F00, b"\xa5" * 64)
    for thread in world.threads:
        engine.write(thread.base + 0x800, b"\xa5" * 8)
    bench.change({0: 0x60000000})
    assert {page: engine.read(page, 0x4000) for page in before} == before
    assert world.changed_stack(()) is None


def test_what_ftrace_would_not_patch_is_refused_and_taken_out_again() -> None:
    bench = _bench("4.7")
    call = bench.unit.symbols["ftrace_call"].value
    with pytest.raises(LpgenError, match="ftrace patches only"):
        bench.change({call: 0x60000000})
    world = bench.suite.conductor(watch=False).world
    assert world.engine.read(world.text[0], len(bench.text)) == bench.text
    assert bench.run(case(bench.kernel, 0), watch=False) == []


def test_what_writes_an_spr_is_found_in_a_mutant() -> None:
    bench = _bench("4.7")
    handler = bench.unit.symbols["livepatch_handler"].value
    bench.change({handler + 4: 0x7C1043A6})  # mtsprg 0,r0
    world = bench.suite.conductor(watch=False).world
    assert list(world.privileged.values()) == ["SPR 272"]
    bench.change({})
    assert world.privileged == {}


def test_a_mutant_that_does_not_end_is_seen() -> None:
    bench = _bench("4.7")
    handler = bench.unit.symbols["livepatch_handler"].value
    bench.change({handler: 0x48000000})  # b .
    patched = next(c for c in (case(bench.kernel, n) for n in range(400)) if c.name == "patched-link-0")
    assert bench.run(patched, watch=False)
    bench.change({})
    assert bench.run(patched, watch=False) == []


def test_who_does_not_come_to_the_change_is_left_out_and_sees_nothing(known: Known) -> None:
    bench = known.bench
    handler = bench.unit.symbols["livepatch_handler"].value
    bench.change({handler: 0x7FE00008})
    apart = [caller for caller in known.ways.callers if handler not in caller.covers]
    through = [caller for caller in known.ways.callers if handler in caller.covers]
    assert len(apart) > 100
    assert len(through) > 100
    for caller in apart[::9]:
        assert bench.run(caller.case, watch=caller.watch) == [], caller.case.name
    # An interrupt may come to a call that does not come to the change.
    for caller in (c for c in through[::9] if c.case.plan.interrupt is None):
        assert bench.run(caller.case, watch=caller.watch) != [], caller.case.name
    bench.change({})


def test_every_caller_of_verify_is_asked(known: Known) -> None:
    suite = known.bench.suite
    numbers = {caller.case.number for caller in known.ways.callers}
    assert numbers == set(range(default_callers(known.bench.kernel)))
    watched = {caller.case.number for caller in known.ways.callers if caller.watch}
    assert watched == {n for n in numbers if suite.watches(case(known.bench.kernel, n))}
    assert set(known.ways.interrupted) == set(suite.interrupted())


def test_interrupts_come_near_the_change() -> None:
    known = Ways((), {4: (0, 4, 8, 100, 104, 108, 112), 8: (0, 4, 8)})
    items = list(near_items(known, {104: 0}))
    assert {(item.number, item.boundary) for item in items} == {(4, 4), (4, 5), (4, 6), (4, 7)}
    assert {item.mode for item in items} == set(INTERRUPT_MODES)
    assert len(items) == 4 * len(INTERRUPT_MODES)
    assert list(near_items(known, {})) == []


def test_the_order_is_learned_and_the_same_each_time(known: Known) -> None:
    sample = known.mutants[::40]
    first, second = (learned(known.bench, known.ways, sample, _check) for _ in range(2))
    assert first == second
    assert sorted(map(id, first.callers)) == sorted(map(id, known.ways.callers))

    def asked(order: Ways) -> int:
        sent = 0
        for one in sample:
            trial = Round(known.bench, order, _check)
            try:
                trial.begin(one.words(known.bench.text))
            except LpgenError:
                continue
            trial.quick(30)
            sent += trial.sent
        return sent

    assert asked(first) < asked(Ways(tuple(reversed(known.ways.callers))))


def test_who_saw_the_last_one_is_asked_first(known: Known) -> None:
    saves = [one for one in known.mutants if one.kind == "displacement"][:8]
    trial = Round(known.bench, known.ways, _check)
    sent = []
    for one in saves:
        trial.begin(one.words(known.bench.text))
        if trial.quick(1000) is not None:
            sent.append(trial.sent)
    assert sent.count(1) >= len(sent) - 3
