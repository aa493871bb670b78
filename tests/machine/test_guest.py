"""Guest code that is A, the tracer and C: what it compares, that each comparison can fail, and how runs end."""

from __future__ import annotations

from random import Random

import pytest
from unicorn import ppc_const as ppc

from lpgen.campaign.killing import Bench
from lpgen.campaign.mutants import mutants
from lpgen.contract.suite import judge_trip
from lpgen.errors import LpgenError
from lpgen.kernel.generations import kernel
from lpgen.machine import guest_callers, guest_routines
from lpgen.machine.guest import Guest
from lpgen.machine.guest_callers import FIRST, PHASE, POOL, RUN, STEP, WINDOW, guest_case, place_of, schedule, settings
from lpgen.machine.guest_code import Pieces, Source
from lpgen.machine.guest_routines import Way
from lpgen.machine.rewriting import Rewriter
from tests.contract.guest_callers import failed, numbers, right, right_model
from tests.contract.must_fail import KERNEL, Wrong


def the_guest(version: str) -> Guest:
    made = kernel(version)
    return Guest(made, right(made).unit, 0, right_model(made))


def again(guest: Guest, number: int) -> Way:
    """Make the routines of a caller's way anew, and have the guest use them."""
    made = guest.world.kernel
    plan = settings(made)[0].ways[way_of(guest, number)]
    model = right_model(made)(plan, number)
    way = Way(guest.world, plan, model, guest._code, guest._loop, guest._fail, checks=True)
    guest._flush_code()
    guest._ways[0][way_of(guest, number)] = way.entry
    return way


def way_of(guest: Guest, number: int) -> int:
    return schedule(len(settings(guest.world.kernel)[0].ways))[number - FIRST]


# Of each kind of way some: with arguments in memory, edits, a link, through C, lean, nested, return_to_handler.
@pytest.mark.parametrize(("version", "every"), [("4.7", 6), ("4.18", 13), ("6.12", 16), ("6.18", 19)])
def test_each_comparison_can_fail(version: str, every: int, monkeypatch: pytest.MonkeyPatch) -> None:
    original = Pieces._differ
    seen, wrong, rng = 0, -1, Random(1)

    def differ(self: Pieces, register: int, source: Source, scratch: int = 0) -> None:
        nonlocal seen
        if seen == wrong and source.form:
            source = Source(0x1234)
        elif seen == wrong:
            source = Source(source.value + 1 if source.window else source.value ^ 1, source.window, source.form)
        seen += 1
        original(self, register, source, scratch)

    monkeypatch.setattr(Pieces, "_differ", differ)
    compared = 0
    for number in numbers(kernel(version))[: len(settings(kernel(version))[0].ways) : every]:
        # There is room for so many routines, and no more: of hundreds of comparisons a sample.
        guest = the_guest(version)
        assert guest.run(number, number + 1) == []
        seen, wrong = 0, -1
        again(guest, number)
        count = seen
        assert guest.run(number, number + 1) == []
        for tried in rng.sample(range(count), min(count, 120)):
            seen, wrong = 0, tried
            again(guest, number)
            assert guest.run(number, number + 1) == [number], (number, tried)
        compared += min(count, 120)
    assert compared > 200


def test_another_gate_is_not_let_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    guest = the_guest("4.7")
    number = numbers(KERNEL)[7]
    assert guest.run(number, number + 1) == []
    original = guest_routines.gate_number
    for wrong in range(3):
        asked = 0

        def gate(world: object, address: int, wrong: int = wrong) -> int:
            nonlocal asked
            asked += 1
            return original(world, address) + (asked - 1 == wrong)

        monkeypatch.setattr(guest_routines, "gate_number", gate)
        again(guest, number)
        assert asked == 3
        assert guest.run(number, number + 1) == [number]


@pytest.mark.parametrize(("version", "sample"), [("4.7", 40), ("6.18", 25)])
def test_the_guest_lets_no_mutant_pass_that_is_judged_broken(version: str, sample: int) -> None:
    """Code of the same size, so all addresses of the right trampolines' models are right.

    Calls inside calls have the same values each time, and the guest's stack holds zeros, not a pattern: what zeros hide
    is for their own trampolines' model to show, which these models are not.
    """
    made = kernel(version)
    unit = right(made).unit
    bench, guest = Bench(made, unit), Guest(made, unit, 0, right_model(made))
    callers = numbers(made)
    assert failed(guest, callers) == set()
    rewriter = Rewriter(guest.world)
    caught = 0
    for mutant in Random(7).sample(mutants(bench.unit, bench.text, bench.name_of), sample):
        words = mutant.words(bench.text)
        try:
            bench.change(words)
        except LpgenError:
            continue
        rewriter.rewrite(words)
        guest._pool = None
        found = {number: bench.run(bench.suite.case(number), watch=False) for number in callers}
        broken = {number for number in callers if any(not finding.path for finding in found[number])}
        assert broken <= failed(guest, callers), mutant
        caught += bool(broken)
    assert caught > sample // 3


def test_the_guest_has_the_registers_and_the_memory_of_the_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    """At C's entry, where every argument is in place; what the routine used to compare apart."""
    suite, guest = right(KERNEL), the_guest("4.7")
    conductor = suite.conductor(watch=False)
    uc = guest._bulk.uc
    ways = settings(KERNEL)[0].ways
    number = next(
        n for n in numbers(KERNEL) if (p := ways[way_of(guest, n)]).patched and p.shape.placement.memory_bytes
    )
    guest.run(number, number + 1)
    entries = {function.gep for function in guest.world.functions_c}
    original = guest_routines.gate_number
    # C's routine does not take its own gate for the right one, and stops.
    monkeypatch.setattr(
        guest_routines, "gate_number", lambda world, at: original(world, at) if at not in entries else 0x7000
    )
    again(guest, number)
    guest._schedule(0, schedule(len(ways)), ())
    for caller in (number, number + 3, number + 7):
        assert guest._once(caller, caller + 1) is not None
        one = suite.case(caller)
        trip = conductor.run(one.plan, values=one.values)
        (moment,) = trip.at("c")
        for register in (1, 2, *range(6, 11), *range(13, 32)):
            assert uc.reg_read(ppc.UC_PPC_REG_0 + register) == moment.state.gpr[register], register
        # A's frame but for LR save.
        frame = guest.world.engine.read(trip.frame, trip.thread.top - trip.frame)
        assert frame[:16] == moment.frame[:16]
        assert frame[24:] == moment.frame[24:]
        guest._clean()


def test_a_run_that_does_not_end_is_ended_and_its_caller_found() -> None:
    loops = Wrong(
        "loops",
        (),
        "",
        "",
        (("std r11, TI_livepatch_sp(r12)\n blr", "std r11, TI_livepatch_sp(r12)\n andi. r0, r3, 15\n9: beq 9b\n blr"),),
    )
    guest = Guest(KERNEL, loops.unit(), 0, right_model(KERNEL))
    suite = right(KERNEL)
    ways = settings(KERNEL)[0].ways
    number = next(n for n in numbers(KERNEL) if ways[way_of(guest, n)].patched)
    first = number - (number - FIRST) % RUN
    found = guest.run(first, first + RUN)
    stuck = [n for n in range(first, first + RUN) if not int.from_bytes(suite.case(n).plan.result, "little") & 15]
    assert stuck
    # The rest of the way's callers in this phase is judged in full, too.
    assert found == list(range(stuck[0], first + RUN))


def test_windows_are_all_different_and_inside_the_pool() -> None:
    starts = [place_of(FIRST + n)[1] for n in range(POOL)]
    assert len(set(starts)) == POOL
    assert STEP >= WINDOW
    assert STEP % 2
    assert POOL % PHASE == 0
    assert PHASE % RUN == 0
    assert len(guest_callers.pool(0, 0)) == 8 * (POOL + WINDOW)
    assert place_of(FIRST + POOL) == (1, 0, 0)


@pytest.mark.parametrize("version", ["4.7", "4.18", "6.18"])
def test_every_way_comes_in_every_phase_and_is_what_it_says(version: str) -> None:
    made = kernel(version)
    found = settings(made)
    for number, setting in enumerate(found):
        assert set(schedule(len(setting.ways))) == set(range(len(setting.ways)))
        assert len({plan.thread for plan in setting.ways}) == 1
        for at in range(0, PHASE, 97):
            _, plan, values = guest_case(made, FIRST + PHASE * number + at, 3)
            assert plan == plan.settled(made)
            assert plan.kinds() == setting.ways[schedule(len(setting.ways))[at]].kinds()
            assert values
    assert {kind for plan in found[0].ways for kind in plan.kinds()} > {"patched", "nested", "gpr edits", "variadic"}


def test_the_models_break_nothing() -> None:
    suite = right(KERNEL)
    conductor = suite.conductor(watch=False)
    for number in numbers(KERNEL, stacks=True):
        one = suite.case(number)
        assert judge_trip(conductor.world, conductor.run(one.plan, values=one.values))[1] == []
