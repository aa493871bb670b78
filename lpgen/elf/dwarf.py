"""The types of a kernel's DWARF (versions 2 to 5), looked up by name; pyelftools reads one compilation unit at a time.

A kernel's .debug_info has 165 MB in two thousand units: to walk it takes minutes. A structure's entry holds where its
name is in .debug_str, so this number is searched for in the bytes, and only what lies around it is read.
"""

from __future__ import annotations

import re
import struct
from array import array
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Hashable, Iterator
from io import BytesIO
from typing import Any, NamedTuple

from lpgen.elf.fields import Member, Shape
from lpgen.elf.file import SHF_COMPRESSED, ElfFile
from lpgen.elf.sections import Area
from lpgen.errors import LpgenError

INFO, ABBREV, STR = ".debug_info", ".debug_abbrev", ".debug_str"
_LINE_STR, _STR_OFFSETS, _ADDR = ".debug_line_str", ".debug_str_offsets", ".debug_addr"
# Entries of a real kernel: two thousand units; a structure's name stands in each of them at most once.
MAX_UNITS = 1 << 20
MAX_UNIT = 64 << 20
MAX_HITS = 20_000
MAX_TRIED = 2_000
MAX_CHAIN = 64
MAX_CHILDREN = 100_000
# How many definitions of one name are worth looking at, and units whose names are found through .debug_str_offsets.
MAX_DEFINITIONS = 8
MAX_INDEXED_UNITS = 64
# From an entry's first byte to its name: code, size, place in the source.
MAX_LEAD = 24
UNITS_KEPT = 8
POINTER = 8

# Sections that pyelftools asks for and nothing here needs.
_UNUSED = (
    "debug_aranges",
    "debug_frame",
    "eh_frame",
    "debug_loc",
    "debug_ranges",
    "debug_line",
    "debug_pubtypes",
    "debug_pubnames",
    "debug_loclists",
    "debug_rnglists",
    "debug_sup",
    "gnu_debugaltlink",
    "debug_types",
)

_ALIASES = frozenset(
    f"DW_TAG_{kind}_type" for kind in ("const", "volatile", "restrict", "atomic", "packed", "immutable", "shared")
) | {"DW_TAG_typedef"}
_POINTERS = frozenset(f"DW_TAG_{kind}_type" for kind in ("pointer", "reference", "rvalue_reference"))
_STRUCTS = frozenset({"DW_TAG_structure_type", "DW_TAG_union_type", "DW_TAG_class_type"})
_RELATIVE = frozenset({"DW_FORM_ref1", "DW_FORM_ref2", "DW_FORM_ref4", "DW_FORM_ref8", "DW_FORM_ref_udata"})
_BLOCKS = frozenset({"DW_FORM_exprloc", "DW_FORM_block", "DW_FORM_block1", "DW_FORM_block2", "DW_FORM_block4"})
_OP_PLUS_UCONST = 0x23


class _Handle(NamedTuple):
    """An entry: the number of its unit, and where it lies in it."""

    unit: int
    offset: int


def read_dwarf(elf: ElfFile) -> Dwarf | None:
    """Return the types of the file's DWARF, None if it has none. Raises LpgenError for a damaged one."""
    info, abbrev = elf.section(INFO), elf.section(ABBREV)
    if info is None or not elf.held(info) or abbrev is None or not elf.held(abbrev):
        return None
    return Dwarf(elf)


class Dwarf:
    """The types in a file's .debug_info; ``close`` removes what was decompressed."""

    what = "DWARF"

    def __init__(self, elf: ElfFile) -> None:
        self._elf = elf
        self._areas: dict[str, Area] = {}
        self._kept: OrderedDict[int, Any] = OrderedDict()
        self._tables: dict[str, Any] = {}
        self._definitions: dict[str, list[_Handle]] = {}
        try:
            self._info = self._area(INFO)
            self._starts = self._scan()
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

    def _table(self, name: str) -> bytes:
        """Return a section as a whole, nothing when the file has none."""
        section = self._elf.section(name)
        if section is None or not self._elf.held(section):
            return b""
        if not section.flags & SHF_COMPRESSED:
            return self._elf.data(section)
        area = self._area(name)
        return area.read(0, area.size)

    def _scan(self) -> array[int]:
        """Return where each unit begins: each header names its length."""
        starts = array("Q")
        at, size = 0, self._info.size
        while at < size:
            if at + 12 > size or len(starts) >= MAX_UNITS:
                raise self._elf.damaged(f"{INFO}: a unit at {at:#x} has no header")
            length, wide = struct.unpack("<IQ", self._info.read(at, 12))
            total = wide + 12 if length == 0xFFFFFFFF else length + 4
            if total < 12 or at + total > size:
                raise self._elf.damaged(f"{INFO}: the unit at {at:#x} has {total} bytes")
            starts.append(at)
            at += total
        return starts

    def _unit_at(self, offset: int) -> int:
        return bisect_right(self._starts, offset) - 1

    def _unit(self, number: int) -> Any:
        """Return pyelftools' unit, in a .debug_info of its own. Raises LpgenError for a damaged one."""
        if number in self._kept:
            self._kept.move_to_end(number)
            return self._kept[number]
        first = self._starts[number]
        end = self._starts[number + 1] if number + 1 < len(self._starts) else self._info.size
        if end - first > MAX_UNIT:
            raise LpgenError(f"{INFO}: a unit of {end - first} bytes is more than lpgen reads", place=self._elf.place)
        from elftools.dwarf.dwarfinfo import DebugSectionDescriptor, DwarfConfig, DWARFInfo

        def described(name: str) -> Any:
            if name not in self._tables:
                data = self._table(name)
                self._tables[name] = DebugSectionDescriptor(BytesIO(data), name, 0, len(data), 0) if data else None
            return self._tables[name]

        data = self._info.read(first, end - first)
        without: dict[str, None] = dict.fromkeys(f"{name}_sec" for name in _UNUSED)
        try:
            dwarf = DWARFInfo(
                config=DwarfConfig(little_endian=True, machine_arch="64-bit PowerPC", default_address_size=8),
                debug_info_sec=DebugSectionDescriptor(BytesIO(data), INFO, 0, len(data), 0),
                debug_abbrev_sec=described(ABBREV),
                debug_str_sec=described(STR),
                debug_addr_sec=described(_ADDR),
                debug_str_offsets_sec=described(_STR_OFFSETS),
                debug_line_str_sec=described(_LINE_STR),
                **without,
            )
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

    def _entry(self, handle: _Handle) -> Any:
        """Return the entry. Raises LpgenError for one that cannot be read."""
        unit = self._unit(handle.unit)
        try:
            return self._parsed(unit, handle.offset)
        except Exception as error:
            where = self._starts[handle.unit] + handle.offset
            raise self._elf.damaged(f"{INFO}: the entry at {where:#x} cannot be read") from error

    @staticmethod
    def _parsed(unit: Any, offset: int) -> Any:
        """Return an entry without pyelftools' cache, which has an order to keep."""
        from elftools.dwarf.die import DIE

        if not unit.cu_die_offset <= offset < unit.size:
            raise ValueError(offset)
        return DIE(cu=unit, stream=unit.dwarfinfo.debug_info_sec.stream, offset=offset)

    # Structures by name

    def structs(self, name: str) -> Iterator[Hashable]:
        """Yield the first definitions of the structure, declarations left out."""
        if name not in self._definitions:
            self._definitions[name] = []
            first = next(self._search(name), None)
            if first is not None:
                self._definitions[name].append(first)
        yield from self._definitions[name]

    def _search(self, name: str) -> Iterator[_Handle]:
        wanted = name.encode() + b"\0"
        strings = self._strings()
        at, places = strings.find(wanted), list[int]()
        while at >= 0 and len(places) < MAX_DEFINITIONS:
            places.append(at)
            at = strings.find(wanted, at + 1)
        numbers = [struct.pack("<I", place) for place in places if place <= 0xFFFFFFFF]
        for patterns in (numbers, [wanted]):
            if patterns:
                yield from self._search_bytes(name, patterns)
        if places and self._elf.section(_STR_OFFSETS) is not None:
            yield from self._search_indexed(name, frozenset(numbers))

    def _strings(self) -> bytes:
        if "strings" not in self._tables:
            self._tables["strings"] = self._table(STR)
        data: bytes = self._tables["strings"]
        return data

    def _search_bytes(self, name: str, patterns: list[bytes]) -> Iterator[_Handle]:
        """Yield the structures whose DW_AT_name has one of these values."""
        # Without a lookahead: a single number is then searched for as fast as memory is read.
        pattern = re.compile(b"|".join(map(re.escape, patterns)), re.DOTALL)
        tried = 0
        for count, hit in enumerate(self._info.find(pattern, max(map(len, patterns)))):
            if count >= MAX_HITS or tried >= MAX_TRIED:
                return
            number = self._unit_at(hit)
            offset = hit - self._starts[number]
            for entry in self._entries_before(self._unit(number), offset):
                tried += 1
                if self._defines(entry, name, offset):
                    yield _Handle(number, entry.offset)
                    break

    def _entries_before(self, unit: Any, offset: int) -> Iterator[Any]:
        """Yield what may be an entry of a structure with the attribute at ``offset``, read from each byte before it."""
        stream = unit.dwarfinfo.debug_info_sec.stream
        first = max(unit.cu_die_offset, offset - MAX_LEAD)
        stream.seek(first)
        lead = stream.read(offset - first)
        table = unit.get_abbrev_table()
        for start in range(len(lead) - 1, -1, -1):
            code = _uleb(lead, start)
            try:
                if code is None or table.get_abbrev(code)["tag"] != "DW_TAG_structure_type":
                    continue
                entry = self._parsed(unit, first + start)
            except Exception:
                # These bytes are no entry.
                continue
            yield entry

    @staticmethod
    def _defines(entry: Any, name: str, offset: int) -> bool:
        named = entry.attributes.get("DW_AT_name")
        return (
            named is not None
            and named.offset == offset
            and named.value == name.encode()
            and "DW_AT_declaration" not in entry.attributes
            and "DW_AT_byte_size" in entry.attributes
        )

    def _search_indexed(self, name: str, numbers: frozenset[bytes]) -> Iterator[_Handle]:
        """Yield the structures whose name is an index into .debug_str_offsets, as clang writes DWARF 5."""
        table = self._table(_STR_OFFSETS)
        places = {at for number in numbers for at in (match.start() for match in re.finditer(re.escape(number), table))}
        tried = 0
        for number in range(len(self._starts)):
            if tried >= MAX_INDEXED_UNITS or not places:
                return
            unit = self._unit(number)
            base = unit.get_top_DIE().attributes.get("DW_AT_str_offsets_base")
            if base is None or not isinstance(base.value, int) or not 8 <= base.value <= len(table):
                continue
            length = struct.unpack_from("<I", table, base.value - 8)[0]
            inside = [at for at in places if base.value <= at < base.value - 4 + length and not (at - base.value) % 4]
            if not inside:
                continue
            tried += 1
            for entry in self._indexed(unit, [(at - base.value) // 4 for at in inside]):
                named = entry.attributes.get("DW_AT_name")
                if named is not None and self._defines(entry, name, named.offset):
                    yield _Handle(number, entry.offset)

    def _indexed(self, unit: Any, indexes: list[int]) -> Iterator[Any]:
        """Yield entries that begin with the code of a structure and one of the indexes."""
        sizes = {f"DW_FORM_strx{size}": size for size in (1, 2, 3, 4)}
        patterns: list[bytes] = []
        for code in range(1, 4096):
            try:
                abbrev = unit.get_abbrev_table().get_abbrev(code)
            except Exception:
                break
            specs = abbrev["attr_spec"]
            if abbrev["tag"] != "DW_TAG_structure_type" or not specs or specs[0].name != "DW_AT_name":
                continue
            for index in indexes:
                if specs[0].form in sizes and index < 1 << 8 * sizes[specs[0].form]:
                    patterns.append(_uleb_bytes(code) + index.to_bytes(sizes[specs[0].form], "little"))
                elif specs[0].form == "DW_FORM_strx":
                    patterns.append(_uleb_bytes(code) + _uleb_bytes(index))
        if not patterns:
            return
        stream = unit.dwarfinfo.debug_info_sec.stream
        data = stream.getvalue()
        wanted = re.compile(b"(?=" + b"|".join(map(re.escape, patterns)) + b")", re.DOTALL)
        for count, match in enumerate(wanted.finditer(data, unit.cu_die_offset)):
            if count >= MAX_TRIED:
                return
            try:
                entry = self._parsed(unit, match.start())
            except Exception:
                # These bytes are no entry.
                continue
            yield entry

    # Types

    def _type_of(self, handle: _Handle, entry: Any) -> _Handle | None:
        """Return the entry that the DW_AT_type of ``entry`` names, None for void."""
        attribute = entry.attributes.get("DW_AT_type")
        if attribute is None:
            return None
        value = attribute.value
        if attribute.form in _RELATIVE and isinstance(value, int):
            return _Handle(handle.unit, value)
        if attribute.form == "DW_FORM_ref_addr" and isinstance(value, int) and 0 <= value < self._info.size:
            number = self._unit_at(value)
            return _Handle(number, value - self._starts[number])
        raise self._elf.damaged(f"{INFO}: a type of the form {attribute.form}")

    def _bare(self, handle: Hashable) -> tuple[_Handle, Any] | None:
        """Return the type without typedefs and qualifiers, of a declared structure its definition; None for void."""
        assert isinstance(handle, _Handle)
        at: _Handle | None = handle
        for _ in range(MAX_CHAIN):
            if at is None:
                return None
            entry = self._entry(at)
            if entry.tag in _ALIASES:
                at = self._type_of(at, entry)
                continue
            if "DW_AT_declaration" in entry.attributes and entry.tag == "DW_TAG_structure_type":
                named = entry.attributes.get("DW_AT_name")
                name = named.value.decode("utf-8", "replace") if named and isinstance(named.value, bytes) else ""
                defined = next(self.structs(name), None) if name else None
                if isinstance(defined, _Handle):
                    return defined, self._entry(defined)
            return at, entry
        raise self._elf.damaged(f"{INFO}: a type stands for itself")

    def shape(self, handle: Hashable) -> Shape:
        """Return what the type is; raises LpgenError for a chain without end."""
        count, first = 1, None
        for _ in range(MAX_CHAIN):
            bare = self._bare(handle)
            if bare is None:
                return Shape("other", None)
            at, entry = bare
            size = _number(entry, "DW_AT_byte_size")
            if entry.tag != "DW_TAG_array_type":
                if size is None and entry.tag in _POINTERS:
                    size = POINTER
                if first is not None:
                    return Shape("array", None if size is None else count * size, first)
                return Shape("struct" if entry.tag in _STRUCTS else "other", size)
            element = self._type_of(at, entry)
            lengths = [self._length(child) for child in self._children(at, entry)]
            if element is None or len(lengths) != 1:
                # Arrays of several dimensions are one entry; no field that a kernel's asm-offsets names is in one.
                return Shape("other", size)
            if lengths[0] is None:
                return Shape("array", None, first or element)
            first = first or element
            count *= lengths[0]
            handle = element
        raise self._elf.damaged(f"{INFO}: an array is its own element")

    @staticmethod
    def _length(subrange: Any) -> int | None:
        count = _number(subrange, "DW_AT_count")
        if count is not None:
            return count
        upper = _number(subrange, "DW_AT_upper_bound")
        return None if upper is None else upper + 1

    def members(self, handle: Hashable) -> Iterator[Member]:
        """Yield the members of a structure or union, none of another type."""
        bare = self._bare(handle)
        if bare is None or bare[1].tag not in _STRUCTS:
            return
        at, entry = bare
        for child in self._children(at, entry):
            if child.tag != "DW_TAG_member":
                continue
            type_ = self._type_of(at, child)
            if type_ is None:
                continue
            named = child.attributes.get("DW_AT_name")
            name = named.value if named is not None else b""
            if isinstance(name, bytes):
                yield Member(name.decode("utf-8", "replace"), self._location(child), type_)

    def _location(self, member: Any) -> int:
        """Return where a member lies in its structure, in bytes; of a union's member 0."""
        attribute = member.attributes.get("DW_AT_data_member_location")
        if attribute is None:
            bits = _number(member, "DW_AT_data_bit_offset")
            return (bits or 0) // 8
        if isinstance(attribute.value, int) and attribute.value >= 0:
            return attribute.value
        if attribute.form in _BLOCKS and attribute.value and attribute.value[0] == _OP_PLUS_UCONST:
            # DWARF 2 and 3: an expression.
            offset = _uleb(bytes(attribute.value), 1)
            if offset is not None:
                return offset
        raise self._elf.damaged(f"{INFO}: a member without a place")

    def _children(self, handle: _Handle, entry: Any) -> Iterator[Any]:
        """Yield the entries right below one, in one way through the bytes, whatever siblings they name."""
        if not entry.has_children:
            return
        at, depth = handle.offset + entry.size, 0
        for _ in range(MAX_CHILDREN):
            child = self._entry(_Handle(handle.unit, at))
            at += child.size
            if child.is_null():
                if depth == 0:
                    return
                depth -= 1
                continue
            if depth == 0:
                yield child
            depth += bool(child.has_children)
        raise self._elf.damaged(f"{INFO}: a structure has more than {MAX_CHILDREN} members")


def _number(entry: Any, name: str) -> int | None:
    attribute = entry.attributes.get(name)
    return attribute.value if attribute is not None and isinstance(attribute.value, int) else None


def _uleb(data: bytes, at: int) -> int | None:
    """Return the ULEB128 number at ``at``, None when it does not end in ``data``."""
    value = 0
    for shift, byte in enumerate(data[at : at + 5]):
        value |= (byte & 0x7F) << 7 * shift
        if byte < 0x80:
            return value
    return None


def _uleb_bytes(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
