"""Debugging information for gdb (DWARF 4, line table of DWARF 3): lines of the source, variables and their types."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lpgen.assembly.elf import RawSection
from lpgen.debugger.leb import signed, unsigned

# Abbreviations, each: tag, whether it has children, attributes with their forms.
_UNIT, _BASE, _VARIABLE, _STRUCT, _MEMBER, _ARRAY, _RANGE = range(1, 8)
_STRING, _DATA1, _DATA2, _REF4, _ADDR, _EXPR, _OFFSET = 0x08, 0x0B, 0x05, 0x13, 0x01, 0x18, 0x17
_AT_LOCATION, _AT_NAME, _AT_SIZE, _AT_STMT, _AT_LOW, _AT_LANGUAGE = 0x02, 0x03, 0x0B, 0x10, 0x11, 0x13
_AT_UPPER, _AT_AT, _AT_ENCODING, _AT_TYPE, _AT_RANGES = 0x2F, 0x38, 0x3E, 0x49, 0x55
_ABBREVIATIONS = (
    (
        _UNIT,
        0x11,
        True,
        (
            (_AT_NAME, _STRING),
            (_AT_LANGUAGE, _DATA2),
            (_AT_LOW, _ADDR),
            (_AT_RANGES, _OFFSET),
            (_AT_STMT, _OFFSET),
        ),
    ),
    (_BASE, 0x24, False, ((_AT_NAME, _STRING), (_AT_SIZE, _DATA1), (_AT_ENCODING, _DATA1))),
    (_VARIABLE, 0x34, False, ((_AT_NAME, _STRING), (_AT_TYPE, _REF4), (_AT_LOCATION, _EXPR))),
    (_STRUCT, 0x13, True, ((_AT_NAME, _STRING), (_AT_SIZE, _DATA2))),
    (_MEMBER, 0x0D, False, ((_AT_NAME, _STRING), (_AT_TYPE, _REF4), (_AT_AT, _DATA2))),
    (_ARRAY, 0x01, True, ((_AT_TYPE, _REF4),)),
    (_RANGE, 0x21, False, ((_AT_UPPER, _DATA1),)),
)
_LANGUAGE_ASSEMBLER = 0x8001
_UNSIGNED, _OP_ADDR = 7, 3
_OPCODE_LENGTHS = bytes((0, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 1))
_COPY, _ADVANCE_PC, _ADVANCE_LINE, _SET_FILE = 1, 2, 3, 4


@dataclass(frozen=True, slots=True)
class SourceRow:
    """The instruction at ``address`` is line ``line`` of ``file``.

    Two for the same address say that a function begins there whose prologue is empty: gdb leaves its breakpoint there.
    """

    address: int
    file: str
    line: int


def debug_sections(
    name: str,
    sequences: Sequence[tuple[Sequence[SourceRow], int]],
    variables: Mapping[str, int],
    pt_regs: int,
    members: Mapping[str, int],
) -> list[RawSection]:
    """Return the sections of one unit ``name``.

    ``sequences`` are runs of instructions, each with the address behind it. ``variables`` are unsigned long, by
    address; ``pt_regs``, at its address unless that is 0, is a structure with gpr[32] and unsigned long ``members`` by
    offset.
    """
    ranges = b"".join(struct.pack("<QQ", rows[0].address, end) for rows, end in sequences if rows) + bytes(16)
    return [
        _section(".debug_abbrev", _abbreviations()),
        _section(".debug_info", _info(name, variables, pt_regs, members)),
        _section(".debug_ranges", ranges),
        _section(".debug_line", _lines([(rows, end) for rows, end in sequences if rows])),
    ]


def _section(name: str, data: bytes) -> RawSection:
    return RawSection(name, "progbits", data=data, size=len(data))


def _abbreviations() -> bytes:
    made = bytearray()
    for code, tag, children, attributes in _ABBREVIATIONS:
        made += bytes((code, tag, children))
        for attribute in attributes:
            made += bytes(attribute)
        made += bytes(2)
    return bytes(made) + b"\0"


def _text(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape").replace(b"\0", b"?") + b"\0"


def _info(name: str, variables: Mapping[str, int], pt_regs: int, members: Mapping[str, int]) -> bytes:
    body = bytearray(struct.pack("<HIB", 4, 0, 8))
    # Offsets of a DIE count from the unit's length, which is not in ``body`` yet.
    body += bytes([_UNIT]) + _text(name) + struct.pack("<HQII", _LANGUAGE_ASSEMBLER, 0, 0, 0)
    number = 4 + len(body)
    body += bytes([_BASE]) + _text("unsigned long") + bytes((8, _UNSIGNED))
    if pt_regs:
        array = 4 + len(body)
        body += bytes([_ARRAY]) + struct.pack("<I", number) + bytes((_RANGE, 31, 0))
        structure = 4 + len(body)
        body += (
            bytes([_STRUCT]) + _text("pt_regs") + struct.pack("<H", max([256, *(at + 8 for at in members.values())]))
        )
        for member, kind, at in (("gpr", array, 0), *((name, number, at) for name, at in members.items())):
            body += bytes([_MEMBER]) + _text(member) + struct.pack("<IH", kind, at)
        body += b"\0"
        body += _variable("pt_regs", structure, pt_regs)
    for variable, address in variables.items():
        body += _variable(variable, number, address)
    body += b"\0"
    return struct.pack("<I", len(body)) + bytes(body)


def _variable(name: str, kind: int, address: int) -> bytes:
    return bytes([_VARIABLE]) + _text(name) + struct.pack("<IBBQ", kind, 9, _OP_ADDR, address)


def _lines(sequences: Sequence[tuple[Sequence[SourceRow], int]]) -> bytes:
    files = list(dict.fromkeys(row.file for rows, _ in sequences for row in rows))
    tables = bytearray(b"\0")
    for file in files:
        tables += _text(file) + bytes(3)
    tables += b"\0"
    # Instructions of 4 bytes; no special opcodes are used.
    header = bytes((4, 1, 0, 1, len(_OPCODE_LENGTHS) + 1)) + _OPCODE_LENGTHS + bytes(tables)
    program = bytearray()
    for rows, end in sequences:
        program += bytes((0, 9, 2)) + struct.pack("<Q", rows[0].address)
        at, line, current = rows[0].address, 1, 0
        for row in rows:
            number = files.index(row.file)
            if row.address != at:
                program += bytes([_ADVANCE_PC]) + unsigned((row.address - at) // 4)
            if number != current:
                program += bytes([_SET_FILE]) + unsigned(number + 1)
            if row.line != line:
                program += bytes([_ADVANCE_LINE]) + signed(row.line - line)
            program.append(_COPY)
            at, line, current = row.address, row.line, number
        program += bytes([_ADVANCE_PC]) + unsigned((end - at) // 4) + bytes((0, 1, 1))
    body = struct.pack("<HI", 3, len(header)) + header + bytes(program)
    return struct.pack("<I", len(body)) + body
