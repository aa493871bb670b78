"""``source_lines``: where each instruction was written, out of the .debug_line of an object built with -g.

DWARF 2 to 5 (DWARF 5, section 6.2). It is an extra: of a table that is damaged or too long nothing is taken.

Not pyelftools: up to 0.33 it does not return from a header of 40 bytes that announces 10^12 directories of no size
(tests/elf/test_quirks_pyelftools.py), and it resolves an object's addresses as if every section were at 0.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import NamedTuple

# An object of the kernel has some ten thousand rows.
MAX_ROWS = 500_000
MAX_FILES = 20_000
_SET_ADDRESS, _DEFINE_FILE, _END_SEQUENCE = 2, 3, 1
_PATH, _DIRECTORY = 1, 2
_FIXED = {0x0B: 1, 0x05: 2, 0x06: 4, 0x07: 8, 0x1E: 16}
_STRING, _UDATA, _BLOCK, _STRP, _LINE_STRP = 0x08, 0x0F, 0x09, 0x0E, 0x1F


class Row(NamedTuple):
    """Bytes ``first`` to ``end`` of a section, and where they were written."""

    first: int
    end: int
    file: str
    line: int


class _Damaged(Exception):
    pass


class _Reader:
    def __init__(self, data: bytes, at: int, end: int) -> None:
        if end > len(data):
            raise _Damaged
        self.data, self.at, self.end = data, at, end

    def number(self, size: int) -> int:
        if size > self.end - self.at:
            raise _Damaged
        self.at += size
        return int.from_bytes(self.data[self.at - size : self.at], "little")

    def leb(self, *, signed: bool = False) -> int:
        value = shift = 0
        while True:
            byte = self.number(1)
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value - (1 << shift) if signed and byte & 0x40 else value
            if shift > 70:
                raise _Damaged

    def string(self) -> str:
        end = self.data.find(b"\0", self.at, min(self.end, self.at + 4096))
        if end < 0:
            raise _Damaged
        text = self.data[self.at : end].decode("utf-8", "replace")
        self.at = end + 1
        return text


class LineTable:
    """Reads a .debug_line ``data``; ``strings`` are .debug_str and .debug_line_str.

    ``starts`` are the relocations of its addresses: by byte offset in ``data``, a section's key and an offset in it.
    """

    def __init__(self, data: bytes, strings: tuple[bytes, bytes], starts: Mapping[int, tuple[str, int]]) -> None:
        self._data, self._strings, self._starts = data, strings, starts
        self._rows: dict[str, list[Row]] = {}
        self._count = 0

    def rows(self) -> dict[str, list[Row]]:
        """Return the rows of each section by offset; nothing of a table that cannot be read."""
        at = 0
        try:
            while at < len(self._data):
                at = self._unit(at)
        except (_Damaged, struct.error):
            return {}
        return {section: sorted(rows) for section, rows in self._rows.items()}

    def _unit(self, at: int) -> int:
        reader = _Reader(self._data, at, len(self._data))
        length, wide = reader.number(4), 4
        if length == 0xFFFFFFFF:
            length, wide = reader.number(8), 8
        end = reader.at + length
        reader = _Reader(self._data, reader.at, end)
        version = reader.number(2)
        if not 2 <= version <= 5:
            return end
        if version == 5:
            reader.number(2)
        header = reader.number(wide)
        program = reader.at + header
        least = reader.number(1)
        if version >= 4:
            reader.number(1)
        reader.number(1)
        base = reader.number(1)
        span = reader.number(1)
        first_special = reader.number(1)
        operands = [reader.number(1) for _ in range(first_special - 1)]
        if version == 5:
            folders = [name for name, _ in self._entries(reader, wide)]
            files = self._entries(reader, wide)
        else:
            folders, files = [""], [("", 0)]
            while name := reader.string():
                folders.append(name)
            while name := reader.string():
                files.append((name, reader.leb()))
                reader.leb()
                reader.leb()
        names = [self._name(name, folder, folders) for name, folder in files]
        code = _Reader(self._data, program, end)
        self._run(code, names, least, (base - (base >> 7 << 8), span, first_special), operands)
        return end

    def _entries(self, reader: _Reader, wide: int) -> list[tuple[str, int]]:
        formats = [(reader.leb(), reader.leb()) for _ in range(reader.number(1))]
        count = reader.leb()
        if count > MAX_FILES or not formats:
            if count:
                raise _Damaged
            return []
        found = []
        for _ in range(count):
            name, folder = "", 0
            for kind, form in formats:
                value = self._value(reader, form, wide)
                if kind == _PATH:
                    name = str(value)
                elif kind == _DIRECTORY and isinstance(value, int):
                    folder = value
            found.append((name, folder))
        return found

    def _value(self, reader: _Reader, form: int, wide: int) -> str | int:
        if form == _STRING:
            return reader.string()
        if form in (_STRP, _LINE_STRP):
            table = self._strings[form == _LINE_STRP]
            at = reader.number(wide)
            return _Reader(table, min(at, len(table)), len(table)).string()
        if form == _UDATA:
            return reader.leb()
        if form == _BLOCK:
            reader.number(reader.leb())
            return 0
        if form not in _FIXED:
            raise _Damaged
        return reader.number(_FIXED[form])

    @staticmethod
    def _name(name: str, folder: int, folders: list[str]) -> str:
        # Directory 0 is where the compiler ran: a person there names the file without it.
        if folder == 0 or folder >= len(folders) or name.startswith("/") or folders[folder] == folders[0]:
            return name
        return f"{folders[folder].rstrip('/')}/{name}"

    def _run(
        self, code: _Reader, names: list[str], least: int, special: tuple[int, int, int], operands: list[int]
    ) -> None:
        base, span, first_special = special
        start: dict[str, int] = {"address": 0, "file": 1, "line": 1}
        state = dict(start)
        section: str | None = None
        last: tuple[int, int, int] | None = None

        def emit() -> None:
            nonlocal last
            if last is not None and section is not None and state["address"] > last[0]:
                file = names[last[1]] if last[1] < len(names) else ""
                if file and last[2] > 0:
                    self._rows.setdefault(section, []).append(Row(last[0], state["address"], file, last[2]))
            last = (state["address"], state["file"], state["line"])
            self._count += 1
            if self._count > MAX_ROWS:
                raise _Damaged

        while code.at < code.end:
            opcode = code.number(1)
            if opcode >= first_special:
                if not span:
                    raise _Damaged
                step = opcode - first_special
                state["address"] += step // span * least
                state["line"] += base + step % span
                emit()
            elif opcode == 0:
                length = code.leb()
                end = code.at + length
                if not length or end > code.end:
                    raise _Damaged
                extended = code.number(1)
                if extended == _SET_ADDRESS:
                    section, state["address"] = self._starts.get(code.at, (None, 0))
                elif extended == _END_SEQUENCE:
                    emit()
                    state, section, last = dict(start), None, None
                code.at = end
            elif opcode == 1:
                emit()
            elif opcode == 2:
                state["address"] += code.leb() * least
            elif opcode == 3:
                state["line"] += code.leb(signed=True)
            elif opcode == 4:
                state["file"] = code.leb()
            elif opcode == 8:
                if not span:
                    raise _Damaged
                state["address"] += (255 - first_special) // span * least
            elif opcode == 9:
                state["address"] += code.number(2)
            else:
                for _ in range(operands[opcode - 1]):
                    code.leb()


def source_lines(
    data: bytes, strings: tuple[bytes, bytes], starts: Mapping[int, tuple[str, int]]
) -> dict[str, list[Row]]:
    """Return where the instructions of each section were written, in order of their offsets; {} where it says nothing.

    ``data`` is the .debug_line with the offsets of its strings filled in, ``strings`` are .debug_str and
    .debug_line_str, ``starts`` the section and offset in it that each address in ``data`` is, by its byte offset.
    """
    return LineTable(data, strings, starts).rows()
