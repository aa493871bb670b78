"""One call as a shape: a name, a prototype and the types passed for its ellipsis; and the smaller shapes inside it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

from lpgen.callers.placement import Placement, Prototype, place
from lpgen.callers.types import (
    DOUBLE,
    INT,
    LONG,
    V4SI,
    VOID,
    Array,
    Bool,
    CType,
    Float,
    Integer,
    Pointer,
    Struct,
    Vector,
    Void,
    declare,
)


@dataclass(frozen=True)
class CallShape:
    """A call to generate: ``extra`` are the types of the arguments for the ellipsis, before promotion."""

    name: str
    prototype: Prototype
    extra: tuple[CType, ...] = ()

    @cached_property
    def placement(self) -> Placement:
        """Where ELFv2 puts this call's arguments and result."""
        return place(self.prototype, self.extra)

    @property
    def arguments(self) -> tuple[CType, ...]:
        """The types of all arguments, before promotion."""
        return self.prototype.params + self.extra

    def c_prototype(self, function: str = "f") -> str:
        """The C declaration, such as ``int f(int a1, double a2, ...)``, without a semicolon."""
        params = [declare(ctype, f"a{i}") for i, ctype in enumerate(self.prototype.params, 1)]
        if self.prototype.variadic:
            params.append("...")
        return declare(self.prototype.result, f"{function}({', '.join(params) or 'void'})")


def shape(name: str, result: CType, *params: CType, extra: tuple[CType, ...] | None = None) -> CallShape:
    """A shape in one line; ``extra`` (an empty tuple too) makes the function variadic."""
    return CallShape(name, Prototype(result, params, variadic=extra is not None), extra or ())


def _simpler(ctype: CType) -> Iterator[CType]:
    """Types that are simpler than this one, simplest first."""
    if isinstance(ctype, Void) or ctype == LONG:
        return
    yield LONG
    if isinstance(ctype, Integer | Bool | Pointer):
        if ctype != INT and ctype.size < 8:
            yield INT
    elif isinstance(ctype, Float):
        if ctype != DOUBLE:
            yield DOUBLE
    elif isinstance(ctype, Vector):
        if ctype != V4SI:
            yield V4SI
    elif isinstance(ctype, Struct):
        yield from (member for member in ctype.members if not isinstance(member, Array))
        if len(ctype.members) > 1:
            for i in range(len(ctype.members)):
                yield Struct(ctype.members[:i] + ctype.members[i + 1 :])
        for i, member in enumerate(ctype.members):
            if isinstance(member, Array):
                smaller: CType = Array(member.element, member.count // 2) if member.count > 1 else member.element
                yield Struct((*ctype.members[:i], smaller, *ctype.members[i + 1 :]))


def _one_simpler(types: tuple[CType, ...]) -> Iterator[tuple[CType, ...]]:
    """The tuple with one of its types made simpler."""
    for i, ctype in enumerate(types):
        for simple in _simpler(ctype):
            yield (*types[:i], simple, *types[i + 1 :])


def _without_runs(types: tuple[CType, ...], at_least: int) -> Iterator[tuple[CType, ...]]:
    """The tuple without a run of elements: big runs first, then single ones."""
    run = len(types)
    while run:
        for start in range(0, len(types) - run + 1, run):
            rest = types[:start] + types[start + run :]
            if len(rest) >= at_least:
                yield rest
        run //= 2


def shrink(big: CallShape) -> Iterator[CallShape]:
    """Smaller shapes, the boldest first: no ellipsis, fewer arguments, no result, simpler types.

    Every one is simpler than ``big``, so taking the first that still fails, again and again, comes to an end.
    """
    proto, extra = big.prototype, big.extra
    if proto.variadic:
        yield replace(big, prototype=replace(proto, variadic=False), extra=())
    for fewer in _without_runs(extra, 0):
        yield replace(big, extra=fewer)
    for fewer in _without_runs(proto.params, 1 if proto.variadic else 0):
        yield replace(big, prototype=replace(proto, params=fewer))
    if not isinstance(proto.result, Void):
        for result in (VOID, *_simpler(proto.result)):
            yield replace(big, prototype=replace(proto, result=result))
    for simpler in _one_simpler(extra):
        yield replace(big, extra=simpler)
    for simpler in _one_simpler(proto.params):
        yield replace(big, prototype=replace(proto, params=simpler))
