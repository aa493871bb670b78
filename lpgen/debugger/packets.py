"""The frames of the GDB remote protocol (GDB manual, appendix E.1): packets, acknowledgements, the interrupt byte."""

from __future__ import annotations

# Bytes of a packet's content that gdb is told it may send; and of what is taken, escapes and frame included.
PACKET_BYTES = 0x4000
_MOST_BYTES = 2 * PACKET_BYTES + 8
_HEX = b"0123456789abcdefABCDEF"
_ESCAPE, _ESCAPED = 0x7D, b"#$}*"


class ProtocolError(Exception):
    """What came is not the GDB remote protocol; ``str()`` says what is wrong, for a line."""


class Event:
    """What a frame is. ``content`` is that of a packet, escapes undone."""

    PACKET, BAD, ACK, NAK, INTERRUPT = "packet", "bad checksum", "+", "-", "interrupt"

    __slots__ = ("content", "kind")

    def __init__(self, kind: str, content: bytes = b"") -> None:
        self.kind, self.content = kind, content


_SINGLE = {ord("+"): Event.ACK, ord("-"): Event.NAK, 3: Event.INTERRUPT}


class Framing:
    """Cuts a stream of bytes into events, however it comes in pieces."""

    def __init__(self) -> None:
        self._waiting = bytearray()

    def feed(self, data: bytes) -> list[Event]:
        """Return the events that are complete with ``data``.

        Raises ProtocolError for a byte between packets that is none of the protocol's, a packet that is too large, or a
        checksum that is no two hexadecimal digits.
        """
        self._waiting += data
        found: list[Event] = []
        while self._waiting:
            first = self._waiting[0]
            if first in _SINGLE:
                found.append(Event(_SINGLE[first]))
                del self._waiting[0]
                continue
            if first != ord("$"):
                raise ProtocolError(f"byte {first:#04x} between packets")
            end = self._waiting.find(b"#")
            if (len(self._waiting) if end < 0 else end) > _MOST_BYTES:
                raise ProtocolError(f"a packet of more than {_MOST_BYTES} bytes")
            if end < 0 or len(self._waiting) < end + 3:
                break
            content, digits = bytes(self._waiting[1:end]), bytes(self._waiting[end + 1 : end + 3])
            del self._waiting[: end + 3]
            if any(digit not in _HEX for digit in digits):
                raise ProtocolError("a checksum that is no two hexadecimal digits")
            good = sum(content) & 0xFF == int(digits, 16)
            found.append(Event(Event.PACKET, unescape(content)) if good else Event(Event.BAD))
        return found


def escape(data: bytes) -> bytes:
    """Return binary ``data`` as it stands in a packet."""
    made = bytearray()
    for byte in data:
        if byte in _ESCAPED:
            made += bytes((_ESCAPE, byte ^ 0x20))
        else:
            made.append(byte)
    return bytes(made)


def unescape(content: bytes) -> bytes:
    """Undo ``escape``. Raises ProtocolError for an escape at the end."""
    if _ESCAPE not in content:
        return content
    # `}` itself is sent as `}]`, so every `}` begins an escape.
    first, *rest = content.split(b"}")
    made = bytearray(first)
    for piece in rest:
        if not piece:
            raise ProtocolError("an escape without a byte behind it")
        made.append(piece[0] ^ 0x20)
        made += piece[1:]
    return bytes(made)


def frame(content: bytes) -> bytes:
    """Return a packet: ``content``, escaped where it is binary, with its checksum."""
    return b"$%s#%02x" % (content, sum(content) & 0xFF)
