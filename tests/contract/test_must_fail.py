"""Every wrong trampoline is refuted by the statements that it breaks, and for the stated reason."""

from __future__ import annotations

import pytest

from lpgen.contract.statements import STATEMENTS
from lpgen.contract.suite import Suite, default_callers
from lpgen.contract.verdict import Verdict
from lpgen.machine.cases import case
from tests.contract.must_fail import ALL, Wrong

UNEDITED = Wrong("unedited", (), "", "", ())


def verdict_of(wrong: Wrong) -> Verdict:
    made = wrong.kernel
    suite = Suite(made, wrong.unit())
    verdict = suite.run(range(default_callers(made)))
    if wrong.interrupts is not None:
        named = f"{wrong.interrupts}-0"
        verdict.merge(suite.run((i for i in suite.interrupt_items() if case(made, i.number).name == named), full=False))
    return verdict


def _broken_without_an_interrupt(verdict: Verdict) -> list[str]:
    """The statements that some caller without an interrupt saw broken.

    An interrupt's own call in the middle of a faulty one meets the fault's consequences everywhere.
    """
    return [id_ for id_ in verdict.broken if "interrupt" not in (verdict.statements[id_].killers or ())]


@pytest.mark.parametrize("wrong", ALL, ids=lambda wrong: wrong.name)
def test_refuted(wrong: Wrong) -> None:
    verdict = verdict_of(wrong)
    assert set(wrong.breaks) <= set(verdict.broken), wrong.why
    if wrong.only:
        assert set(_broken_without_an_interrupt(verdict)) == set(wrong.breaks), wrong.why
    said = [f"{f.finding.what} {f.finding.expected} {f.finding.seen}" for f in verdict.failures]
    assert any(wrong.says in text for text in said), said
    if wrong.kind is not None:
        for id_ in verdict.broken if wrong.of is None else [wrong.of]:
            killers = verdict.statements[id_].killers
            assert killers is not None
            assert wrong.kind in killers, f"{id_} was seen broken by callers that are not of kind {wrong.kind!r}"


def test_the_emitted_text_is_not_refuted() -> None:
    verdict = verdict_of(UNEDITED)
    assert verdict.holds


def test_each_statement_is_the_only_killer_of_one() -> None:
    assert {wrong.breaks[0] for wrong in ALL if wrong.only} == set(STATEMENTS)


def test_kinds_of_scenario_that_alone_see_a_fault() -> None:
    """A kind that leaves this list lost its only wrong trampoline; one that joins it is to be added."""
    assert {wrong.kind for wrong in ALL} - {None} == {
        "another cpu",
        "another stack",
        "arguments in A's frame",
        "call site stores r0",
        "deep chain",
        "direct call",
        "direct call by the tracer",
        "ftrace_caller",
        "gpr edits",
        "graph",
        "interrupt",
        "interrupt calls",
        "interrupt switch",
        "kprobe",
        "link",
        "marker",
        "marker destroyed",
        "nested",
        "not patched yet",
        "patched",
        "sibling",
        "switched off in flight",
        "tracing disabled",
        "tracing off",
        "twin address",
    }
