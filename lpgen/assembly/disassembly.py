"""The instructions in the bytes of a section, as text that a person reads."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence

from lpgen.assembly.encoder import disassembler
from lpgen.assembly.model import Relocation

# So much is given to capstone at once: what it cannot decode ends its run, and the rest is given to it again.
_PIECE = 4096
_LAST_NUMBER = re.compile(r"(?:0x)?[0-9a-f]+$")
_B, _BC = 18, 16


def is_branch(kind: str) -> bool:
    """True for the relocations of a branch's target."""
    return kind.startswith(("R_PPC64_REL24", "R_PPC64_REL14", "R_PPC64_ADDR24", "R_PPC64_ADDR14"))


def displacement(word: int) -> int | None:
    """Return the distance in bytes that a relative branch jumps; None for any other instruction.

    I-form and B-form (Power ISA 3.0B, book I, 2.4).
    """
    opcode = word >> 26
    if word & 2 or opcode not in (_B, _BC):
        return None
    bits = 0x3FFFFFC if opcode == _B else 0xFFFC
    return (word & bits) - (((word & bits) << 1) & (bits + 4))


def statements(
    data: bytes, targets: Mapping[int, Relocation], where: Callable[[int], str], objects: Sequence[tuple[int, int]]
) -> Iterator[tuple[int, str]]:
    """Yield byte offset and text of each instruction in ``data``, in order.

    Words of zeros, and what lies in one of the ranges ``objects``, are data and left out. What capstone does not know
    is shown as .long. ``targets`` are the relocations of branches by offset, ``where`` names an offset in the section.
    """
    ranges = sorted(objects)
    starts = [first for first, _ in ranges]
    for offset, word, text in _decoded(data):
        index = bisect_right(starts, offset) - 1
        if not word or (index >= 0 and offset < ranges[index][1]):
            continue
        relocation = targets.get(offset)
        if relocation is not None:
            name = relocation.symbol + (f"{relocation.addend:+#x}" if relocation.addend else "")
            text = _LAST_NUMBER.sub(lambda _, name=name: name, text)  # type: ignore[misc]
        else:
            distance = displacement(word)
            if distance is not None and 0 <= offset + distance < len(data):
                name = where(offset + distance)
                text = _LAST_NUMBER.sub(lambda _, name=name: name, text)  # type: ignore[misc]
        yield offset, text


def _decoded(data: bytes) -> Iterator[tuple[int, int, str]]:
    machine = disassembler()
    at, end = 0, len(data) & ~3
    while at < end:
        limit = min(at + _PIECE, end)
        word = int.from_bytes(data[at : at + 4], "little")
        if not word:
            yield at, 0, ""
            at += 4
            continue
        for _, size, mnemonic, operands in machine.disasm_lite(data[at:limit], at):
            if size != 4:
                break
            word = int.from_bytes(data[at : at + 4], "little")
            yield at, word, f"{mnemonic} {operands}".rstrip()
            at += 4
        if at < limit:
            word = int.from_bytes(data[at : at + 4], "little")
            if word:
                yield at, word, f".long {word:#010x}"
                at += 4
