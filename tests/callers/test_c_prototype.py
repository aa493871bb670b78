"""A C prototype names a call: every spelling, every refusal with its column, and gcc's view of the same text."""

from __future__ import annotations

import random
import re
import subprocess
import sys
from pathlib import Path

import pytest
from callers_toolchain import CC, FLAGS, need
from hypothesis import given
from hypothesis import strategies as st

from lpgen.callers import c_prototype
from lpgen.callers.c_prototype import MAX_ARGUMENTS, parse_prototype
from lpgen.callers.c_text import MAX_NESTING, MAX_RUN, MAX_TEXT
from lpgen.callers.cgen import definitions
from lpgen.callers.randoms import random_shape
from lpgen.callers.shape import CallShape, shape
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
    V2DF,
    V4SF,
    V4SI,
    V16QU,
    VOID,
    Array,
    Bool,
    CType,
    Float,
    Integer,
    Pointer,
    Struct,
    Vector,
    declare,
    struct,
)
from lpgen.callers.zoo import zoo
from lpgen.errors import LpgenError
from lpgen.machine.plan_text import parse_plan, shape_text

V8HU, V4SU, V2DI = Vector(USHORT), Vector(UINT), Vector(LONG)

SPELLINGS: dict[str, CType] = {
    "char": CHAR,
    "unsigned char": CHAR,
    "char signed": SCHAR,
    "__signed__ char": SCHAR,
    "short": SHORT,
    "int short signed": SHORT,
    "short unsigned": USHORT,
    "int": INT,
    "signed": INT,
    "unsigned": UINT,
    "int unsigned": UINT,
    "long": LONG,
    "long long": LONG,
    "long int long": LONG,
    "long unsigned int": ULONG,
    "long unsigned long": ULONG,
    "__int128": INT128,
    "unsigned __int128": UINT128,
    "__int128 unsigned": UINT128,
    "__uint128_t": UINT128,
    "_Bool": BOOL,
    "bool": BOOL,
    "float": FLOAT,
    "double": DOUBLE,
    "const double": DOUBLE,
    "double volatile const": DOUBLE,
    "__const__ __volatile__ int": INT,
    "u8": CHAR,
    "s8": SCHAR,
    "__u16": USHORT,
    "s16": SHORT,
    "__u32": UINT,
    "uint32_t": UINT,
    "__be32": UINT,
    "s32": INT,
    "u64": ULONG,
    "int64_t": LONG,
    "size_t": ULONG,
    "ssize_t": LONG,
    "loff_t": LONG,
    "pid_t": INT,
    "gfp_t": UINT,
    "umode_t": USHORT,
    "dev_t": UINT,
    "sector_t": ULONG,
    "uintptr_t": ULONG,
    "ptrdiff_t": LONG,
    "va_list": POINTER,
    "void *": POINTER,
    "const char __user *": POINTER,
    "char *const *__restrict": POINTER,
    "struct never_defined *": POINTER,
    "union never_defined *": POINTER,
    "union { int a; float b; } *": POINTER,
    "struct { int a:3; int b[]; } *": POINTER,
    "long double *": POINTER,
    "double _Complex *": POINTER,
    "_Float128 *": POINTER,
    "int (*)(int, ...)": POINTER,
    "void (*(*)(long))(long double)": POINTER,
    "int (*)[3]": POINTER,
    "int [3]": POINTER,
    "int []": POINTER,
    "int [*]": POINTER,
    "int [static 3]": POINTER,
    "double (int)": POINTER,
    "v4si": V4SI,
    "v2df": V2DF,
    "uv16qi": V16QU,
    "v4si *": POINTER,
    "vector int": V4SI,
    "vector signed int": V4SI,
    "const vector int": V4SI,
    "__vector unsigned char": V16QU,
    "vector char": V16QU,
    "vector float": V4SF,
    "vector double": V2DF,
    "vector long long": V2DI,
    "vector bool int": V4SU,
    "vector __bool short": V8HU,
    "vector pixel": V8HU,
    "vector float *": POINTER,
    "int __attribute__((vector_size(16)))": V4SI,
    "__attribute__((__vector_size__(16))) double": V2DF,
    "u16 __attribute__((vector_size(16)))": V8HU,
    "int __attribute__((vector_size(16))) *": POINTER,
    "int __attribute__(())": INT,
    "enum { A }": UINT,
    "enum { A = 1, B = 0xffffffff }": UINT,
    "enum { A, B = -1 }": INT,
    "enum { A = 0x100000000 }": ULONG,
    "enum { A = -1, B = 0xffffffff }": LONG,
    "struct { int a, b; }": struct(INT, INT),
    "struct s { int a; struct { char b; }; struct t { void *c; } d; }": struct(INT, struct(CHAR), struct(POINTER)),
    "struct { double d[2][3]; }": struct(Array(Array(DOUBLE, 3), 2)),
    "struct { int (*f)(int), *p, *q[4]; }": struct(POINTER, POINTER, Array(POINTER, 4)),
    "struct { enum { A = 2, B } e; char c[B * sizeof(long) + A]; }": struct(UINT, Array(CHAR, 26)),
    "struct { vector int v; v2df w; }": struct(V4SI, V2DF),
    "struct { struct never_defined *next; }": struct(POINTER),
}

DECLARED: dict[str, CType] = {
    "typedef int v4si __attribute__((vector_size(16))); v4si": V4SI,
    "typedef float a, b __attribute__((vector_size(16))); b": V4SF,
    "typedef float a, b __attribute__((vector_size(16))); a": FLOAT,
    "typedef float __attribute__((vector_size(16))) a, b; a": V4SF,
    "typedef vector float a; a": V4SF,
    "typedef int *a __attribute__((vector_size(16))); a": POINTER,
    "typedef int u8; u8": INT,
    "typedef struct s s_t; struct s { s_t *next; long n; }; s_t": struct(POINTER, LONG),
    "typedef int three[3]; three": POINTER,
    "typedef int three[3]; struct { three a[2]; }": struct(Array(Array(INT, 3), 2)),
    "typedef int fn(int); fn": POINTER,
    "struct s; struct s *": POINTER,
    "enum e { A = 3 }; struct s { char c[A]; }; struct s": struct(Array(CHAR, 3)),
    "enum e { A = 3 }; enum e": UINT,
    "struct s { struct t { int a; } b; }; struct t": struct(INT),
    "; ;typedef int __attribute__((vector_size(16))) v; /* int f(char) */ v // v": V4SI,
}


def _prototype(spelling: str) -> str:
    """``int f(TYPE)``, behind the declarations that come before the type."""
    before, semicolon, ctype = spelling.rpartition("; ") if spelling in DECLARED else ("", "", spelling)
    if "}" in ctype and not ctype.startswith(("struct", "enum", "union")):
        before, semicolon, ctype = spelling.partition("; struct {")
        ctype, semicolon = f"struct {{{ctype}", "; "
    return f"{before}{semicolon}int f({ctype}\n)"


@pytest.mark.parametrize(("spelling", "ctype"), [*SPELLINGS.items(), *DECLARED.items()])
def test_a_spelling_is_its_type(spelling: str, ctype: CType) -> None:
    assert parse_prototype(_prototype(spelling)) == shape("f", INT, ctype)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("int f(void)", shape("f", INT)),
        ("typedef void nothing; int f(nothing);", shape("f", INT)),
        ("void f(int a, long)", shape("f", VOID, INT, LONG)),
        ("asmlinkage extern const char *f(long);", shape("f", POINTER, LONG)),
        ("static inline _Noreturn void f(register int a)", shape("f", VOID, INT)),
        ("int (f)(int (a), int (*)(void))", shape("f", INT, INT, POINTER)),
        ("struct s { double d[2]; } f(struct s)", shape("f", struct(Array(DOUBLE, 2)), struct(Array(DOUBLE, 2)))),
        ("int (*f(int, ..., double))(long)", shape("f", POINTER, INT, extra=(DOUBLE,))),
        ("int f(int, ...)", shape("f", INT, INT, extra=())),
        ("int f(int, ..., double, struct s *p, char)", shape("f", INT, INT, extra=(DOUBLE, POINTER, CHAR))),
        ("int f(int, ..., int (*)(int, ...), int a[3])", shape("f", INT, INT, extra=(POINTER, POINTER))),
        ("int f(void (*)(int, ...), ..., v4si, float)", shape("f", INT, POINTER, extra=(V4SI, FLOAT))),
        ("struct s { int a; }; int f(int, ..., struct s)", shape("f", INT, INT, extra=(struct(INT),))),
        ("int f(int, ..., double __attribute__((vector_size(16))))", shape("f", INT, INT, extra=(V2DF,))),
        ("int vector(int vector, long size, int vector2[3])", shape("vector", INT, INT, LONG, POINTER)),
        ("int\nf(int, /* one\n*/ long // two\n)\n;\n", shape("f", INT, INT, LONG)),
    ],
)
def test_a_prototype_is_its_shape(text: str, expected: CallShape) -> None:
    assert parse_prototype(text) == expected


def _c_text(call: CallShape) -> str:
    """The declarations and the prototype of a call, with what it passes for its ellipsis."""
    text = call.c_prototype(call.name)
    if call.extra:
        assert text.endswith(", ...)")
        text = f"{text[:-1]}, {', '.join(declare(ctype, f'x{i}') for i, ctype in enumerate(call.extra))})"
    return f"{definitions([call])}{text};"


def _shapes() -> list[CallShape]:
    rng = random.Random(20261124)
    return zoo() + [random_shape(rng) for _ in range(300)]


def test_what_lpgen_writes_as_c_reads_back() -> None:
    shapes = _shapes()
    wrong = [_c_text(call) for call in shapes if parse_prototype(_c_text(call)) != call]
    assert not wrong, f"{len(wrong)}: " + "\n".join(wrong[:3])
    assert sum(bool(call.extra) for call in shapes) > 40


def test_every_shape_can_be_written_as_a_plan() -> None:
    deep = "struct s { " + "struct { " * 15 + "int a;" + " } x;" * 15 + " }; "
    most = ", ".join(["int"] * MAX_ARGUMENTS)
    for text in (
        *map(_c_text, _shapes()),
        f"{deep}struct s f(struct s)",
        f"int f({most})",
        "struct s { char a[4096]; }; int f(struct s, struct s)",
        f"struct s {{ {' '.join(f'char a{i};' for i in range(256))} }}; int f(struct s)",
    ):
        call = parse_prototype(text)
        assert parse_plan(shape_text(call)).shape == call


# A caret under the column that the refusal tells, and a part of what it says.
REFUSALS = """
int f(long double)
      ^ has no long double; use double, or pass a pointer
int f(int, double _Complex x)
           ^ has no _Complex
int f(_Float128)
      ^ has no _Float128
int f(int _Atomic a)
          ^ has no _Atomic
int f(union { int a; } x)
            ^ no unions; pass a pointer
union u { int a; }; union u f(void)
                          ^ no unions
struct s { int a; int b:3; }; int f(struct s)
                      ^ no bit-fields
struct s { int :3; }; int f(struct s)
           ^ no bit-fields
struct s { int a; } __attribute__((packed)); int f(struct s)
                                   ^ the attribute packed
int f(int a __attribute__((__aligned__(32))))
                           ^ the attribute aligned
int f(int a __attribute__((altivec(vector__))))
                           ^ write vector
struct s { _Alignas(16) int a; }; int f(struct s)
           ^ no over-aligned types
struct s { int a; } __packed; int f(struct s)
                    ^ no packed
int f(int a __attribute__((vector_size(8))))
                           ^ write vector_size(16)
int f(int *a[2] __attribute__((vector_size(16))))
                ^ vector_size(16) has no type here
enum { A __attribute__((vector_size(16))), B }; int f(int)
         ^ vector_size(16) has no type here
struct s { int a; }; int f(struct s __attribute__((vector_size(16))) *, struct s b __attribute__((vector_size(16))))
                                                                               ^ a vector of this type
int f(int, int (*)(foo))
                   ^ unknown type name 'foo'
int f(foo, int)
      ^ unknown type name 'foo'
int f(bool __attribute__((vector_size(16))) a)
      ^ a vector of this type
int f(vector __int128)
      ^ there is no vector __int128
int f(vector bool float)
      ^ there is no vector bool float
int f(vector u32)
      ^ unknown type name 'vector'
int f(long vector int)
           ^ a vector type where a name is expected
int f()
    ^ write f(void)
int f(int a[3], ...,)
                    ^ expected the types
int f(...)
      ^ an ellipsis without a parameter
int f(int, int (*)(int, ..., double))
                        ^ not the function's own
int f(int, ..., int (*)(int, ..., long))
                             ^ a second ellipsis
int f(int, ..., void)
                ^ of type void
int (int, long)
    ^ the function has no name
f(int)
^ 'f' has no result type
__printf(1, 2) int f(const char *, ...)
^ '__printf' has no result type
SYSCALL_DEFINE3(read, int, x)
^ of a macro give what the preprocessor makes of it
int f(spinlock_t *lock)
      ^ unknown type name 'spinlock_t'; declare it before the function: typedef ... spinlock_t;
int f(int a = 3)
            ^ C has no '='
int f(const x)
      ^ a type is missing
int f(int int)
      ^ C has no type 'int int'
int f(signed double *)
      ^ C has no type 'signed double'
int f(int a, long a)
                  ^ 'a' is there twice
int f(void, int)
      ^ of type void
int f(void a)
      ^ of type void
int f(static int a)
      ^ static is not for a parameter
int f(int) { return 1; }
    ^ a body
int f(int) = 3
    ^ a function has no value
int f(int), g(int)
            ^ behind the function's
int f(int); typedef int g;
                        ^ behind the function's
int a; int f(int)
    ^ 'a' is not declared as a function
typedef int fn(int); fn f
                        ^ write out its parameters
struct s { int a; };
                   ^ no function is declared
int f(int)[3]
    ^ cannot return an array
typedef int fn(int); fn f(int)
                        ^ cannot return a function
typedef int fn(int); struct s { fn a; }; int f(struct s)
                                   ^ a function is not a value
int f(size_y n)
      ^ unknown type name 'size_y'; did you mean size_t?
typedef int thing_t; int f(int, think_t)
                                ^ did you mean thing_t?
int f(int, opaque_thing *)
           ^ declare it before the function
struct s { int a; }; int f(s)
                           ^ write struct before it
struct s { widget_t a; }; int f(struct s)
           ^ unknown type name 'widget_t'
widget_t f(int)
^ unknown type name 'widget_t'
int f(struct s)
             ^ struct s is incomplete here
int f(int, ..., struct s)
                       ^ struct s is incomplete here
struct s { struct s a; }; int f(struct s)
                    ^ struct s is incomplete here
struct s { struct t a; }; struct t { int a; }; int f(struct s)
                    ^ struct t is incomplete here
typedef struct s s_t; int f(s_t)
                            ^ struct s is incomplete here
int f(enum e)
      ^ enum e is incomplete here
enum s { A }; int f(struct s)
                           ^ s is declared as enum
struct s { int a; }; struct s { int a; }; int f(struct s)
                            ^ 's' is defined twice
typedef int a; typedef long a; int f(a)
                            ^ 'a' is defined twice
enum e { A, A }; int f(enum e)
            ^ 'A' is defined twice
enum e { A = sizeof(enum e) }; int f(enum e)
                    ^ an enum inside its own constants
enum e { A = -1, B = 0xffffffffffffffff }; int f(enum e)
^ no integer type has all values
struct s { int a; char b[]; }; int f(struct s)
                       ^ no flexible array members
struct s { char b[0]; }; int f(struct s)
                  ^ an array of 0 elements
struct s { char b[4097]; }; int f(struct s)
                  ^ write 1 to 4096
struct s { long b[513]; }; int f(struct s)
                ^ a type of 4104 bytes
struct s { char b[n]; }; int f(int n, struct s)
                  ^ 'n' is no constant
enum { FIRST = 2 }; struct s { char b[FIRTS]; }; int f(struct s)
                                      ^ did you mean FIRST?
struct s { char b[1.5]; }; int f(struct s)
                  ^ no integer constant
struct s { char b[1 / 0]; }; int f(struct s)
                  ^ a division by zero
struct s { char b[0x7fffffff + 1]; }; int f(struct s)
                  ^ overflows int
struct s { char b[1 << 32]; }; int f(struct s)
                  ^ the shift is undefined
struct s { char b['a']; }; int f(struct s)
                  ^ a character constant
struct s { void a; }; int f(struct s)
                ^ a member of type void
struct s { int; }; int f(struct s)
           ^ a member without a name
struct s { }; int f(struct s)
                           ^ a structure without members
struct s { int a, a; }; int f(struct s)
                  ^ 'a' is there twice
struct s { char a[4096]; }; int f(struct s, struct s, int)
                                ^ 3 arguments of 8200 bytes
int f(int a b)
            ^ C has no 'b' here
int f(int
     ^ '(' is not closed
int f)int(
     ^ ')' closes nothing
int f(int]
         ^ ']' closes nothing
int f(int @)
          ^ '@' is not for prototypes
int f(int) /* open
           ^ a comment that does not end
/* a */ int f( /* b */ foo_bar x) // c
                       ^ unknown type name 'foo_bar'
 #define f
 ^ a preprocessor line
int f(int \\)
          ^ a backslash
int f(typeof(1) a)
      ^ typeof is not supported
int f(int) asm("g")
               ^ a string
int f([[maybe_unused]] int a)
      ^ an attribute in [[ ]]
register int f(int)
             ^ a function is not register
"""


def _refusals() -> list[tuple[str, int, str]]:
    lines = REFUSALS.strip("\n").split("\n")
    return [
        (text, where.index("^") + 1, where.split("^ ", 1)[1])
        for text, where in zip(lines[::2], lines[1::2], strict=True)
    ]


@pytest.mark.parametrize(("text", "column", "said"), _refusals())
def test_what_has_no_model_or_is_not_c_is_refused_at_its_column(text: str, column: int, said: str) -> None:
    with pytest.raises(LpgenError) as caught:
        parse_prototype(text, "--caller")
    assert str(caught.value).startswith(f"--caller, column {column}: ")
    assert said in str(caught.value)
    assert caught.value.hint is not None


def _chain(last: int, step: str) -> str:
    return "typedef int a0; " + " ".join(f"typedef a{i} a{i + 1}{step};" for i in range(last))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "column 1: expected a C declaration"),
        (" \n ", "column 1: expected a C declaration"),
        (";", "column 1: no function"),
        ("int f(int\0)", "column 10: a character that is not ASCII text"),
        ("int f(int \u00e9)", "column 11: a character that is not ASCII text"),
        ("int f(int\u202e)", "column 10: a character that is not ASCII text"),
        ("int f(" * 30_000, f"column {6 * (MAX_NESTING + 1)}: brackets more than {MAX_NESTING} deep"),
        ("int f(int " + "*" * 200_000, f"column {10 + MAX_RUN - 2 - 1}: more than {MAX_RUN} words"),
        ("struct s { int a[" + "-" * 200_000 + "1]; }; int f(struct s)", f"more than {MAX_RUN} words"),
        ("int f(int)" + " " * MAX_TEXT, f"{MAX_TEXT} are enough"),
        ("/*" * 1000, "column 1999: a comment that does not end"),
        (f"int f({', '.join(['int'] * (MAX_ARGUMENTS + 1))})", "column 1287: more than 256 arguments"),
        (f"int f({', '.join(['int'] * MAX_ARGUMENTS)}, ..., int)", "column 1292: more than 256 arguments"),
        (f"{_chain(1000, '')} int f(a1000)", "types inside one another"),
        (f"{_chain(1000, '[1]')} struct s {{ a1000 a; }}; int f(struct s)", "types inside one another"),
        ("struct s { " + "struct { " * 16 + "int a;" + " } x;" * 16 + " }; int f(struct s)", "16 deep"),
        (f"struct s {{ {' '.join(f'char a{i};' for i in range(257))} }}; int f(struct s)", "257 members"),
        ("struct s { char a[" + "9" * 100_000 + "]; }; int f(struct s)", "does not fit any type"),
    ],
    ids=range(18),
)
def test_hostile_text_is_refused(text: str, said: str) -> None:
    with pytest.raises(LpgenError) as caught:
        parse_prototype(text)
    assert said in str(caught.value)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    "text",
    [
        "int f(int " + "(" * (MAX_NESTING - 1) + "*a" + ")" * (MAX_NESTING - 1) + ")",
        "struct s { char a[" + "- " * (MAX_RUN - 6) + "1]; }; int f(struct s)",
        "struct s { char a[" + "sizeof " * (MAX_RUN - 6) + "1]; }; int f(struct s)",
        "struct s { char a[" + "(" * (MAX_NESTING - 2) + "1" + ")" * (MAX_NESTING - 2) + "]; }; int f(struct s)",
        "struct s { char a" + "[1]" * (MAX_RUN // 3 - 2) + "; }; int f(struct s)",
        f"{_chain(60, '')} int f(a60)",
    ],
    ids=range(6),
)
def test_what_is_just_within_the_limits_needs_no_more_stack_than_there_is(text: str) -> None:
    assert len(parse_prototype(text).prototype.params) == 1


@pytest.mark.parametrize("error", [AttributeError, AssertionError, RecursionError])
def test_a_text_that_breaks_pycparser_is_refused(error: type[Exception], monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        def parse(self, text: str) -> None:
            raise error

    monkeypatch.setattr(c_prototype, "CParser", Broken)
    with pytest.raises(LpgenError, match="column 10: this is not a C declaration"):
        parse_prototype("int f(int)")


_WORDS = [
    *("int", "long", "unsigned", "char", "float", "struct", "union", "enum", "typedef", "s", "u8", "foo", "vector"),
    *("v4si", "bool", "(", ")", "{", "}", "[", "]", ",", ";", "*", "...", ":", "=", "3", "16", "sizeof", "const"),
    *("static", "void", "+", "-", "__attribute__", "((vector_size(16)))", "_Complex", "f", "x", "A", "_Alignof"),
    *("int f(", "/*", "*/", "#", "\\", "'", '"', "\0", "é"),
]


def _check_any_text(text: str) -> None:
    try:
        call = parse_prototype(text)
    except LpgenError as error:
        message = str(error)
    else:
        assert parse_plan(shape_text(call)).shape == call
        return
    found = re.match(r"prototype, column (\d+): ", message)
    assert found is not None, message
    assert 1 <= int(found[1]) <= max(1, len(text)), message


@given(st.one_of(st.text(max_size=60), st.lists(st.sampled_from(_WORDS), max_size=30).map(" ".join)))
def test_any_text_is_a_shape_or_an_error_with_a_column(text: str) -> None:
    _check_any_text(text)


@given(st.data())
def test_a_damaged_prototype_is_a_shape_or_an_error(data: st.DataObject) -> None:
    text = data.draw(st.sampled_from([text for text, _, _ in _refusals()] + [_prototype(each) for each in SPELLINGS]))
    tokens = re.findall(r"\w+|\W", text)
    for _ in range(data.draw(st.integers(1, 3))):
        i = data.draw(st.integers(0, len(tokens) - 1))
        tokens[i : i + data.draw(st.integers(0, 1))] = [f" {data.draw(st.sampled_from(_WORDS))} "]
    _check_any_text("".join(tokens))


# gcc has no name for what only lpgen knows without a declaration.
_GCC_PRELUDE = """
#include <altivec.h>
#include <stddef.h>
#include <stdint.h>
#include <stdarg.h>
#define bool _Bool
#define __user
typedef signed char s8; typedef unsigned char u8; typedef short s16; typedef __UINT16_TYPE__ __u16;
typedef unsigned int u32, __u32, __be32; typedef int s32; typedef unsigned long long u64; typedef long ssize_t;
typedef long long loff_t; typedef int pid_t; typedef unsigned gfp_t, dev_t; typedef unsigned short umode_t, u16;
typedef u64 sector_t;
typedef int v4si __attribute__((vector_size(16))); typedef double v2df __attribute__((vector_size(16)));
typedef unsigned char uv16qi __attribute__((vector_size(16)));
"""
_CONSTANTS = """
-1 < sizeof(int) ? 2 : 3; (char)300; (signed char)200 + 100; ~0U >> 28; 07 + 0x10 - 5 % 3; -7 / 2 + 9; -7 % 3 + 9;
(-8 >> 1) + 9; 5 & 6 | 8 ^ 3; !0 + !7 + 1; 3 && 0 || 1; sizeof(struct { char a;long b;}); _Alignof(long) + 1;
sizeof(int[3]) / sizeof 1L; sizeof(1 ? 1 : 1UL); 0x7fffffff + 2U > 0 ? 3 : 4; (int)0xfffffffeU + 5; 1 ? 2 : 0;
sizeof(0x80000000); sizeof(2147483648); sizeof(4294967295); sizeof 0x80000000u; (-1L > 0U) + 1; (-1 > 0U) + 1;
(_Bool)300 + 1; 10 - 3 - 2; 2 * 3 + 4 << 1; sizeof(vector int); sizeof(void *) * sizeof(char); +3 - -4; 0b101;
(enum { P = 7 })3 + P; sizeof(enum { Q = 0x100000000 }); (-5 == 4294967291U) + 1; 1UL - 2 > 9 ? 5 : 6
"""


def _check(name: str, ctype: CType) -> str:
    lines = f'_Static_assert(sizeof {name} == {ctype.size}, "");'
    lines += f'_Static_assert(_Alignof(__typeof__({name})) == {ctype.alignment}, "");'
    if isinstance(ctype, Integer | Bool):
        signed = int(isinstance(ctype, Integer) and ctype.signed)
        lines += f'_Static_assert(((__typeof__({name}))-1 < 0) == {signed}, "");'
    # gcc/typeclass.h: integer, pointer, real and record.
    kinds = {Integer: 1, Bool: 1, Pointer: 5, Float: 8, Struct: 12}
    if type(ctype) in kinds:
        lines += f'_Static_assert(__builtin_classify_type({name}) == {kinds[type(ctype)]}, "");'
    return lines


def _gcc_refuses(text: str, directory: Path) -> str:
    source = directory / "prototype.c"
    source.write_text(text)
    command = [CC, *FLAGS, "-std=gnu11", "-fsyntax-only", str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stderr[:3000] if done.returncode else ""


def _named(spelling: str) -> str:
    """``f(TYPE a1)`` of ``f(TYPE)``, as gcc's definition of a function needs it."""
    ctype = spelling.replace("[*]", "[]")
    for inside in ("(*(*)", "(*)"):
        if inside in ctype:
            return ctype.replace(inside, inside[:-1] + "a1)", 1)
    found = re.search(r" ?(\[[^]{}]*\]|\(int\))$", ctype)
    return f"{ctype} a1" if found is None else f"{ctype[: found.start()]} a1{found[0]}"


def test_gcc_has_the_same_sizes_alignments_signs_and_kinds(tmp_path: Path) -> None:
    """Each parameter of each spelling, by _Static_assert in the body of a function that has it."""
    need(CC)
    texts = []
    for number, spelling in enumerate(SPELLINGS):
        name = f"f{number}"
        text = f"void {name}({_named(spelling)})"
        (ctype,) = parse_prototype(text).prototype.params
        assert ctype == SPELLINGS[spelling]
        texts.append(f"{text} {{ {_check('a1', ctype)} }}")
    assert _gcc_refuses(_GCC_PRELUDE + "\n".join(texts), tmp_path) == ""


_HEADERS = {
    "stdint.h": "int8_t uint8_t int16_t uint16_t int32_t uint32_t int64_t uint64_t intptr_t uintptr_t",
    "stddef.h": "size_t ptrdiff_t",
    "stdarg.h": "va_list __gnuc_va_list __builtin_va_list",
    "linux/types.h": "__s8 __u8 __s16 __u16 __s32 __u32 __s64 __u64 __le16 __be16 __le32 __be32 __le64 __be64 __sum16 "
    "__wsum __kernel_size_t __kernel_ssize_t __kernel_long_t __kernel_ulong_t",
}


@pytest.mark.parametrize("header", _HEADERS)
def test_the_headers_of_gcc_and_linux_have_the_same_typedefs(header: str, tmp_path: Path) -> None:
    need(CC)
    probe = subprocess.run([CC, "-E", "-"], input=f"#include <{header}>", capture_output=True, text=True, check=False)
    if probe.returncode:
        pytest.skip(f"{CC} has no {header}")
    lines = [f"#include <{header}>"]
    for name in _HEADERS[header].split():
        (ctype,) = parse_prototype(f"int f({name})").prototype.params
        lines.append(f"void f_{name}({name} a1) {{ {_check('a1', ctype)} }}")
    assert _gcc_refuses("\n".join(lines), tmp_path) == ""


def test_gcc_computes_the_same_constants(tmp_path: Path) -> None:
    need(CC)
    lines = []
    for number, expression in enumerate(re.split(r";\s", _CONSTANTS.strip())):
        size = parse_prototype(f"int f(struct {{ char a[{expression}]; }} a)").prototype.params[0].size
        lines.append(f'void f{number}(void) {{ _Static_assert(sizeof(char[{expression}]) == {size}, "{number}"); }}')
    assert len(lines) > 30
    assert _gcc_refuses(_GCC_PRELUDE + "\n".join(lines), tmp_path) == ""


def test_gcc_takes_every_prototype_that_lpgen_takes(tmp_path: Path) -> None:
    need(CC)
    for spelling in DECLARED:
        text = _prototype(spelling)
        assert _gcc_refuses(f"#include <altivec.h>\n{text};", tmp_path) == "", text


def test_the_commands_load_no_pycparser_before_they_need_it() -> None:
    code = "import sys, lpgen.cli, lpgen.callers.shape; sys.exit('pycparser' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
