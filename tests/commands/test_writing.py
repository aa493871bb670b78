"""What lpgen writes is there whole or not at all, whatever interrupts; and it goes where it was meant to go."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from lpgen.cli import BROKEN_PIPE, INTERRUPTED
from lpgen.errors import LpgenError
from lpgen.report.files import write_all_atomic, write_atomic
from tests.commands.tools import LPGEN, Here, environment, program

OLD = "the old file\n"


class Interrupted(BaseException):
    """Stands for whatever ends a program at an awkward moment."""


@pytest.mark.parametrize("where", ["os.fsync", "os.fdopen", "pathlib.Path.chmod", "pathlib.Path.replace"])
def test_interrupted_while_writing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    file = tmp_path / "file"
    file.write_text(OLD)

    def interrupt(*_: object) -> None:
        raise Interrupted

    monkeypatch.setattr(where, interrupt)
    with pytest.raises(Interrupted):
        write_atomic(file, "new\n")
    assert os.listdir(tmp_path) == ["file"]  # noqa: PTH208 (Path is what was patched)
    assert file.read_text() == OLD


def test_several_files_are_all_on_the_disk_before_the_first_is_renamed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {tmp_path / name: f"new {name}\n" for name in ("a", "b", "c")}
    for path in files:
        path.write_text(OLD)
    fsync, calls = os.fsync, []

    def third_fails(handle: int) -> None:
        calls.append(handle)
        if len(calls) == 3:
            raise OSError(28, "No space left on device")
        fsync(handle)

    monkeypatch.setattr(os, "fsync", third_fails)
    with pytest.raises(LpgenError, match="c: cannot be written: no space left on device"):
        write_all_atomic(files)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"a": OLD, "b": OLD, "c": OLD}
    monkeypatch.undo()
    write_all_atomic(files)
    assert {path: path.read_text() for path in tmp_path.iterdir()} == files


def _heed_sigint() -> None:
    """What a shell runs in the background ignores it, and so would its children."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_killed_emits_leave_the_old_file_or_the_new_one(lpgen: Here) -> None:
    assert lpgen("emit", "--out", "file").code == 0
    new = Path("file").read_text()
    Path("file").write_text(OLD)
    env = environment()
    seen = set()
    for step in range(8):
        emit = subprocess.Popen(
            [*LPGEN, "emit", "--out", "file"], env=env, stderr=subprocess.DEVNULL, preexec_fn=_heed_sigint
        )
        time.sleep(0.03 * step)
        emit.send_signal(signal.SIGKILL if step % 2 else signal.SIGINT)
        emit.wait(60)
        seen.add(Path("file").read_text())
    assert OLD in seen
    assert seen <= {OLD, new}


def test_new_file_has_the_mode_that_the_umask_gives(lpgen: Here) -> None:
    before = os.umask(0o027)
    try:
        assert lpgen("emit", "--out", "new.S").code == 0
    finally:
        os.umask(before)
    assert Path("new.S").stat().st_mode & 0o777 == 0o640


def test_mode_of_the_old_file_is_kept(lpgen: Here) -> None:
    Path("old.S").write_text(OLD)
    Path("old.S").chmod(0o604)
    assert lpgen("emit", "--out", "old.S").code == 0
    assert Path("old.S").stat().st_mode & 0o777 == 0o604
    assert Path("old.S").read_text() != OLD


def test_symbolic_link_stays_and_its_file_is_written(lpgen: Here) -> None:
    Path("real").mkdir()
    Path("real/file.S").write_text(OLD)
    Path("link.S").symlink_to("real/file.S")
    Path("dangling.S").symlink_to("real/new.S")
    for name in ("link.S", "dangling.S"):
        assert lpgen("emit", "--out", name).code == 0
        assert Path(name).is_symlink()
    assert Path("real/file.S").read_text() == Path("real/new.S").read_text() != OLD
    assert sorted(path.name for path in Path("real").iterdir()) == ["file.S", "new.S"]


def test_loop_of_symbolic_links(lpgen: Here) -> None:
    Path("a").symlink_to("b")
    Path("b").symlink_to("a")
    assert "a: cannot be written: too many levels of symbolic links" in lpgen("emit", "--out", "a").error_line
    assert Path("a").readlink() == Path("b")


def test_standard_output_under_each_of_its_names(lpgen: Here) -> None:
    assert lpgen("emit", "--out", "file").code == 0
    text = Path("file").read_text()
    for name in ("-", "/dev/stdout"):
        ran = program("emit", "--out", name, cwd=lpgen.directory)
        assert (ran.code, ran.out, ran.err) == (0, text, "")


def test_dev_null_stays_a_device(lpgen: Here) -> None:
    assert lpgen("emit", "--out", "/dev/null").code == 0
    assert Path("/dev/null").is_char_device()


def test_named_pipe_is_written_to(lpgen: Here) -> None:
    os.mkfifo("pipe")
    with subprocess.Popen(["cat", "pipe"], stdout=subprocess.PIPE, text=True) as reader:
        assert lpgen("emit", "--out", "pipe").code == 0
        assert reader.communicate(timeout=60)[0].count("\n") > 200
    assert Path("pipe").is_fifo()


@pytest.mark.parametrize(
    "args",
    [
        ["emit", "--out", "-"],
        ["verify", "--callers", "3"],
        ["verify", "--callers", "3", "--json"],
        ["doctor"],
        ["diff", "4.7", "6.18"],
    ],
)
def test_reader_that_goes_away(tmp_path: Path, args: list[str]) -> None:
    read, write = os.pipe()
    os.close(read)
    ran = subprocess.run(
        [*LPGEN, *args], cwd=tmp_path, env=environment(), stdout=write, stderr=subprocess.PIPE, timeout=120, check=False
    )
    os.close(write)
    assert (ran.returncode, ran.stderr) == (BROKEN_PIPE, b"")


@pytest.mark.parametrize("args", [["emit", "--out", "-"], ["verify", "--callers", "3"], ["doctor"], ["--help"]])
def test_full_standard_output(tmp_path: Path, args: list[str]) -> None:
    with Path("/dev/full").open("wb") as full:
        ran = subprocess.run(
            [*LPGEN, *args],
            cwd=tmp_path,
            env=environment(PYTHONUNBUFFERED="1"),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=120,
            check=False,
        )
    assert ran.returncode == 2
    assert ran.stderr.count("\n") == 1
    assert "no space left on device" in ran.stderr


@pytest.mark.parametrize("delay", [0.3, 0.6, 1.0])
def test_ctrl_c_stops_verify_with_one_line(tmp_path: Path, delay: float) -> None:
    verify = subprocess.Popen(
        [*LPGEN, "verify", "--callers", "200000"],
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    # Python and click are not yet loaded for some time; before that Ctrl-C ends Python its own way.
    time.sleep(delay)
    _wait_for_unicorn(verify.pid)
    verify.send_signal(signal.SIGINT)
    out, err = verify.communicate(timeout=60)
    assert (verify.returncode, out, err) == (INTERRUPTED, "", "lpgen: stopped\n")


def _wait_for_unicorn(pid: int) -> None:
    for _ in range(600):
        if "unicorn" in Path(f"/proc/{pid}/maps").read_text():
            return
        time.sleep(0.05)
    pytest.fail("verify does not load the emulator")
