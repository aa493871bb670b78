"""Which kernel a vmlinux is: its linux_banner, and what distributions make of the version in it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from lpgen.elf.file import SHT_NOBITS, ElfFile
from lpgen.errors import LpgenError
from lpgen.kernel.versions import version_text

SYMBOL = "linux_banner"
# linux_banner has some 200 bytes, .rodata some 6 MB.
BANNER_LIMIT = 1024
RODATA_LIMIT = 64 << 20
_BANNER = re.compile(r"Linux version ([0-9]{1,3})\.([0-9]{1,3})(?:\.([0-9]{1,5}))?(\S*)", re.ASCII)
_IN_RODATA = re.compile(rb"Linux version [0-9][^\0]{0,1000}")
# What the build itself says begins with its number; in front of it is the compiler, which has a version too.
_BUILD = re.compile(r" #[0-9]+\b")


@dataclass(frozen=True)
class Release:
    """A kernel's release: ``version`` as lpgen takes it, ``uname`` as it calls itself.

    ``stable``: the banner names a point release; else the version is no more than the series.
    """

    version: str
    uname: str
    stable: bool


def read_release(elf: ElfFile) -> Release | None:
    """Return what the file's linux_banner says, None when it has none. Raises LpgenError for one without a version."""
    text = _banner(elf)
    return None if text is None else release_of(text, elf)


def release_of(banner: str, elf: ElfFile) -> Release:
    """Return what a banner says.

    Debian's 6.1.0-50 and Ubuntu's 5.15.0-91 are names of an ABI; both give the stable release that it is built from
    behind the number of the build: ``#1 SMP Debian 6.1.176-1``, ``(Ubuntu 5.15.0-91.101-generic 5.15.131)``.
    """
    match = _BANNER.match(banner)
    if match is None:
        raise LpgenError(f"its {SYMBOL} names no version", place=elf.place, hint="name the kernel with --kernel")
    major, minor, point = int(match[1]), int(match[2]), int(match[3] or 0)
    uname = banner[len("Linux version ") : match.end()]
    build = _BUILD.search(banner)
    tail = banner[build.end() :] if build is not None else ""
    named = [int(p) for p in re.findall(rf"(?<![\w.]){major}\.{minor}\.([0-9]{{1,5}})(?![\w.])", tail, re.ASCII)]
    best = max([point, *named])
    return Release(version_text((major, minor, best)), _printable(uname), best > 0)


def _banner(elf: ElfFile) -> str | None:
    for symbol in elf.symbols([SYMBOL]).get(SYMBOL, []):
        section = elf.section_at(symbol.value)
        if section is None or section.type == SHT_NOBITS:
            continue
        room = section.address + section.size - symbol.value
        text = elf.memory(symbol.value, min(BANNER_LIMIT, room)).split(b"\0")[0]
        if text.startswith(b"Linux version "):
            return text.decode("utf-8", "replace")
    section = elf.section(".rodata")
    if section is None or section.size > RODATA_LIMIT:
        return None
    match = _IN_RODATA.search(elf.data(section))
    return None if match is None else match[0].decode("utf-8", "replace")


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text)
