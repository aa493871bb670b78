"""The diffs that lead back from what lpgen installed, in the tree's own directory for them.

One for each pair of contents: nothing that is kept is overwritten. A diff goes when its text was taken out; in a git
repository none goes, for another branch or a stash may have the text.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from lpgen.errors import LpgenError
from lpgen.report.files import read_text
from lpgen.tree.git import repository
from lpgen.tree.source_tree import SourceTree
from lpgen.tree.unified import Kept, blob_id, read_kept

# In the tree's top. It ignores itself: the kept diffs make no tree dirty.
STATE = ".lpgen"
_OURS = re.compile(r"^(?:/\* lpgen begins\b| \* lpgen [^\s:]+: lpgen emit\b)", re.MULTILINE)


def has_our_text(text: str) -> bool:
    """Say whether a file has a text of lpgen's, as far as marks and banner tell."""
    return _OURS.search(text) is not None


def name_of(path: str, old: str, new: str) -> str:
    """Return the name of the diff from the content ``old`` to ``new``: it is found by the file as it is."""
    return f"{PurePosixPath(path).name}-{blob_id(new)[:16]}-{blob_id(old)[:16]}.diff"


def state(tree: SourceTree, name: str) -> Path:
    """Return a path in the directory of the kept diffs. Raises LpgenError for a symbolic link in it."""
    for path in (STATE, f"{STATE}/{name}"):
        if (tree.root / path).is_symlink():
            raise LpgenError("is a symbolic link", place=tree.place(path), hint="remove it")
    return tree.root / STATE / name


def all_kept(tree: SourceTree, pattern: str = "*.diff") -> Iterator[Kept]:
    """Yield the kept diffs. Raises LpgenError for what is none."""
    for file in sorted((tree.root / STATE).glob(pattern)):
        yield _read(tree, file.name)


def ways_back(tree: SourceTree, path: str, current: str) -> list[Kept]:
    """Return the diffs that lead back from the file's content ``current``."""
    pattern = f"{PurePosixPath(path).name}-{blob_id(current)[:16]}*.diff"
    return [kept for kept in all_kept(tree, pattern) if (kept.path, kept.new) == (path, blob_id(current))]


def chosen_way(tree: SourceTree, path: str, current: str, ways: Iterable[Kept]) -> Kept | None:
    """Return the one of ``ways`` that leads to before lpgen's text, None when that cannot be told.

    Where there are several: the one that leads to a text without lpgen's, or to what is committed.
    """
    found = list(ways)
    if len(found) == 1:
        return found[0]
    before = [(kept, kept.undone(current)) for kept in found]
    plain = [(kept, text) for kept, text in before if not has_our_text(text)]
    if len(plain) == 1:
        return plain[0][0]
    with contextlib.suppress(LpgenError):
        git = repository(tree.root, tree.named, path)
        raw = git.committed(path) if git is not None else None
        return next((kept for kept, text in plain if text.encode() == raw), None)
    return None


def stays(tree: SourceTree) -> bool:
    """Say whether a diff stays when its text was taken out: in a git repository."""
    return any((where / ".git").exists() for where in (tree.root, *tree.root.parents))


def as_named(error: LpgenError, tree: SourceTree) -> LpgenError:
    """Return the error with the file as the person named the tree."""
    if error.place is None or not Path(error.place.file).is_relative_to(tree.root):
        return error
    return LpgenError(
        error.reason, place=tree.place(Path(error.place.file).relative_to(tree.root).as_posix()), hint=error.hint
    )


def _read(tree: SourceTree, name: str) -> Kept:
    file, place = state(tree, name), tree.place(f"{STATE}/{name}")
    if not file.is_file():
        raise LpgenError("is not a regular file", place=place, hint="remove it")
    try:
        return read_kept(read_text(file), file, place)
    except LpgenError as error:
        raise as_named(error, tree) from error
