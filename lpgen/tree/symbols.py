"""Which symbols a line of kernel assembly defines, and what else it can be."""

from __future__ import annotations

import re

from lpgen.tree.lines import Lines

# Macros of asm/ppc_asm.h and linux/linkage.h that define their argument; all but _STATIC for others to see.
_MACRO = re.compile(
    r"(?<!\w)(_GLOBAL(?:_TOC)?|_KPROBE(?:_TOC)?|_STATIC|ENTRY|SYM_\w*(?:START|LABEL)\w*)\s*\(\s*([A-Za-z_][\w.$]*)"
)
_LABELS = re.compile(r"(?:^|;)\s*((?:[A-Za-z_.0-9$][\w.$]*\s*:(?!:)\s*)+)")
_NAME = re.compile(r"(?<![\w.$])([A-Za-z_][\w.$]*)\s*:")
_GLOBL = re.compile(r"\.glob(?:a)?l\s+([\w.$]+(?:\s*,\s*[\w.$]+)*)")
_WEAK = re.compile(r"\.weak\s+([\w.$]+(?:\s*,\s*[\w.$]+)*)")
_EXPORT = re.compile(r"(?<!\w)EXPORT_SYMBOL\w*\s*\(\s*([A-Za-z_][\w.$]*)")
# What a line gives a value or a body without being a label: X = 1, .set X, 1 and such, and .macro X.
_ASSIGNED = re.compile(r"(?:^|;)\s*(?:[\w.$]+\s*:(?!:)\s*)*([A-Za-z_.$][\w.$]*)\s*==?(?!=)")
_SET = re.compile(r"(?<![\w.$])\.(?:set|equ|equiv|eqv|l?comm|macro|weakref)\s+([A-Za-z_.$][\w.$]*)")
# Says something of what follows, and is no part of the function before.
_HEAD = re.compile(r"\s*\.(?:globa?l|type|align|balign|p2align|weak|hidden)\b")
_OUTSIDE = re.compile(
    r"\s*(?:\.(?:text|data|bss|section|pushsection|popsection|previous|macro|endm|globa?l|type|align|balign|p2align|weak"
    r"|hidden|set|equ|org|if|ifdef|ifndef|else|endif)\b|EXPORT_SYMBOL\w*\s*\()"
)
_SECTION = re.compile(r"\s*\.(?:section|pushsection)\b")
_BACK = re.compile(r"\s*\.(?:previous|popsection)\b")
# After these nothing goes on to the next line; what is written in capitals or as a directive is not an instruction.
_AWAY = re.compile(
    r"(?:.*;)?(?:\s*[\w.$]+:)*\s*(?:b|ba|blr|bctr|rfid|hrfid|rfi|rfscv|trap)\b(?![-+.\w])|\s*\.|\s*_?[A-Z][A-Z0-9_]*\b"
)


def definitions(text: str) -> list[str]:
    """Return the symbols that a line defines, numeric and local labels left out."""
    found = [match[2] for match in _MACRO.finditer(text)]
    for labels in _LABELS.finditer(text):
        found += _NAME.findall(labels[1])
    return found


def assigned(text: str) -> list[str]:
    """Return the names that a line gives a value, or the body of a macro."""
    return [match[1] for pattern in (_ASSIGNED, _SET) for match in pattern.finditer(text)]


def visible(text: str) -> list[str]:
    """Return the symbols that a line makes visible to other files, and EXPORT_SYMBOL(x) for one that modules have."""
    found = [match[2] for match in _MACRO.finditer(text) if match[1] != "_STATIC" and "LOCAL" not in match[1]]
    for pattern in (_GLOBL, _WEAK):
        found += [name for match in pattern.finditer(text) for name in re.findall(r"[\w.$]+", match[1])]
    return found + [f"EXPORT_SYMBOL({match[1]})" for match in _EXPORT.finditer(text)]


def is_global(text: str, name: str, declared: frozenset[str]) -> bool:
    """Say whether ``text`` defines ``name`` for other files: ``declared`` are the names in .globl of the file."""
    return name in declared or any(match[2] == name and match[1] != "_STATIC" for match in _MACRO.finditer(text))


def declared_global(lines: Lines) -> frozenset[str]:
    """Return the names that the text declares as global."""
    text = "\n".join(unit.text for unit in lines.units if unit.kind == "code")
    return frozenset(name for match in _GLOBL.finditer(text) for name in re.findall(r"[\w.$]+", match[1]))


def is_head(text: str) -> bool:
    """Say whether a line belongs to the symbol that is defined below it."""
    return _HEAD.match(text) is not None and not definitions(text)


def is_outside(text: str) -> bool:
    """Say whether a line of code is none of a function's instructions: it may stand between functions."""
    return _OUTSIDE.match(text) is not None and not definitions(text)


def opens_section(text: str) -> bool:
    """Say whether a line goes to another section."""
    return _SECTION.match(text) is not None


def closes_section(text: str) -> bool:
    """Say whether a line comes back from another section."""
    return _BACK.match(text) is not None


def goes_on(text: str) -> bool:
    """Say whether execution can go on from this line to the next."""
    return _AWAY.match(text) is None
