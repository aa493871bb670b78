"""Installing the emitted text in a kernel tree, and undoing that."""

from __future__ import annotations

import contextlib
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from lpgen.errors import LpgenError, Place
from lpgen.kernel.generations import Kernel, kernel_files, symbols_of
from lpgen.report.files import make_directory, read_text, write_all_atomic
from lpgen.tree.git import Git, GitMissingError, repository
from lpgen.tree.source_tree import SourceTree
from lpgen.tree.splice import splice
from lpgen.tree.unified import Kept, blob_id, read_kept, unified

# In the tree's top. It ignores itself: the kept diffs make no tree dirty.
STATE = ".lpgen"
_NAMED = 5


@dataclass(frozen=True, slots=True)
class Change:
    """What installing does to one file of a tree.

    ``path`` is the file's in the tree. ``current`` is its text now; ``old`` the text without lpgen's earlier doing, as
    far as lpgen kept it (``kept``); ``new`` the text with lpgen's.
    """

    tree: SourceTree
    path: str
    current: str
    old: str
    new: str
    kept: Kept | None
    executable: bool

    def diff(self, old: str | None = None, prefix: str = "") -> str:
        """Return what turns ``old`` (None: what it was before lpgen) into the new text."""
        before = self.old if old is None else old
        return unified(before, self.new, prefix + self.path, executable=self.executable)


def planned(tree: SourceTree, kernel: Kernel, text: str, *, fixed: bool) -> Change:
    """Return what putting the emitted ``text`` in place would change; nothing is written.

    ``fixed``: the text is for the options of ``kernel`` only. Raises LpgenError when the tree lacks the file, or the
    file leaves no safe way.
    """
    path = tree.target(kernel.file, kernel_files())
    current = tree.read(path)
    kept = _kept_for(tree, path, current)
    old = current if kept is None else kept.undone(current)
    executable = bool((tree.root / path).stat().st_mode & stat.S_IXUSR)
    return Change(
        tree, path, current, old, put(old, kernel, text, file=tree.shown(path), fixed=fixed), kept, executable
    )


def put(old: str, kernel: Kernel, text: str, *, file: str, fixed: bool) -> str:
    """Return the kernel's file ``old`` with the emitted ``text`` in place. Raises LpgenError when it has no place."""
    if "\r" in text:
        raise LpgenError("the emitted text has a carriage return", hint="save your templates with line feeds alone")
    if not kernel.section:
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
    own = {git.prefix + change.path} if change.kept is not None else set()
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
        files[_state(tree, ".gitignore")] = "*\n"
        # Before the file: whenever the run ends, what is in the tree has its way back.
        files[_state(tree, _name(change.path, change.new))] = diff
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
        raise _as_named(error, tree) from error
    if change.kept is not None and change.kept.new != blob_id(change.new):
        change.kept.file.unlink(missing_ok=True)


def reverted(tree: SourceTree) -> list[tuple[Kept, str, str]]:
    """Return the kept diffs of what is installed, each with the file's text now and before; nothing is written.

    Raises LpgenError when lpgen installed nothing, or all that it installed was changed since.
    """
    kept = list(_all_kept(tree))
    if not kept:
        raise LpgenError("lpgen has installed nothing in this tree", place=Place(tree.named))
    found, changed = [], []
    for entry in kept:
        path = tree.resolved(entry.path) if ".." not in entry.path else ""
        if path != entry.path:
            raise LpgenError(f"is for {entry.path}, no file of this tree", place=entry.place, hint="remove it")
        current = tree.read(path) if (tree.root / path).exists() else None
        if current is not None and blob_id(current) == entry.new:
            found.append((entry, current, entry.undone(current)))
        elif current is not None and blob_id(current) == entry.old:
            found.append((entry, current, current))  # restored by other means: only the diff is left
        else:
            changed.append(entry)
    if not found:
        raise LpgenError(
            "was changed since lpgen installed it",
            place=tree.place(changed[-1].path),
            hint=f"lpgen's change is kept in {changed[-1].place}, for patch -R -p1",
        )
    return found


def revert(tree: SourceTree, found: Iterable[tuple[Kept, str, str]]) -> None:
    """Write the files as they were, and forget the diffs. Raises LpgenError when a file cannot be written."""
    entries = list(found)
    try:
        write_all_atomic({tree.root / tree.resolved(entry.path): before for entry, _, before in entries})
    except LpgenError as error:
        raise _as_named(error, tree) from error
    for entry, _, _ in entries:
        entry.file.unlink(missing_ok=True)
    where = tree.root / STATE
    if not any(where.glob("*.diff")):
        with contextlib.suppress(OSError):
            _state(tree, ".gitignore").unlink(missing_ok=True)
            where.rmdir()


def for_git_am(change: Change, kernel: Kernel, text: str, *, fixed: bool) -> tuple[Change, Git | None]:
    """Return the change from what is committed, and the repository (None: the tree is none).

    Raises LpgenError when the file differs from the committed one by more than lpgen's own doing: `git am` would fail.
    """
    try:
        git = repository(change.tree.root, change.tree.named, change.path)
    except GitMissingError:
        git = None
    if git is None:
        return change, None
    raw = git.committed(change.path)
    for old in (change.current, change.old):
        if raw == old.encode():
            new = put(old, kernel, text, file=change.tree.shown(change.path), fixed=fixed)
            return Change(change.tree, change.path, change.current, old, new, change.kept, change.executable), git
    raise LpgenError(
        "differs from what is committed: git am would refuse the patch" if raw is not None else "is not committed",
        place=change.tree.place(change.path),
        hint="commit the file, or restore it",
    )


def _name(path: str, new: str) -> str:
    """Return the name of the diff that leads back from the content ``new``: so it is found by the file as it is."""
    return f"{PurePosixPath(path).name}-{blob_id(new)[:16]}.diff"


def _state(tree: SourceTree, name: str) -> Path:
    """Return a path in the directory of the kept diffs. Raises LpgenError for a symbolic link in it."""
    for path in (STATE, f"{STATE}/{name}"):
        if (tree.root / path).is_symlink():
            raise LpgenError(
                "is a symbolic link: lpgen keeps its diffs there", place=tree.place(path), hint="remove it"
            )
    return tree.root / STATE / name


def _kept_for(tree: SourceTree, path: str, current: str) -> Kept | None:
    name = _name(path, current)
    if not (tree.root / STATE / name).exists():
        return None
    kept = _read(tree, name)
    return kept if (kept.path, kept.new) == (path, blob_id(current)) else None


def _all_kept(tree: SourceTree) -> Iterable[Kept]:
    for file in sorted((tree.root / STATE).glob("*.diff")):
        yield _read(tree, file.name)


def _read(tree: SourceTree, name: str) -> Kept:
    file, place = _state(tree, name), tree.place(f"{STATE}/{name}")
    if not file.is_file():
        raise LpgenError("is not a regular file", place=place, hint="remove it")
    try:
        return read_kept(read_text(file), file, place)
    except LpgenError as error:
        raise _as_named(error, tree) from error


def _as_named(error: LpgenError, tree: SourceTree) -> LpgenError:
    """Return the error with the file as the person named the tree."""
    if error.place is None or not Path(error.place.file).is_relative_to(tree.root):
        return error
    return LpgenError(
        error.reason, place=tree.place(Path(error.place.file).relative_to(tree.root).as_posix()), hint=error.hint
    )
