"""Damaged kernels: each is refused with an LpgenError, or judged; never another exception, a hang, or much memory.

python -m tests.linked.fuzz FOLDER COUNT SEED   prints one line for each that went wrong, then the peak memory in KiB.
FOLDER holds whole kernels, *.elf. A process of its own, so that its memory can be measured.
"""

from __future__ import annotations

import contextlib
import resource
import signal
import struct
import sys
import traceback
from pathlib import Path
from random import Random
from types import FrameType

from lpgen.api import judge
from lpgen.assembly.extract import extract
from lpgen.assembly.read_linked import read_linked
from lpgen.elf.file import open_elf
from lpgen.errors import LpgenError
from lpgen.kernel.vmlinux import kernel_of_vmlinux

SECONDS = 30
# Each emulator reserves address space for its translations, and never uses it.
ADDRESS_SPACE = 24 << 30
HEADER, SECTION_HEADER = 64, 64
ODD = (0, 1, 0x7FFFFFFF, 0xFFFFFFFF, 1 << 31, 1 << 40, 1 << 60, (1 << 63) - 1, 1 << 63, (1 << 64) - 1, 8, 24)


def _headers(data: bytes) -> tuple[int, int]:
    table: int = struct.unpack_from("<Q", data, 40)[0]
    count: int = struct.unpack_from("<H", data, 60)[0]
    return table, count


def _section(data: bytes, rng: Random) -> tuple[int, int]:
    """Offset and size of the contents of one section."""
    table, count = _headers(data)
    at = table + SECTION_HEADER * rng.randrange(1, count)
    offset, size = struct.unpack_from("<QQ", data, at + 24)
    return (offset, size) if size and offset + size <= len(data) else (0, HEADER)


def mutated(whole: bytes, rng: Random) -> bytes:
    """Return a damaged copy: a field of a header, some bytes of a section, or its end gone."""
    data = bytearray(whole)
    for _ in range(rng.choice((1, 1, 1, 2, 5))):
        table, count = _headers(whole)
        kind = rng.randrange(8)
        if kind == 0:
            del data[rng.randrange(len(data)) :]
        elif kind == 1:
            at = rng.randrange(4, HEADER)
            data[at : at + 1] = bytes([rng.randrange(256)])
        elif kind in (2, 3, 4):
            at = table + SECTION_HEADER * rng.randrange(count) + 4 * rng.randrange(16)
            size = rng.choice((4, 8))
            value = rng.choice((*ODD, rng.getrandbits(64), rng.randrange(len(whole))))
            data[at : at + size] = (value & ((1 << 8 * size) - 1)).to_bytes(size, "little")
        elif kind == 5:
            at, size = _section(whole, rng)
            for _ in range(rng.choice((1, 10, 100))):
                spot = at + rng.randrange(size)
                data[spot : spot + 1] = bytes([rng.randrange(256)])
        elif kind == 6:
            at, size = _section(whole, rng)
            spot = at + (rng.randrange(size) & ~7)
            data[spot : spot + 8] = rng.choice((*ODD, rng.getrandbits(64))).to_bytes(8, "little")
        else:
            at, size = _section(whole, rng)
            other, length = _section(whole, rng)
            length = min(size, length, 4096)
            data[at : at + length] = whole[other : other + length]
    return bytes(data)


def attempt(path: Path, *, run: bool) -> str:
    """Do with a file what the commands do; return how it ended."""
    try:
        with open_elf(path) as elf:
            wanted = kernel_of_vmlinux(elf).kernel
            unit = read_linked(elf, wanted)
        if run:
            judge(wanted, unit, callers=2, shrink=False)
            extract(unit, wanted, "a head")
    except LpgenError as error:
        text = str(error)
        return "refused" if "\n" not in text and text.isprintable() else f"message {text!r}"
    except BaseException as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        return f"{type(error).__name__}: {error} at {where.filename}:{where.lineno}"
    return "taken"


def _hung(number: int, frame: FrameType | None) -> None:
    raise TimeoutError(f"no end after {SECONDS} s")


def peak() -> int:
    """The most memory that this process had, in KiB: not ru_maxrss, which has that of its parent before exec."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0])


def main(folder: Path, count: int, seed: int) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    signal.signal(signal.SIGALRM, _hung)
    wholes = sorted(folder.glob("*.elf"))
    path = folder / "mutant"
    ends: dict[str, int] = {}
    for number in range(count):
        rng = Random(seed * 1_000_003 + number)
        path.write_bytes(mutated(rng.choice(wholes).read_bytes(), rng))
        signal.alarm(SECONDS)
        end = attempt(path, run=number % 10 == 0)
        signal.alarm(0)
        if end not in ("refused", "taken"):
            print(f"#{number}: {end}")
            with contextlib.suppress(OSError):
                (folder / f"wrong-{number}").write_bytes(path.read_bytes())
        ends[end] = ends.get(end, 0) + 1
    print(ends.get("refused", 0), ends.get("taken", 0), peak())


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
