"""Where a field of a C structure lies: one question, whatever the types were read from (DWARF or BTF)."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Literal, NamedTuple, Protocol

# Anonymous structures in anonymous structures; real ones are three deep.
MAX_DEPTH = 16
# Members looked at for one field: struct task_struct has some three hundred.
MAX_MEMBERS = 10_000
# Definitions of one name that are looked at.
MAX_DEFINITIONS = 8
_STEP = re.compile(r"(\w+)((?:\[\d{1,6}\])*)", re.ASCII)


class Member(NamedTuple):
    """A member: ``name`` ("" for an anonymous one), its offset in bytes, and what its type is known by."""

    name: str
    offset: int
    type: Hashable


@dataclass(frozen=True, slots=True)
class Shape:
    """What a type is when typedefs and qualifiers are taken off it.

    ``size`` is in bytes, None when it is not known; ``element`` is what the elements of an array are known by.
    """

    kind: Literal["struct", "array", "other"]
    size: int | None
    element: Hashable = None


class Types(Protocol):
    """The C types of a program. Every method raises LpgenError for a damaged file."""

    @property
    def what(self) -> str:
        """What they were read from: DWARF or BTF."""

    def structs(self, name: str) -> Iterable[Hashable]:
        """Yield what the definitions of ``struct name`` are known by."""

    def shape(self, handle: Hashable) -> Shape:
        """Return what a type is."""

    def members(self, handle: Hashable) -> Iterable[Member]:
        """Yield the members of a structure or union."""


def size_of(types: Types, struct: str) -> int | None:
    """Return the size of ``struct`` in bytes, None when ``types`` do not have it."""
    for handle in islice(types.structs(struct), MAX_DEFINITIONS):
        size = types.shape(handle).size
        if size is not None:
            return size
    return None


def offset_of(types: Types, struct: str, path: str) -> int | None:
    """Return the offset of the field ``path`` (``nip``, ``gpr[3]``, ``a.b``) in bytes, None when it is not there.

    Members of anonymous structures count as the structure's own, as in C.
    """
    for handle in islice(types.structs(struct), MAX_DEFINITIONS):
        found = _walk(types, handle, path)
        if found is not None:
            return found
    return None


def _walk(types: Types, handle: Hashable, path: str) -> int | None:
    offset = 0
    for part in path.split("."):
        step = _STEP.fullmatch(part)
        if step is None:
            return None
        member = _find(types, handle, step[1], [MAX_MEMBERS], 0)
        if member is None:
            return None
        offset += member.offset
        handle = member.type
        for index in re.findall(r"\d+", step[2]):
            shape = types.shape(handle)
            if shape.kind != "array":
                return None
            size = types.shape(shape.element).size
            if size is None:
                return None
            offset += int(index) * size
            handle = shape.element
    return offset


def _find(types: Types, handle: Hashable, name: str, left: list[int], depth: int) -> Member | None:
    if depth > MAX_DEPTH or types.shape(handle).kind != "struct":
        return None
    anonymous: list[Member] = []
    for member in types.members(handle):
        left[0] -= 1
        if left[0] < 0:
            return None
        if member.name == name:
            return member
        if not member.name:
            anonymous.append(member)
    for member in anonymous:
        found = _find(types, member.type, name, left, depth + 1)
        if found is not None:
            return Member(name, member.offset + found.offset, found.type)
    return None
