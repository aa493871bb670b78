"""Expressions of GNU as: text to tree, tree to a number or to symbol plus addend.

Precedence is GNU as's, not C's: ``* / % << >>`` bind tightest, then ``| & ^ !``, then ``+ -``, then the comparisons,
then ``&&``, then ``||``. Numbers wrap to 64 bits and are signed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

# A tree: ("num", n) | ("sym", name) | ("set", name, tree it is set to) | ("loc", section, offset) | ("reg", class, n)
# | ("un", op, a) | ("bin", op, a, b)
Node = tuple[Any, ...]

_TOKEN = re.compile(
    r"""\s*(?:
      (?P<num>0[xX][0-9a-fA-F]+(?!\w)|0[bB][01]+(?!\w)|[0-9]+(?!\w))
    | (?P<near>[0-9]+[bf](?!\w))
    | (?P<sym>[A-Za-z_.$][\w.$]*)
    | (?P<char>'(?:\\.|[^\\])'?)
    | (?P<mod>@[A-Za-z]\w*(?:@[A-Za-z]\w*)*)
    | (?P<op><<|>>|<=|>=|==|!=|<>|&&|\|\||[-+*/%&|^~!()<>])
    )""",
    re.VERBOSE,
)
_LEVELS = {"*": 6, "/": 6, "%": 6, "<<": 6, ">>": 6, "|": 5, "&": 5, "^": 5, "!": 5, "+": 4, "-": 4}
_LEVELS |= {"==": 3, "!=": 3, "<>": 3, "<": 3, ">": 3, "<=": 3, ">=": 3, "&&": 2, "||": 1}
_ESCAPES = {"n": 10, "t": 9, "r": 13, "b": 8, "f": 12, "\\": 92}

_CR_BITS = {"lt": 0, "gt": 1, "eq": 2, "so": 3, "un": 3}
_REGISTER = re.compile(r"(cr|vs|r|f|v)(\d|[1-6]\d)")
_CLASSES = {"r": ("gpr", 31), "f": ("fpr", 31), "v": ("vr", 31), "vs": ("vsr", 63), "cr": ("crf", 7)}


class ExpressionError(ValueError):
    """An expression that cannot be read or evaluated; the caller adds the place."""


class UnknownExpressionError(ExpressionError):
    """An expression that another assembler may take."""


class Parsed(NamedTuple):
    """An expression, the relocation modifier at its end ('' or for example 'toc@ha'), and the text behind it."""

    node: Node
    modifier: str
    rest: str


class Names(Protocol):
    """What the parser asks about names."""

    def here(self) -> Node:
        """Return the current location, ``.``."""

    def near_label(self, number: str, direction: str) -> Node:
        """Return the label that ``1b`` or ``1f`` means here."""

    def lookup(self, name: str) -> Node | None:
        """Return the tree of a name at this point: what it is set to, or a label; None when nothing is known yet."""


def register(name: str) -> Node | None:
    """Return the register that a name means (without the percent sign), or None."""
    if name == "sp":
        return ("reg", "gpr", 1)
    if name in ("toc", "rtoc"):
        return ("reg", "gpr", 2)
    if name in _CR_BITS:
        return ("reg", "crb", _CR_BITS[name])
    match = _REGISTER.fullmatch(name)
    if match is None:
        return None
    kind, highest = _CLASSES[match[1]]
    number = int(match[2])
    return ("reg", kind, number) if number <= highest else None


class _Parser:
    def __init__(self, text: str, names: Names) -> None:
        self.text = text
        self.names = names
        self.at = 0
        self.depth = 0
        self.modifier = ""
        self.kind = ""
        self.value = ""
        self.start = 0
        self.advance()

    def advance(self) -> None:
        self.start = self.at
        match = _TOKEN.match(self.text, self.at)
        if match is None:
            self.kind, self.value = "end", self.text[self.at :].strip()
            return
        self.kind = match.lastgroup or "end"
        self.value = match[self.kind]
        self.at = match.end()

    def expression(self, level: int = 1) -> Node:
        left = self.primary()
        while self.kind == "op" and _LEVELS.get(self.value, 0) >= level:
            op = self.value
            self.advance()
            right = self.expression(_LEVELS[op] + 1)
            if self.modifier and op not in "+-":
                raise ExpressionError(f"@{self.modifier} applies to the whole expression and cannot stand inside it")
            left = ("bin", op, left, right)
        return left

    def primary(self) -> Node:
        kind, value = self.kind, self.value
        if kind == "op" and value == "%":
            self.advance()
            found = register(self.value) if self.kind == "sym" else None
            if found is None:
                raise ExpressionError(f"no such register: %{self.value}")
            self.advance()
            return found
        if kind == "op" and value in "+-~!":
            self.advance()
            inner = self.primary()
            if self.modifier and value != "+":
                raise ExpressionError(
                    f"@{self.modifier} applies to the whole expression; write ({value}x)@{self.modifier}"
                )
            return inner if value == "+" else ("un", value, inner)
        if kind == "op" and value == "(":
            self.advance()
            self.depth += 1
            if self.depth > 100:
                raise ExpressionError("parentheses nested too deeply")
            node = self.expression()
            self.depth -= 1
            if (self.kind, self.value) != ("op", ")"):
                raise ExpressionError("missing ')'")
            self.advance()
            return self.postfix(node)
        node = self.atom(kind, value)
        self.advance()
        return self.postfix(node)

    def atom(self, kind: str, value: str) -> Node:
        if kind == "num":
            return ("num", number(value))
        if kind == "near":
            return self.names.near_label(value[:-1], value[-1])
        if kind == "char":
            return ("num", character(value))
        if kind == "sym":
            if value in (".", "$"):
                return self.names.here()
            known = self.names.lookup(value)
            if known is not None:
                return known
            return register(value) or ("sym", value)
        raise ExpressionError(f"expected a number, symbol or register at '{value}'" if value else "missing operand")

    def postfix(self, node: Node) -> Node:
        if self.kind == "mod":
            if self.modifier:
                raise ExpressionError("two relocation modifiers in one expression")
            if self.depth:
                raise ExpressionError(f"{self.value} stands inside parentheses; it applies to the whole expression")
            self.modifier = self.value[1:].lower()
            self.advance()
        return node


def number(text: str) -> int:
    """Return a number as GNU as reads it: 0x hexadecimal, 0b binary, leading 0 octal; wrapped to signed 64 bits."""
    try:
        value = int(text, 8) if len(text) > 1 and text[0] == "0" and text[1] not in "xXbB" else int(text, 0)
    except ValueError as error:
        raise ExpressionError(f"bad number '{text}'") from error
    if value >> 64:
        raise UnknownExpressionError(f"number '{text}' does not fit in 64 bits")
    return wrap(value)


def character(text: str) -> int:
    """Return the code of a character constant, ``'a'`` or GNU as's ``'a``; an unknown escape is its character."""
    body = text[1:-1] if len(text) > 2 and text.endswith("'") else text[1:]
    if body.startswith("\\"):
        body = body[1:]
        if body in _ESCAPES:
            return _ESCAPES[body]
    if len(body) != 1 or ord(body) > 127:
        raise ExpressionError(f"bad character constant {text}")
    return ord(body)


def parse(text: str, names: Names) -> Parsed:
    """Parse one expression from the front of ``text``. Raises ExpressionError."""
    parser = _Parser(text, names)
    node = parser.expression()
    return Parsed(node, parser.modifier, text[parser.start :].strip())


def wrap(value: int) -> int:
    """Wrap a number to signed 64 bits."""
    return (value + (1 << 63)) % (1 << 64) - (1 << 63)


@dataclass(frozen=True, slots=True)
class Value:
    """A number plus symbols with coefficients. A key starting with NUL stands for the start of that section."""

    const: int
    terms: Mapping[str, int]

    @property
    def absolute(self) -> bool:
        """True when no symbol is left."""
        return not self.terms


_NO_TERMS: Mapping[str, int] = {}


def section_key(section: str) -> str:
    """Return the key that stands for the start of a section in Value.terms."""
    return "\0" + section


def _divide(a: int, b: int) -> int:
    quotient = abs(a) // abs(b)
    return quotient if (a < 0) == (b < 0) else -quotient


def _truth(flag: bool) -> int:
    # A comparison that holds is -1 in GNU as.
    return -1 if flag else 0


_MASK = (1 << 64) - 1
_OPERATIONS: dict[str, Callable[[int, int], int]] = {
    "*": lambda a, b: a * b,
    "/": _divide,
    "%": lambda a, b: a - b * _divide(a, b),
    "<<": lambda a, b: a << b if 0 <= b < 64 else 0,
    ">>": lambda a, b: (a & _MASK) >> b if 0 <= b < 64 else 0,
    "|": lambda a, b: a | b,
    "&": lambda a, b: a & b,
    "^": lambda a, b: a ^ b,
    "!": lambda a, b: a | ~b,
    "==": lambda a, b: _truth(a == b),
    "!=": lambda a, b: _truth(a != b),
    "<>": lambda a, b: _truth(a != b),
    "<": lambda a, b: _truth(a < b),
    ">": lambda a, b: _truth(a > b),
    "<=": lambda a, b: _truth(a <= b),
    ">=": lambda a, b: _truth(a >= b),
    "&&": lambda a, b: int(bool(a) and bool(b)),
    "||": lambda a, b: int(bool(a) or bool(b)),
}


def evaluate(node: Node, fold: Callable[[Value], Value], resolve: Callable[[str, Node | None], Value]) -> Value:
    """Evaluate a tree. ``resolve`` gives the value of a symbol (and of the tree that it was set to, if it was at that
    point), ``fold`` cancels symbols of the same section.

    Raises ExpressionError for registers and for arithmetic that symbols do not allow.
    """
    kind = node[0]
    if kind == "num":
        return Value(node[1], _NO_TERMS)
    if kind == "sym":
        return resolve(node[1], None)
    if kind == "set":
        return resolve(node[1], node[2])
    if kind == "loc":
        return Value(node[2], {section_key(node[1]): 1})
    if kind == "reg":
        raise UnknownExpressionError("a register cannot be part of this expression")
    if kind == "un":
        inner = evaluate(node[2], fold, resolve)
        if node[1] == "-":
            return Value(wrap(-inner.const), {name: -count for name, count in inner.terms.items()})
        value = _absolute(fold(inner), node[1])
        return Value(~value if node[1] == "~" else int(not value), _NO_TERMS)
    op, left, right = node[1], evaluate(node[2], fold, resolve), evaluate(node[3], fold, resolve)
    if op in "+-":
        sign = 1 if op == "+" else -1
        terms = dict(left.terms)
        for name, count in right.terms.items():
            terms[name] = terms.get(name, 0) + sign * count
        return fold(Value(wrap(left.const + sign * right.const), {n: c for n, c in terms.items() if c}))
    a, b = _absolute(fold(left), op), _absolute(fold(right), op)
    if op in "/%" and b == 0:
        raise ExpressionError("division by zero")
    return Value(wrap(_OPERATIONS[op](a, b)), _NO_TERMS)


def _absolute(value: Value, op: str) -> int:
    if not value.absolute:
        names = ", ".join(sorted(name.lstrip("\0") for name in value.terms))
        raise ExpressionError(f"operator {op} needs numbers, but {names} is an address or not defined")
    return value.const
