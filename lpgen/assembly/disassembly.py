"""The instructions in the bytes of a section, as text that a person reads."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence

from lpgen.assembly.encoder import decode, disassembler
from lpgen.assembly.flow import displacement
from lpgen.assembly.model import Relocation

# So much is given to capstone at once: what it cannot decode ends its run, and the rest is given to it again.
_PIECE = 4096
_LAST_NUMBER = re.compile(r"-?[0-9]+$")
_HEX = re.compile(r"\b0x[0-9a-f]+")


def is_branch(kind: str) -> bool:
    """True for the relocations of a branch's target."""
    return kind.startswith(("R_PPC64_REL24", "R_PPC64_REL14", "R_PPC64_ADDR24", "R_PPC64_ADDR14"))


def disassemble(word: int, address: int, name: Callable[[int], str]) -> str:
    """Return the statement of ``word`` at ``address``; ``name`` writes the target of a relative branch.

    What capstone does not know becomes a .long.
    """
    decoded = decode(word)
    if decoded is None:
        return f".long {word:#010x}"
    text = _plain(*decoded)
    distance = displacement(word)
    return text if distance is None else _aimed(text, name(address + distance))


def _aimed(text: str, name: str) -> str:
    """Return a branch with ``name`` for its target."""
    return _LAST_NUMBER.sub(lambda _: name, text)


def _plain(mnemonic: str, operands: str) -> str:
    """Return a statement with its numbers in decimal, as asm-offsets.h, and so everybody who reads this, counts."""
    return f"{mnemonic} {_HEX.sub(lambda match: str(int(match[0], 16)), operands)}".rstrip()


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
            text = _aimed(text, relocation.symbol + (f"{relocation.addend:+#x}" if relocation.addend else ""))
        else:
            distance = displacement(word)
            if distance is not None and 0 <= offset + distance < len(data):
                text = _aimed(text, where(offset + distance))
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
            yield at, word, _plain(mnemonic, operands)
            at += 4
        if at < limit:
            word = int.from_bytes(data[at : at + 4], "little")
            if word:
                yield at, word, f".long {word:#010x}"
                at += 4
