"""What can be read off the trampolines without running them: privileged instructions, and the __bug_table."""

from __future__ import annotations

import struct

from lpgen.kernel.bug_table import bug_target

# Extended opcodes of primary opcode 31 (Power ISA 3.0B).
_MTMSR, _MTMSRD, _MTSPR = 146, 178, 467
_SPR_ALLOWED = (1, 8, 9)  # XER, LR, CTR
# Byte offset of the flags in a struct bug_entry of each size: with and without CONFIG_DEBUG_BUGVERBOSE, as addresses
# (24, 16) and as 32-bit distances (12, 8).
_BUG_FLAGS = {24: 18, 16: 8, 12: 10, 8: 4}


def privileged(text: bytes, address: int) -> dict[int, str]:
    """Return the instructions of ``text`` that write MSR or an SPR other than LR, CTR and XER: address, what it writes.

    ``address`` is where ``text`` starts.
    """
    found = {}
    for at, (word,) in enumerate(struct.iter_unpack("<I", text[: len(text) & ~3])):
        extended = word >> 1 & 0x3FF
        if word >> 26 != 31:
            continue
        if extended in (_MTMSR, _MTMSRD):
            found[address + 4 * at] = "MSR"
        elif extended == _MTSPR:
            spr = (word >> 16 & 31) | (word >> 11 & 31) << 5
            if spr not in _SPR_ALLOWED:
                found[address + 4 * at] = f"SPR {spr}"
    return found


def bug_entries(table: bytes, address: int, size: int) -> dict[int, int]:
    """Return the flags of each struct bug_entry of ``size`` bytes in ``table``, by the address that it is for.

    ``address`` is where ``table`` starts: the distances in short entries count from their own field.
    """
    flags_at = _BUG_FLAGS.get(size, size - 2)
    found = {}
    for at in range(0, len(table) - size + 1, size):
        found[bug_target(table, at, address, size)] = struct.unpack_from("<H", table, at + flags_at)[0]
    return found
