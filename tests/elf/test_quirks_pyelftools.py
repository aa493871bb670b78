"""What pyelftools does that lpgen goes around. A test fails when a new release mends it: then the way around can go."""

from __future__ import annotations

import io
import struct

from elftools.common.utils import struct_parse
from elftools.dwarf.structs import DWARFStructs

# More than the header below has bytes.
ANNOUNCED = 20_000


def _uleb(number: int) -> bytes:
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def test_a_line_header_with_more_directories_than_bytes_is_parsed_one_by_one() -> None:
    """lpgen/elf/lines.py: with 10^12 instead it does not return."""
    # least instruction, operations, is_stmt, line base, line range, opcode base, operands of 12 opcodes
    fixed = bytes((4, 1, 1, 0xFB, 14, 13)) + bytes((0, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 1))
    tables = b"\0" + _uleb(ANNOUNCED) + b"\0" + _uleb(0)
    header = struct.pack("<HBBI", 5, 8, 0, len(fixed + tables)) + fixed + tables
    data = struct.pack("<I", len(header)) + header
    assert len(data) < 50
    structs = DWARFStructs(little_endian=True, dwarf_format=32, address_size=8, dwarf_version=5)
    parsed = struct_parse(structs.Dwarf_lineprog_header, io.BytesIO(data), 0)
    assert len(parsed["directories"]) == ANNOUNCED
