"""Reading terms: what one is under given values, which variables it has, and how a person reads it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from lpgen.proof.term import Term, signed


def evaluate(term: Term, values: Mapping[str, int], memo: dict[Term, int] | None = None) -> int:
    """Return the number that a term is; a variable that ``values`` does not have is 0."""
    memo = {} if memo is None else memo
    found = memo.get(term)
    if found is None:
        found = memo[term] = _evaluate(term, values, memo) & ((1 << term.width) - 1)
    return found


def _evaluate(term: Term, values: Mapping[str, int], memo: dict[Term, int]) -> int:
    op, args = term.op, term.args
    if op == "const":
        return int(args[0])
    if op == "var":
        value: int = values.get(args[0], 0)
        return value >> term.zeros << term.zeros
    if op == "sum":
        return int(args[0]) + sum(evaluate(t, values, memo) * int(f) for t, f in args[1])
    if op == "extract":
        return evaluate(args[0], values, memo) >> int(args[1])
    if op == "concat":
        whole = 0
        for part in args:
            whole = whole << part.width | evaluate(part, values, memo)
        return whole
    if op == "ite":
        return evaluate(args[1] if evaluate(args[0], values, memo) else args[2], values, memo)
    numbers = [evaluate(arg, values, memo) for arg in args]
    return _NUMERIC[op](args, *numbers)


_NUMERIC: dict[str, Callable[..., int]] = {
    "mul": lambda args, a, b: a * b,
    "sext": lambda args, a: signed(a, args[0].width),
    "not": lambda args, a: ~a,
    "and": lambda args, a, b: a & b,
    "or": lambda args, a, b: a | b,
    "xor": lambda args, a, b: a ^ b,
    "zero": lambda args, a: int(not a),
    "ult": lambda args, a, b: int(a < b),
    "slt": lambda args, a, b: int(signed(a, args[0].width) < signed(b, args[1].width)),
}


def variables(term: Term) -> frozenset[Term]:
    """Return the variables that a term is made of."""
    found: set[Term] = set()
    seen: set[Term] = set()
    ahead = [term]
    while ahead:
        one = ahead.pop()
        if one in seen:
            continue
        seen.add(one)
        if one.op == "var":
            found.add(one)
        elif one.op == "sum":
            ahead += [part for part, _ in one.args[1]]
        else:
            ahead += [arg for arg in one.args if isinstance(arg, Term)]
    return frozenset(found)


def show(term: Term) -> str:
    """Return a term as a person reads it."""
    op, args = term.op, term.args
    if op == "const":
        return f"{args[0]:#x}" if args[0] > 9 else str(args[0])
    if op == "var":
        return str(args[0])
    if op == "sum":
        texts = []
        for part, factor in args[1]:
            times = signed(factor, term.width)
            texts.append(("- " if times < 0 else "+ ") + (f"{abs(times)}*" if abs(times) != 1 else "") + show(part))
        total = signed(args[0], term.width)
        if total:
            texts.append(f"{'-' if total < 0 else '+'} {abs(total)}")
        return "(" + " ".join(texts).removeprefix("+ ") + ")"
    if op == "extract":
        return f"{show(args[0])}[{args[1] + term.width - 1}:{args[1]}]"
    if op == "concat":
        return "{" + ", ".join(f"{show(part)}:{part.width}" for part in args) + "}"
    return f"{op}({', '.join(map(show, args))})"
