"""Instructions for the harness's own code in the guest, as words: numbers of registers, offsets in bytes.

Power ISA 3.0B, Book I and III. Only what the monitor and the guest's routines use.
"""

from __future__ import annotations

import struct

LR, CTR, XER, TAR = 8, 9, 1, 815
SRR0, SRR1 = 26, 27
SPRG0, SPRG1, SPRG2, SPRG3 = 272, 273, 274, 275
BLR, BCTR, BCTAR, RFID = 0x4E800020, 0x4E800420, 0x4E800460, 0x4C000024
CR_ALL, CR_VOLATILE = 0xFF, 0xC7
LINE = 128
"""Bytes that dcbz makes 0."""


def _d(opcode: int, rt: int, ra: int, d: int) -> int:
    # A load's, a store's and addi's has a sign, that of a logical instruction has none.
    assert (0 <= d < 0x10000) if 24 <= opcode <= 29 else (-0x8000 <= d < 0x8000)
    return opcode << 26 | rt << 21 | ra << 16 | d & 0xFFFF


def _x(rs: int, ra: int, rb: int, xo: int) -> int:
    return 31 << 26 | rs << 21 | ra << 16 | rb << 11 | xo << 1


def _signed(value: int) -> int:
    """Return the lower 16 bits of ``value`` as a number with a sign."""
    return (value & 0xFFFF ^ 0x8000) - 0x8000


def branch(at: int, target: int, *, link: bool = False) -> int:
    """Return the word of ``b target`` (``bl`` with ``link``) at address ``at``. Raises ValueError beyond 32 MiB."""
    distance = target - at
    if not -(1 << 25) <= distance < 1 << 25 or distance & 3:
        raise ValueError(f"branch from {at:#x} to {target:#x} does not reach")
    return 18 << 26 | (distance & 0x3FFFFFC) | int(link)


def words(*values: int) -> bytes:
    """Return 32-bit little-endian instruction words as bytes."""
    return struct.pack(f"<{len(values)}I", *values)


def load_address(reg: int, address: int) -> list[int]:
    """Materialise a 64-bit address without touching CR or another register."""
    return [
        _d(15, reg, 0, _signed(address >> 48)),  # lis
        ori(reg, reg, address >> 32 & 0xFFFF),
        30 << 26 | reg << 21 | reg << 16 | 0x07C6,  # sldi reg,reg,32
        oris(reg, reg, address >> 16 & 0xFFFF),
        ori(reg, reg, address & 0xFFFF),
    ]


def load_constant(reg: int, value: int) -> list[int]:
    """Load a 64-bit value with as few instructions as its upper half allows."""
    if value < 0x8000:
        return [addi(reg, 0, value)]
    if value < 0x80000000:
        return [lis(reg, value >> 16), ori(reg, reg, value & 0xFFFF)]
    return load_address(reg, value)


def ld(rt: int, offset: int, ra: int) -> int:
    """``ld rt,offset(ra)``."""
    assert not offset & 3
    return _d(58, rt, ra, offset)


def std(rs: int, offset: int, ra: int) -> int:
    """``std rs,offset(ra)``."""
    assert not offset & 3
    return _d(62, rs, ra, offset)


def lwz(rt: int, offset: int, ra: int) -> int:
    """``lwz rt,offset(ra)``."""
    return _d(32, rt, ra, offset)


def stw(rs: int, offset: int, ra: int) -> int:
    """``stw rs,offset(ra)``."""
    return _d(36, rs, ra, offset)


def lfd(frt: int, offset: int, ra: int) -> int:
    """``lfd frt,offset(ra)``."""
    return _d(50, frt, ra, offset)


def stfd(frs: int, offset: int, ra: int) -> int:
    """``stfd frs,offset(ra)``."""
    return _d(54, frs, ra, offset)


def lvx(vrt: int, ra: int, rb: int) -> int:
    """``lvx vrt,ra,rb``."""
    return _x(vrt, ra, rb, 103)


def stvx(vrs: int, ra: int, rb: int) -> int:
    """``stvx vrs,ra,rb``."""
    return _x(vrs, ra, rb, 231)


def addi(rt: int, ra: int, value: int) -> int:
    """``addi rt,ra,value``; with ra 0: ``li``."""
    return _d(14, rt, ra, value)


def lis(rt: int, value: int) -> int:
    """``lis rt,value``."""
    return _d(15, rt, 0, value)


def ori(ra: int, rs: int, value: int) -> int:
    """``ori ra,rs,value``."""
    return _d(24, rs, ra, value)


def oris(ra: int, rs: int, value: int) -> int:
    """``oris ra,rs,value``."""
    return _d(25, rs, ra, value)


def xori(ra: int, rs: int, value: int) -> int:
    """``xori ra,rs,value``."""
    return _d(26, rs, ra, value)


def xor(ra: int, rs: int, rb: int) -> int:
    """``xor ra,rs,rb``."""
    return _x(rs, ra, rb, 316)


def or_(ra: int, rs: int, rb: int) -> int:
    """``or ra,rs,rb``."""
    return _x(rs, ra, rb, 444)


def and_(ra: int, rs: int, rb: int) -> int:
    """``and ra,rs,rb``."""
    return _x(rs, ra, rb, 28)


def add(rt: int, ra: int, rb: int) -> int:
    """``add rt,ra,rb``."""
    return _x(rt, ra, rb, 266)


def rlwinm(ra: int, rs: int, first: int, last: int) -> int:
    """``rlwinm ra,rs,0,first,last``: bits of the lower word, the rest 0."""
    return 21 << 26 | rs << 21 | ra << 16 | first << 6 | last << 1


def cmpd(ra: int, rb: int) -> int:
    """``cmpd ra,rb``."""
    return _x(1, ra, rb, 0)


def cmpdi(ra: int, value: int) -> int:
    """``cmpdi ra,value``."""
    return _d(11, 1, ra, value)


def mtspr(spr: int, rs: int) -> int:
    """``mtspr spr,rs``."""
    return _x(rs, spr & 31, spr >> 5, 467)


def mfspr(rt: int, spr: int) -> int:
    """``mfspr rt,spr``."""
    return _x(rt, spr & 31, spr >> 5, 339)


def mtcrf(fields: int, rs: int) -> int:
    """``mtcrf fields,rs``."""
    return 31 << 26 | rs << 21 | fields << 12 | 144 << 1


def mfcr(rt: int) -> int:
    """``mfcr rt``."""
    return _x(rt, 0, 0, 19)


def mfmsr(rt: int) -> int:
    """``mfmsr rt``."""
    return _x(rt, 0, 0, 83)


def mtmsrd(rs: int) -> int:
    """``mtmsrd rs,0``."""
    return _x(rs, 0, 0, 178)


def dcbz(ra: int, rb: int) -> int:
    """``dcbz ra,rb``."""
    return _x(0, ra, rb, 1014)


def beq(distance: int) -> int:
    """``beq cr0``, so many bytes on."""
    return 16 << 26 | 12 << 21 | 2 << 16 | distance & 0xFFFC


def bne(distance: int) -> int:
    """``bne cr0``, so many bytes on."""
    return 16 << 26 | 4 << 21 | 2 << 16 | distance & 0xFFFC


class Code:
    """Instructions from ``start`` on, in the order in which they are added."""

    def __init__(self, start: int) -> None:
        self.start = start
        self.words: list[int] = []

    @property
    def here(self) -> int:
        """The address of the next instruction."""
        return self.start + 4 * len(self.words)

    def add(self, *instructions: int) -> None:
        """Add instructions."""
        self.words += instructions

    def branch(self, target: int) -> None:
        """Add ``b target``."""
        self.words.append(branch(self.here, target))

    def since(self, written: int) -> bytes:
        """Return all of it but for the first ``written`` bytes."""
        return words(*self.words[written // 4 :])
