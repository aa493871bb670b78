"""lpgen new: write a pack of templates to start from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from lpgen import __version__
from lpgen.commands.options import CONTEXT, json_option, print_json
from lpgen.errors import LpgenError
from lpgen.report.files import check_new, write_directory
from lpgen.report.json_files import written
from lpgen.source.new_pack import DEFAULT_TEMPLATE, assembly_templates, pack_files

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

SCHEMA = "lpgen.new/1"

EPILOG = """\b
Examples:
  lpgen new mypack
  lpgen new packs/first --name first --template ftrace_caller.S.j2 --kernel 6.12
\b
In the directory: pip install -e . && pytest, and anywhere lpgen emit --templates NAME.
\b
Exit codes: 0 written, 2 usage or input: then nothing is written.
"""


def _templates(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    from click.shell_completion import CompletionItem

    return [CompletionItem(name) for name in assembly_templates() if name.startswith(incomplete)]


@click.command(epilog=EPILOG, context_settings=CONTEXT)
@click.argument("directory", metavar="DIR", type=click.Path(file_okay=False))
@click.option("--name", metavar="NAME", help="What --templates is to call the pack.  [default: the name of DIR]")
@click.option(
    "--template",
    metavar="TEMPLATE",
    default=DEFAULT_TEMPLATE,
    show_default=True,
    shell_complete=_templates,
    help="The template of the assembly to override.",
)
@click.option("--kernel", "version", help="The kernel that it is for.  [default: 4.7, or the first with TEMPLATE]")
@json_option("Print as JSON what was written.")
def command(directory: str, name: str | None, template: str, version: str | None, as_json: bool) -> None:
    """Write a pack of templates to DIR: one template that overrides a block of lpgen's, as yet without effect.

    It is a Python project with a test of its own, which can be installed; then --templates takes its name.
    """
    if not directory:
        raise LpgenError("DIR names no directory", hint="give one that is to be made")
    path = Path(directory)
    check_new(path)
    files = pack_files(path.resolve().name if name is None else name, template, version)
    write_directory(path, files)
    if as_json:
        made = {str(path / each): text for each, text in files.items()}
        print_json({"schema": SCHEMA, "lpgen": __version__, "files": written(made)})
        return
    for each, text in files.items():
        count = text.count("\n")
        click.echo(f"{path / each}: {count} line{'' if count == 1 else 's'}", err=True)
