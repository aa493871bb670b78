"""The zoo: named calls, each of which shows something that a trampoline or a placement can get wrong."""

from __future__ import annotations

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
    CType,
    struct,
)

S3 = struct(Array(CHAR, 3))
S5 = struct(INT, CHAR)  # 8 bytes, 3 of them padding
S6 = struct(SHORT, Array(SHORT, 2))
S8 = struct(INT, UINT)
S12 = struct(INT, INT, INT)
S16 = struct(LONG, INT)  # 4 bytes of padding at the end
S17 = struct(Array(CHAR, 17))
S24 = struct(LONG, POINTER, ULONG)
S64 = struct(Array(LONG, 8))
S_MIXED = struct(FLOAT, INT)
S_NESTED = struct(CHAR, struct(SHORT, struct(DOUBLE, CHAR)), Array(SHORT, 3))
S_QUAD = struct(V4SI, LONG)  # 16-aligned and not homogeneous: 32 bytes, 8 of them padding
S_INT128 = struct(INT128)
F1, F2, F3, F4, F7, F8, F9 = (struct(Array(FLOAT, n)) for n in (1, 2, 3, 4, 7, 8, 9))
D1, D2, D3, D8, D9 = (struct(Array(DOUBLE, n)) for n in (1, 2, 3, 8, 9))
V1, V2, V3, V8, V9 = (struct(Array(V4SF, n)) for n in (1, 2, 3, 8, 9))
F_NESTED = struct(FLOAT, struct(Array(FLOAT, 2), struct(FLOAT)))
V_MIXED = struct(V4SI, V2DF)

_EVERY_STRUCT: tuple[CType, ...] = (S3, S5, S6, S8, S12, S16, S17, S24, S64, S_MIXED, S_NESTED, S_QUAD, S_INT128)


def _integers() -> list[CallShape]:
    shapes = [shape("no_arguments", VOID)]
    shapes += [shape(f"ints_{n}", LONG, *([LONG] * n)) for n in (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 40)]
    narrow: tuple[CType, ...] = (SCHAR, CHAR, SHORT, USHORT, INT, UINT, BOOL)
    shapes += [
        shape("ints_32bit_12", INT, *([INT] * 12)),
        shape("narrow_in_registers", SCHAR, *narrow),
        shape("narrow_in_memory", USHORT, *([POINTER] * 8), *narrow),
        shape("int128_even_slot", INT128, INT128, LONG),
        shape("int128_odd_slot", UINT128, INT, INT128, LONG, UINT128),
        shape("int128_split", VOID, *([LONG] * 7), INT128, LONG, INT128),
    ]
    results: tuple[CType, ...] = (*narrow, ULONG, POINTER, INT128)
    shapes += [shape(f"result_{t.code}", t, LONG) for t in results]
    return shapes


def _floats() -> list[CallShape]:
    return [
        shape("doubles_13", DOUBLE, *([DOUBLE] * 13)),
        shape("doubles_14", DOUBLE, *([DOUBLE] * 14)),
        shape("doubles_20", DOUBLE, *([DOUBLE] * 20)),
        shape("floats_16", FLOAT, *([FLOAT] * 16)),
        shape("double_then_int", VOID, DOUBLE, INT, FLOAT, LONG),
        shape("ints_behind_8_doubles", VOID, *([DOUBLE] * 8), INT, DOUBLE, INT),
        shape("mixed", DOUBLE, INT, DOUBLE, FLOAT, V4SI, LONG, V4SF, FLOAT, POINTER, DOUBLE, SHORT, V2DF, INT),
        shape("double_in_gpr", VOID, F7, struct(Array(FLOAT, 6)), DOUBLE),
        shape("float_in_gpr", VOID, F7, struct(Array(FLOAT, 6)), FLOAT, FLOAT),
    ]


def _vectors() -> list[CallShape]:
    return [
        shape("vectors_12", V4SI, *([V4SI] * 12)),
        shape("vectors_13", V4SF, *([V4SF] * 13)),
        shape("vectors_16_and_int", V2DF, *((V2DF, V16QU) * 8), INT),
        shape("vector_skips_a_slot", VOID, INT, V4SI, INT),
        shape("vectors_and_ints", VOID, *((LONG, V4SI) * 7)),
    ]


def _structs() -> list[CallShape]:
    shapes = [shape(f"struct_{t.size}_{t.code}", VOID, INT, t, INT) for t in _EVERY_STRUCT]
    shapes += [shape(f"struct_memory_{t.size}_{t.code}", VOID, *([LONG] * 8), INT, t, INT) for t in _EVERY_STRUCT]
    return [
        *shapes,
        shape("struct_split", VOID, *([LONG] * 7), S24, LONG),
        shape("struct_split_17", VOID, *([LONG] * 6), S17, INT),
        shape("struct_split_aligned", VOID, *([LONG] * 5), S_QUAD, INT),
        shape("struct_64_fills_registers", VOID, S64, INT),
        shape("struct_skips_a_register", VOID, INT, S_INT128, INT),
    ]


def _homogeneous() -> list[CallShape]:
    every = (F1, F2, F3, F8, F9, D1, D2, D8, D9, V1, V2, V8, V9, F_NESTED, V_MIXED)
    shapes = [shape(f"homogeneous_{t.code}", VOID, INT, t, INT) for t in every]
    return [
        *shapes,
        shape("floats_overflow_to_gpr", VOID, F8, F8),
        shape("floats_overflow_behind_the_first", VOID, F4, F4, F4, F4, INT),
        shape("floats_overflow_mid_slot", VOID, F7, F8, INT),
        shape("floats_overflow_even", VOID, struct(Array(FLOAT, 5)), F8, F8, INT),
        shape("floats_overflow_to_memory", VOID, *([DOUBLE] * 12), F3, INT),
        shape("floats_overflow_to_memory_even", VOID, *([DOUBLE] * 11), F8, INT),
        shape("floats_all_in_memory", VOID, *([DOUBLE] * 13), F3, F2, INT),
        shape("doubles_overflow", VOID, D8, D8, DOUBLE, INT),
        shape("doubles_overflow_late", VOID, D3, D8, D3, D3, FLOAT),
        shape("vectors_overflow", VOID, V8, V8, V4SI, INT),
        shape("vectors_overflow_aligned", VOID, INT, V8, INT, V3, INT, V2, V4SF),
    ]


def _results() -> list[CallShape]:
    in_registers = (S3, S5, S8, S12, S16, S_MIXED, S_INT128, F1, F2, F8, D1, D3, D8, V1, V3, V8, F_NESTED, V_MIXED)
    in_memory = (S17, S24, S64, S_QUAD, S_NESTED, F9, D9, V9)
    shapes = [shape(f"result_{t.code}", t, INT) for t in in_registers]
    shapes += [shape(f"hidden_{t.code}", t, INT, DOUBLE) for t in in_memory]
    return [
        *shapes,
        shape("hidden_7_ints", S24, *([LONG] * 7)),
        shape("hidden_8_ints", S24, *([LONG] * 8)),
        shape("hidden_12_mixed", S64, *((LONG, DOUBLE) * 6)),
        shape("hidden_vector", S64, V4SI, INT),
        shape("hidden_variadic", S24, INT, extra=(LONG,) * 9),
        shape("result_float", FLOAT, FLOAT),
        shape("result_vector", V4SI, V4SI),
    ]


def _variadic() -> list[CallShape]:
    return [
        shape("variadic_none", INT, POINTER, extra=()),
        shape("variadic_one", INT, POINTER, extra=(INT,)),
        shape("variadic_7", INT, POINTER, extra=(LONG,) * 7),
        shape("variadic_8", INT, POINTER, extra=(LONG,) * 8),
        shape("variadic_many", INT, POINTER, extra=(INT, LONG) * 12),
        shape("variadic_narrow", INT, POINTER, extra=(SCHAR, CHAR, SHORT, USHORT, BOOL, UINT, FLOAT)),
        shape("variadic_doubles", INT, POINTER, extra=(DOUBLE,) * 15),
        shape("variadic_vectors", INT, POINTER, extra=(V4SI, INT, V2DF, V4SF, V4SI, V4SI)),
        shape("variadic_structs", INT, POINTER, extra=(S3, S12, F2, D3, S_MIXED, S_QUAD, V2, S64, INT)),
        shape("variadic_int128", INT, POINTER, extra=(INT128, INT, INT128, S_INT128)),
        shape("variadic_fixed_doubles", DOUBLE, DOUBLE, FLOAT, extra=(DOUBLE, FLOAT, INT)),
        shape("variadic_fixed_vector", V4SI, INT, V4SI, extra=(V4SI, INT)),
        shape("variadic_fixed_homogeneous", VOID, F3, D2, V1, extra=(F3, D2, V1)),
        shape("variadic_fixed_8", INT, *([LONG] * 8), extra=(LONG, DOUBLE)),
        shape("variadic_fixed_12", INT, *([LONG] * 12), extra=(INT, DOUBLE, V4SI)),
        shape("variadic_split_struct", INT, POINTER, LONG, LONG, LONG, LONG, extra=(S24, S64)),
    ]


def zoo() -> list[CallShape]:
    """Every animal, in a fixed order; the names are unique and usable in C."""
    return [*_integers(), *_floats(), *_vectors(), *_structs(), *_homogeneous(), *_results(), *_variadic()]
