"""lpgen cost: instructions, loads and stores on each way through the trampolines, counted in a run.

--json: schema lpgen.cost/1, a list of ``costs``, each with ``entry``, ``path``, ``instructions``, ``loads`` and
``stores`` (null where the call did not come to its end, which ``end`` then says); with FILE also ``own``, the same of
what lpgen emits.
"""

from __future__ import annotations

import dataclasses
import json
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
    templates_dir,
    templates_option,
)
from lpgen.errors import LpgenError
from lpgen.report.files import write_out

if TYPE_CHECKING:
    from lpgen.assembly.unit import Which
    from lpgen.contract.cost import Cost

SCHEMA = "lpgen.cost/1"

EPILOG = """\b
Examples:
  lpgen cost --kernel 6.12
  lpgen cost --kernel 6.12 arch/powerpc/kernel/trace/ftrace_entry.S
\b
Exit codes: 0 counted, 1 a call did not come to its end, 2 usage or input.
"""


@click.command(epilog=EPILOG, context_settings=CONTEXT)
@click.argument("file", metavar="[FILE]", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@kernel_options
@templates_option
@entry_option
@build_options
def command(
    file: str | None,
    as_json: bool,
    version: str | None,
    config: tuple[str, ...],
    offsets: str | None,
    vmlinux: str | None,
    build: str | None,
    templates: str | None,
    entry: tuple[str, ...],
    assembler: Which,
    cpp: bool,
    include_dirs: tuple[str, ...],
    defines: tuple[str, ...],
) -> int:
    """Count instructions, loads and stores on each way through the trampolines, as they run.

    With FILE, assembly of your own or an object: its figures, and in brackets how many more (+) or fewer (-) they are
    than those of what `lpgen emit` writes. The tracer's, B's and C's own instructions do not count, nor does an
    out-of-line stub.
    """
    if file is not None and templates is not None:
        raise LpgenError("FILE and --templates exclude each other", hint="leave one out")
    entries = chosen_entries(entry, file)
    needs_file(file, {"--assembler": assembler != "auto", "--cpp": cpp, "-I": include_dirs, "-D": defines})
    kernel = chosen_kernel(version, config, offsets, vmlinux, build, file)
    from lpgen import api
    from lpgen.assembly import How
    from lpgen.contract.cost import costs

    how = How(assembler, cpp, include_dirs, macros(defines))
    own = costs(kernel, api.trampolines(kernel, templates=templates_dir(templates)))
    shown = own if file is None else costs(kernel, api.trampolines(kernel, source=file, entries=entries, how=how))
    if as_json:
        document: dict[str, object] = {"schema": SCHEMA, "kernel": kernel.version, "options": kernel.options}
        document["costs"] = [dataclasses.asdict(cost) for cost in shown]
        if file is not None:
            document["own"] = [dataclasses.asdict(cost) for cost in own]
        write_out("-", json.dumps(document, indent=2) + "\n")
    else:
        click.echo(f"kernel {kernel.version}, generation {kernel.generation}; offsets: {kernel.offsets.label}")
        click.echo(_table(shown, own if file is not None else None), nl=False)
    say_notes(kernel)
    return 1 if any(cost.end for cost in shown) else 0


def _table(shown: list[Cost], own: list[Cost] | None) -> str:
    head = ("entry", "path", "instructions", "loads", "stores")
    rows = [head]
    for number, cost in enumerate(shown):
        base = None if own is None else own[number]
        first = number == 0 or shown[number - 1].entry != cost.entry
        instructions, loads, stores = map(_figure, _counts(cost), _counts(base))
        rows.append((cost.entry if first else "", cost.path, instructions, loads, stores))
    widths = [max(len(row[n]) for row in rows) for n in range(len(head))]
    lines = []
    for row, end in zip(rows, ("", *(cost.end for cost in shown)), strict=True):
        sized = enumerate(zip(row, widths, strict=True))
        cells = [cell.rjust(width) if n > 1 else cell.ljust(width) for n, (cell, width) in sized]
        lines.append(f"{'  '.join(cells)}  {end}".rstrip())
    return "\n".join(lines) + "\n"


def _counts(cost: Cost | None) -> tuple[int | None, int | None, int | None]:
    return (None, None, None) if cost is None else (cost.instructions, cost.loads, cost.stores)


def _figure(value: int | None, base: int | None) -> str:
    if value is None:
        return "-"
    if base is None:
        return str(value)
    return f"{value} ({value - base:+d})" if value != base else f"{value} (=)"
