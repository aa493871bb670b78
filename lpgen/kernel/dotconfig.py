"""A kernel's .config: the options that it sets, and what autoconf.h makes of all of them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lpgen.errors import LpgenError, Place
from lpgen.kernel.options import check_setting, known_options

# A real .config has some 200 KiB.
SIZE_LIMIT = 4 << 20

# What Kconfig writes at the top.
_WHOLE = "# Automatically generated file; DO NOT EDIT."
HEAD_LINES = 5

_SET = re.compile(r"(CONFIG_\w+)=(.*)", re.ASCII)
_NOT_SET = re.compile(r"# (CONFIG_\w+) is not set", re.ASCII)
_ARCHITECTURE = re.compile(r"# Linux/(\S+) \S+ Kernel Configuration")
_WANTED = "give CONFIG_X=y, CONFIG_X=n or a kernel's .config"
# Options that a kernel for lpgen cannot have.
_ELSEWHERE = {"CONFIG_CPU_BIG_ENDIAN": "big-endian", "CONFIG_PPC32": "32-bit"}
_LE = "lpgen is for ppc64le"


@dataclass(frozen=True)
class Autoconf:
    """The C macros that the options of a .config become; None: the .config has the option off.

    ``whole``: what it does not mention is off, too.
    """

    macros: Mapping[str, str | None]
    whole: bool

    def then(self, other: Autoconf) -> Autoconf:
        """Return the macros of both, the other's where both say something."""
        return Autoconf({**self.macros, **other.macros}, self.whole or other.whole)


class DotConfig(dict[str, bool | int]):
    """What a .config says of the options that lpgen knows; ``autoconf`` is what it says of all."""

    def __init__(self, settings: Mapping[str, bool | int], autoconf: Autoconf) -> None:
        super().__init__(settings)
        self.autoconf = autoconf

    def then(self, other: DotConfig) -> DotConfig:
        """Return what both say, the other where both do."""
        return DotConfig({**self, **other}, self.autoconf.then(other.autoconf))


def read_dotconfig(path: Path) -> DotConfig:
    """Return what the .config at ``path`` says of the options that lpgen knows: on, off, or a number.

    Options that it does not mention are not in the result, but for those that a whole one, which Kconfig wrote, would
    mention if they were on: these are off. Raises LpgenError, with file and line where there is one, for a file that
    cannot be read, that is no .config, or that is one of another architecture.
    """
    return parse_dotconfig(_read(path), str(path))


def parse_dotconfig(text: str, file: str) -> DotConfig:
    """Return what the text of a .config says, as ``read_dotconfig`` does; errors name ``file``."""
    lines = text.splitlines()
    known = known_options()
    found: dict[str, bool | int] = {}
    macros: dict[str, str | None] = {}
    options = 0
    for number, line in enumerate(lines, 1):
        place = Place(file, number)
        if (architecture := _ARCHITECTURE.fullmatch(line.rstrip())) is not None and architecture[1] != "powerpc":
            raise LpgenError(f"is the .config of another architecture, {architecture[1]}", place=place, hint=_LE)
        if (off := _NOT_SET.fullmatch(line.rstrip())) is not None:
            options += 1
            macros |= _macros(off[1], "n")
            if off[1] in known:
                found[off[1]] = _checked(off[1], False, place)
            continue
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        setting = _SET.fullmatch(line.strip())
        if setting is None:
            raise LpgenError(f"{line.strip()[:40]!r} is not a line of a .config", place=place, hint=_WANTED)
        options += 1
        name, value = setting[1], setting[2].strip()
        if name in _ELSEWHERE and value == "y":
            raise LpgenError(f"is the .config of a {_ELSEWHERE[name]} kernel: {name}=y", place=place, hint=_LE)
        macros |= _macros(name, value)
        if name in known:
            found[name] = _value(name, value, place)
    whole = _WHOLE in [line.rstrip() for line in lines[:HEAD_LINES]]
    if whole:
        found = {name: False for name, option in known.items() if not option.prompt} | found
    if not options:
        raise LpgenError("sets no option: it is no .config", place=Place(file), hint=_WANTED)
    return DotConfig(found, Autoconf(macros, whole))


def _macros(name: str, value: str) -> dict[str, str | None]:
    """Return what include/generated/autoconf.h says of an option."""
    module = f"{name}_MODULE"
    if value in ("y", "m", "n"):
        return {name: "1" if value == "y" else None, module: "1" if value == "m" else None}
    return {name: value}


def _value(name: str, value: str, place: Place) -> bool | int:
    if value in ("y", "n"):
        return _checked(name, value == "y", place)
    if value.isascii() and value.isdecimal() and len(value) < 10:
        return _checked(name, int(value), place)
    raise LpgenError(f"{name}={value[:40]} is neither y, n nor a number", place=place, hint="mend the .config")


def _checked(name: str, value: bool | int, place: Place) -> bool | int:
    try:
        check_setting(name, value)
    except LpgenError as error:
        raise LpgenError(error.reason, place=place, hint=error.hint) from None
    return value


def _read(path: Path) -> str:
    place = Place(str(path))
    try:
        with path.open("rb") as file:
            data = file.read(SIZE_LIMIT + 1)
    except OSError as error:
        raise LpgenError(
            f"cannot be read: {(error.strerror or str(error)).lower()}", place=place, hint=_WANTED
        ) from None
    if len(data) > SIZE_LIMIT:
        raise LpgenError(f"is larger than {SIZE_LIMIT >> 20} MiB", place=place, hint=_WANTED)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise LpgenError("is a binary file, not a .config", place=place, hint=_WANTED)
    return text
