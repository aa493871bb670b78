"""lpgen patch: what git am makes of it is what lpgen install makes."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from lpgen import __version__
from tests.commands.test_install import _no_git_configuration, needs_git
from tests.commands.tools import Here, program
from tests.tree import trees
from tests.tree.trees import git, make_repository, make_tree

__all__ = ["_no_git_configuration"]
pytestmark = needs_git
every_tree = pytest.mark.parametrize("version", trees.FILES)


@pytest.fixture
def linux(lpgen: Here) -> Path:
    return lpgen.directory / "linux"


def error_in(lpgen: Here, *args: str) -> str:
    """The one line of a run that fails, and changes no file."""
    before = lpgen.tree()
    line = lpgen("patch", "--tree", "linux", *args).error_line
    assert lpgen.tree() == before
    return line


@every_tree
@pytest.mark.parametrize("config", [[], ["--config", "CONFIG_LIVEPATCH=n"]], ids=["#ifdef", "fixed"])
def test_git_am_makes_of_it_what_install_makes(lpgen: Here, linux: Path, version: str, config: list[str]) -> None:
    target = make_repository(linux, version)
    before = lpgen.tree()
    ran = lpgen("patch", "--tree", "linux", *config)
    assert (ran.code, ran.err) == (0, "")
    assert lpgen.tree() == before
    assert lpgen("install", "--tree", "linux", *config).code == 0
    installed = target.read_bytes()
    assert lpgen("patch", "--tree", "linux", *config).out == ran.out  # from what is committed
    lpgen("install", "--tree", "linux", "--revert")
    git(linux, "am", "-q", stdin=ran.out.encode())
    assert target.read_bytes() == installed
    assert git(linux, "status", "--porcelain") == ""
    assert git(linux, "log", "-1", "--format=%an <%ae>") == "A. Person <person@example.org>\n"
    message = git(linux, "log", "-1", "--format=%B")
    assert message.startswith("powerpc/ftrace: ")
    assert f"lpgen patch --tree . --kernel {version}" in message
    # The command in the message makes the same patch, wherever it runs.
    (line,) = (line.strip() for line in message.splitlines() if "lpgen patch" in line)
    git(linux, "reset", "-q", "--hard", "HEAD~")
    again = program(*line.split()[1:], cwd=linux)
    assert again.out == ran.out


def test_its_form(lpgen: Here, linux: Path) -> None:
    make_repository(linux)
    patch = lpgen("patch", "--tree", "linux").out
    head, _, rest = patch.partition("\n---\n")
    assert head.split("\n\n")[0].split("\n") == [
        "From 0000000000000000000000000000000000000000 Mon Sep 17 00:00:00 2001",
        'From: "A. Person" <person@example.org>',
        "Subject: [PATCH] powerpc/ftrace: lpgen's ftrace and livepatch trampolines",
    ]
    assert "lpgen emit --kernel 4.7 --ifdef" in head
    stat, _, diff = rest.partition("\n\n")
    lines = stat.split("\n")
    assert lines[0].startswith(f" {trees.ENTRY} | ")
    assert diff.endswith(f"-- \nlpgen {__version__}\n\n")
    # What git itself says of it.
    (linux / "x.patch").write_text(patch)
    added, removed, _ = git(linux, "apply", "--numstat", "x.patch").split("\t")
    assert lines[0].split("|")[1].split()[0] == str(int(added) + int(removed))
    assert lines[1] == f" 1 file changed, {added} insertions(+), {removed} deletions(-)"
    git(linux, "apply", "--check", "--whitespace=error", "x.patch")


def test_out_and_twice_the_same(lpgen: Here, linux: Path) -> None:
    make_repository(linux)
    ran = lpgen("patch", "--tree", "linux", "--out", "one.patch")
    assert (ran.code, ran.out) == (0, "")
    assert ran.err.startswith(f"one.patch: {trees.ENTRY}, +")
    git(linux, "commit", "-q", "--allow-empty", "-m", "later", "--date", "2030-01-01T00:00:00")
    lpgen("patch", "--tree", "linux", "--out", "two.patch")
    assert (lpgen.directory / "one.patch").read_bytes() == (lpgen.directory / "two.patch").read_bytes()


def test_a_file_that_ends_without_a_newline(lpgen: Here, linux: Path) -> None:
    target = make_repository(linux, text=trees.entry(shared_stub=False).rstrip("\n"))
    patch = lpgen("patch", "--tree", "linux").out
    lpgen("install", "--tree", "linux")
    installed = target.read_bytes()
    lpgen("install", "--tree", "linux", "--revert")
    git(linux, "am", "-q", stdin=patch.encode())
    assert target.read_bytes() == installed
    target = make_repository(lpgen.directory / "other", "6.12", "--- x\n+++ y\nno end")
    patch = lpgen("patch", "--tree", "other").out
    assert "\\ No newline at end of file" in patch
    git(lpgen.directory / "other", "am", "-q", stdin=patch.encode())
    assert target.read_text() == lpgen("emit", "--kernel", "6.12", "--ifdef", "--out", "-").out


@pytest.mark.parametrize(
    ("author", "name", "address"),
    [
        ("B. Other <b@example.org>", "B. Other", "b@example.org"),
        ('Quo"te, Comma (x) <q@example.org>', 'Quo"te, Comma (x)', "q@example.org"),
        ("Zoë Łukasz Ünïcode, of the Long Name that Fits <z@example.org>", None, "z@example.org"),
        ("Plain-Name O'Neil <p+x@example.org>", "Plain-Name O'Neil", "p+x@example.org"),
    ],
)
def test_author(lpgen: Here, linux: Path, author: str, name: str | None, address: str) -> None:
    make_repository(linux)
    patch = lpgen("patch", "--tree", "linux", "--author", author).out
    git(linux, "am", "-q", stdin=patch.encode())
    assert git(linux, "log", "-1", "--format=%an|%ae").strip() == f"{name or author.split(' <')[0]}|{address}"


def test_author_of_git(lpgen: Here, linux: Path) -> None:
    make_repository(linux)
    git(linux, "config", "user.name", "Zoë")
    patch = lpgen("patch", "--tree", "linux").out
    git(linux, "am", "-q", stdin=patch.encode())
    assert git(linux, "log", "-1", "--format=%an").strip() == "Zoë"


def test_templates_with_other_letters(lpgen: Here, linux: Path) -> None:
    target = make_repository(linux)
    (lpgen.directory / "häuser").mkdir()
    (lpgen.directory / "häuser" / "ftrace_stub.S.j2").write_text(
        '{% extends "lpgen/ftrace_stub.S.j2" %}\n{% block stub %}/* für Zoë */\n{{ super() }}{% endblock %}\n'
    )
    patch = lpgen("patch", "--tree", "linux", "--templates", "häuser").out
    assert "Content-Transfer-Encoding: 8bit\n" in patch
    git(linux, "am", "-q", stdin=patch.encode())
    assert "/* für Zoë */" in target.read_text()
    assert "--templates 'häuser'" in git(linux, "log", "-1", "--format=%B")


def test_part_of_a_larger_repository(lpgen: Here, linux: Path) -> None:
    top = lpgen.directory
    git(top, "init", "-q")
    git(top, "config", "user.name", "A")
    git(top, "config", "user.email", "a@example.org")
    target = make_tree(linux)
    git(top, "add", "linux")
    git(top, "commit", "-q", "-m", "all")
    patch = lpgen("patch", "--tree", "linux").out
    git(top, "am", "-q", stdin=patch.encode())
    assert target.read_text() != trees.entry()
    assert git(top, "status", "--porcelain") == ""


def test_an_unpacked_tree(lpgen: Here, linux: Path) -> None:
    target = make_tree(linux)
    shutil.copytree(linux, lpgen.directory / "copy")
    patch = lpgen("patch", "--tree", "linux", "--author", "A <a@b.c>").out
    lpgen("install", "--tree", "linux")
    git(lpgen.directory / "copy", "apply", "-p1", "-", stdin=patch.encode())
    assert (lpgen.directory / "copy" / trees.ENTRY).read_bytes() == target.read_bytes()


def test_executable_file(lpgen: Here, linux: Path) -> None:
    target = make_tree(linux)
    target.chmod(0o755)
    git(linux, "init", "-q")
    for name, value in (("name", "A"), ("email", "a@b.c")):
        git(linux, "config", f"user.{name}", value)
    git(linux, "add", "-A")
    git(linux, "commit", "-q", "-m", "x")
    patch = lpgen("patch", "--tree", "linux").out
    assert " 100755\n--- a/" in patch
    git(linux, "am", "-q", stdin=patch.encode())
    assert target.stat().st_mode & 0o111


def test_nothing_to_patch(lpgen: Here, linux: Path) -> None:
    make_repository(linux)
    lpgen("install", "--tree", "linux")
    git(linux, "commit", "-q", "-a", "-m", "x")
    assert f"linux/{trees.ENTRY}: has this text already; there is nothing to patch" in error_in(lpgen)


def test_the_file_is_not_as_committed(lpgen: Here, linux: Path) -> None:
    target = make_repository(linux)
    (linux / "README").write_text("no matter for git am\n")
    assert lpgen("patch", "--tree", "linux").code == 0
    target.write_text(trees.entry() + "/* mine */\n")
    assert f"linux/{trees.ENTRY}: differs from what is committed: git am would refuse" in error_in(lpgen)
    target.write_text(trees.entry())
    git(linux, "rm", "-q", "--cached", trees.ENTRY)
    assert f"linux/{trees.ENTRY}: is not in git's index: git am would refuse the patch" in error_in(lpgen)
    git(linux, "commit", "-q", "-m", "x")
    assert f"linux/{trees.ENTRY}: is not in git's index" in error_in(lpgen)
    git(linux, "add", trees.ENTRY)
    assert f"linux/{trees.ENTRY}: is not committed" in error_in(lpgen)


def test_no_author(lpgen: Here, linux: Path) -> None:
    make_repository(linux)
    git(linux, "config", "--unset", "user.email")
    assert "linux: git knows no user.name and user.email here; use --author" in error_in(lpgen)
    assert lpgen("patch", "--tree", "linux", "--author", "A <a@b.c>").code == 0


@pytest.mark.parametrize(
    "author", ["", "A", "<a@b.c>", "A <a>", "A <a@b.c> x", "A\n<a@b.c>", "A <a@b.c\nX: y>", "A <ä@b.c>"]
)
def test_no_such_author(lpgen: Here, linux: Path, author: str) -> None:
    make_repository(linux)
    line = error_in(lpgen, "--author", author)
    assert "is not an author; give it as 'Name <name@example.org>'" in line


def test_an_author_in_git_that_no_header_holds(lpgen: Here, linux: Path) -> None:
    make_repository(linux)
    git(linux, "config", "user.email", "a@b.c>\nSubject: x")
    assert "cannot be an author" in error_in(lpgen)


@pytest.mark.parametrize("out", ["missing/x", "", "linux"])
def test_where_it_cannot_be_written(lpgen: Here, linux: Path, out: str) -> None:
    make_repository(linux)
    assert error_in(lpgen, "--out", out)
