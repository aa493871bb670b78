"""The emitted assembly: a kernel's facts and the templates, joined."""

from __future__ import annotations

import shlex
import textwrap

from lpgen import __version__
from lpgen.errors import LpgenError
from lpgen.kernel.generations import Kernel, required_names, settings_of
from lpgen.kernel.options import setting_text
from lpgen.source.conditions import Conditions
from lpgen.source.packs import Templates, name_of
from lpgen.source.render import Rendered, render

STYLES = ("kernel", "standalone")
TOP_TEMPLATE = "entry_64.S.j2"


def gpr(number: int) -> str:
    """Return the asm-offsets expression of pt_regs.gpr[number].

    The kernel's asm-offsets.h names GPR0 to GPR13; the others are reached from GPR0, 8 bytes apart.
    """
    return f"GPR{number}" if number <= 13 else f"GPR0+8*{number}"


def banner(
    kernel: Kernel,
    *,
    style: str = "kernel",
    templates_dir: Templates | None = None,
    everything: bool = False,
    ifdef: bool = False,
) -> str:
    """Return version and the command that makes the same text again; names only, no directories, no date."""
    words = ["lpgen", "emit"]
    words += ["--kernel", kernel.version] if kernel.origin is None else kernel.origin.words
    if everything:
        words.append("--all")
    if ifdef:
        words.append("--ifdef")
    if style != "kernel":
        words += ["--style", style]
    # With #ifdef the options are not settled here; a number may be, in what goes with the assembly.
    for name, value in settings_of(kernel).items():
        if not ifdef or everything:
            words += ["--config", setting_text(name, value)]
    if kernel.offsets_file is not None:
        words += ["--offsets", kernel.offsets_file]
    if templates_dir is not None:
        words += ["--templates", name_of(templates_dir)]
    line = f"lpgen {__version__}: {shlex.join(words)}"
    if not line.isprintable():
        raise LpgenError(f"{line!r} cannot stand in a comment", hint="give the file or directory a printable name")
    return line


def emit_source(
    kernel: Kernel, *, style: str = "kernel", templates_dir: Templates | None = None, ifdef: bool = False
) -> Rendered:
    """Render the assembly for ``kernel`` in ``style`` (one of STYLES). Raises LpgenError for a template's fault.

    ``ifdef`` (style kernel): the text is for every configuration, with #ifdef CONFIG_... around what an option decides.
    """
    if ifdef and style != "kernel":
        raise LpgenError(f"style {style} has no kernel configuration for #ifdef to test", hint="use --style kernel")
    offsets = kernel.offsets
    conditions = Conditions(kernel, keep=ifdef)
    context: dict[str, object] = {
        "kernel": kernel,
        "conditions": conditions,
        "features": conditions.features,
        "kept": conditions.kept,
        "options": kernel.options,
        "offsets": offsets,
        "offsets_label": offsets.label,
        "option_lines": _option_lines(kernel, style, ifdef),
        "used_offsets": [offsets.offset(name) for name in required_names(kernel) if name != "INT_FRAME_SIZE"],
        "part_lines": textwrap.wrap(_part(kernel), 74),
        "style": style,
        "file_name": kernel.file_name,
        "banner": banner(kernel, style=style, templates_dir=templates_dir, ifdef=ifdef),
        "gpr": gpr,
    }
    return render(TOP_TEMPLATE, context, templates_dir=templates_dir)


def _option_lines(kernel: Kernel, style: str, ifdef: bool) -> list[str]:
    if ifdef:
        return textwrap.wrap(f"For every setting of {', '.join(sorted(kernel.options))}.", 74)
    lines = [setting_text(name, on) for name, on in sorted(kernel.options.items())]
    if "out_of_line" in kernel.features and style == "standalone":
        # In a kernel tree it is the build's own.
        lines += [setting_text(name, number) for name, number in sorted(kernel.numbers.items())]
    return lines


def _part(kernel: Kernel) -> str:
    if kernel.section:
        return f"A part of {kernel.file}, not the whole file. It replaces {kernel.section}."
    return f"Replaces the whole of {kernel.file}."
