"""Random expressions, each as a term, as what Python and as what z3 makes of the same operations."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import z3
from hypothesis import strategies as st

from lpgen.proof import term as t
from lpgen.proof.term import Term

# A name is of one width: v0 and v1 of any value, z with low bits that are 0.
_NAMES = ("v0", "v1", "z")


@dataclass(frozen=True)
class Expression:
    """An operation with its operands: nodes, or numbers."""

    op: str
    width: int
    args: tuple[Any, ...]

    def __repr__(self) -> str:
        return f"{self.op}:{self.width}({', '.join(map(repr, self.args))})"


def _zeros(name: str, width: int) -> int:
    return min(3, width - 1) if name == "z" else 0


def _full(name: str, width: int) -> str:
    return f"{name}:{width}"


def _bit(value: Any) -> Any:
    return z3.If(value, z3.BitVecVal(1, 1), z3.BitVecVal(0, 1))


def _signed(value: int, width: int) -> int:
    return value - (1 << width) if value >> (width - 1) else value


def _variable(width: int, name: str) -> Any:
    zeros = _zeros(name, width)
    whole = z3.BitVec(_full(name, width), width - zeros)
    return z3.Concat(whole, z3.BitVecVal(0, zeros)) if zeros else whole


# For each operation: the term function; Python's numbers (to be cut to the width); z3's bit vectors. Operands that are
# expressions come in as what they are in each, their widths ahead where a number alone does not say what it is.
_OPS: dict[str, tuple[Callable[..., Term], Callable[..., int], Callable[..., Any]]] = {
    "const": (t.const, lambda w, n: n, lambda w, n: z3.BitVecVal(n, w)),
    "add": (lambda w, a, b: t.add(a, b), lambda w, a, b: a + b, lambda w, a, b: a + b),
    "sub": (lambda w, a, b: t.sub(a, b), lambda w, a, b: a - b, lambda w, a, b: a - b),
    "mul": (lambda w, a, b: t.mul(a, b), lambda w, a, b: a * b, lambda w, a, b: a * b),
    "times": (lambda w, a, n: t.times(a, n), lambda w, a, n: a * n, lambda w, a, n: a * z3.BitVecVal(n, w)),
    "plus": (lambda w, a, n: t.plus(a, n), lambda w, a, n: a + n, lambda w, a, n: a + z3.BitVecVal(n, w)),
    "and": (lambda w, a, b: t.both(a, b), lambda w, a, b: a & b, lambda w, a, b: a & b),
    "or": (lambda w, a, b: t.either(a, b), lambda w, a, b: a | b, lambda w, a, b: a | b),
    "xor": (lambda w, a, b: t.differ(a, b), lambda w, a, b: a ^ b, lambda w, a, b: a ^ b),
    "not": (lambda w, a: t.invert(a), lambda w, a: ~a, lambda w, a: ~a),
    "rotl": (
        lambda w, a, n: t.rotate_left(a, n),
        lambda w, a, n: a << n % w | a >> (w - n % w),
        lambda w, a, n: z3.RotateLeft(a, n % w),
    ),
    "shl": (
        lambda w, a, n: t.shift_left(a, n),
        lambda w, a, n: a << n,
        lambda w, a, n: a << n if n < w else z3.BitVecVal(0, w),
    ),
    "shr": (
        lambda w, a, n: t.shift_right(a, n),
        lambda w, a, n: a >> n,
        lambda w, a, n: z3.LShR(a, n) if n < w else z3.BitVecVal(0, w),
    ),
}
_COMPARISONS: dict[str, tuple[Callable[..., Term], Callable[..., bool], Callable[..., Any]]] = {
    "eq": (t.equal, lambda w, a, b: a == b, lambda a, b: a == b),
    "ult": (t.less, lambda w, a, b: a < b, z3.ULT),
    "slt": (t.less_signed, lambda w, a, b: _signed(a, w) < _signed(b, w), lambda a, b: a < b),
}


def as_term(e: Expression) -> Term:
    """Build it through the term functions."""
    args = [as_term(arg) if isinstance(arg, Expression) else arg for arg in e.args]
    match e.op:
        case "var":
            return t.var(e.width, _full(args[0], e.width), _zeros(args[0], e.width))
        case "extract":
            return t.extract(args[0], args[1] + e.width - 1, args[1])
        case "concat":
            return t.concat(*args)
        case "zext":
            return t.zext(args[0], e.width)
        case "sext":
            return t.sext(args[0], e.width)
        case "sar":
            return t.shift_right_signed(args[0], args[1])
        case "ite":
            return t.ite(*args)
    if e.op in _COMPARISONS:
        return _COMPARISONS[e.op][0](*args)
    return _OPS[e.op][0](e.width, *args)


def as_number(e: Expression, values: Mapping[str, int]) -> int:
    """Compute it in plain Python, variables having these values."""
    return _number(e, values) & ((1 << e.width) - 1)


def _number(e: Expression, values: Mapping[str, int]) -> int:
    if e.op == "var":
        return values[_full(e.args[0], e.width)] >> _zeros(e.args[0], e.width) << _zeros(e.args[0], e.width)
    args = [as_number(arg, values) if isinstance(arg, Expression) else arg for arg in e.args]
    match e.op:
        case "extract":
            return int(args[0] >> args[1])
        case "concat":
            whole = 0
            for part, number in zip(e.args, args, strict=True):
                whole = whole << part.width | number
            return whole
        case "zext":
            return int(args[0])
        case "sext":
            return _signed(args[0], e.args[0].width)
        case "sar":
            return _signed(args[0], e.width) >> args[1]
        case "ite":
            return int(args[1] if args[0] else args[2])
    if e.op in _COMPARISONS:
        return _COMPARISONS[e.op][1](e.args[0].width, *args)
    return _OPS[e.op][1](e.width, *args)


def as_z3(e: Expression) -> Any:
    """Build it as z3's own bit vector, not through Solver.translate."""
    if e.op == "var":
        return _variable(e.width, e.args[0])
    args = [as_z3(arg) if isinstance(arg, Expression) else arg for arg in e.args]
    match e.op:
        case "extract":
            return z3.Extract(args[1] + e.width - 1, args[1], args[0])
        case "concat":
            return z3.Concat(*args) if len(args) > 1 else args[0]
        case "zext":
            return z3.ZeroExt(e.width - e.args[0].width, args[0])
        case "sext":
            return z3.SignExt(e.width - e.args[0].width, args[0])
        case "sar":
            return args[0] >> min(args[1], e.width - 1)
        case "ite":
            return z3.If(args[0] == 1, args[1], args[2])
    if e.op in _COMPARISONS:
        return _bit(_COMPARISONS[e.op][2](*args))
    return _OPS[e.op][2](e.width, *args)


def nodes(e: Expression) -> Iterator[Expression]:
    """Yield all expressions in one."""
    yield e
    for arg in e.args:
        if isinstance(arg, Expression):
            yield from nodes(arg)


def values(e: Expression, rng: random.Random) -> dict[str, int]:
    """Return values of the variables in it: corners and random ones."""
    found = {}
    for one in nodes(e):
        if one.op == "var":
            width = one.width
            corners = (0, 1, -1, 1 << (width - 1), (1 << (width - 1)) - 1, rng.getrandbits(width), 8, -8)
            found[_full(one.args[0], width)] = rng.choice(corners) & ((1 << width) - 1)
    return found


_UNARY = ("not", "times", "plus", "rotl", "shl", "shr", "sar", "split", "join", "back", "pieces", "filled")
_BINARY = ("add", "sub", "and", "or", "xor", "insert", "cancel")
_OTHER = ("extract", "concat", "zext", "sext", "ite", "extract")


@st.composite
def expressions(draw: st.DrawFn, width: int | None = None, depth: int = 4, *, multiply: bool = True) -> Expression:
    """Draw an expression; what the rules of the normal form are about comes up often."""

    def more(wide: int) -> Expression:
        return draw(expressions(wide, depth - 1, multiply=multiply))

    if width is None:
        width = draw(st.sampled_from((1, 1, 2, 3, 5, 8, 32, 33, 64, 64)))
    top = (1 << width) - 1
    number = st.one_of(st.integers(-9, 9), st.sampled_from((1 << (width - 1), 0xFF, 0x80000000)), st.integers(0, top))
    if depth <= 0 or draw(st.integers(0, 7)) == 0:
        if draw(st.integers(0, 3)) == 0:
            return Expression("const", width, (draw(number) & top,))
        return Expression("var", width, (draw(st.sampled_from(_NAMES)),))
    kinds = [*_UNARY, *_BINARY, *_OTHER, *(4 * tuple(_COMPARISONS) if width == 1 else ())]
    if multiply and width <= 8:
        kinds.append("mul")
    op = draw(st.sampled_from(kinds))
    if op in _COMPARISONS:
        wide = draw(st.sampled_from((1, 2, 3, 8, 64)))
        return Expression(op, 1, (a := more(wide), _other(draw, a, more)))
    if op == "ite":
        return Expression(op, width, (more(1), a := more(width), _other(draw, a, more)))
    if op == "extract":
        low = draw(st.integers(0, min(40, 80 - width)))
        return Expression(op, width, (more(width + low + draw(st.integers(0, 80 - width - low))), low))
    if op in ("zext", "sext", "concat") and width > 1:
        narrow = draw(st.integers(1, width - 1))
        if op == "concat":
            return Expression(op, width, (more(width - narrow), more(narrow)))
        return Expression(op, width, (more(narrow),))
    a = more(width)
    return _combined(draw, op, a, more, draw(number))


def _other(draw: st.DrawFn, a: Expression, more: Callable[[int], Expression]) -> Expression:
    """Draw a second operand: often one that has to do with the first."""
    match draw(st.integers(0, 6)):
        case 0:
            return a
        case 1:
            return Expression("not", a.width, (a,))
        case 2:
            return Expression("plus", a.width, (a, draw(st.integers(-9, 9))))
        case 3:
            number = draw(st.one_of(st.integers(0, (1 << a.width) - 1), st.sampled_from((0, 4, 8, 16, -8))))
            return Expression("const", a.width, (number & ((1 << a.width) - 1),))
    return more(a.width)


def _combined(draw: st.DrawFn, op: str, a: Expression, more: Callable[[int], Expression], number: int) -> Expression:
    width = a.width

    def make(op: str, *args: Any) -> Expression:
        return Expression(op, width, args)

    def cut(e: Expression, high: int, low: int) -> Expression:
        return Expression("extract", high - low + 1, (e, low))

    match op:
        case "times":
            return make(op, a, draw(st.sampled_from((-3, -2, -1, 0, 2, 3, 4, 8, 1 << (width - 1)))))
        case "plus":
            return make(op, a, number)
        case "rotl":
            return make(op, a, draw(st.integers(0, 2 * width)))
        case "shl" | "shr" | "sar":
            return make(op, a, draw(st.integers(0, width + 1)))
        case "not":
            return make("not", a)
        case "split" if width > 1:
            at = draw(st.integers(1, width - 1))
            return make("concat", cut(a, width - 1, at), cut(a, at - 1, 0))
        case "join" if width > 1:
            at = draw(st.integers(1, width - 1))
            parts = cut(a, width - 1, at), cut(a, at - 1, 0)
            return make("concat", *(Expression("not", part.width, (part,)) for part in parts))
        case "pieces" if width > 1:
            # Cuts of one term side by side, whether they were so in it or not.
            at = draw(st.integers(1, width - 1))
            places = draw(st.integers(0, at)), draw(st.integers(0, width - at))
            return make("concat", cut(a, places[0] + width - at - 1, places[0]), cut(a, places[1] + at - 1, places[1]))
        case "filled" if width > 2:
            narrow = draw(st.integers(1, width - 2))
            inner = Expression("const", 1, (draw(st.integers(0, 1)),)), cut(a, narrow - 1, 0)
            return make("sext", Expression("concat", narrow + 1, inner))
        case "back":
            return make("rotl", make("rotl", a, draw(st.integers(0, width))), draw(st.integers(0, width)))
        case "insert":
            mask = draw(st.integers(0, (1 << width) - 1))
            kept, put = make("const", mask), make("const", ~mask & ((1 << width) - 1))
            return make("or", make("and", a, kept), make("and", _other(draw, a, more), put))
        case "cancel":
            return make("sub", make("add", a, more(width)), a)
        case "add" | "sub" | "and" | "or" | "xor" | "mul":
            return make(op, a, _other(draw, a, more))
    return a


def simple() -> Iterator[Expression]:
    """Yield each operation on variables, in several widths: what is in all the others."""
    for width in (2, 3, 8, 33, 64):
        top = 1 << (width - 1)
        a, b, z = (Expression("var", width, (name,)) for name in _NAMES)
        truth = Expression("var", 1, ("v0",))
        yield from (a, b, z, Expression("not", width, (a,)), Expression("not", width, (z,)))
        for one, two in ((a, b), (b, a), (a, z), (a, a)):
            for op in ("add", "sub", "and", "or", "xor", *(("mul",) if width <= 8 else ())):
                yield Expression(op, width, (one, two))
            for op in _COMPARISONS:
                yield Expression(op, 1, (one, two))
            yield Expression("ite", width, (truth, one, two))
            yield Expression("ite", width, (Expression("not", 1, (truth,)), one, two))
            for op in ("and", "or", "xor"):
                yield Expression(op, width, (one, Expression("not", width, (two,))))
            yield Expression("concat", 2 * width, (one, two))
        for number in (0, 1, 2, 3, -1, 4, 8, top):
            constant = Expression("const", width, (number & (2 * top - 1),))
            for op in ("times", "plus"):
                yield from (Expression(op, width, (one, number)) for one in (a, z))
            for op in ("rotl", "shl", "shr", "sar"):
                yield Expression(op, width, (a, number % 70))
            for op in ("and", "or", "xor"):
                yield Expression(op, width, (a, constant))
            for op in _COMPARISONS:
                yield from (Expression(op, 1, pair) for pair in ((a, constant), (constant, a), (z, constant)))
            for wide in (width, width + 5):
                joined = Expression("concat", 2 * width, (constant, a))
                yield from (Expression(op, wide, (a,)) for op in ("zext", "sext"))
                yield Expression("sext", width + wide, (joined,))
        cuts = [Expression("extract", high - low, (a, low)) for low in range(width) for high in (low + 1, width)]
        yield from cuts
        # Next to each other in the term, or not.
        for one, two in itertools.product(cuts[:8], repeat=2):
            yield Expression("concat", one.width + two.width, (one, two))
