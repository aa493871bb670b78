"""The normal form of terms: whatever it makes of an expression has the value of the expression, for all inputs."""

from __future__ import annotations

import pickle
import random
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from lpgen.proof import term as t
from lpgen.proof.reading import evaluate, variables
from lpgen.proof.term import Term

pytest.importorskip("z3", reason="pip install 'lpgen[prove]' (z3-solver)")

import proof_expressions as build
import z3
from proof_expressions import Expression

from lpgen.proof.solver import Solver

_HEALTH = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
_many = settings(max_examples=450, deadline=None, derandomize=True, suppress_health_check=_HEALTH)
_fewer = settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=_HEALTH)

A, B = t.var(64, "some a"), t.var(64, "some b")
P, Q = t.var(1, "some p"), t.var(1, "some q")
BASE = t.var(64, "some base", 12)


def check_values(e: Expression) -> None:
    made = build.as_term(e)
    assert made.width == e.width
    rng = random.Random(repr(e))
    for _ in range(8):
        values = build.values(e, rng)
        value = evaluate(made, values)
        assert value == build.as_number(e, values)
        assert not value & ((1 << made.zeros) - 1), f"{made.zeros} low bits are not 0"
    assert {str(one.args[0]) for one in variables(made)} <= values.keys()


def check_proof(e: Expression) -> None:
    """Prove a term equal to its expression in z3's own terms, so that Solver.translate is checked as well."""
    prover = z3.SolverFor("QF_BV")
    prover.set("rlimit", 20_000_000)
    prover.add(Solver().translate(build.as_term(e)) != build.as_z3(e))
    assert prover.check() == z3.unsat, f"{e} made {build.as_term(e)}"


def test_each_operation() -> None:
    for e in build.simple():
        check_values(e)
        check_proof(e)


@_many
@given(build.expressions())
def test_a_term_has_the_value_of_its_expression(e: Expression) -> None:
    check_values(e)


@_fewer
@given(build.expressions(multiply=False))
def test_the_solver_proves_a_term_equal_to_its_expression(e: Expression) -> None:
    check_proof(e)


@_fewer
@given(build.expressions(width=4, depth=3))
def test_the_solver_proves_products(e: Expression) -> None:
    check_proof(e)


@_fewer
@given(build.expressions())
def test_a_pickled_term_is_the_same_object_again(e: Expression) -> None:
    made = build.as_term(e)
    assert pickle.loads(pickle.dumps(made)) is made


def test_pickled_terms_of_another_process_are_this_ones_own() -> None:
    """There the variables were made in another order, so that sums and products have their parts in another one."""
    code = """
import pickle, sys
from lpgen.proof import term as t
P, Q = t.var(1, "some p"), t.var(1, "some q")
B, A = t.var(64, "some b"), t.var(64, "some a")
BASE = t.var(64, "some base", 12)
sys.stdout.buffer.write(pickle.dumps(eval(sys.argv[1])))
"""
    text = """[
    t.add(A, t.times(B, 3)), t.mul(A, B), t.both(A, B), t.either(B, t.invert(A)), t.differ(A, B), t.equal(A, B),
    t.less(A, B), t.less_signed(t.add(A, B), BASE), t.ite(P, A, B), t.ite(t.differ(Q, P), t.plus(BASE, 8), B),
    t.concat(t.extract(A, 7, 0), t.const(56, 5)), t.sext(t.extract(t.add(A, B), 31, 0), 64), t.extract(BASE, 63, 12),
]"""
    made = eval(text)
    done = subprocess.run([sys.executable, "-c", code, text], capture_output=True, check=True)
    loaded = pickle.loads(done.stdout)
    assert len(loaded) == len(made)
    assert [(one, two) for one, two in zip(loaded, made, strict=True) if one is not two] == []


def low(term: Term, bits: int) -> Term:
    return t.extract(term, bits - 1, 0)


# What the rules are for: both sides are one object.
SAME: dict[str, Any] = {
    "a number added and taken away": lambda: (t.plus(t.plus(A, 5), -5), A),
    "a term added and taken away": lambda: (t.sub(t.add(A, B), A), B),
    "a sum's order": lambda: (t.add(A, t.plus(B, 1)), t.add(t.plus(B, 1), A)),
    "equal parts of a sum": lambda: (t.add(A, A), t.times(A, 2)),
    "a multiple": lambda: (t.mul(t.add(A, B), t.const(64, 3)), t.add(t.times(B, 3), t.times(A, 3))),
    "a product's order": lambda: (t.mul(A, B), t.mul(B, A)),
    "cut and put together": lambda: (t.concat(t.extract(A, 63, 13), t.extract(A, 12, 0)), A),
    "a cut of a cut": lambda: (t.extract(t.extract(A, 40, 8), 10, 2), t.extract(A, 18, 10)),
    "rotated and back": lambda: (t.rotate_left(t.rotate_left(A, 20), 44), A),
    "rldicl is srdi": lambda: (t.both(t.rotate_left(A, 48), t.const(64, 0xFFFFFFFFFFFF)), t.shift_right(A, 16)),
    "rldicr is sldi": lambda: (t.both(t.rotate_left(A, 16), t.const(64, -1 << 16)), t.shift_left(A, 16)),
    "bits inserted": lambda: (
        t.either(t.both(A, t.const(64, 0xFF)), t.both(A, t.const(64, -0x100))),
        A,
    ),
    "zero bits known": lambda: (t.both(BASE, t.const(64, -0x1000)), BASE),
    "zero bits of a sum known": lambda: (t.both(t.plus(BASE, 0x20), t.const(64, -8)), t.plus(BASE, 0x20)),
    "zero bits cut off and put on": lambda: (t.concat(t.extract(BASE, 63, 4), t.const(4, 0)), BASE),
    "the low half of a sum": lambda: (low(t.plus(t.zext(low(A, 32), 64), 7), 32), t.plus(low(A, 32), 7)),
    "inverted twice": lambda: (t.invert(t.invert(A)), A),
    "inverted by parts": lambda: (t.concat(t.invert(t.extract(A, 63, 8)), t.invert(low(A, 8))), t.invert(A)),
    "and with itself": lambda: (t.both(A, A), A),
    "and with its inverse": lambda: (t.both(A, t.invert(A)), t.const(64, 0)),
    "or with its inverse": lambda: (t.either(t.invert(A), A), t.const(64, -1)),
    "xor with itself": lambda: (t.differ(A, A), t.const(64, 0)),
    "xor with ones": lambda: (t.differ(A, t.const(64, -1)), t.invert(A)),
    "and's order": lambda: (t.both(A, B), t.both(B, A)),
    "constant parts apart": lambda: (
        t.either(t.shift_left(A, 8), t.zext(low(B, 8), 64)),
        t.concat(low(A, 56), low(B, 8)),
    ),
    "a sign extended twice": lambda: (t.sext(t.sext(low(A, 8), 16), 64), t.sext(low(A, 8), 64)),
    "the sign of a number without": lambda: (t.sext(t.zext(low(A, 8), 16), 64), t.zext(low(A, 8), 64)),
    "equality's order": lambda: (t.equal(A, B), t.equal(B, A)),
    "equality at a distance": lambda: (t.equal(t.plus(A, 8), t.plus(B, 8)), t.equal(A, B)),
    "equality of what cannot be": lambda: (t.equal(BASE, t.const(64, 8)), t.FALSE),
    "equality with itself and more": lambda: (t.equal(A, t.plus(A, 8)), t.FALSE),
    "equality of truths": lambda: (t.equal(P, t.TRUE), P),
    "less than itself": lambda: (t.less(A, A), t.FALSE),
    "less than 0": lambda: (t.less(A, t.const(64, 0)), t.FALSE),
    "less than itself, signed": lambda: (t.less_signed(A, A), t.FALSE),
    "a choice without a difference": lambda: (t.ite(P, A, A), A),
    "a choice by the inverse": lambda: (t.ite(t.invert(P), A, B), t.ite(P, B, A)),
    "a choice of truths": lambda: (t.ite(P, t.FALSE, t.TRUE), t.invert(P)),
    "a cut of a choice": lambda: (low(t.ite(P, A, B), 8), t.ite(P, low(A, 8), low(B, 8))),
}


@pytest.mark.parametrize("rule", SAME)
def test_what_is_equal_is_the_same_object(rule: str) -> None:
    one, two = SAME[rule]()
    assert one is two


@pytest.mark.parametrize(
    ("term", "base", "offset"),
    [
        (A, A, 0),
        (t.plus(A, -16), A, -16),
        (t.plus(t.add(A, B), 24), t.add(A, B), 24),
        (t.times(A, 2), t.times(A, 2), 0),
        (t.const(64, 5), None, 5),
    ],
)
def test_base_and_offset(term: Term, base: Term | None, offset: int) -> None:
    assert t.base_and_offset(term) == (base, offset)


def test_a_variable_that_has_no_value_is_0() -> None:
    assert evaluate(t.plus(A, 3), {}) == 3
    assert evaluate(BASE, {"some base": 0x12345}) == 0x12000


def test_a_name_is_of_one_variable() -> None:
    assert t.var(64, "some a") is A
    for width, zeros in ((32, 0), (64, 3)):
        with pytest.raises(ValueError, match="another variable some a"):
            t.var(width, "some a", zeros)
