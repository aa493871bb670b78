"""lpgen patch: the change of `lpgen install` as a patch for git am."""

from __future__ import annotations

import click

from lpgen import __version__
from lpgen.commands.options import CONTEXT, templates_dir
from lpgen.commands.tree_options import chosen_change, command_line, remarks, tree_options
from lpgen.errors import LpgenError, Place
from lpgen.report.files import STDOUT, write_out
from lpgen.source.emit import banner
from lpgen.tree.git import author as git_author
from lpgen.tree.install import for_git_am
from lpgen.tree.mbox import parse_author, patch_text
from lpgen.tree.unified import counts

EPILOG = """\b
Examples:
  lpgen patch --tree linux --out lpgen.patch
  lpgen patch --tree linux --author 'A. Person <person@example.org>' | git -C linux am
"""


@click.command(epilog=EPILOG, context_settings=CONTEXT)
@click.option("--out", metavar="FILE", default="-", help="Where to write.  [default: standard output]")
@click.option("--author", metavar="'NAME <ADDRESS>'", help="From whom.  [default: user.name, user.email of git]")
@click.option("--force", is_flag=True, help="For a --kernel of another series, and if symbols go.")
@tree_options
def command(
    tree: str,
    out: str,
    author: str | None,
    force: bool,
    version: str | None,
    config: tuple[str, ...],
    offsets: str | None,
    templates: str | None,
) -> None:
    """Write what `lpgen install` would change as a patch for git am.

    The tree is only read. The patch has no date: the same tree and options give the same bytes.
    """
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
    notes = "".join(f"{file}:\n{remark}.\n\n" for file, remark in remarks(change, kernel))
    command = command_line(kernel, config, templates, force=force)
    body = (
        f"{change.path} gets the text of\n\n  {made}\n\n{notes}"
        f"The patch is what lpgen {__version__} writes with\n\n  {command}\n"
    )
    subject = "powerpc/ftrace: lpgen's ftrace and livepatch trampolines"
    write_out(out, patch_text(diff, prefix + change.path, author=person, subject=subject, body=body))
    if out not in STDOUT:
        added, removed = counts(diff)
        click.echo(f"{out}: {prefix + change.path}, +{added} -{removed} lines", err=True)
