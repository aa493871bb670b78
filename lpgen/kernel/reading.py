"""Offsets out of a file: a real kernel's asm-offsets.h, or the TOML that lpgen writes. The content decides which."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

from lpgen.errors import LpgenError, Place
from lpgen.kernel.checks import check_values
from lpgen.kernel.model import TOML_VERSION, Ignored, Offset, Offsets
from lpgen.kernel.names import closest, known_names

# A real asm-offsets.h has about 10 KiB.
SIZE_LIMIT = 1 << 20

_WANTED = "give a kernel build's asm-offsets.h or the TOML that `lpgen offsets --format toml` writes"

# Linear in the length of the text, whatever a file holds: no two neighbours in a pattern match the same characters.
_COMMENT_START = re.compile(r"/\*|//")
_COMMENT = re.compile(r"/\*.*?(?:\*/|\Z)", re.DOTALL)
_DEFINE = re.compile(r"#[ \t]*define[ \t]+([A-Za-z_]\w*)(?:[ \t]+(.*))?", re.ASCII)
_DIRECTIVE = re.compile(r"#[ \t]*(\w+)[ \t]*(.*)", re.ASCII)
_TOML_LINE = re.compile(r"^[ \t]*(?:\[|[\w.\"'-]+[ \t]*=)", re.MULTILINE)
_HEADER_LINE = re.compile(r"^[ \t]*#[ \t]*define[ \t]+\w", re.MULTILINE)
_GUARD = re.compile(r"^[ \t]*#[ \t]*ifndef[ \t]+(\w+)[ \t]*\n[ \t]*#[ \t]*define[ \t]+\1[ \t]*$", re.MULTILINE)
_NUMBER = re.compile(r"[-+]?(?:0[xX][0-9a-fA-F]+|0|[1-9][0-9]*)", re.ASCII)
_FIELD = re.compile(r"(?:([A-Za-z_]\w*)\s*\+\s*)?offsetof\(\s*struct\s+(\w+)\s*,\s*([^()]+?)\s*\)", re.ASCII)
_TOML_POSITION = re.compile(r"\s*\(at (?:line (\d+), column \d+|end of document)\)$")


def read_offsets(path: Path) -> Offsets:
    """Read the constants lpgen knows out of ``path`` and check their values; other names of a header are set aside.

    Which names must be there depends on the kernel: ``check_offsets`` says. Raises LpgenError, with file and line
    where there is one, for a file that cannot be read, that is neither an asm-offsets.h nor such TOML, and for a value
    that cannot be right.
    """
    text = _read_text(path)
    bare = _COMMENT.sub("", text)
    if _TOML_LINE.search(bare):
        offsets = _read_toml(text, path)
    elif _HEADER_LINE.search(bare):
        offsets = _read_header(text, path)
    else:
        raise LpgenError("neither a C header with #define lines nor TOML", place=Place(str(path)), hint=_WANTED)
    check_values(offsets)
    return offsets


def parse_expression(expression: str) -> tuple[str, str, str]:
    """Split a C expression of asm-offsets.c into (base, struct, field); what is not an offsetof is all ``field``."""
    expression = " ".join(expression.split()).removesuffix("#").strip()
    match = _FIELD.fullmatch(expression)
    return (match[1] or "", match[2], match[3]) if match else ("", "", expression)


def _read_text(path: Path) -> str:
    place = Place(str(path))
    try:
        with path.open("rb") as file:
            data = file.read(SIZE_LIMIT + 1)
    except IsADirectoryError:
        raise LpgenError("is a directory, not a file with offsets", place=place, hint=_WANTED) from None
    except FileNotFoundError:
        raise LpgenError("there is no such file", place=place, hint=_WANTED) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise LpgenError(f"cannot be read: {reason}", place=place, hint=_WANTED) from None
    if len(data) > SIZE_LIMIT:
        raise LpgenError(f"is larger than {SIZE_LIMIT >> 20} MiB", place=place, hint=_WANTED)
    if not data.strip():
        raise LpgenError("is empty", place=place, hint=_WANTED)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise LpgenError("is a binary file, not text", place=place, hint=_WANTED)
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _label(path: Path) -> str:
    """Return the file's name without its directories, fit for a comment in a generated file."""
    return "".join(char if char.isprintable() else "?" for char in path.name)


def _number(text: str) -> int | None:
    return int(text, 0) if _NUMBER.fullmatch(text) and len(text) <= 20 else None


def _read_header(text: str, path: Path) -> Offsets:
    entries: dict[str, Offset] = {}
    ignored: list[Ignored] = []
    guard = _guard(text)
    depth = 0
    for number, code, comment in _code_lines(text, path):
        place = Place(str(path), number)
        define = _DEFINE.fullmatch(code)
        if define is None:
            depth += _check_directive(code, guard, depth, place)
            continue
        name, value_text = define[1], define[2] or ""
        if name not in known_names():
            if name != guard:
                ignored.append(Ignored(name, place))
            continue
        value = _number(value_text)
        if value is None:
            found = f"{value_text[:40]!r} is not a number" if value_text else "has no value"
            raise LpgenError(
                f"{name}: {found}", place=place, hint=f"write #define {name} and a decimal or 0x number of bytes"
            )
        earlier = entries.get(name)
        if earlier is not None:
            if earlier.value != value:
                line = earlier.place.line if earlier.place else None
                raise LpgenError(
                    f"{name} is {value} here and {earlier.value} in line {line}", place=place, hint="keep the right one"
                )
            continue
        base, struct, field = parse_expression(comment)
        if not field:
            base, struct, field = _meaning(name)
        entries[name] = Offset(name, value, struct, field, f"{_label(path)}:{number}", base, place)
    return Offsets(entries.values(), label=_label(path), file=str(path), ignored=ignored)


def _guard(text: str) -> str | None:
    """Return the name of the include guard, when the header has one."""
    match = _GUARD.search(text)
    return match[1] if match else None


def _check_directive(code: str, guard: str | None, depth: int, place: Place) -> int:
    """Return by how much a line that is no ``#define`` changes the depth of conditionals; refuse others."""
    if not code:
        return 0
    directive = _DIRECTIVE.fullmatch(code)
    word, rest = (directive[1], directive[2]) if directive else ("", "")
    if word == "ifndef" and rest == guard and depth == 0:
        return 1
    if word == "endif" and depth > 0:
        return -1
    if word == "pragma" and rest == "once":
        return 0
    if not directive:
        raise LpgenError(
            f"{code[:40]!r} is neither a #define nor a comment", place=place, hint="the file may be cut short"
        )
    raise LpgenError(
        f"#{word} is not followed here: which lines count is not known",
        place=place,
        hint="use the asm-offsets.h of a kernel build, which has #define lines only",
    )


def _code_lines(text: str, path: Path) -> list[tuple[int, str, str]]:
    """Split C text into (line number, code, text of the comments that start in that line)."""
    lines: list[tuple[int, str, str]] = []
    opened: int | None = None
    for number, line in enumerate(text.split("\n"), 1):
        code: list[str] = []
        comments: list[str] = []
        at = 0
        while at < len(line):
            if opened is not None:
                end = line.find("*/", at)
                if end < 0:
                    break
                opened, at = None, end + 2
                continue
            start = _COMMENT_START.search(line, at)
            if start is None:
                code.append(line[at:])
                break
            code.append(line[at : start.start()])
            at = start.end()
            if start[0] == "//":
                comments.append(line[at:])
                break
            end = line.find("*/", at)
            comments.append(line[at:] if end < 0 else line[at:end])
            opened = number
        lines.append((number, " ".join(code).strip(), " ".join(comments)))
    if opened is not None:
        raise LpgenError(
            "the comment that starts here never ends", place=Place(str(path), opened), hint="close it with */"
        )
    return lines


def _meaning(name: str) -> tuple[str, str, str]:
    """Return (base, struct, field) of a name whose line does not say it, from lpgen's own facts, or empties."""
    from lpgen.kernel.offsets import LAYOUTS, default_offsets

    for layout in LAYOUTS:
        defaults = default_offsets(layout)
        if name in defaults:
            known = defaults.offset(name)
            return known.base, known.struct, known.field
    return "", "", ""


def _read_toml(text: str, path: Path) -> Offsets:
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        position = _TOML_POSITION.search(str(error))
        line = int(position[1]) if position and position[1] else len(text.rstrip("\n").split("\n"))
        raise LpgenError(
            f"not valid TOML: {_TOML_POSITION.sub('', str(error))}", place=Place(str(path), line), hint=_WANTED
        ) from None
    except (ValueError, RecursionError) as error:
        # A number of thousands of digits, arrays in arrays in arrays.
        raise LpgenError(f"not valid TOML: {str(error).split(';')[0]}", place=Place(str(path)), hint=_WANTED) from None
    version = document.pop("version", TOML_VERSION)
    if version != TOML_VERSION or isinstance(version, bool):
        raise LpgenError(
            f"version {version!r} of the format is not known",
            place=Place(str(path), _line_of(text, "version")),
            hint=f"this lpgen reads version {TOML_VERSION}",
        )
    document.pop("label", None)
    table = document.pop("offsets", None)
    for key in document:
        raise LpgenError(
            f"{key} does not belong here",
            place=Place(str(path), _line_of(text, key)),
            hint="names go under [offsets.NAME]",
        )
    if not isinstance(table, dict):
        raise LpgenError("there is no [offsets] table", place=Place(str(path)), hint=_WANTED)
    return Offsets(
        (_toml_entry(name, facts, text, path) for name, facts in table.items()), label=_label(path), file=str(path)
    )


def _toml_entry(name: str, facts: Any, text: str, path: Path) -> Offset:
    head = _line_of(text, name)
    place = Place(str(path), head)
    if name not in known_names():
        near = closest(name, known_names())
        hint = f"did you mean {near}?" if near else "`lpgen offsets` lists the names"
        raise LpgenError(f"{name} is not a name lpgen knows", place=place, hint=hint)
    if not isinstance(facts, dict):
        facts = {"value": facts}
    else:
        line = _line_of(text, "value", after=head)
        place = Place(str(path), line) if line is not None and "value" in facts else place
    value = facts.get("value")
    if not isinstance(value, int) or isinstance(value, bool):
        found = "has no value" if value is None else f"{value!r} is not a whole number"
        raise LpgenError(f"{name}: {found}", place=place, hint="write value = and a decimal or 0x number of bytes")
    texts = {}
    for key, fact in facts.items():
        if key == "value":
            continue
        if key not in {"base", "struct", "field", "source"} or not isinstance(fact, str):
            wrong = Place(str(path), _line_of(text, key, after=head))
            hint = "an entry has value, struct, field, source and base; all but value are strings"
            raise LpgenError(f"{name}: {key} = {fact!r} is not understood", place=wrong, hint=hint)
        if not fact.isprintable() or "*/" in fact:
            wrong = Place(str(path), _line_of(text, key, after=head))
            hint = "it goes into a comment: one line, no */"
            raise LpgenError(f"{name}: {key} = {fact!r} is not a plain line of text", place=wrong, hint=hint)
        texts[key] = fact
    if not texts.get("field"):
        texts["base"], texts["struct"], texts["field"] = _meaning(name)
    source = texts.pop("source", "") or f"{_label(path)}:{place.line}"
    return Offset(name, value, source=source, place=place, **texts)


def _line_of(text: str, key: str, *, after: int | None = 0) -> int | None:
    """Return the number of the first line behind line ``after`` that sets ``key`` or opens its table."""
    key = re.escape(key)
    pattern = re.compile(
        rf"""\s*(?:\[\s*(?:offsets\s*\.\s*)?["']?{key}["']?\s*[\].]|(?:offsets\s*\.\s*)?["']?{key}["']?\s*[=.])"""
    )
    inline = re.compile(rf"""[{{,]\s*["']?{key}["']?\s*=""")
    for number, line in enumerate(text.split("\n"), 1):
        if number > (after or 0) and pattern.match(line):
            return number
        if after and number == after and inline.search(line):
            return number
    return None
