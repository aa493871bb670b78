"""Executes Ghidra's p-code on numbers: what SLEIGH says of an instruction, a reading of the ISA that is not QEMU's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import pypcode
from proof_words import ALL, Bytes, Numbers

from lpgen.proof.state import XER_BITS
from lpgen.proof.term import const

LANGUAGE = "PowerPC:LE:64:A2ALT"


class OpaqueError(Exception):
    """The p-code leaves it to an operation that has no definition."""


@dataclass
class After:
    """What p-code made of registers; ``target`` is where it goes, None: on behind the instruction."""

    numbers: Numbers
    target: int | None


@cache
def _context() -> Any:
    return pypcode.Context(LANGUAGE)


@cache
def _operations(word: int, address: int) -> Any:
    try:
        return _context().translate(word.to_bytes(4, "little"), base_address=address)
    except pypcode.BadDataError as error:
        raise OpaqueError("no instruction") from error


def _signed(value: int, size: int) -> int:
    return value - (1 << 8 * size) if value >> (8 * size - 1) else value


# From the values of the inputs and their sizes; the result is cut to the output's size.
_VALUES: dict[str, Callable[[list[int], list[int]], int]] = {
    "COPY": lambda v, n: v[0],
    "INT_ZEXT": lambda v, n: v[0],
    "INT_SEXT": lambda v, n: _signed(v[0], n[0]),
    "INT_ADD": lambda v, n: v[0] + v[1],
    "INT_SUB": lambda v, n: v[0] - v[1],
    "INT_MULT": lambda v, n: v[0] * v[1],
    "INT_2COMP": lambda v, n: -v[0],
    "INT_NEGATE": lambda v, n: ~v[0],
    "INT_AND": lambda v, n: v[0] & v[1],
    "INT_OR": lambda v, n: v[0] | v[1],
    "INT_XOR": lambda v, n: v[0] ^ v[1],
    "INT_LEFT": lambda v, n: v[0] << v[1] if v[1] < 128 else 0,
    "INT_RIGHT": lambda v, n: v[0] >> v[1],
    "INT_SRIGHT": lambda v, n: _signed(v[0], n[0]) >> v[1],
    "INT_EQUAL": lambda v, n: v[0] == v[1],
    "INT_NOTEQUAL": lambda v, n: v[0] != v[1],
    "INT_LESS": lambda v, n: v[0] < v[1],
    "INT_LESSEQUAL": lambda v, n: v[0] <= v[1],
    "INT_SLESS": lambda v, n: _signed(v[0], n[0]) < _signed(v[1], n[1]),
    "INT_SLESSEQUAL": lambda v, n: _signed(v[0], n[0]) <= _signed(v[1], n[1]),
    "INT_CARRY": lambda v, n: (v[0] + v[1]) >> 8 * n[0],
    "INT_SCARRY": lambda v, n: not -1 << 8 * n[0] - 1 <= _signed(v[0], n[0]) + _signed(v[1], n[1]) < 1 << 8 * n[0] - 1,
    "INT_SBORROW": lambda v, n: not -1 << 8 * n[0] - 1 <= _signed(v[0], n[0]) - _signed(v[1], n[1]) < 1 << 8 * n[0] - 1,
    "BOOL_NEGATE": lambda v, n: not v[0],
    "BOOL_AND": lambda v, n: v[0] & v[1],
    "BOOL_OR": lambda v, n: v[0] | v[1],
    "BOOL_XOR": lambda v, n: v[0] ^ v[1],
    "PIECE": lambda v, n: v[0] << 8 * n[1] | v[1],
    "SUBPIECE": lambda v, n: v[0] >> 8 * v[1],
    "POPCOUNT": lambda v, n: v[0].bit_count(),
    "LZCOUNT": lambda v, n: 8 * n[0] - v[0].bit_length(),
}
_JUMPS = {"BRANCH", "CALL"}
_INDIRECT = {"BRANCHIND", "CALLIND", "RETURN"}


class _Spaces:
    """The registers and p-code's own values, as bytes; SLEIGH has this language's registers little endian."""

    def __init__(self) -> None:
        self._bytes: dict[tuple[str, int], int] = {}

    def get(self, node: Any) -> int:
        if node.space.name == "const":
            return int(node.offset) & ((1 << 8 * node.size) - 1)
        if node.space.name == "ram":
            raise OpaqueError("a fixed address")
        at = (node.space.name, node.offset)
        return sum(self._bytes.get((at[0], at[1] + n), 0) << 8 * n for n in range(node.size))

    def set(self, node: Any, value: int) -> None:
        for n in range(node.size):
            self._bytes[node.space.name, node.offset + n] = value >> 8 * n & 255


def _registers(numbers: Numbers) -> dict[str, int]:
    values = {f"r{n}": value for n, value in enumerate(numbers.gpr)} | {"LR": numbers.lr, "CTR": numbers.ctr}
    values |= {f"cr{n}": numbers.cr >> 28 - 4 * n & 15 for n in range(8)}
    values |= {f"xer_{name}": numbers.xer >> bit & 1 for name, bit in XER_BITS.items()}
    return values | {"xer_count": numbers.xer & 0x7F, "XER": numbers.xer, "MSR": numbers.msr}


def execute(word: int, address: int, numbers: Numbers, memory: Bytes) -> After:
    """Execute the p-code of ``word``. Raises OpaqueError where that does not say what happens."""
    spaces, names = _Spaces(), _context().registers
    for name, value in _registers(numbers).items():
        spaces.set(names[name], value)
    target = _run(list(_operations(word, address).ops), address, spaces, memory)

    def now(name: str) -> int:
        return spaces.get(names[name])

    cr = sum(now(f"cr{n}") << 28 - 4 * n for n in range(8))
    xer = sum(now(f"xer_{name}") << bit for name, bit in XER_BITS.items()) | now("xer_count")
    gpr = [now(f"r{n}") for n in range(32)]
    return After(Numbers(gpr, now("LR"), now("CTR"), xer, cr, numbers.msr), target)


def _run(operations: list[Any], address: int, spaces: _Spaces, memory: Bytes) -> int | None:
    at = 0
    while at < len(operations):
        operation = operations[at]
        name, inputs = operation.opcode.name, operation.inputs
        at += 1
        if name == "IMARK":
            continue
        if name == "CALLOTHER":
            raise OpaqueError("a user-defined operation")
        if name in _JUMPS or name == "CBRANCH":
            if name == "CBRANCH" and not spaces.get(inputs[1]):
                continue
            if inputs[0].space.name == "const":
                at += _signed(spaces.get(inputs[0]), inputs[0].size) - 1
                continue
            if (to := int(inputs[0].offset)) != address + 4:
                return to
            # What SLEIGH has conditional branches to a register skip with.
            return None
        if name in _INDIRECT:
            return spaces.get(inputs[0])
        if name == "LOAD":
            loaded = memory.load(const(64, spaces.get(inputs[1]) & ALL), operation.output.size).value
            assert loaded is not None
            spaces.set(operation.output, loaded)
        elif name == "STORE":
            size = inputs[2].size
            memory.store(const(64, spaces.get(inputs[1]) & ALL), size, const(8 * size, spaces.get(inputs[2])))
        elif name in _VALUES:
            value = _VALUES[name]([spaces.get(one) for one in inputs], [one.size for one in inputs])
            spaces.set(operation.output, int(value))
        else:
            raise OpaqueError(name)
    return None
