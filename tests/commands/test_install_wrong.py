"""lpgen install: what is wrong with a tree, or with where it is written; nothing is changed."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from pathlib import Path

import pytest

from tests.commands.test_install import _no_git_configuration, error_in, linux
from tests.commands.tools import Here
from tests.tree import trees
from tests.tree.trees import make_tree

__all__ = ["_no_git_configuration", "linux"]


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--tree", "missing"], "missing: there is no such directory; give the top of a kernel's source tree"),
        (["--tree", ""], "--tree names no directory"),
        (["--tree", "file"], "file: is not a directory"),
        (["--tree", "empty"], "empty: is not a kernel's source tree: it has no Makefile"),
        (["--tree", "x" * 300], "file name too long"),
        ([], "Missing option '--tree'"),
        (["--tree", "linux", "--kernel", "x"], "'x' is not a kernel version"),
        (["--tree", "linux", "--config", "CONFIG_FOO=y"], "CONFIG_FOO is not an option"),
        (["--tree", "linux", "--revert", "--config", "CONFIG_LIVEPATCH=y"], "--revert takes no --config"),
        (["--tree", "linux", "--revert", "--force"], "--revert takes no --force"),
        (["--tree", "linux", "--revert", "--kernel", "4.7"], "--revert takes no --kernel"),
        (["--tree", "linux", "--revert"], "linux: lpgen has installed nothing in this tree"),
        (["--tree", "linux", "--templates", "missing"], "missing: is not a directory"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, list) else None,
)
def test_bad_command_line(lpgen: Here, linux: Path, args: list[str], said: str) -> None:
    make_tree(linux)
    (lpgen.directory / "file").write_text("x")
    (lpgen.directory / "empty").mkdir()
    before = lpgen.tree()
    assert said in lpgen("install", *args).error_line
    assert lpgen.tree() == before


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "linux/Makefile: is empty"),
        (b"all:\n", "linux/Makefile: has no line VERSION = N"),
        (b"VERSION = 4\nSUBLEVEL = 0\n", "linux/Makefile: has no line PATCHLEVEL = N"),
        (b"VERSION = 4\nPATCHLEVEL = seven\nSUBLEVEL = 0\n", "linux/Makefile:2: PATCHLEVEL = seven is not a number"),
        (b"VERSION =\nPATCHLEVEL = 7\nSUBLEVEL = 0\n", "linux/Makefile:1: VERSION = nothing is not a number"),
        (b"VERSION = 4\nPATCHLEVEL = 25\nSUBLEVEL = 0\n", "linux/Makefile: '4.25' is not a kernel version"),
        (b"VERSION = 4\nPATCHLEVEL = 6\nSUBLEVEL = 0\n", "linux/Makefile: kernel 4.6 has no livepatch on ppc64le"),
        (b"VERSION = 4\r\n", "linux/Makefile:1: has a carriage return"),
        (b"VERSION = \0\n", "linux/Makefile: is a binary file"),
        (b"#\n\xff\n", "linux/Makefile:2: is not UTF-8"),
    ],
)
def test_makefile(lpgen: Here, linux: Path, content: bytes, said: str) -> None:
    make_tree(linux)
    (linux / "Makefile").write_bytes(content)
    assert said in error_in(lpgen)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", f"linux/{trees.ENTRY}: is empty"),
        (b"\x7fELF\0", f"linux/{trees.ENTRY}: is a binary file"),
        (b"\n\n\xff\n", f"linux/{trees.ENTRY}:3: is not UTF-8"),
        (trees.entry().replace("\n", "\r\n").encode(), f"linux/{trees.ENTRY}:1: has a carriage return"),
        (b"#\n" * (1 << 20), f"linux/{trees.ENTRY}: has more than 256 KiB"),
        (b"\tblr\n", f"linux/{trees.ENTRY}: has no ftrace_caller"),
        (trees.entry().replace("#endif", "#endi").encode(), f"linux/{trees.ENTRY}:"),
        ((trees.entry() + "#if\n#endif\n").encode(), f"linux/{trees.ENTRY}:"),
        (("#if 1\n" * 2000 + "#endif\n" * 2000).encode(), f"linux/{trees.ENTRY}"),
    ],
    ids=["empty", "binary", "no UTF-8", "CRLF", "too big", "nothing of it", "misspelt", "an #if alone", "deep"],
)
def test_entry(lpgen: Here, linux: Path, content: bytes, said: str) -> None:
    make_tree(linux).write_bytes(content)
    assert said in error_in(lpgen)


def test_the_file_is_not_there(lpgen: Here, linux: Path) -> None:
    target = make_tree(linux, "6.1.45")
    target.rename(target.with_name("ftrace_entry.S"))
    line = error_in(lpgen)
    assert "linux/arch/powerpc/kernel/trace/ftrace_mprofile.S: is not there: the tree has" in line
    assert "arch/powerpc/kernel/trace/ftrace_entry.S;" in line
    target.with_name("ftrace_entry.S").unlink()
    assert "nor any other file that lpgen's text is for" in error_in(lpgen)
    target.mkdir()
    assert "is not a regular file" in error_in(lpgen)
    target.rmdir()
    os.mkfifo(target)
    assert lpgen("install", "--tree", "linux").error_line.endswith("is not a regular file")


def test_links(lpgen: Here, linux: Path) -> None:
    target = make_tree(linux, "6.12")
    outside = lpgen.directory / "outside.S"
    shutil.move(target, outside)
    target.symlink_to(outside)
    assert f"linux/{trees.FILES['6.12']}: leads out of the tree by a symbolic link" in error_in(lpgen)
    target.unlink()
    target.symlink_to(target.name)
    assert f"linux/{trees.FILES['6.12']}: " in error_in(lpgen)
    target.unlink()
    inside = target.with_name("real.S")
    shutil.move(outside, inside)
    target.symlink_to(inside.name)
    (lpgen.directory / "link").symlink_to(linux)
    assert lpgen("install", "--tree", "link").code == 0
    assert target.is_symlink()
    assert "lpgen emit --kernel 6.12" in inside.read_text()
    assert lpgen("install", "--tree", "linux", "--revert").code == 0
    assert "lpgen" not in inside.read_text()


def test_links_where_the_diff_is_kept(lpgen: Here, linux: Path) -> None:
    make_tree(linux)
    (lpgen.directory / "outside").mkdir()
    (linux / ".lpgen").symlink_to(lpgen.directory / "outside")
    assert "linux/.lpgen: is a symbolic link" in error_in(lpgen)
    (linux / ".lpgen").unlink()
    (linux / ".lpgen").mkdir()
    (linux / ".lpgen" / ".gitignore").symlink_to("../README")
    assert "linux/.lpgen/.gitignore: is a symbolic link" in error_in(lpgen)
    (linux / ".lpgen" / ".gitignore").unlink()
    (linux / ".lpgen").rmdir()
    (linux / ".lpgen").write_text("a file\n")
    assert "linux/.lpgen: is a file, not a directory" in error_in(lpgen)


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: "",
        lambda text: "nothing\n",
        lambda text: text.replace("@@ -", "@@ +", 1),
        lambda text: text.replace("The tree's own:", "The forest's own:"),
        lambda text: text[: len(text) // 2],
        lambda text: text.replace(trees.ENTRY, "../../outside"),
        lambda text: text.replace(trees.ENTRY, "arch"),
    ],
)
def test_a_damaged_diff_leads_nowhere(lpgen: Here, linux: Path, damage: object) -> None:
    make_tree(linux)
    (lpgen.directory / "outside").write_text("x\n")
    lpgen("install", "--tree", "linux")
    (kept,) = (linux / ".lpgen").glob("*.diff")
    kept.write_text(damage(kept.read_text()))  # type: ignore[operator]
    line = error_in(lpgen, "--revert")
    assert line.startswith("lpgen: linux/")


def _fail(error: int, on: str) -> object:
    real = tempfile.mkstemp

    def mkstemp(*args: object, **more: object) -> object:
        if str(more["dir"]).endswith(on):
            raise OSError(error, os.strerror(error))
        return real(*args, **more)  # type: ignore[call-overload]

    return mkstemp


@pytest.mark.parametrize("on", [".lpgen", "arch/powerpc/kernel"])
@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EROFS])
def test_what_cannot_be_written(lpgen: Here, linux: Path, monkeypatch: pytest.MonkeyPatch, error: int, on: str) -> None:
    make_tree(linux)
    with monkeypatch.context() as patched:
        patched.setattr("lpgen.report.files.tempfile.mkstemp", _fail(error, on))
        line = error_in(lpgen)
        assert line.startswith("lpgen: linux/")
        assert f": cannot be written: {os.strerror(error).lower()}" in line
    lpgen("install", "--tree", "linux")
    with monkeypatch.context() as patched:
        patched.setattr("lpgen.report.files.tempfile.mkstemp", _fail(error, "kernel"))
        assert "cannot be written" in error_in(lpgen, "--revert")
        assert "cannot be written" in error_in(lpgen, "--config", "CONFIG_LIVEPATCH=n")


def test_the_last_step_fails(lpgen: Here, linux: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_tree(linux)
    real = Path.replace

    def replace(self: Path, target: Path) -> Path:
        if target.name == "entry_64.S":
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return real(self, target)

    monkeypatch.setattr(Path, "replace", replace)
    assert "entry_64.S: cannot be written: input/output error" in error_in(lpgen)
