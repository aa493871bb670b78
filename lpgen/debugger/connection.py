"""One gdb at a loopback port: packets in, packets out, acknowledged as long as gdb wants that."""

from __future__ import annotations

import select
import socket
import time
from collections import deque
from collections.abc import Callable

from lpgen.debugger.packets import Event, Framing, ProtocolError, frame
from lpgen.errors import LpgenError

# How long to wait before asking again whether to stop, in seconds; how long gdb may take to take what it is sent.
_TICK = 0.1
_SEND_SECONDS = 20
# So many bad checksums in a row are no noise on the line.
_MOST_BAD = 5
_MOST_WAITING = 64


class Gone(Exception):
    """The session is over: ``str()`` says why, for a line."""


def listen(port: int) -> socket.socket:
    """Return a socket that listens on loopback, at any free port for 0. Raises LpgenError for a port that is taken."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen(1)
    except (OSError, OverflowError) as error:
        listener.close()
        reason = (getattr(error, "strerror", None) or str(error)).lower()
        raise LpgenError(f"port {port}: {reason}", hint="give another port, or 0 for any that is free") from error
    return listener


def accept(listener: socket.socket, check_stop: Callable[[], None]) -> Connection:
    """Wait for gdb. ``check_stop`` is called now and then, and may raise."""
    while not select.select([listener], [], [], _TICK)[0]:
        check_stop()
    accepted, _ = listener.accept()
    return Connection(accepted, check_stop)


class Connection:
    """The packets of one gdb. Raises Gone when it leaves, ProtocolError when it is none."""

    def __init__(self, accepted: socket.socket, check_stop: Callable[[], None]) -> None:
        accepted.settimeout(_SEND_SECONDS)
        accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket = accepted
        self._check_stop = check_stop
        self._framing = Framing()
        self._events: deque[Event] = deque()
        self._last = b""
        self._bad = 0
        self.acknowledged = True

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def send(self, content: bytes) -> None:
        """Send a packet."""
        self._last = frame(content)
        self._send(self._last)

    def packet(self) -> bytes:
        """Return the next packet; an interrupt is none, as nothing runs while one is waited for."""
        while True:
            while self._events:
                event = self._events.popleft()
                if event.kind == Event.PACKET:
                    if self.acknowledged:
                        self._send(b"+")
                    self._bad = 0
                    return event.content
                self._other(event)
            self._receive(_TICK)
            self._check_stop()

    def interrupted(self) -> bool:
        """True if gdb asks a running call to stop. Does not wait."""
        self._check_stop()
        self._receive(0)
        asked = False
        waiting = [*self._events]
        self._events.clear()
        for event in waiting:
            if event.kind == Event.PACKET:
                # gdb sends none before it is told of the stop; whoever does gets an answer then.
                self._events.append(event)
            elif event.kind == Event.INTERRUPT:
                asked = True
            else:
                self._other(event)
        if len(self._events) > _MOST_WAITING:
            raise ProtocolError(f"more than {_MOST_WAITING} packets while the call runs")
        return asked

    def last_words(self, content: bytes) -> None:
        """Send the last packet and give gdb a moment to close first, so that it reads what it was sent."""
        self.send(content)
        end = time.monotonic() + 2
        try:
            while time.monotonic() < end:
                self._receive(_TICK)
                self._events.clear()
        except (Gone, ProtocolError):
            return

    def _other(self, event: Event) -> None:
        if event.kind == Event.NAK and self.acknowledged:
            self._count_bad()
            self._send(self._last)
        elif event.kind == Event.BAD:
            self._count_bad()
            if not self.acknowledged:
                raise ProtocolError("a packet with a wrong checksum")
            self._send(b"-")

    def _count_bad(self) -> None:
        self._bad += 1
        if self._bad >= _MOST_BAD:
            raise ProtocolError(f"{_MOST_BAD} packets with a wrong checksum")

    def _receive(self, seconds: float) -> None:
        if not select.select([self._socket], [], [], seconds)[0]:
            return
        try:
            data = self._socket.recv(0x10000)
        except OSError:
            data = b""
        if not data:
            raise Gone("gdb closed the connection")
        self._events += self._framing.feed(data)

    def _send(self, data: bytes) -> None:
        try:
            self._socket.sendall(data)
        except OSError as error:
            raise Gone("gdb closed the connection") from error
