"""Executes Ghidra's p-code on numbers: what SLEIGH says of an instruction, a reading of the ISA that is not QEMU's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import pypcode
from proof_words import Bytes, Numbers

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


class _Node(NamedTuple):
    space: str
    offset: int
    size: int


class _Operation(NamedTuple):
    name: str
    inputs: tuple[_Node, ...]
    output: _Node | None


def _node(node: Any) -> _Node:
    return _Node(node.space.name, node.offset, node.size)


@cache
def _operations(word: int, address: int) -> tuple[_Operation, ...]:
    try:
        made = _context().translate(word.to_bytes(4, "little"), base_address=address)
    except pypcode.BadDataError as error:
        raise OpaqueError("no instruction") from error
    return tuple(
        _Operation(op.opcode.name, tuple(map(_node, op.inputs)), _node(op.output) if op.output else None)
        for op in made.ops
        if op.opcode.name != "IMARK"
    )


@cache
def _register(name: str) -> _Node:
    return _node(_context().registers[name])


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
_JUMPS = {"BRANCH", "CALL", "CBRANCH"}
_INDIRECT = {"BRANCHIND", "CALLIND", "RETURN"}


class _Spaces:
    """The registers and p-code's own values, as bytes; SLEIGH has this language's registers little endian."""

    def __init__(self) -> None:
        self._bytes = {"register": bytearray(0x2000), "unique": bytearray(0x100000)}

    def get(self, node: _Node) -> int:
        if node.space == "const":
            return node.offset & ((1 << 8 * node.size) - 1)
        if node.space == "ram":
            raise OpaqueError("a fixed address")
        return int.from_bytes(self._bytes[node.space][node.offset : node.offset + node.size], "little")

    def set(self, node: _Node, value: int) -> None:
        size = node.size
        cut = value & ((1 << 8 * size) - 1)
        self._bytes[node.space][node.offset : node.offset + size] = cut.to_bytes(size, "little")


def _registers(numbers: Numbers) -> dict[str, int]:
    values = {f"r{n}": value for n, value in enumerate(numbers.gpr)} | {"LR": numbers.lr, "CTR": numbers.ctr}
    values |= {f"cr{n}": numbers.cr >> 28 - 4 * n & 15 for n in range(8)}
    values |= {f"xer_{name}": numbers.xer >> bit & 1 for name, bit in XER_BITS.items()}
    return values | {"xer_count": numbers.xer & 0x7F, "XER": numbers.xer, "MSR": numbers.msr}


def execute(word: int, address: int, numbers: Numbers, memory: Bytes) -> After:
    """Execute the p-code of ``word``. Raises OpaqueError where that does not say what happens."""
    spaces = _Spaces()
    for name, value in _registers(numbers).items():
        spaces.set(_register(name), value)
    target = _run(_operations(word, address), address, spaces, memory)

    def now(name: str) -> int:
        return spaces.get(_register(name))

    cr = sum(now(f"cr{n}") << 28 - 4 * n for n in range(8))
    xer = sum(now(f"xer_{name}") << bit for name, bit in XER_BITS.items()) | now("xer_count")
    gpr = [now(f"r{n}") for n in range(32)]
    return After(Numbers(gpr, now("LR"), now("CTR"), xer, cr, numbers.msr), target)


def _run(operations: tuple[_Operation, ...], address: int, spaces: _Spaces, memory: Bytes) -> int | None:
    at = 0
    while at < len(operations):
        name, inputs, output = operations[at]
        at += 1
        if name == "CALLOTHER":
            raise OpaqueError("a user-defined operation")
        if name in _JUMPS:
            if name == "CBRANCH" and not spaces.get(inputs[1]):
                continue
            if inputs[0].space == "const":
                at += _signed(spaces.get(inputs[0]), inputs[0].size) - 1
                continue
            # What SLEIGH has conditional branches to a register skip with is no branch.
            return inputs[0].offset if inputs[0].offset != address + 4 else None
        if name in _INDIRECT:
            return spaces.get(inputs[0])
        if name == "STORE":
            size = inputs[2].size
            memory.store(const(64, spaces.get(inputs[1])), size, const(8 * size, spaces.get(inputs[2])))
            continue
        assert output is not None, name
        if name == "LOAD":
            value = memory.load(const(64, spaces.get(inputs[1])), output.size).value
            assert value is not None
        else:
            value = int(_VALUES[name]([spaces.get(one) for one in inputs], [one.size for one in inputs]))
        spaces.set(output, value)
    return None
