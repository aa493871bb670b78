"""lpgen install: put the emitted text in place in a kernel's source tree, and take it out again."""

from __future__ import annotations

import click

from lpgen.commands.options import CONTEXT
from lpgen.commands.tree_options import chosen_change, remarks, tree_options
from lpgen.errors import LpgenError
from lpgen.report.files import write_out
from lpgen.tree.install import Undo, check_clean, install, revert, reverted
from lpgen.tree.kept import STATE, has_our_text
from lpgen.tree.source_tree import source_tree
from lpgen.tree.unified import counts, unified

EPILOG = f"""\b
Examples:
  lpgen install --tree linux --dry-run           what would change
  lpgen install --tree linux
  lpgen install --tree linux --config linux/.config
  lpgen install --tree linux --revert            as it was before

The old text is kept as a diff in DIR/{STATE}, which git does not see.
"""


@click.command(epilog=EPILOG, context_settings=CONTEXT)
@click.option("--revert", "undo", is_flag=True, help="Restore what was there before lpgen's text.")
@click.option("--dry-run", is_flag=True, help="Write nothing: show the changes as a diff.")
@click.option(
    "--force",
    is_flag=True,
    help="Install in a git tree that is not clean, for a --kernel of another series, and if symbols go.",
)
@tree_options
def command(
    tree: str,
    undo: bool,
    dry_run: bool,
    force: bool,
    version: str | None,
    config: tuple[str, ...],
    offsets: str | None,
    templates: str | None,
) -> None:
    """Put the text of `lpgen emit --ifdef` in place in a kernel's source tree.

    The version is that of the tree's Makefile; --kernel can name another of its series. Up to 4.11 the text becomes a
    part of entry_64.S; later it replaces a whole file. With --config it is for these options only.
    """
    if undo:
        _refuse_with_revert(force, version, config, offsets, templates)
        _undo(tree, dry_run)
        return
    change, kernel, _ = chosen_change(tree, version, config, offsets, templates, force=force)
    if not force:
        check_clean(change, hint="commit or stash it, or use --force")
    shown = change.tree.shown(change.path)
    diff = change.diff(change.current)
    if dry_run:
        write_out("-", diff)
        return
    if not diff:
        click.echo(f"{shown}: has this text already", err=True)
        return
    replaced = f"; the text before, with changes of others, is kept in {STATE}" if change.changed_by_others() else ""
    install(change)
    added, removed = counts(diff)
    click.echo(
        f"{shown}: installed for {kernel.version}, +{added} -{removed} lines; --revert takes it out again{replaced}",
        err=True,
    )
    for file, remark in remarks(change, kernel):
        click.echo(f"{change.tree.shown(file)}: {remark}", err=True)


def _undo(tree: str, dry_run: bool) -> None:
    where = source_tree(tree)
    found = reverted(where)
    if dry_run:
        write_out("-", "".join(unified(undo.current, undo.before, undo.path) for undo in found))
        return
    revert(where, found)
    for undo in found:
        click.echo(f"{where.shown(undo.path)}: {_told(undo)}", err=True)


def _told(undo: Undo) -> str:
    if undo.kept is None:
        before = "the last install" if has_our_text(undo.before) else "lpgen's text"
        return f"nothing to revert: it is as it was before {before}"
    more = "".join(f"; {kept.place} leads back to another text that was replaced" for kept in undo.more)
    if has_our_text(undo.before):
        return f"as it was before the last install, with a text of lpgen's{more}"
    return f"as it was before lpgen's text{more}"


def _refuse_with_revert(force: bool, version: object, config: object, offsets: object, templates: object) -> None:
    given = {
        "--force": force,
        "--kernel": version is not None,
        "--config": config,
        "--offsets": offsets is not None,
        "--templates": templates is not None,
    }
    for name, is_given in given.items():
        if is_given:
            raise LpgenError(f"--revert takes no {name}", hint="it restores what was there")
