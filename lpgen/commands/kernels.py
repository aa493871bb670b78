"""lpgen kernels: which kernels there are, and what lpgen knows of one."""

from __future__ import annotations

import click

from lpgen.commands.options import CONTEXT, chosen_kernel, config_option, json_option, print_json
from lpgen.errors import LpgenError
from lpgen.report.files import write_out
from lpgen.report.kernels import kernel_json, kernel_lines, list_json, list_lines
from lpgen.report.style import shown
from lpgen.report.wrap import terminal_width

EPILOG = """\b
Examples:
  lpgen kernels                                  every generation, and where it changes
  lpgen kernels 6.1.192                          what holds for this kernel
  lpgen kernels 6.13 --config .config            in the configuration of a kernel build
  lpgen kernels --json
"""


@click.command(epilog=EPILOG, context_settings=CONTEXT)
@click.argument("version", metavar="[VERSION]", required=False)
@config_option
@json_option()
def command(version: str | None, config: tuple[str, ...], as_json: bool) -> None:
    """List the kernels that lpgen has, or say what it knows of one: file, symbols, features, options."""
    if version is None:
        if config:
            raise LpgenError("--config is for one kernel", hint="name its version: lpgen kernels VERSION --config ...")
        if as_json:
            print_json(list_json())
        else:
            write_out("-", shown(list_lines(terminal_width())))
        return
    made = chosen_kernel(version, config, None)
    if as_json:
        print_json(kernel_json(made))
    else:
        write_out("-", shown(kernel_lines(made, terminal_width())))
