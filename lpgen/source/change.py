"""The rest of the kernel change: every file but the assembly."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby

from lpgen.errors import LpgenError
from lpgen.kernel.generations import Kernel, defined_offsets
from lpgen.kernel.names import known_names
from lpgen.kernel.offsets import Offset, default_offsets
from lpgen.source.packs import Templates
from lpgen.source.render import render


@dataclass(frozen=True, slots=True)
class Group:
    """Entries of asm-offsets.c under one ``#ifdef option`` (empty: under none)."""

    option: str
    offsets: tuple[Offset, ...]


def offsets_header(kernel: Kernel, *, banner: str, templates_dir: Templates | None = None) -> str:
    """Return asm-offsets.h: the constants that the build of ``kernel`` defines, as C.

    ``banner`` is one line, the first comment. Raises LpgenError for a template's fault.
    """
    return render("asm-offsets.h.j2", _context(kernel, banner), templates_dir=templates_dir).text


def change_files(kernel: Kernel, *, banner: str, templates_dir: Templates | None = None) -> dict[str, str]:
    """Return what the kernel change consists of besides the assembly: name of the file to its text.

    Which files is the kernel's: asm-offsets.h are the generated constants, asm-offsets.c the entries that generate them
    in a kernel build, and Kconfig and livepatch.h came with the change that brought livepatch. ``banner`` is one line,
    the first comment of each. ``templates_dir`` is searched before the shipped templates. Raises LpgenError for a
    template's fault.
    """
    context = _context(kernel, banner)
    return {name: render(f"{name}.j2", context, templates_dir=templates_dir).text for name in kernel.change_files}


def _context(kernel: Kernel, banner: str) -> dict[str, object]:
    if not banner.isprintable() or "*/" in banner:
        raise LpgenError(f"{banner!r} cannot stand in a comment", hint="a banner is one line of plain text, without */")
    return {
        "banner": banner,
        "kernel": kernel,
        "features": kernel.features,
        "options": kernel.options,
        "offsets": defined_offsets(kernel).entries,
        "offsets_label": kernel.offsets.label,
        "livepatch_sp": _source_entry(kernel, "TI_livepatch_sp"),
        "new_groups": _groups(kernel, (_source_entry(kernel, name) for name in kernel.new_offsets)),
        "old_groups": _groups(
            kernel, (entry for entry in kernel.offsets.entries if entry.name not in kernel.new_offsets)
        ),
    }


def _source_entry(kernel: Kernel, name: str) -> Offset:
    """Return the entry of ``name`` for the source of the change, which is the same whatever the configuration.

    The asm-offsets.h of a kernel without livepatch does not have it: then it is lpgen's own fact.
    """
    known = kernel.offsets if name in kernel.offsets else default_offsets(kernel.layout, kernel.version)
    return known.offset(name)


def _groups(kernel: Kernel, entries: Iterable[Offset]) -> list[Group]:
    names = known_names()

    def option(entry: Offset) -> str:
        return kernel.option_of(names[entry.name].option)

    return [Group(name, tuple(group)) for name, group in groupby(entries, key=option)]
