"""The types of a kernel's DWARF (versions 2 to 5), looked up by name.

To walk a kernel's .debug_info takes minutes. A structure's entry holds where its name is in .debug_str, so this number
is searched for in the bytes, and only what lies around it is read.
"""

from __future__ import annotations

import re
import struct
from bisect import bisect_left
from collections.abc import Hashable, Iterator
from typing import Any

from lpgen.elf.fields import Member, Shape
from lpgen.elf.file import ElfFile
from lpgen.elf.units import ABBREV, INFO, STR, STR_OFFSETS, Handle, Units
from lpgen.errors import LpgenError

# A structure's name stands in each of two thousand units at most once.
MAX_HITS = 20_000
MAX_CHAIN = 64
MAX_CHILDREN = 10_000
# How many places of one name in .debug_str are looked for.
MAX_PLACES = 8
# From an entry's first byte to its name: code, size, place in the source.
MAX_LEAD = 24
MAX_CODE = 4096
# How many members of a structure have to have a type.
MEMBERS_CHECKED = 8
POINTER = 8

_ALIASES = frozenset(
    f"DW_TAG_{kind}_type" for kind in ("const", "volatile", "restrict", "atomic", "packed", "immutable", "shared")
) | {"DW_TAG_typedef"}
_POINTERS = frozenset(f"DW_TAG_{kind}_type" for kind in ("pointer", "reference", "rvalue_reference"))
_STRUCT = "DW_TAG_structure_type"
_STRUCTS = frozenset({_STRUCT, "DW_TAG_union_type", "DW_TAG_class_type"})
_TYPES = (
    _ALIASES
    | _POINTERS
    | _STRUCTS
    | {f"DW_TAG_{kind}_type" for kind in ("base", "array", "enumeration", "subroutine", "unspecified")}
)
_RELATIVE = frozenset({"DW_FORM_ref1", "DW_FORM_ref2", "DW_FORM_ref4", "DW_FORM_ref8", "DW_FORM_ref_udata"})
_BLOCKS = frozenset({"DW_FORM_exprloc", "DW_FORM_block", "DW_FORM_block1", "DW_FORM_block2", "DW_FORM_block4"})
_INDEX_BYTES = {f"DW_FORM_strx{size}": size for size in (1, 2, 3, 4)}
_OP_PLUS_UCONST = 0x23


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
        self._units = Units(elf)
        self._definitions: dict[str, list[Handle]] = {}
        self._shapes: dict[Hashable, Shape] = {}
        self._members: dict[Hashable, tuple[Member, ...]] = {}

    def close(self) -> None:
        """Remove what was decompressed."""
        self._units.close()

    # Structures by name

    def structs(self, name: str) -> Iterator[Hashable]:
        """Yield the first definition of the structure, declarations left out."""
        if name not in self._definitions:
            first = next(self._search(name), None)
            self._definitions[name] = [] if first is None else [first]
        yield from self._definitions[name]

    def _search(self, name: str) -> Iterator[Handle]:
        wanted = name.encode() + b"\0"
        strings = self._units.table(STR)
        at, places = strings.find(wanted), list[int]()
        while at >= 0 and len(places) < MAX_PLACES:
            places.append(at)
            at = strings.find(wanted, at + 1)
        numbers = [struct.pack("<I", place) for place in places if place <= 0xFFFFFFFF]
        # The name itself stands in the entry where the compiler saw no use in .debug_str.
        for patterns in (numbers, [wanted]):
            if patterns:
                yield from self._search_bytes(name, patterns)
        yield from self._search_indexed(name, numbers)

    def _search_bytes(self, name: str, patterns: list[bytes]) -> Iterator[Handle]:
        """Yield the structures whose DW_AT_name has one of these values."""
        # Without a lookahead: a single number is then searched for as fast as memory is read.
        pattern = re.compile(b"|".join(map(re.escape, patterns)), re.DOTALL)
        for count, hit in enumerate(self._units.info.find(pattern, max(map(len, patterns)))):
            if count >= MAX_HITS:
                return
            number = self._units.at(hit)
            offset = hit - self._units.starts[number]
            for entry in self._entries_before(self._units.unit(number), offset):
                if _defines(entry, name, offset) and self._is_whole(Handle(number, entry.offset), entry):
                    yield Handle(number, entry.offset)
                    break

    def _is_whole(self, handle: Handle, entry: Any) -> bool:
        """Tell whether what was found by its bytes is an entry: whether what is below it makes sense.

        A number that is where the name is may be something else, a type's place, behind a byte that is a code.
        """
        size = _number(entry, "DW_AT_byte_size")
        if not size or not entry.has_children:
            return False
        try:
            children, end = self._below(handle, entry)
            members = [child for child in children if child.tag == "DW_TAG_member"]
            sibling = entry.attributes.get("DW_AT_sibling")
            if not members or (sibling is not None and sibling.form in _RELATIVE and sibling.value != end):
                return False
            if any(self._location(member) > size for member in members):
                return False
            types = [self._type_of(handle, member) for member in members[:MEMBERS_CHECKED]]
            return all(type_ is not None and str(self._units.entry(type_).tag) in _TYPES for type_ in types)
        except LpgenError:
            if self._units.exhausted:
                raise
            return False

    def _entries_before(self, unit: Any, offset: int) -> Iterator[Any]:
        """Yield what may be an entry of a structure with the attribute at ``offset``, read from each byte before it."""
        stream = unit.dwarfinfo.debug_info_sec.stream
        first = max(unit.cu_die_offset, offset - MAX_LEAD)
        lead = stream.getbuffer()[first:offset].tobytes()
        table = unit.get_abbrev_table()
        for start in range(len(lead) - 1, -1, -1):
            code = _uleb(lead, start)
            try:
                if code is None or table.get_abbrev(code)["tag"] != _STRUCT:
                    continue
                entry = self._units.entry_in(unit, first + start)
            except LpgenError:
                raise
            except Exception:
                # These bytes are no entry.
                continue
            yield entry

    def _search_indexed(self, name: str, numbers: list[bytes]) -> Iterator[Handle]:
        """Yield the structures whose name is an index into .debug_str_offsets, as clang writes DWARF 5."""
        table = self._units.table(STR_OFFSETS) if numbers else b""
        found = (match.start() for number in numbers for match in re.finditer(re.escape(number), table))
        places = sorted(at for at, _ in zip(found, range(MAX_HITS), strict=False))
        for number in self._units_of(places, table):
            unit = self._units.unit(number)
            base = unit.get_top_DIE().attributes.get("DW_AT_str_offsets_base")
            if base is None or not isinstance(base.value, int) or not 8 <= base.value <= len(table):
                continue
            end = base.value - 4 + struct.unpack_from("<I", table, base.value - 8)[0]
            indexes = [(at - base.value) // 4 for at in places if base.value <= at < end and not (at - base.value) % 4]
            for entry in self._indexed(unit, indexes[:MAX_PLACES]):
                named = entry.attributes.get("DW_AT_name")
                handle = Handle(number, entry.offset)
                if named is not None and _defines(entry, name, named.offset) and self._is_whole(handle, entry):
                    yield handle

    def _units_of(self, places: list[int], table: bytes) -> Iterator[int]:
        """Yield the units whose part of .debug_str_offsets has one of ``places``: there is one for each, in order."""
        at = 0
        for number in range(len(self._units.starts)):
            if at + 8 > len(table):
                return
            end = at + 4 + int(struct.unpack_from("<I", table, at)[0])
            first = bisect_left(places, at)
            if first < len(places) and places[first] < end:
                yield number
            at = end

    def _indexed(self, unit: Any, indexes: list[int]) -> Iterator[Any]:
        """Yield entries that begin with the code of a structure and one of the indexes."""
        patterns = self._beginnings(unit.get_abbrev_table(), indexes)
        if not patterns:
            return
        pattern = re.compile(b"|".join(map(re.escape, patterns)), re.DOTALL)
        data = unit.dwarfinfo.debug_info_sec.stream.getvalue()
        for count, match in enumerate(pattern.finditer(data, unit.cu_die_offset)):
            if count >= MAX_HITS:
                return
            try:
                entry = self._units.entry_in(unit, match.start())
            except LpgenError:
                raise
            except Exception:
                # These bytes are no entry.
                continue
            yield entry

    @staticmethod
    def _beginnings(table: Any, indexes: list[int]) -> list[bytes]:
        """Return the bytes with which structures begin whose names have these ``indexes``."""
        patterns: list[bytes] = []
        for code in range(1, MAX_CODE):
            try:
                abbrev = table.get_abbrev(code)
            except KeyError:
                break
            specs = abbrev["attr_spec"]
            if abbrev["tag"] != _STRUCT or not specs or specs[0].name != "DW_AT_name":
                continue
            size = _INDEX_BYTES.get(specs[0].form, 0)
            for index in indexes:
                if size and index < 1 << 8 * size:
                    patterns.append(_uleb_bytes(code) + index.to_bytes(size, "little"))
                elif specs[0].form == "DW_FORM_strx":
                    patterns.append(_uleb_bytes(code) + _uleb_bytes(index))
        return patterns

    # Types

    def _type_of(self, handle: Handle, entry: Any) -> Handle | None:
        """Return the entry that the DW_AT_type of ``entry`` names, None for void."""
        attribute = entry.attributes.get("DW_AT_type")
        if attribute is None:
            return None
        value = attribute.value
        if attribute.form in _RELATIVE and isinstance(value, int):
            return Handle(handle.unit, value)
        if attribute.form == "DW_FORM_ref_addr" and isinstance(value, int) and 0 <= value < self._units.info.size:
            number = self._units.at(value)
            return Handle(number, value - self._units.starts[number])
        raise self._elf.damaged(f"{INFO}: a type of the form {attribute.form}")

    def _bare(self, handle: Hashable) -> tuple[Handle, Any] | None:
        """Return the type without typedefs and qualifiers, of a declared structure its definition; None for void."""
        assert isinstance(handle, Handle)
        at: Handle | None = handle
        for _ in range(MAX_CHAIN):
            if at is None:
                return None
            entry = self._units.entry(at)
            if entry.tag in _ALIASES:
                at = self._type_of(at, entry)
                continue
            if "DW_AT_declaration" in entry.attributes and entry.tag == _STRUCT:
                defined = next(self.structs(_name(entry)), None) if _name(entry) else None
                if isinstance(defined, Handle):
                    return defined, self._units.entry(defined)
            return at, entry
        raise self._elf.damaged(f"{INFO}: a type stands for itself")

    def shape(self, handle: Hashable) -> Shape:
        """Return what the type is; raises LpgenError for a chain without end."""
        if handle not in self._shapes:
            self._shapes[handle] = self._shape(handle)
        return self._shapes[handle]

    def _shape(self, handle: Hashable) -> Shape:
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
            lengths = [_length(child) for child in self._below(at, entry)[0]]
            if element is None or len(lengths) != 1:
                # Arrays of several dimensions are one entry; no field that a kernel's asm-offsets names is in one.
                return Shape("other", size)
            if lengths[0] is None:
                return Shape("array", None, first or element)
            first = first or element
            count *= lengths[0]
            handle = element
        raise self._elf.damaged(f"{INFO}: an array is its own element")

    def members(self, handle: Hashable) -> tuple[Member, ...]:
        """Return the members of a structure or union, none of another type."""
        if handle not in self._members:
            self._members[handle] = tuple(self._read_members(handle))
        return self._members[handle]

    def _read_members(self, handle: Hashable) -> Iterator[Member]:
        bare = self._bare(handle)
        if bare is None or bare[1].tag not in _STRUCTS:
            return
        at, entry = bare
        for child in self._below(at, entry)[0]:
            type_ = self._type_of(at, child) if child.tag == "DW_TAG_member" else None
            if type_ is not None:
                yield Member(_name(child), self._location(child), type_)

    def _location(self, member: Any) -> int:
        """Return where a member lies in its structure, in bytes; of a union's member 0."""
        attribute = member.attributes.get("DW_AT_data_member_location")
        if attribute is None:
            return (_number(member, "DW_AT_data_bit_offset") or 0) // 8
        if isinstance(attribute.value, int) and attribute.value >= 0:
            return attribute.value
        if attribute.form in _BLOCKS and attribute.value and attribute.value[0] == _OP_PLUS_UCONST:
            # DWARF 2 and 3: an expression.
            offset = _uleb(bytes(attribute.value), 1)
            if offset is not None:
                return offset
        raise self._elf.damaged(f"{INFO}: a member without a place")

    def _below(self, handle: Handle, entry: Any) -> tuple[list[Any], int]:
        """Return the entries right below one and where they end: one way through the bytes, whatever siblings say."""
        children: list[Any] = []
        at, depth = handle.offset + entry.size, 0
        if not entry.has_children:
            return children, at
        for _ in range(MAX_CHILDREN):
            child = self._units.entry(Handle(handle.unit, at))
            at += child.size
            if child.is_null():
                if depth == 0:
                    return children, at
                depth -= 1
                continue
            if depth == 0:
                children.append(child)
            depth += bool(child.has_children)
        raise self._elf.damaged(f"{INFO}: a structure has more than {MAX_CHILDREN} members")


def _defines(entry: Any, name: str, offset: int) -> bool:
    """Tell whether an entry defines the structure ``name``, its DW_AT_name being at ``offset``."""
    named = entry.attributes.get("DW_AT_name")
    return (
        named is not None
        and named.offset == offset
        and named.value == name.encode()
        and "DW_AT_declaration" not in entry.attributes
        and "DW_AT_byte_size" in entry.attributes
    )


def _name(entry: Any) -> str:
    """Return the name of an entry, "" for one without."""
    named = entry.attributes.get("DW_AT_name")
    return named.value.decode("utf-8", "replace") if named is not None and isinstance(named.value, bytes) else ""


def _number(entry: Any, name: str) -> int | None:
    attribute = entry.attributes.get(name)
    return attribute.value if attribute is not None and isinstance(attribute.value, int) else None


def _length(subrange: Any) -> int | None:
    """Return how many elements an array's entry for its length says, None when it does not say."""
    count = _number(subrange, "DW_AT_count")
    upper = _number(subrange, "DW_AT_upper_bound")
    return count if count is not None else None if upper is None else upper + 1


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
