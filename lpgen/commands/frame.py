"""lpgen frame: the stack around a traced call, and the livepatch stack, as a diagram."""

from __future__ import annotations

import shlex
import sys

import click

from lpgen.commands.options import CONTEXT, chosen_kernel, json_option, kernel_options, print_json, say_notes
from lpgen.errors import LpgenError
from lpgen.kernel.generations import DEFAULT_VERSION
from lpgen.report.files import STDOUT, write_out

EPILOG = """\b
Examples:
  lpgen frame                                    of a 4.7 kernel
  lpgen frame --kernel 6.12 --unfold             each GPR in a row of its own
  lpgen frame --vmlinux vmlinux                  with the offsets of this kernel
  lpgen frame --caller 'int f(long a, double b, struct { long m[8]; } c)'
  lpgen frame --kernel 6.12 --svg frame.svg
  lpgen frame --kernel 6.12 --json | jq '.frames[] | select(.kind == "pt_regs")'
\b
Exit codes: 0 drawn, 2 usage or input.
"""


@click.command(epilog=EPILOG, context_settings=CONTEXT)
@click.option("--caller", metavar="PROTOTYPE", help="B's prototype, and C's: show which argument lies where.")
@click.option("--unfold", is_flag=True, help="A row for each GPR: do not draw those that are alike as one.")
@click.option("--svg", metavar="FILE", help="Write the diagram as SVG; - is standard output.")
@json_option()
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

    The highest address is at the top. F is the entry point for full registers, L the lean one.
    """
    if svg is not None and as_json:
        raise LpgenError("--svg and --json exclude each other", hint="leave one out")
    if svg == "":
        raise LpgenError("--svg names no file", hint="give a file's name, or - for standard output")
    if unfold and as_json:
        raise LpgenError("--unfold is for the diagram", hint="leave it out: --json has every GPR")
    kernel = chosen_kernel(version, config, offsets, vmlinux, build)
    from lpgen.report.frame_model import diagram

    call = None
    if caller is not None:
        from lpgen.report.frame_caller import caller_of

        call = caller_of(caller)
    drawn = diagram(kernel, call)
    if as_json:
        from lpgen.report.frame_json import frame_json

        given = {"--vmlinux": (vmlinux,), "--build": (build,), "--kernel": (version,), "--config": config}
        given |= {"--offsets": (offsets,), "--caller": (caller,)}
        if (version, vmlinux, build) == (None, None, None):
            given["--kernel"] = (DEFAULT_VERSION,)
        words = [word for option, values in given.items() for value in values if value for word in (option, value)]
        print_json(frame_json(drawn, shlex.join(["lpgen", "frame", *words])))
    elif svg is not None:
        from lpgen.report.frame_svg import frame_svg
        from lpgen.report.style import say

        write_out(svg, frame_svg(drawn, unfold=unfold))
        if svg not in STDOUT:
            say(f"{svg}: {drawn.title[0].lower()}{drawn.title[1:]}")
    else:
        from lpgen.report.frame_text import can_draw, frame_lines
        from lpgen.report.style import shown

        fine = can_draw(sys.stdout.encoding)
        text = shown(frame_lines(drawn, fine=fine, unfold=unfold))
        write_out("-", text.encode(sys.stdout.encoding) if fine else text.encode("ascii", "backslashreplace"))
    say_notes(kernel)
