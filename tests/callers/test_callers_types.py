"""C types: layout, names, homogeneous aggregates, padding; the same against gcc's sizeof and offsetof."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from callers_toolchain import CC, FLAGS, need

from lpgen.callers.cgen import Call, definitions
from lpgen.callers.types import (
    BOOL,
    CHAR,
    DOUBLE,
    FLOAT,
    INT,
    INT128,
    LONG,
    POINTER,
    SHORT,
    UINT128,
    V2DF,
    V4SF,
    V4SI,
    V16QU,
    VOID,
    Array,
    CType,
    Float,
    Integer,
    Struct,
    Vector,
    declare,
    homogeneous,
    leaves,
    padding_mask,
    promoted,
    struct,
)
from lpgen.errors import LpgenError


@pytest.mark.parametrize(
    ("ctype", "size", "alignment", "offsets"),
    [
        (struct(CHAR, INT, SHORT), 12, 4, (0, 4, 8)),
        (struct(CHAR, INT128), 32, 16, (0, 16)),
        (struct(CHAR, struct(SHORT, CHAR), DOUBLE), 16, 8, (0, 2, 8)),
        (struct(Array(CHAR, 17)), 17, 1, (0,)),
        (struct(LONG, V4SI), 32, 16, (0, 16)),
    ],
)
def test_layout(ctype: Struct, size: int, alignment: int, offsets: tuple[int, ...]) -> None:
    assert (ctype.size, ctype.alignment, ctype.offsets) == (size, alignment, offsets)


@pytest.mark.parametrize(
    ("ctype", "expected"),
    [
        (struct(FLOAT), (FLOAT, 1)),
        (struct(Array(FLOAT, 2), struct(FLOAT, Array(FLOAT, 5))), (FLOAT, 8)),
        (struct(Array(FLOAT, 9)), None),
        (struct(FLOAT, DOUBLE), None),
        (struct(DOUBLE, LONG), None),
        (struct(V4SI, V2DF), (V4SI, 2)),
        (struct(V4SI, DOUBLE), None),
        (DOUBLE, None),
    ],
)
def test_homogeneous(ctype: CType, expected: object) -> None:
    assert homogeneous(ctype) == expected
    assert ctype.is_homogeneous is (expected is not None)


def test_c_names() -> None:
    assert declare(POINTER, "a") == "void *a"
    assert declare(Array(Array(INT, 3), 2), "m") == "int m[2][3]"
    assert [t.c_name for t in (VOID, BOOL, UINT128, FLOAT, V16QU)] == [
        "void",
        "_Bool",
        "unsigned __int128",
        "float",
        "uv16qi",
    ]
    assert struct(INT, Array(CHAR, 3)).definition_text == "struct s_i32_3xu8_e { int m0; unsigned char m1[3]; };"
    assert V4SF.typedef_text == "typedef float v4sf __attribute__((vector_size(16)));"
    long_name = struct(*[INT] * 20).c_name
    assert len(long_name) < 40
    assert long_name != struct(*[INT] * 21).c_name


def test_leaves_and_padding() -> None:
    ctype = struct(CHAR, Array(struct(SHORT, CHAR), 2))
    assert [offset for offset, _ in leaves(ctype)] == [0, 2, 4, 6, 8]
    assert padding_mask(ctype) == int.from_bytes(bytes.fromhex("ff00ffffff00ffffff00"), "little")
    assert padding_mask(struct(INT, INT)) is None
    assert padding_mask(VOID) is None


def test_promotions() -> None:
    assert [promoted(t) for t in (BOOL, CHAR, SHORT, FLOAT, INT, LONG, V4SI)] == [
        INT,
        INT,
        INT,
        DOUBLE,
        INT,
        LONG,
        V4SI,
    ]


def test_types_are_values() -> None:
    assert struct(INT, Array(CHAR, 3)) == struct(Integer(4), Array(Integer(1, signed=False), 3))
    assert len({struct(INT), struct(INT), struct(LONG)}) == 2


def test_what_is_no_type() -> None:
    for make in (
        lambda: Integer(3),
        lambda: Float(16),
        lambda: Vector(INT128),
        lambda: Array(INT, 0),
        lambda: Array(VOID, 1),
        lambda: struct(),
        lambda: struct(VOID),
    ):
        with pytest.raises(LpgenError):
            make()


def test_gcc_agrees_on_every_layout(calls: list[Call], tmp_path: Path) -> None:
    need(CC)
    shapes = [call.shape for call in calls]
    types = {ctype for shape in shapes for ctype in (shape.prototype.result, *shape.arguments)} - {VOID}
    lines = [definitions(shapes)]
    for ctype in sorted(types, key=lambda ctype: ctype.c_name):
        lines.append(f"_Static_assert(sizeof({ctype.c_name}) == {ctype.size}, {ctype.c_name!r});".replace("'", '"'))
        lines.append(f'_Static_assert(_Alignof({ctype.c_name}) == {ctype.alignment}, "alignment");')
        if isinstance(ctype, Struct):
            for i, offset in enumerate(ctype.offsets):
                lines.append(f'_Static_assert(__builtin_offsetof({ctype.c_name}, m{i}) == {offset}, "offset");')
    source = tmp_path / "layout.c"
    source.write_text("\n".join(lines))
    done = subprocess.run([CC, *FLAGS, "-fsyntax-only", str(source)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len(lines) > 200
