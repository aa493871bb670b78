"""lpgen assemble: ppc64le assembly text to bytes, hex, a listing, JSON or an object."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import click

from lpgen import __version__
from lpgen.assembly import Section, Unit, assemble, write_object
from lpgen.assembly.linker import flat
from lpgen.assembly.read_object import read_object
from lpgen.commands.options import CONTEXT, chosen_format, chosen_kernel, json_option, kernel_options, macros
from lpgen.elf.file import ElfFile, is_elf, open_elf
from lpgen.errors import LpgenError
from lpgen.kernel.generations import Kernel
from lpgen.report.files import STDOUT, read_standard_input, read_text, write_out
from lpgen.report.style import HEADING, WARNING, Text, plain, say, shown

SCHEMA = "lpgen.assemble/1"
# As documents had it before they had a schema.
JSON_VERSION = 1
STDIN = "<stdin>"

EPILOG = """\b
Formats:
  listing  address, word, statement, source line and, for what `lpgen emit` wrote, template line
  hex      .text only, one word of 8 digits a line
  bin      .text only, raw bytes
  obj      relocatable ELF64, ELFv2
  json     sections, words, symbols, relocations and lines
hex and bin have branches within .text resolved; a relocation that needs an address
stays zero and is named on stderr.
\b
Examples:
  lpgen assemble out/entry_64.S
  lpgen assemble ftrace_entry.o                  an object, disassembled
  lpgen assemble entry.S --format obj --out entry.o -D CONFIG_LIVEPATCH -I include
  lpgen emit --out - | lpgen assemble - --format hex
"""


@click.command(epilog=EPILOG, context_settings=CONTEXT)
@click.argument("file", metavar="FILE|-")
@click.option(
    "--format",
    "form",
    type=click.Choice(["listing", "hex", "bin", "obj", "json"]),
    help="What to write.  [default: listing]",
)
@json_option("The same as --format json.")
@click.option("--out", metavar="FILE", help="Where to write; - is standard output.  [default: -]")
@click.option("-D", "defines", metavar="NAME[=VALUE]", multiple=True, help="Define a C macro; may be repeated.")
@click.option("-I", "include_dirs", metavar="DIR", multiple=True, help="Search DIR for #include; may be repeated.")
@kernel_options
def command(
    file: str,
    form: str | None,
    as_json: bool,
    out: str | None,
    defines: tuple[str, ...],
    include_dirs: tuple[str, ...],
    version: str | None,
    config: tuple[str, ...],
    offsets: str | None,
    vmlinux: str | None,
    build: str | None,
) -> None:
    """Assemble ppc64le text, in the kernel's style or for plain GNU as.

    asm/asm-offsets.h and the CONFIG_ macros are those of --kernel, --config and --offsets, --vmlinux or --build.
    """
    form = chosen_format(form, as_json, "listing")
    if out is None and form in ("bin", "obj") and sys.stdout.isatty():
        raise LpgenError(f"--format {form} would write binary to the terminal", hint="add --out FILE, or --out -")
    given = _read(file)
    if isinstance(given, str):
        unit = _assemble(given, file, defines, include_dirs, chosen_kernel(version, config, offsets, vmlinux, build))
    else:
        if form == "obj":
            raise LpgenError(f"{file} is an object already", hint="choose another --format")
        for option, value in (("-I", include_dirs), ("-D", defines)):
            if value:
                raise LpgenError(f"{file} is an object: {option} is for text")
        unit = given
    data: str | bytes
    if form == "obj":
        data = write_object(unit)
    elif form == "json":
        data = json.dumps(_json(unit), indent=1) + "\n"
    elif form == "listing":
        lines = _listing(unit)
        data = shown(lines) if out is None or out in STDOUT else plain(lines)
    else:
        raw, left = flat(unit)
        for relocation in left:
            target = f"{relocation.symbol}{relocation.addend:+d}" if relocation.addend else relocation.symbol
            say(f"{relocation.place}: left unresolved: {relocation.type} {target}", WARNING)
        words = (raw[at : at + 4] for at in range(0, len(raw), 4))
        # .text may end in data that is no whole word; a short last word has fewer digits.
        data = raw if form == "bin" else "".join(f"{word[::-1].hex()}\n" for word in words)
    write_out(out or "-", data)


def _read(file: str) -> str | Unit:
    """Return the text of FILE, or what it is when it is an object."""
    if file != "-":
        if not is_elf(Path(file)):
            return read_text(Path(file))
        with open_elf(Path(file)) as elf:
            return read_object(elf)
    given = read_standard_input(STDIN)
    return given if isinstance(given, str) else read_object(ElfFile(BytesIO(given), STDIN))


def _assemble(
    text: str,
    file: str,
    defines: tuple[str, ...],
    include_dirs: tuple[str, ...],
    kernel: Kernel,
) -> Unit:
    from lpgen.assembly.kernel_text import defines as kernel_defines
    from lpgen.assembly.kernel_text import headers
    from lpgen.source.origin import template_lines

    for folder in include_dirs:
        if not Path(folder).is_dir():
            raise LpgenError(f"-I {folder}: is no directory")
    return assemble(
        text,
        name=STDIN if file == "-" else file,
        headers=headers(kernel),
        include_dirs=[Path(folder) for folder in include_dirs],
        defines=kernel_defines(kernel, macros(defines)),
        origins=template_lines(text, kernel=kernel),
    )


def _listing(unit: Unit) -> Iterator[Text]:
    for section in unit.sections.values():
        if not section.size:
            continue
        title = f"section {section.name} {section.flags} align {section.align} size {section.size}"
        yield Text(title, HEADING)
        labels: dict[int, list[str]] = {}
        for symbol in unit.symbols.values():
            if symbol.section == section.name:
                labels.setdefault(symbol.value, []).append(symbol.name)
        relocations = {relocation.offset: relocation for relocation in section.relocations}
        lines = {line.offset: line for line in section.lines}
        width = max((len(line.text) for line in section.lines), default=0)
        at = 0
        while at < section.size:
            yield from (Text(f"{name}:") for name in labels.get(at, ()))
            line = lines.get(at)
            if line is None:
                size = _data_size(section, at, lines, labels)
                data = "" if section.kind == "nobits" else section.data[at : at + size].hex(" ", 4)
                row = f"{at:6x}  {data}"
            else:
                size = line.size
                row = f"{at:6x}  {_word(section, at):08x}  {line.text:{width}}  {line.place}"
                if line.template is not None:
                    row += f"  {line.template}"
            found = [relocations[offset] for offset in range(at, at + size) if offset in relocations]
            yield Text(row)
            for entry in found:
                yield Text(f"{'':8}{entry.type} {entry.symbol}{f'{entry.addend:+#x}' if entry.addend else ''}")
            at += size
        yield Text()


def _data_size(section: Section, at: int, lines: dict[int, Any], labels: dict[int, list[str]]) -> int:
    """Return how many bytes of data to show in one row: up to 16, or all of a nobits section's gap."""
    limit = section.size - at if section.kind == "nobits" else min(16, section.size - at)
    for size in range(1, limit):
        if at + size in lines or at + size in labels:
            return size
    return limit


def _word(section: Section, at: int) -> int:
    return int.from_bytes(section.data[at : at + 4], "little")


def _json(unit: Unit) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "lpgen": __version__,
        "version": JSON_VERSION,
        "name": unit.name,
        "sections": [_json_section(section) for section in unit.sections.values()],
        "symbols": [
            {
                "name": s.name,
                "section": s.section,
                "value": s.value,
                "binding": s.binding,
                "type": s.type,
                "size": s.size,
                "other": s.other,
            }
            for s in unit.symbols.values()
        ],
    }


def _json_section(section: Section) -> dict[str, Any]:
    out: dict[str, Any] = {
        "name": section.name,
        "flags": section.flags,
        "kind": section.kind,
        "align": section.align,
        "size": section.size,
        "data": section.data.hex(),
        "relocations": [
            {"offset": r.offset, "type": r.type, "symbol": r.symbol, "addend": r.addend, "place": str(r.place)}
            for r in section.relocations
        ],
        "lines": [
            {
                "offset": line.offset,
                "word": f"{_word(section, line.offset):08x}",
                "text": line.text,
                "place": str(line.place),
                "template": None if line.template is None else str(line.template),
            }
            for line in section.lines
        ],
    }
    return out
