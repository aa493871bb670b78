"""A plan as text and back: exact for every plan that lpgen makes; hostile text is an error with its column."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lpgen.callers.shape import shape
from lpgen.callers.types import INT, LONG, VOID, Array, Integer, Struct, Vector
from lpgen.contract.suite import Item, Suite
from lpgen.errors import LpgenError
from lpgen.kernel.generations import kernel
from lpgen.machine.cases import case, fixed_cases
from lpgen.machine.guest_callers import FIRST
from lpgen.machine.plan import PATCH, Interrupt, Plan
from lpgen.machine.plan_text import check_plan, parse_plan, plan_text
from tests.contract.must_fail import G1

KERNEL = kernel("4.7")
F = shape("f", VOID)


def _round_trip(plan: Plan) -> None:
    text = plan_text(plan)
    assert parse_plan(text) == plan, text
    assert not set(text) & set("'\"$\\`!\n"), text


@pytest.mark.parametrize("seed", [0, 1, 77])
def test_round_trip_of_what_a_run_sends(seed: int) -> None:
    for number in range(1200):
        plan = case(KERNEL, number, seed).plan
        _round_trip(plan)
        check_plan(plan)


@given(st.integers(0, 1 << 40), st.integers(fixed_cases(KERNEL), FIRST - 1))
def test_round_trip_of_random_plans(seed: int, number: int) -> None:
    plan = case(KERNEL, number, seed).plan
    _round_trip(plan)
    check_plan(plan)


def test_round_trip_of_interrupted_calls() -> None:
    suite = Suite(KERNEL, G1[0].unit())
    for mode in ("frame", "calls", "switch"):
        for number in (0, 40, 84, 132):
            _round_trip(suite.case(Item(number, 17, mode)).plan)


@pytest.mark.parametrize(
    ("plan", "text"),
    [
        (Plan(F, 0), "void f() seed=0"),
        (Plan(shape("f", LONG, *[LONG] * 9), 3, nip=PATCH), "long f(long*9) seed=3 nip=patch"),
        (Plan(shape("f", INT, LONG, extra=(INT, INT)), 1), "int f(long,...;int*2) seed=1"),
        (Plan(shape("f", INT, LONG, extra=()), 1), "int f(long,...) seed=1"),
        (
            Plan(shape("f", VOID, Struct((Array(Array(INT, 2), 3), Vector(Integer(8, False))))), 1),
            "void f({int[2][3],uv2di}) seed=1",
        ),
        (Plan(F, 1, tracing=False, link=True, home_c=0), "void f() seed=1 home_c=0 link off"),
        (
            Plan(F, 1, inner=(Plan(F, 2), Plan(F, 3)), beside=Plan(F, 4, thread=1)),
            "void f() seed=1 inner=[void f() seed=2, void f() seed=3] beside=[void f() seed=4 thread=1]",
        ),
        (
            Plan(F, 1, interrupt=Interrupt(12, "calls", Plan(F, 2, nip=PATCH))),
            "void f() seed=1 interrupt=12:calls[void f() seed=2 nip=patch]",
        ),
        (
            Plan(F, 1, inner=(Plan(F, 2, inner=(Plan(F, 2, inner=(Plan(F, 9),)),)),)),
            "void f() seed=1 inner*2=[void f() seed=2 inner=[void f() seed=9]]",
        ),
    ],
)
def test_text(plan: Plan, text: str) -> None:
    assert plan_text(plan) == text
    assert parse_plan(text) == plan


def test_blanks_and_defaults() -> None:
    text = " long  f ( long * 2 ,\n{ int [ 3 ] } , ... ; int )  nip = patch inner = [ void f ( ) ] "
    plan = parse_plan(text)
    assert plan_text(plan) == "long f(long*2,{int[3]},...;int) seed=0 nip=patch inner=[void f() seed=0]"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "column 1: expected a call"),
        ("long", "column 5: expected the function's name, not the end"),
        ("lng f()", "column 1: expected a type, not 'lng'; did you mean long?"),
        ("long f(long", "column 12: expected ',' or ')', not the end"),
        ("long f(,)", "column 8: expected a type, not ','"),
        ("long f(void)", "column 1: a parameter is neither void nor an array"),
        ("long f(long,...;void)", "column 1: expected no void among the arguments"),
        ("long f(...)", "column 1: a variadic function needs a fixed parameter"),
        ("long f({void})", "column 8: a structure needs at least one member"),
        ("long f(long[3])", "column 12: expected ',' or ')', not '['"),
        ("long f(long*0)", "column 13: expected how many, a number from 1 to 256, not '0'"),
        ("long f() sed=1", "column 10: expected the name of a field, not 'sed'; did you mean seed?"),
        ("long f() seed", "column 14: expected '=' behind seed, not the end"),
        ("long f() seed=x", "column 15: expected seed, a number from 0"),
        ("long f() link link", "column 15: expected each field once, link is there twice"),
        ("long f() nip=keep", "column 14: expected same or patch, not 'keep'"),
        ("long f() home_a=3", "column 17: expected home_a, a number from 0 to 2"),
        ("long f() interrupt=3", "column 21: expected ':' and the interrupt's mode, not the end"),
        ("long f() interrupt=3:never", "column 22: expected frame or calls or switch, not 'never'"),
        ("long f() inner=void f()", "column 16: expected '[' and calls, not 'void'"),
        ("long f() inner=[void f()", "column 25: expected ']', not the end"),
        ("long f()]", "column 9: expected the name of a field or the end, not ']'"),
        ("long f() $(reboot)", "column 10: expected the name of a field, not '$'"),
        ("long f() inner*999=[void f()]", "column 16: expected how many, a number from 1 to 120"),
        ("void f(" + "{" * 99, "expected structures at most 16 deep"),
        ("void f() inner=[" * 999, "nested at most 120 deep"),
        ("void f(" + "{int[4096]},".rstrip(",") + ")", "expected a type of at most 4096 bytes"),
        ("x" * 300_000, "has 300000 characters"),
    ],
)
def test_errors_have_a_column(text: str, says: str) -> None:
    with pytest.raises(LpgenError) as caught:
        parse_plan(text)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@given(st.text(max_size=80))
@example("long f(long*9) inner=[long f()]]")
def test_any_text_is_a_plan_or_an_error(text: str) -> None:
    _plan_or_error(text)


@given(st.integers(0, 1 << 32))
def test_damaged_plans_are_plans_or_errors(seed: int) -> None:
    rng = Random(seed)
    text = plan_text(case(KERNEL, rng.randrange(3000), seed % 5).plan)[:2000]
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(len(text))
        piece = rng.choice(("", " ", "[", "]", ",", "{", "}", "*9", "=", "9", "link", "...", ";", "void", "\x00", "é"))
        text = text[:at] + piece + text[at + rng.randint(0, 6) :]
    _plan_or_error(text)


def _plan_or_error(text: str) -> None:
    try:
        plan = parse_plan(text)
    except LpgenError as error:
        assert "column" in str(error) or "characters" in str(error)  # noqa: PT017 -- it need not raise
    else:
        assert parse_plan(plan_text(plan)) == plan


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("void f(long) spill", "spill"),
        ("void f(long*9) sibling=[void f()]", "sibling"),
        ("void f() stub", "stub"),
        ("void f() beside=[void f()]", "beside"),
        ("void f() inner=[void f() interrupt=1:frame]", "only the outermost"),
        ("void f() interrupt=1:frame[void f()]", "makes no call"),
        ("void f() interrupt=1:switch[void f()]", "needs another thread"),
        ("void f(long*250) inner*9=[void f(long*250)]", "bytes of one stack"),
    ],
)
def test_what_cannot_run_is_said(text: str, says: str) -> None:
    with pytest.raises(LpgenError) as caught:
        check_plan(parse_plan(text).settled(KERNEL))
    assert says in str(caught.value)


def test_what_passes_the_check_runs() -> None:
    """Plans that no run makes: they may break statements' expectations, but nothing raises."""
    suite = Suite(KERNEL, G1[0].unit())
    rng = Random(5)
    ran = 0
    for number in range(400):
        one = case(KERNEL, fixed_cases(KERNEL) + number).plan
        other = case(KERNEL, rng.randrange(900)).plan
        mixed = replace(
            other,
            inner=(replace(one, beside=None, interrupt=None),),
            interrupt=Interrupt(rng.randint(1, 200), "calls", replace(one, beside=None, interrupt=None)),
            marker=rng.choice((0, 0, 5)),
        ).settled(KERNEL)
        try:
            check_plan(mixed)
        except LpgenError:
            continue
        ran += 1
        for watch in (False, True):
            suite.conductor(watch=watch).run(parse_plan(plan_text(mixed)))
    assert ran > 100
