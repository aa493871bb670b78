"""Damaged build directories: asm-offsets.h, .config and the headers with the version. LPGEN_FUZZ=10000 sends more."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from types import FrameType

from lpgen.errors import LpgenError
from lpgen.kernel.build import read_build
from lpgen.source.emit import emit_source

COUNT = int(os.environ.get("LPGEN_FUZZ", "800"))
SECONDS = 30
DATA = Path(__file__).parent / "data"
CONFIG = """\
# Linux/powerpc 6.12.117 Kernel Configuration
CONFIG_LIVEPATCH=y
CONFIG_FUNCTION_GRAPH_TRACER=y
# CONFIG_KPROBES_ON_FTRACE is not set
CONFIG_LOCALVERSION="-mine"
"""
FILES = {
    "include/generated/asm-offsets.h": (DATA / "asm-offsets-6.12.117.h").read_text(),
    "include/generated/utsrelease.h": '#define UTS_RELEASE "6.12.117-mine"\n',
    "include/config/kernel.release": "6.12.117-mine\n",
    ".config": CONFIG,
    "Makefile": "VERSION = 6\nPATCHLEVEL = 12\nSUBLEVEL = 117\nEXTRAVERSION =\n",
}
PIECES = [
    *(b"\0", b"\xff\xfe", b"/*", b"*/", b"\\\n", b'"', b"\r\n", b"\x1b[31m", b"-1", b"0x", b"9" * 5000),
    *(b"#if 1\n", b"#include <x.h>\n", b"#define GPR0 48\n", b"#define GPR0 99999999999999999999999\n"),
    *(b"CONFIG_LIVEPATCH=m\n", b"CONFIG_LIVEPATCH=n\n"),
]


def mutated(whole: bytes, rng: Random) -> bytes:
    data = bytearray(whole)
    for _ in range(rng.choice((1, 1, 2, 8))):
        at = rng.randrange(len(data) + 1)
        kind = rng.randrange(5)
        if kind == 0:
            del data[at:]
        elif kind == 1 and data:
            data[at - 1 : at] = bytes([rng.randrange(256)])
        elif kind == 2:
            data[at:at] = rng.choice(PIECES)
        elif kind == 3:
            lines = bytes(data).splitlines(keepends=True)
            rng.shuffle(lines)
            data = bytearray(b"".join(lines[: rng.randrange(len(lines) + 1)]))
        else:
            del data[at : at + rng.randrange(200)]
    return bytes(data)


@contextmanager
def ended_in_time() -> Iterator[None]:
    def hung(number: int, frame: FrameType | None) -> None:
        raise TimeoutError(f"no end after {SECONDS} s")

    before = signal.signal(signal.SIGALRM, hung)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def refusal(build: Path) -> LpgenError | None:
    """Do what `lpgen emit --build` does; return the error that it ends with."""
    try:
        emit_source(read_build(build).kernel)
    except LpgenError as error:
        return error
    return None


def test_damaged_build_directories(tmp_path: Path) -> None:
    """Each is refused in one line with its file, or taken; never another exception."""
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert read_build(tmp_path).kernel.version == "6.12.117"
    refused = 0
    for number in range(COUNT):
        rng = Random(number)
        # The offsets are what there is most to get wrong in.
        name = rng.choice((*FILES, "include/generated/asm-offsets.h", "include/generated/asm-offsets.h"))
        (tmp_path / name).write_bytes(mutated(FILES[name].encode(), rng))
        with ended_in_time():
            error = refusal(tmp_path)
        if error is not None:
            refused += 1
            assert str(error).isprintable(), number
            assert error.place is not None, (number, str(error))
        (tmp_path / name).write_text(FILES[name])
    assert COUNT // 20 < refused < COUNT - COUNT // 20
