"""A plan as one line of text, and back: what `lpgen verify --plan` takes and a failure's replay command holds.

    CALL     = TYPE NAME "(" [TYPES] ["," "..." [";" TYPES]] ")" FIELD...
    TYPES    = TYPE ["*" NUMBER] {"," TYPE ["*" NUMBER]}          long*9 is nine longs
    TYPE     = void | int | ... | v4si | "{" TYPES "}"            {...} is a structure
               in a structure also TYPE "[" NUMBER "]"            an array
    FIELD    = seed=N home_a=N home_b=N home_c=N form=N thread=N marker=N nip=same|patch
             | pointer link edit off graph twin spill sleep wander stub
             | lean early disabled kprobe direct=1|2
             | inner=[CALL, ...] recursion=[CALL, ...] sibling=[CALL] beside=[CALL]
             | inner*NUMBER=[CALL]      so many calls, each inside the one before
             | interrupt=BOUNDARY:MODE interrupt=BOUNDARY:MODE[CALL]

Types are lpgen's short names, not C: char is uchar or schar, a pointer ptr. Blanks separate fields and may stand
around any sign. A field that is not there has its default; seed is then 0. The text has no quote, dollar, backslash or
exclamation mark, so it can stand inside single quotes in a shell.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from difflib import get_close_matches
from itertools import groupby
from typing import Any, NoReturn, TypeVar

from lpgen.callers.placement import Prototype
from lpgen.callers.shape import CallShape
from lpgen.callers.types import (
    BOOL,
    CHAR,
    DOUBLE,
    FLOAT,
    INT,
    INT128,
    LONG,
    POINTER,
    SCHAR,
    SHORT,
    UINT,
    UINT128,
    ULONG,
    USHORT,
    VOID,
    Array,
    CType,
    Integer,
    Struct,
    Vector,
    round_up,
)
from lpgen.errors import LpgenError
from lpgen.machine.places import BYSTANDER, HOMES
from lpgen.machine.plan import (
    DIRECT_TRACER,
    INTERRUPT_MODES,
    KEEP,
    MARKERS,
    PATCH,
    SAME,
    Interrupt,
    Plan,
    can_be_sibling,
    can_spill,
)

T = TypeVar("T")

_NAMES: dict[str, CType] = {
    "void": VOID,
    "bool": BOOL,
    "ptr": POINTER,
    "schar": SCHAR,
    "uchar": CHAR,
    "short": SHORT,
    "ushort": USHORT,
    "int": INT,
    "uint": UINT,
    "long": LONG,
    "ulong": ULONG,
    "int128": INT128,
    "uint128": UINT128,
    "float": FLOAT,
    "double": DOUBLE,
}
for _vector in (
    *(Vector(Integer(size, signed)) for size in (1, 2, 4, 8) for signed in (True, False)),
    Vector(FLOAT),
    Vector(DOUBLE),
):
    _NAMES[_vector.c_name] = _vector
_TEXTS = {ctype: name for name, ctype in _NAMES.items()}

_FLAGS = ("pointer", "link", "edit", "graph", "twin", "spill", "sleep", "wander", "stub")
_LATE_FLAGS = ("lean", "early", "disabled", "kprobe")
# Fields that hold a number, with the first and the last allowed one.
_NUMBERS = {
    "seed": (0, (1 << 64) - 1),
    "home_a": (0, len(HOMES) - 1),
    "home_b": (0, len(HOMES) - 1),
    "home_c": (0, len(HOMES) - 1),
    "form": (0, 9),
    "thread": (0, BYSTANDER - 1),
    "marker": (0, MARKERS),
    "direct": (0, DIRECT_TRACER),
}
_DEFAULTS = {"seed": 0, "home_a": 0, "home_b": 0, "home_c": 2, "form": 0, "thread": 0, "marker": 0, "direct": 0}
_LISTS = ("inner", "recursion")
_SINGLES = ("sibling", "beside")
_FIELDS = (*_NUMBERS, "nip", *_FLAGS, *_LATE_FLAGS, "off", *_LISTS, *_SINGLES, "interrupt")
# Far more than any plan that lpgen makes; and what a stack of 16 KiB has room for beside the trampolines' frames.
MAX_TEXT = 1 << 18
MAX_CALLS = 400
MAX_DEPTH = 120
MAX_BOUNDARY = 100_000
MAX_TYPE_DEPTH = 16
MAX_ARGUMENTS = 256
STACK_BYTES = 13 << 10
_CALL_BYTES = 96

_TOKEN = re.compile(r"[ \t\n]*(\.\.\.|[A-Za-z_]\w*|\d+|[][(){}*,;:=]|$)", re.ASCII)


def type_text(ctype: CType) -> str:
    """Return a type in the notation of this module."""
    if isinstance(ctype, Struct):
        return f"{{{_types_text(ctype.members)}}}"
    if isinstance(ctype, Array):
        return f"{type_text(ctype.element)}[{ctype.count}]"
    return _TEXTS[ctype]


def _types_text(types: Sequence[CType]) -> str:
    runs = ((ctype, len(list(run))) for ctype, run in groupby(types))
    return ",".join(type_text(ctype) + (f"*{count}" if count > 1 else "") for ctype, count in runs)


def shape_text(shape: CallShape) -> str:
    """Return a call's type: result, name, parameters, and behind a semicolon what is passed for the ellipsis."""
    prototype = shape.prototype
    params = _types_text(prototype.params)
    if prototype.variadic:
        params += ",..." + (f";{_types_text(shape.extra)}" if shape.extra else "")
    return f"{type_text(prototype.result)} {shape.name}({params})"


def plan_text(plan: Plan) -> str:
    """Return ``plan`` as one line that ``parse_plan`` reads back: only fields that are not at their default."""
    return " ".join(_plan_words(plan))


def _plan_words(plan: Plan) -> Iterator[str]:
    yield shape_text(plan.shape)
    yield f"seed={plan.seed}"
    if plan.nip != KEEP:
        yield f"nip={plan.nip}"
    for name, default in _DEFAULTS.items():
        value = getattr(plan, name)
        if name != "seed" and value != default:
            yield f"{name}={value}"
    yield from (name for name in (*_FLAGS, *_LATE_FLAGS) if getattr(plan, name))
    if not plan.tracing:
        yield "off"
    chain = list(_chain(plan))
    if len(chain) > 1:
        yield f"inner*{len(chain)}=[{plan_text(chain[-1])}]"
    for name in _LISTS:
        if (plans := getattr(plan, name)) and not (name == "inner" and len(chain) > 1):
            yield f"{name}=[{', '.join(plan_text(inside) for inside in plans)}]"
    for name in _SINGLES:
        if (single := getattr(plan, name)) is not None:
            yield f"{name}=[{plan_text(single)}]"
    during = plan.interrupt
    if during is not None:
        made = "" if during.plan is None else f"[{plan_text(during.plan)}]"
        yield f"interrupt={during.boundary}:{during.mode}{made}"


def _chain(plan: Plan) -> Iterator[Plan]:
    """Yield the calls below ``plan``, each inside the one before, that are the same but for what is inside the last."""
    if len(plan.inner) != 1:
        return
    first = replace(plan.inner[0], inner=())
    while len(plan.inner) == 1 and replace(plan.inner[0], inner=()) == first:
        plan = plan.inner[0]
        yield plan


def parse_plan(text: str) -> Plan:
    """Return the plan that ``text`` describes, as it stands there (not yet ``settled``).

    Raises LpgenError with the column (from 1) and what was expected.
    """
    return _Parser(text).whole()


def check_plan(plan: Plan) -> None:
    """Raise LpgenError for a settled plan whose parts exclude each other or that no stack has room for."""
    _check_parts(plan, outermost=True)
    needed = _stack_bytes(plan)
    if needed > STACK_BYTES:
        raise LpgenError(
            f"the plan's calls need {needed} bytes of one stack, {STACK_BYTES} are there",
            hint="nest fewer calls, or pass less",
        )


def _check_parts(plan: Plan, *, outermost: bool) -> None:
    if len(plan.shape.arguments) > MAX_ARGUMENTS:
        raise LpgenError(f"the plan passes {len(plan.shape.arguments)} arguments", hint=f"{MAX_ARGUMENTS} are enough")
    for wrong, why in (
        (plan.spill and not can_spill(plan.shape), "spill: C can be variadic only when all of B's arguments are of 8 "
         "bytes in registers or memory, at least one in memory, and B is not variadic"),
        (plan.sibling is not None and not can_be_sibling(plan.shape), "sibling: C can end in a call only when it has "
         "no arguments in A's frame and no hidden result"),
        (plan.stub and plan.sibling is None, "stub: only a sibling call goes through a stub"),
        (plan.beside is not None and not outermost, "beside: only the outermost call has one"),
        (plan.interrupt is not None and not outermost, "interrupt: only the outermost call has one"),
        (plan.beside is not None and plan.beside.thread == plan.thread, "beside: a call in turns needs another thread"),
    ):  # fmt: skip
        if wrong:
            raise LpgenError(f"not a plan: {why}")
    during = plan.interrupt
    if during is not None and during.plan is not None:
        _check_during(plan, during, during.plan)
    for inside in _inside(plan):
        _check_parts(inside, outermost=False)


def _check_during(plan: Plan, during: Interrupt, made: Plan) -> None:
    if during.mode == INTERRUPT_MODES[0]:
        raise LpgenError(f"not a plan: an interrupt of mode {during.mode} makes no call")
    if during.mode == INTERRUPT_MODES[2] and made.thread == plan.thread:
        raise LpgenError("not a plan: interrupt: what runs after a switch needs another thread")


def _inside(plan: Plan) -> list[Plan]:
    during = None if plan.interrupt is None else plan.interrupt.plan
    found = [*plan.inner, *plan.recursion]
    return found + [p for p in (plan.sibling, plan.beside, during) if p is not None]


def _stack_bytes(plan: Plan) -> int:
    """How much of a stack a call and the deepest of those inside it take at most, in bytes."""
    placement = plan.shape.placement
    hidden = placement.prototype.result.size + 16 if placement.hidden is not None else 0
    own = _CALL_BYTES + placement.parameter_save_area_size + hidden
    deepest = max((_stack_bytes(p) for p in _inside(plan)), default=0)
    # The tracer's own calls and an interrupt's lie below the trampolines' frame and what they need themselves.
    below = 1900 if plan.recursion or plan.interrupt is not None else 0
    return own + deepest + below


class _Parser:
    """Reads a plan from left to right; ``at`` is where the next token starts."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.calls = 0
        self._kept: tuple[int, str, int] | None = None

    def whole(self) -> Plan:
        if len(self.text) > MAX_TEXT:
            raise LpgenError(f"the plan has {len(self.text)} characters", hint=f"{MAX_TEXT} are enough for any")
        if not self.text.strip():
            self.fail("expected a call, such as long f(long*9) nip=patch")
        plan = self.call()
        if self.peek():
            self.fail("expected the name of a field or the end", _close(self.peek(), _FIELDS))
        return plan

    # Tokens

    def fail(self, expected: str, hint: str | None = None, at: int | None = None) -> NoReturn:
        start = self.start() if at is None else at
        match = re.compile(r"\w+|.|$", re.DOTALL).match(self.text, start)
        found = match[0] if match is not None and match[0] else ""
        seen = f"not {found[:20]!r}" if found else "not the end"
        raise LpgenError(f"plan, column {start + 1}: {expected}, {seen}", hint=hint)

    def start(self) -> int:
        match = re.compile(r"[ \t\n]*").match(self.text, self.at)
        return self.at if match is None else match.end()

    def peek(self) -> str:
        if self._kept is None or self._kept[0] != self.at:
            match = _TOKEN.match(self.text, self.at)
            # A sign that is in no plan is a token of its own, which nothing expects.
            start = self.start()
            self._kept = (self.at, self.text[start], start + 1) if match is None else (self.at, match[1], match.end())
        return self._kept[1]

    def take(self) -> str:
        token = self.peek()
        assert self._kept is not None
        self.at = self._kept[2]
        return token

    def accept(self, token: str) -> bool:
        if self.peek() == token:
            self.take()
            return True
        return False

    def expect(self, token: str, why: str = "") -> None:
        if not self.accept(token):
            self.fail(f"expected {token!r}{why}")

    def number(self, first: int, last: int, what: str) -> int:
        token = self.peek()
        if not token.isdecimal() or len(token) > 20 or not first <= int(token) <= last:
            self.fail(f"expected {what}, a number from {first} to {last}")
        return int(self.take())

    def name(self, what: str, among: Sequence[str] = ()) -> str:
        token = self.peek()
        if not (token[:1].isalpha() or token[:1] == "_") or (among and token not in among):
            self.fail(f"expected {what}", _close(token, among) if among else None)
        return self.take()

    def checked(self, start: int, make: Callable[[], T]) -> T:
        """Return what ``make`` returns; its LpgenError gets the column ``start``."""
        try:
            return make()
        except LpgenError as error:
            raise LpgenError(f"plan, column {start + 1}: {error.reason}", hint=error.hint) from error

    # Types

    def types(self, depth: int, closing: Sequence[str], *, members: bool = False) -> tuple[CType, ...]:
        found: list[CType] = []
        while True:
            if self.peek() == "..." and not members:
                return tuple(found)
            ctype = self.type(depth)
            while members and self.accept("["):
                start = self.start()
                count = self.number(1, 4096, "the number of elements")
                ctype = self.checked(start, lambda of=ctype, n=count: Array(of, n))  # type: ignore[misc]
                self.expect("]")
            times = self.number(1, MAX_ARGUMENTS, "how many") if self.accept("*") else 1
            found += [ctype] * times
            if len(found) > MAX_ARGUMENTS:
                self.fail(f"expected at most {MAX_ARGUMENTS} types here")
            if self.peek() in closing:
                return tuple(found)
            if not self.accept(","):
                self.fail(f"expected ',' or {' or '.join(map(repr, closing))}")

    def type(self, depth: int = 0) -> CType:
        start = self.start()
        if self.accept("{"):
            if depth >= MAX_TYPE_DEPTH:
                self.fail(f"expected structures at most {MAX_TYPE_DEPTH} deep", at=start)
            members = self.types(depth + 1, ("}",), members=True)
            made: Struct = self.checked(start, lambda: Struct(members))
            self.expect("}")
            if made.size > 4096:
                self.fail(f"expected a type of at most 4096 bytes, this one has {made.size}", at=start)
            return made
        return _NAMES[self.name("a type", tuple(_NAMES))]

    # Calls

    def call(self, depth: int = 0) -> Plan:
        self.calls += 1
        if self.calls > MAX_CALLS or depth > MAX_DEPTH:
            self.fail(f"expected at most {MAX_CALLS} calls, nested at most {MAX_DEPTH} deep")
        shape = self.shape()
        fields: dict[str, Any] = {"seed": 0}
        seen: set[str] = set()
        while (token := self.peek()) and token not in (",", "]"):
            start = self.start()
            name = self.name("the name of a field", _FIELDS)
            if name in seen:
                self.fail(f"expected each field once, {name} is there twice", at=start)
            seen.add(name)
            self.field(name, fields, depth)
        return Plan(shape, **fields)

    def shape(self) -> CallShape:
        start = self.start()
        result = self.type()
        name = self.name("the function's name")
        self.expect("(", " and the parameters' types")
        params: tuple[CType, ...] = ()
        extra: tuple[CType, ...] = ()
        variadic = False
        if not self.accept(")"):
            params = self.types(0, (")",))
            variadic = self.accept("...")
            if variadic and self.accept(";"):
                extra = self.types(0, (")",))
            self.expect(")")
        if VOID in extra:
            self.fail("expected no void among the arguments", at=start)
        prototype = self.checked(start, lambda: Prototype(result, params, variadic))
        return self.checked(start, lambda: _sized(CallShape(name, prototype, extra)))

    def field(self, name: str, fields: dict[str, Any], depth: int) -> None:
        if name in (*_FLAGS, *_LATE_FLAGS):
            fields[name] = True
            return
        if name == "off":
            fields["tracing"] = False
            return
        if name == "inner" and self.accept("*"):
            fields[name] = self.chain(depth)
            return
        self.expect("=", f" behind {name}")
        if name in _NUMBERS:
            fields[name] = self.number(*_NUMBERS[name], name)
        elif name == "nip":
            fields[name] = self.name("same or patch", (SAME, PATCH))
        elif name == "interrupt":
            boundary = self.number(1, MAX_BOUNDARY, "the boundary")
            self.expect(":", " and the interrupt's mode")
            mode = self.name(" or ".join(INTERRUPT_MODES), INTERRUPT_MODES)
            made = self.bracketed(depth) if self.peek() == "[" else None
            fields[name] = Interrupt(boundary, mode, made)
        elif name in _LISTS:
            fields[name] = self.listed(depth)
        else:
            fields[name] = self.bracketed(depth)

    def bracketed(self, depth: int) -> Plan:
        self.expect("[", " and a call")
        plan = self.call(depth + 1)
        self.expect("]")
        return plan

    def chain(self, depth: int) -> tuple[Plan, ...]:
        count = self.number(1, MAX_DEPTH, "how many")
        self.expect("=", " and the call")
        if depth + count > MAX_DEPTH:
            self.fail(f"expected calls nested at most {MAX_DEPTH} deep")
        self.calls += count - 1
        plan = last = self.bracketed(depth + count - 1)
        for _ in range(count - 1):
            plan = replace(last, inner=(plan,))
        return (plan,)

    def listed(self, depth: int) -> tuple[Plan, ...]:
        self.expect("[", " and calls")
        plans = [self.call(depth + 1)]
        while self.accept(","):
            plans.append(self.call(depth + 1))
        self.expect("]")
        return tuple(plans)


def _sized(shape: CallShape) -> CallShape:
    total = sum(round_up(ctype.size, 8) for ctype in shape.arguments)
    if total > 8192 or len(shape.arguments) > MAX_ARGUMENTS:
        raise LpgenError(f"{len(shape.arguments)} arguments of {total} bytes", hint="8192 bytes are enough")
    # Placement finds what cannot be passed.
    assert shape.placement.slots >= 0
    return shape


def _close(word: str, among: Sequence[str]) -> str:
    near = get_close_matches(word, among, 1)
    return f"did you mean {near[0]}?" if near else f"there are {', '.join(among)}"
