"""The directives of GNU as that change sections, symbols and data. An unknown one is an error, never dropped."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Literal, cast

from lpgen.assembly import expr
from lpgen.assembly.expr import ExpressionError, Node, UnknownExpressionError
from lpgen.assembly.layout import MAX_SECTION, Layout
from lpgen.assembly.model import SymbolType
from lpgen.assembly.statements import Statement, split_arguments, unquote

# (size in bytes, expression, statement): data whose value is known only when all labels are.
Datum = tuple[int, expr.Parsed, Statement]

# .word is two bytes for this target, a trap for who comes from another one.
_SIZES = {".byte": 1, ".short": 2, ".2byte": 2, ".hword": 2, ".word": 2, ".long": 4, ".4byte": 4, ".int": 4}
_SIZES |= {".quad": 8, ".llong": 8, ".8byte": 8}
# Debug and toolchain notes that leave the code as it is.
_IGNORED = frozenset((".file", ".loc", ".ident", ".machine", ".extern", ".gnu_attribute"))
_TYPES: dict[str, SymbolType] = {"function": "func", "object": "object", "notype": "notype"}
_TYPES |= {"STT_FUNC": "func", "STT_OBJECT": "object", "STT_NOTYPE": "notype"}
_VISIBILITY = {".internal": 1, ".hidden": 2, ".protected": 3}
_STRING_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]+|[0-7]{1,3}|.)", re.DOTALL)
_SIMPLE = {"n": 10, "t": 9, "r": 13, "b": 8, "f": 12, "\\": 92, '"': 34}
_SYMBOL = re.compile(r"[A-Za-z_.$][\w.$]*")
NOP = (0x60000000).to_bytes(4, "little")
GROUP_NOP = (0x60420000).to_bytes(4, "little")


class Directives:
    """Carries out directives on a Layout; data with an expression goes to ``datum``."""

    def __init__(self, layout: Layout, datum: Callable[[Datum], None]) -> None:
        self.layout = layout
        self._datum = datum
        self._table: dict[str, Callable[[str, list[str], Statement], None]] = {
            ".section": self._section,
            ".pushsection": self._pushsection,
            ".popsection": self._popsection,
            ".previous": self._previous,
            ".globl": self._binding,
            ".global": self._binding,
            ".weak": self._binding,
            ".local": self._binding,
            ".type": self._type,
            ".size": self._size,
            ".set": self._set,
            ".equ": self._set,
            ".equiv": self._set,
            ".align": self._align,
            ".p2align": self._align,
            ".balign": self._align,
            ".org": self._org,
            ".space": self._space,
            ".skip": self._space,
            ".zero": self._space,
            ".fill": self._fill,
            ".ascii": self._string,
            ".asciz": self._string,
            ".string": self._string,
            ".abiversion": self._abiversion,
            ".localentry": self._localentry,
            ".error": self._error,
            ".err": self._error,
        }
        self._table |= dict.fromkeys((".text", ".data", ".bss", ".rodata"), self._plain_section)
        self._table |= dict.fromkeys(_VISIBILITY, self._visibility)
        self._table |= dict.fromkeys(_SIZES, self._data)

    def execute(self, word: str, rest: str, at: Statement) -> None:
        """Carry out one directive. Raises LpgenError at the statement, or ExpressionError for a bad expression."""
        word = word.lower()
        handler = self._table.get(word)
        if handler is not None:
            handler(word, split_arguments(rest), at)
        elif word not in _IGNORED and not word.startswith(".cfi_"):
            raise at.error(f"unknown directive {word}", unknown=True)

    # Helpers

    def _parse(self, text: str) -> expr.Parsed:
        parsed = expr.parse(text, self.layout)
        if parsed.rest:
            raise ExpressionError(f"cannot read '{parsed.rest}' behind the expression")
        return parsed

    def _node(self, text: str) -> Node:
        parsed = self._parse(text)
        if parsed.modifier:
            raise ExpressionError(f"@{parsed.modifier} has no meaning here")
        return parsed.node

    def number(self, text: str) -> int:
        """Evaluate an expression that has to be a number now."""
        return self.layout.number(self._node(text))

    @staticmethod
    def _count(word: str, args: list[str], low: int, high: int, at: Statement) -> None:
        if not low <= len(args) <= high:
            raise at.error(f"{word} takes {low}{'' if low == high else f' to {high}'} operands, not {len(args)}")

    @staticmethod
    def _symbol(text: str, at: Statement) -> str:
        if not _SYMBOL.fullmatch(text) or text in (".", "$"):
            raise at.error(f"'{text}' is not a symbol name")
        return text

    # Sections

    def _plain_section(self, word: str, args: list[str], at: Statement) -> None:
        if args:
            raise at.error(
                f"subsections ({word} {args[0]}) are not supported", "use a section of its own", unknown=True
            )
        self.layout.enter(self.layout.part(word, None, None))

    def _section(self, word: str, args: list[str], at: Statement) -> None:
        if len(args) > 4:
            raise at.error(f"{word} with {len(args)} operands, a group's, is not supported", unknown=True)
        self._count(word, args, 1, 4, at)
        name = unquote(args[0])
        if not re.fullmatch(r"[\w.$-]+", name):
            raise at.error(f"'{name}' is not a section name")
        flags, kind = None, None
        if len(args) > 1:
            given = unquote(args[1])
            if given == args[1]:
                raise at.error(f"section flags {args[1]} need quotes", unknown=True)
            unknown = set(given) - set("awxMS")
            if unknown:
                raise at.error(f"section flags '{given}': {''.join(sorted(unknown))} is not supported", unknown=True)
            # M and S allow a linker to merge equal constants. Not merging them is right, too.
            flags = "".join(flag for flag in "awx" if flag in given)
        if len(args) > 2:
            match = re.fullmatch(r"[@%](progbits|nobits|note)", args[2])
            if match is None:
                raise at.error(
                    f"section type '{args[2]}' is not supported", "use @progbits, @nobits or @note", unknown=True
                )
            kind = cast('Literal["progbits", "nobits", "note"]', match[1])
        if len(args) > 3:
            self.number(args[3])  # the size of a mergeable element: has to be a number, is not used
        if name in self.layout.names:
            raise at.error(f"'{name}' is a symbol already and cannot be a section")
        self.layout.enter(self.layout.part(name, flags, kind))

    def _pushsection(self, word: str, args: list[str], at: Statement) -> None:
        kept = (self.layout.current, self.layout.previous)
        self._section(word, args, at)
        self.layout.pushed.append(kept)

    def _popsection(self, word: str, args: list[str], at: Statement) -> None:
        self._count(word, args, 0, 0, at)
        if not self.layout.pushed:
            raise at.error(".popsection without .pushsection")
        self.layout.current, self.layout.previous = self.layout.pushed.pop()

    def _previous(self, word: str, args: list[str], at: Statement) -> None:
        self._count(word, args, 0, 0, at)
        self.layout.enter(self.layout.previous)

    # Symbols

    def _binding(self, word: str, args: list[str], at: Statement) -> None:
        self._count(word, args, 1, 1000, at)
        for arg in args:
            symbol = self.layout.name(self._symbol(arg, at))
            if word == ".weak":
                symbol.binding = "weak"
            elif word == ".local":
                symbol.binding = "local"
            elif symbol.binding != "weak":
                symbol.binding = "global"

    def _visibility(self, word: str, args: list[str], at: Statement) -> None:
        self._count(word, args, 1, 1000, at)
        for arg in args:
            self.layout.name(self._symbol(arg, at)).visibility = _VISIBILITY[word]

    def _type(self, word: str, args: list[str], at: Statement) -> None:
        if len(args) == 1:
            args = args[0].split(None, 1)
        self._count(word, args, 2, 2, at)
        kind = unquote(args[1]).lstrip("@%#")
        if kind not in _TYPES:
            raise at.error(
                f"symbol type '{args[1]}' is not supported", "use @function, @object or @notype", unknown=True
            )
        self.layout.name(self._symbol(args[0], at)).type = _TYPES[kind]

    def _size(self, word: str, args: list[str], at: Statement) -> None:
        self._count(word, args, 2, 2, at)
        self.layout.name(self._symbol(args[0], at)).size = (self._node(args[1]), at)

    def _set(self, word: str, args: list[str], at: Statement) -> None:
        self._count(word, args, 2, 2, at)
        self.assign(args[0], args[1], at, once=word == ".equiv")

    def assign(self, name: str, expression: str, at: Statement, *, once: bool) -> None:
        """Set a symbol, or move the location counter (``. = expression``)."""
        if name == ".":
            self._org(".org", [expression], at)
            return
        if name in self.layout.parts:
            raise at.error(f"'{name}' is a section and cannot be a symbol")
        self.layout.assign(self._symbol(name, at), expression, at, once=once)

    def _abiversion(self, word: str, args: list[str], at: Statement) -> None:
        if [self.number(arg) for arg in args] != [2]:
            raise at.error(".abiversion: only ELFv2 (2) is supported")

    def _localentry(self, word: str, args: list[str], at: Statement) -> None:
        self._count(word, args, 2, 2, at)
        self.layout.name(self._symbol(args[0], at)).local_entry = (self._node(args[1]), at)

    # Space and data

    def _align(self, word: str, args: list[str], at: Statement) -> None:
        self._count(word, args, 0 if word != ".balign" else 1, 3, at)
        if args and not args[-1]:
            raise at.error(f"{word}: an operand is missing behind the comma")
        given = self.number(args[0]) if args and args[0] else 0
        if word == ".balign":
            size = max(given, 1)
            if given < 0 or size & (size - 1):
                raise at.error(f".balign {given} is not a power of two")
        else:
            if not 0 <= given <= 16:
                raise at.error(
                    f"{word} {given}: the power of two must be 0..16",
                    "on ppc .align 2 means 4 bytes",
                    unknown=given > 16,
                )
            size = 1 << given
        part = self.layout.current
        padding = -part.size % size
        limit = self.number(args[2]) if len(args) > 2 and args[2] else 0
        if limit and padding > limit:
            return
        part.align = max(part.align, size)
        if len(args) > 1 and args[1]:
            part.append(bytes([self.number(args[1]) & 0xFF]) * padding, at)
        elif "x" in part.flags:
            part.append(_code_padding(padding), at)
        else:
            part.append(bytes(padding), at)

    def _org(self, word: str, args: list[str], at: Statement) -> None:
        self._count(word, args, 1, 2, at)
        part = self.layout.current
        value = self.layout.fold(self.layout.evaluate(self._node(args[0])))
        target = value.const
        for key, count in value.terms.items():
            place = self.layout.location(key)
            if place is None or count != 1 or place[0] != part.name or len(value.terms) > 1:
                raise at.error(f"{word} needs a location in the current section, {part.name}")
            target += place[1]
        if target < part.size:
            raise at.error(f"{word} moves back from {part.size} to {target} in section {part.name}")
        fill = self.number(args[1]) if len(args) > 1 else 0
        self._pad(target - part.size, fill, at)

    def _space(self, word: str, args: list[str], at: Statement) -> None:
        self._count(word, args, 1, 2, at)
        size = self.number(args[0])
        self._pad(size, self.number(args[1]) if len(args) > 1 else 0, at)

    def _pad(self, size: int, fill: int, at: Statement) -> None:
        if not 0 <= size <= MAX_SECTION:
            raise at.error(f"{size} bytes of space is out of range 0..{MAX_SECTION}")
        self.layout.current.append(bytes([fill & 0xFF]) * size, at)

    def _fill(self, word: str, args: list[str], at: Statement) -> None:
        self._count(word, args, 1, 3, at)
        repeat, size, value = (*(self.number(arg) for arg in args), *(1, 0)[len(args) - 1 :])
        if not 0 <= size <= 8 or not 0 <= repeat <= MAX_SECTION or repeat * size > MAX_SECTION:
            raise at.error(f".fill {repeat},{size}: out of range")
        # GNU as takes four bytes of the value; the rest of an element is zero.
        element = (value & 0xFFFFFFFF).to_bytes(8, "little")[:size]
        self.layout.current.append(element * repeat, at)

    def _data(self, word: str, args: list[str], at: Statement) -> None:
        size = _SIZES[word]
        if "" in args:
            raise UnknownExpressionError("missing operand")
        for arg in args:
            self._datum((size, self._parse(arg), at))
            self.layout.current.append(bytes(size), at)

    def _string(self, word: str, args: list[str], at: Statement) -> None:
        for arg in args:
            if not re.fullmatch(r'"(?:\\.|[^"\\])*"', arg, re.DOTALL):
                raise at.error(f"{word} needs a string in quotes, not '{arg}'", unknown=arg.startswith('"'))
            self.layout.current.append(_bytes_of(arg[1:-1], at) + (b"" if word == ".ascii" else b"\0"), at)

    def _error(self, word: str, args: list[str], at: Statement) -> None:
        raise at.error(unquote(args[0]) if args else f"{word} was reached")


def _code_padding(size: int) -> bytes:
    """Return what GNU as 2.40 puts before an aligned instruction, for its default CPU, which is -mpower8 -many, too.

    Nops; the last one is ori 2,2,0, which ends a dispatch group (-mpower4, as the kernel's own Makefile has it, makes
    it a nop like the others); a branch leads over more than four. Zeros when the size is no whole number of words.
    """
    if size % 4:
        return bytes(size)
    words = size // 4
    if words < 2:
        return GROUP_NOP * words
    first = (0x48000000 | size).to_bytes(4, "little") if words > 4 else NOP
    return first + NOP * (words - 2) + GROUP_NOP


def _bytes_of(text: str, at: Statement) -> bytes:
    out = bytearray()
    last = 0
    for match in _STRING_ESCAPE.finditer(text):
        out += text[last : match.start()].encode("utf-8")
        last = match.end()
        code = match[1]
        if code[0] == "x" and len(code) > 1:
            out.append(int(code[1:], 16) & 0xFF)
        elif code[0] in "01234567":
            if len(code) < 3 and text[last : last + 1].isdigit():
                # GNU as reads 8 and 9 as octal digits here.
                raise at.error(
                    f"bad octal escape \\{code}{text[last]} in a string", "write three octal digits", unknown=True
                )
            out.append(int(code, 8) & 0xFF)
        elif code in _SIMPLE:
            out.append(_SIMPLE[code])
        else:
            raise at.error(f"unknown escape \\{code} in a string", unknown=True)
    return bytes(out + text[last:].encode("utf-8"))
