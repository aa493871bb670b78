"""lpgen emit: write the drop-in assembly, or everything that the kernel change consists of."""

from __future__ import annotations

from pathlib import Path

import click

from lpgen.commands.options import (
    CONTEXT,
    chosen_kernel,
    kernel_options,
    style_option,
    templates_dir,
    templates_option,
)
from lpgen.errors import LpgenError
from lpgen.report.files import STDOUT, make_directory, write_all_atomic, write_out
from lpgen.source.emit import FILE_NAME, banner, emit_source

DEFAULT_DIR = "out"

EPILOG = """\b
Examples:
  lpgen emit                                     out/entry_64.S, for a 4.7 kernel tree
  lpgen emit --out - --style standalone | powerpc64le-linux-gnu-as -o entry.o -
  lpgen emit --config CONFIG_FUNCTION_GRAPH_TRACER=n --out entry_64.S
  lpgen emit --all --out-dir out/                the whole kernel change
"""


@click.command(epilog=EPILOG, context_settings=CONTEXT)
@click.option(
    "--out", metavar="FILE", help=f"Where to write; - is standard output.  [default: {DEFAULT_DIR}/{FILE_NAME}]"
)
@click.option("--all", "everything", is_flag=True, help="Write the whole change: headers, asm-offsets.c, Kconfig too.")
@click.option("--out-dir", metavar="DIR", help=f"Where --all writes.  [default: {DEFAULT_DIR}]")
@kernel_options
@style_option
@templates_option
def command(
    out: str | None,
    everything: bool,
    out_dir: str | None,
    version: str,
    config: tuple[str, ...],
    offsets: str | None,
    style: str,
    templates: str | None,
) -> None:
    """Write the drop-in ftrace_caller and livepatch_handler for a kernel."""
    if everything and out is not None:
        raise LpgenError("--out is for one file", hint="use --out-dir with --all")
    if out_dir is not None and not everything:
        raise LpgenError("--out-dir is for --all", hint="use --out FILE, or add --all")
    if out_dir == "":
        raise LpgenError("--out-dir names no directory", hint="give a directory's name")
    kernel = chosen_kernel(version, config, offsets)
    directory = templates_dir(templates)
    text = emit_source(kernel, style=style, templates_dir=directory).text
    if not everything:
        if out is None:
            make_directory(Path(DEFAULT_DIR))
        target = out if out is not None else f"{DEFAULT_DIR}/{FILE_NAME}"
        write_out(target, text)
        if target not in STDOUT:
            click.echo(f"{target}: {_summary(text)}", err=True)
        return
    from lpgen.source.change import change_files

    files = {FILE_NAME: text}
    files |= change_files(
        kernel, banner=banner(kernel, style=style, templates_dir=directory, everything=True), templates_dir=directory
    )
    where = Path(out_dir or DEFAULT_DIR)
    make_directory(where)
    write_all_atomic({where / name: content for name, content in files.items()})
    for name, content in files.items():
        click.echo(f"{where / name}: {_summary(content)}", err=True)


def _summary(text: str) -> str:
    return f"{text.count(chr(10))} lines"
