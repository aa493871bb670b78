"""Sections, symbols and the location counter while a text is being assembled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from lpgen.assembly import expr
from lpgen.assembly.expr import ExpressionError, Node, Value
from lpgen.assembly.model import Binding, SymbolType
from lpgen.assembly.statements import Statement

MAX_SECTION = 64 << 20
_NO_TERMS: Mapping[str, int] = {}
# Marks the internal names of numeric labels (1:, 1b, 1f); no name in a text can hold it.
NUMERIC = "\x02"


@dataclass
class Part:
    """A section under construction. ``bytes`` stays empty for nobits, where ``size`` alone grows."""

    name: str
    flags: str
    kind: Literal["progbits", "nobits", "note"]
    align: int = 1
    data: bytearray = field(default_factory=bytearray)
    size: int = 0

    def append(self, data: bytes, at: Statement) -> None:
        """Add bytes at the end."""
        if self.size + len(data) > MAX_SECTION:
            raise at.error(f"section {self.name} grows beyond {MAX_SECTION >> 20} MiB")
        if self.kind == "nobits":
            if any(data):
                raise at.error(f"section {self.name} holds no data, only space")
        else:
            self.data += data
        self.size += len(data)


@dataclass
class Name:
    """A symbol under construction: a label (section and offset), set to an expression (node), or neither yet.

    ``first`` is what it was first set to: what a use before that means, as with GNU as.
    """

    name: str
    section: str | None = None
    offset: int = 0
    node: Node | None = None
    first: Node | None = None
    fixed: bool = False
    binding: Binding = "local"
    type: SymbolType = "notype"
    size: tuple[Node, Statement] | None = None
    local_entry: tuple[Node, Statement] | None = None
    visibility: int = 0
    inherited: bool = False
    place: Statement | None = None

    @property
    def known(self) -> bool:
        """True once the symbol is defined."""
        return self.section is not None or self.node is not None


# Section name (or its first component) -> flags and kind when .section gives none; as GNU as and bfd have it.
_DEFAULTS: dict[str, tuple[str, Literal["progbits", "nobits", "note"]]] = {
    ".text": ("ax", "progbits"),
    ".init": ("ax", "progbits"),
    ".fini": ("ax", "progbits"),
    ".data": ("aw", "progbits"),
    ".bss": ("aw", "nobits"),
    ".data1": ("aw", "progbits"),
    ".rodata": ("a", "progbits"),
    ".rodata1": ("a", "progbits"),
    ".toc": ("aw", "progbits"),
    ".note": ("", "note"),
}

_EXACT = (".init", ".fini", ".data1", ".rodata1")


def _default(name: str) -> tuple[str, Literal["progbits", "nobits", "note"]]:
    """Return the flags and type of a section by its name alone; .text.x is like .text, .init.x is not like .init."""
    stem = "." + name[1:].split(".")[0] if name.startswith(".") else ""
    known = _DEFAULTS.get(stem) if stem == name or stem not in _EXACT else None
    return known or ("", "progbits")


class Layout:
    """The state that statements change. Implements expr.Names."""

    def __init__(self) -> None:
        self.parts: dict[str, Part] = {}
        self.names: dict[str, Name] = {}
        self.numeric: dict[str, int] = {}
        self.current = self.part(".text", None, None)
        self.previous = self.current
        self.pushed: list[tuple[Part, Part]] = []

    # Sections

    def part(self, name: str, flags: str | None, kind: Literal["progbits", "nobits", "note"] | None) -> Part:
        """Return the section, made on first mention.

        Raises ExpressionError when flags or type contradict the first mention.
        """
        default = _default(name)
        if flags is not None:
            # A known name keeps its own flags whatever .section says, as with GNU as.
            flags = "".join(flag for flag in "awx" if flag in flags + default[0])
        found = self.parts.get(name)
        if found is not None:
            if (flags is not None and flags != found.flags) or (kind is not None and kind != found.kind):
                now = found.flags if flags is None else flags
                raise ExpressionError(
                    f"section {name} was '{found.flags}' @{found.kind} before, now it is '{now}' @{kind or found.kind}"
                )
            return found
        made = Part(name, default[0] if flags is None else flags, kind or default[1])
        self.parts[name] = made
        return made

    def enter(self, part: Part) -> None:
        """Make a section the current one."""
        self.previous, self.current = self.current, part

    # Names: the questions that expr asks

    def here(self) -> Node:
        """Return the current location."""
        return ("loc", self.current.name, self.current.size)

    def near_label(self, number: str, direction: str) -> Node:
        """Return the label that ``1b`` or ``1f`` means here."""
        count = self.numeric.get(str(int(number)), 0)
        if direction == "b" and count == 0:
            raise ExpressionError(f"no label {number}: before this line")
        return ("sym", f"{int(number)}{NUMERIC}{count if direction == 'b' else count + 1}")

    def lookup(self, name: str) -> Node | None:
        """Return what a name means at this point, None when nothing is known about it."""
        found = self.names.get(name)
        if found is None:
            return None
        if found.node is None:
            return ("sym", name)
        return found.node if found.node[0] in ("num", "reg") else ("set", name, found.node)

    def name(self, name: str) -> Name:
        """Return the symbol, made on first mention."""
        return self.names.setdefault(name, Name(name))

    def label(self, name: str, at: Statement) -> None:
        """Define a label here."""
        if name.isdigit():
            key = str(int(name))
            self.numeric[key] = self.numeric.get(key, 0) + 1
            name = f"{key}{NUMERIC}{self.numeric[key]}"
        symbol = self.name(name)
        if symbol.known:
            first = f"it is defined at {symbol.place.place}" if symbol.place is not None else None
            raise at.error(f"symbol '{shown(name)}' is already defined", first)
        symbol.section, symbol.offset, symbol.place = self.current.name, self.current.size, at

    def assign(self, name: str, expression: str, at: Statement, *, once: bool) -> Node:
        """Set a symbol to an expression; returns its tree."""
        parsed = expr.parse(expression, self)
        if parsed.rest or parsed.modifier:
            raise ExpressionError(f"cannot read '{parsed.rest or '@' + parsed.modifier}' behind the expression")
        symbol = self.name(name)
        if symbol.section is not None or (symbol.known and (once or symbol.fixed)):
            first = f"it is defined at {symbol.place.place}" if symbol.place is not None else None
            raise at.error(f"symbol '{name}' is already defined", first)
        symbol.node, symbol.fixed, symbol.place = parsed.node, once, at
        symbol.first = symbol.first or parsed.node
        self._inherit(symbol)
        return parsed.node

    # Values

    def location(self, key: str) -> tuple[str, int] | None:
        """Return (section, offset) of a term of a Value, None for what is not in this unit."""
        if key.startswith("\0"):
            return key[1:], 0
        symbol = self.names.get(key)
        if symbol is None:
            return None
        if symbol.node is not None:
            return self._place(self.evaluate(symbol.node))
        return (symbol.section, symbol.offset) if symbol.section is not None else None

    def _place(self, value: Value) -> tuple[str, int] | None:
        """Return (section, offset) of a value that is a location in this unit."""
        if len(value.terms) != 1:
            return None
        ((key, count),) = value.terms.items()
        place = self.location(key) if count == 1 else None
        return None if place is None else (place[0], place[1] + value.const)

    def fold(self, value: Value) -> Value:
        """Turn differences of locations in one section into numbers."""
        if len(value.terms) < 2:
            return value
        net: dict[str, int] = {}
        distance: dict[str, int] = {}
        places = {key: self.location(key) for key in value.terms}
        for key, place in places.items():
            if place is not None:
                section, offset = place
                net[section] = net.get(section, 0) + value.terms[key]
                distance[section] = distance.get(section, 0) + value.terms[key] * offset
        const, terms, done = value.const, dict[str, int](), set[str]()
        for key, place in places.items():
            if place is None or net[place[0]] not in (0, 1, -1):
                terms[key] = value.terms[key]
            elif place[0] not in done:
                section = place[0]
                done.add(section)
                const += distance[section]
                if net[section]:
                    # One location of this section is left: the first that counts in its direction stands for it.
                    kept = next(
                        k for k, p in places.items() if p and p[0] == section and value.terms[k] * net[section] > 0
                    )
                    terms[kept] = net[section]
                    const -= net[section] * (self.location(kept) or ("", 0))[1]
        return Value(expr.wrap(const), terms)

    def resolve(self, name: str, node: Node | None = None) -> Value:
        """Return a symbol's value; ``node`` is what it was set to at the point of use, None for a use before that."""
        symbol = self.names.get(name)
        last = symbol.node if symbol is not None else None
        if node is None and symbol is not None:
            node = symbol.first
        if node is None:
            return Value(0, {name: 1})
        value = expr.evaluate(node, self.fold, self.resolve)
        if node is last and self._place(value) is not None:
            # A second name for a place stands for itself: another unit may override it when it is weak.
            return Value(0, {name: 1})
        return value

    def inherit(self) -> None:
        """Give each second name for a symbol that symbol's type, size and local entry, as GNU as does."""
        for symbol in self.names.values():
            self._inherit(symbol)

    def _inherit(self, symbol: Name) -> None:
        base: Name | None = symbol
        # Names for names for names: as many steps as there are names, then it is a circle (and found elsewhere).
        for _ in range(len(self.names)):
            if base is None or base.node is None or symbol.inherited:
                break
            try:
                terms = [] if base.node[0] in ("num", "reg") else list(self.evaluate(base.node).terms)
            except ExpressionError:
                return  # reported where the symbol is used or written out
            base = self.names.get(terms[0]) if len(terms) == 1 else None
        if base is not None and base.section is not None and base is not symbol:
            symbol.inherited = True
            symbol.type = base.type if symbol.type == "notype" else symbol.type
            symbol.size = symbol.size or base.size
            symbol.local_entry = symbol.local_entry or base.local_entry

    def evaluate(self, node: Node) -> Value:
        """Evaluate a tree. Raises ExpressionError."""
        if node[0] == "num":
            return Value(node[1], _NO_TERMS)
        try:
            return expr.evaluate(node, self.fold, self.resolve)
        except RecursionError as error:
            raise ExpressionError("expression nested too deeply, or a symbol is defined by itself") from error

    def number(self, node: Node) -> int:
        """Evaluate a tree that has to be a number. Raises ExpressionError."""
        value = self.evaluate(node)
        if not value.absolute:
            names = ", ".join(sorted(shown(key) for key in value.terms))
            undefined = [key for key in value.terms if self.location(key) is None]
            reason = "is not defined" if undefined else "is an address"
            raise ExpressionError(f"a number is needed here, but {names} {reason}")
        return value.const


def shown(key: str) -> str:
    """Return the name of a symbol as its writer knows it."""
    if key.startswith("\0"):
        return f"section {key[1:]}"
    return key.split(NUMERIC)[0] + ":" if NUMERIC in key else key
