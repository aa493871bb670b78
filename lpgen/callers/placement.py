"""Where ELFv2 puts arguments and results: registers and the caller's parameter save area.

The rules are those of the "64-Bit ELF V2 ABI Specification: Power Architecture", versions 1.4 and 1.5: sections 2.2.3
"Parameter Passing in Registers", 2.2.4 "Variable Argument Lists", 2.2.5 "Return Values", and the parameter save area of
section 2.2.2. Where the text leaves a choice, gcc's is taken; the tests in tests/callers run gcc's code against this
file.

A *slot* is a doubleword of the parameter save area; slot 0 is at 32(r1) of the calling function's frame, and the first
eight slots stand for r3 to r10. Every argument takes slots, also one that travels in an FPR or a VR. Offsets are in
bytes from the calling function's r1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from lpgen.callers.types import (
    Array,
    Bool,
    CType,
    Float,
    Integer,
    Struct,
    Vector,
    Void,
    homogeneous,
    padding_mask,
    promoted,
    round_up,
)
from lpgen.errors import LpgenError

PARAMETER_SAVE_AREA = 32
"""Offset of the parameter save area from the calling function's r1, in bytes."""
MINIMUM_SAVE_AREA = 64
"""A parameter save area that exists has room for r3 to r10, in bytes."""
GPR_SLOTS = 8
FIRST_GPR = 3
FIRST_FPR = 1
LAST_FPR = 13
FIRST_VR = 2
LAST_VR = 13

Kind = Literal["gpr", "fpr", "vr", "mem"]
Extend = Literal["zero", "sign"]


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of one value in one place.

    ``index`` is the register number (r3: 3, f1: 1, v2: 2), or for 'mem' the offset in bytes from the calling function's
    r1. The piece is ``size`` bytes of the value from ``value_offset`` on. ``extend`` tells how a narrow integer fills
    its doubleword; None: what lies behind the piece's bytes is undefined. An 'fpr' piece of 4 bytes is a float, which
    an FPR holds in double format. The pieces of a value are in order and cover it; two of them overlap in one case, see
    ``place``.
    """

    kind: Kind
    index: int
    value_offset: int
    size: int
    extend: Extend | None = None

    @property
    def where(self) -> str:
        """The place as assembly text names it: r3, f1, v2, 96(r1)."""
        prefix = {"gpr": "r", "fpr": "f", "vr": "v"}.get(self.kind)
        return f"{self.index}(r1)" if prefix is None else f"{prefix}{self.index}"


STEP_GPR, STEP_GPR_SIGNED, STEP_MEM, STEP_MEM_ZERO, STEP_MEM_SIGNED, STEP_DOUBLE, STEP_FLOAT, STEP_VR = range(8)


class Step(NamedTuple):
    """One piece, ready to be moved.

    ``code`` is a STEP_ number, ``argument`` counts from 0, ``at`` is the register number or the offset from r1 in
    bytes. The piece is bytes ``start`` to ``end`` of the value.
    """

    code: int
    argument: int
    at: int
    start: int
    end: int


@dataclass(frozen=True)
class Prototype:
    """A function's type. ``variadic``: it ends with an ellipsis, and then has at least one parameter (C before C23)."""

    result: CType
    params: tuple[CType, ...] = ()
    variadic: bool = False

    def __post_init__(self) -> None:
        if any(isinstance(param, Void | Array) for param in self.params):
            raise LpgenError("a parameter is neither void nor an array", hint="pass a pointer, or a structure with it")
        if isinstance(self.result, Array):
            raise LpgenError("a function cannot return an array", hint="return a structure that has it as a member")
        if self.variadic and not self.params:
            raise LpgenError("a variadic function needs a fixed parameter before the ellipsis")


@dataclass(frozen=True)
class Placement:
    """Where one call's arguments and result are.

    ``arguments`` has one tuple of pieces per argument, fixed ones first; ``types`` the type each is passed as (variadic
    ones after C's default promotions). ``hidden`` is the piece for the address of a result in memory, or None, and
    ``result`` the pieces of a result in registers (empty for void and for a result in memory). ``fixed_slots`` and
    ``slots`` count the doubleword slots up to the ellipsis and in all, the hidden one included. ``sizes`` are the
    values' sizes in bytes, ``masks`` their ``padding_mask``; ``steps`` says what ``arguments`` says, made ready for
    ``encode``.
    """

    prototype: Prototype
    extra: tuple[CType, ...]
    types: tuple[CType, ...]
    arguments: tuple[tuple[Piece, ...], ...]
    hidden: Piece | None
    result: tuple[Piece, ...]
    fixed_slots: int
    slots: int
    sizes: tuple[int, ...] = field(repr=False)
    masks: tuple[int | None, ...] = field(repr=False)
    steps: tuple[Step, ...] = field(repr=False)
    result_mask: int | None = field(repr=False)
    result_steps: tuple[Step, ...] = field(repr=False)

    @property
    def argument_bytes(self) -> int:
        """Bytes of the parameter save area that the arguments stand for, those in registers included."""
        return 8 * self.slots

    @property
    def memory_bytes(self) -> int:
        """Bytes from 32(r1) to the end of the last argument that is in memory; 0: every argument is in registers."""
        ends = [piece.index + piece.size for pieces in self.arguments for piece in pieces if piece.kind == "mem"]
        return max(ends, default=PARAMETER_SAVE_AREA) - PARAMETER_SAVE_AREA

    @property
    def needs_parameter_save_area(self) -> bool:
        """True if the caller has to provide one: the callee is variadic or an argument fits no register."""
        return self.prototype.variadic or self.memory_bytes > 0

    @property
    def parameter_save_area_size(self) -> int:
        """Size in bytes of the parameter save area: 0, or 64 and more."""
        return max(MINIMUM_SAVE_AREA, self.argument_bytes) if self.needs_parameter_save_area else 0

    def is_variadic(self, argument: int) -> bool:
        """True if argument ``argument`` (from 0) stands for the ellipsis."""
        return argument >= len(self.prototype.params)


def _extension(ctype: CType) -> Extend | None:
    if isinstance(ctype, Bool):
        return "zero"
    if isinstance(ctype, Integer) and ctype.size < 8:
        return "sign" if ctype.signed else "zero"
    return None


def _base(ctype: CType) -> tuple[Float | Vector, int] | None:
    """``(base, count)`` of what travels in FPRs or VRs."""
    return (ctype, 1) if isinstance(ctype, Float | Vector) else homogeneous(ctype)


def _quadword_aligned(ctype: CType) -> bool:
    """True if the argument starts at an even slot: vectors and 16-aligned aggregates.

    __int128 alone may start anywhere, although its alignment in memory is 16.
    """
    return isinstance(ctype, Vector | Struct) and ctype.alignment >= 16


def _in_slots(slot: int, ctype: CType, start: int) -> list[Piece]:
    """The value's bytes from ``start`` (a multiple of 8) on, in GPRs and then in memory; slot: the value's first."""
    extend = _extension(ctype)
    pieces: list[Piece] = []
    while start < ctype.size:
        at = slot + start // 8
        if at >= GPR_SLOTS:
            pieces.append(Piece("mem", PARAMETER_SAVE_AREA + 8 * at, start, ctype.size - start, extend))
            break
        size = min(8, ctype.size - start)
        pieces.append(Piece("gpr", FIRST_GPR + at, start, size, extend))
        start += 8
    return pieces


@dataclass
class _Allocator:
    slot: int = 0
    fpr: int = FIRST_FPR
    vr: int = FIRST_VR

    def argument(self, ctype: CType, *, variadic: bool) -> tuple[Piece, ...]:
        if _quadword_aligned(ctype):
            self.slot = round_up(self.slot, 2)
        slot = self.slot
        self.slot += -(-ctype.size // 8)
        base = None if variadic else _base(ctype)
        if base is None:
            return tuple(_in_slots(slot, ctype, 0))
        element, count = base
        pieces: list[Piece] = []
        in_memory_order = range(0, count * element.size, element.size)
        if isinstance(element, Vector):
            for start in in_memory_order[: LAST_VR + 1 - self.vr]:
                pieces.append(Piece("vr", self.vr, start, 16))
                self.vr += 1
        else:
            for start in in_memory_order[: LAST_FPR + 1 - self.fpr]:
                pieces.append(Piece("fpr", self.fpr, start, element.size))
                self.fpr += 1
        # Registers ran out: the rest is where the whole value would be. Two floats share a slot; when the first of the
        # two got the last FPR, a GPR holds both of them again, while memory begins with the second.
        done = len(pieces) * element.size
        if done % 8 and done < ctype.size:
            at = slot + done // 8
            if at < GPR_SLOTS:
                done -= 4
            else:
                pieces.append(Piece("mem", PARAMETER_SAVE_AREA + 8 * at + 4, done, 4))
                done += 4
        pieces.extend(_in_slots(slot, ctype, done))
        return tuple(pieces)


def _step(argument: int, piece: Piece) -> Step:
    if piece.kind == "gpr":
        code = STEP_GPR_SIGNED if piece.extend == "sign" else STEP_GPR
    elif piece.kind == "mem":
        code = {None: STEP_MEM, "zero": STEP_MEM_ZERO, "sign": STEP_MEM_SIGNED}[piece.extend]
    elif piece.kind == "fpr":
        code = STEP_DOUBLE if piece.size == 8 else STEP_FLOAT
    else:
        code = STEP_VR
    start = piece.value_offset
    return Step(code, argument, piece.index, start, start + piece.size)


def result_in_memory(ctype: CType) -> bool:
    """True if the caller passes the address for a result of this type in r3, and gets it back there."""
    return isinstance(ctype, Struct) and ctype.size > 16 and homogeneous(ctype) is None


def _place_result(ctype: CType) -> tuple[Piece, ...]:
    if isinstance(ctype, Void) or result_in_memory(ctype):
        return ()
    base = _base(ctype)
    if base is None:
        return tuple(_in_slots(0, ctype, 0))
    element, count = base
    if isinstance(element, Vector):
        return tuple(Piece("vr", FIRST_VR + i, 16 * i, 16) for i in range(count))
    return tuple(Piece("fpr", FIRST_FPR + i, element.size * i, element.size) for i in range(count))


def place(proto: Prototype, extra: Sequence[CType] = ()) -> Placement:
    """Where the arguments and the result of a call are; ``extra``: types of the arguments for the ellipsis, unpromoted.

    ELFv2 2.2.3 and 2.2.4. Fixed arguments of a variadic function travel as in any other function; the ones for the
    ellipsis are in GPRs and memory only (gcc's callers may load FPRs and VRs with copies, no callee looks there).

    A float may be in two pieces: when a homogeneous float aggregate gets the last FPR for the first float of a slot and
    that slot has a GPR, the GPR holds the whole slot. gcc's callers set both; its callees read the GPR.
    """
    if extra and not proto.variadic:
        raise LpgenError(f"{len(extra)} arguments too many", hint="declare the function variadic")
    if any(isinstance(ctype, Void | Array) for ctype in extra):
        raise LpgenError("an argument is neither void nor an array", hint="pass a pointer, or a structure with it")
    variadic_types = tuple(promoted(ctype) for ctype in extra)
    allocator = _Allocator()
    hidden = None
    if result_in_memory(proto.result):
        hidden = Piece("gpr", FIRST_GPR, 0, 8)
        allocator.slot = 1
    arguments = [allocator.argument(ctype, variadic=False) for ctype in proto.params]
    fixed_slots = allocator.slot
    arguments.extend(allocator.argument(ctype, variadic=True) for ctype in variadic_types)
    types = proto.params + variadic_types
    result = _place_result(proto.result)
    return Placement(
        prototype=proto,
        extra=tuple(extra),
        types=types,
        arguments=tuple(arguments),
        hidden=hidden,
        result=result,
        fixed_slots=fixed_slots,
        slots=allocator.slot,
        sizes=tuple(ctype.size for ctype in types),
        masks=tuple(padding_mask(ctype) for ctype in types),
        steps=tuple(_step(i, piece) for i, pieces in enumerate(arguments) for piece in pieces),
        result_mask=padding_mask(proto.result),
        result_steps=tuple(_step(0, piece) for piece in result),
    )
