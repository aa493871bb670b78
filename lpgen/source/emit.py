"""The emitted assembly: a kernel's facts and the templates, joined."""

from __future__ import annotations

import shlex
import textwrap
from pathlib import Path

from lpgen import __version__
from lpgen.errors import LpgenError
from lpgen.kernel.generations import Kernel, required_names
from lpgen.source.render import Rendered, render

STYLES = ("kernel", "standalone")
TOP_TEMPLATE = "entry_64.S.j2"
FILE_NAME = "entry_64.S"


def gpr(number: int) -> str:
    """Return the asm-offsets expression of pt_regs.gpr[number].

    The kernel's asm-offsets.h names GPR0 to GPR13; the others are reached from GPR0, 8 bytes apart.
    """
    return f"GPR{number}" if number <= 13 else f"GPR0+8*{number}"


def banner(
    kernel: Kernel, *, style: str = "kernel", templates_dir: Path | None = None, everything: bool = False
) -> str:
    """Return version and the command that makes the same text again; names only, no directories, no date."""
    words = ["lpgen", "emit", "--kernel", kernel.version]
    if everything:
        words.append("--all")
    if style != "kernel":
        words += ["--style", style]
    for name, on in sorted(kernel.options.items()):
        if not on:
            words += ["--config", f"{name}=n"]
    if kernel.offsets_file is not None:
        words += ["--offsets", kernel.offsets_file]
    if templates_dir is not None:
        words += ["--templates", templates_dir.resolve().name]
    line = f"lpgen {__version__}: {shlex.join(words)}"
    if not line.isprintable():
        raise LpgenError(f"{line!r} cannot stand in a comment", hint="give the file or directory a printable name")
    return line


def emit_source(kernel: Kernel, *, style: str = "kernel", templates_dir: Path | None = None) -> Rendered:
    """Render the assembly for ``kernel`` in ``style`` (one of STYLES). Raises LpgenError for a template's fault."""
    offsets = kernel.offsets
    context: dict[str, object] = {
        "kernel": kernel,
        "features": kernel.features,
        "options": kernel.options,
        "offsets": offsets,
        "offsets_label": offsets.label,
        "option_lines": [f"{name}={'y' if on else 'n'}" for name, on in sorted(kernel.options.items())],
        "used_offsets": [offsets.offset(name) for name in required_names(kernel) if name != "INT_FRAME_SIZE"],
        "part_lines": textwrap.wrap(f"A part of {kernel.file}, not the whole file. It replaces {kernel.section}.", 74),
        "style": style,
        "file_name": FILE_NAME,
        "banner": banner(kernel, style=style, templates_dir=templates_dir),
        "gpr": gpr,
    }
    return render(TOP_TEMPLATE, context, templates_dir=templates_dir)
