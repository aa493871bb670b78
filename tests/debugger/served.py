"""A call that waits for gdb in a thread, the real gdb-multiarch, and a client that speaks the protocol itself."""

from __future__ import annotations

import functools
import queue
import re
import shutil
import socket
import subprocess
import threading
from pathlib import Path
from types import TracebackType

import pytest

from lpgen.assembly import Unit
from lpgen.assembly.kernel_text import assemble_source
from lpgen.debugger.packets import Framing, frame
from lpgen.debugger.serve import serve
from lpgen.kernel.generations import Kernel
from lpgen.kernel.generations import kernel as facts
from lpgen.machine.plan_text import parse_plan
from lpgen.machine.trip import Trip
from lpgen.source.emit import emit_source

GDB = "gdb-multiarch"
NINE = "long f(long*9) seed=3 nip=patch"
SECONDS = 60

needs_gdb = pytest.mark.skipif(shutil.which(GDB) is None, reason=f"{GDB} is not installed")


@functools.cache
def emitted(version: str) -> tuple[Kernel, Unit]:
    kernel = facts(version)
    return kernel, assemble_source(kernel, emit_source(kernel), name="emitted.S", isolated=False)


class Served:
    """``serve`` in a thread, as a context: ``port``, what it said in ``lines``, in the end ``trip`` or ``error``."""

    def __init__(self, plan: str = NINE, version: str = "4.7", *, unit: Unit | None = None) -> None:
        self.kernel, made = emitted(version)
        self.unit = made if unit is None else unit
        self.plan = parse_plan(plan).settled(self.kernel)
        self.lines: list[str] = []
        self.trip: Trip | None = None
        self.error: BaseException | None = None
        self.stop = threading.Event()
        self._said: queue.Queue[str] = queue.Queue()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        def check_stop() -> None:
            if self.stop.is_set():
                raise KeyboardInterrupt

        def say(line: str) -> None:
            self.lines.append(line)
            self._said.put(line)

        try:
            self.trip = serve(self.kernel, self.unit, self.plan, 0, say=say, check_stop=check_stop)
        except BaseException as error:
            self.error = error
            self._said.put("")

    def __enter__(self) -> Served:
        self._thread.start()
        match = re.search(r"127\.0\.0\.1:(\d+)", self._said.get(timeout=SECONDS))
        assert match is not None, self.error
        self.port = int(match[1])
        return self

    def __exit__(self, kind: type[BaseException] | None, value: object, traceback: TracebackType | None) -> None:
        if kind is not None:
            self.stop.set()
        self.join()
        if kind is None and self.error is not None and not isinstance(self.error, KeyboardInterrupt):
            raise self.error

    def join(self) -> None:
        self._thread.join(SECONDS)
        assert not self._thread.is_alive(), "the session does not end"

    def gdb(self, *commands: str, tmp_path: Path) -> str:
        """Run gdb-multiarch with ``commands`` behind `target remote`, and return what it prints.

        One that fails ends those with a loop in them, which are run as a script.
        """
        script = tmp_path / "commands.gdb"
        script.write_text("\n".join(commands) + "\n")
        first = ["set width 0", "set height 0", "set confirm off", f"target remote 127.0.0.1:{self.port}"]
        loops = "end" in commands
        given = [word for command in (*first, *(() if loops else commands)) for word in ("-ex", command)]
        given += ["-x", str(script)] if loops else []
        done = subprocess.run(
            [GDB, "-nx", "-batch", *given],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=SECONDS,
            check=False,
        )
        return done.stdout + done.stderr


class Client:
    """A client of the protocol, in its acknowledged mode unless ``quiet``."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=SECONDS)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.quiet = False
        self._framing = Framing()
        self._events: list[object] = []

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, content: bytes) -> None:
        self.socket.sendall(frame(content))

    def ask(self, content: bytes) -> bytes:
        """Send a packet and return the reply."""
        self.send(content)
        return self.reply()

    def reply(self) -> bytes:
        """Return the next packet that is not the console's."""
        while True:
            event = self.event()
            if event.kind == "packet":
                if not self.quiet:
                    self.socket.sendall(b"+")
                if not event.content.startswith(b"O") or event.content == b"OK":
                    return event.content

    def event(self):  # type: ignore[no-untyped-def]
        while not self._events:
            data = self.socket.recv(1 << 16)
            assert data, "the connection is closed"
            self._events += self._framing.feed(data)
        return self._events.pop(0)

    def closed(self) -> bool:
        """Read up to the end of the connection."""
        try:
            while self.socket.recv(1 << 16):
                pass
        except ConnectionError:
            pass
        return True
