"""C's integer constant expressions, as gcc for powerpc64le computes them: array dimensions and enumerators.

Every value has its type (int, unsigned int, long, ...): ``-1 < sizeof(int)`` is 0 here too. The nodes are pycparser's,
told apart by their classes' names, so that this file needs no pycparser.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from lpgen.callers.types import INT, LONG, UINT, ULONG, Bool, CType, Integer, Void
from lpgen.errors import LpgenError


@dataclass(frozen=True, slots=True)
class Constant:
    """A value and its type, which is int or wider."""

    value: int
    ctype: Integer


class Names(Protocol):
    """What an expression may name."""

    def type_of(self, node: Any) -> CType:
        """The type that a type name in the expression stands for."""

    def constant(self, node: Any) -> Constant:
        """The value of an identifier."""

    def error_of(self, node: Any, reason: str, hint: str | None = None) -> LpgenError:
        """Return the LpgenError for what is wrong at this node."""


_NUMBER = re.compile(r"(?P<digits>0[xX][0-9a-fA-F]+|0[bB][01]+|\d+)(?P<suffix>[uUlL]*)")
_SUFFIXES = re.compile(r"[uU]?(?:l|L|ll|LL)?|(?:l|L|ll|LL)[uU]")


def limits(ctype: Integer) -> tuple[int, int]:
    """The smallest and the largest value of a type."""
    bits = 8 * ctype.size
    return (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if ctype.signed else (0, (1 << bits) - 1)


def fits(value: int, ctype: Integer) -> bool:
    """True if the type has this value."""
    low, high = limits(ctype)
    return low <= value <= high


def _wrap(value: int, ctype: Integer) -> int:
    value &= (1 << (8 * ctype.size)) - 1
    return value - (1 << (8 * ctype.size)) if ctype.signed and value >> (8 * ctype.size - 1) else value


def _common(a: Integer, b: Integer) -> Integer:
    """The usual arithmetic conversions (C11 6.3.1.8), for types that are int or wider."""
    if a.size == b.size:
        return Integer(a.size, a.signed and b.signed)
    return a if a.size > b.size else b


_ARITHMETIC: dict[str, Callable[[int, int], int]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "&": lambda a, b: a & b,
    "|": lambda a, b: a | b,
    "^": lambda a, b: a ^ b,
}
_COMPARISONS: dict[str, Callable[[int, int], bool]] = {
    "<": lambda a, b: a < b,
    ">": lambda a, b: a > b,
    "<=": lambda a, b: a <= b,
    ">=": lambda a, b: a >= b,
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
}


def evaluate(node: Any, names: Names) -> Constant:
    """The value of an expression. Raises LpgenError, by way of ``names``, for one that is not an integer constant."""
    return _Evaluation(names).value(node)


class _Evaluation:
    def __init__(self, names: Names) -> None:
        self.names = names
        self.error = names.error_of

    def value(self, node: Any) -> Constant:
        kind = type(node).__name__
        if kind == "Constant":
            return self._number(node)
        if kind == "ID":
            return self.names.constant(node)
        if kind == "UnaryOp":
            return self._unary(node)
        if kind == "BinaryOp":
            return self._binary(node)
        if kind == "TernaryOp":
            condition, yes, no = (self.value(part) for part in (node.cond, node.iftrue, node.iffalse))
            ctype = _common(yes.ctype, no.ctype)
            return Constant(_wrap((yes if condition.value else no).value, ctype), ctype)
        if kind == "Cast":
            return self._cast(node)
        raise self.error(node, "this is no integer constant", "write the number")

    def _number(self, node: Any) -> Constant:
        found = _NUMBER.fullmatch(node.value)
        if found is None or not _SUFFIXES.fullmatch(found["suffix"]):
            raise self.error(node, f"{node.value[:20]!r} is no integer constant", "write an integer")
        digits, suffix = found["digits"], found["suffix"].lower()
        if len(digits) > 66:
            raise self.error(node, "the number does not fit any type", "write a smaller one")
        is_decimal = not digits.startswith("0") or digits == "0"
        if is_decimal:
            value = int(digits)
        else:
            base = {"x": 16, "b": 2}.get(digits[1].lower(), 8)
            if base == 8 and set(digits) & set("89"):
                raise self.error(node, f"{digits[:20]!r} is no octal number", "leave out the leading zero")
            value = int(digits, base)
        candidates = [LONG, ULONG] if "l" in suffix else [INT, UINT, LONG, ULONG]
        if "u" in suffix:
            candidates = [ctype for ctype in candidates if not ctype.signed]
        elif is_decimal:
            candidates = [ctype for ctype in candidates if ctype.signed]
        for ctype in candidates:
            if fits(value, ctype):
                return Constant(value, ctype)
        raise self.error(node, "the number does not fit any type", "write a smaller one")

    def _result(self, node: Any, value: int, ctype: Integer) -> Constant:
        if ctype.signed and not fits(value, ctype):
            raise self.error(node, f"the constant overflows {ctype.c_name}", "write smaller numbers")
        return Constant(_wrap(value, ctype), ctype)

    def _unary(self, node: Any) -> Constant:
        if node.op in ("sizeof", "_Alignof"):
            of = node.expr
            ctype: CType = self.names.type_of(of) if type(of).__name__ == "Typename" else self.value(of).ctype
            if isinstance(ctype, Void):
                raise self.error(node, f"void has no {node.op}", "name another type")
            return Constant(ctype.size if node.op == "sizeof" else ctype.alignment, ULONG)
        if node.op not in ("+", "-", "~", "!"):
            raise self.error(node, f"{node.op} is not for constants", "write the number")
        operand = self.value(node.expr)
        if node.op == "!":
            return Constant(int(not operand.value), INT)
        value = {"+": operand.value, "-": -operand.value, "~": ~operand.value}[node.op]
        return self._result(node, value, operand.ctype)

    def _binary(self, node: Any) -> Constant:
        left, right = self.value(node.left), self.value(node.right)
        op = node.op
        if op in ("&&", "||"):
            both = (left.value and right.value) if op == "&&" else (left.value or right.value)
            return Constant(int(bool(both)), INT)
        if op in ("<<", ">>"):
            if not 0 <= right.value < 8 * left.ctype.size or (op == "<<" and left.value < 0):
                raise self.error(node, "the shift is undefined", "shift a positive number by less than its width")
            shifted = left.value << right.value if op == "<<" else left.value >> right.value
            return self._result(node, shifted, left.ctype)
        ctype = _common(left.ctype, right.ctype)
        a, b = _wrap(left.value, ctype), _wrap(right.value, ctype)
        if op in _COMPARISONS:
            return Constant(int(_COMPARISONS[op](a, b)), INT)
        if op in ("/", "%"):
            if b == 0:
                raise self.error(node, "a division by zero", "write another divisor")
            # C rounds to zero.
            quotient = abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)
            return self._result(node, quotient if op == "/" else a - quotient * b, ctype)
        if op not in _ARITHMETIC:
            raise self.error(node, f"{op} is not for constants", "write the number")
        return self._result(node, _ARITHMETIC[op](a, b), ctype)

    def _cast(self, node: Any) -> Constant:
        ctype = self.names.type_of(node.to_type)
        operand = self.value(node.expr)
        if isinstance(ctype, Bool):
            return Constant(int(bool(operand.value)), INT)
        if not isinstance(ctype, Integer):
            raise self.error(node, "a cast to no integer type", "write the number")
        value = _wrap(operand.value, ctype)
        return Constant(value, ctype if ctype.size >= 4 else INT)
