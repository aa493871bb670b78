"""What `lpgen install` and `lpgen patch` share: their options, and the change that both make."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from typing import Any

import click

from lpgen.commands.options import chosen_kernel, templates_dir, templates_option, text_options
from lpgen.kernel.generations import Kernel, settings_of
from lpgen.kernel.options import setting_text
from lpgen.source.emit import emit_source
from lpgen.source.packs import name_of
from lpgen.tree.install import Change, planned
from lpgen.tree.source_tree import source_tree
from lpgen.tree.whole import serves_others


def tree_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add --tree, and the options that say which text: those of emit."""
    function = templates_option(function)
    version = click.option("--kernel", "version", help="Kernel version.  [default: that of the tree]")
    function = text_options(function, version)
    return click.option(
        "--tree", metavar="DIR", required=True, help="The kernel's source tree: a git repository, or unpacked."
    )(function)


def chosen_change(
    tree: str,
    version: str | None,
    config: tuple[str, ...],
    offsets: str | None,
    templates: str | None,
    *,
    force: bool,
) -> tuple[Change, Kernel, str]:
    """Return what installing would change, for which kernel, and the emitted text. Raises LpgenError for bad input."""
    where = source_tree(tree)
    kernel = chosen_kernel(where.chosen_version(version, force=force), config, offsets)
    text = emit_source(kernel, templates_dir=templates_dir(templates), ifdef=not config).text
    return planned(where, kernel, text, fixed=bool(config), force=force), kernel, text


def remarks(change: Change, kernel: Kernel) -> list[tuple[str, str]]:
    """Return what a person should know of the text in this tree: of which of its files, and a line."""
    found = []
    candidate = change.tree.candidate()
    if candidate and kernel.version == change.tree.version():
        found.append(("Makefile", f"{candidate} counts as {kernel.version}"))
    if serves_others(kernel):
        found.append((change.path, "for ppc64le: the tree builds no ppc32 or big-endian kernel with ftrace any more"))
    return found


def command_line(
    kernel: Kernel, config: tuple[str, ...], templates: str | None, *, force: bool, name: str = "patch"
) -> str:
    """Return the `lpgen patch`, or ``name``, that does the same in the tree's top; names only, no directories."""
    words = ["lpgen", name, "--tree", ".", "--kernel", kernel.version]
    if config:
        # Every option: without any the text would be for all settings.
        settings = kernel.options | settings_of(kernel)
        for option, value in settings.items():
            words += ["--config", setting_text(option, value)]
    if kernel.offsets_file is not None:
        words += ["--offsets", kernel.offsets_file]
    directory = templates_dir(templates)
    if directory is not None:
        words += ["--templates", name_of(directory)]
    if force:
        words.append("--force")
    return shlex.join(words)
