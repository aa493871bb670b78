"""lpgen mutate: is every mutant of the trampolines killed, or proved equivalent?"""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lpgen.commands.options import CONTEXT, Count, json_option, print_json, say_notes
from lpgen.commands.subject import Chosen, subject_options
from lpgen.commands.waiting import progress, stoppable
from lpgen.errors import LpgenError, Place
from lpgen.report.files import make_directory
from lpgen.report.style import WARNING, say

if TYPE_CHECKING:
    from lpgen.campaign.mutation import Campaign
    from lpgen.campaign.store import Store

EPILOG = """\b
Examples:
  lpgen mutate --kernel 6.12                     what `lpgen emit` writes, and its templates
  lpgen mutate my_entry.S --with verify          assembly of your own, by its callers alone
  lpgen mutate --thorough                        everybody is asked about every mutant
  lpgen mutate --shard 1/4 --out one.sqlite      one of four machines
  lpgen mutate --merge one.sqlite --merge two.sqlite ...
\b
A campaign that was stopped, or killed, goes on where it was: give the same command again.
\b
Exit codes: 0 each mutant is killed or proved equivalent, 1 one is not, 2 usage or input.
"""


@click.command(epilog=EPILOG, context_settings=CONTEXT)
@click.option(
    "--with",
    "who",
    type=click.Choice(["verify", "prove", "both"]),
    default="both",
    show_default=True,
    help="Who is to kill the mutants: the callers of `lpgen verify`, the prover, or the one and then the other.",
)
@click.option("--thorough", is_flag=True, help="Ask each of them about every mutant, and list where they disagree.")
@click.option(
    "--out", metavar="FILE", help="Where the results are kept.  [default: out/mutate-VERSION.sqlite]", default=None
)
@click.option("--shard", metavar="I/N", help="Only the Ith of N parts; each machine takes another one.")
@click.option("--merge", metavar="FILE", multiple=True, help="Take over the results in FILE; may be repeated.")
@click.option("--jobs", type=Count(1), metavar="N", help="How many processes.  [default: every core]")
@json_option("Print the result as JSON.")
@subject_options
def command(
    file: str | None,
    who: str,
    thorough: bool,
    out: str | None,
    shard: str | None,
    merge: tuple[str, ...],
    jobs: int | None,
    as_json: bool,
    **options: Any,
) -> int:
    """Change the trampolines, one instruction or one macro at a time, and see whether anybody notices.

    A mutant is killed by a caller that sees a contract statement broken, or by the prover, which refutes one; or else
    it is proved equivalent. What is neither survived: it is a hole in the contract, or in what checks it.
    """
    if thorough and who != "both":
        raise LpgenError("--thorough asks both", hint="leave out --with")
    part = _shard(shard)
    chosen = Chosen.of(file, options)
    kernel = chosen.kernel
    path = _path(out, kernel.version)
    with stoppable() as check_stop:
        from lpgen.campaign import mutation
        from lpgen.report.mutation import Mutation, mutation_json, print_mutation

        unit = chosen.unit()
        subject = mutation.Subject(kernel, unit, file is None, chosen.style, chosen.templates)
        planned = mutation.campaign(subject, mutation.Asked(who, thorough))
        ids = [mutation.id_of(piece) for chunk in planned.shard(*part) for piece in chunk]
        words = chosen.command(unit, name="mutate")
        words += "" if who == "both" else f" --with {who}"
        words += " --thorough" if thorough else ""
        words += "" if out is None else f" --out {shlex.quote(out)}"
        words += "" if shard is None else f" --shard {part[0]}/{part[1]}"
        store = _opened(path, planned, merge)
        try:
            with progress("mutants", quiet=as_json) as (started, advance):
                started(len(ids))

                def tick(done: int) -> None:
                    check_stop()
                    advance(done)

                mutation.run(planned, store, part, jobs, tick, check_stop)
            known = store.outcomes()
        except KeyboardInterrupt:
            done = len(store.outcomes().keys() & set(ids))
            say(f"{path}: {done:,} of {len(ids):,} mutants are done; go on with {words}", WARNING)
            raise
        finally:
            store.close()
    outcomes = tuple(known[id_] for id_ in ids if id_ in known)
    result = Mutation(kernel, unit.made_by, words, who, thorough, part, tuple(ids), outcomes)
    if as_json:
        print_json(mutation_json(result))
    else:
        print_mutation(result)
    say_notes(kernel)
    return 0 if result.holds else 1


def _shard(shard: str | None) -> tuple[int, int]:
    """Return number and count of --shard. Raises LpgenError for what is none."""
    if shard is None:
        return 1, 1
    match = re.fullmatch(r"([1-9][0-9]{0,5})/([1-9][0-9]{0,5})", shard, re.ASCII)
    if match is None or int(match[1]) > int(match[2]):
        raise LpgenError(f"--shard {shard!r}: no part of a whole", hint="write I/N, I from 1 to N, as 2/4")
    return int(match[1]), int(match[2])


def _path(out: str | None, version: str) -> Path:
    if out == "":
        raise LpgenError("--out names no file", hint="give the name of the file for the results")
    if out is not None:
        return Path(out)
    path = Path("out") / f"mutate-{version}.sqlite"
    make_directory(path.parent)
    return path


def _opened(path: Path, planned: Campaign, merge: tuple[str, ...]) -> Store:
    """Return the store in ``path``, with what is in the files ``merge`` of the same campaign."""
    from lpgen.campaign.store import Store

    found = []
    for name in merge:
        if not Path(name).is_file():
            raise LpgenError("is no file", place=Place(name), hint="--merge takes what another --out has")
        other = Store(Path(name), dict(planned.about))
        try:
            found += list(other.outcomes().values())
        finally:
            other.close()
    store = Store(path, dict(planned.about))
    if found:
        store.add(found)
    return store
