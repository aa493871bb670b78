"""The instructions of the functions that are not under test, as words."""

from __future__ import annotations

from lpgen.machine.engine import branch, words

MFLR_R0 = 0x7C0802A6
MTLR_R0 = 0x7C0803A6
STD_R0_16_R1 = 0xF8010010
LD_R2_24_R1 = 0xE8410018
BCTRL = 0x4E800421
BCTR = 0x4E800420
NOP = 0x60000000
TRAP = 0x7FE00008

# What a module's stub leaves in r11, relative to the module's TOC pointer.
STUB_DATA = 0x10000 + 0x1230


def toc_setup(distance: int) -> list[int]:
    """Return the prologue at a global entry: r2 = r12 + ``distance``."""
    high, low = (distance + 0x8000) >> 16, distance & 0xFFFF
    return [0x3C4C0000 | high & 0xFFFF, 0x38420000 | low]  # addis r2,r12,..@ha; addi r2,r2,..@l


def module_stub(target: int) -> bytes:
    """Return a module's stub for ``target``: like the kernel's, it uses r11, r12 and CTR and keeps r2."""
    code = [0x3D620001, 0x396B0000 | STUB_DATA & 0xFFFF]  # addis r11,r2,1; addi r11,r11,..: the stub's own data
    code += [0x3D800000 | target >> 48 & 0xFFFF, 0x618C0000 | target >> 32 & 0xFFFF]
    code += [0x798C07C6, 0x658C0000 | target >> 16 & 0xFFFF, 0x618C0000 | target & 0xFFFF]
    return words(*code, 0x7D8903A6, BCTR)


# What a stub executes; behind the ops pointer where it has one.
OOL_CODE_BYTES = 16


def ool_stub(at: int, target: int, back: int) -> bytes:
    """Return the code of an out-of-line stub at ``at`` (contract section 7): calls ``target``, goes on at ``back``."""
    return words(MFLR_R0, branch(at + 4, target, link=True), MTLR_R0, branch(at + 12, back))
