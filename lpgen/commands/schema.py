"""lpgen schema: the formats of what --json prints, as JSON Schema."""

from __future__ import annotations

import click

from lpgen import __version__
from lpgen.commands.options import CONTEXT, json_option, print_json
from lpgen.errors import LpgenError
from lpgen.report.columns import columns
from lpgen.report.files import write_out
from lpgen.report.schema import schema, schemas
from lpgen.report.style import shown
from lpgen.report.wrap import terminal_width

SCHEMA = "lpgen.schema/1"

EPILOG = """\b
Examples:
  lpgen schema                                   every format, and the command that writes it
  lpgen schema verify > verify.schema.json       the newest; verify/1 or lpgen.verify/1: that one
"""


@click.command(epilog=EPILOG, context_settings=CONTEXT)
@click.argument("name", metavar="[NAME]", required=False)
@json_option("Print the table as JSON.")
def command(name: str | None, as_json: bool) -> None:
    """List the formats of lpgen's JSON, or print one as JSON Schema (draft 2020-12).

    A document names its format in its field "schema". The version changes when a field changes its meaning or goes; a
    field can be added without.
    """
    if name is not None:
        if as_json:
            raise LpgenError("a schema is JSON already", hint="leave out --json")
        write_out("-", schema(name).text)
    elif as_json:
        found = [{"name": one.name, "command": one.command, "what": one.what} for one in schemas()]
        print_json({"schema": SCHEMA, "lpgen": __version__, "schemas": found})
    else:
        rows = [("schema", "command", "what it is"), *((one.name, one.command, one.what) for one in schemas())]
        write_out("-", shown(columns(rows, terminal_width(), heading=True)))
