"""What the tests of objects share: objects by GNU's tools, read and linked, and what is compared."""

from __future__ import annotations

import subprocess
from io import BytesIO
from pathlib import Path

from lpgen.assembly import Image, Unit, link
from lpgen.assembly.reach import gathered, judged, needed
from lpgen.assembly.read_object import read_object
from lpgen.elf.file import ElfFile
from lpgen.kernel.generations import Kernel

PREFIX = "powerpc64le-linux-gnu-"
TEXT, DATA, TOC = 0xC000000000200000, 0xC000000001100000, 0xC000000001008000
EXTERNALS = {
    "function_trace_op": TOC + 0x1A8F8,
    "prepare_ftrace_return": TEXT - 0x10000,
    "ftrace_return_to_handler": TEXT - 0x20000,
    "is_current_kprobe_addr": TEXT - 0x30000,
}


def read(data: bytes, name: str = "x.o") -> Unit:
    return read_object(ElfFile(BytesIO(data), name))


def gas(text: str, directory: Path, *options: str, name: str = "x") -> Path:
    """Assemble with GNU as; the object."""
    source, out = directory / f"{name}.s", directory / f"{name}.o"
    source.write_text(text)
    run("as", *options, "-o", str(out), str(source))
    return out


def gcc(text: str, directory: Path, *options: str, name: str = "x.c") -> Path:
    """Compile with gcc -c; the object."""
    source, out = directory / name, (directory / name).with_suffix(".o")
    source.write_text(text)
    run("gcc", "-c", *options, "-o", str(out), str(source))
    return out


def run(tool: str, *arguments: str) -> str:
    done = subprocess.run([PREFIX + tool, *arguments], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def roots(kernel: Kernel) -> list[str]:
    return [symbol.name for symbol in kernel.symbols]


def placed(kernel: Kernel, unit: Unit) -> Image:
    """Link what the entry points of ``unit`` need, as the world does."""
    unit, unknown = needed(judged(unit, roots(kernel)), roots(kernel), EXTERNALS)
    assert unknown == []
    addresses, at = {".text": TEXT}, DATA
    for name, section in sorted(unit.sections.items()):
        if name != ".text" and section.size:
            addresses[name] = at
            at += section.size + 0xFF & ~0xFF
    return link(gathered(unit), addresses=addresses, externals=EXTERNALS, toc=TOC)
