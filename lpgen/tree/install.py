"""Installing the emitted text in a kernel tree, and undoing that."""

from __future__ import annotations

import contextlib
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from lpgen.errors import LpgenError, Place
from lpgen.kernel.generations import Kernel, kernel_files, symbols_of
from lpgen.report.files import make_directory, write_all_atomic
from lpgen.tree.git import Git, GitMissingError, repository
from lpgen.tree.kept import STATE, all_kept, as_named, chosen_way, has_our_text, name_of, state, stays, ways_back
from lpgen.tree.source_tree import SourceTree
from lpgen.tree.splice import splice
from lpgen.tree.unified import Kept, blob_id, unified
from lpgen.tree.whole import check_symbols

_NAMED = 5


@dataclass(frozen=True, slots=True)
class Change:
    """What installing does to one file of a tree.

    ``path`` is the file's in the tree. ``current`` is its text now; ``old`` the text without lpgen's earlier doing, as
    far as lpgen kept it (``kept``); ``new`` the text with lpgen's. ``untouched``: now it is as lpgen installed it.
    """

    tree: SourceTree
    path: str
    current: str
    old: str
    new: str
    kept: Kept | None
    executable: bool
    untouched: bool = False

    def changed_by_others(self) -> bool:
        """Say whether the file has a text that lpgen installed, and changes of others in it."""
        if self.untouched or not has_our_text(self.current):
            return False
        return any(kept.path == self.path for kept in all_kept(self.tree, f"{Path(self.path).name}-*.diff"))

    def diff(self, old: str | None = None, prefix: str = "") -> str:
        """Return what turns ``old`` (None: what it was before lpgen) into the new text."""
        before = self.old if old is None else old
        return unified(before, self.new, prefix + self.path, executable=self.executable)


def planned(tree: SourceTree, kernel: Kernel, text: str, *, fixed: bool, force: bool = False) -> Change:
    """Return what putting the emitted ``text`` in place would change; nothing is written.

    ``fixed``: the text is for the options of ``kernel`` only; ``force``: symbols of a whole file may go. Raises
    LpgenError when the tree lacks the file, or the file leaves no safe way.
    """
    path = tree.target(kernel.file, kernel_files())
    current = tree.read(path)
    ways = ways_back(tree, path, current)
    kept = chosen_way(tree, path, current, ways)
    old = current if kept is None else kept.undone(current)
    executable = bool((tree.root / path).stat().st_mode & stat.S_IXUSR)
    new = put(old, kernel, text, file=tree.shown(path), fixed=fixed, force=force)
    return Change(tree, path, current, old, new, kept, executable, untouched=bool(ways))


def put(old: str, kernel: Kernel, text: str, *, file: str, fixed: bool, force: bool) -> str:
    """Return the kernel's file ``old`` with the emitted ``text`` in place. Raises LpgenError when it has no place."""
    if "\r" in text:
        raise LpgenError("the emitted text has a carriage return", hint="save your templates with line feeds alone")
    if not kernel.section:
        if not force:
            check_symbols(old, text, kernel, file=file)
        return text
    options = kernel.options if fixed else None
    return splice(old, text, file=file, known=symbols_of(kernel.version), options=options)


def check_clean(change: Change, *, hint: str) -> None:
    """Raise LpgenError when the tree is a git repository with something that is not committed.

    What lpgen itself installed, and nobody changed since, does not count.
    """
    git = repository(change.tree.root, change.tree.named, change.path)
    if git is None:
        return
    own = {git.prefix + change.path} if change.untouched else set()
    dirty = [name for name in git.dirty(change.path) if name not in own]
    if dirty:
        more = f" and {len(dirty) - _NAMED} more" if len(dirty) > _NAMED else ""
        names = ", ".join(name if name.isprintable() else repr(name) for name in dirty[:_NAMED])
        raise LpgenError(f"the tree is not clean: {names}{more}", place=Place(change.tree.named), hint=hint)


def install(change: Change) -> None:
    """Write the file and keep the way back. Raises LpgenError when that cannot be done; nothing is changed then."""
    tree = change.tree
    diff = change.diff()
    files: dict[Path, str | bytes] = {}
    where = tree.root / STATE
    if diff:
        files[state(tree, ".gitignore")] = "*\n"
        # Before the file: whenever the run ends, what is in the tree has its way back.
        files[state(tree, name_of(change.path, change.old, change.new))] = diff
    fresh = [path for path in (where, *files) if not path.exists()]
    files[tree.root / tree.resolved(change.path)] = change.new
    try:
        if diff:
            make_directory(where)
        write_all_atomic(files)
    except LpgenError as error:
        for path in reversed(fresh):
            with contextlib.suppress(OSError):
                path.rmdir() if path == where else path.unlink()
        raise as_named(error, tree) from error
    if change.kept is not None and change.kept.new != blob_id(change.new) and not stays(tree):
        change.kept.file.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class Undo:
    """What --revert does to a file: its text ``current`` becomes ``before``, by ``kept`` (None: nothing is to be done).

    ``more`` are diffs that lead back from the same text to others.
    """

    path: str
    current: str
    before: str
    kept: Kept | None
    more: tuple[Kept, ...] = ()


def reverted(tree: SourceTree) -> list[Undo]:
    """Return what --revert does to each file that lpgen installed something in; nothing is written.

    Raises LpgenError when lpgen installed nothing, all that it installed was changed since, or a way back is not sure.
    """
    kept: dict[str, list[Kept]] = {}
    for entry in all_kept(tree):
        path = tree.resolved(entry.path) if ".." not in entry.path else ""
        if path != entry.path:
            raise LpgenError(f"is for {entry.path}, no file of this tree", place=entry.place, hint="remove it")
        kept.setdefault(path, []).append(entry)
    if not kept:
        raise LpgenError("lpgen has installed nothing in this tree", place=Place(tree.named))
    found, refused = [], []
    # Of another branch's kernel: no matter, if there is one of this.
    there = {path: entries for path, entries in kept.items() if (tree.root / path).exists()}
    for path, entries in (there or kept).items():
        try:
            found.append(_undo(tree, path, entries))
        except LpgenError as error:
            refused.append(error)
    if not any(undo.kept for undo in found) and refused:
        raise refused[-1]
    return found


def _undo(tree: SourceTree, path: str, entries: list[Kept]) -> Undo:
    place = tree.place(path)
    if not (tree.root / path).exists():
        raise LpgenError("is not there", place=place, hint=f"lpgen's change of it is kept in {entries[-1].place}")
    current = tree.read(path)
    ways = [entry for entry in entries if entry.new == blob_id(current)]
    if ways:
        way = chosen_way(tree, path, current, ways)
        if way is None:
            names = ", ".join(str(entry.place) for entry in ways)
            raise LpgenError(
                f"lpgen's text took the place of {len(ways)} different texts",
                place=place,
                hint=f"undo one of {names} with patch -R -p1",
            )
        return Undo(path, current, way.undone(current), way, tuple(entry for entry in ways if entry is not way))
    if not has_our_text(current):
        if any(entry.old == blob_id(current) for entry in entries):
            return Undo(path, current, current, None)
        raise LpgenError("has no text that lpgen installed", place=place, hint=f"what it did is kept in {STATE}")
    # One that led away from this very text tells nothing of how it came.
    others = [entry for entry in entries if entry.old != blob_id(current)]
    if not others:
        return Undo(path, current, current, None)
    latest = max(others, key=lambda entry: entry.file.stat().st_mtime_ns)
    raise LpgenError(
        "was changed since lpgen installed it",
        place=place,
        hint=f"lpgen's change is kept in {latest.place}, for patch -R -p1",
    )


def revert(tree: SourceTree, found: Iterable[Undo]) -> None:
    """Write the files as they were, and forget the diffs. Raises LpgenError when a file cannot be written."""
    undone = [undo for undo in found if undo.kept is not None]
    try:
        write_all_atomic({tree.root / tree.resolved(undo.path): undo.before for undo in undone})
    except LpgenError as error:
        raise as_named(error, tree) from error
    if stays(tree):
        return
    for undo in undone:
        if undo.kept is not None:
            undo.kept.file.unlink(missing_ok=True)
    where = tree.root / STATE
    if not any(where.glob("*.diff")):
        with contextlib.suppress(OSError):
            state(tree, ".gitignore").unlink(missing_ok=True)
            where.rmdir()


def for_git_am(change: Change, kernel: Kernel, text: str, *, fixed: bool, force: bool) -> tuple[Change, Git | None]:
    """Return the change from what is committed, and the repository (None: the tree is none).

    Raises LpgenError when the file differs from the committed one by more than lpgen's own doing: `git am` would fail.
    """
    try:
        git = repository(change.tree.root, change.tree.named, change.path)
    except GitMissingError:
        git = None
    if git is None:
        return change, None
    if not git.is_tracked(change.path):
        raise LpgenError(
            "is not in git's index: git am would refuse the patch",
            place=change.tree.place(change.path),
            hint="git add and commit it, or restore it",
        )
    raw = git.committed(change.path)
    for old in (change.current, change.old):
        if raw == old.encode():
            new = put(old, kernel, text, file=change.tree.shown(change.path), fixed=fixed, force=force)
            return Change(change.tree, change.path, change.current, old, new, change.kept, change.executable), git
    raise LpgenError(
        "differs from what is committed: git am would refuse the patch" if raw is not None else "is not committed",
        place=change.tree.place(change.path),
        hint="commit the file, or restore it",
    )
