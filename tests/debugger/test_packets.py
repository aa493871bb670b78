"""The frames of the protocol, however they come, and what is none."""

from __future__ import annotations

import pytest

from lpgen.debugger.packets import PACKET_BYTES, Event, Framing, ProtocolError, escape, frame, unescape


def kinds(framing: Framing, data: bytes) -> list[tuple[str, bytes]]:
    return [(event.kind, event.content) for event in framing.feed(data)]


def test_a_packet_in_pieces() -> None:
    framing = Framing()
    data = b"+$qSupported:swbreak+#" + b"%02x" % (sum(b"qSupported:swbreak+") & 0xFF) + b"\x03-"
    found = [event for byte in data for event in kinds(framing, bytes([byte]))]
    assert found == [
        (Event.ACK, b""),
        (Event.PACKET, b"qSupported:swbreak+"),
        (Event.INTERRUPT, b""),
        (Event.NAK, b""),
    ]
    assert kinds(Framing(), data) == found


def test_a_wrong_checksum() -> None:
    assert kinds(Framing(), b"$g#68$g#67$#00") == [(Event.BAD, b""), (Event.PACKET, b"g"), (Event.PACKET, b"")]


@pytest.mark.parametrize(
    "data", [b"GET / HTTP/1.1\r\n", b"\0", b"$g#zz", b"+\xff", b"$g# 7", b"$a}#de", b"$" + b"a" * 0x9000]
)
def test_what_is_no_protocol(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        Framing().feed(data)


def test_a_packet_that_never_ends_is_given_up() -> None:
    framing = Framing()
    framing.feed(b"$")
    with pytest.raises(ProtocolError, match="more than"):
        list(map(framing.feed, [b"a" * 1000] * 1000))


def test_the_largest_packet_that_gdb_may_send() -> None:
    content = escape(b"}" * PACKET_BYTES)
    assert kinds(Framing(), frame(content)) == [(Event.PACKET, b"}" * PACKET_BYTES)]


def test_escapes() -> None:
    data = bytes(range(256)) * 2 + b"}}*##$$"
    made = escape(data)
    assert not set(b"#$*") & set(made)
    assert unescape(made) == data
    assert escape(b"a}b") == b"a}]b"
    assert kinds(Framing(), frame(made)) == [(Event.PACKET, data)]
