"""lpgen trace: one call step by step, in the terminal, as JSON, for Perfetto, or under gdb."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from lpgen.commands.calls import call_options, check_interrupted, chosen_case
from lpgen.commands.options import CONTEXT, Count, json_option, print_json, say_notes
from lpgen.commands.subject import Chosen, subject_options
from lpgen.commands.waiting import stoppable
from lpgen.errors import LpgenError
from lpgen.report.files import write_out

if TYPE_CHECKING:
    from lpgen.machine.trip import Trip

EPILOG = """\b
Examples:
  lpgen trace                                    nine longs, traced
  lpgen trace --patched --kernel 6.12            the same, livepatched
  lpgen trace --patched --caller 'int f(int, ..., double)'
  lpgen trace --patched --interrupt-at 40:calls  an interrupt that makes a patched call itself
  lpgen trace my_entry.S --plan 'long f(long*9) seed=3 nip=patch'
  lpgen trace --patched --perfetto out/call.json for https://ui.perfetto.dev
  lpgen trace --patched --svg out/call.svg       a picture of the terminal
  lpgen trace --patched --gdb 0                  gdb steps through it; 0 is any free port
\b
Exit codes: 0 no statement is broken in this call, or --gdb; 1 one is, 2 usage or input.
"""


@click.command(epilog=EPILOG, context_settings=CONTEXT)
@call_options
@click.option("--unfold", is_flag=True, help="Show every load and store, not rows of alike ones as one.")
@click.option("--values", is_flag=True, help="Show the number of each value that has a name, too.")
@json_option("Print the events as JSON.")
@click.option("--perfetto", metavar="FILE", help="Write the call as a trace for the Perfetto viewer; - is stdout.")
@click.option("--svg", metavar="FILE", help="Write what a terminal shows as a picture; - is stdout.")
@click.option(
    "--gdb", type=Count(0, 65535), metavar="PORT", help="Wait for gdb on this port of 127.0.0.1; 0 is any free one."
)
@subject_options
def command(
    file: str | None,
    unfold: bool,
    values: bool,
    as_json: bool,
    perfetto: str | None,
    svg: str | None,
    gdb: int | None,
    **options: Any,
) -> int:
    """Show one call from A to B step by step: each instruction, and what it changed by name.

    It goes through FILE, or what `lpgen emit` writes with the same options, as in `lpgen verify`.
    """
    views = {"--json": as_json or None, "--perfetto": perfetto, "--svg": svg, "--gdb": gdb}
    chosen_views = [name for name, value in views.items() if value is not None]
    if len(chosen_views) > 1:
        raise LpgenError(f"{' and '.join(chosen_views)} exclude each other", hint="leave one out")
    if "" in (perfetto, svg):
        raise LpgenError(f"{chosen_views[0]} names no file", hint="give a file's name, or - for standard output")
    if (unfold or values) and chosen_views and svg is None:
        name = "--unfold" if unfold else "--values"
        raise LpgenError(f"{name} is for the text and --svg", hint=f"leave out {name}, or {chosen_views[0]}")
    chosen = Chosen.of(file, options)
    kernel = chosen.kernel
    with stoppable() as check_stop:
        from lpgen.machine.plan_text import plan_text
        from lpgen.report.trace_result import TraceResult
        from lpgen.trace.build import trace_call

        unit = chosen.unit()
        case = chosen_case(kernel, unit, options)
        check_stop()
        if gdb is not None:
            from lpgen.debugger.serve import serve

            def check(trip: Trip) -> None:
                check_interrupted(options, came=trip.interruption is not None)

            serve(kernel, unit, case.plan, gdb, values=case.values, check=check, say=click.echo, check_stop=check_stop)
            say_notes(kernel)
            return 0
        trace = trace_call(kernel, unit, case.plan, values=case.values, case=case)
    check_interrupted(options, came=bool(trace.verdict.interrupted))
    command = chosen.command(unit, name="trace")
    again = f"--replay {options['replay']}" if options["replay"] else f"--plan '{plan_text(case.plan)}'"
    result = TraceResult(trace, unit, f"{command} {again}", chosen.command(unit))
    if as_json:
        from lpgen.report.json_trace import trace_json

        print_json(trace_json(result))
    elif perfetto is not None:
        from lpgen.report.perfetto import perfetto_json

        write_out(perfetto, json.dumps(perfetto_json(result), indent=1) + "\n")
    elif svg is not None:
        from lpgen.report.trace_svg import trace_svg
        from lpgen.report.trace_text import View

        write_out(svg, trace_svg(result, View(fold=not unfold, values=values)))
    else:
        from lpgen.report.trace_text import View, print_trace

        print_trace(result, View(fold=not unfold, values=values))
    say_notes(kernel)
    return 1 if trace.verdict.broken else 0
