"""lpgen install: put the emitted text in place in a kernel's source tree, and take it out again."""

from __future__ import annotations

from typing import Any

import click

from lpgen import __version__
from lpgen.commands.options import CONTEXT, json_option, print_json
from lpgen.commands.tree_options import chosen_change, command_line, remarks, tree_options
from lpgen.errors import LpgenError
from lpgen.report.files import write_out
from lpgen.report.json_files import notes_json
from lpgen.report.json_head import json_head
from lpgen.report.style import say
from lpgen.tree.install import Undo, check_clean, install, revert, reverted
from lpgen.tree.kept import STATE, has_our_text
from lpgen.tree.source_tree import source_tree
from lpgen.tree.unified import counts, unified

SCHEMA = "lpgen.install/1"

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
@json_option("Print as JSON what was changed, or with --dry-run would be.")
@tree_options
def command(
    tree: str,
    undo: bool,
    dry_run: bool,
    force: bool,
    as_json: bool,
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
        _undo(tree, dry_run, as_json)
        return
    change, kernel, _ = chosen_change(tree, version, config, offsets, templates, force=force)
    if not force:
        check_clean(change, hint="commit or stash it, or use --force")
    shown = change.tree.shown(change.path)
    diff = change.diff(change.current)
    if dry_run and not as_json:
        write_out("-", diff)
        return
    notes = [(change.tree.shown(file), remark) for file, remark in remarks(change, kernel)] if diff else []
    kept = f"the text before, with changes of others, is kept in {STATE}" if diff and change.changed_by_others() else ""
    if diff and not dry_run:
        install(change)
    if as_json:
        words = command_line(kernel, config, templates, force=force, name="install")
        notes = [(shown, kept), *notes] if kept else notes
        files = [_file_json(shown, diff)]
        print_json(json_head(SCHEMA, words, kernel) | _json("install", dry_run, files, notes))
    elif not diff:
        say(f"{shown}: has this text already")
    else:
        added, removed = counts(diff)
        more = f"; {kept}" if kept else ""
        say(f"{shown}: installed for {kernel.version}, +{added} -{removed} lines; --revert takes it out again{more}")
        for file, remark in notes:
            say(f"{file}: {remark}")


def _undo(tree: str, dry_run: bool, as_json: bool) -> None:
    where = source_tree(tree)
    found = reverted(where)
    diffs = {where.shown(undo.path): unified(undo.current, undo.before, undo.path) for undo in found}
    if dry_run and not as_json:
        write_out("-", "".join(diffs.values()))
        return
    if not dry_run:
        revert(where, found)
    told = [(where.shown(undo.path), _told(undo)) for undo in found]
    if as_json:
        files = [_file_json(file, diff) for file, diff in diffs.items()]
        print_json({"schema": SCHEMA, "lpgen": __version__} | _json("revert", dry_run, files, told))
        return
    for file, line in told:
        say(f"{file}: {line}")


def _json(action: str, dry_run: bool, files: list[dict[str, Any]], notes: list[tuple[str, str]]) -> dict[str, Any]:
    return {"action": action, "dry_run": dry_run, "files": files, "notes": notes_json(notes)}


def _file_json(file: str, diff: str) -> dict[str, Any]:
    added, removed = counts(diff)
    return {"file": file, "changed": bool(diff), "added": added, "removed": removed, "diff": diff}


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
