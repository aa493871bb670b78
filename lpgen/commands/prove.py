"""lpgen prove: every contract statement for all inputs, by symbolic execution and a solver."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from lpgen.commands.options import CONTEXT, json_option, print_json, say_notes
from lpgen.commands.subject import Chosen, subject_options
from lpgen.errors import LpgenError
from lpgen.report.files import check_directory, make_directory, write_all_atomic

EPILOG = """\b
Examples:
  lpgen prove                                    what `lpgen emit` writes
  lpgen prove --kernel 6.18
  lpgen prove my_entry.S                         text, an object or a linked kernel of your own
  lpgen verify my_entry.S --replay out/prove-X3.json
\b
Exit codes: 0 every statement is proved, 1 one is refuted or open, 2 usage or input.
Needs z3: pip install z3-solver.
"""


@click.command(epilog=EPILOG, context_settings=CONTEXT)
@click.option(
    "--out-dir",
    metavar="DIR",
    default="out",
    show_default=True,
    help="Where to write a call that shows a refutation, for `lpgen verify --replay`: prove-STATEMENT.json.",
)
@click.option("--no-replay", is_flag=True, help="Do not look for calls that show the refutations in the emulator.")
@json_option("Print the proof as JSON.")
@subject_options
def command(file: str | None, out_dir: str, no_replay: bool, as_json: bool, **options: Any) -> int:
    """Prove every contract statement for all inputs: all values of registers and memory, on every path.

    What is proved is FILE, as for `lpgen verify`, or what `lpgen emit` writes. What a proof rests on is said with it. A
    refutation has registers and memory under which the statement does not hold, as a call that `lpgen verify --replay`
    runs.
    """
    if out_dir == "":
        raise LpgenError("--out-dir names no directory", hint="give a directory")
    if not no_replay:
        check_directory(Path(out_dir))
    chosen = Chosen.of(file, options)
    from lpgen import api
    from lpgen.contract.replay import replay_text

    unit = chosen.unit()
    result = api.prove_unit(chosen.kernel, unit, replays=not no_replay)
    result.command = chosen.command(unit)
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

        print_json(proof_json(result))
    else:
        from lpgen.report.proof_text import print_proof

        print_proof(result)
    say_notes(chosen.kernel)
    return 0 if result.holds else 1
