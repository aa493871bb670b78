"""lpgen extract: a linked kernel's trampolines as assembly that makes the same bytes."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from lpgen import __version__
from lpgen.commands.options import (
    CONTEXT,
    chosen_entries,
    chosen_kernel,
    entry_option,
    json_option,
    kernel_options,
    print_json,
    say_notes,
)
from lpgen.errors import LpgenError
from lpgen.report.files import STDOUT, write_out
from lpgen.report.json_files import check_out, kernel_notes, notes_json, written
from lpgen.report.style import say

SCHEMA = "lpgen.extract/1"

EPILOG = """\b
Examples:
  lpgen extract vmlinux --out trampolines.S
  lpgen extract vmlinux | less
  lpgen extract vmlinux | lpgen verify --vmlinux vmlinux -
"""


@click.command(epilog=EPILOG, context_settings=CONTEXT)
@click.argument("file", metavar="VMLINUX")
@click.option("--out", default="-", metavar="FILE", show_default=True, help="Where to write; - is standard output.")
@json_option("Print as JSON what was written.")
@kernel_options
@entry_option
def command(
    file: str,
    out: str,
    as_json: bool,
    version: str | None,
    config: tuple[str, ...],
    offsets: str | None,
    vmlinux: str | None,
    build: str | None,
    entry: tuple[str, ...],
) -> None:
    """Write the trampolines of the linked kernel VMLINUX as assembly for plain GNU as.

    What can be reached from the entry points is taken. Branches have labels and function_trace_op is reached through
    @toc, so that the text can be changed and verified; as it is it makes the kernel's own bytes again, which is checked
    before it is written.
    """
    from lpgen.assembly.extract import extract
    from lpgen.assembly.read_linked import read_linked
    from lpgen.elf.file import open_elf

    if as_json:
        check_out(out)
    entries = chosen_entries(entry, file)
    kernel = chosen_kernel(version, config, offsets, vmlinux, build, file)
    with open_elf(Path(file)) as elf:
        if elf.kind != "executable":
            raise LpgenError(
                "is an object, not a linked kernel",
                place=elf.place,
                hint="lpgen assemble shows an object's instructions",
            )
        unit = read_linked(elf, kernel, entries)
    words = ["lpgen", "extract", Path(file).name, *(f"--entry={name}={symbol}" for name, symbol in entries.items())]
    text = extract(unit, kernel, f"lpgen {__version__}: {shlex.join(words)}")
    write_out(out, text)
    if as_json:
        from lpgen.report.json_head import json_head

        head = json_head(SCHEMA, shlex.join(words), kernel, unit.made_by)
        print_json(head | {"files": written({out: text}), "notes": notes_json(kernel_notes(kernel))})
    elif out not in STDOUT:
        say_notes(kernel)
        say(f"{out}: {text.count(chr(10))} lines")
