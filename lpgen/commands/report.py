"""lpgen report: one HTML page with the verdict, calls step by step, the code, its cost, the proof, the mutants."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lpgen.commands.calls import again, call_options, check_interrupted, chosen_case
from lpgen.commands.options import CONTEXT, json_option, say_notes
from lpgen.commands.subject import Chosen, subject_options
from lpgen.commands.waiting import progress, stoppable
from lpgen.errors import LpgenError
from lpgen.report.files import STDOUT, make_directory, read_text, write_out

if TYPE_CHECKING:
    from lpgen.assembly import Unit
    from lpgen.campaign.outcome import Outcome
    from lpgen.machine.cases import Case
    from lpgen.report.page import Shown
    from lpgen.report.proof_result import ProofResult
    from lpgen.report.result import Result
    from lpgen.source.render import Rendered

DEFAULT = Path("out") / "report.html"
# So many failing calls are shown step by step.
FAILURES = 5
# What takes its time: the trampolines and the call, the verdict, the proof, the traces, the costs.
_PARTS = 5

EPILOG = """\b
Examples:
  lpgen report                                   out/report.html, of what `lpgen emit` writes
  lpgen report --kernel 6.12 --against 6.1       with what changed since 6.1
  lpgen report my_entry.S --caller 'int f(const char *, ..., double)' --patched
  lpgen report vmlinux --out -                   a linked kernel; to standard output
\b
Exit codes: 0 every statement holds, 1 one is broken, not exercised or refuted, 2 usage or input.
"""


@click.command(epilog=EPILOG, context_settings=CONTEXT)
@click.option("--out", metavar="FILE", help=f"Where to write; - is standard output.  [default: {DEFAULT}]")
@click.option("--against", metavar="KERNEL", help="Show what changed since this kernel version.")
@click.option(
    "--mutation",
    metavar="FILE",
    help="Results of `lpgen mutate`.  [default: out/mutate-VERSION.sqlite, if it is there]",
)
@click.option("--no-prove", is_flag=True, help="Leave the proof out.")
@json_option("Print what the page shows as JSON, and write no page.")
@call_options
@subject_options
def command(
    file: str | None,
    out: str | None,
    against: str | None,
    mutation: str | None,
    no_prove: bool,
    as_json: bool,
    **options: Any,
) -> int:
    """Write one HTML page about trampolines: it needs no network and no other file.

    The verdict by statement, calls step by step with pictures of the stacks, the code beside its templates, what each
    way costs, the proof, the mutation campaign, and what changed since another kernel. A call of your own comes first.
    """
    for name, value in (("--out", out), ("--against", against), ("--mutation", mutation)):
        if value == "":
            raise LpgenError(f"{name} is empty", hint="leave it out, or name something")
    if as_json and out is not None:
        raise LpgenError("--json writes no page", hint="leave out --out")
    chosen = Chosen.of(file, options)
    kernel = chosen.kernel
    with stoppable() as check_stop, progress("report", quiet=False) as (started, done):
        started(_PARTS)

        def advance() -> None:
            check_stop()
            done(1)

        from lpgen import api
        from lpgen.contract.cost import costs
        from lpgen.kernel.chosen import choose
        from lpgen.report.compare import compare
        from lpgen.report.json_page import page_json
        from lpgen.report.page import Page, code_rows, template_sources
        from lpgen.report.page_html import page_html
        from lpgen.report.result import Result
        from lpgen.source.packs import directory_of

        compared = None if against is None else compare(choose(against), kernel)
        unit = chosen.unit()
        own = _own_call(chosen, unit, options)
        advance()
        verdict = api.judge(kernel, unit, check=check_stop)
        result = Result.of(verdict, unit, chosen.command(unit))
        advance()
        notes: list[str] = []
        proof = None if no_prove else _proof(chosen, unit, notes)
        advance()
        text, rendered = _text(chosen, unit)
        rows = code_rows(unit, result, text, rendered)
        outcomes, said = _mutants(chosen, unit, mutation, notes)
        calls = _calls(chosen, unit, result, own, options)
        if own is not None:
            check_interrupted(options, came=bool(calls[0].result.trace.verdict.interrupted))
        advance()
        page = Page(
            kernel=kernel,
            unit=unit,
            command=_command(
                chosen, unit, against=against, mutation=mutation, no_prove=no_prove, own=own, options=options
            ),
            verdict=result,
            calls=calls,
            costs=costs(kernel, unit),
            rows=rows,
            sources=template_sources(rows),
            own=None if file is None else costs(kernel, api.trampolines(kernel)),
            proof=proof,
            mutants=outcomes,
            mutants_from=said,
            comparison=compared,
            notes=notes,
        )
        advance()
        directory = None if chosen.templates is None else directory_of(chosen.templates)
        content = json.dumps(page_json(page), indent=2) + "\n" if as_json else page_html(page, directory)
    target = "-" if as_json else out
    if target is None:
        make_directory(DEFAULT.parent)
        target = str(DEFAULT)
    write_out(target, content)
    if target not in STDOUT:
        click.echo(f"{target}: {len(page.calls)} calls", err=True)
    say_notes(kernel)
    return 0 if page.holds else 1


def _command(
    chosen: Chosen,
    unit: Unit,
    *,
    against: str | None,
    mutation: str | None,
    no_prove: bool,
    own: Case | None,
    options: dict[str, Any],
) -> str:
    words = [chosen.command(unit, name="report")]
    words += [
        f"{name} {shlex.quote(value)}" for name, value in (("--against", against), ("--mutation", mutation)) if value
    ]
    words += ["--no-prove"] if no_prove else []
    words += [] if own is None else [again(options, own)]
    return " ".join(words)


def _own_call(chosen: Chosen, unit: Unit, options: dict[str, Any]) -> Case | None:
    """Return the call that the options name, None when they name none."""
    names = ("caller", "patched", "through", "interrupt_at", "plan", "only", "replay", "seed", "at")
    if not any(options[name] not in (None, False, 0) or (name == "only" and options[name] == 0) for name in names):
        return None
    return chosen_case(chosen.kernel, unit, options)


def _proof(chosen: Chosen, unit: Unit, notes: list[str]) -> ProofResult | None:
    """Return the proof, or None with the reason among ``notes``: a page without one is better than none."""
    from lpgen import api

    try:
        found = api.prove_unit(chosen.kernel, unit)
    except LpgenError as error:
        notes.append(f"no proof: {error}")
        return None
    found.command = chosen.command(unit)
    return found


def _text(chosen: Chosen, unit: Unit) -> tuple[str | None, Rendered | None]:
    """Return the assembly's text where there is one, and what it was rendered from."""
    from lpgen.assembly.model import LINKED, OBJECT
    from lpgen.source.emit import emit_source

    if chosen.file is None:
        rendered = emit_source(chosen.kernel, style=chosen.style, templates_dir=chosen.templates)
        return rendered.text, rendered
    if chosen.file == "-" or unit.made_by in (OBJECT, LINKED):
        return None, None
    return read_text(Path(chosen.file)), None


def _mutants(chosen: Chosen, unit: Unit, named: str | None, notes: list[str]) -> tuple[tuple[Outcome, ...], str]:
    """Return the outcomes of a mutation campaign on the same code, and the file they are in; or none."""
    from lpgen.campaign import mutation
    from lpgen.campaign.store import read_store
    from lpgen.errors import Place

    path = Path(named) if named is not None else Path("out") / f"mutate-{chosen.kernel.version}.sqlite"
    if named is None and not path.is_file():
        notes.append("no mutation campaign: lpgen mutate runs one")
        return (), ""
    about, outcomes = read_store(path)
    subject = mutation.Subject(chosen.kernel, unit, chosen.file is None, chosen.style, chosen.templates)
    planned = mutation.campaign(subject, mutation.Asked())
    if about.get("code") != planned.about["code"]:
        if named is not None:
            raise LpgenError(
                "has the results of another code's mutants", place=Place(str(path)), hint="run lpgen mutate"
            )
        notes.append(f"no mutation campaign: {path} is about other code")
        return (), ""
    found = tuple(outcomes[id_] for id_ in planned.ids if id_ in outcomes)
    if len(found) < len(planned.ids):
        notes.append(f"{path}: {len(found):,} of {len(planned.ids):,} mutants are done")
    return found, str(path)


def _calls(chosen: Chosen, unit: Unit, result: Result, own: Case | None, options: dict[str, Any]) -> list[Shown]:
    """Return the calls that the page steps through: the person's own, those that break a statement, the usual ones."""
    from lpgen.report.page_calls import shown_calls

    return shown_calls(
        chosen.kernel,
        unit,
        [] if own is None else [(own, again(options, own))],
        result.failures[:FAILURES],
        trace_command=chosen.command(unit, name="trace"),
        verify_command=chosen.command(unit),
    )
