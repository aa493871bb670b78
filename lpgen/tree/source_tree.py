"""A kernel source tree: that it is one, its version, and reading files of it."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from lpgen.errors import LpgenError, Place
from lpgen.kernel.generations import kernel
from lpgen.kernel.versions import parse_version, version_text
from lpgen.report.files import read_text

# Many times what any of these files has.
SIZE_LIMIT = 256 << 10
_NUMBERS = ("VERSION", "PATCHLEVEL", "SUBLEVEL")
_ASSIGNED = re.compile(r" *(VERSION|PATCHLEVEL|SUBLEVEL|EXTRAVERSION)[ \t]*:?=(.*)")
_RULE = re.compile(r"[^\s#=:][^#=:]*:(?![:=])")
_DEFINE = re.compile(r" *(define|endef)\b")
_CANDIDATE = re.compile(r"-rc[0-9]{1,3}(?![0-9])")
_POWERPC = "arch/powerpc/kernel"


@dataclass(frozen=True, slots=True)
class SourceTree:
    """A kernel source tree: ``named`` as the person gave it, ``root`` without symbolic links."""

    named: str
    root: Path

    def shown(self, path: str) -> str:
        """Return a path of the tree as the person would write it."""
        return os.path.normpath(Path(self.named) / path)

    def place(self, path: str, line: int | None = None) -> Place:
        """Return a place in the tree, for an error."""
        return Place(self.shown(path), line)

    def resolved(self, path: str) -> str:
        """Return ``path`` without symbolic links, from the tree's top. Raises LpgenError when it leads out of it."""
        try:
            real = (self.root / path).resolve()
        except (OSError, RuntimeError) as error:
            raise LpgenError("is a symbolic link that leads nowhere", place=self.place(path)) from error
        if not real.is_relative_to(self.root):
            raise LpgenError(
                "leads out of the tree by a symbolic link", place=self.place(path), hint="put what it leads to there"
            )
        return real.relative_to(self.root).as_posix()

    def read(self, path: str) -> str:
        """Return the text of a file. Raises LpgenError when it is none that lpgen could write again byte for byte."""
        place = self.place(path)
        full = self.root / path
        try:
            found = full.stat()
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise LpgenError(f"cannot be read: {reason}", place=place) from error
        if not stat.S_ISREG(found.st_mode):
            raise LpgenError("is not a regular file", place=place)
        if found.st_size > SIZE_LIMIT:
            raise LpgenError(f"has more than {SIZE_LIMIT >> 10} KiB: no such file of a kernel has", place=place)
        try:
            text = read_text(full)
        except LpgenError as error:
            line = error.place.line if error.place is not None else None
            raise LpgenError(error.reason, place=self.place(path, line), hint=error.hint) from error
        if "\r" in text:
            raise LpgenError(
                "has a carriage return: lines of a kernel's file end with a line feed alone",
                place=self.place(path, text.count("\n", 0, text.index("\r")) + 1),
                hint="convert it, or check it out with core.autocrlf=false",
            )
        return text

    def version(self) -> str:
        """Return the kernel's version, as its Makefile says. Raises LpgenError with the line when that is damaged."""
        found = self._assigned()
        missing = [name for name in _NUMBERS if name not in found]
        values: list[int] = []
        for name in _NUMBERS:
            number, value = found.get(name, (0, "0"))
            if not (value.isascii() and value.isdecimal()) or len(value) > 5:
                raise LpgenError(f"{name} = {value or 'nothing'} is not a number", place=self.place("Makefile", number))
            values.append(int(value))
        if missing:
            raise LpgenError(
                f"has no line {missing[0]} = N", place=self.place("Makefile"), hint="name the top of a kernel's tree"
            )
        return version_text((values[0], values[1], values[2]))

    def candidate(self) -> str:
        """Return the version with its -rcN, empty when the Makefile says none: it counts as the release."""
        match = _CANDIDATE.match(self._assigned().get("EXTRAVERSION", (0, ""))[1])
        return "" if match is None else self.version() + match[0]

    def _assigned(self) -> dict[str, tuple[int, str]]:
        """Return line and value of what the Makefile says of its version.

        As in make the last of a name's assignments counts, up to the first rule; what stands in define does not. An
        ifeq is not evaluated.
        """
        found: dict[str, tuple[int, str]] = {}
        defining = ruled = False
        for number, line in enumerate(self.read("Makefile").split("\n"), 1):
            define = _DEFINE.match(line)
            if define is not None:
                defining = define[1] == "define"
            match = None if defining else _ASSIGNED.fullmatch(line)
            if match is not None and not (ruled and match[1] in found):
                found[match[1]] = (number, match[2].partition("#")[0].strip())
            ruled = ruled or (not defining and match is None and _RULE.match(line) is not None)
        return found

    def chosen_version(self, wanted: str | None, *, force: bool = False) -> str:
        """Return the version to take: the tree's, or ``wanted``, of the same series or with ``force`` of any.

        Raises LpgenError when the series differ, or lpgen does not have the tree's.
        """
        own = self.version()
        if wanted is None:
            try:
                return kernel(own).version
            except LpgenError as error:
                raise LpgenError(error.reason, place=self.place("Makefile"), hint="name another tree") from error
        if not force and parse_version(wanted)[:2] != parse_version(own)[:2]:
            raise LpgenError(
                f"--kernel {wanted}, but this is the tree of a kernel {own}",
                place=self.place("Makefile"),
                hint="leave out --kernel, name another tree, or use --force",
            )
        return wanted

    def target(self, file: str, files: Iterable[str]) -> str:
        """Return the path of the kernel's ``file`` in the tree, without links.

        Raises LpgenError when it is not there: it says which of ``files``, those of other kernels, are.
        """
        if not (self.root / file).exists() and not (self.root / file).is_symlink():
            there = [other for other in files if other != file and (self.root / other).exists()]
            told = f"the tree has {', '.join(there)}" if there else "nor any other file that lpgen's text is for"
            raise LpgenError(
                f"is not there: {told}",
                place=self.place(file),
                hint="is the version in the Makefile the kernel's, or is the file changed or not checked out?",
            )
        return self.resolved(file)


def source_tree(directory: str) -> SourceTree:
    """Return the kernel source tree in ``directory``. Raises LpgenError when there is none."""
    if not directory:
        raise LpgenError("--tree names no directory", hint="give the top of a kernel's source tree")
    place, path = Place(directory), Path(directory)
    try:
        if not path.exists():
            raise LpgenError("there is no such directory", place=place, hint="give the top of a kernel's source tree")
        if not path.is_dir():
            raise LpgenError("is not a directory", place=place, hint="give the top of a kernel's source tree")
        tree = SourceTree(directory, path.resolve())
        missing = next((name for name in ("Makefile", _POWERPC) if not (tree.root / name).exists()), None)
    except (OSError, ValueError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise LpgenError(f"cannot be read: {reason.lower()}", place=place) from error
    if missing is not None:
        raise LpgenError(
            f"is not a kernel's source tree: it has no {missing}",
            place=place,
            hint="give the top of one, unpacked whole",
        )
    return tree
