"""Placements by hand: the numbers of CONTRACT.md section 2 and of the ABI, without any tool."""

from __future__ import annotations

import pytest

from lpgen.callers.placement import Piece, Placement, Prototype, place
from lpgen.callers.types import (
    CHAR,
    DOUBLE,
    FLOAT,
    INT,
    INT128,
    LONG,
    POINTER,
    SCHAR,
    V2DF,
    V4SI,
    VOID,
    Array,
    CType,
    struct,
)
from lpgen.callers.variadic import VariadicReader
from lpgen.errors import LpgenError


def placed(*params: CType, result: CType = VOID, extra: tuple[CType, ...] | None = None) -> Placement:
    return place(Prototype(result, params, variadic=extra is not None), extra or ())


def where(placement: Placement) -> list[str]:
    """Every argument's places, joined by + where there is more than one."""
    return ["+".join(piece.where for piece in pieces) for pieces in placement.arguments]


def result_where(ctype: CType) -> str:
    placement = placed(result=ctype)
    return "hidden" if placement.hidden else "+".join(piece.where for piece in placement.result)


F3, F4, F8 = (struct(Array(FLOAT, n)) for n in (3, 4, 8))
S24 = struct(LONG, LONG, LONG)


@pytest.mark.parametrize(
    ("types", "expected"),
    [
        ([LONG] * 10, ["r3", "r4", "r5", "r6", "r7", "r8", "r9", "r10", "96(r1)", "104(r1)"]),
        ([DOUBLE] * 14, [*(f"f{i}" for i in range(1, 14)), "136(r1)"]),
        ([FLOAT] * 15, [*(f"f{i}" for i in range(1, 14)), "136(r1)", "144(r1)"]),
        ([V4SI] * 14, [*(f"v{i}" for i in range(2, 14)), "224(r1)", "240(r1)"]),
        ([DOUBLE, INT, FLOAT, LONG], ["f1", "r4", "f2", "r6"]),
        ([DOUBLE] * 8 + [INT], [*(f"f{i}" for i in range(1, 9)), "96(r1)"]),
        ([INT, V4SI, INT], ["r3", "v2", "r7"]),
        ([INT, INT128, INT], ["r3", "r4+r5", "r6"]),
        ([LONG] * 7 + [INT128], ["r3", "r4", "r5", "r6", "r7", "r8", "r9", "r10+96(r1)"]),
        ([INT, struct(INT128), INT], ["r3", "r5+r6", "r7"]),
        ([LONG] * 6 + [S24, INT], ["r3", "r4", "r5", "r6", "r7", "r8", "r9+r10+96(r1)", "104(r1)"]),
        ([struct(Array(CHAR, 3)), INT], ["r3", "r4"]),
        ([INT, struct(V4SI, LONG), INT], ["r3", "r5+r6+r7+r8", "r9"]),
        ([struct(FLOAT), struct(DOUBLE, DOUBLE), INT], ["f1", "f2+f3", "r6"]),
        ([F3, INT], ["f1+f2+f3", "r5"]),
        ([struct(Array(FLOAT, 9)), DOUBLE], ["r3+r4+r5+r6+r7", "f1"]),
        ([INT, struct(V4SI, V2DF), INT], ["r3", "v2+v3", "r9"]),
        ([struct(FLOAT, INT)], ["r3"]),
        # 13 floats in FPRs; the slot of the 13th and 14th is r9's, and r9 has both.
        ([F8, F8], ["f1+f2+f3+f4+f5+f6+f7+f8", "f9+f10+f11+f12+f13+r9+r10"]),
        ([F4, F4, F4, F4], ["f1+f2+f3+f4", "f5+f6+f7+f8", "f9+f10+f11+f12", "f13+r9+r10"]),
        # 7 + 6 floats take every FPR and 4 + 3 slots: the double behind them travels in r10.
        ([struct(Array(FLOAT, 7)), struct(Array(FLOAT, 6)), DOUBLE, FLOAT], None),
        ([DOUBLE] * 12 + [F3], [*(f"f{i}" for i in range(1, 13)), "f13+132(r1)+136(r1)"]),
    ],
)
def test_arguments(types: list[CType], expected: list[str] | None) -> None:
    if expected is None:
        assert where(placed(*types))[2:] == ["r10", "96(r1)"]
    else:
        assert where(placed(*types)) == expected


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (VOID, ""),
        (INT, "r3"),
        (INT128, "r3+r4"),
        (struct(LONG, CHAR), "r3+r4"),
        (struct(Array(CHAR, 17)), "hidden"),
        (FLOAT, "f1"),
        (struct(Array(DOUBLE, 8)), "f1+f2+f3+f4+f5+f6+f7+f8"),
        (struct(Array(DOUBLE, 9)), "hidden"),
        (V4SI, "v2"),
        (struct(Array(V4SI, 8)), "v2+v3+v4+v5+v6+v7+v8+v9"),
        (struct(V4SI, LONG), "hidden"),
    ],
)
def test_results(result: CType, expected: str) -> None:
    assert result_where(result) == expected


def test_a_hidden_pointer_shifts_the_arguments_by_a_slot() -> None:
    placement = placed(*[LONG] * 8, DOUBLE, result=S24)
    assert placement.hidden == Piece("gpr", 3, 0, 8)
    assert where(placement) == ["r4", "r5", "r6", "r7", "r8", "r9", "r10", "96(r1)", "f1"]
    assert placement.argument_bytes == 80


def test_variadic_arguments_are_in_gprs_and_memory() -> None:
    extra = (FLOAT, V4SI, SCHAR, F3, DOUBLE)
    placement = placed(POINTER, DOUBLE, extra=extra)
    assert where(placement) == ["r3", "f1", "r5", "r7+r8", "r9", "r10+96(r1)", "104(r1)"]
    assert placement.types[2:] == (DOUBLE, V4SI, INT, F3, DOUBLE)
    assert placement.fixed_slots == 2
    assert placement.argument_bytes == 80


@pytest.mark.parametrize(
    ("placement", "needed", "size", "argument_bytes"),
    [
        (placed(), False, 0, 0),
        (placed(*[LONG] * 8), False, 0, 64),
        (placed(*[LONG] * 9), True, 72, 72),
        (placed(*[DOUBLE] * 13), False, 0, 104),
        (placed(*[DOUBLE] * 14), True, 112, 112),
        (placed(*[V4SI] * 12), False, 0, 192),
        (placed(*[V4SI] * 13), True, 208, 208),
        (placed(POINTER, extra=()), True, 64, 8),
        (placed(POINTER, extra=(LONG,) * 8), True, 72, 72),
        (placed(*[LONG] * 8, result=S24), True, 72, 72),
    ],
)
def test_the_parameter_save_area(placement: Placement, needed: bool, size: int, argument_bytes: int) -> None:
    assert placement.needs_parameter_save_area is needed
    assert placement.parameter_save_area_size == size
    assert placement.argument_bytes == argument_bytes


def test_a_variadic_callee_spills_r4_to_r10_into_40_to_88() -> None:
    reader = VariadicReader(placed(POINTER, extra=(LONG,) * 9))
    assert reader.offset == 40
    writes = reader.spill({r: 0x100 + r for r in range(3, 11)})
    assert writes == [(40 + 8 * i, (0x104 + i).to_bytes(8, "little")) for i in range(7)]
    assert writes[-1][0] == 88
    assert VariadicReader(placed(*[LONG] * 9, extra=())).spill({}) == []


def test_narrow_integers_fill_their_doubleword() -> None:
    assert placed(SCHAR).arguments == ((Piece("gpr", 3, 0, 1, "sign"),),)
    assert placed(CHAR).arguments == ((Piece("gpr", 3, 0, 1, "zero"),),)
    assert placed(LONG).arguments == ((Piece("gpr", 3, 0, 8),),)
    assert placed(*[LONG] * 8, INT).arguments[8] == (Piece("mem", 96, 0, 4, "sign"),)


def test_what_c_does_not_have_is_refused() -> None:
    with pytest.raises(LpgenError, match="ellipsis"):
        Prototype(VOID, (), variadic=True)
    with pytest.raises(LpgenError, match="parameter"):
        Prototype(VOID, (VOID,))
    with pytest.raises(LpgenError, match="parameter"):
        Prototype(VOID, (Array(INT, 2),))
    with pytest.raises(LpgenError, match="return an array"):
        Prototype(Array(INT, 2))
    with pytest.raises(LpgenError, match="too many"):
        place(Prototype(VOID), (INT,))
    with pytest.raises(LpgenError, match="argument"):
        place(Prototype(VOID, (INT,), variadic=True), (VOID,))
