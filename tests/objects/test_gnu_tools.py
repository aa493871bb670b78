"""What GNU's tools say and leave, whatever they are: one line at the person's own place, and nothing behind."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from lpgen.api import assemble_text, trampolines, verify
from lpgen.assembly import How, gnu
from lpgen.errors import LpgenError
from lpgen.kernel.generations import kernel
from tests.commands.tools import LPGEN, Here, environment
from tests.emitted.emitted_build import needs_gnu

KERNEL = kernel("6.12")


def stand_in(directory: Path, monkeypatch: pytest.MonkeyPatch, script: str, name: str = "as") -> None:
    """Put a shell script for a tool into a directory of PATH; REAL is the tool."""
    tool = gnu.tool(name)
    bin_ = directory / "bin"
    bin_.mkdir()
    path = bin_ / f"{gnu.PREFIX}{name}"
    path.write_text(f"#!/bin/sh\nREAL={tool}\n{script}\n")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{bin_}:{os.environ['PATH']}")
    gnu.version.cache_clear()


@needs_gnu
@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("exit 0", "but left no object: No such file or directory"),
        ("mkdir text.o", "but left no object: Is a directory"),
        (": > text.o", "is not an ELF file"),
        ("exit 3", "GNU as: it said nothing"),
        ("echo 'own.S: Assembler messages:' >&2; exit 1", "GNU as: it said nothing"),
        ("kill -KILL $$", "died of signal 9"),
    ],
)
def test_a_tool_that_fails(script: str, said: str, here: Here, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(tmp_path, monkeypatch, script)
    (tmp_path / "own.S").write_text("nop\n")
    line = here("verify", "own.S", "--assembler", "gnu").error_line
    assert line.startswith("lpgen: own.S: ")
    assert said in line


@needs_gnu
@pytest.mark.parametrize("script", ["kill -INT $$", "exit 130", "kill -INT $PPID; sleep 1; exit 0"])
def test_a_tool_that_ctrl_c_ended(script: str, here: Here, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(tmp_path, monkeypatch, script)
    (tmp_path / "own.S").write_text("nop\n")
    ran = here("verify", "own.S", "--assembler", "gnu")
    assert (ran.code, ran.out, ran.err) == (130, "", "lpgen: stopped\n")


@needs_gnu
def test_a_wrapper_in_path_finds_its_tools(here: Here, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(tmp_path, monkeypatch, 'exec helper "$REAL" "$@"')
    (tmp_path / "bin" / "helper").write_text('#!/bin/sh\nexec "$@"\n')
    (tmp_path / "bin" / "helper").chmod(0o755)
    assert assemble_text(KERNEL, "nop\n", "x.S", How("gnu")).sections[".text"].size == 4
    monkeypatch.setenv("PATH", f"bin:{os.environ['PATH'].partition(':')[2]}")
    assert assemble_text(KERNEL, "nop\n", "x.S", How("gnu")).sections[".text"].size == 4


@needs_gnu
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("\tb\t1f\n", 'u.S: GNU as: local label `"1" (instance number 1 of a fb label)\' is not defined'),
        ("\t.cfi_startproc\n", "u.S: GNU as: open CFI at the end of file; missing .cfi_endproc directive"),
        ("\t.if 1\n", "u.S: GNU as: end of file inside conditional"),
        ("\t.rept 2\n", "u.S:2: GNU as: REPT without ENDR"),
        ('\n\t.include "nosuch.s"\n', "u.S:2: GNU as: can't open nosuch.s for reading: No such file or directory"),
        ('\t.include "inc.s"\n', "dir/inc.s:2: GNU as: unrecognized opcode: `nonsense'"),
        ('\t.include "beside.s"\n', "beside.s:1: GNU as: unrecognized opcode: `nonsense'"),
    ],
)
def test_errors_have_the_persons_place(text: str, said: str, here: Here, tmp_path: Path) -> None:
    (tmp_path / "u.S").write_text(text)
    (tmp_path / "dir").mkdir()
    (tmp_path / "dir" / "inc.s").write_text("\tnop\n\tnonsense\n")
    (tmp_path / "beside.s").write_text("\tnonsense\n")
    assert here("verify", "u.S", "--assembler", "gnu", "-I", "dir").error_line == f"lpgen: {said}"


@needs_gnu
@pytest.mark.parametrize("cpp", [False, True])
def test_places_in_included_files_are_as_the_person_wrote_them(
    cpp: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dir").mkdir()
    for name in ("dir/inc.s", "beside.s"):
        (tmp_path / name).write_text("\tnop\n\tbl\tnowhere\n")
    for directive in ("\t.include ", "#include "):
        text = f'{directive}"inc.s"\n{directive}"beside.s"\n'
        (tmp_path / "u.S").write_text(text)
        section = assemble_text(KERNEL, text, "u.S", How("gnu", cpp=cpp, include_dirs=("dir",))).sections[".text"]
        wanted = ["dir/inc.s:1", "dir/inc.s:2", "beside.s:1", "beside.s:2"]
        assert [str(line.place) for line in section.lines] == wanted, directive
        assert [str(r.place) for r in section.relocations] == wanted[1::2], directive


@needs_gnu
def test_gccs_complaints_are_gccs(here: Here, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "u.S").write_text("\n#include <no/such.h>\n")
    assert here("verify", "u.S", "--cpp").error_line == "lpgen: u.S:2: gcc: no/such.h: No such file or directory"
    stand_in(tmp_path, monkeypatch, "echo 'gcc: internal compiler error' >&2; exit 4", "gcc")
    assert here("verify", "u.S", "--cpp").error_line == "lpgen: u.S: gcc: gcc: internal compiler error"


def test_what_is_for_text_is_refused_for_an_object(here: Here, tmp_path: Path) -> None:
    from lpgen.assembly import write_object

    data = write_object(trampolines(KERNEL, style="standalone"))
    (tmp_path / "x.o").write_bytes(data)
    options = (["--cpp"], ["-I", "/tmp"], ["-D", "X"], ["--assembler", "gnu"])
    for command in ("verify", "cost"):
        for option in options:
            line = here(command, "x.o", "--kernel", "6.12", *option).error_line
            assert line == f"lpgen: x.o is an object: {option[0]} is for text"
    line = here("verify", "x.o", "--cpp", "-D", "X", "-I", "/tmp", "--assembler", "gnu").error_line
    assert line == "lpgen: x.o is an object: --assembler and --cpp and -I and -D are for text"
    assert here("assemble", "x.o", "-D", "X").error_line == "lpgen: x.o is an object: -D is for text"
    with pytest.raises(LpgenError, match="<text> is an object: --cpp is for text"):
        verify("6.12", text=data, cpp=True)


def test_an_archive(here: Here, tmp_path: Path) -> None:
    for magic in ("!<arch>\n", "!<thin>\n"):
        (tmp_path / "x.a").write_text(magic)
        for command in ("verify", "assemble"):
            line = here(command, "x.a").error_line
            assert line == "lpgen: x.a: is an archive; give the object in it: ar x takes it out"


@needs_gnu
def test_sigterm_leaves_nothing(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "own.S").write_text('.incbin "pipe"\n')
    command = [*LPGEN, "verify", "own.S", "--assembler", "gnu"]
    env = environment(TMPDIR=str(tmp_path))
    with subprocess.Popen(command, cwd=tmp_path, env=env, stderr=subprocess.PIPE, text=True) as process:
        end = time.monotonic() + 30
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        while not children.read_text() and time.monotonic() < end:
            time.sleep(0.05)
        child = int(children.read_text().split()[0])
        time.sleep(0.2)
        process.terminate()
        process.communicate(timeout=30)
    assert process.returncode == -signal.SIGTERM
    assert {path.name for path in tmp_path.iterdir()} == {"own.S", "pipe"}
    assert not re.search(
        "^State:\t[RSD]", (Path(f"/proc/{child}/status").read_text() if Path(f"/proc/{child}").exists() else ""), re.M
    )
