"""lpgen offsets: show or convert the asm-offsets constants."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator

import click

from lpgen import __version__
from lpgen.commands.options import CONTEXT, chosen_format, chosen_kernel, json_option, kernel_options, say_notes
from lpgen.errors import LpgenError
from lpgen.kernel.generations import Kernel, settings_of
from lpgen.kernel.model import Offset
from lpgen.kernel.options import setting_text
from lpgen.report.columns import columns
from lpgen.report.files import STDOUT, write_out
from lpgen.report.style import Text, plain, shown
from lpgen.report.wrap import row_width

FORMATS = ("header", "toml", "json", "table")
JSON_SCHEMA = "lpgen.offsets/1"
COLUMNS = ("name", "dec", "hex", "struct", "field", "source")

EPILOG = """\b
Examples:
  lpgen offsets                                        what lpgen takes for 4.7
  lpgen offsets --format header --out asm-offsets.h
  lpgen offsets --offsets linux/include/generated/asm-offsets.h --format toml
  lpgen offsets --vmlinux vmlinux                      those of a kernel at hand
  lpgen offsets --build linux --format header
"""


@click.command(epilog=EPILOG, context_settings=CONTEXT)
@click.option("--format", "form", type=click.Choice(FORMATS), help="What to write.  [default: table]")
@json_option("The same as --format json.")
@click.option("--out", default="-", metavar="FILE", show_default=True, help="Where to write; - is standard output.")
@kernel_options
def command(
    form: str | None,
    as_json: bool,
    out: str,
    version: str | None,
    config: tuple[str, ...],
    offsets: str | None,
    vmlinux: str | None,
    build: str | None,
) -> None:
    """Show or convert the asm-offsets constants: value, C field and where each comes from.

    Without --offsets, --vmlinux or --build they are lpgen's own facts for the kernel. A FILE is checked as it is
    loaded; names of it that the trampolines do not use are left out.
    """
    form = chosen_format(form, as_json, "table")
    wanted = chosen_kernel(version, config, offsets, vmlinux, build)
    if form == "table" and out in STDOUT:
        write_out(out, shown(_table(wanted, row_width())))
    else:
        write_out(out, offsets_text(wanted, form))
    say_notes(wanted)


def offsets_text(kernel: Kernel, form: str) -> str:
    """Return the constants of ``kernel`` in the format ``form``, one of FORMATS. Raises LpgenError for another."""
    if form == "header":
        from lpgen.source.change import offsets_header

        return offsets_header(kernel, banner=_banner(kernel, form))
    if form == "toml":
        return f"# {_banner(kernel, form)}\n{kernel.offsets.toml_text()}"
    if form == "json":
        return _json(kernel)
    if form == "table":
        return plain(_table(kernel, None))
    raise LpgenError(f"{form!r} is not a format", hint=f"the formats are {', '.join(FORMATS)}")


def _banner(kernel: Kernel, form: str) -> str:
    words = ["lpgen", "offsets"]
    words += ["--kernel", kernel.version] if kernel.origin is None else kernel.origin.words
    words += ["--format", form]
    for name, value in settings_of(kernel).items():
        words += ["--config", setting_text(name, value)]
    if kernel.offsets_file is not None:
        words += ["--offsets", kernel.offsets_file]
    return f"lpgen {__version__}: {shlex.join(words)}"


def _json(kernel: Kernel) -> str:
    document = {
        "schema": JSON_SCHEMA,
        "lpgen": __version__,
        "kernel": kernel.version,
        "generation": kernel.generation,
        "layout": kernel.layout,
        "label": kernel.offsets.label,
        "offsets": [
            {
                "name": entry.name,
                "value": entry.value,
                "struct": entry.struct,
                "field": entry.field,
                "base": entry.base,
                "source": entry.source,
            }
            for entry in kernel.offsets.entries
        ],
    }
    return json.dumps(document, indent=2) + "\n"


def _row(entry: Offset) -> tuple[str, ...]:
    return entry.name, str(entry.value), hex(entry.value), entry.struct, entry.field, entry.source


def _title(kernel: Kernel) -> str:
    return f"kernel {kernel.version}, generation {kernel.generation}; offsets: {kernel.offsets.label}"


def _table(kernel: Kernel, width: int | None) -> Iterator[Text]:
    yield Text(_title(kernel))
    yield Text()
    numeric = {COLUMNS.index("dec"), COLUMNS.index("hex")}
    yield from columns([COLUMNS, *map(_row, kernel.offsets.entries)], width, heading=True, right=numeric)
