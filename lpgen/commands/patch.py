"""lpgen patch: the change of `lpgen install` as a patch for git am."""

from __future__ import annotations

import click

from lpgen import __version__
from lpgen.commands.options import CONTEXT, json_option, print_json, templates_dir
from lpgen.commands.tree_options import chosen_change, command_line, remarks, tree_options
from lpgen.errors import LpgenError, Place
from lpgen.report.files import STDOUT, write_out
from lpgen.report.json_files import check_out, notes_json
from lpgen.report.json_head import json_head
from lpgen.report.style import say
from lpgen.source.emit import banner
from lpgen.tree.git import author as git_author
from lpgen.tree.install import for_git_am
from lpgen.tree.mbox import parse_author, patch_text
from lpgen.tree.unified import counts

SCHEMA = "lpgen.patch/1"

EPILOG = """\b
Examples:
  lpgen patch --tree linux --out lpgen.patch
  lpgen patch --tree linux --author 'A. Person <person@example.org>' | git -C linux am
"""


@click.command(epilog=EPILOG, context_settings=CONTEXT)
@click.option("--out", metavar="FILE", default="-", help="Where to write.  [default: standard output]")
@click.option("--author", metavar="'NAME <ADDRESS>'", help="From whom.  [default: user.name, user.email of git]")
@click.option("--force", is_flag=True, help="For a --kernel of another series, and if symbols go.")
@json_option("Print as JSON what was written.")
@tree_options
def command(
    tree: str,
    out: str,
    author: str | None,
    force: bool,
    as_json: bool,
    version: str | None,
    config: tuple[str, ...],
    offsets: str | None,
    templates: str | None,
) -> None:
    """Write what `lpgen install` would change as a patch for git am.

    The tree is only read. The patch has no date: the same tree and options give the same bytes.
    """
    if as_json:
        check_out(out)
    person = None if author is None else parse_author(author)
    planned, kernel, text = chosen_change(tree, version, config, offsets, templates, force=force)
    change, git = for_git_am(planned, kernel, text, fixed=bool(config), force=force)
    prefix = "" if git is None else git.prefix
    diff = change.diff(prefix=prefix)
    if not diff:
        raise LpgenError(
            "has this text already", place=change.tree.place(change.path), hint="there is nothing to patch"
        )
    if person is None:
        person = git_author(change.tree.root)
    if person is None:
        raise LpgenError(
            "git knows no user.name and user.email here", place=Place(tree), hint="use --author 'Name <address>'"
        )
    made = banner(kernel, templates_dir=templates_dir(templates), ifdef=not config).partition(": ")[2]
    notes = remarks(change, kernel)
    said = "".join(f"{file}:\n{remark}.\n\n" for file, remark in notes)
    command = command_line(kernel, config, templates, force=force)
    body = (
        f"{change.path} gets the text of\n\n  {made}\n\n{said}"
        f"The patch is what lpgen {__version__} writes with\n\n  {command}\n"
    )
    subject = "powerpc/ftrace: lpgen's ftrace and livepatch trampolines"
    write_out(out, patch_text(diff, prefix + change.path, author=person, subject=subject, body=body))
    added, removed = counts(diff)
    if as_json:
        about = {"file": out, "path": prefix + change.path, "added": added, "removed": removed}
        about |= {"author": f"{person[0]} <{person[1]}>", "subject": subject, "notes": notes_json(notes)}
        print_json(json_head(SCHEMA, command, kernel) | about)
    elif out not in STDOUT:
        say(f"{out}: {prefix + change.path}, +{added} -{removed} lines")
