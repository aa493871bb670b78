"""C types as data: size, alignment, members, and the C text that names them.

The types are those that kernel functions take and return on ppc64le: integers, bool, pointers, float, double, 128-bit
vectors, structures. Left out, because kernel code has none of them: long double, _Float128, the decimal floats and
_Complex; left out because they add no new path through the registers: unions, bit-fields, over-aligned and
packed types.

All sizes, alignments and offsets are in bytes. Alignment is natural, as ELFv2 has it (section 2.1.2, "Fundamental
Types" and "Aggregates and Unions"). Types are frozen: equal types are the same C type, and they can be dict keys.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from lpgen.errors import LpgenError

_VECTOR_MODE = {1: "v16qi", 2: "v8hi", 4: "v4si", 8: "v2di"}
_FLOAT_VECTOR_MODE = {4: "v4sf", 8: "v2df"}
_INTEGER_NAMES = {
    1: ("unsigned char", "signed char"),
    2: ("unsigned short", "short"),
    4: ("unsigned int", "int"),
    8: ("unsigned long", "long"),
    16: ("unsigned __int128", "__int128"),
}
_LONGEST_TAG = 40


def round_up(value: int, to: int) -> int:
    """The smallest multiple of ``to`` that is not below ``value``."""
    return -(-value // to) * to


@dataclass(frozen=True)
class Void:
    """No value: the result of a function that returns nothing."""

    size = 0
    alignment = 1
    c_name = "void"
    code = "v"
    is_homogeneous = False


@dataclass(frozen=True)
class Integer:
    """A signed or unsigned integer of ``size`` 1, 2, 4, 8 or 16 (__int128) bytes."""

    size: int
    signed: bool = True
    is_homogeneous = False

    def __post_init__(self) -> None:
        if self.size not in _INTEGER_NAMES:
            raise LpgenError(f"there is no integer of {self.size} bytes", hint="use 1, 2, 4, 8 or 16")

    @property
    def alignment(self) -> int:
        """Natural alignment in bytes: the size."""
        return self.size

    @property
    def c_name(self) -> str:
        """The C spelling."""
        return _INTEGER_NAMES[self.size][self.signed]

    @property
    def code(self) -> str:
        """A short name that can be part of a C identifier."""
        return f"{'i' if self.signed else 'u'}{8 * self.size}"


@dataclass(frozen=True)
class Bool:
    """_Bool: one byte, 0 or 1."""

    size = 1
    alignment = 1
    c_name = "_Bool"
    code = "b"
    is_homogeneous = False


@dataclass(frozen=True)
class Pointer:
    """A pointer to anything: 8 bytes."""

    size = 8
    alignment = 8
    c_name = "void *"
    code = "p"
    is_homogeneous = False


@dataclass(frozen=True)
class Float:
    """float (``size`` 4) or double (``size`` 8)."""

    size: int
    is_homogeneous = False

    def __post_init__(self) -> None:
        if self.size not in _FLOAT_VECTOR_MODE:
            raise LpgenError(f"there is no float of {self.size} bytes", hint="use 4 or 8")

    @property
    def alignment(self) -> int:
        """Natural alignment in bytes: the size."""
        return self.size

    @property
    def c_name(self) -> str:
        """The C spelling."""
        return "float" if self.size == 4 else "double"

    @property
    def code(self) -> str:
        """A short name that can be part of a C identifier."""
        return "f" if self.size == 4 else "d"


@dataclass(frozen=True)
class Vector:
    """A 128-bit vector of integers or floats; in C a ``vector_size(16)`` type whose typedef ``typedef_text`` gives."""

    element: Integer | Float
    size = 16
    alignment = 16
    is_homogeneous = False

    def __post_init__(self) -> None:
        if self.element.size > 8:
            raise LpgenError("a vector's elements have 1, 2, 4 or 8 bytes")

    @property
    def c_name(self) -> str:
        """The name of the typedef."""
        if isinstance(self.element, Float):
            return _FLOAT_VECTOR_MODE[self.element.size]
        return ("" if self.element.signed else "u") + _VECTOR_MODE[self.element.size]

    @property
    def code(self) -> str:
        """A short name that can be part of a C identifier."""
        return self.c_name

    @property
    def typedef_text(self) -> str:
        """The C line that declares the name."""
        return f"typedef {self.element.c_name} {self.c_name} __attribute__((vector_size(16)));"


@dataclass(frozen=True)
class Array:
    """``count`` elements in a row: only as a member of a structure (as a parameter it would be a pointer)."""

    element: CType
    count: int

    def __post_init__(self) -> None:
        if self.count < 1 or isinstance(self.element, Void):
            raise LpgenError("an array needs at least one element, and not of type void")

    @property
    def size(self) -> int:
        """Size in bytes."""
        return self.element.size * self.count

    @property
    def alignment(self) -> int:
        """Alignment in bytes: the element's."""
        return self.element.alignment

    @property
    def c_name(self) -> str:
        """The C spelling (``declare`` gives the one for a member)."""
        return f"{self.element.c_name} [{self.count}]"

    @property
    def code(self) -> str:
        """A short name that can be part of a C identifier."""
        return f"{self.count}x{self.element.code}"

    @property
    def is_homogeneous(self) -> bool:
        """An array alone is never passed, so it is no homogeneous aggregate; it can be part of one."""
        return False


@dataclass(frozen=True)
class Struct:
    """A structure. Members are types; their C names are m0, m1, ...; the tag follows from the members.

    ``offsets`` are the members' offsets, ``size`` and ``alignment`` the structure's, all in bytes.
    """

    members: tuple[CType, ...]
    offsets: tuple[int, ...] = field(init=False, compare=False, repr=False)
    size: int = field(init=False, compare=False, repr=False)
    alignment: int = field(init=False, compare=False, repr=False)
    code: str = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        if not self.members or any(isinstance(member, Void) for member in self.members):
            raise LpgenError("a structure needs at least one member, and none of type void")
        offsets = []
        end = 0
        for member in self.members:
            start = round_up(end, member.alignment)
            offsets.append(start)
            end = start + member.size
        alignment = max(member.alignment for member in self.members)
        code = "s_" + "_".join(member.code for member in self.members) + "_e"
        if len(code) > _LONGEST_TAG:
            code = f"s_{hashlib.sha256(code.encode()).hexdigest()[:16]}_e"
        object.__setattr__(self, "offsets", tuple(offsets))
        object.__setattr__(self, "alignment", alignment)
        object.__setattr__(self, "size", round_up(end, alignment))
        object.__setattr__(self, "code", code)

    @property
    def c_name(self) -> str:
        """The C spelling: struct and tag."""
        return f"struct {self.code}"

    @property
    def definition_text(self) -> str:
        """The C line that defines the structure (its member types must be defined before)."""
        body = " ".join(f"{declare(member, f'm{i}')};" for i, member in enumerate(self.members))
        return f"{self.c_name} {{ {body} }};"

    @property
    def is_homogeneous(self) -> bool:
        """ELFv2 2.2.3: one to eight floats, doubles or vectors and nothing else, however nested."""
        return homogeneous(self) is not None


Scalar = Integer | Bool | Pointer | Float | Vector
CType = Scalar | Array | Struct | Void

VOID = Void()
BOOL = Bool()
POINTER = Pointer()
CHAR = Integer(1, signed=False)  # plain char is unsigned on ppc64le
SCHAR = Integer(1)
SHORT = Integer(2)
USHORT = Integer(2, signed=False)
INT = Integer(4)
UINT = Integer(4, signed=False)
LONG = Integer(8)
ULONG = Integer(8, signed=False)
INT128 = Integer(16)
UINT128 = Integer(16, signed=False)
FLOAT = Float(4)
DOUBLE = Float(8)
V4SI = Vector(INT)
V4SF = Vector(FLOAT)
V2DF = Vector(DOUBLE)
V16QU = Vector(CHAR)

MAX_HOMOGENEOUS = 8


def struct(*members: CType) -> Struct:
    """A structure with these members."""
    return Struct(members)


def declare(ctype: CType, name: str) -> str:
    """The C declaration of ``name`` with this type, without a semicolon."""
    if isinstance(ctype, Array):
        return declare(ctype.element, f"{name}[{ctype.count}]")
    separator = "" if ctype.c_name.endswith("*") else " "
    return f"{ctype.c_name}{separator}{name}"


def leaves(ctype: CType, offset: int = 0) -> Iterator[tuple[int, Scalar]]:
    """Every scalar in a type with its offset in bytes, in memory order."""
    if isinstance(ctype, Struct):
        for start, member in zip(ctype.offsets, ctype.members, strict=True):
            yield from leaves(member, offset + start)
    elif isinstance(ctype, Array):
        for i in range(ctype.count):
            yield from leaves(ctype.element, offset + i * ctype.element.size)
    elif not isinstance(ctype, Void):
        yield offset, ctype


def homogeneous(ctype: CType) -> tuple[Float | Vector, int] | None:
    """``(base, count)`` of a homogeneous float, double or vector aggregate of at most eight members, else None.

    All 128-bit vectors count as one base type, whatever their elements are (so does gcc): the first one is given.
    """
    if not isinstance(ctype, Struct):
        return None
    base: Float | Vector | None = None
    count = 0
    for _, leaf in leaves(ctype):
        if not isinstance(leaf, Float | Vector):
            return None
        if base is None:
            base = leaf
        elif isinstance(base, Vector) != isinstance(leaf, Vector) or base.size != leaf.size:
            return None
        count += 1
        if count > MAX_HOMOGENEOUS:
            return None
    return None if base is None else (base, count)


def padding_mask(ctype: CType) -> int | None:
    """A little-endian integer of the type's size with ones in value bytes and zeros in padding; None: no padding."""
    mask = 0
    used = 0
    for offset, leaf in leaves(ctype):
        mask |= ((1 << (8 * leaf.size)) - 1) << (8 * offset)
        used += leaf.size
    return None if used == ctype.size else mask


def promoted(ctype: CType) -> CType:
    """The type as which a variadic argument is passed: C's default argument promotions."""
    if isinstance(ctype, Float):
        return DOUBLE
    if isinstance(ctype, Bool) or (isinstance(ctype, Integer) and ctype.size < 4):
        return INT
    return ctype
