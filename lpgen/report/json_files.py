"""What a command says in JSON of the files that it wrote, and of the notes that a person gets on stderr."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from lpgen.errors import LpgenError
from lpgen.kernel.generations import Kernel
from lpgen.report.files import STDOUT


def check_out(out: str | None) -> None:
    """Raise LpgenError when standard output, where the JSON goes, is where ``out`` has the text too."""
    if out in STDOUT:
        raise LpgenError(
            "--json tells of a file, and takes standard output", hint="add --out FILE, or leave out --json"
        )


def written(files: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return of each file, by name, how much was written to it."""
    import hashlib

    return [
        {
            "file": name,
            "lines": text.count("\n"),
            "bytes": len(text.encode()),
            "sha256": hashlib.sha256(text.encode()).hexdigest(),
        }
        for name, text in files.items()
    ]


def notes_json(notes: Iterable[tuple[str, str]]) -> list[dict[str, str]]:
    """Return notes, each of which is about a file."""
    return [{"file": file, "text": text} for file, text in notes]


def kernel_notes(kernel: Kernel) -> list[tuple[str, str]]:
    """Return what was found where, when the kernel was read from files."""
    return [] if kernel.origin is None else [(kernel.origin.name, note) for note in kernel.origin.notes]
