"""What the normal form leaves open: the solver decides it. The only importer of z3.

Terms are translated as they are, once each. Answers are kept: mutants of the same code ask the same questions.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from lpgen.errors import LpgenError
from lpgen.proof.reading import evaluate, variables
from lpgen.proof.term import Term

try:
    import z3
except ImportError as error:
    raise LpgenError(f"the solver does not load: {error}", hint="pip install z3-solver") from error

# What a question may take, in the solver's own count of steps: the answer does not depend on the machine's speed.
_STEPS = 20_000_000


class UndecidedError(LpgenError):
    """The solver came to no answer within its limit."""


class Solver:
    """Answers questions about terms of width 1: can all of them be true at once, and for which values."""

    def __init__(self, steps: int = _STEPS) -> None:
        self._steps = steps
        self._translated: dict[Term, Any] = {}
        self._answers: dict[frozenset[Term], dict[str, int] | None] = {}
        self.questions = 0

    def model(self, conditions: Iterable[Term]) -> dict[str, int] | None:
        """Return values of variables under which all of ``conditions`` hold, None if there are none.

        Variables that are not in the answer may have any value. Raises UndecidedError.
        """
        asked = frozenset(c for c in conditions if c.value != 1)
        if any(c.value == 0 for c in asked):
            return None
        if not asked:
            return {}
        if asked not in self._answers:
            self._answers[asked] = self._ask(sorted(asked, key=lambda c: c.number))
        return self._answers[asked]

    def possible(self, conditions: Iterable[Term]) -> bool:
        """Tell whether all of ``conditions`` can hold at once. Raises UndecidedError."""
        return self.model(conditions) is not None

    def _ask(self, conditions: Sequence[Term]) -> dict[str, int] | None:
        self.questions += 1
        solver = z3.SolverFor("QF_BV")
        solver.set("rlimit", self._steps)
        for condition in conditions:
            solver.add(self.translate(condition) == z3.BitVecVal(1, 1))
        answer = solver.check()
        if answer == z3.unsat:
            return None
        if answer != z3.sat:
            raise UndecidedError(f"the solver gave no answer ({solver.reason_unknown()})")
        model = solver.model()
        values = {}
        for one in sorted({v for c in conditions for v in variables(c)}, key=lambda v: v.number):
            value = model.eval(self.translate(one), model_completion=True)
            values[str(one.args[0])] = int(value.as_long())
        for condition in conditions:
            if not evaluate(condition, values):
                raise UndecidedError(f"the solver's values do not make {condition} true")
        return values

    def translate(self, term: Term) -> Any:
        """Return the solver's form of a term: a bit vector of the same width."""
        found = self._translated.get(term)
        if found is None:
            found = self._translated[term] = self._translate(term)
        return found

    def _translate(self, term: Term) -> Any:
        op, args, width = term.op, term.args, term.width
        if op == "const":
            return z3.BitVecVal(args[0], width)
        if op == "var":
            zeros = term.zeros
            if not zeros:
                return z3.BitVec(args[0], width)
            return z3.Concat(z3.BitVec(args[0], width - zeros), z3.BitVecVal(0, zeros))
        if op == "sum":
            whole = z3.BitVecVal(args[0], width)
            for part, factor in args[1]:
                one = self.translate(part)
                whole = whole + (one if factor == 1 else one * z3.BitVecVal(factor, width))
            return whole
        if op == "extract":
            return z3.Extract(args[1] + width - 1, args[1], self.translate(args[0]))
        made = [self.translate(arg) for arg in args]
        if op == "sext":
            return z3.SignExt(width - args[0].width, made[0])
        return _OPERATIONS[op](*made)


def _bit(condition: Any) -> Any:
    return z3.If(condition, z3.BitVecVal(1, 1), z3.BitVecVal(0, 1))


_OPERATIONS: dict[str, Any] = {
    "mul": lambda a, b: a * b,
    "concat": lambda *parts: z3.Concat(*parts),
    "not": lambda a: ~a,
    "and": lambda a, b: a & b,
    "or": lambda a, b: a | b,
    "xor": lambda a, b: a ^ b,
    "zero": lambda a: _bit(a == 0),
    "ult": lambda a, b: _bit(z3.ULT(a, b)),
    "slt": lambda a, b: _bit(a < b),
    "ite": lambda c, a, b: z3.If(c == z3.BitVecVal(1, 1), a, b),
}
