"""Words back to text, by capstone, in the syntax of the kernel's own assembly."""

from __future__ import annotations

import re
from collections.abc import Callable

from lpgen.assembly.encoder import decode

# Primary opcodes (Power ISA 3.0B, book I, appendix F): b, bc.
_B, _BC, _XL = 18, 16, 19
_BCLR, _BCCTR, _RFID = 16, 528, 18
_ALWAYS = 20
_HEX = re.compile(r"\b0x[0-9a-f]+")


def branch_target(word: int, address: int) -> int | None:
    """Return where the branch ``word`` at ``address`` goes when it is taken; None: no branch, or one to LR or CTR."""
    opcode = word >> 26
    if opcode == _B:
        distance = (word & 0x3FFFFFC) - ((word & 0x2000000) << 1)
    elif opcode == _BC:
        distance = (word & 0xFFFC) - ((word & 0x8000) << 1)
    else:
        return None
    return (distance if word & 2 else address + distance) & 0xFFFFFFFFFFFFFFFF


def links(word: int) -> bool:
    """True for a branch that sets LR."""
    return word >> 26 in (_B, _BC, _XL) and bool(word & 1)


def falls_through(word: int) -> bool:
    """True if what follows ``word`` in memory may be executed after it: all but unconditional branches without LK."""
    opcode, extended = word >> 26, word >> 1 & 0x3FF
    if opcode == _B:
        return bool(word & 1)
    always = (word >> 21 & _ALWAYS) == _ALWAYS
    if opcode == _BC or (opcode == _XL and extended in (_BCLR, _BCCTR)):
        return not always or bool(word & 1)
    return not (opcode == _XL and extended == _RFID)


def disassemble(word: int, address: int, name: Callable[[int], str]) -> str:
    """Return the statement of ``word`` at ``address``; ``name`` writes the target of a branch.

    What capstone does not know becomes a .long.
    """
    decoded = decode(word)
    if decoded is None:
        return f".long {word:#010x}"
    mnemonic, operands = decoded
    # asm-offsets.h, and so everybody who reads this, counts in decimal.
    operands = _HEX.sub(lambda match: str(int(match[0], 16)), operands)
    target = branch_target(word, address)
    if target is not None and not word & 2:
        head = operands.rpartition(",")[0]
        operands = f"{head}, {name(target)}" if head else name(target)
    return f"{mnemonic} {operands}".rstrip()
