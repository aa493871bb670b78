"""The callee's side of an ellipsis: spill the argument registers, then walk through the caller's parameter save area.

ELFv2 2.2.4 ("Variable Argument Lists"): va_list is a pointer. va_start leaves it behind the fixed arguments' slots, and
va_arg moves it on; the registers r3 to r10 have their slots at 32(r1) to 88(r1) of the calling function's frame.
This walk shares no code with ``place``: each is a check on the other.
"""

from __future__ import annotations

from collections.abc import Mapping

from lpgen.callers.placement import FIRST_GPR, GPR_SLOTS, PARAMETER_SAVE_AREA, Placement
from lpgen.callers.types import CType, Struct, Vector, round_up
from lpgen.callers.values import ReadMemory, without_padding


class VariadicReader:
    """A variadic function that reads its arguments; offsets are in bytes from the calling function's r1."""

    def __init__(self, placement: Placement) -> None:
        self._placement = placement
        self._at = PARAMETER_SAVE_AREA + 8 * placement.fixed_slots

    @property
    def offset(self) -> int:
        """Where va_arg looks next, before alignment."""
        return self._at

    def spill(self, gpr: Mapping[int, int]) -> list[tuple[int, bytes]]:
        """The writes (offset, 8 bytes) into the caller's frame: the registers behind the fixed arguments, up to r10."""
        return [
            (PARAMETER_SAVE_AREA + 8 * slot, gpr[FIRST_GPR + slot].to_bytes(8, "little"))
            for slot in range(self._placement.fixed_slots, GPR_SLOTS)
        ]

    def va_arg(self, ctype: CType, read_mem: ReadMemory) -> bytes:
        """The bytes of the next argument; ``ctype`` is the promoted type, as va_arg takes it."""
        if isinstance(ctype, Vector | Struct) and ctype.alignment == 16:
            self._at = round_up(self._at, 16)
        value = bytes(read_mem(self._at, ctype.size))
        self._at += round_up(ctype.size, 8)
        return value

    def read_all(self, read_mem: ReadMemory) -> list[bytes]:
        """The values of all the arguments that stand for the ellipsis; padding reads as zeros."""
        first = len(self._placement.prototype.params)
        types, masks = self._placement.types[first:], self._placement.masks[first:]
        return [without_padding(self.va_arg(t, read_mem), mask) for t, mask in zip(types, masks, strict=True)]
