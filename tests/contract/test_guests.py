"""Callers judged in the guest: the same verdict as in full, for what is emitted and for every wrong trampoline."""

from __future__ import annotations

import pytest

from lpgen.campaign import parallel
from lpgen.contract.guests import FIRST, Guests, pieces
from lpgen.contract.suite import Suite
from lpgen.kernel.generations import every_config, kernel, spans, versions_of
from lpgen.machine.cases import case
from lpgen.machine.guest import Guest
from lpgen.machine.guest_callers import PHASE, POOL, settings
from tests.contract.guest_callers import as_pieces, failed, findings, numbers, right, right_model, said
from tests.contract.must_fail import ALL, KERNEL, Wrong

# The layout and the generation decide; the first version of each span has both.
VERSIONS = sorted({versions_of(generation)[0] for generation, _, _ in spans()} | {"4.20", "5.11", "6.2", "6.18"})


@pytest.mark.parametrize("version", VERSIONS)
def test_what_is_emitted_passes_in_the_guest_and_the_verdict_is_the_same(version: str) -> None:
    made = kernel(version)
    callers = numbers(made, stacks=True)
    suite = right(made)
    fast = suite.run(as_pieces(callers), full=False)
    assert fast.in_guest == fast.callers == len(callers)
    assert said(fast) == said(suite.run(callers, full=False))


@pytest.mark.parametrize("version", ["4.13", "4.18", "6.6", "6.18"])
def test_every_configuration_passes(version: str) -> None:
    for config in every_config(version):
        made = kernel(version, config=config)
        callers = numbers(made)
        verdict = right(made).run(as_pieces(callers), full=False)
        assert (verdict.in_guest, verdict.broken) == (len(callers), []), config


@pytest.mark.parametrize("wrong", ALL, ids=lambda wrong: wrong.name)
def test_the_verdict_on_a_wrong_trampoline_is_the_same(wrong: Wrong) -> None:
    """And what the guest compares is enough: with models of the right trampolines it lets none pass that is broken."""
    made = wrong.kernel
    callers = numbers(made)
    suite = Suite(made, wrong.unit())
    slow = suite.run(callers, full=False)
    assert said(suite.run(as_pieces(callers), full=False)) == said(slow)
    broken = {number for number in callers if findings(suite, number)}
    assert bool(broken) is bool(slow.broken)
    assert broken <= failed(Guest(made, suite.unit, 0, right_model(made)), callers)


# Their files' first statement, where what a caller comes to shows it; of the others it takes the steps on the way, or
# an interrupt, a nested call, a destroyed marker, another cpu or a caller with an argument of another type.
SEEN_BY_GUESTS = {
    "T1": "caller_ip_is_nip",
    "T2": "caller_saves_r2_in_regs_only",
    "T3": "caller_saves_ccr_off_by_8",
    "T4": "caller_breaks_back_chain",
    "T5": "caller_counts_in_paca",
    "X1": "caller_r0_is_nip",
    "X2": "caller_trusts_r20",
    "X3": "regs_loses_r15_when_patched",
    "L1": "handler_changes_xer",
    "L2": "handler_stores_marker_as_word",
    "L3": "handler_forgets_r12",
    "L4": "handler_loses_r2",
    "L5": "caller_compares_in_cr2",
    "S6": "kprobe_test_skipped",
    "S7": "direct_call_dropped",
    "S8": "graph_ip_is_nip",
    "S8m": "mcount_keeps_lr",
    "S8r": "return_to_handler_loses_r4",
}


@pytest.mark.parametrize(("statement", "name"), SEEN_BY_GUESTS.items())
def test_guests_alone_see_it(statement: str, name: str) -> None:
    wrong = next(w for w in ALL if w.name == name)
    verdict = Suite(wrong.kernel, wrong.unit()).run(as_pieces(numbers(wrong.kernel)), full=False)
    assert statement in verdict.broken


# Behind C's return the kernel's own data is written to, for one of eight callers.
NOW_AND_THEN = Wrong(
    "now_and_then",
    ("T5",),
    "",
    "",
    (
        (
            "std r11, TI_livepatch_sp(r12)\n blr",
            "std r11, TI_livepatch_sp(r12)\n andi. r0, r3, 7\n bne 9f\n std r3, 8(r13)\n9: blr",
        ),
    ),
)


def test_the_callers_that_leave_something_changed_are_found_one_by_one() -> None:
    suite = Suite(KERNEL, NOW_AND_THEN.unit())
    callers = range(FIRST, FIRST + 400)
    broken = {number for number in callers if findings(suite, number)}
    assert 5 < len(broken) < 60
    fast = suite.run([Guests(callers[0], callers[-1] + 1)], full=False)
    assert said(fast) == said(suite.run(callers, full=False))
    assert 300 < fast.in_guest <= len(callers) - len(broken)
    assert [f.case.number for f in fast.failures if f.finding.statement == "T5"] == [min(broken)]


def test_the_verdict_does_not_depend_on_the_number_of_processes() -> None:
    suite = right(KERNEL)
    for unit, work in (
        (suite.unit, [*range(64), *pieces(FIRST, FIRST + 3 * POOL)]),
        (NOW_AND_THEN.unit(), [Guests(FIRST + 1000 * n, FIRST + 1000 * n + 50) for n in range(4)]),
    ):
        alone, together = (parallel.run(KERNEL, unit, 3, work, jobs, full=False) for jobs in (1, 2))
        assert alone == together
        assert alone.in_guest > 100


def test_pieces_cover_all_and_need_one_pool_each() -> None:
    assert pieces(FIRST, FIRST) == []
    cut = pieces(FIRST + 5, FIRST + 2 * POOL + 1)
    assert [(piece.first - FIRST, piece.last - FIRST) for piece in cut] == [
        (5, POOL),
        (POOL, 2 * POOL),
        (2 * POOL, 2 * POOL + 1),
    ]


def test_a_number_is_the_same_caller_everywhere() -> None:
    """--only takes it; the seed decides on the values, not on the way."""
    number = FIRST + PHASE * len(settings(KERNEL)) + 77
    one = case(KERNEL, number, 5)
    assert one == case(KERNEL, number, 5)
    other = case(KERNEL, number, 6)
    assert (one.plan.words, one.values) != (other.plan.words, other.values)
    assert list(one.plan.words()) == list(other.plan.words())
    watched = right(KERNEL).run([number], watch_all=True, full=False)
    assert (watched.broken, watched.watched) == ([], 1)
