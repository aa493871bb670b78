"""lpgen frame: the stack around a traced call, and the livepatch stack, as a diagram."""

from __future__ import annotations

import json
import os
import sys

import click

from lpgen.commands.options import CONTEXT, chosen_kernel, kernel_options, say_notes
from lpgen.errors import LpgenError
from lpgen.report.files import STDOUT, write_out

EPILOG = """\b
Examples:
  lpgen frame                                    of a 4.7 kernel
  lpgen frame --kernel 6.12 --all                each GPR in a row of its own
  lpgen frame --vmlinux vmlinux                  with the offsets of this kernel
  lpgen frame --caller 'int f(long, long, long, long, long, long, long, long, long)'
  lpgen frame --kernel 6.12 --svg frame.svg
  lpgen frame --kernel 6.12 --json | jq '.frames[] | select(.kind == "pt_regs")'
\b
Exit codes: 0 drawn, 2 usage or input.
"""


@click.command(epilog=EPILOG, context_settings=CONTEXT)
@click.option("--caller", metavar="PROTOTYPE", help="C's prototype: show which of its arguments lies where.")
@click.option("--all", "unfold", is_flag=True, help="A row for each GPR: do not draw those that are alike as one.")
@click.option("--svg", metavar="FILE", help="Write the diagram as SVG; - is standard output.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@kernel_options
def command(
    caller: str | None,
    unfold: bool,
    svg: str | None,
    as_json: bool,
    version: str | None,
    config: tuple[str, ...],
    offsets: str | None,
    vmlinux: str | None,
    build: str | None,
) -> None:
    """Show the stack frames around a traced call, and the livepatch stack: which field is where, who stores it.

    The highest address is at the top. F and L are the entry points for full registers and the lean one.
    """
    if svg is not None and as_json:
        raise LpgenError("--svg and --json exclude each other", hint="leave one out")
    if svg == "":
        raise LpgenError("--svg names no file", hint="give a file's name, or - for standard output")
    if as_json and unfold:
        raise LpgenError("--all is for the diagram", hint="--json has every GPR anyway: leave --all out")
    kernel = chosen_kernel(version, config, offsets, vmlinux, build)
    from lpgen.report.frame_model import diagram

    call = None
    if caller is not None:
        from lpgen.report.frame_caller import caller_of

        call = caller_of(caller)
    drawn = diagram(kernel, call)
    if as_json:
        from lpgen.report.frame_json import frame_json

        write_out("-", json.dumps(frame_json(drawn), indent=2) + "\n")
    elif svg is not None:
        from lpgen.report.frame_svg import frame_svg

        write_out(svg, frame_svg(drawn, unfold=unfold))
        if svg not in STDOUT:
            click.echo(f"{svg}: {drawn.title[0].lower()}{drawn.title[1:]}", err=True)
    else:
        from lpgen.report.frame_text import can_draw, frame_text

        fine = can_draw(sys.stdout.encoding)
        text = frame_text(drawn, fine=fine, colour=_wants_colour(), unfold=unfold)
        write_out("-", text.encode(sys.stdout.encoding if fine else "ascii", "replace"))
    say_notes(kernel)


def _wants_colour() -> bool:
    """Say whether standard output is a terminal that can show colours, and NO_COLOR does not say otherwise."""
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM", "").lower() in ("dumb", "unknown")
    return sys.stdout.isatty() and not plain
