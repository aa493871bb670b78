"""Unified diffs as git writes them: making one, its statistics, and undoing it."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lpgen.errors import LpgenError, Place

if TYPE_CHECKING:
    from unidiff.patch import Hunk

_CONTEXT = 3
_STAT_WIDTH = 40
_INDEX = re.compile(r"index ([0-9a-f]{40})\.\.([0-9a-f]{40})(?: [0-7]{6})?\n")
_MISSING_END = "\\ No newline at end of file\n"


def blob_id(text: str) -> str:
    """Return git's name for a file of this content."""
    raw = text.encode()
    return hashlib.sha1(b"blob %d\0" % len(raw) + raw, usedforsecurity=False).hexdigest()


def unified(old: str, new: str, path: str, *, executable: bool = False) -> str:
    """Return the diff that turns ``old`` into ``new`` at ``path``, with / between directories; empty for no change."""
    from difflib import unified_diff

    hunks = list(unified_diff(_split(old), _split(new), f"a/{path}", f"b/{path}", n=_CONTEXT))
    if not hunks:
        return ""
    mode = "100755" if executable else "100644"
    head = f"diff --git a/{path} b/{path}\nindex {blob_id(old)}..{blob_id(new)} {mode}\n"
    return head + "".join(line if line.endswith("\n") else f"{line}\n{_MISSING_END}" for line in hunks)


def counts(diff: str) -> tuple[int, int]:
    """Return how many lines a diff of one file adds and takes away."""
    body = diff.split("\n@@", 1)[-1].split("\n")[1:]
    return sum(line.startswith("+") for line in body), sum(line.startswith("-") for line in body)


def diffstat(diff: str, path: str) -> str:
    """Return what `git format-patch` says of a diff of one file."""
    added, removed = counts(diff)
    total = added + removed
    plus, minus = added, removed
    if total > _STAT_WIDTH:
        plus, minus = ((count * _STAT_WIDTH + total - 1) // total for count in (added, removed))
    parts = ["1 file changed"]
    if added or not removed:
        parts.append(f"{added} insertion{'' if added == 1 else 's'}(+)")
    if removed or not added:
        parts.append(f"{removed} deletion{'' if removed == 1 else 's'}(-)")
    return f" {path} | {total} {'+' * plus}{'-' * minus}\n {', '.join(parts)}\n"


@dataclass(frozen=True, slots=True)
class Kept:
    """A diff that was kept in ``file``: of ``path``, from the content with the blob id ``old`` to that with ``new``.

    ``place`` is the file as the person would name it.
    """

    path: str
    old: str
    new: str
    text: str
    file: Path
    place: Place

    def undone(self, current: str) -> str:
        """Return what ``current``, the content with the blob id ``new``, was before. Raises LpgenError if it cannot."""
        from unidiff.patch import PatchSet

        try:
            (file,) = PatchSet(_split(self.text))
            lines = _split(current)
            for hunk in reversed(file):
                start = hunk.target_start - 1 if hunk.target_length else hunk.target_start
                if start < 0 or lines[start : start + hunk.target_length] != _side(hunk, "+"):
                    raise ValueError(f"hunk at line {hunk.target_start}")
                lines[start : start + hunk.target_length] = _side(hunk, "-")
            before = "".join(lines)
            if blob_id(before) != self.old:
                raise ValueError("another content")
        except Exception as error:
            # The file is a person's to edit: whatever the library, or the counting, makes of it.
            raise LpgenError(
                "does not lead back: the diff was edited or is damaged", place=self.place, hint="remove it"
            ) from error
        return before


def read_kept(text: str, file: Path, place: Place) -> Kept:
    """Return the diff that was kept in ``file``. Raises LpgenError when ``text`` is none."""
    index = _INDEX.search(text)
    path = re.search(r"^\+\+\+ b/([^\n\t]+)\n", text, re.MULTILINE)
    if index is None or path is None:
        raise LpgenError("is not a diff that lpgen kept", place=place, hint="remove it")
    return Kept(path[1], index[1], index[2], text, file, place)


def _split(text: str) -> list[str]:
    """Return the lines, told by \\n alone: a form feed is no end of a line."""
    return re.findall(r"[^\n]*\n|[^\n]+", text)


def _side(hunk: Hunk, sign: str) -> list[str]:
    """Return the lines of one side of a hunk, the last without its end where the diff says so."""
    lines: list[str] = []
    taken = False
    for line in hunk:
        if line.line_type == "\\":
            if taken:
                lines[-1] = lines[-1].removesuffix("\n")
            continue
        taken = line.line_type in (sign, " ")
        if taken:
            lines.append(line.value)
    return lines
