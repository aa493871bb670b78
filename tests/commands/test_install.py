"""lpgen install: in place, in every kernel's tree, and the way back; nothing lost, whatever is wrong."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from lpgen.commands.offsets import offsets_text
from lpgen.kernel.generations import kernel
from lpgen.kernel.options import setting_text
from tests.commands.tools import Here, program
from tests.tree import trees
from tests.tree.test_splice import needs_gcc
from tests.tree.trees import git, make_repository, make_tree

needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="apt-get install git")
every_tree = pytest.mark.parametrize("version", trees.FILES)


@pytest.fixture(autouse=True)
def _no_git_configuration(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Whoever runs the tests: their git configuration is not asked."""
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))


@pytest.fixture
def linux(lpgen: Here) -> Path:
    return lpgen.directory / "linux"


def error_in(lpgen: Here, *args: str) -> str:
    """The one line of a run that fails, and changes no file."""
    before = lpgen.tree()
    line = lpgen("install", "--tree", "linux", *args).error_line
    assert lpgen.tree() == before
    return line


@every_tree
def test_the_file_is_what_emit_writes_and_revert_brings_back_every_byte(lpgen: Here, linux: Path, version: str) -> None:
    target = make_tree(linux, version)
    before = lpgen.tree()
    ran = lpgen("install", "--tree", "linux")
    assert (ran.code, ran.out) == (0, "")
    assert f"linux/{trees.FILES[version]}: installed for {version}, +" in ran.err
    emitted = lpgen("emit", "--kernel", version, "--ifdef", "--out", "-").out
    if kernel(version).section:
        body = emitted[emitted.index("/*\n * ftrace_caller: ") :]
        assert body in target.read_text()
    else:
        assert target.read_text() == emitted
    assert lpgen("install", "--tree", "linux", "--revert").code == 0
    assert lpgen.tree() == before


@needs_gcc
@every_tree
def test_installed_it_assembles(lpgen: Here, linux: Path, version: str, tmp_path: Path) -> None:
    target = make_tree(linux, version)
    assert lpgen("install", "--tree", "linux").code == 0
    few = {"CONFIG_PPC_FTRACE_OUT_OF_LINE_NUM_RESERVE": 16} if kernel(version).numbers else {}
    for off in (None, *kernel(version).options):
        try:
            made = kernel(version, config={**few, **({off: False} if off else {})})
        except Exception:  # another option needs this one
            continue
        defines = [name for name, on in made.options.items() if on]
        defines += [f"{name}={number}" for name, number in made.numbers.items()]
        defines += ["CONFIG_FUNCTION_TRACER", "CONFIG_DYNAMIC_FTRACE", "CC_USING_MPROFILE_KERNEL"]
        out = trees.assemble(target, tmp_path / "obj", defines, offsets_text(made, "header"))
        _, symbols = trees.code_of(out)
        assert {symbol.name for symbol in made.symbols} <= set(symbols), setting_text(off or "", False)


@needs_git
@every_tree
def test_dry_run_shows_what_would_change_and_writes_nothing(lpgen: Here, linux: Path, version: str) -> None:
    target = make_tree(linux, version)
    before = lpgen.tree()
    ran = lpgen("install", "--tree", "linux", "--dry-run")
    assert (ran.code, ran.err) == (0, "")
    assert lpgen.tree() == before
    assert ran.out.startswith(f"diff --git a/{trees.FILES[version]} b/{trees.FILES[version]}\nindex ")
    lpgen("install", "--tree", "linux")
    new = target.read_bytes()
    back = lpgen("install", "--tree", "linux", "--revert", "--dry-run")
    assert (back.code, back.err, target.read_bytes()) == (0, "", new)
    lpgen("install", "--tree", "linux", "--revert")
    git(linux, "apply", "-", stdin=ran.out.encode())
    assert target.read_bytes() == new
    git(linux, "apply", "-", stdin=back.out.encode())
    assert lpgen.tree() == before


def test_again_with_other_options_and_still_the_way_back(lpgen: Here, linux: Path) -> None:
    target = make_tree(linux)
    before = lpgen.tree()
    lpgen("install", "--tree", "linux")
    first = target.read_bytes()
    ran = lpgen("install", "--tree", "linux")
    assert (ran.code, ran.out, ran.err) == (0, "", f"linux/{trees.ENTRY}: has this text already\n")
    lpgen("install", "--tree", "linux", "--config", "CONFIG_LIVEPATCH=n")
    assert b"lpgen emit --kernel 4.7 --config CONFIG_LIVEPATCH=n\n" in target.read_bytes()
    assert len(list((linux / ".lpgen").glob("*.diff"))) == 1
    lpgen("install", "--tree", "linux")
    assert target.read_bytes() == first
    assert lpgen("install", "--tree", "linux", "--revert").code == 0
    assert lpgen.tree() == before
    assert "lpgen has installed nothing in this tree" in error_in(lpgen, "--revert")


def test_changed_since_it_is_not_reverted(lpgen: Here, linux: Path) -> None:
    target = make_tree(linux)
    lpgen("install", "--tree", "linux")
    new = target.read_text()
    target.write_text(new.replace("dec", "inc") + "/* mine */\n")
    line = error_in(lpgen, "--revert")
    assert f"linux/{trees.ENTRY}: was changed since lpgen installed it; lpgen's change is kept in linux/.lpgen/" in line
    assert line.endswith(".diff, for patch -R -p1")
    # Installed again over the change: the way back leads to the change, and from there on.
    mine = target.read_text()
    lpgen("install", "--tree", "linux", "--config", "CONFIG_LIVEPATCH=n")
    assert lpgen("install", "--tree", "linux", "--revert").code == 0
    assert target.read_text() == mine
    target.write_text(new)
    assert lpgen("install", "--tree", "linux", "--revert").code == 0
    assert target.read_text() == trees.entry()


def test_restored_by_other_means(lpgen: Here, linux: Path) -> None:
    target = make_tree(linux)
    before = lpgen.tree()
    lpgen("install", "--tree", "linux")
    installed = target.read_bytes()
    target.write_text(trees.entry())
    ran = lpgen("install", "--tree", "linux", "--revert")
    assert (ran.code, ran.err) == (
        0,
        f"linux/{trees.ENTRY}: nothing to revert: it is as it was before lpgen's text\n",
    )
    target.write_bytes(installed)
    assert lpgen("install", "--tree", "linux", "--revert").code == 0
    assert lpgen.tree() == before


@pytest.mark.parametrize(
    "text", [trees.entry().rstrip("\n"), trees.entry().replace("\tblr\n", "\tblr \f\n"), "\n\n" + trees.entry()]
)
def test_odd_ends_of_lines_come_back(lpgen: Here, linux: Path, text: str) -> None:
    target = make_tree(linux, text=text)
    target.chmod(0o755)
    assert lpgen("install", "--tree", "linux").code == 0
    assert target.stat().st_mode & 0o777 == 0o755
    assert lpgen("install", "--tree", "linux", "--revert").code == 0
    assert target.read_bytes() == text.encode()


def test_whole_files_with_odd_ends_come_back(lpgen: Here, linux: Path) -> None:
    for text in ("x", "x\n\n\n", "\\ No newline at end of file", "--- a\n+++ b\n@@ -1 +1 @@\n"):
        target = make_tree(linux, "6.12", text)
        assert lpgen("install", "--tree", "linux").code == 0
        assert lpgen("install", "--tree", "linux", "--revert").code == 0
        assert target.read_bytes() == text.encode()
        shutil.rmtree(linux)


def test_one_version_of_the_series(lpgen: Here, linux: Path) -> None:
    target = make_tree(linux, "4.12")
    assert lpgen("install", "--tree", "linux", "--kernel", "4.12.3").code == 0
    assert "lpgen emit --kernel 4.12.3 --ifdef\n" in target.read_text()
    line = error_in(lpgen, "--kernel", "4.14")
    assert "linux/Makefile: --kernel 4.14, but this is the tree of a kernel 4.12" in line


def test_offsets_and_templates_are_those_of_emit(lpgen: Here, linux: Path) -> None:
    target = make_tree(linux, "6.12")
    (lpgen.directory / "mine").mkdir()
    (lpgen.directory / "mine" / "ftrace_stub.S.j2").write_text(
        '{% extends "lpgen/ftrace_stub.S.j2" %}\n{% block stub %}/* mine */\n{{ super() }}{% endblock %}\n'
    )
    (lpgen.directory / "offsets.h").write_text(lpgen("offsets", "--kernel", "6.12", "--format", "header").out)
    args = ["--templates", "mine", "--offsets", "offsets.h", "--config", "CONFIG_LIVEPATCH=n"]
    assert lpgen("install", "--tree", "linux", *args).code == 0
    assert target.read_text() == lpgen("emit", "--kernel", "6.12", "--out", "-", *args).out
    assert "/* mine */" in target.read_text()


# git


@needs_git
def test_in_a_git_tree_only_the_file_is_changed(lpgen: Here, linux: Path) -> None:
    make_repository(linux)
    git(linux, "checkout", "-q", "--detach")
    assert lpgen("install", "--tree", "linux").code == 0
    assert git(linux, "status", "--porcelain", "--untracked-files=all") == f" M {trees.ENTRY}\n"
    # Its own change is no reason against it.
    assert lpgen("install", "--tree", "linux", "--config", "CONFIG_LIVEPATCH=n").code == 0
    assert lpgen("install", "--tree", "linux", "--revert").code == 0
    assert git(linux, "status", "--porcelain", "--untracked-files=all") == ""


@needs_git
def test_committed_it_can_be_installed_again_and_reverted(lpgen: Here, linux: Path) -> None:
    target = make_repository(linux)
    lpgen("install", "--tree", "linux")
    git(linux, "commit", "-q", "-a", "-m", "lpgen's")
    assert lpgen("install", "--tree", "linux", "--config", "CONFIG_LIVEPATCH=n").code == 0
    assert lpgen("install", "--tree", "linux", "--revert").code == 0
    assert target.read_text() == trees.entry()
    # Committed it can come back, and so can what was before it.
    git(linux, "checkout", "-q", "--", ".")
    assert lpgen("install", "--tree", "linux", "--revert").code == 0
    assert target.read_text() == trees.entry()
    # Without what lpgen kept: as of a clone.
    shutil.rmtree(linux / ".lpgen")
    git(linux, "checkout", "-q", "--", ".")
    installed = target.read_text()
    assert lpgen("install", "--tree", "linux").err.endswith("has this text already\n")
    assert lpgen("install", "--tree", "linux", "--config", "CONFIG_LIVEPATCH=n").code == 0
    assert lpgen("install", "--tree", "linux", "--revert").code == 0
    assert target.read_text() == installed
    ran = lpgen("install", "--tree", "linux", "--revert")
    assert ran.err == f"linux/{trees.ENTRY}: nothing to revert: it is as it was before the last install\n"


@needs_git
def test_not_clean_is_refused_with_the_files_named(lpgen: Here, linux: Path) -> None:
    target = make_repository(linux)
    (linux / "note").write_text("not tracked, no matter\n")
    assert lpgen("install", "--tree", "linux", "--dry-run").code == 0
    (linux / "README").write_text("changed\n")
    line = error_in(lpgen)
    assert line == "lpgen: linux: the tree is not clean: README; commit or stash it, or use --force"
    assert "README" in error_in(lpgen, "--dry-run")
    git(linux, "add", "README")
    git(linux, "mv", "Makefile", "Makefile.old")
    (linux / "Makefile").write_text(trees.makefile("4.7"))
    assert "not clean: Makefile.old, README;" in error_in(lpgen)
    assert lpgen("install", "--tree", "linux", "--force").code == 0
    assert lpgen("install", "--tree", "linux", "--revert").code == 0
    assert target.read_text() == trees.entry()


@needs_git
def test_the_file_itself_not_committed(lpgen: Here, linux: Path) -> None:
    target = make_repository(linux)
    target.write_text(trees.entry() + "/* mine */\n")
    assert f"not clean: {trees.ENTRY};" in error_in(lpgen)
    assert lpgen("install", "--tree", "linux", "--force").code == 0
    lpgen("install", "--tree", "linux", "--revert")
    assert target.read_text() == trees.entry() + "/* mine */\n"
    git(linux, "checkout", "-q", ".")
    git(linux, "rm", "-q", "--cached", trees.ENTRY)
    git(linux, "commit", "-q", "-m", "without")
    assert f"not clean: {trees.ENTRY};" in error_in(lpgen)


@needs_git
@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("MERGE_HEAD", "a merge"),
        ("rebase-merge/x", "a rebase"),
        ("rebase-apply/x", "git am"),
        ("REVERT_HEAD", "a revert"),
    ],
)
def test_in_the_middle_of_something(lpgen: Here, linux: Path, name: str, what: str) -> None:
    make_repository(linux)
    mark = linux / ".git" / name
    mark.parent.mkdir(exist_ok=True)
    mark.write_text(git(linux, "rev-parse", "HEAD"))
    assert what in error_in(lpgen)
    assert lpgen("install", "--tree", "linux", "--force").code == 0


@needs_git
def test_a_real_merge_and_a_work_tree(lpgen: Here, linux: Path) -> None:
    make_repository(lpgen.directory / "main")
    git(lpgen.directory / "main", "worktree", "add", "-q", str(linux))
    git(linux, "commit", "-q", "--allow-empty", "-m", "x")
    git(linux, "merge", "-q", "--no-commit", "--no-ff", "main", check=False)
    (lpgen.directory / "main" / "README").write_text("not this tree's\n")
    assert lpgen("install", "--tree", "linux", "--dry-run").code == 0
    git(lpgen.directory / "main", "commit", "-q", "-a", "-m", "y")
    git(linux, "merge", "-q", "--no-commit", "--no-ff", "main")
    assert "a merge, README" in error_in(lpgen)


@needs_git
def test_no_program_of_the_repository_runs(lpgen: Here, linux: Path) -> None:
    make_repository(linux)
    trap = lpgen.directory / "trap"
    trap.write_text(f"#!/bin/sh\ntouch {lpgen.directory}/sprung\n")
    trap.chmod(0o755)
    hook = linux / ".git" / "hooks" / "post-index-change"
    hook.parent.mkdir(exist_ok=True)
    shutil.copy(trap, hook)
    for name in ("core.fsmonitor", "core.pager", "diff.external"):
        git(linux, "config", name, str(trap))
    (linux / "Makefile").touch()
    assert lpgen("install", "--tree", "linux").code == 0
    assert lpgen("patch", "--tree", "linux", "--out", "x.patch").code == 0
    assert not (lpgen.directory / "sprung").exists()


@needs_git
def test_unpacked_below_another_repository(lpgen: Here, linux: Path) -> None:
    above = lpgen.directory
    git(above, "init", "-q")
    (above / "x").write_text("x")
    git(above, "add", "x")
    make_tree(linux)
    assert lpgen("install", "--tree", "linux").code == 0  # not that repository's
    assert lpgen("install", "--tree", "linux", "--revert").code == 0
    git(above, "add", "linux")
    assert "not clean: " in error_in(lpgen)  # now it is


@needs_git
def test_a_broken_repository(lpgen: Here, linux: Path) -> None:
    make_repository(linux)
    (linux / ".git" / "HEAD").write_text("nonsense\n")
    (linux / ".git" / "config").write_text("[core\n")
    assert "linux: git cannot read the repository: " in error_in(lpgen)


def test_git_is_missing(lpgen: Here, linux: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_tree(linux)
    monkeypatch.setenv("PATH", str(lpgen.directory))
    assert lpgen("install", "--tree", "linux").code == 0
    assert lpgen("install", "--tree", "linux", "--revert").code == 0
    (linux / ".git").mkdir()
    assert "linux: is a git repository, and git is not installed; install git" in error_in(lpgen)
    assert lpgen("install", "--tree", "linux", "--force").code == 0


def test_as_a_program(linux: Path, lpgen: Here) -> None:
    make_tree(linux, "6.18")
    ran = program("install", "--tree", "linux", cwd=lpgen.directory)
    assert (ran.code, ran.out) == (0, "")
    assert "lines; --revert takes it out again\n" in ran.err


# What the file had, and whose it was


def test_symbols_that_would_go(lpgen: Here, linux: Path) -> None:
    old = "_GLOBAL(ftrace_caller)\n\tblr\n.globl ftrace_ool_stub_text\nftrace_ool_stub_text:\n"
    target = make_tree(linux, "6.12", old)
    line = error_in(lpgen)
    assert f"linux/{trees.FILES['6.12']}:3: ftrace_ool_stub_text would go: lpgen's text for 6.12 has no" in line
    assert "use --kernel 6.13 --force" in line
    assert "would go" in lpgen("patch", "--tree", "linux", "--author", "A <a@b.c>").error_line
    assert "use --force" in error_in(lpgen, "--kernel", "6.13")
    patch = lpgen("patch", "--tree", "linux", "--author", "A <a@b.c>", "--kernel", "6.13", "--force").out
    assert "lpgen patch --tree . --kernel 6.13 --force\n" in patch
    assert lpgen("install", "--tree", "linux", "--kernel", "6.13", "--force").code == 0
    assert "ftrace_ool_stub_text" in target.read_text()
    assert lpgen("install", "--tree", "linux", "--force").code == 0
    assert "ftrace_ool_stub_text" not in target.read_text()
    assert lpgen("install", "--tree", "linux", "--revert").code == 0
    assert target.read_text() == old


@every_tree
def test_what_is_said_of_other_kernels(lpgen: Here, linux: Path, version: str) -> None:
    make_tree(linux, version)
    said = "the tree builds no ppc32 or big-endian kernel with ftrace any more"
    told = said in lpgen("patch", "--tree", "linux", "--author", "A <a@b.c>").out
    ran = lpgen("install", "--tree", "linux")
    assert told == (said in ran.err) == (version in ("5.18", "6.1.45", "6.6", "6.12", "6.18"))
    assert f"linux/Makefile: {version}-rc1 counts as {version}\n" in ran.err


# The Makefile


@pytest.mark.parametrize(
    ("makefile", "version"),
    [
        ("  VERSION = 4\n PATCHLEVEL := 12\nSUBLEVEL=0\n", "4.12"),
        ("VERSION = 3\nVERSION = 4\nPATCHLEVEL = 12\nSUBLEVEL = 0\nall:\n\t@true\nVERSION = 5\n", "4.12"),
        ("VERSION = 4\nPATCHLEVEL = 12\ndefine x\nSUBLEVEL = 9\nendef\nSUBLEVEL = 3\n", "4.12.3"),
        ("PHONY := a\nx: y\nVERSION = 4\nPATCHLEVEL = 12\nSUBLEVEL = 3\nEXTRAVERSION =\n", "4.12.3"),
    ],
)
def test_the_version_in_the_makefile(lpgen: Here, linux: Path, makefile: str, version: str) -> None:
    make_tree(linux, "4.12")
    (linux / "Makefile").write_text(makefile)
    ran = lpgen("install", "--tree", "linux")
    assert f": installed for {version}, +" in ran.err
    assert "counts as" not in ran.err
