"""Comments and line continuations out of assembly text, line numbers kept.

Done before the C preprocessor sees the text: an apostrophe in a comment, a ``#`` comment that is no directive and a
directive's word inside a comment would all lead pcpp astray.
"""

from __future__ import annotations

import re

from lpgen.assembly.expr import ExpressionError, character
from lpgen.errors import LpgenError, Place

DIRECTIVE = re.compile(
    r"[ \t]*#[ \t]*(?:(?:include|define|undef|if|ifdef|ifndef|elif|else|endif|error|warning|pragma|line|include_next)\b"
    r'|\d+[ \t]+"(?:\\.|[^"\\])*"[ \t\d]*$)'
)
_TOKEN = re.compile(
    r"""(?P<string>"(?:\\.|[^"\\\n])*")|(?P<quote>")|(?P<open>/\*)|(?P<line>//)|(?P<hash>\#)|(?P<char>')"""
)
_CHARACTER = re.compile(r"'(?:\\.|[^\\'])'?")
# What str.splitlines takes for a line end besides \n, and other characters that no assembly text holds.
_CONTROL = re.compile("[\x00-\x08\x0e-\x1f\x7f\x85\u2028\u2029]")


def clean(text: str, file: str) -> list[str]:
    """Return the lines of ``text`` without comments, one entry for each line that was there.

    A continued line stands whole at its first line's place. Raises LpgenError with file and line for an unterminated
    comment or string and for control characters.
    """
    text = text.replace("\r\n", "\n").replace("\f", " ").replace("\v", " ").removeprefix("\ufeff")
    if "\r" in text:
        text = text.replace("\r", "\n")
    out: list[str] = []
    opened = 0  # the line on which an open block comment began
    held = ""  # text before a comment that spans lines
    owed = 0  # lines that the current logical line took up beyond its first
    for number, line in _spliced(text.split("\n")):
        if line is None:
            owed += 1
            continue
        if not opened:
            out.extend([""] * owed)
            owed = 0
        kept, still_open = _strip(line, bool(opened), file, number, directive=_is_directive(held or line, opened, held))
        if opened and not still_open:
            opened = 0
            kept = held + kept
            if held.strip():
                # The comment is one blank inside the line on which it began.
                out[-1] = kept
                owed += 1
            else:
                out.extend([""] * owed)
                owed = 0
                out.append(kept)
            held = ""
        elif still_open:
            if opened:
                owed += 1
            else:
                opened = number
                held = kept
                out.append(kept)
        else:
            out.append(kept)
    if opened:
        raise LpgenError("comment is not closed", place=Place(file, opened), hint="add */")
    out.extend([""] * owed)
    return out


def scrub(line: str, place: Place) -> str:
    """Return one line of another preprocessor's as ``clean`` leaves it: no ``#`` comment, numbers for characters."""
    if "'" not in line and "#" not in line:
        return line
    return _strip(line, False, place.file, place.line or 0, directive=False)[0]


def _is_directive(line: str, opened: int, held: str) -> bool:
    return (not opened or bool(held)) and DIRECTIVE.match(line) is not None


def _spliced(lines: list[str]) -> list[tuple[int, str | None]]:
    """Join lines that end in a backslash; each further physical line leaves a (number, None) behind."""
    result: list[tuple[int, str | None]] = []
    index = 0
    while index < len(lines):
        start = index
        line = lines[index]
        while line.endswith("\\") and index + 1 < len(lines):
            index += 1
            line = line[:-1] + lines[index]
        result.append((start + 1, line))
        result.extend((number + 1, None) for number in range(start + 1, index + 1))
        index += 1
    return result


def _strip(line: str, opened: bool, file: str, number: int, *, directive: bool) -> tuple[str, bool]:
    """Return the line without comments and whether a block comment is open at its end."""
    place = Place(file, number)
    out: list[str] = []
    at = 0
    if opened:
        end = line.find("*/")
        if end < 0:
            return "", True
        at = end + 2
        out.append(" ")
    while True:
        match = _TOKEN.search(line, at)
        if match is None:
            out.append(line[at:])
            break
        out.append(line[at : match.start()])
        at = match.end()
        kind = match.lastgroup
        if kind == "string":
            out.append(match[0])
        elif kind == "quote":
            if directive:
                out.append('"')
            else:
                raise LpgenError("string is not closed", place=place, hint='add "')
        elif kind == "open":
            end = line.find("*/", at)
            if end < 0:
                return "".join(out), True
            out.append(" ")
            at = end + 2
        elif kind == "line":
            break
        elif kind == "hash":
            if directive:
                out.append("#")
                continue
            opening = line.rfind("/*", at)
            if opening >= 0 and line.find("*/", opening) < 0:
                # The C preprocessor would open a comment here, GNU as alone would not.
                raise LpgenError("'/*' inside a '#' comment is not closed on the line", place=place, hint="remove it")
            break
        else:
            found = _CHARACTER.match(line, match.start())
            if directive or found is None:
                out.append("'")
                continue
            at = found.end()
            try:
                out.append(str(character(found[0])))
            except ExpressionError:
                # Prose that an #if leaves out; else the assembler will say what is wrong.
                out.append(found[0])
    kept = "".join(out)
    bad = _CONTROL.search(kept)
    if bad is not None:
        raise LpgenError(f"control character {bad[0]!r} in the text", place=place)
    return kept, False
