"""The C expressions of asm-offsets.c, computed from the types of a real kernel."""

from __future__ import annotations

import re
from collections.abc import Mapping

from lpgen.elf.fields import Types, offset_of, size_of

# Macros in macros: the kernel's are two deep.
_MAX_DEPTH = 8
_OFFSETOF = re.compile(r"offsetof\(struct (\w+), ([\w.\[\]]+)\)", re.ASCII)
_SIZEOF = re.compile(r"sizeof\(struct (\w+)\)", re.ASCII)


def evaluate(expression: str, types: Types, macros: Mapping[str, str], depth: int = 0) -> int | None:
    """Return the value of a sum of ``offsetof``, ``sizeof``, numbers and ``macros`` (name to expression), in bytes.

    None when ``types`` lack a structure or field of it, or when a term is none of these.
    """
    total = 0
    for term in expression.split(" + "):
        if (match := _OFFSETOF.fullmatch(term)) is not None:
            value = offset_of(types, match[1], match[2])
        elif (match := _SIZEOF.fullmatch(term)) is not None:
            value = size_of(types, match[1])
        elif term.isascii() and term.isdecimal():
            value = int(term)
        elif term in macros and depth < _MAX_DEPTH:
            value = evaluate(macros[term], types, macros, depth + 1)
        else:
            value = None
        if value is None:
            return None
        total += value
    return total


def fields_of(expression: str, macros: Mapping[str, str], depth: int = 0) -> list[str]:
    """Return the fields and sizes that ``expression`` is made of, as ``pt_regs.gpr[0]`` and ``sizeof(struct x)``."""
    found: list[str] = []
    for term in expression.split(" + "):
        if (match := _OFFSETOF.fullmatch(term)) is not None:
            found.append(f"{match[1]}.{match[2]}")
        elif _SIZEOF.fullmatch(term):
            found.append(term)
        elif term in macros and depth < _MAX_DEPTH:
            found += fields_of(macros[term], macros, depth + 1)
    return found
