"""A change as a patch for `git am`."""

from __future__ import annotations

import re
from email.header import Header

from lpgen import __version__
from lpgen.errors import LpgenError
from lpgen.tree.unified import diffstat

# What git format-patch writes; file(1) and git know a patch by it. Not the day of anything.
_MAGIC = "From 0000000000000000000000000000000000000000 Mon Sep 17 00:00:00 2001\n"
_AUTHOR = re.compile(r"\s*([^<>]*[^<>\s])\s*<([^<>@\s]+@[^<>@\s]+)>\s*")
_ATOMS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~ -]+")


def parse_author(text: str) -> tuple[str, str]:
    """Return name and address of ``Name <address>``. Raises LpgenError for anything else."""
    match = _AUTHOR.fullmatch(text)
    if match is None or not text.isprintable() or not match[2].isascii():
        raise LpgenError(f"--author {text!r} is not an author", hint="give it as 'Name <name@example.org>'")
    return match[1], match[2]


def patch_text(diff: str, path: str, *, author: tuple[str, str], subject: str, body: str) -> str:
    """Return the patch, in the format of git format-patch, without a date: the same input gives the same bytes.

    ``body`` are whole lines. Raises LpgenError for an author that no header can hold.
    """
    name, address = author
    if not (name + address).isprintable() or not address.isascii() or re.search(r"[<>\s]", address):
        raise LpgenError(
            f"{f'{name} <{address}>'!r} cannot be an author", hint="use --author 'Name <name@example.org>'"
        )
    plain = all(part.isascii() for part in (body, diff))
    kind = (
        ""
        if plain
        else ("MIME-Version: 1.0\nContent-Type: text/plain; charset=UTF-8\nContent-Transfer-Encoding: 8bit\n")
    )
    return (
        f"{_MAGIC}From: {_phrase(name)} <{address}>\nSubject: [PATCH] {subject}\n{kind}\n"
        f"{body}---\n{diffstat(diff, path)}\n{diff}-- \nlpgen {__version__}\n\n"
    )


def _phrase(name: str) -> str:
    """Return a name as a From: header has it."""
    if not name.isascii():
        return Header(name, "utf-8", maxlinelen=10_000).encode()
    if _ATOMS.fullmatch(name):
        return name
    quoted = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{quoted}"'
