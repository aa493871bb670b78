"""Statements: lines cut at ``;``, labels taken off, macros, repetitions and conditionals of GNU as carried out."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from lpgen.assembly.model import UnknownError
from lpgen.assembly.preprocess import SourceLine
from lpgen.errors import LpgenError, Place

_LABEL = re.compile(r"\s*([A-Za-z_.$][\w.$]*|\d+)\s*:(?![:=])")
_ASSIGN = re.compile(r"\s*([A-Za-z_.$][\w.$]*)\s*(==?)(?!=)\s*(.*)", re.DOTALL)
_HEAD = re.compile(r"\s*([A-Za-z_.][\w.$]*[+-]?)(?=\s|$|[\"(%])\s*(.*)", re.DOTALL)
_PIECE = re.compile(r'"(?:\\.|[^"\\])*"|[;#]')
_PARAMETER = re.compile(r"\\(\(\)|@|[A-Za-z_$][\w.$]*)")
_NAME = re.compile(r"[A-Za-z_.$][\w.$]*")

MAX_DEPTH = 60
MAX_STATEMENTS = 500_000


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement and where it comes from. ``inside`` says which macro lines it went through, for error messages."""

    text: str
    place: Place
    template: Place | None
    inside: tuple[str, ...] = ()

    def error(self, reason: str, hint: str | None = None, *, unknown: bool = False) -> LpgenError:
        """Return an error at this statement's place that also names macro and template lines.

        ``unknown``: what is meant may be right, and lpgen does not know it.
        """
        notes = list(self.inside[:3])
        if self.template is not None:
            notes.append(f"template {self.template}")
        if notes:
            reason += f" ({', '.join(notes)})"
        return (UnknownError if unknown else LpgenError)(reason, place=self.place, hint=hint)


class Target(Protocol):
    """What the statements are carried out on: the assembler."""

    def label(self, name: str, at: Statement) -> None:
        """Define a label at the current location."""

    def assign(self, name: str, expression: str, at: Statement, *, once: bool) -> None:
        """Set a symbol to an expression; ``once`` refuses a second definition."""

    def absolute(self, expression: str, at: Statement) -> int:
        """Evaluate an expression that has to be a number now."""

    def defined(self, name: str) -> bool:
        """Tell whether a symbol is defined at this point."""

    def execute(self, head: str, rest: str, at: Statement) -> None:
        """Carry out a directive or an instruction."""


def cut(text: str) -> list[str]:
    """Cut a line at ``;`` outside strings, dropping a ``#`` comment and empty pieces."""
    if ";" not in text and "#" not in text:
        return [text]
    pieces, start = [], 0
    for match in _PIECE.finditer(text):
        if match[0] == ";":
            pieces.append(text[start : match.start()])
            start = match.end()
        elif match[0] == "#":
            text = text[: match.start()]
            break
    pieces.append(text[start:])
    return [piece for piece in pieces if piece.strip()]


def split_arguments(text: str) -> list[str]:
    """Split at commas outside strings and parentheses; no text is no argument."""
    if not text.strip():
        return []
    out, depth, start, quoted = [], 0, 0, False
    previous = ""
    for index, char in enumerate(text):
        if quoted:
            quoted = not (char == '"' and previous != "\\")
            previous = "" if previous == "\\" else char
            continue
        if char == '"':
            quoted, previous = True, ""
        elif char == "(":
            depth += 1
        elif char == ")":
            depth -= 1
        elif char == "," and depth == 0:
            out.append(text[start:index].strip())
            start = index + 1
    out.append(text[start:].strip())
    return out


def squeeze(text: str) -> str:
    """Collapse white space, and drop it beside operators, as GNU as does before it looks at a line."""
    parts = re.split(r'("(?:\\.|[^"\\])*")', text)
    for index in range(0, len(parts), 2):
        part = re.sub(r"\s+", " ", parts[index])
        parts[index] = re.sub(r" ?([-+*/%&|^~!<>=(),@]) ?", r"\1", part)
    return "".join(parts).strip()


def macro_arguments(text: str) -> list[str]:
    """Split a macro call's arguments: at commas or at white space that no operator touches."""
    out: list[str] = []
    for argument in split_arguments(squeeze(text)):
        words = re.findall(r'(?:"(?:\\.|[^"\\])*"|\([^()]*\)|[^\s"])+', argument)
        out += words or [""]
    return out


def unquote(argument: str) -> str:
    """Take the quotes off an argument that is one string."""
    if len(argument) > 1 and argument[0] == argument[-1] == '"':
        return argument[1:-1]
    return argument


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a macro."""

    name: str
    default: str = ""
    required: bool = False
    rest: bool = False


@dataclass
class Macro:
    """A .macro, or the body of a repetition."""

    name: str
    parameters: list[Parameter]
    body: list[Statement] = field(default_factory=list)


@dataclass
class _Condition:
    active: bool
    taken: bool
    outer: bool
    place: Statement
    has_else: bool = False


class Expander:
    """Runs a text's statements on a target."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._macros: dict[str, Macro] = {}
        self._queue: deque[Statement | None] = deque()
        self._conditions: list[_Condition] = []
        self._expansions = 0
        self._count = 0
        self._depth = 0
        self._condition_depths: list[int] = []

    def run(self, lines: Iterable[SourceLine], templates: Sequence[Place | None] | None, name: str) -> None:
        """Carry out all lines. Raises LpgenError at the first that cannot be."""
        for text, place in lines:
            template = None
            if templates is not None and place.file == name and place.line and place.line <= len(templates):
                template = templates[place.line - 1]
            self._queue.extend(Statement(piece, place, template) for piece in cut(text))
        while self._queue:
            statement = self._queue.popleft()
            if statement is None:
                self._leave()
            else:
                self._one(statement)
        if self._conditions:
            raise self._conditions[-1].place.error(".if without .endif")

    def _leave(self) -> None:
        self._depth -= 1
        if len(self._conditions) > self._condition_depths.pop():
            raise self._conditions[-1].place.error(".if without .endif inside a macro or repetition")

    def _one(self, at: Statement) -> None:
        self._count += 1
        if self._count > MAX_STATEMENTS:
            raise at.error(f"more than {MAX_STATEMENTS} statements", "does a macro or .rept run away?")
        text = at.text
        active = not self._conditions or self._conditions[-1].active
        while (label := _LABEL.match(text)) is not None:
            if active:
                self._target.label(label[1], at)
            text = text[label.end() :]
        if not text.strip():
            return
        assignment = _ASSIGN.match(text)
        if assignment is not None:
            if active:
                self._target.assign(assignment[1], assignment[3], at, once=assignment[2] == "==")
            return
        head = _HEAD.match(text)
        if head is None:
            if active:
                raise at.error(f"cannot read the statement '{squeeze(text)}'", unknown=True)
            return
        word, rest = head[1], head[2].strip()
        lower = word.lower()
        if self._conditional(lower, rest, at) or not active:
            return
        if lower in (".macro", ".rept", ".irp", ".irpc"):
            self._block(lower, rest, at)
        elif lower in (".endm", ".endr"):
            raise at.error(f"{lower} without its beginning")
        elif lower == ".exitm":
            self._exit(at)
        elif lower == ".purgem":
            if self._macros.pop(rest.lower(), None) is None:
                raise at.error(f"no macro '{rest}' to purge")
        elif lower in self._macros:
            self._call(self._macros[lower], rest, at)
        else:
            self._target.execute(word, rest, replace(at, text=text))

    # Conditionals

    def _conditional(self, word: str, rest: str, at: Statement) -> bool:
        stack = self._conditions
        if word.startswith(".if"):
            outer = not stack or stack[-1].active
            holds = outer and self._holds(word, rest, at)
            stack.append(_Condition(holds, holds, outer, at))
        elif word in (".else", ".elseif"):
            if not stack or stack[-1].has_else:
                raise at.error(f"{word} without .if")
            top = stack[-1]
            can = top.outer and not top.taken
            top.active = can and (word == ".else" or bool(self._target.absolute(rest, at)))
            top.taken = top.taken or top.active
            top.has_else = word == ".else"
        elif word == ".endif":
            if not stack or (self._condition_depths and len(stack) <= self._condition_depths[-1]):
                raise at.error(".endif without .if")
            stack.pop()
        else:
            return False
        return True

    def _holds(self, word: str, rest: str, at: Statement) -> bool:
        compare = {".if": "!=", ".ifne": "!=", ".ifeq": "==", ".ifgt": ">", ".ifge": ">=", ".iflt": "<", ".ifle": "<="}
        if word in compare:
            value = self._target.absolute(rest, at)
            op = compare[word]
            return (value == 0) if op == "==" else (value != 0) if op == "!=" else self._order(op, value)
        if word in (".ifdef", ".ifndef", ".ifnotdef"):
            if not _NAME.fullmatch(rest):
                raise at.error(f"{word} needs a symbol, not '{rest}'")
            return self._target.defined(rest) == (word == ".ifdef")
        if word in (".ifb", ".ifnb"):
            return (not rest) == (word == ".ifb")
        if word in (".ifc", ".ifnc", ".ifeqs", ".ifnes"):
            sides = split_arguments(rest)
            if len(sides) != 2:
                raise at.error(f"{word} compares two strings separated by a comma")
            same = unquote(squeeze(sides[0])) == unquote(squeeze(sides[1]))
            return same == (word in (".ifc", ".ifeqs"))
        raise at.error(f"unknown directive {word}", unknown=True)

    @staticmethod
    def _order(op: str, value: int) -> bool:
        return {">": value > 0, ">=": value >= 0, "<": value < 0, "<=": value <= 0}[op]

    # Macros and repetitions

    def _block(self, word: str, rest: str, at: Statement) -> None:
        body = self._body(word, at)
        if word == ".macro":
            macro = self._declare(rest, at)
            macro.body = body
            self._macros[macro.name.lower()] = macro  # GNU as does not tell LD from ld
            return
        rounds: list[dict[str, str]]
        if word == ".rept":
            times = self._target.absolute(rest, at)
            if not 0 <= times <= MAX_STATEMENTS:
                raise at.error(f".rept count {times} is out of range")
            rounds = [{}] * times
        else:
            name, *values = macro_arguments(rest) or [""]
            if not _NAME.fullmatch(name):
                raise at.error(f"{word} needs a symbol first")
            if word == ".irpc":
                values = list(unquote("".join(values)))
            rounds = [{name: unquote(value)} for value in (values or [""])]
        if len(rounds) * max(1, len(body)) > MAX_STATEMENTS:
            raise at.error(f"more than {MAX_STATEMENTS} statements", "does a macro or .rept run away?")
        self._push([self._substitute(line, values, at) for values in rounds for line in body], at)

    def _body(self, word: str, at: Statement) -> list[Statement]:
        ends = {".macro": ".endm"}.get(word, ".endr")
        body: list[Statement] = []
        nesting: list[str] = [ends]
        while self._queue:
            line = self._queue.popleft()
            if line is None:
                self._queue.appendleft(None)
                break
            text = line.text
            while (label := _LABEL.match(text)) is not None:
                text = text[label.end() :]
            first = text.split(None, 1)[0].lower() if text.strip() else ""
            if first == ".macro":
                nesting.append(".endm")
            elif first in (".rept", ".irp", ".irpc"):
                nesting.append(".endr")
            elif first in (".endm", ".endr"):
                if nesting.pop() != first:
                    raise line.error(f"{first} does not match")
                if not nesting:
                    return body
            body.append(line)
        raise at.error(f"{word} without {ends}")

    def _declare(self, rest: str, at: Statement) -> Macro:
        match = re.match(r"([A-Za-z_.$][\w.$]*)\s*,?\s*(.*)", rest, re.DOTALL)
        if match is None:
            raise at.error(".macro needs a name")
        name = match[1]
        if name.lower() in self._macros:
            raise at.error(f"macro '{name}' is already defined", "use .purgem to define it anew")
        parameters = []
        for text in macro_arguments(match[2]):
            declared = re.fullmatch(r"([A-Za-z_$][\w$]*)(:req|:vararg)?(?:=(.*))?", text, re.DOTALL)
            if declared is None:
                raise at.error(f"bad macro parameter '{text}'")
            parameters.append(
                Parameter(declared[1], unquote(declared[3] or ""), declared[2] == ":req", declared[2] == ":vararg")
            )
        if any(parameter.rest for parameter in parameters[:-1]):
            raise at.error("only the last parameter of a macro can be :vararg")
        if len({parameter.name for parameter in parameters}) < len(parameters):
            raise at.error(f"two parameters of macro '{name}' have the same name")
        return Macro(name, parameters)

    def _call(self, macro: Macro, rest: str, at: Statement) -> None:
        given: dict[str, str] = {}
        arguments = macro_arguments(rest)
        names = [parameter.name for parameter in macro.parameters]
        position = 0
        for index, argument in enumerate(arguments):
            keyword = re.match(r"([A-Za-z_$][\w$]*)=(?!=)(.*)", argument, re.DOTALL)
            if keyword is not None and keyword[1] in names:
                given[keyword[1]] = unquote(keyword[2])
                continue
            if position >= len(names):
                if not argument and index == len(arguments) - 1:
                    break  # GNU as lets a comma stand behind the last one
                raise at.error(f"macro '{macro.name}' takes {len(names)} arguments, not {len(arguments)}")
            parameter = macro.parameters[position]
            if parameter.rest:
                given[parameter.name] = ",".join(arguments[index:])
                break
            given[parameter.name] = unquote(argument)
            position += 1
        for parameter in macro.parameters:
            if not given.get(parameter.name):
                if parameter.required:
                    raise at.error(f"macro '{macro.name}' needs a value for '{parameter.name}'")
                given[parameter.name] = parameter.default
        self._expansions += 1
        given["@"] = str(self._expansions - 1)
        self._push([self._substitute(line, given, at, macro.name) for line in macro.body], at)

    def _substitute(self, line: Statement, values: dict[str, str], at: Statement, macro: str = "") -> Statement:
        def value(match: re.Match[str]) -> str:
            name = match[1]
            return "" if name == "()" else values.get(name, match[0])

        text = _PARAMETER.sub(value, line.text) if "\\" in line.text else line.text
        inside = (f"in macro {macro} at {line.place}", *at.inside) if macro else at.inside
        # The person's own line is the one that calls the macro; for a repetition it is the line itself.
        place, template = (at.place, at.template) if macro or at.inside else (line.place, line.template)
        return Statement(text, place, template, inside)

    def _push(self, statements: list[Statement], at: Statement) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise at.error(f"macros nested more than {MAX_DEPTH} deep", "does a macro call itself?")
        self._condition_depths.append(len(self._conditions))
        pieces: list[Statement | None] = [replace(s, text=piece) for s in statements for piece in cut(s.text)]
        self._queue.extendleft(reversed([*pieces, None]))

    def _exit(self, at: Statement) -> None:
        if not self._condition_depths:
            raise at.error(".exitm outside a macro")
        while self._queue and self._queue[0] is not None:
            self._queue.popleft()
        del self._conditions[self._condition_depths[-1] :]
