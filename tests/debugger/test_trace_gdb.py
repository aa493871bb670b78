"""`lpgen trace --gdb` as a person runs it: what it says, Ctrl-C, a port that is taken."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lpgen.debugger.connection import listen
from tests.debugger.served import GDB, SECONDS, Client, needs_gdb

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "lpgen", "trace"]


@contextmanager
def traced(*options: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A command that waits for gdb, and its port."""
    command = [*COMMAND, *options, "--gdb", "0"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            match = re.fullmatch(r"gdb-multiarch -ex 'target remote 127\.0\.0\.1:(\d+)'\n", process.stdout.readline())
            assert match is not None
            yield process, int(match[1])
        finally:
            process.kill()


def test_a_call_is_traced() -> None:
    with traced("--patched", "--kernel", "6.12") as (process, port), Client(port) as client:
        assert client.ask(b"?").startswith(b"T05")
        assert client.ask(b"c") == b"W00"
        client.socket.close()
        assert process.communicate(timeout=SECONDS) == ("the call returned to A\n", "")
        assert process.returncode == 0


@needs_gdb
def test_lines_of_a_file_that_was_handed_in(tmp_path: Path) -> None:
    file = tmp_path / "mine.S"
    file.write_text((ROOT / "tests" / "golden" / "G1-4.7.S").read_text())
    with traced(str(file), "--patched") as (process, port):
        commands = (f"target remote 127.0.0.1:{port}", "break livepatch_handler", "continue", "detach")
        given = [word for command in commands for word in ("-ex", command)]
        done = subprocess.run(
            [GDB, "-nx", "-batch", *given], capture_output=True, text=True, timeout=SECONDS, check=False
        )
        assert process.communicate(timeout=SECONDS) == ("gdb detached\nthe call returned to A\n", "")
    match = re.search(r"Breakpoint 1, livepatch_handler \(\) at (.*):(\d+)\n(\d+)\s(.*)\n", done.stdout)
    assert match is not None, done.stdout
    assert match[1] == str(file)
    assert file.read_text().splitlines()[int(match[2]) - 1].strip() == match[4].strip()


@pytest.mark.parametrize("attached", [False, True])
def test_ctrl_c(attached: bool) -> None:
    with traced() as (process, port):
        client = Client(port) if attached else None
        if client is not None:
            assert client.ask(b"qC") == b"QC1"
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=SECONDS)
        assert process.returncode == 130
        assert "Traceback" not in error
        if client is not None:
            client.socket.close()


def test_a_taken_port_and_what_excludes_it() -> None:
    with listen(0) as listener:
        taken = str(listener.getsockname()[1])
        for options, said in (
            (
                ["--gdb", taken],
                f"lpgen: port {taken}: address already in use; give another port, or 0 for any that is free\n",
            ),
            (["--gdb", "0", "--json"], "lpgen: --json and --gdb exclude each other; leave one out\n"),
        ):
            done = subprocess.run(
                [*COMMAND, *options], cwd=ROOT, capture_output=True, text=True, timeout=SECONDS, check=False
            )
            assert (done.returncode, done.stdout, done.stderr) == (2, "", said)
