"""lpgen kernels: which kernels there are, and what lpgen knows of one."""

from __future__ import annotations

import json

import click

from lpgen.commands.options import CONTEXT, chosen_kernel, config_option
from lpgen.errors import LpgenError
from lpgen.report.columns import terminal_width
from lpgen.report.files import write_out
from lpgen.report.kernels import kernel_json, kernel_text, list_json, list_text

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
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(version: str | None, config: tuple[str, ...], as_json: bool) -> None:
    """List the kernels that lpgen has, or say what it knows of one: file, symbols, features, options."""
    if version is None:
        if config:
            raise LpgenError("--config is for one kernel", hint="name its version: lpgen kernels VERSION --config ...")
        text = json.dumps(list_json(), indent=2) + "\n" if as_json else list_text(terminal_width())
    else:
        made = chosen_kernel(version, config, None)
        text = json.dumps(kernel_json(made), indent=2) + "\n" if as_json else kernel_text(made, terminal_width())
    write_out("-", text)
