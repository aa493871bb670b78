"""The protocol spoken by hand: how a session begins and ends, what it refuses, and who is no gdb at all."""

from __future__ import annotations

import re
import socket
import struct
import threading
from random import Random

import pytest

from lpgen.debugger.connection import listen
from lpgen.debugger.packets import PACKET_BYTES, escape, frame
from lpgen.debugger.registers import REGISTERS
from lpgen.errors import LpgenError
from lpgen.machine.places import GROUND
from tests.debugger.served import Client, Served

BRANCH_TO_ITSELF = b"00000048"
CLOSED = "gdb closed the connection"


def register(client: Client, number: int) -> int:
    return int.from_bytes(bytes.fromhex(client.ask(b"p%x" % number).decode()), "little")


def end(client: Client) -> None:
    assert client.ask(b"vKill;1") == b"OK"


def test_what_is_not_known_has_an_empty_reply() -> None:
    with Served() as served, Client(served.port) as client:
        for packet in (
            b"vMustReplyEmpty",
            b"",
            b"!",
            b"qSymbol::",
            b"Z5,0,4",
            b"vFile:unlink:00",
            b"qCRC:0,4",
            b"\xff",
        ):
            assert client.ask(packet) == b"", packet
        end(client)


@pytest.mark.parametrize(
    "packet",
    [
        b"m,4", b"mzz,4", b"m0", b"M0,4:00", b"M0,1:zz", b"X0,2:a", b"G00", b"p", b"pff", b"P0", b"P0=00", b"P40=0100",
        b"Pff=00", b"Z0,0", b"Z0,,4", b"z0", b"vCont;", b"vCont;t", b"vCont;r1,2", b"c1", b"szz",
        b"qXfer:exec-file:read:",
        b"vFile:pread:3,1", b"m" + b"0" * 17 + b",1", b"P46=0000000000000000",
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(packet: bytes) -> None:
    with Served() as served, Client(served.port) as client:
        before = client.ask(b"g")
        assert client.ask(packet) == b"E01"
        assert client.ask(b"g") == before
        end(client)


def test_registers_as_one_packet() -> None:
    with Served() as served, Client(served.port) as client:
        everything = client.ask(b"g")
        assert len(everything) == 2 * sum(one.size for one in REGISTERS)
        single = b"".join(client.ask(b"p%x" % number) for number in range(len(REGISTERS)))
        assert single == everything
        changed = b"11" * 8 + everything[16:]
        assert client.ask(b"G" + changed) == b"OK"
        assert client.ask(b"g") == changed
        # MSR without SF and LE is no ppc64le.
        at = 2 * sum(one.size for one in REGISTERS[:65])
        assert client.ask(b"G" + b"22" * 8 + changed[16:at] + b"00" * 8 + changed[at + 16 :]) == b"E01"
        assert client.ask(b"g") == changed
        end(client)


def test_memory_in_pieces_and_what_is_not_there() -> None:
    with Served() as served, Client(served.port) as client:
        r1 = register(client, 1)
        assert client.ask(b"m0,4") == b"E14"
        # The stack is all that is mapped there.
        top = (r1 | 0x3FFF) + 1
        assert len(client.ask(b"m%x,40" % (top - 16))) == 32
        assert client.ask(b"M%x,20:%s" % (top - 16, b"00" * 32)) == b"E14"
        # Two mappings side by side are read as one.
        assert len(client.ask(b"m%x,20" % (GROUND.functions - 16))) == 64
        data = bytes(range(256)) + b"}#$*"
        assert client.ask(b"X%x,%x:" % (r1 - 0x200, len(data)) + escape(data)) == b"OK"
        assert client.ask(b"m%x,%x" % (r1 - 0x200, len(data))) == data.hex().encode()
        assert client.ask(b"X%x,0:" % r1) == b"OK"
        assert len(client.ask(b"m%x,ffffffff" % (r1 & ~0x3FFF))) <= PACKET_BYTES
        end(client)


def test_the_program_is_an_elf_file_that_comes_in_parts() -> None:
    with Served() as served, Client(served.port) as client:
        name = client.ask(b"qXfer:exec-file:read:1:0,1000")
        assert name[:1] == b"l"
        assert client.ask(b"vFile:open:" + b"/etc/passwd".hex().encode() + b",0,0") == b"F-1,2"
        assert client.ask(b"vFile:open:" + name[1:].hex().encode() + b",1,0") == b"F-1,1e"
        assert client.ask(b"vFile:open:" + name[1:].hex().encode() + b",0,0") == b"F3"
        size = int.from_bytes(client.ask(b"vFile:fstat:3").partition(b";")[2][28:36], "big")
        content = b""
        while True:
            count, _, data = client.ask(b"vFile:pread:3,100,%x" % len(content)).partition(b";")
            assert count == b"F%x" % len(data)
            if not data:
                break
            content += data
        assert len(content) == size
        assert client.ask(b"vFile:pread:4,100,0") == b"F-1,9"
        assert client.ask(b"vFile:close:3") == b"F0"
        xml, part = b"", b"m"
        while part[:1] == b"m":
            part = client.ask(b"qXfer:features:read:target.xml:%x,200" % len(xml))
            xml += part[1:]
        assert xml.count(b"<reg ") == len(REGISTERS)
        assert client.ask(b"qXfer:features:read:other.xml:0,200") == b"E00"
        end(client)
    # An executable, little endian, PowerPC64, ELFv2.
    assert struct.unpack_from("<HH", content, 16) == (2, 21)
    assert struct.unpack_from("<I", content, 48) == (2,)


def test_a_break_reason_only_for_who_knows_it() -> None:
    with Served() as served, Client(served.port) as client:
        pc = register(client, 64)
        assert client.ask(b"Z0,%x,4" % pc) == b"OK"
        assert re.match(rb"T051:\w+;40:\w+;thread:1;$", client.ask(b"?"))
        # One instruction runs before a breakpoint at it counts; one at pc that was set counts at once.
        assert client.ask(b"vCont;s:1").startswith(b"T051:")
        assert register(client, 64) != pc
        assert client.ask(b"c%x" % pc).startswith(b"T051:")
        assert register(client, 64) == pc
        assert b"swbreak+" in client.ask(b"qSupported:swbreak+;hwbreak+")
        assert client.ask(b"c%x" % (pc + 4)) == b"W00"
    assert served.trip is not None


def test_so_many_breakpoints_and_no_more() -> None:
    with Served() as served, Client(served.port) as client:
        assert client.ask(b"QStartNoAckMode") == b"OK"
        client.quiet = True
        client.socket.sendall(b"".join(frame(b"Z0,%x,4" % (4 * number)) for number in range(4097)))
        assert [client.reply() for _ in range(4097)] == [b"OK"] * 4096 + [b"E14"]
        end(client)


def test_a_bad_checksum_is_sent_again() -> None:
    with Served() as served, Client(served.port) as client:
        client.socket.sendall(b"$qC#00")
        assert client.event().kind == "-"
        client.send(b"qC")
        assert client.event().kind == "+"
        assert client.event().content == b"QC1"
        client.socket.sendall(b"-")
        assert client.event().content == b"QC1"
        client.socket.sendall(b"+")
        end(client)


def test_no_acknowledgements_when_asked() -> None:
    with Served() as served, Client(served.port) as client:
        assert client.ask(b"QStartNoAckMode") == b"OK"
        client.quiet = True
        client.send(b"qC")
        event = client.event()
        assert (event.kind, event.content) == ("packet", b"QC1")
        client.socket.sendall(b"$qC#00")
        assert client.closed()
    assert served.lines[1:] == ["closed the connection: not the GDB remote protocol: a packet with a wrong checksum"]


@pytest.mark.parametrize(
    "garbage",
    [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01", bytes(range(4, 256)), b"$" + b"a" * 100_000, b"$g#zz", b"-" * 10,
     b"$g#00" * 10, b"$a}#de"],
    ids=["HTTP", "TLS", "bytes", "endless", "checksum", "NAK", "bad", "escape"],
)  # fmt: skip
def test_who_is_no_gdb_is_cut_off_in_one_line(garbage: bytes) -> None:
    with Served() as served, Client(served.port) as client:
        client.socket.sendall(garbage)
        assert client.closed()
    assert len(served.lines) == 2
    assert served.lines[1].startswith("closed the connection: not the GDB remote protocol: ")
    assert served.trip is None


def test_whatever_a_packet_holds_there_is_a_reply() -> None:
    rng = Random(1)
    commands = "g G p P m M X Z0 Z2 z3 H T ? qXfer: vFile:open: vFile:pread: vFile:fstat: qSupported vCont? qC vCont;x"
    with Served() as served, Client(served.port) as client:
        for _ in range(600):
            rest = bytes(rng.choice(b"0123456789abcdef,,;::=xz\xff") for _ in range(rng.randrange(40)))
            reply = client.ask(rng.choice(commands.split()).encode() + escape(rest))
            assert len(reply) <= 2 * PACKET_BYTES
        end(client)


def test_packets_in_pieces_and_together() -> None:
    with Served() as served, Client(served.port) as client:
        for byte in frame(b"qC"):
            client.socket.sendall(bytes([byte]))
        assert client.reply() == b"QC1"
        client.socket.sendall(frame(b"qC") + frame(b"qfThreadInfo") + frame(b"qsThreadInfo"))
        assert [client.reply() for _ in range(3)] == [b"QC1", b"m1", b"l"]
        end(client)


def test_a_running_call_is_interrupted() -> None:
    with Served() as served, Client(served.port) as client:
        pc = register(client, 64)
        # What is written over has run, and is translated.
        assert client.ask(b"s").startswith(b"T05")
        assert client.ask(b"M%x,4:%s" % (pc, BRANCH_TO_ITSELF)) == b"OK"
        assert client.ask(b"P40=" + struct.pack("<Q", pc).hex().encode()) == b"OK"
        client.send(b"vCont;c")
        # It runs on without end, and says nothing.
        client.socket.settimeout(0.5)
        assert client.event().kind == "+"
        with pytest.raises(TimeoutError):
            client.event()
        client.socket.settimeout(60)
        client.socket.sendall(b"\x03")
        assert client.reply().startswith(b"T02")
        assert register(client, 64) == pc
        end(client)


def test_a_running_call_ends_with_its_gdb() -> None:
    with Served() as served, Client(served.port) as client:
        assert client.ask(b"M%x,4:%s" % (register(client, 64), BRANCH_TO_ITSELF)) == b"OK"
        client.send(b"c")
        assert client.event().kind == "+"
        client.socket.close()
        served.join()
    assert served.lines[1:] == [CLOSED]


@pytest.mark.parametrize("moment", ["waiting", "stopped", "running"])
def test_ctrl_c_in_the_terminal_ends_the_session(moment: str) -> None:
    with Served() as served:
        if moment == "waiting":
            served.stop.set()
            served.join()
        else:
            with Client(served.port) as client:
                if moment == "running":
                    assert client.ask(b"M%x,4:%s" % (register(client, 64), BRANCH_TO_ITSELF)) == b"OK"
                    client.send(b"c")
                served.stop.set()
                assert client.closed()
    assert isinstance(served.error, KeyboardInterrupt)


def test_gdb_goes_away() -> None:
    with Served() as served, Client(served.port) as client:
        assert client.ask(b"qC") == b"QC1"
        client.socket.close()
        served.join()
    assert served.lines[1:] == [CLOSED]
    assert served.trip is None


def test_a_second_gdb_is_refused() -> None:
    with Served() as served, Client(served.port) as client:
        assert client.ask(b"qC") == b"QC1"
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", served.port), timeout=5)
        end(client)


def test_a_port_that_is_taken_or_none() -> None:
    with listen(0) as listener:
        port = listener.getsockname()[1]
        assert listener.getsockname()[0] == "127.0.0.1"
        with pytest.raises(LpgenError) as caught:
            listen(port)
    assert str(caught.value) == f"port {port}: address already in use; give another port, or 0 for any that is free"
    with pytest.raises(LpgenError, match=r"^port 65536: "):
        listen(65536)


def test_the_session_leaves_no_thread_and_no_socket() -> None:
    before = threading.active_count()
    with Served() as served, Client(served.port) as client:
        end(client)
    assert threading.active_count() == before
    listen(served.port).close()
