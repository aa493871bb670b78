"""lpgen diff: what changed between two kernels."""

from __future__ import annotations

import click

from lpgen.commands.options import CONTEXT, chosen_config, config_option, json_option, print_json
from lpgen.errors import LpgenError
from lpgen.kernel.generations import Kernel, kernel, option_names
from lpgen.kernel.names import closest
from lpgen.report.compare import PARTS, compare
from lpgen.report.compare_text import diff_json, diff_lines
from lpgen.report.files import write_out
from lpgen.report.style import shown
from lpgen.report.wrap import terminal_width

# Two columns of code want more than the usual 80.
_WIDTH = 100

EPILOG = """\b
Examples:
  lpgen diff 6.1 6.12                            contract, offsets, code side by side
  lpgen diff 6.1.44 6.1.45 --part code           what the back-port changed
  lpgen diff 4.17 4.18 --config CONFIG_LIVEPATCH=n
"""


@click.command(epilog=EPILOG, context_settings=CONTEXT)
@click.argument("old", metavar="OLD")
@click.argument("new", metavar="NEW")
@click.option("--part", "parts", type=click.Choice(PARTS), multiple=True, help="Only this part; may be repeated.")
@config_option
@json_option()
def command(old: str, new: str, parts: tuple[str, ...], config: tuple[str, ...], as_json: bool) -> None:
    """Show what changed between two kernels: what must hold, the offsets, the emitted code.

    --config is for both; an option that one of them does not have is set in the other. The offsets are lpgen's own.
    """
    found = compare(*_kernels(old, new, config))
    asked = parts or PARTS
    if as_json:
        print_json(diff_json(found, asked))
    else:
        write_out("-", shown(diff_lines(found, terminal_width(_WIDTH), asked)))


def _kernels(old: str, new: str, config: tuple[str, ...]) -> list[Kernel]:
    wanted, dotconfig = chosen_config(config)
    names = {version: option_names(version) for version in (old, new)}
    known = {name for has in names.values() for name in has}
    for name in wanted:
        if name not in known:
            near = closest(name, known)
            hint = f"they have {', '.join(sorted(known))}" if near is None else f"did you mean {near}?"
            raise LpgenError(f"{name} is not an option of {old} or {new}", hint=hint)
    return [
        kernel(version, config={n: v for n, v in wanted.items() if n in names[version]}, dotconfig=dotconfig)
        for version in (old, new)
    ]
