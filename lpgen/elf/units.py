"""The compilation units of a file's .debug_info, each read when it is asked for; pyelftools takes them apart.

A kernel has two thousand units in 165 MB. pyelftools is given one at a time, as a .debug_info of its own. It is let
read no more than a real kernel takes: as it goes byte by byte, hostile data would keep it busy for hours.
"""

from __future__ import annotations

import struct
from array import array
from bisect import bisect_right
from collections import OrderedDict
from inspect import signature
from io import BytesIO
from typing import Any, NamedTuple

from lpgen.elf.file import SHF_COMPRESSED, ElfFile
from lpgen.elf.sections import Area
from lpgen.errors import LpgenError

INFO, ABBREV, STR = ".debug_info", ".debug_abbrev", ".debug_str"
LINE_STR, STR_OFFSETS, ADDR = ".debug_line_str", ".debug_str_offsets", ".debug_addr"
MAX_UNITS = 1 << 20
# A real kernel's largest unit has 3 MB.
MAX_UNIT = 64 << 20
UNITS_KEPT = 8
# Bytes that pyelftools is let read, those that it reads again included. A real kernel takes 60 KB.
BUDGET = 1 << 20


class Handle(NamedTuple):
    """An entry: the number of its unit, and where it lies in it."""

    unit: int
    offset: int


class _Metered(BytesIO):
    """Bytes of which only so many are read, in all streams of a file together."""

    def __init__(self, data: bytes, meter: list[int], elf: ElfFile) -> None:
        super().__init__(data)
        self._meter = meter
        self._elf = elf

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        self._meter[0] -= len(data) or 1
        if self._meter[0] < 0:
            raise self._elf.damaged("its DWARF takes more reading than a kernel's")
        return data


class Units:
    """The units of ``elf``, numbered in their order. Raises LpgenError for headers that contradict themselves."""

    def __init__(self, elf: ElfFile) -> None:
        self._elf = elf
        self._areas: dict[str, Area] = {}
        self._kept: OrderedDict[int, Any] = OrderedDict()
        self._tables: dict[str, bytes] = {}
        self._described: dict[str, Any] = {}
        self._meter = [BUDGET]
        try:
            self.info = self._area(INFO)
            self.starts = self._scan()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Remove what was decompressed."""
        for area in self._areas.values():
            area.close()

    def _area(self, name: str) -> Area:
        if name not in self._areas:
            section = self._elf.section(name)
            assert section is not None
            self._areas[name] = Area(self._elf, section)
        return self._areas[name]

    def table(self, name: str) -> bytes:
        """Return a section as a whole, nothing when the file has none."""
        if name not in self._tables:
            section = self._elf.section(name)
            if section is None or not self._elf.held(section):
                self._tables[name] = b""
            elif section.flags & SHF_COMPRESSED:
                area = self._area(name)
                self._tables[name] = area.read(0, area.size)
            else:
                self._tables[name] = self._elf.data(section)
        return self._tables[name]

    def _scan(self) -> array[int]:
        """Return where each unit begins: each header names its length."""
        starts = array("Q")
        at, size = 0, self.info.size
        while at < size:
            if at + 12 > size or len(starts) >= MAX_UNITS:
                raise self._elf.damaged(f"{INFO}: a unit at {at:#x} has no header")
            length, wide = struct.unpack("<IQ", self.info.read(at, 12))
            total = wide + 12 if length == 0xFFFFFFFF else length + 4
            if total < 12 or at + total > size:
                raise self._elf.damaged(f"{INFO}: the unit at {at:#x} has {total} bytes")
            starts.append(at)
            at += total
        return starts

    @property
    def exhausted(self) -> bool:
        """True when all was read that may be read."""
        return self._meter[0] < 0

    def at(self, offset: int) -> int:
        """Return the number of the unit that has the byte ``offset`` of .debug_info."""
        return bisect_right(self.starts, offset) - 1

    def unit(self, number: int) -> Any:
        """Return pyelftools' unit. Raises LpgenError for a damaged one."""
        if number in self._kept:
            self._kept.move_to_end(number)
            return self._kept[number]
        first = self.starts[number]
        end = self.starts[number + 1] if number + 1 < len(self.starts) else self.info.size
        if end - first > MAX_UNIT:
            raise LpgenError(f"{INFO}: a unit of {end - first} bytes is more than lpgen reads", place=self._elf.place)
        dwarf = self._dwarf(self.info.read(first, end - first))
        try:
            unit = dwarf.get_CU_at(0)
            unit.get_abbrev_table()
            unit.get_top_DIE()
        except LpgenError:
            raise
        except Exception as error:
            # pyelftools answers damaged bytes with whatever its parsing raises.
            raise self._elf.damaged(f"{INFO}: the unit at {first:#x} cannot be read") from error
        self._kept[number] = unit
        if len(self._kept) > UNITS_KEPT:
            self._kept.popitem(last=False)
        return unit

    def _dwarf(self, info: bytes) -> Any:
        """Return pyelftools' view of one unit."""
        from elftools.dwarf.dwarfinfo import DebugSectionDescriptor, DwarfConfig, DWARFInfo

        def described(name: str, data: bytes) -> Any:
            return DebugSectionDescriptor(_Metered(data, self._meter, self._elf), name, 0, len(data), 0)

        if not self._described:
            tables = {name: self.table(name) for name in (ABBREV, STR, ADDR, STR_OFFSETS, LINE_STR)}
            self._described = {name: described(name, data) for name, data in tables.items() if data}
        sections = self._described | {INFO: described(INFO, info)}
        # Each version of pyelftools asks for some more sections.
        asked: dict[str, Any] = {
            name: sections.get(f".{name.removesuffix('_sec')}") for name in signature(DWARFInfo).parameters
        }
        asked["config"] = DwarfConfig(little_endian=True, machine_arch="64-bit PowerPC", default_address_size=8)
        return DWARFInfo(**asked)

    def entry(self, handle: Handle) -> Any:
        """Return an entry. Raises LpgenError for one that cannot be read."""
        try:
            return self.entry_in(self.unit(handle.unit), handle.offset)
        except LpgenError:
            raise
        except Exception as error:
            where = self.starts[handle.unit] + handle.offset
            raise self._elf.damaged(f"{INFO}: the entry at {where:#x} cannot be read") from error

    @staticmethod
    def entry_in(unit: Any, offset: int) -> Any:
        """Return the entry at ``offset`` of a unit, without pyelftools' cache, which has an order to keep.

        Raises whatever pyelftools does where there is none.
        """
        from elftools.dwarf.die import DIE

        if not unit.cu_die_offset <= offset < unit.size:
            raise ValueError(offset)
        return DIE(cu=unit, stream=unit.dwarfinfo.debug_info_sec.stream, offset=offset)
