"""lpgen emit: write the drop-in assembly, or everything that the kernel change consists of."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

import click

from lpgen.commands.options import (
    CONTEXT,
    chosen_kernel,
    json_option,
    kernel_options,
    print_json,
    say_notes,
    style_option,
    templates_dir,
    templates_option,
)
from lpgen.errors import LpgenError
from lpgen.kernel.generations import Kernel, settings_of
from lpgen.kernel.options import parse_setting
from lpgen.report.files import STDOUT, make_directory, read_text, write_all_atomic, write_out
from lpgen.report.json_files import check_out, kernel_notes, notes_json, written
from lpgen.report.json_head import json_head
from lpgen.report.style import say
from lpgen.source.emit import banner, emit_source

DEFAULT_DIR = "out"
SCHEMA = "lpgen.emit/1"

EPILOG = """\b
Examples:
  lpgen emit                                     out/entry_64.S, for a 4.7 kernel tree
  lpgen emit --kernel 6.12 --config .config --out ftrace_entry.S
  lpgen emit --vmlinux vmlinux                   for exactly this kernel; or --build DIR
  lpgen emit --kernel 6.12 --ifdef               one file for every configuration
  lpgen emit --kernel 6.12 --diff ftrace_entry.S what would change
  lpgen emit --out - --style standalone | powerpc64le-linux-gnu-as -o entry.o -
  lpgen emit --config CONFIG_FUNCTION_GRAPH_TRACER=n --out entry_64.S
  lpgen emit --all --out-dir out/                the whole kernel change
  lpgen emit --templates mine --watch            again, and judged, at each save of a template
"""


@click.command(epilog=EPILOG, context_settings=CONTEXT)
@click.option(
    "--out",
    metavar="FILE",
    help=f"Where to write; - is standard output.  [default: {DEFAULT_DIR}/ and the name of the kernel's file]",
)
@click.option("--ifdef", is_flag=True, help="Keep the options as #ifdef CONFIG_...: one file for every configuration.")
@click.option("--diff", "against", metavar="FILE", help="Write nothing: show the changes to FILE; exit with 1 if any.")
@click.option("--all", "everything", is_flag=True, help="Write what goes with it too: asm-offsets.h and asm-offsets.c.")
@click.option("--out-dir", metavar="DIR", help=f"Where --all writes.  [default: {DEFAULT_DIR}]")
@json_option("Print as JSON what was written.")
@click.option(
    "--watch",
    "watching",
    is_flag=True,
    help="Write the file and judge it, and do so again whenever a template, or a file of --offsets or --config, is"
    " saved; Ctrl-C ends it.",
)
@kernel_options
@style_option
@templates_option
def command(
    out: str | None,
    ifdef: bool,
    against: str | None,
    everything: bool,
    out_dir: str | None,
    as_json: bool,
    watching: bool,
    version: str | None,
    config: tuple[str, ...],
    offsets: str | None,
    vmlinux: str | None,
    build: str | None,
    style: str,
    templates: str | None,
) -> int:
    """Write the drop-in ftrace_caller and livepatch_handler for a kernel.

    It replaces the file that this kernel builds them from: lpgen kernels VERSION says which.
    """
    if everything and out is not None:
        raise LpgenError("--out is for one file", hint="use --out-dir with --all")
    if out_dir is not None and not everything:
        raise LpgenError("--out-dir is for --all", hint="use --out FILE, or add --all")
    if against is not None and (everything or out is not None):
        raise LpgenError("--diff writes nothing", hint=f"leave out {'--all' if everything else '--out'}")
    if as_json and against is not None:
        raise LpgenError("--diff shows changes, not what was written", hint="leave out --json")
    if as_json:
        check_out(out)
    if out_dir == "":
        raise LpgenError("--out-dir names no directory", hint="give a directory's name")
    if watching and (everything or as_json or against is not None or out in STDOUT):
        what = "--all" if everything else "--diff" if against is not None else "--json" if as_json else "--out -"
        raise LpgenError(f"--watch writes one file: leave out {what}")
    kernel = chosen_kernel(version, config, offsets, vmlinux, build)
    directory = templates_dir(templates)
    if watching:
        say_notes(kernel)
        _watch(kernel, out, ifdef, version, config, offsets, vmlinux, build, style, templates)
    text = emit_source(kernel, style=style, templates_dir=directory, ifdef=ifdef).text
    if against is not None:
        say_notes(kernel)
        return _show_diff(against, kernel.file_name, text)
    said = banner(kernel, style=style, templates_dir=directory, everything=everything, ifdef=ifdef)
    if everything:
        from lpgen.source.change import change_files

        where = Path(out_dir or DEFAULT_DIR)
        made = {kernel.file_name: text, **change_files(kernel, banner=said, templates_dir=directory)}
        files = {str(where / name): content for name, content in made.items()}
        make_directory(where)
        write_all_atomic({Path(name): content for name, content in files.items()})
    else:
        if out is None:
            make_directory(Path(DEFAULT_DIR))
        files = {out if out is not None else f"{DEFAULT_DIR}/{kernel.file_name}": text}
        for name, content in files.items():
            write_out(name, content)
    if as_json:
        head = json_head(SCHEMA, said.partition(": ")[2], kernel)
        about = {"style": style, "ifdef": ifdef, "files": written(files), "notes": notes_json(kernel_notes(kernel))}
        print_json(head | about)
        return 0
    for name, content in files.items():
        if name not in STDOUT:
            say(f"{name}: {_summary(content)}")
    say_notes(kernel)
    return 0


def _watch(
    kernel: Kernel,
    out: str | None,
    ifdef: bool,
    version: str | None,
    config: tuple[str, ...],
    offsets: str | None,
    vmlinux: str | None,
    build: str | None,
    style: str,
    templates: str | None,
) -> NoReturn:
    """Emit and judge at each change."""
    from lpgen.commands.watching import Watched, watch

    def command() -> str:
        # Loads the engines: not before Ctrl-C is heeded at the right moments.
        from lpgen.api import command_line

        return command_line(version, settings_of(kernel), offsets, style, templates, vmlinux=vmlinux, build=build)

    if out == "":
        raise LpgenError("--out names no file", hint="give a file's name")
    target = Path(out if out is not None else f"{DEFAULT_DIR}/{kernel.file_name}")
    files = [Path(name) for name in (offsets, *(name for name in config if parse_setting(name) is None)) if name]
    watched = Watched(
        kernel=lambda: chosen_kernel(version, config, offsets, vmlinux, build),
        out=target,
        templates=templates_dir(templates),
        files=tuple(files),
        style=style,
        ifdef=ifdef,
        command=command,
    )
    watched.directories()
    if out is None:
        make_directory(Path(DEFAULT_DIR))
    watch(watched)


def _show_diff(against: str, name: str, text: str) -> int:
    """Print what turns the file ``against`` into ``text``; return 1 if there is anything, as diff does."""
    import re
    from difflib import unified_diff

    if not against:
        raise LpgenError("--diff names no file", hint="give the file to compare with")
    old, new = (re.findall(r"[^\n]*\n|[^\n]+", side) for side in (read_text(Path(against)), text))
    lines = unified_diff(old, new, against, name)
    shown = "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)
    write_out("-", shown)
    return 1 if shown else 0


def _summary(text: str) -> str:
    return f"{text.count(chr(10))} lines"
