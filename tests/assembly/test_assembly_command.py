"""lpgen assemble, as a person calls it."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import assembly_gnu as gnu
import pytest

from lpgen.assembly import assemble
from lpgen.kernel.generations import kernel
from lpgen.source.emit import emit_source

SOURCE = """\
#include <asm/asm-offsets.h>
#include <asm/ppc_asm.h>
_GLOBAL(first)
	mflr	r0
#ifdef EXTRA
	li	r3, EXTRA
#endif
	std	r0, LRSAVE(r1)
	bl	first
	bl	far
	.data
	.quad	first
"""


def call(*arguments: str, stdin: bytes = b"", cwd: Path | None = None) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "lpgen", "assemble", *arguments]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run(command, input=stdin, capture_output=True, check=False, cwd=cwd, env=env, timeout=60)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "a.S"
    path.write_text(SOURCE)
    return path


def test_hex_of_text_with_what_is_left_on_stderr(source: Path) -> None:
    done = call("a.S", "--format", "hex", cwd=source.parent)
    assert done.returncode == 0
    assert done.stdout.decode().split() == ["7c0802a6", "f8010010", "4bfffff9", "48000001"]
    assert done.stderr.decode() == "a.S:10: left unresolved: R_PPC64_REL24 far\n"


def test_bin_and_hex_are_the_same_words(source: Path) -> None:
    data = call(str(source), "--format", "bin").stdout
    words = call(str(source), "--format", "hex").stdout.decode().split()
    assert [data[at : at + 4][::-1].hex() for at in range(0, len(data), 4)] == words


def test_stdin_and_defines(source: Path) -> None:
    done = call("-", "--format", "hex", "-D", "EXTRA=7", stdin=SOURCE.encode())
    assert done.stdout.decode().split()[1] == "38600007"
    assert b"<stdin>:10: " in done.stderr
    assert call(str(source), "--format", "hex", "-D", "EXTRA").stdout.decode().split()[1] == "38600001"


def test_listing_names_source_and_template_lines(tmp_path: Path) -> None:
    (tmp_path / "entry_64.S").write_text(emit_source(kernel("4.7")).text)
    done = call("entry_64.S", cwd=tmp_path)
    assert done.stderr == b""
    rows = done.stdout.decode().split("\n")
    assert "ftrace_caller:" in rows
    assert "livepatch_handler:" in rows
    row = next(row for row in rows if "bctrl" in row)
    assert "entry_64.S:" in row
    assert "livepatch_handler.S.j2:" in row
    assert any(row.strip() == "R_PPC64_TOC16_HA function_trace_op" for row in rows)


def test_json_holds_everything(source: Path) -> None:
    out = json.loads(call(str(source), "--format", "json").stdout)
    assert out["version"] == 1
    text, data = out["sections"]
    assert (text["name"], text["size"], data["data"]) == (".text", 16, "0000000000000000")
    assert text["lines"][1] == {
        "offset": 4,
        "word": "f8010010",
        "text": "std %r0, 16(%r1)",
        "place": f"{source}:8",
        "template": None,
    }
    assert [entry["symbol"] for entry in text["relocations"]] == ["first", "far"]
    assert {symbol["name"]: symbol["section"] for symbol in out["symbols"]} == {"first": ".text", "far": None}


@gnu.needs_gnu
def test_object_to_a_file(source: Path, tmp_path: Path) -> None:
    done = call(str(source), "--format", "obj", "--out", str(tmp_path / "a.o"))
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert gnu.read((tmp_path / "a.o").read_bytes()).relocations[".data", 0, "R_PPC64_ADDR64"] == ("first", 0)


def test_binary_goes_to_no_terminal(source: Path) -> None:
    master, slave = pty.openpty()
    command = [sys.executable, "-m", "lpgen", "assemble", str(source), "--format", "bin"]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, stdout=slave, stderr=subprocess.PIPE, check=False, env=env, timeout=60)
    os.close(slave)
    os.close(master)
    assert done.returncode == 2
    assert b"add --out FILE" in done.stderr


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b" \n\n", "is empty"),
        (b"\x7fELF\0\0", "its ELF header cannot be read"),
        (b"nop\n\xff\xfe", "is not UTF-8"),
    ],
)
def test_files_that_are_no_text(content: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / "x.S").write_bytes(content)
    done = call("x.S", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stdout == b""
    assert words in done.stderr.decode()
    assert done.stderr.decode().startswith("lpgen: x.S")
    assert done.stderr.count(b"\n") == 1


@pytest.mark.parametrize(("name", "words"), [(".", "directory"), ("gone.S", "no such file")])
def test_files_that_are_not_there(name: str, words: str, tmp_path: Path) -> None:
    done = call(name, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr.count(b"\n")) == (2, b"", 1)
    assert words in done.stderr.decode()


def test_an_error_leaves_the_old_file(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.bin"
    out.write_bytes(b"old")
    (tmp_path / "bad.S").write_text("nop\nld 3,2(1)\n")
    done = call("bad.S", "--format", "bin", "--out", "out.bin", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.decode().startswith("lpgen: bad.S:2: ")
    assert out.read_bytes() == b"old"


def test_a_missing_include_directory(source: Path) -> None:
    done = call(str(source), "-I", "/nowhere")
    assert done.returncode == 2
    assert b"-I /nowhere" in done.stderr


def test_help_shows_an_example() -> None:
    text = call("--help").stdout.decode()
    assert "lpgen assemble out/entry_64.S" in text
    assert ".text only" in text


@pytest.mark.parametrize("style", ["kernel", "standalone"])
@gnu.needs_gnu
def test_what_emit_writes_is_what_gcc_makes_of_it(style: str, tmp_path: Path) -> None:
    from test_assembly_differential import HEADERS, compare

    from lpgen.assembly import write_object
    from lpgen.assembly.kernel_text import defines, headers

    facts = kernel("4.7")
    text = emit_source(facts, style=style).text
    (tmp_path / "inc" / "asm").mkdir(parents=True)
    for name, header in headers(facts).items():
        (tmp_path / "inc" / name).write_text(header)
    macros = [f"-D{name}={value}" for name, value in defines(facts).items()]
    theirs = gnu.gcc(text, tmp_path, "e.S", "-D__ASSEMBLY__", "-DCONFIG_PPC64", *macros, "-Iinc", f"-I{HEADERS}")
    unit = assemble(text, name="e.S", headers=headers(facts), defines=defines(facts))
    compare(write_object(unit), theirs)
