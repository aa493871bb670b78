"""What git says of a tree. Only asked, never told: nothing here writes."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from lpgen.errors import LpgenError, Place

_TIMEOUT = 300
# No program of the repository's configuration is run, and its index is not refreshed.
_SAFE = ("--no-pager", "--no-optional-locks", "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null")
_KEPT_VARIABLES = ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM", "GIT_CEILING_DIRECTORIES")
# In the directory of a repository: a file, and what is in progress where it is.
_IN_PROGRESS = {
    "MERGE_HEAD": "a merge",
    "rebase-merge": "a rebase",
    "rebase-apply": "a rebase or git am",
    "CHERRY_PICK_HEAD": "a cherry-pick",
    "REVERT_HEAD": "a revert",
}


class GitMissingError(LpgenError):
    """There is no git program, and the tree needs one."""


@dataclass(frozen=True, slots=True)
class Git:
    """The repository of a tree: ``directory`` is the tree's, ``prefix`` its path in the repository (empty: its top)."""

    directory: Path
    prefix: str

    def dirty(self, path: str) -> list[str]:
        """Return what is not committed of the tracked files and of ``path``, and what is in progress.

        Names are the repository's. Raises LpgenError when git fails.
        """
        found = self.in_progress()
        raw = _git(self.directory, "status", "--porcelain=v1", "-z", "--untracked-files=no", "--", ".")
        entries = iter(raw.decode(errors="replace").split("\0"))
        for entry in entries:
            if entry:
                found.append(entry[3:])
                if "R" in entry[:2] or "C" in entry[:2]:
                    next(entries, None)  # where it came from
        if self.prefix + path not in found and not self.is_tracked(path):
            found.append(self.prefix + path)
        return found

    def in_progress(self) -> list[str]:
        """Return what the repository is in the middle of."""
        where = Path(os.fsdecode(_git(self.directory, "rev-parse", "--absolute-git-dir").rstrip(b"\n")))
        return [what for name, what in _IN_PROGRESS.items() if (where / name).exists()]

    def is_tracked(self, path: str) -> bool:
        """Say whether git knows the file."""
        return bool(_git(self.directory, "--literal-pathspecs", "ls-files", "-z", "--", path))

    def committed(self, path: str) -> bytes | None:
        """Return the file's content in HEAD, None when it is not there."""
        done = _run(self.directory, "cat-file", "blob", f"HEAD:{self.prefix}{path}")
        return done.stdout if done.returncode == 0 else None


def repository(directory: Path, named: str, path: str) -> Git | None:
    """Return the repository that the tree's file ``path`` belongs to, None when there is none.

    ``named`` is the directory as the person gave it. Raises LpgenError when the tree is a repository and git is missing
    or fails.
    """
    own = (directory / ".git").exists()
    if not own and not any((above / ".git").exists() for above in directory.parents):
        return None
    try:
        done = _run(directory, "rev-parse", "--show-prefix")
    except GitMissingError as error:
        if not own:
            return None
        raise GitMissingError(
            "is a git repository, and git is not installed", place=Place(named), hint="install git"
        ) from error
    if done.returncode != 0:
        if not own:
            return None
        raise LpgenError(f"git cannot read the repository: {_said(done.stderr)}", place=Place(named))
    found = Git(directory, os.fsdecode(done.stdout.rstrip(b"\n")))
    # A tree that was unpacked somewhere below a repository is none of it.
    return found if not found.prefix or found.is_tracked(path) else None


def author(directory: Path) -> tuple[str, str] | None:
    """Return user.name and user.email as git's configuration has them for the tree, None when one is missing."""
    found = []
    for name in ("user.name", "user.email"):
        try:
            done = _run(directory, "config", "--get", name)
        except GitMissingError:
            return None
        value = done.stdout.decode(errors="replace").rstrip("\n")
        if done.returncode != 0 or not value.strip():
            return None
        found.append(value)
    return found[0], found[1]


def _git(directory: Path, *args: str) -> bytes:
    done = _run(directory, *args)
    if done.returncode != 0:
        raise LpgenError(f"git {args[0]} failed: {_said(done.stderr)}", place=Place(str(directory)))
    return done.stdout


def _run(directory: Path, *args: str) -> subprocess.CompletedProcess[bytes]:
    env = {name: value for name, value in os.environ.items() if not name.startswith("GIT_") or name in _KEPT_VARIABLES}
    env |= {"LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0", "GIT_NO_REPLACE_OBJECTS": "1"}
    try:
        return subprocess.run(
            ["git", *_SAFE, *args],
            cwd=directory,
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_TIMEOUT,
            check=False,
        )
    except FileNotFoundError as error:
        raise GitMissingError("git is not installed", hint="install git") from error
    except subprocess.TimeoutExpired as error:
        raise LpgenError(f"git {args[0]} did not end within {_TIMEOUT} seconds", place=Place(str(directory))) from error
    except OSError as error:
        raise LpgenError(f"git cannot be run: {(error.strerror or str(error)).lower()}") from error


def _said(raw: bytes) -> str:
    """Return the first line that git said, without its own "fatal:"."""
    lines = raw.decode(errors="replace").split("\n")
    return lines[0].removeprefix("fatal: ").strip() or "it does not say why"
