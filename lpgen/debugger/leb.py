"""Numbers as DWARF has them (DWARF 4, 7.6): LEB128."""

from __future__ import annotations


def unsigned(value: int) -> bytes:
    """Return ``value``, not negative, as ULEB128."""
    made = bytearray()
    while True:
        value, low = value >> 7, value & 0x7F
        made.append(low | (0x80 if value else 0))
        if not value:
            return bytes(made)


def signed(value: int) -> bytes:
    """Return ``value`` as SLEB128."""
    made = bytearray()
    while True:
        value, low = value >> 7, value & 0x7F
        done = value == (-1 if low & 0x40 else 0)
        made.append(low | (0 if done else 0x80))
        if done:
            return bytes(made)
