"""Values as terms: bit vectors over variables, kept in a normal form in which most of what is equal is the same object.

A term is made by the functions below only. Equal normal forms are one object, so ``a is b`` proves equality in no time;
what that does not decide is left to the solver. Widths are in bits; a truth value is a term of width 1. Sums are kept
as a constant and multiples of terms, and what masks, shifts and rotates do as bits cut out and put together.

The normal form's rules are checked against the solver (tests/proof/test_term.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import reduce
from typing import Any

Key = tuple[Any, ...]


class Term:
    """One bit vector: ``op`` with ``args``, ``width`` in bits, ``number`` unique to it. Not to be made directly.

    ``zeros``: so many of its low bits are known to be 0.
    """

    __slots__ = ("args", "number", "op", "width", "zeros")

    def __init__(self, op: str, width: int, args: Key, number: int, zeros: int) -> None:
        self.op = op
        self.width = width
        self.args = args
        self.number = number
        self.zeros = zeros

    def __repr__(self) -> str:
        from lpgen.proof.reading import show

        return show(self)

    def __reduce__(self) -> Any:
        return _rebuilt, (self.op, self.width, self.args, self.zeros)

    @property
    def value(self) -> int | None:
        """The number that a constant is, None for any other term."""
        return self.args[0] if self.op == "const" else None


_TERMS: dict[Key, Term] = {}
_VARIABLES: dict[str, Term] = {}


def _term(op: str, width: int, args: Key, zeros: int = 0) -> Term:
    key = (op, width, args)
    found = _TERMS.get(key)
    if found is None:
        found = _TERMS[key] = Term(op, width, args, len(_TERMS), zeros)
    return found


def _rebuilt(op: str, width: int, args: Key, zeros: int) -> Term:
    """Make an unpickled term this process's own: its parts are in the order of numbers of another one."""
    if op == "const":
        return const(width, args[0])
    if op == "var":
        return var(width, args[0], zeros)
    if op == "sum":
        total, parts = args
        return reduce(add, (times(part, factor) for part, factor in parts), const(width, total))
    return _MAKERS[op](width, *args)


def const(width: int, value: int) -> Term:
    """Return a constant; ``value`` is taken modulo 2**width."""
    value &= (1 << width) - 1
    zeros = (value & -value).bit_length() - 1 if value else width
    return _term("const", width, (value,), zeros)


def var(width: int, name: str, zeros: int = 0) -> Term:
    """Return the variable ``name``: any value whose low ``zeros`` bits are 0.

    Raises ValueError when the name is one of another width or other ``zeros``.
    """
    made = _VARIABLES.get(name)
    if made is None:
        made = _VARIABLES[name] = _term("var", width, (name,), zeros)
    elif made.width != width or made.zeros != zeros:
        raise ValueError(f"there is another variable {name}")
    return made


TRUE, FALSE = const(1, 1), const(1, 0)


def truth(value: bool) -> Term:
    """Return TRUE or FALSE."""
    return TRUE if value else FALSE


# Sums


def _linear(term: Term) -> tuple[int, tuple[tuple[Term, int], ...]]:
    if term.op == "const":
        return term.args[0], ()
    if term.op == "sum":
        return term.args
    return 0, ((term, 1),)


def _sum(width: int, total: int, parts: Mapping[Term, int]) -> Term:
    mask = (1 << width) - 1
    total &= mask
    left = sorted(((t, f & mask) for t, f in parts.items() if f & mask), key=lambda part: part[0].number)
    if not left:
        return const(width, total)
    if not total and len(left) == 1 and left[0][1] == 1:
        return left[0][0]
    zeros = min(t.zeros + (f & -f).bit_length() - 1 for t, f in left)
    if total:
        zeros = min(zeros, (total & -total).bit_length() - 1)
    return _term("sum", width, (total, tuple(left)), min(zeros, width))


def add(a: Term, b: Term) -> Term:
    """Return a + b, modulo 2**width."""
    if a.op == "const" and not a.args[0]:
        return b
    if b.op == "const" and not b.args[0]:
        return a
    first, parts = _linear(a)
    second, more = _linear(b)
    together = dict(parts)
    for term, factor in more:
        together[term] = together.get(term, 0) + factor
    return _sum(a.width, first + second, together)


def times(a: Term, factor: int) -> Term:
    """Return a multiple of ``a``."""
    total, parts = _linear(a)
    return _sum(a.width, total * factor, {term: f * factor for term, f in parts})


def sub(a: Term, b: Term) -> Term:
    """Return a - b, modulo 2**width."""
    return add(a, times(b, -1))


def plus(a: Term, number: int) -> Term:
    """Return a + number."""
    return add(a, const(a.width, number))


def mul(a: Term, b: Term) -> Term:
    """Return a * b, modulo 2**width."""
    if a.op == "const":
        return times(b, a.args[0])
    if b.op == "const":
        return times(a, b.args[0])
    return _term("mul", a.width, (a, b) if a.number < b.number else (b, a))


def base_and_offset(term: Term) -> tuple[Term | None, int]:
    """Return what an address counts from and the distance in bytes, signed; None for a number alone.

    A term that is no base + number is its own base.
    """
    total, parts = _linear(term)
    if not parts:
        return None, total
    signed = total - (1 << term.width) if total >> (term.width - 1) else total
    if len(parts) == 1 and parts[0][1] == 1:
        return parts[0][0], signed
    return _sum(term.width, 0, dict(parts)), signed


# Bits cut out and put together


def extract(term: Term, high: int, low: int) -> Term:
    """Return bits ``high`` down to ``low`` (0 is the lowest) of a term."""
    width = high - low + 1
    if width == term.width:
        return term
    op = term.op
    if op == "const":
        return const(width, term.args[0] >> low)
    if high < term.zeros:
        return const(width, 0)
    if op == "extract":
        inner, below = term.args
        return extract(inner, high + below, low + below)
    if op == "concat":
        return _extract_of_parts(term, high, low)
    if op == "sext":
        (inner,) = term.args
        if high < inner.width:
            return extract(inner, high, low)
        if low < inner.width - 1:
            return sext(extract(inner, inner.width - 1, low), width)
        return sext(extract(inner, inner.width - 1, inner.width - 1), width)
    if op == "not":
        return invert(extract(term.args[0], high, low))
    if op in ("and", "or", "xor"):
        return _BITWISE[op](extract(term.args[0], high, low), extract(term.args[1], high, low))
    if op == "ite":
        return ite(term.args[0], extract(term.args[1], high, low), extract(term.args[2], high, low))
    if op == "sum" and low == 0:
        # The low bits of a sum are those of the sum of the low bits.
        total, parts = term.args
        return _sum_of_cut(width, total, [(extract(t, high, 0), f) for t, f in parts])
    return _term("extract", width, (term, low), max(term.zeros - low, 0))


def _sum_of_cut(width: int, total: int, parts: Iterable[tuple[Term, int]]) -> Term:
    return reduce(add, (times(t, f) for t, f in parts), const(width, total))


def _extract_of_parts(term: Term, high: int, low: int) -> Term:
    found, end = [], term.width
    for part in term.args:
        start = end - part.width
        if start <= high and end > low:
            found.append(extract(part, min(high, end - 1) - start, max(low, start) - start))
        end = start
    return concat(*found)


def concat(*parts: Term) -> Term:
    """Return the parts put together, the first one highest."""
    flat: list[Term] = []
    for part in parts:
        if part.op == "concat":
            for inner in part.args:
                _append(flat, inner)
        else:
            _append(flat, part)
    if len(flat) == 1:
        return flat[0]
    zeros = 0
    for part in reversed(flat):
        zeros += part.zeros
        if part.zeros < part.width:
            break
    return _term("concat", sum(part.width for part in flat), tuple(flat), zeros)


def _append(flat: list[Term], part: Term) -> None:
    """Put ``part`` below what is there, as one with its neighbour where the two are a row of bits of one term."""
    above = flat[-1] if flat else None
    if above is not None:
        if above.op == "const" and part.op == "const":
            flat[-1] = const(above.width + part.width, above.args[0] << part.width | part.args[0])
            return
        source, low = above.args if above.op == "extract" else (above, 0)
        if part.op == "extract" and part.args[0] is source and part.args[1] + part.width == low:
            flat[-1] = extract(source, low + above.width - 1, part.args[1])
            return
        if part.op == "const" and not part.args[0] and low >= part.width and source.zeros >= low:
            flat[-1] = extract(source, low + above.width - 1, low - part.width)
            return
        if above.op == "not" and part.op == "not":
            both = concat(above.args[0], part.args[0])
            if both.op != "concat":
                flat[-1] = invert(both)
                return
    flat.append(part)


def zext(term: Term, width: int) -> Term:
    """Return the term with zeros above it."""
    return term if width == term.width else concat(const(width - term.width, 0), term)


def sext(term: Term, width: int) -> Term:
    """Return the term with copies of its highest bit above it."""
    if width == term.width:
        return term
    if term.op == "const":
        value = term.args[0]
        return const(width, value - (1 << term.width) if value >> (term.width - 1) else value)
    if term.op == "concat" and term.args[0].op == "const" and not term.args[0].args[0] >> (term.args[0].width - 1):
        return zext(term, width)
    if term.op == "sext":
        return sext(term.args[0], width)
    return _term("sext", width, (term,), term.zeros)


def rotate_left(term: Term, count: int) -> Term:
    """Return the term rotated left by a constant number of bits."""
    count %= term.width
    if not count:
        return term
    return concat(extract(term, term.width - count - 1, 0), extract(term, term.width - 1, term.width - count))


def shift_left(term: Term, count: int) -> Term:
    """Return the term shifted left by a constant number of bits."""
    if count >= term.width:
        return const(term.width, 0)
    return concat(extract(term, term.width - count - 1, 0), const(count, 0)) if count else term


def shift_right(term: Term, count: int) -> Term:
    """Return the term shifted right by a constant number of bits, zeros coming in."""
    if count >= term.width:
        return const(term.width, 0)
    return zext(extract(term, term.width - 1, count), term.width)


def shift_right_signed(term: Term, count: int) -> Term:
    """Return the term shifted right by a constant number of bits, copies of its highest bit coming in."""
    count = min(count, term.width - 1)
    return sext(extract(term, term.width - 1, count), term.width)


# Bit by bit


def _by_runs(term: Term, mask: int, ones: Callable[[Term], Term], zeros: Callable[[Term], Term]) -> Term:
    """Put together ``ones`` of the bits of ``term`` where ``mask`` has ones, and ``zeros`` of the others."""
    parts, at = [], term.width
    while at:
        bit = mask >> (at - 1) & 1
        low = at - 1
        while low and mask >> (low - 1) & 1 == bit:
            low -= 1
        parts.append((ones if bit else zeros)(extract(term, at - 1, low)))
        at = low
    return concat(*parts)


def invert(term: Term) -> Term:
    """Return the term with each bit inverted."""
    if term.op == "const":
        return const(term.width, ~term.args[0])
    if term.op == "not":
        inner: Term = term.args[0]
        return inner
    if term.op == "concat":
        return concat(*(invert(part) for part in term.args))
    return _term("not", term.width, (term,))


def _same(term: Term) -> Term:
    return term


def both(a: Term, b: Term) -> Term:
    """Return a & b."""
    if a.op == "const":
        a, b = b, a
    if b.op == "const":
        return _by_runs(a, b.args[0], _same, lambda part: const(part.width, 0))
    if a is b:
        return a
    if invert(a) is b:
        return const(a.width, 0)
    return _pairwise("and", a, b)


def either(a: Term, b: Term) -> Term:
    """Return a | b."""
    if a.op == "const":
        a, b = b, a
    if b.op == "const":
        return _by_runs(a, b.args[0], lambda part: const(part.width, -1), _same)
    if a is b:
        return a
    if invert(a) is b:
        return const(a.width, -1)
    return _pairwise("or", a, b)


def differ(a: Term, b: Term) -> Term:
    """Return a ^ b."""
    if a.op == "const":
        a, b = b, a
    if b.op == "const":
        return _by_runs(a, b.args[0], invert, _same)
    if a is b:
        return const(a.width, 0)
    return _pairwise("xor", a, b)


def _pairwise(op: str, a: Term, b: Term) -> Term:
    """Make the node, or, where a part of either is a constant, do it part by part."""
    if a.op == "concat" or b.op == "concat":
        cuts = sorted(_cuts(a) | _cuts(b), reverse=True)
        if any(part.op == "const" for term in (a, b) for part in term.args if isinstance(part, Term)):
            make = _BITWISE[op]
            pairs = zip([a.width, *cuts], [*cuts, 0], strict=True)
            return concat(*(make(extract(a, high - 1, low), extract(b, high - 1, low)) for high, low in pairs))
    return _term(op, a.width, (a, b) if a.number < b.number else (b, a), min(a.zeros, b.zeros))


def _cuts(term: Term) -> set[int]:
    """Return the bit numbers at which the parts of a term meet."""
    found, at = set(), 0
    for part in reversed(term.args if term.op == "concat" else ()):
        at += part.width
        if at < term.width:
            found.add(at)
    return found


_BITWISE: dict[str, Callable[[Term, Term], Term]] = {"and": both, "or": either, "xor": differ}


# Truth values


def equal(a: Term, b: Term) -> Term:
    """Return whether a = b."""
    if a is b:
        return TRUE
    if a.width == 1:
        return invert(differ(a, b))
    return _is_zero(sub(a, b))


def _is_zero(difference: Term) -> Term:
    """Return whether a term is 0; a - b and b - a give the same answer in the same form."""
    if difference.op == "const":
        return truth(not difference.args[0])
    total, parts = _linear(difference)
    width = difference.width
    if total:
        zeros = min(t.zeros + (f & -f).bit_length() - 1 for t, f in parts)
        if total & ((1 << min(zeros, width)) - 1):
            return FALSE
    opposite = times(difference, -1)
    if _order(opposite) < _order(difference):
        difference = opposite
    return _term("zero", 1, (difference,))


def _order(term: Term) -> tuple[int, ...]:
    total, parts = _linear(term)
    return (*(factor for _, factor in parts), total)


def less(a: Term, b: Term) -> Term:
    """Return whether a < b, both without sign."""
    if a is b or b.value == 0:
        return FALSE
    if a.op == "const" and b.op == "const":
        return truth(a.args[0] < b.args[0])
    return _term("ult", 1, (a, b))


def less_signed(a: Term, b: Term) -> Term:
    """Return whether a < b, both with sign."""
    if a is b:
        return FALSE
    if a.op == "const" and b.op == "const":
        return truth(signed(a.args[0], a.width) < signed(b.args[0], b.width))
    return _term("slt", 1, (a, b))


def signed(value: int, width: int) -> int:
    """Return a number of ``width`` bits as one with a sign."""
    return value - (1 << width) if value >> (width - 1) else value


def ite(condition: Term, a: Term, b: Term) -> Term:
    """Return a where the condition holds, else b."""
    if condition.op == "const":
        return a if condition.args[0] else b
    if a is b:
        return a
    if a.width == 1 and a.op == "const" and b.op == "const":
        return condition if a.args[0] else invert(condition)
    if condition.op == "not":
        return _term("ite", a.width, (condition.args[0], b, a))
    return _term("ite", a.width, (condition, a, b))


_MAKERS: dict[str, Callable[..., Term]] = {
    "mul": lambda width, a, b: mul(a, b),
    "extract": lambda width, term, low: extract(term, low + width - 1, low),
    "concat": lambda width, *parts: concat(*parts),
    "sext": lambda width, term: sext(term, width),
    "not": lambda width, term: invert(term),
    "and": lambda width, a, b: both(a, b),
    "or": lambda width, a, b: either(a, b),
    "xor": lambda width, a, b: differ(a, b),
    "zero": lambda width, term: _is_zero(term),
    "ult": lambda width, a, b: less(a, b),
    "slt": lambda width, a, b: less_signed(a, b),
    "ite": lambda width, c, a, b: ite(c, a, b),
}
