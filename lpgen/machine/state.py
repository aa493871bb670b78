"""The registers of one moment, as the guest's monitor stores and loads them."""

from __future__ import annotations

import struct
from dataclasses import dataclass

_WORDS = struct.Struct("<72Q")  # r0-r31; LR CTR XER CR pc MSR gate, a spare; f0-f31
VR_BYTES = 32 * 16
BLOCK_BYTES = _WORDS.size + VR_BYTES

# Offsets in bytes within the block.
GPR, LR, CTR, XER, CR, PC, MSR, GATE, FPR, VR = 0, 0x100, 0x108, 0x110, 0x118, 0x120, 0x128, 0x130, 0x140, 0x240


@dataclass(slots=True)
class State:
    """All registers: 64-bit values, but ``cr`` 32 bits; ``fpr`` raw doubles; ``vr`` 32 x 16 bytes as in memory."""

    gpr: list[int]
    lr: int
    ctr: int
    xer: int
    cr: int
    pc: int
    msr: int
    fpr: list[int]
    vr: bytes

    def copy(self) -> State:
        """Return a copy that can be changed on its own."""
        return State(self.gpr.copy(), self.lr, self.ctr, self.xer, self.cr, self.pc, self.msr, self.fpr.copy(), self.vr)

    def pack(self) -> bytes:
        """Return the block that the monitor loads."""
        special = (self.lr, self.ctr, self.xer, self.cr, self.pc, self.msr, 0, 0)
        return _WORDS.pack(*self.gpr, *special, *self.fpr) + self.vr

    @classmethod
    def unpack(cls, block: bytes) -> tuple[State, int]:
        """Return the state in a block that the monitor stored, and the number of the gate that stored it."""
        words = _WORDS.unpack_from(block)
        lr, ctr, xer, cr, pc, msr, gate = words[32:39]
        state = cls(list(words[:32]), lr, ctr, xer, cr & 0xFFFFFFFF, pc, msr, list(words[40:72]), block[_WORDS.size :])
        return state, gate

    def vector(self, number: int) -> bytes:
        """Return VR ``number`` as its 16 bytes in memory order."""
        return self.vr[16 * number : 16 * number + 16]
