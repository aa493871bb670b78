"""A kernel file that the emitted text replaces as a whole: nothing that other files need of it may go unsaid."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from lpgen.errors import LpgenError
from lpgen.kernel.generations import Kernel, kernel, stretches, symbols_of
from lpgen.tree.lines import Lines
from lpgen.tree.symbols import visible

# Of every ppc64le kernel; what is not here may be on or off.
_FIXED = {
    "CONFIG_PPC64": True,
    "CONFIG_64BIT": True,
    "CONFIG_CPU_LITTLE_ENDIAN": True,
    "CONFIG_PPC64_ELF_ABI_V2": True,
    "PPC64_ELF_ABI_v2": True,
    "__powerpc64__": True,
    "__LITTLE_ENDIAN__": True,
    "CONFIG_PPC32": False,
    "CONFIG_32BIT": False,
    "CONFIG_PPC_BOOK3S_32": False,
    "CONFIG_CPU_BIG_ENDIAN": False,
    "CONFIG_PPC64_ELF_ABI_V1": False,
    "PPC64_ELF_ABI_v1": False,
    "__BIG_ENDIAN__": False,
}
_ATOM = re.compile(r"!?\s*(?:(?:defined|IS_ENABLED|IS_BUILTIN)\s*(?:\(\s*(\w+)\s*\)|\s(\w+))|(\w+))")


def serves_others(made: Kernel) -> bool:
    """Say whether the kernel's file, a whole one, is that of ppc32 and of big-endian kernels too."""
    return not made.section and "_64" not in PurePosixPath(made.file).name


def check_symbols(old: str, text: str, made: Kernel, *, file: str) -> None:
    """Refuse when ``old``, which ``file`` names, has a symbol for other files that no ppc64le kernel has with ``text``.

    Raises LpgenError with the line of the first one, and says which kernel has it.
    """
    new = Lines(text, "the emitted text")
    have = symbols_of(made.version) | {name for unit in new.units for name in visible(unit.text)}
    lines = Lines(old, file)
    lost: dict[str, int] = {}
    for unit in _built(lines):
        for name in visible(lines.units[unit].text):
            if name not in have:
                lost.setdefault(name, unit)
    if not lost:
        return
    more = f" and {len(lost) - 1} more" if len(lost) > 1 else ""
    fits = [part.first for part in stretches() if kernel(part.first).file == made.file]
    fit = next((first for first in fits if lost.keys() <= symbols_of(first) and first != made.version), None)
    hint = "use --force to replace the file all the same"
    if fit is not None:
        hint = f"kernel {fit} has it: use --kernel {fit} --force if this is its tree, or --force alone"
    first = next(iter(lost))
    raise LpgenError(
        f"{first}{more} would go: lpgen's text for {made.version} has no such symbol",
        place=lines.place(lost[first]),
        hint=hint,
    )


def _built(lines: Lines) -> Iterator[int]:
    """Yield the units of code that a ppc64le kernel may have, in one configuration or another."""
    # Of each directive of an #if: whether what is behind it may be built, and whether an earlier branch surely is.
    may: dict[int, bool] = {-1: True}
    taken: list[bool] = []
    for index, unit in enumerate(lines.units):
        if unit.word in ("if", "ifdef", "ifndef"):
            taken.append(False)
        if unit.word in ("if", "ifdef", "ifndef", "elif", "else"):
            value = _value(unit.word, unit.text.partition(unit.word)[2].strip())
            may[index] = may[lines.branch[index].start] and not taken[-1] and value is not False
            taken[-1] = taken[-1] or value is True
        elif unit.word == "endif":
            taken.pop()
        elif unit.kind == "code" and may[lines.branch[index].start]:
            yield index


def _value(word: str, condition: str) -> bool | None:
    """Return what a condition is for every ppc64le kernel, None when that depends, or is not understood."""
    if word == "else":
        return None
    if word in ("ifdef", "ifndef"):
        known = _FIXED.get(condition)
        return known if known is None or word == "ifdef" else not known
    # Of && and || without parentheses around them: more than that no such file has.
    whole: list[bool | None] = []
    for part in condition.split("||"):
        values = [_atom(atom.strip()) for atom in part.split("&&")]
        whole.append(False if False in values else None if None in values else True)
    return True if True in whole else None if None in whole else False


def _atom(text: str) -> bool | None:
    match = _ATOM.fullmatch(text)
    if match is None:
        return None
    name = match[1] or match[2] or match[3]
    value = bool(int(name)) if name.isascii() and name.isdecimal() else _FIXED.get(name)
    return value if value is None or not text.startswith("!") else not value
