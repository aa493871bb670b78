"""What gdb asks for, answered: the commands of the GDB remote protocol (GDB manual, appendix E) over a stopped call."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import ClassVar

from lpgen.debugger.connection import Connection, Gone
from lpgen.debugger.control import ACCESS, Cause, Control
from lpgen.debugger.packets import PACKET_BYTES, escape
from lpgen.debugger.registers import (
    PC,
    R1,
    REGISTERS,
    description,
    read_register,
    registers_hex,
    write_register,
    write_registers,
)
from lpgen.machine.engine import Engine
from lpgen.machine.state import State

PROGRAM = "/lpgen/call"
_DESCRIPTOR = 3
_OK, _BAD, _FAULT = b"OK", b"E01", b"E14"
_NO_FILE, _BAD_DESCRIPTOR, _READ_ONLY = b"F-1,2", b"F-1,9", b"F-1,1e"
# struct stat as File-I/O sends it: 64 bytes, big endian; st_mode at 8, st_nlink at 12, st_size at 28.
_STAT_BYTES, _STAT_MODE, _STAT_SIZE, _REGULAR = 64, 8, 28, 0o100444
_NUMBER = re.compile(rb"[0-9a-fA-F]{1,16}")


class _Refused(Exception):
    """What a packet asks for is no form of its command: the reply is E01."""


class Session:
    """One gdb and one call. ``program`` is the ELF file that gdb is given for symbols."""

    def __init__(self, engine: Engine, connection: Connection, program: bytes) -> None:
        self._engine = engine
        self._connection = connection
        self._program = program
        self._description = description()
        self._state = State([], 0, 0, 0, 0, 0, 0, [], b"")
        self._knows: set[bytes] = set()
        self._reply = b""
        self._runs = False
        self._began = False
        self.detached = False
        self.control = Control(engine, self.serve, connection.interrupted)

    def serve(self, state: State, cause: Cause) -> None:
        """Tell gdb of a stop and do what it wants until it has the call go on. Raises Gone when gdb ends it."""
        self._state = state
        self._reply = self._stop_reply(cause)
        if self._began:
            if cause.text:
                self._connection.send(b"O" + f"lpgen: {cause.text}\n".encode().hex().encode())
            self._connection.send(self._reply)
        self._began, self._runs = True, False
        while not self._runs:
            packet = self._connection.packet()
            try:
                reply = self._answer(packet)
            except _Refused:
                reply = _BAD
            if reply is not None:
                self._connection.send(reply)
            if packet == b"QStartNoAckMode":
                self._connection.acknowledged = False

    def end(self, reply: bytes) -> None:
        """Tell gdb how the call ended."""
        self._connection.last_words(reply)

    def _stop_reply(self, cause: Cause) -> bytes:
        detail = cause.detail
        if detail.endswith("break:;") and detail[:7].encode() + b"+" not in self._knows:
            detail = ""
        registers = "".join(f"{n:x}:{(read_register(self._state, n) or b'').hex()};" for n in (R1, PC))
        return f"T{cause.signal:02x}{detail}{registers}thread:1;".encode()

    # Commands

    def _answer(self, packet: bytes) -> bytes | None:
        """Return the reply to a packet, empty for one that is not known; None: the call goes on."""
        letter = packet[:1]
        for prefix, method in self._QUERIES.items():
            if packet.startswith(prefix):
                return method(self, packet[len(prefix) :])
        found = self._LETTERS.get(letter)
        return b"" if found is None else found(self, packet[1:])

    def _go(self, *, step: bool) -> None:
        self.control.stepping = step
        self._runs = True

    def _resume(self, rest: bytes, *, step: bool, signal: bool = False) -> None:
        if signal:
            rest = rest.partition(b";")[2]
        if rest and not write_register(self._state, PC, _number(rest).to_bytes(8, "little")):
            raise _Refused
        self._go(step=step)

    def _vcont(self, rest: bytes) -> None:
        # The first action that applies to a thread is the one; there is one thread.
        for action in rest.split(b";")[1:]:
            name, _, thread = action.partition(b":")
            if thread in (b"", b"1", b"-1", b"0") and name[:1] in (b"c", b"C", b"s", b"S"):
                self._go(step=name[:1] in b"sS")
                return
        raise _Refused

    def _kill(self, rest: bytes) -> bytes:
        self._connection.send(_OK)
        raise Gone("gdb killed the call")

    def _detach(self, rest: bytes) -> None:
        self._connection.send(_OK)
        self.detached = self._runs = True
        self.control.stepping = False
        self.control.detach()

    def _read_all(self, rest: bytes) -> bytes:
        return registers_hex(self._state).encode()

    def _write_all(self, rest: bytes) -> bytes:
        return _OK if write_registers(self._state, _bytes(rest.replace(b"x", b"0"))) else _BAD

    def _read_one(self, rest: bytes) -> bytes:
        number = _number(rest)
        if number >= len(REGISTERS):
            return _BAD
        data = read_register(self._state, number)
        return b"xx" * REGISTERS[number].size if data is None else data.hex().encode()

    def _write_one(self, rest: bytes) -> bytes:
        name, _, value = rest.partition(b"=")
        number = _number(name)
        return _OK if number < len(REGISTERS) and write_register(self._state, number, _bytes(value)) else _BAD

    def _read_memory(self, rest: bytes) -> bytes:
        address, size = _two(rest)
        pieces = self._pieces(address, min(size, PACKET_BYTES // 2))
        data = b"".join(self._engine.read(at, count) for at, count in pieces)
        return data.hex().encode() if data or not size else _FAULT

    def _write_hex(self, rest: bytes) -> bytes:
        where, _, data = rest.partition(b":")
        return self._write_memory(where, _bytes(data))

    def _write_binary(self, rest: bytes) -> bytes:
        where, _, data = rest.partition(b":")
        return self._write_memory(where, data)

    def _write_memory(self, where: bytes, data: bytes) -> bytes:
        address, size = _two(where)
        if size != len(data):
            raise _Refused
        pieces = list(self._pieces(address, size))
        if sum(count for _, count in pieces) < size or (size and self._engine.is_harness(address, size)):
            return _FAULT
        for at, count in pieces:
            self._engine.write(at, data[at - address : at - address + count])
        # It may have been code that ran.
        self._engine.flush()
        return _OK

    def _pieces(self, address: int, size: int) -> Iterator[tuple[int, int]]:
        """Yield address and bytes of each mapping's part of a range, up to where nothing is mapped."""
        while size:
            count = min(size, self._engine.room(address))
            if not count:
                return
            yield address, count
            address, size = address + count, size - count

    def _insert(self, rest: bytes) -> bytes | None:
        kind, address, size = self._point(rest)
        if kind > ACCESS:
            return b""
        return _OK if self.control.insert(kind, address, size) else _FAULT

    def _remove(self, rest: bytes) -> bytes | None:
        kind, address, size = self._point(rest)
        if kind > ACCESS:
            return b""
        self.control.remove(kind, address, size)
        return _OK

    def _point(self, rest: bytes) -> tuple[int, int, int]:
        fields = rest.partition(b";")[0].split(b",")
        if len(fields) != 3:
            raise _Refused
        kind, address, size = map(_number, fields)
        return kind, address, size

    def _status(self, rest: bytes) -> bytes:
        return self._reply

    def _yes(self, rest: bytes) -> bytes:
        return _OK

    def _supported(self, rest: bytes) -> bytes:
        self._knows = set(rest.lstrip(b":").split(b";"))
        features = ("QStartNoAckMode+", "qXfer:features:read+", "qXfer:exec-file:read+", "vContSupported+")
        return ";".join((f"PacketSize={PACKET_BYTES:x}", *features, "swbreak+", "hwbreak+")).encode()

    def _transfer_description(self, rest: bytes) -> bytes:
        annex, _, where = rest.partition(b":")
        return _part(self._description, where) if annex == b"target.xml" else b"E00"

    def _transfer_name(self, rest: bytes) -> bytes:
        return _part(PROGRAM.encode(), rest.partition(b":")[2])

    # The program, as a file

    def _open(self, rest: bytes) -> bytes:
        name, flags, _ = (*rest.split(b","), b"", b"")[:3]
        if _bytes(name) != PROGRAM.encode():
            return _NO_FILE
        return b"F%x" % _DESCRIPTOR if not _number(flags) & 3 else _READ_ONLY

    def _pread(self, rest: bytes) -> bytes:
        fields = rest.split(b",")
        if len(fields) != 3:
            raise _Refused
        descriptor, count, offset = map(_number, fields)
        if descriptor != _DESCRIPTOR:
            return _BAD_DESCRIPTOR
        # Escaped it is twice as long at most.
        data = self._program[offset : offset + min(count, PACKET_BYTES // 2 - 32)]
        return b"F%x;" % len(data) + escape(data)

    def _fstat(self, rest: bytes) -> bytes:
        if _number(rest) != _DESCRIPTOR:
            return _BAD_DESCRIPTOR
        stat = bytearray(_STAT_BYTES)
        stat[_STAT_MODE : _STAT_MODE + 4] = _REGULAR.to_bytes(4, "big")
        stat[_STAT_SIZE : _STAT_SIZE + 8] = len(self._program).to_bytes(8, "big")
        return b"F%x;" % len(stat) + escape(bytes(stat))

    def _close(self, rest: bytes) -> bytes:
        return b"F0" if _number(rest) == _DESCRIPTOR else _BAD_DESCRIPTOR

    def _file_system(self, rest: bytes) -> bytes:
        return b"F0"

    _QUERIES: ClassVar[dict[bytes, Callable[[Session, bytes], bytes | None]]] = {
        b"qSupported": _supported,
        b"QStartNoAckMode": _yes,
        b"qXfer:features:read:": _transfer_description,
        b"qXfer:exec-file:read:": _transfer_name,
        b"qAttached": lambda _, rest: b"1",
        b"qfThreadInfo": lambda _, rest: b"m1",
        b"qsThreadInfo": lambda _, rest: b"l",
        b"qC": lambda _, rest: b"QC1" if not rest else b"",
        b"vCont?": lambda _, rest: b"vCont;c;C;s;S",
        b"vCont": _vcont,
        b"vKill": _kill,
        b"vFile:setfs:": _file_system,
        b"vFile:open:": _open,
        b"vFile:pread:": _pread,
        b"vFile:fstat:": _fstat,
        b"vFile:close:": _close,
    }
    _LETTERS: ClassVar[dict[bytes, Callable[[Session, bytes], bytes | None]]] = {
        b"?": _status,
        b"g": _read_all,
        b"G": _write_all,
        b"p": _read_one,
        b"P": _write_one,
        b"m": _read_memory,
        b"M": _write_hex,
        b"X": _write_binary,
        b"c": lambda self, rest: self._resume(rest, step=False),
        b"s": lambda self, rest: self._resume(rest, step=True),
        b"C": lambda self, rest: self._resume(rest, step=False, signal=True),
        b"S": lambda self, rest: self._resume(rest, step=True, signal=True),
        b"Z": _insert,
        b"z": _remove,
        b"D": _detach,
        b"k": _kill,
        b"H": _yes,
        b"T": _yes,
    }


def _number(text: bytes) -> int:
    if not _NUMBER.fullmatch(text):
        raise _Refused
    return int(text, 16)


def _two(text: bytes) -> tuple[int, int]:
    first, _, second = text.partition(b",")
    return _number(first), _number(second)


def _bytes(text: bytes) -> bytes:
    try:
        return bytes.fromhex(text.decode("ascii"))
    except ValueError as error:
        raise _Refused from error


def _part(data: bytes, where: bytes) -> bytes:
    """Return what a qXfer asks for, ``where`` being offset and length: l and the end of the data, or m and a part."""
    offset, size = _two(where)
    size = min(size, PACKET_BYTES // 2 - 32)
    return (b"l" if offset + size >= len(data) else b"m") + escape(data[offset : offset + size])
