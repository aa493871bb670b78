"""lpgen prove: every contract statement for all inputs, by symbolic execution and a solver."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lpgen.commands.options import (
    CONTEXT,
    build_options,
    chosen_entries,
    chosen_kernel,
    entry_option,
    kernel_options,
    macros,
    needs_file,
    say_notes,
    style_option,
    templates_dir,
    templates_option,
)
from lpgen.errors import LpgenError
from lpgen.kernel.generations import settings_of
from lpgen.report.files import check_directory, make_directory, read_standard_input, write_all_atomic, write_out

if TYPE_CHECKING:
    from lpgen.assembly.unit import Which

EPILOG = """\b
Examples:
  lpgen prove                                    what `lpgen emit` writes
  lpgen prove --kernel 6.18
  lpgen prove my_entry.S                         assembly of your own, an object or a linked kernel
  lpgen verify my_entry.S --replay out/prove-X3.json
\b
Exit codes: 0 every statement is proved, 1 one is refuted or open, 2 usage or input.
Needs z3: pip install 'lpgen[prove]'.
"""


@click.command(epilog=EPILOG, context_settings=CONTEXT)
@click.argument("file", metavar="[FILE|-]", required=False)
@click.option(
    "--out-dir",
    metavar="DIR",
    default="out",
    show_default=True,
    help="Where to write a call that shows a refutation, for `lpgen verify --replay`: prove-STATEMENT.json.",
)
@click.option("--no-replay", is_flag=True, help="Do not look for calls that show the refutations in the emulator.")
@click.option("--json", "as_json", is_flag=True, help="Print the proof as JSON.")
@kernel_options
@style_option
@templates_option
@entry_option
@build_options
def command(
    file: str | None,
    out_dir: str,
    no_replay: bool,
    as_json: bool,
    version: str | None,
    config: tuple[str, ...],
    offsets: str | None,
    vmlinux: str | None,
    build: str | None,
    style: str,
    templates: str | None,
    entry: tuple[str, ...],
    assembler: Which,
    cpp: bool,
    include_dirs: tuple[str, ...],
    defines: tuple[str, ...],
) -> int:
    """Prove every contract statement for all inputs: all values of registers and memory, on every path.

    What is proved is FILE, as for `lpgen verify`, or what `lpgen emit` writes. What a proof rests on is said with it. A
    refutation has registers and memory under which the statement does not hold, as a call that `lpgen verify --replay`
    runs.
    """
    if file is not None and templates is not None:
        raise LpgenError("FILE and --templates exclude each other", hint="leave one out")
    if file is not None and style != "kernel":
        raise LpgenError("--style is for what lpgen emits", hint="leave it out: a FILE of either style will do")
    if out_dir == "":
        raise LpgenError("--out-dir names no directory", hint="give a directory")
    if not no_replay:
        # Before the proof: it takes a while.
        check_directory(Path(out_dir))
    kernel = chosen_kernel(version, config, offsets, vmlinux, build, file)
    directory = templates_dir(templates)
    entries = chosen_entries(entry, file)
    needs_file(file, {"--assembler": assembler != "auto", "--cpp": cpp, "-I": include_dirs, "-D": defines})
    from lpgen import api
    from lpgen.assembly import How
    from lpgen.contract.replay import replay_text

    source, text = (None, read_standard_input(api.STDIN)) if file == "-" else (file, None)
    how = How(assembler, cpp, include_dirs, macros(defines))
    unit = api.trampolines(kernel, style=style, templates=directory, source=source, text=text, entries=entries, how=how)
    result = api.prove_unit(kernel, unit, replays=not no_replay)
    result.command = api.command_line(
        version,
        settings_of(kernel),
        offsets,
        style,
        templates,
        file,
        0,
        entries,
        how,
        vmlinux=vmlinux,
        build=build,
        itself=unit.fixed is not None,
    )
    replays = {}
    for id_, shown in result.shown.items():
        if shown.replay is not None:
            path = Path(out_dir) / f"prove-{id_}.json"
            replays[path] = replay_text(shown.replay)
            shown.file = str(path)
    if replays:
        make_directory(Path(out_dir))
        write_all_atomic(replays)
    if as_json:
        from lpgen.report.json_proof import proof_json

        write_out("-", json.dumps(proof_json(result), indent=2) + "\n")
    else:
        from lpgen.report.proof_text import print_proof

        print_proof(result)
    say_notes(kernel)
    return 0 if result.holds else 1
