"""The words of a C prototype: the type of each spelling on ppc64le, the words that change nothing or are refused.

Sizes are gcc's for powerpc64le-linux; the typedef names are C's and the kernel's (include/linux/types.h and what it
includes for powerpc).
"""

from __future__ import annotations

from collections.abc import Sequence

from lpgen.callers.types import (
    BOOL,
    CHAR,
    DOUBLE,
    FLOAT,
    INT,
    INT128,
    LONG,
    POINTER,
    SCHAR,
    SHORT,
    UINT,
    UINT128,
    ULONG,
    USHORT,
    VOID,
    CType,
    Float,
    Integer,
    Vector,
)

_SPELLINGS: dict[CType, str] = {
    VOID: "void",
    BOOL: "_Bool",
    CHAR: "char, unsigned char",
    SCHAR: "signed char",
    SHORT: "short, short int, signed short, signed short int",
    USHORT: "unsigned short, unsigned short int",
    INT: "int, signed, signed int",
    UINT: "unsigned, unsigned int",
    LONG: "long, long int, signed long, signed long int, "
    "long long, long long int, signed long long, signed long long int",
    ULONG: "unsigned long, unsigned long int, unsigned long long, unsigned long long int",
    INT128: "__int128, signed __int128",
    UINT128: "unsigned __int128",
    FLOAT: "float",
    DOUBLE: "double",
}
_SPECIFIERS = {
    tuple(sorted(spelling.split())): ctype for ctype, text in _SPELLINGS.items() for spelling in text.split(", ")
}

_TYPEDEFS: dict[CType, str] = {
    CHAR: "u8 __u8 uint8_t u_char unchar u_int8_t",
    SCHAR: "s8 __s8 int8_t",
    USHORT: "u16 __u16 uint16_t ushort u_short u_int16_t __le16 __be16 __sum16 umode_t sa_family_t",
    SHORT: "s16 __s16 int16_t",
    UINT: "u32 __u32 uint32_t uint u_int u_int32_t __le32 __be32 __wsum gfp_t fmode_t dev_t uid_t gid_t projid_t",
    INT: "s32 __s32 int32_t pid_t clockid_t",
    ULONG: "u64 __u64 uint64_t ulong u_long u_int64_t __le64 __be64 size_t __kernel_size_t uintptr_t ino_t sector_t "
    "blkcnt_t phys_addr_t resource_size_t dma_addr_t pgoff_t kernel_ulong_t __kernel_ulong_t",
    LONG: "s64 __s64 int64_t ssize_t __kernel_ssize_t ptrdiff_t intptr_t off_t loff_t ktime_t time64_t clock_t "
    "__kernel_long_t",
    INT128: "s128 __s128 __int128_t",
    UINT128: "u128 __u128 __uint128_t",
    BOOL: "bool",
    # ELFv2 3.1: va_list is a pointer into the parameter save area.
    POINTER: "va_list __builtin_va_list __gnuc_va_list",
}
_ELEMENTS: tuple[Integer | Float, ...] = (
    *(Integer(size, signed) for size in (1, 2, 4, 8) for signed in (True, False)),
    *(Float(4), Float(8)),
)
VECTORS = tuple(map(Vector, _ELEMENTS))
KNOWN_TYPES: dict[str, CType] = {name: ctype for ctype, names in _TYPEDEFS.items() for name in names.split()}
KNOWN_TYPES |= {vector.c_name: vector for vector in VECTORS}
"""Names that need no typedef; a typedef in the text itself comes first."""

_NO_MODEL = "lpgen's model of ELFv2 has no"
UNMODELLED_TYPES = {
    name: f"{_NO_MODEL} {name}"
    for name in (
        *("_Float128", "__float128", "__ieee128", "__ibm128", "_Float64x"),
        *("_Float16", "_Decimal32", "_Decimal64", "_Decimal128"),
    )
}
"""Names of types that exist and that no shape can have, with the reason; a pointer to one is a pointer."""

TYPE_WORDS = frozenset(word for words in _SPECIFIERS for word in words)
KEYWORDS = TYPE_WORDS | {
    *("auto", "const", "enum", "extern", "inline", "register", "restrict", "sizeof", "static", "struct", "typedef"),
    *("union", "volatile", "_Alignof", "_Atomic", "_Complex", "_Noreturn"),
}

SYNONYMS = {
    "__const": "const",
    "__const__": "const",
    "__volatile": "volatile",
    "__volatile__": "volatile",
    "__restrict": "restrict",
    "__restrict__": "restrict",
    "__inline": "inline",
    "__inline__": "inline",
    "__signed": "signed",
    "__signed__": "signed",
    "__complex__": "_Complex",
    "__complex": "_Complex",
    "__alignof__": "_Alignof",
    "__alignof": "_Alignof",
}
"""Spellings that mean another word; none is shorter than that word."""

IGNORED = frozenset(
    {
        *("__extension__", "__user", "__kernel", "__iomem", "__rcu", "__percpu", "__force", "__nocast", "__bitwise"),
        *("__must_check", "__init", "__exit", "__weak", "__cold", "__visible", "__always_inline", "__maybe_unused"),
        *("__always_unused", "__deprecated", "__pure", "__attribute_const__", "__noreturn"),
        *("asmlinkage", "noinline", "notrace"),
    }
)
"""The kernel's annotations that change nothing about a call."""

_OVERALIGNED = "lpgen's model of ELFv2 has no over-aligned types"
_PACKED = "lpgen's model of ELFv2 has no packed structures"
REFUSED: dict[str, tuple[str, str]] = {
    "_Alignas": (_OVERALIGNED, "leave it out if the type has that alignment anyway"),
    "__aligned": (_OVERALIGNED, "leave it out if the type has that alignment anyway"),
    "____cacheline_aligned": (_OVERALIGNED, "pass a pointer"),
    "__packed": (_PACKED, "pass a pointer"),
    "_Atomic": (f"{_NO_MODEL} _Atomic", "use the plain type"),
    "_BitInt": (f"{_NO_MODEL} _BitInt", "use an integer type"),
    "_Generic": ("_Generic is not for prototypes", "write the type"),
    "typeof": ("typeof is not supported", "write the type"),
    "__typeof__": ("typeof is not supported", "write the type"),
    "__typeof": ("typeof is not supported", "write the type"),
    "asm": ("asm is not supported", "leave it out"),
    "__asm__": ("asm is not supported", "leave it out"),
    "__asm": ("asm is not supported", "leave it out"),
    "_Static_assert": ("this declares nothing", "leave it out"),
    "static_assert": ("this declares nothing", "leave it out"),
    "_Pragma": ("this declares nothing", "leave it out"),
    "_Thread_local": ("a function is not thread-local", "leave it out"),
    "__thread": ("a function is not thread-local", "leave it out"),
}
"""Words that are refused wherever they stand: the reason and what to do."""

_VECTOR_WORDS = TYPE_WORDS - {"void"} | {"bool", "__bool", "pixel", "__pixel", "__signed", "__signed__"}


def specifier_type(words: Sequence[str]) -> CType | None:
    """The type that these specifiers name, in any order (``long unsigned int``); None: C has no such type."""
    return _SPECIFIERS.get(tuple(sorted(words)))


def is_vector_word(word: str) -> bool:
    """True for what may follow ``vector``: until then ``vector`` is a name like any other."""
    return word in _VECTOR_WORDS


def vector_type(words: Sequence[str]) -> Vector | None:
    """The type ``vector WORDS``, such as of ("bool", "int"); None: lpgen has no such vector."""
    plain = ["signed" if word in ("__signed", "__signed__") else word for word in words]
    if plain in (["pixel"], ["__pixel"]):
        return Vector(USHORT)
    rest = [word for word in plain if word not in ("bool", "__bool", "_Bool")]
    is_bool = len(rest) != len(plain)
    if is_bool and (len(plain) - len(rest) != 1 or not rest or "signed" in rest):
        return None
    element = specifier_type(rest)
    if isinstance(element, Integer) and element.size <= 8:
        return Vector(Integer(element.size, element.signed and not is_bool))
    return Vector(element) if isinstance(element, Float) and not is_bool else None
