"""lpgen install, again and elsewhere: over edits, on other branches; the original is never lost."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.commands.test_install import _no_git_configuration, error_in, linux, needs_git
from tests.commands.tools import Here
from tests.tree import trees
from tests.tree.trees import git, make_repository, make_tree

__all__ = ["_no_git_configuration", "linux"]
both_kinds = pytest.mark.parametrize("version", ["4.7", "6.12"])
NOTE = "/* my note */\n"


def diffs(linux: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (linux / ".lpgen").glob("*.diff")}


def noted(text: str) -> str:
    """The text with an edit in lpgen's."""
    return text.replace(" * T1 to L7", " * my note\n * T1 to L7") + NOTE


@both_kinds
@pytest.mark.parametrize("repository", [False, pytest.param(True, marks=needs_git)])
def test_installed_over_an_edit(lpgen: Here, linux: Path, version: str, repository: bool) -> None:
    target = make_repository(linux, version) if repository else make_tree(linux, version)
    original = target.read_bytes()
    assert lpgen("install", "--tree", "linux").code == 0
    first = diffs(linux)
    target.write_text(noted(target.read_text()))
    ran = lpgen("install", "--tree", "linux", *(["--force"] if repository else []))
    assert ran.code == 0
    assert "; the text before, with changes of others, is kept in .lpgen" in ran.err
    second = diffs(linux)
    assert first.items() <= second.items()
    assert any(b"my note" in diff for diff in second.values())
    ran = lpgen("install", "--tree", "linux", "--revert")
    if version == "4.7":  # an edit elsewhere in the file is no part of lpgen's text, and stays
        assert target.read_text().endswith(NOTE)
        assert "as it was before the last install, with a text of lpgen's" in ran.err
        # On from there is for a person: the diff that led to the text below the edit.
        line = error_in(lpgen, "--revert")
        assert f"was changed since lpgen installed it; lpgen's change is kept in linux/.lpgen/{min(first)}" in line
        return
    assert target.read_bytes() == original
    assert "as it was before lpgen's text; linux/.lpgen/" in ran.err
    assert any(b"my note" in diff for diff in diffs(linux).values())
    assert not repository or "nothing to revert" in lpgen("install", "--tree", "linux", "--revert").err


def test_installed_over_an_edit_inside_of_the_text(lpgen: Here, linux: Path) -> None:
    target = make_tree(linux)
    lpgen("install", "--tree", "linux")
    installed = target.read_text()
    target.write_text(noted(installed).removesuffix(NOTE))
    assert lpgen("install", "--tree", "linux").code == 0
    assert target.read_text() == installed
    # And once more, with other options: the way back is the same.
    assert lpgen("install", "--tree", "linux", "--config", "CONFIG_LIVEPATCH=n").code == 0
    assert lpgen("install", "--tree", "linux", "--revert").code == 0
    assert target.read_text() == trees.entry()
    assert any(b"my note" in diff for diff in diffs(linux).values())
    assert f"linux/{trees.ENTRY}: has no text that lpgen installed; what it did is kept" in error_in(lpgen, "--revert")


def test_two_originals(lpgen: Here, linux: Path) -> None:
    target = make_tree(linux, "6.12")
    original = target.read_text()
    lpgen("install", "--tree", "linux")
    installed = target.read_text()
    target.write_text(original + "/* another */\n")
    lpgen("install", "--tree", "linux")
    line = error_in(lpgen, "--revert")
    assert "lpgen's text took the place of 2 different texts; undo one of linux/.lpgen/" in line
    # Other options: back to lpgen's text, and no further.
    assert lpgen("install", "--tree", "linux", "--config", "CONFIG_LIVEPATCH=n").code == 0
    assert "before the last install" in lpgen("install", "--tree", "linux", "--revert").err
    assert target.read_text() == installed
    assert len(diffs(linux)) == 2


@needs_git
def test_two_originals_and_one_is_committed(lpgen: Here, linux: Path) -> None:
    target = make_repository(linux, "6.12")
    original = target.read_text()
    lpgen("install", "--tree", "linux")
    lpgen("install", "--tree", "linux", "--revert")
    target.write_text(original + "/* another */\n")
    git(linux, "commit", "-q", "-a", "-m", "another")
    lpgen("install", "--tree", "linux")
    assert len(diffs(linux)) == 2
    assert lpgen("install", "--tree", "linux", "--revert").code == 0
    assert target.read_text() == original + "/* another */\n"


@needs_git
@both_kinds
def test_on_another_branch(lpgen: Here, linux: Path, version: str) -> None:
    target = make_repository(linux, version)
    original = target.read_bytes()
    git(linux, "checkout", "-q", "-b", "lp")
    lpgen("install", "--tree", "linux")
    git(linux, "commit", "-q", "-a", "-m", "lpgen's")
    git(linux, "checkout", "-q", "main")
    kept = diffs(linux)
    for _ in range(2):
        ran = lpgen("install", "--tree", "linux", "--revert")
        assert ran.code == 0
        assert ran.err.endswith(": nothing to revert: it is as it was before lpgen's text\n")
    assert lpgen("install", "--tree", "linux").code == 0
    assert lpgen("install", "--tree", "linux", "--revert").code == 0
    assert diffs(linux) == kept
    target.write_bytes(original + b"/* main went on */\n")
    git(linux, "commit", "-q", "-a", "-m", "on")
    assert "has no text that lpgen installed" in error_in(lpgen, "--revert")
    git(linux, "checkout", "-q", "lp")
    assert lpgen("install", "--tree", "linux", "--revert").code == 0
    assert target.read_bytes() == original


@needs_git
def test_in_a_stash(lpgen: Here, linux: Path) -> None:
    target = make_repository(linux)
    lpgen("install", "--tree", "linux")
    git(linux, "stash", "-q")
    assert "nothing to revert" in lpgen("install", "--tree", "linux", "--revert").err
    git(linux, "stash", "pop", "-q")
    assert lpgen("install", "--tree", "linux", "--revert").code == 0
    assert target.read_text() == trees.entry()


@needs_git
def test_branches_of_kernels_with_different_files(lpgen: Here, linux: Path) -> None:
    make_repository(linux, "4.7")
    lpgen("install", "--tree", "linux")
    git(linux, "stash", "-q")
    git(linux, "rm", "-q", "-r", "arch", "Makefile")
    shutil.rmtree(linux / "arch", ignore_errors=True)
    target = make_tree(linux, "6.12")
    git(linux, "add", "-A")
    git(linux, "commit", "-q", "-m", "6.12")
    original = target.read_bytes()
    lpgen("install", "--tree", "linux")
    for said in ("as it was before lpgen's text", "nothing to revert"):
        ran = lpgen("install", "--tree", "linux", "--revert")
        assert ran.code == 0
        assert said in ran.err
        assert target.read_bytes() == original


def test_a_kernel_of_another_file(lpgen: Here, linux: Path) -> None:
    make_tree(linux, "4.7")
    lpgen("install", "--tree", "linux")
    shutil.rmtree(linux / "arch")
    (linux / "arch/powerpc/kernel").mkdir(parents=True)
    assert f"linux/{trees.ENTRY}: is not there; lpgen's change of it is kept" in error_in(lpgen, "--revert")
