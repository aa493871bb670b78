"""What `verify`, `prove` and `mutate` are about: a kernel's trampolines, handed in or emitted, by the same options."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from lpgen.commands.options import (
    build_options,
    chosen_entries,
    chosen_kernel,
    entry_option,
    kernel_options,
    macros,
    needs_file,
    style_option,
    templates_dir,
    templates_option,
)
from lpgen.errors import LpgenError
from lpgen.kernel.generations import Kernel, settings_of
from lpgen.report.files import read_standard_input
from lpgen.source.packs import Templates

if TYPE_CHECKING:
    from lpgen.assembly import How, Unit


def subject_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the argument FILE and the options that say which trampolines: the command gets them as ``**options``."""
    for option in (build_options, entry_option, templates_option, style_option, kernel_options):
        function = option(function)
    return click.argument("file", metavar="[FILE|-]", required=False)(function)


@dataclass(frozen=True)
class Chosen:
    """What a person chose: the ``kernel``, and FILE or what is emitted in ``style`` from ``templates``."""

    kernel: Kernel
    file: str | None
    style: str
    templates: Templates | None
    options: dict[str, Any]

    @classmethod
    def of(cls, file: str | None, options: dict[str, Any]) -> Chosen:
        """Return what the options of ``subject_options`` choose. Raises LpgenError for what excludes itself."""
        style, templates = options["style"], options["templates"]
        if file is not None and templates is not None:
            raise LpgenError("FILE and --templates exclude each other", hint="leave one out")
        if file is not None and style != "kernel":
            raise LpgenError("--style is for what lpgen emits", hint="leave it out: a FILE of either style will do")
        kernel = chosen_kernel(
            options["version"], options["config"], options["offsets"], options["vmlinux"], options["build"], file
        )
        directory = templates_dir(templates)
        chosen = cls(kernel, file, style, directory, options)
        chosen.entries()
        own = {"--cpp": options["cpp"], "-I": options["include_dirs"], "-D": options["defines"]}
        needs_file(file, {"--assembler": options["assembler"] != "auto", **own})
        return chosen

    def entries(self) -> dict[str, str]:
        """Return what --entry says."""
        return chosen_entries(self.options["entry"], self.file)

    def how(self) -> How:
        """Return how a FILE of text is assembled."""
        from lpgen.assembly import How

        given = self.options
        return How(given["assembler"], given["cpp"], given["include_dirs"], macros(given["defines"]))

    def unit(self) -> Unit:
        """Return the trampolines. Raises LpgenError."""
        from lpgen import api

        piped = self.file == "-"
        return api.trampolines(
            self.kernel,
            style=self.style,
            templates=self.templates,
            source=None if piped else self.file,
            text=read_standard_input(api.STDIN) if piped else None,
            entries=self.entries(),
            how=self.how(),
        )

    def command(self, unit: Unit, seed: int = 0, *, name: str = "verify") -> str:
        """Return the command line of `lpgen verify`, or of another command, that is about the same trampolines."""
        from lpgen import api

        given = self.options
        return api.command_line(
            given["version"],
            settings_of(self.kernel),
            given["offsets"],
            self.style,
            given["templates"],
            self.file,
            seed,
            self.entries(),
            self.how(),
            vmlinux=given["vmlinux"],
            build=given["build"],
            itself=unit.fixed is not None,
            name=name,
        )
