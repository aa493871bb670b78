"""BTF, the type format of the kernel's BPF verifier, as the section .BTF of a vmlinux holds it.

Documentation/bpf/btf.rst in the kernel's tree describes it. No library on PyPI reads it. Only where each type begins
and the names of structures are looked at in advance: a kernel has a hundred and fifty thousand types.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Hashable, Iterator

from lpgen.elf.fields import Member, Shape
from lpgen.elf.file import ElfFile
from lpgen.errors import LpgenError

SECTION = ".BTF"
MAGIC, VERSION = 0xEB9F, 1
# A kernel's BTF has some 5 MB.
SIZE_LIMIT = 32 << 20
# The kernel's names have up to 512 bytes.
MAX_NAME = 1024
# A name stands once among the strings, and as the end of a few others.
MAX_PLACES = 64
# Typedefs of const of volatile of typedefs ...
MAX_CHAIN = 64
POINTER = 8

_HEADER = struct.Struct("<HBBIIIII")
_TYPE = struct.Struct("<III")
_ARRAY = struct.Struct("<III")
_MEMBER = struct.Struct("<III")
(
    INT,
    PTR,
    ARRAY,
    STRUCT,
    UNION,
    ENUM,
    FWD,
    TYPEDEF,
    VOLATILE,
    CONST,
    RESTRICT,
    FUNC,
    FUNC_PROTO,
    VAR,
    DATASEC,
    FLOAT,
    DECL_TAG,
    TYPE_TAG,
    ENUM64,
) = range(1, 20)
# Bytes behind a type's first 12: fixed, and for each of its vlen entries. Kind 0 is no type.
_FIXED = {INT: 4, ARRAY: _ARRAY.size, VAR: 4, DECL_TAG: 4}
_EACH = {STRUCT: 12, UNION: 12, ENUM: 8, FUNC_PROTO: 8, DATASEC: 12, ENUM64: 12}
_LENGTHS = [None, *((_FIXED.get(kind, 0), _EACH.get(kind, 0)) for kind in range(1, ENUM64 + 1))]
# Kinds that only stand before another type.
_ALIASES = frozenset({TYPEDEF, VOLATILE, CONST, RESTRICT, TYPE_TAG})
# Their third word is a size in bytes; of the others it is a type, or nothing.
_SIZED = frozenset({INT, STRUCT, UNION, ENUM, DATASEC, FLOAT, ENUM64})


def read_btf(elf: ElfFile) -> Btf | None:
    """Return the types of the file's .BTF, None if it has none. Raises LpgenError for a damaged one."""
    section = elf.section(SECTION)
    if section is None or not elf.held(section):
        return None
    if section.size > SIZE_LIMIT:
        raise LpgenError(f"a {SECTION} of {section.size} bytes is more than lpgen reads", place=elf.place)
    return Btf(elf.data(section), elf)


class Btf:
    """The types of one .BTF section. Raises LpgenError for what contradicts the format."""

    what = "BTF"

    def __init__(self, data: bytes, elf: ElfFile) -> None:
        self._elf = elf
        if len(data) < _HEADER.size:
            raise elf.damaged(f"{SECTION} has {len(data)} bytes, less than its header")
        magic, version, _, header, type_off, type_len, str_off, str_len = _HEADER.unpack_from(data)
        if magic != MAGIC or version != VERSION:
            raise elf.damaged(f"{SECTION} begins with {magic:#x}, version {version}")
        types, strings = header + type_off, header + str_off
        if header < _HEADER.size or types + type_len > len(data) or strings + str_len > len(data):
            raise elf.damaged(f"{SECTION} says that it is larger than it is")
        self._types = data[types : types + type_len]
        self._strings = data[strings : strings + str_len]
        if self._strings[:1] != b"\0" or self._strings[-1:] != b"\0":
            raise elf.damaged(f"the names of {SECTION} have no end")
        self._starts, self._structs = self._index()

    def _index(self) -> tuple[array[int], dict[int, list[int]]]:
        """Return where each type begins, type 0 (void) left out, and the numbers of the structures by their names."""
        data, unpack, lengths = self._types, _TYPE.unpack_from, _LENGTHS
        starts = array("I")
        add = starts.append
        structs: dict[int, list[int]] = {}
        at, last = 0, len(data) - _TYPE.size
        while at <= last:
            name, info, _ = unpack(data, at)
            kind = info >> 24 & 0x1F
            length = lengths[kind] if kind < len(lengths) else None
            if length is None or info & 0x60FF0000:
                raise self._elf.damaged(f"{SECTION}: type {len(starts) + 1} is of the unknown kind {kind}")
            add(at)
            if kind == STRUCT and name:
                structs.setdefault(name, []).append(len(starts))
            at += 12 + length[0] + length[1] * (info & 0xFFFF)
        if at != len(data):
            raise self._elf.damaged(f"{SECTION}: its last type has no end")
        return starts, structs

    def structs(self, name: str) -> Iterator[Hashable]:
        """Yield the numbers of the structures ``name``."""
        wanted = name.encode() + b"\0"
        at = -1
        for _ in range(MAX_PLACES):
            at = self._strings.find(wanted, at + 1)
            if at < 0:
                return
            yield from self._structs.get(at, ())

    def _type(self, number: Hashable) -> tuple[int, int, int, int]:
        """Return where type ``number`` begins, its kind, its vlen with the kind flag in bit 31, its third word."""
        assert isinstance(number, int)
        if not 0 < number <= len(self._starts):
            raise self._elf.damaged(f"{SECTION} names the type {number} of {len(self._starts)}")
        at = self._starts[number - 1]
        _, info, third = _TYPE.unpack_from(self._types, at)
        return at, info >> 24 & 0x1F, info & 0x8000FFFF, third

    def _bare(self, number: Hashable) -> Hashable:
        """Return the type that ``number`` is when typedefs and qualifiers are taken off; 0 is void."""
        for _ in range(MAX_CHAIN):
            if number == 0:
                return 0
            _, kind, _, third = self._type(number)
            if kind not in _ALIASES:
                return number
            number = third
        raise self._elf.damaged(f"{SECTION}: a type stands for itself")

    def shape(self, handle: Hashable) -> Shape:
        """Return what the type is; raises LpgenError for a chain without end."""
        number = self._bare(handle)
        count = 1
        first: Shape | None = None
        # Arrays of arrays are one type each: their size is that of the innermost element, times each length.
        for _ in range(MAX_CHAIN):
            if number == 0:
                return first or Shape("other", None)
            at, kind, _, third = self._type(number)
            if kind != ARRAY:
                size = third if kind in _SIZED else POINTER if kind == PTR else None
                if first is not None:
                    return Shape("array", None if size is None else count * size, first.element)
                return Shape("struct" if kind in (STRUCT, UNION) else "other", size)
            element, _, length = _ARRAY.unpack_from(self._types, at + _TYPE.size)
            first = first or Shape("array", None, element)
            count *= length
            number = self._bare(element)
        raise self._elf.damaged(f"{SECTION}: an array is its own element")

    def members(self, handle: Hashable) -> Iterator[Member]:
        """Yield the members of a structure or union, none of another type."""
        at, kind, vlen, _ = self._type(self._bare(handle))
        if kind not in (STRUCT, UNION):
            return
        first = at + _TYPE.size
        end = first + (vlen & 0xFFFF) * _MEMBER.size
        for name, type_, offset in _MEMBER.iter_unpack(self._types[first:end]):
            # With the kind flag a bitfield's size stands in the top 8 bits.
            bits = offset & 0xFFFFFF if vlen >> 31 else offset
            yield Member(self._name(name), bits // 8, type_)

    def _name(self, offset: int) -> str:
        if not offset:
            return ""
        end = self._strings.find(b"\0", offset, offset + MAX_NAME)
        if end < 0:
            raise self._elf.damaged(f"{SECTION}: a name lies outside its strings, or has no end")
        return self._strings[offset:end].decode("utf-8", "replace")
