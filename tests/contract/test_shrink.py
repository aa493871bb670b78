"""Shrunk counterexamples: small, the same each time, and their replay command shows the same statement broken."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from lpgen.cli import run
from lpgen.contract.shrink import BUDGET, ShrunkCase, shrink, shrink_failures, weight
from lpgen.contract.suite import Suite, default_callers
from lpgen.contract.verdict import Verdict
from lpgen.machine.cases import Case, fixed_cases
from lpgen.machine.plan_text import parse_plan, plan_text
from lpgen.report.result import Result
from tests.contract.must_fail import ALL, KERNEL

WRONG = {wrong.name: wrong for wrong in ALL}


def _failing(name: str, callers: range | None = None) -> tuple[Suite, Verdict]:
    suite = Suite(KERNEL, WRONG[name].unit())
    return suite, suite.run(callers or range(default_callers(KERNEL)), full=False)


# Seeds are not part of it: they are the least of those that show the fault.
SMALLEST = {
    "handler_pushes_a_frame": {"X3": "void f(long*9) nip=patch", "L1": "void f() nip=patch"},
    "handler_loses_r2": {"L5": "void f() nip=patch"},
    "handler_spoils_f1": {"L4": "void f() nip=patch"},
    "handler_ignores_the_marker": {"L4": "void f() nip=patch marker=1"},
    "caller_r0_is_nip": {"X1": "void f()"},
    "caller_trusts_r20": {"X2": "void f() edit"},
    "caller_compares_words": {"X3": "void f() nip=patch home_c=1 twin"},
    "caller_reads_the_call_site": {"T1": "void f() form=1"},
    "caller_passes_old_r2_to_tracer": {"T2": "void f() home_b=1 pointer"},
    "graph_ip_is_nip": {"S8": "void f() graph"},
    "stub_spoils_r14": {"X1": "void f() off"},
    "caller_ignores_link": {"X1": "void f() link"},
}


@pytest.mark.parametrize("name", SMALLEST)
def test_smallest_plan(name: str) -> None:
    suite, verdict = _failing(name)
    before = {failure.finding.statement: failure for failure in verdict.failures}
    shrink_failures(suite, verdict)
    found = {failure.finding.statement: failure for failure in verdict.failures}
    assert found.keys() == before.keys()
    for id_, failure in found.items():
        assert isinstance(failure.case, ShrunkCase)
        assert failure.case.original == before[id_].case.plan
        assert failure.case.runs <= BUDGET
        assert weight(failure.case.plan) < weight(failure.case.original)
        again = Suite(KERNEL, suite.unit).run(
            [Case(-1, "plan", parse_plan(plan_text(failure.case.plan)).settled(KERNEL))],
            watch_all=True,
            full=False,
        )
        assert id_ in again.broken
    for id_, text in SMALLEST[name].items():
        plan = found[id_].case.plan
        assert plan_text(plan).replace(f" seed={plan.seed}", "") == text
        assert plan.seed <= 16


def test_a_chain_of_forty_four_stays_that_long_and_is_plain() -> None:
    suite, verdict = _failing("handler_bound_too_strict")
    shrink_failures(suite, verdict)
    plan = verdict.failures[0].case.plan
    # One more call than the handler has room for.
    shorter = parse_plan(plan_text(plan).replace(f"inner*{plan.depth() - 1}", f"inner*{plan.depth() - 2}"))
    assert plan.depth() - 1 == shorter.depth() > 20
    assert not suite.run([Case(-1, "plan", shorter)], watch_all=True, full=False).broken
    assert len(plan_text(plan)) < 100


def test_first_boundary_of_an_interrupt() -> None:
    suite = Suite(KERNEL, WRONG["caller_reloads_r13"].unit())
    switches = [item for item in suite.interrupt_items() if item.mode == "switch"]
    verdict = suite.run(switches[:200], full=False)
    found = next(f for f in verdict.failures if f.case.plan.interrupt is not None)
    plan = shrink(suite, found.case, found.finding)
    during = plan.interrupt
    assert during is not None
    assert during.mode == "switch"
    for boundary in range(1, during.boundary):
        earlier = parse_plan(plan_text(plan).replace(f"interrupt={during.boundary}:", f"interrupt={boundary}:"))
        broken = suite.run([Case(-1, "plan", earlier)], watch_all=True, full=False).broken
        assert found.finding.statement not in broken


def test_deterministic_and_within_the_budget() -> None:
    name = "handler_shares_thread_info"
    plans = []
    for budget in (BUDGET, BUDGET, 7):
        suite, verdict = _failing(name)
        ticks = 0

        def tick() -> None:
            nonlocal ticks
            ticks += 1

        shrink_failures(suite, verdict, budget, tick)
        assert ticks <= budget * len(verdict.failures)
        plans.append([plan_text(failure.case.plan) for failure in verdict.failures])
    assert plans[0] == plans[1]


def test_random_callers_shrink() -> None:
    first = fixed_cases(KERNEL)
    suite, verdict = _failing("handler_pushes_a_frame", range(first, first + 300))
    shrink_failures(suite, verdict)
    texts = {f.finding.statement: f.case.plan for f in verdict.failures}
    assert len(texts["X3"].shape.arguments) <= 9
    assert texts["X3"].nip == "patch"
    assert texts["X3"].depth() == 1


def test_a_plan_that_cannot_be_smaller_stays() -> None:
    suite, _ = _failing("caller_r0_is_nip", range(1))
    plan = parse_plan("void f() seed=1")
    one = Case(-1, "plan", plan)
    finding = next(f for f in suite.findings(one) if f.statement == "X1")
    assert shrink(suite, one, finding) == plan


@pytest.mark.parametrize(
    "name", ["handler_pushes_a_frame", "caller_saves_before_allocating", "handler_reads_first_frame"]
)
def test_replay_command(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The last line of a failure, typed into a shell, breaks the same statement; so does where it was first seen."""
    source = tmp_path / "wrong.S"
    source.write_text(WRONG[name].text())
    suite, verdict = _failing(name)
    shrink_failures(suite, verdict)
    result = Result.of(verdict, suite.unit, shlex.join(["lpgen", "verify", str(source)]))
    for failure in verdict.failures:
        first = result.first_seen(failure)
        assert first is not None
        for command in (result.again(failure), first):
            assert "\n" not in command
            assert run(shlex.split(command)[1:]) == 1
            assert f"\n{failure.finding.statement} broken " in capsys.readouterr().out
