"""lpgen cost: instructions, loads and stores on each way through the trampolines, counted in a run."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from lpgen.commands.options import (
    CONTEXT,
    build_options,
    chosen_entries,
    chosen_kernel,
    entry_option,
    json_option,
    kernel_options,
    macros,
    needs_file,
    print_json,
    say_notes,
    templates_dir,
    templates_option,
)
from lpgen.errors import LpgenError
from lpgen.kernel.generations import settings_of
from lpgen.report.columns import Cell, columns
from lpgen.report.files import write_out
from lpgen.report.style import BAD, Text, shown
from lpgen.report.wrap import row_width

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
@json_option()
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
    unit = emitted = api.trampolines(kernel, templates=templates_dir(templates))
    found = own = costs(kernel, emitted)
    if file is not None:
        unit = api.trampolines(kernel, source=file, entries=entries, how=how)
        found = costs(kernel, unit)
    if as_json:
        from lpgen.report.json_head import json_head

        words = api.command_line(
            version,
            settings_of(kernel),
            offsets,
            templates=templates,
            source=file,
            entries=entries,
            how=how,
            vmlinux=vmlinux,
            build=build,
            itself=unit.fixed is not None,
            name="cost",
        )
        document = json_head(SCHEMA, words, kernel, unit.made_by)
        document["costs"] = [dataclasses.asdict(cost) for cost in found]
        if file is not None:
            document["own"] = [dataclasses.asdict(cost) for cost in own]
        print_json(document)
    else:
        title = f"kernel {kernel.version}, generation {kernel.generation}; offsets: {kernel.offsets.label}"
        table = _table(found, own if file is not None else None, row_width())
        write_out("-", shown([Text(title), *table]))
    say_notes(kernel)
    return 1 if any(cost.end for cost in found) else 0


def _table(found: list[Cost], own: list[Cost] | None, width: int | None) -> Iterator[Text]:
    rows: list[tuple[Cell, ...]] = [("entry", "path", "instructions", "loads", "stores", "")]
    for number, cost in enumerate(found):
        base = None if own is None else own[number]
        first = number == 0 or found[number - 1].entry != cost.entry
        figures = map(_figure, _counts(cost), _counts(base))
        rows.append((cost.entry if first else "", cost.path, *figures, (cost.end, BAD)))
    return columns(rows, width, heading=True, right=(2, 3, 4))


def _counts(cost: Cost | None) -> tuple[int | None, int | None, int | None]:
    return (None, None, None) if cost is None else (cost.instructions, cost.loads, cost.stores)


def _figure(value: int | None, base: int | None) -> str:
    if value is None:
        return "-"
    if base is None:
        return str(value)
    return f"{value} ({value - base:+d})" if value != base else f"{value} (=)"
