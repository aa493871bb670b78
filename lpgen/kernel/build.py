"""A kernel's facts out of its build directory: asm-offsets.h, .config, and the version in generated headers."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from lpgen.errors import LpgenError, Place
from lpgen.kernel.dotconfig import read_dotconfig
from lpgen.kernel.generations import Origin
from lpgen.kernel.generations import kernel as kernel_facts
from lpgen.kernel.model import Offsets
from lpgen.kernel.options import Config
from lpgen.kernel.reading import read_offsets
from lpgen.kernel.versions import Version, version_text
from lpgen.kernel.vmlinux import Found, differing, merged, plain_name

OPTION = "--build"
ASM_OFFSETS = "include/generated/asm-offsets.h"
DOTCONFIG = ".config"
_HEAD = 16 << 10
# LINUX_VERSION_CODE has 8 bits for the point release: 255 is that, or more.
_CODE_LIMIT = 255

_WHOLE = re.compile(
    r"LINUX_VERSION_MAJOR\s+(\d+)\s.*?LINUX_VERSION_PATCHLEVEL\s+(\d+)\s.*?LINUX_VERSION_SUBLEVEL\s+(\d+)\s", re.DOTALL
)
_RELEASE = re.compile(r"\s*(\d{1,3})\.(\d{1,3})(?:\.(\d{1,5}))?")
_UTS = re.compile(r'UTS_RELEASE\s+"(\d{1,3})\.(\d{1,3})(?:\.(\d{1,5}))?')
_MAKEFILE = re.compile(r"^VERSION\s*=\s*(\d+)\n^PATCHLEVEL\s*=\s*(\d+)\n^SUBLEVEL\s*=\s*(\d+)$", re.MULTILINE)
_CODE = re.compile(r"LINUX_VERSION_CODE\s+(\d{1,10})\s")
_CONFIG = re.compile(r"^# Linux/\S+ (\d{1,3})\.(\d{1,3})(?:\.(\d{1,5}))?", re.MULTILINE)
_VERSION_H = "include/generated/uapi/linux/version.h"
# Where a version stands, the most trustworthy first: a distribution gives its kernels a release name of its own.
_PLACES = (
    (_VERSION_H, _WHOLE),
    ("include/config/kernel.release", _RELEASE),
    ("include/generated/utsrelease.h", _UTS),
    (_VERSION_H, _CODE),
    ("Makefile", _MAKEFILE),
    (DOTCONFIG, _CONFIG),
)


def read_build(
    directory: Path,
    *,
    version: str | None = None,
    config: Config | None = None,
    dotconfig: Config | None = None,
    offsets: Offsets | None = None,
) -> Found:
    """Return the kernel that was built in ``directory`` (O= of its build, or the tree itself).

    ``version``, ``config`` and ``dotconfig`` (single options, and what a .config says), and ``offsets`` win over what
    is read. Raises LpgenError for what is no such directory, or lacks what is needed, and for a file that is damaged.
    """
    if not directory.is_dir():
        reason = "there is no such directory" if not directory.exists() else "is a file, not a directory"
        raise LpgenError(reason, place=Place(str(directory)), hint="give the directory that a kernel was built in")
    notes: list[str] = []
    chosen = _version(directory, notes) if version is None else version
    own: Config | None = None
    if (directory / DOTCONFIG).is_file():
        own = read_dotconfig(directory / DOTCONFIG)
        notes.append(f"configuration: {DOTCONFIG}")
    elif dotconfig is None:
        notes.append(f"there is no {DOTCONFIG} in it: lpgen's default configuration; give one with --config")
    settled = merged(own, dotconfig)
    read = offsets
    if read is None:
        if not (directory / ASM_OFFSETS).is_file():
            raise LpgenError(
                f"has no {ASM_OFFSETS}",
                place=Place(str(directory)),
                hint="`make prepare` there makes it; or give --offsets",
            )
        read = read_offsets(directory / ASM_OFFSETS)
        notes.append(f"offsets: {len(read)} from {ASM_OFFSETS}")
    made = kernel_facts(chosen, config=config, dotconfig=settled, offsets=read)
    plain = kernel_facts(chosen, dotconfig=own)
    name = plain_name(str(directory.resolve()))
    origin = Origin(OPTION, name, version or "", differing(plain, made), offsets is not None, tuple(notes))
    return Found(replace(made, origin=origin), tuple(notes))


def _version(directory: Path, notes: list[str]) -> str:
    found: list[tuple[Version, str]] = []
    for file, pattern in _PLACES:
        match = pattern.search(_head(directory / file))
        if match is None:
            continue
        if pattern is _CODE:
            code = int(match[1])
            found.append(((code >> 16, code >> 8 & 0xFF, code & 0xFF), file))
        else:
            found.append(((int(match[1]), int(match[2]), int(match[3] or 0)), file))
    if not found:
        raise LpgenError(
            "does not say which kernel was built in it: neither include/config/kernel.release nor "
            "include/generated/utsrelease.h is there",
            place=Place(str(directory)),
            hint="say it with --kernel",
        )
    version, file = found[0]
    if version[2] in (0, _CODE_LIMIT):
        version, file = max((entry for entry in found if entry[0][:2] == version[:2]), key=lambda entry: entry[0])
    notes.append(f"kernel {version_text(version)}: {file}")
    return version_text(version)


def _head(path: Path) -> str:
    """Return the first lines of a file, nothing when there is none that can be read."""
    try:
        with path.open("rb") as file:
            return file.read(_HEAD).decode("utf-8", "replace")
    except OSError:
        return ""
