"""A bare ppc64le machine for the tests of lpgen.callers: ELF file in, functions run, registers and memory seen.

It is apart from lpgen.machine on purpose: these tests say whether lpgen.callers is right, not whether the machine is.
"""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile

from lpgen.callers.values import ArgumentImage, ResultImage

unicorn = pytest.importorskip("unicorn", reason="unicorn is not installed")
reg = pytest.importorskip("unicorn.ppc_const", reason="unicorn is not installed")

LOAD, LOAD_SIZE = 0x1000_0000, 0x0100_0000
STACK, STACK_SIZE = 0x2000_0000, 0x0002_0000
SCRATCH, SCRATCH_SIZE = 0x3000_0000, 0x0001_0000
STOP, LOAD_VRS, STORE_VRS, VR_DATA = SCRATCH, SCRATCH + 0x100, SCRATCH + 0x400, SCRATCH + 0x1000
R1 = STACK + 0x1_0000
MSR_64_LE_FP_VEC_VSX = 1 << 63 | 1 | 1 << 13 | 1 << 25 | 1 << 23


def _vr_stub(extended: int) -> bytes:
    """lvx (103) or stvx (231) of v0 ... v31 from r3 on, r4 the index; then a branch to itself, never reached."""
    words = []
    for v in range(32):
        words += [14 << 26 | 4 << 21 | 16 * v, 31 << 26 | v << 21 | 3 << 16 | 4 << 11 | extended << 1]
    return b"".join(word.to_bytes(4, "little") for word in (*words, 18 << 26))


class Guest:
    """One machine with one program; every run starts with random register contents."""

    def __init__(self, program: Path, seed: int) -> None:
        self.rng = random.Random(seed)
        self.uc = unicorn.Uc(unicorn.UC_ARCH_PPC, unicorn.UC_MODE_PPC64 | unicorn.UC_MODE_BIG_ENDIAN)
        self.uc.ctl_set_tlb_mode(unicorn.UC_TLB_VIRTUAL)
        self.uc.reg_write(reg.UC_PPC_REG_MSR, MSR_64_LE_FP_VEC_VSX)
        for start, size in ((LOAD, LOAD_SIZE), (STACK, STACK_SIZE), (SCRATCH, SCRATCH_SIZE)):
            self.uc.mem_map(start, size)
        self.uc.mem_write(LOAD_VRS, _vr_stub(103))
        self.uc.mem_write(STORE_VRS, _vr_stub(231))
        with program.open("rb") as stream:
            elf = ELFFile(stream)
            for segment in elf.iter_segments("PT_LOAD"):
                self.uc.mem_write(segment["p_vaddr"], segment.data())
            symbols = elf.get_section_by_name(".symtab").iter_symbols()
            self.symbols = {symbol.name: symbol["st_value"] for symbol in symbols if symbol.name}

    def run(self, start: int, until: int) -> None:
        self.uc.emu_start(start, until, count=0, timeout=5_000_000)
        at = self.uc.reg_read(reg.UC_PPC_REG_PC)
        assert at == until, f"stopped at {at:#x} instead of {until:#x}"

    def read(self, address: int, size: int) -> bytes:
        return bytes(self.uc.mem_read(address, size))

    def read_frame(self, offset: int, size: int) -> bytes:
        return self.read(self.uc.reg_read(reg.UC_PPC_REG_1) + offset, size)

    def gpr(self) -> dict[int, int]:
        return {i: self.uc.reg_read(reg.UC_PPC_REG_0 + i) for i in range(32)}

    def fpr(self) -> dict[int, int]:
        return {i: self.uc.reg_read(reg.UC_PPC_REG_FPR0 + i) for i in range(32)}

    def vr(self) -> dict[int, bytes]:
        """All VRs, stored by guest code; the other registers stay as they are."""
        kept = [self.uc.reg_read(r) for r in (reg.UC_PPC_REG_3, reg.UC_PPC_REG_4)]
        self.uc.reg_write(reg.UC_PPC_REG_3, VR_DATA)
        self.run(STORE_VRS, STORE_VRS + 8 * 32)
        for r, value in zip((reg.UC_PPC_REG_3, reg.UC_PPC_REG_4), kept, strict=True):
            self.uc.reg_write(r, value)
        raw = self.read(VR_DATA, 512)
        return {i: raw[16 * i :][:16] for i in range(32)}

    def write_vr(self, vr: dict[int, bytes]) -> None:
        raw = b"".join(vr.get(i, self.rng.randbytes(16)) for i in range(32))
        self.uc.mem_write(VR_DATA, raw)
        self.uc.reg_write(reg.UC_PPC_REG_3, VR_DATA)
        self.run(LOAD_VRS, LOAD_VRS + 8 * 32)

    def scramble(self, image: ArgumentImage | ResultImage) -> None:
        """The image's registers as it says, every other volatile one random; r1 and r2 are left alone."""
        self.write_vr(image.vr)
        for i in (0, *range(3, 13)):
            self.uc.reg_write(reg.UC_PPC_REG_0 + i, image.gpr.get(i, self.rng.getrandbits(64)))
        for i in range(14):
            self.uc.reg_write(reg.UC_PPC_REG_FPR0 + i, image.fpr.get(i, self.rng.getrandbits(64)))

    def enter(self, function: str, image: ArgumentImage, until: int = STOP) -> None:
        """Call a function at its global entry with these arguments, r1 = R1, up to ``until``; the stack is random."""
        self.uc.mem_write(R1 - 0x4000, self.rng.randbytes(0x8000))
        for offset, data in image.mem.items():
            self.uc.mem_write(R1 + offset, data)
        self.scramble(image)
        address = self.symbols[function]
        self.uc.reg_write(reg.UC_PPC_REG_1, R1)
        self.uc.reg_write(reg.UC_PPC_REG_12, address)
        self.uc.reg_write(reg.UC_PPC_REG_LR, STOP)
        self.run(address, until)
