"""What a kernel's own machine code shows: the instructions that names.toml and features.toml describe.

Only the instructions that their patterns are made of are decoded (Power ISA, Book I): by their fields.
"""

from __future__ import annotations

import re
import struct
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cache

from lpgen.elf.file import SHT_NOBITS, ElfFile
from lpgen.kernel.names import Name

# The longest entry point has some 130 instructions.
MAX_FUNCTION = 1024
# How many instructions of a function are its beginning.
BEGINNING = 8
# A kernel's .text has some 20 MB.
TEXT_LIMIT = 128 << 20
GAP = "..."
_PLACE = "@"
_D_FORM = {32: "lwz", 34: "lbz"}
_DS_FORM = {(58, 0): "ld", (62, 0): "std", (62, 1): "stdu"}
_SPR = {1: "xer", 8: "lr", 9: "ctr"}
_BCTRL = 0x4E800421

Token = str | int


@dataclass(frozen=True, slots=True)
class Shown:
    """A number that the code shows, and the instruction that has it: ``ftrace_caller+0x30: lbz r3,572(r13)``.

    ``doubt`` is what in the rest of the kernel's text says otherwise.
    """

    value: int
    at: str
    doubt: str = ""


def decode(word: int) -> tuple[Token, ...]:
    """Return mnemonic and operands of an instruction, registers and displacements as numbers; () for any other."""
    opcode, rt, ra = word >> 26, word >> 21 & 31, word >> 16 & 31
    low = (word & 0xFFFF ^ 0x8000) - 0x8000
    if opcode in _D_FORM:
        return _D_FORM[opcode], rt, low, ra
    if (opcode, word & 3) in _DS_FORM:
        return _DS_FORM[opcode, word & 3], rt, low & ~3, ra
    if opcode == 14:
        return ("addi", rt, ra, low) if ra else ("li", rt, low)
    if opcode == 11 and rt & 3 == 1:
        return "cmpdi", ra, low
    if opcode == 30 and word >> 2 & 7 == 1:
        return "rldicr", ra, rt
    if opcode == 31:
        minor, spr = word >> 1 & 0x3FF, word >> 16 & 31 | (word >> 11 & 31) << 5
        if minor in (339, 467) and spr in _SPR:
            return f"{'mf' if minor == 339 else 'mt'}{_SPR[spr]}", rt
        if minor in (19, 83) and not ra:
            return "mfcr" if minor == 19 else "mfmsr", rt
    return ("bctrl",) if word == _BCTRL else ()


def text_of(instruction: tuple[Token, ...]) -> str:
    """Return a decoded instruction as it is written."""
    name, *operands = instruction
    if len(operands) == 3 and name not in ("addi", "rldicr"):
        return f"{name} r{operands[0]},{operands[1]}(r{operands[2]})"
    registers = {"addi": 2, "rldicr": 2}.get(str(name), 1)
    return f"{name} {','.join(f'r{o}' if i < registers else str(o) for i, o in enumerate(operands))}".rstrip()


@cache
def _tokens(pattern: str) -> tuple[Token, ...]:
    name, *operands = re.split(r"[\s,()]+", pattern.rstrip(") "))
    tokens: list[Token] = [name]
    for operand in operands:
        number = operand.removeprefix("r")
        tokens.append(int(number) if number.lstrip("-").isdecimal() else operand)
    return tuple(tokens)


def _fits(instruction: tuple[Token, ...], pattern: str, bound: dict[str, int]) -> dict[str, int] | None:
    """Return what the names of a pattern stand for when it describes the instruction, None when it does not."""
    tokens = _tokens(pattern)
    if len(tokens) != len(instruction) or tokens[0] != instruction[0]:
        return None
    bound = dict(bound)
    for token, operand in zip(tokens[1:], instruction[1:], strict=True):
        assert isinstance(operand, int)
        if token == "*":
            continue
        name, value = ("N", -operand) if token == "-N" else (token, operand)
        if isinstance(name, int):
            if name != value:
                return None
        elif bound.setdefault(name, value) != value:
            return None
    return bound


def _match(
    code: list[tuple[Token, ...]], at: int, pattern: tuple[str, ...], bound: dict[str, int]
) -> dict[str, int] | None:
    """Return what the names of a pattern stand for where it describes the code from ``at`` on; None where not.

    ``_PLACE`` is which instruction has N.
    """
    if not pattern:
        return bound
    head, rest = pattern[0], pattern[1:]
    if head == GAP:
        # A gap ends at the first instruction that will do.
        head, rest = rest[0], rest[1:]
        at = next((later for later in range(at, len(code)) if _fits(code[later], head, bound) is not None), len(code))
    if at >= len(code) or (fitted := _fits(code[at], head, bound)) is None:
        return None
    if "N" in fitted and "N" not in bound:
        fitted[_PLACE] = at
    return _match(code, at + 1, rest, fitted)


class Code:
    """The functions of a kernel in which its patterns are looked for, read when they are asked for."""

    def __init__(self, elf: ElfFile, functions: Collection[str]) -> None:
        self._elf = elf
        self.addresses = {
            name: symbols[0].value
            for name, symbols in elf.symbols(functions).items()
            if (section := elf.section_at(symbols[0].value)) is not None and section.type != SHT_NOBITS
        }
        self._functions: dict[str, list[tuple[Token, ...]]] = {}

    def function(self, name: str) -> list[tuple[Token, ...]]:
        """Return the instructions of a function, up to the next one that is known; none when it is not there."""
        if name not in self._functions:
            start = self.addresses.get(name)
            if start is None:
                self._functions[name] = []
            else:
                later = [other for other in self.addresses.values() if other > start]
                size = min([MAX_FUNCTION, *(other - start for other in later)]) & ~3
                words = struct.unpack(f"<{size // 4}I", self._elf.memory(start, size))
                self._functions[name] = [decode(word) for word in words]
        return self._functions[name]

    def find(self, name: Name) -> Shown | None:
        """Return what the code shows of a constant, None when it shows nothing."""
        for function in name.where:
            found = list(self._places(function, name.code))
            if found:
                shown = max(found, key=lambda place: place.value) if name.pick == "largest" else found[0]
                return Shown(shown.value + name.add, shown.at)
        return None

    def _places(self, function: str, patterns: Collection[tuple[str, ...]]) -> Iterator[Shown]:
        code = self.function(function)
        for pattern in patterns:
            for at in range(len(code)):
                bound = _match(code, at, pattern, {})
                if bound is None:
                    continue
                where = bound[_PLACE]
                yield Shown(bound["N"], f"{function}+{where * 4:#x}: {text_of(code[where])}")

    def begins(
        self, where: Collection[str], pattern: tuple[str, ...], other: tuple[str, ...]
    ) -> tuple[bool, str] | None:
        """Tell whether ``pattern`` is among the first instructions of a function of ``where``, and of which.

        None when none of the functions has even ``other`` there.
        """
        for function in where:
            code = self.function(function)[:BEGINNING]
            if any(_match(code, at, other, {}) is not None for at in range(len(code))):
                return any(_match(code, at, pattern, {}) is not None for at in range(len(code))), function
        return None


def most_common(elf: ElfFile, pattern: str) -> tuple[int, int, int] | None:
    """Return the number that most loads ``ld RT, N(RA)`` of .text have, how many have it, and how many there are.

    None when there is no .text, or no such load.
    """
    section = elf.section(".text")
    if section is None or section.type == SHT_NOBITS or section.size > TEXT_LIMIT:
        return None
    _, target, _, base = _tokens(pattern)
    assert isinstance(base, int)
    targets = range(32) if target == "*" else [int(target)]
    pairs = {bytes([(rt & 7) << 5 | base, 0xE8 | rt >> 3]) for rt in targets}
    loads = re.compile(
        b"[%b](?s:.)(?:%b)"
        % (
            b"".join(re.escape(bytes([low])) for low in range(0, 256, 4)),
            b"|".join(re.escape(pair) for pair in sorted(pairs)),
        )
    )
    data = elf.data(section)
    counts = Counter(data[at : at + 2] for at in (m.start() for m in loads.finditer(data)) if not at % 4)
    if not counts:
        return None
    number, count = counts.most_common(1)[0]
    return struct.unpack("<h", number)[0], count, counts.total()
