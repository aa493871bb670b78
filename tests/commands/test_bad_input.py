"""Bad input: one line that says what, where and what to do, exit code 2, and nothing written."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.commands.tools import Here

OLD = "the old file\n"


@pytest.fixture
def bad(lpgen: Here) -> Here:
    """lpgen among files that it must not touch, and files that are no good to it."""
    where = lpgen.directory
    (where / "old").write_text(OLD)
    (where / "dir").mkdir()
    (where / "empty").write_bytes(b"")
    (where / "binary").write_bytes(b"\x7fELF\x02\x00\xff\xfe")
    (where / "word.h").write_text("#define GPR0 x\n")
    (where / "broken.toml").write_text("version = 1\nGPR0 = [\n")
    (where / "unknown.toml").write_text(
        'version = 1\n[offsets]\nGPRO = {value = 112, struct = "pt_regs", field = "x"}\n'
    )
    (where / "few.h").write_text("#define GPR0 112\n")
    (where / "unrelated").mkdir()
    (where / "unrelated" / "notes.txt").write_text("x")
    (where / "misspelt").mkdir()
    (where / "misspelt" / "livepatch_handlr.S.j2").write_text("x")
    return lpgen


COMMAND_LINES = [
    # what is asked for, what the line has to say
    (["emit", "--kernel", "4.6"], ["kernel 4.6", "came with 4.7", "use --kernel 4.7"]),
    (["emit", "--kernel", "nonsense"], ["'nonsense' is not a kernel version", "give it as 4.7"]),
    (["emit", "--kernel", ""], ["'' is not a kernel version"]),
    (["verify", "--kernel", "4.6"], ["came with 4.7"]),
    (["emit", "--config", "CONFIG_FOO=y"], ["CONFIG_FOO is not an option", "CONFIG_LIVEPATCH"]),
    (["emit", "--config", "CONFIG_LIVEPATCHH=y"], ["did you mean CONFIG_LIVEPATCH?"]),
    (["emit", "--config", "CONFIG_LIVEPATCH"], ["--config 'CONFIG_LIVEPATCH'", "write CONFIG_NAME=y"]),
    (["emit", "--config", "CONFIG_LIVEPATCH=m"], ["--config 'CONFIG_LIVEPATCH=m'", "write CONFIG_NAME=y"]),
    (["emit", "--config", "missing.config"], ["--config 'missing.config'", "neither a setting nor a file"]),
    (["emit", "--config", ""], ["--config ''", "name a kernel's .config"]),
    (["emit", "--config", "dir"], ["dir: cannot be read: is a directory"]),
    (["emit", "--config", "binary"], ["binary: is a binary file, not a .config"]),
    (["emit", "--config", "old"], ["old:1: 'the old file' is not a line of a .config"]),
    (["emit", "--kernel", "6.13", "--config", "CONFIG_PPC_FTRACE_OUT_OF_LINE=7"], ["it is on or off"]),
    (
        ["emit", "--kernel", "6.13", "--config", "CONFIG_PPC_FTRACE_OUT_OF_LINE_NUM_RESERVE=n"],
        ["it takes a number", "give one from 1 to"],
    ),
    (["emit", "--ifdef", "--style", "standalone"], ["no kernel configuration for #ifdef", "use --style kernel"]),
    (["emit", "--diff", "missing"], ["missing: cannot be read: no such file"]),
    (["emit", "--diff", "empty"], ["empty: is empty"]),
    (["emit", "--diff", "binary"], ["binary: is a binary file"]),
    (["emit", "--diff", "dir"], ["dir: cannot be read: is a directory"]),
    (["emit", "--diff", ""], ["--diff names no file"]),
    (["emit", "--diff", "old", "--out", "x"], ["--diff writes nothing", "leave out --out"]),
    (["emit", "--diff", "old", "--all"], ["--diff writes nothing", "leave out --all"]),
    (["kernels", "4.6"], ["kernel 4.6 has no livepatch on ppc64le", "came with 4.7"]),
    (["kernels", "nonsense"], ["'nonsense' is not a kernel version"]),
    (["kernels", ""], ["'' is not a kernel version"]),
    (["kernels", "6.1", "6.2"], ["unexpected extra argument (6.2)"]),
    (["kernels", "--config", "CONFIG_LIVEPATCH=n"], ["--config is for one kernel", "name its version"]),
    (["kernels", "6.1", "--config", "CONFIG_FOO=y"], ["CONFIG_FOO is not an option of generation G7"]),
    (["diff", "6.1"], ["Missing argument 'NEW'", "see lpgen diff --help"]),
    (["diff", "6.1", "4.6"], ["kernel 4.6 has no livepatch on ppc64le"]),
    (["diff", "x", "6.1"], ["'x' is not a kernel version"]),
    (["diff", "6.1", "6.2", "--part", "all"], ["'all' is not one of 'contract', 'offsets', 'code'"]),
    (["diff", "6.1", "6.2", "--config", "CONFIG_FOO=y"], ["CONFIG_FOO is not an option of 6.1 or 6.2", "they have"]),
    (["diff", "6.1", "6.2", "--config", "CONFIG_LIVEPATHC=y"], ["did you mean CONFIG_LIVEPATCH?"]),
    (["diff", "6.1", "6.2", "--config", "binary"], ["binary: is a binary file, not a .config"]),
    (["emit", "--config", "=y"], ["--config '=y'", "write CONFIG_NAME=y"]),
    (["emit", "--offsets", "missing"], ["missing: there is no such file", "asm-offsets.h"]),
    (["emit", "--offsets", "empty"], ["empty: is empty"]),
    (["emit", "--offsets", "binary"], ["binary: is a binary file"]),
    (["emit", "--offsets", "dir"], ["dir: is a directory"]),
    (["emit", "--offsets", "word.h"], ["word.h:1: GPR0", "not a number"]),
    (["emit", "--offsets", "broken.toml"], ["broken.toml:2: not valid TOML"]),
    (["emit", "--offsets", "unknown.toml"], ["unknown.toml", "GPRO"]),
    (["emit", "--offsets", "few.h"], ["few.h: missing:", "SWITCH_FRAME_SIZE"]),
    (["emit", "--offsets", ""], ["--offsets names no file"]),
    (["verify", "--offsets", "binary"], ["binary: is a binary file"]),
    (["emit", "--templates", "missing"], ["missing: is not a directory"]),
    (["emit", "--templates", "old"], ["old: is not a directory"]),
    (["emit", "--templates", ""], ["--templates names no directory"]),
    (["emit", "--templates", "unrelated"], ["unrelated: holds no template that lpgen uses", "entry_64.S.j2"]),
    (["emit", "--templates", "misspelt"], ["livepatch_handlr.S.j2", "did you mean livepatch_handler.S.j2?"]),
    (["emit", "--out", "missing/x"], ["missing/x: cannot be written", "make the directory first"]),
    (["emit", "--out", "old/x"], ["old/x: cannot be written: not a directory"]),
    (["emit", "--out", "dir"], ["dir: is a directory", "name a file"]),
    (["emit", "--out", "/proc/lpgen"], ["/proc/lpgen: cannot be written"]),
    (["emit", "--out", "/dev/full"], ["/dev/full: cannot be written: no space left on device"]),
    (["emit", "--out", ""], ["--out names no file"]),
    (["emit", "--out", "x" * 300], ["cannot be written: file name too long"]),
    (["emit", "--all", "--out", "x"], ["use --out-dir with --all"]),
    (["emit", "--out-dir", "x"], ["--out-dir is for --all"]),
    (["emit", "--all", "--out-dir", ""], ["--out-dir names no directory"]),
    (["emit", "--all", "--out-dir", "old"], ["old: is a file, not a directory"]),
    (["emit", "--all", "--out-dir", "old/x"], ["old/x: cannot be made: not a directory"]),
    (["emit", "--all", "--out-dir", "/proc/lpgen"], ["/proc/lpgen: cannot be made"]),
    (["emti"], ["no such command 'emti'", "did you mean 'emit'?"]),
    (["frobnicate"], ["no such command 'frobnicate'", "see lpgen --help"]),
    (["--nope"], ["No such option '--nope'", "see lpgen --help"]),
    (["emit", "--kernal", "4.7"], ["lpgen emit: No such option '--kernal'", "Did you mean", "--kernel"]),
    (["emit", "--qqq"], ["No such option '--qqq'", "see lpgen emit --help"]),
    (["emit", "--kernel"], ["Option '--kernel' requires an argument"]),
    (["emit", "old"], ["unexpected extra argument (old)", "see lpgen emit --help"]),
    (["emit", "--style", "gas"], ["'gas' is not one of 'kernel', 'standalone'"]),
    (["verify", "--callers", "0"], ["--callers", "0 is not in the range"]),
    (["verify", "--callers", "-5"], ["--callers", "-5 is not in the range"]),
    (["verify", "--callers", "many"], ["--callers", "'many' is not a valid number"]),
    (["verify", "--seed", "x"], ["--seed", "'x' is not a valid number"]),
    (["verify", "--only", "-1"], ["--only", "-1 is not in the range"]),
    (["verify", "--only", "3", "--callers", "4"], ["--only and --callers exclude each other"]),
    (["doctor", "x"], ["unexpected extra argument (x)"]),
]


@pytest.mark.parametrize(("args", "says"), COMMAND_LINES, ids=lambda value: " ".join(value)[:60])
def test_one_line_and_nothing_written(bad: Here, args: list[str], says: list[str]) -> None:
    before = bad.tree()
    line = bad(*args).error_line
    for part in says:
        assert part in line
    assert bad.tree() == before


@pytest.mark.parametrize("value", ["4.6", "nonsense"])
def test_the_old_file_stays(bad: Here, value: str) -> None:
    assert bad("emit", "--kernel", value, "--out", "old").error_line
    assert (bad.directory / "old").read_text() == OLD


def test_out_that_is_a_file_where_the_default_directory_goes(bad: Here) -> None:
    (bad.directory / "out").write_text("a file")
    assert "out: is a file, not a directory" in bad("emit").error_line
    assert (bad.directory / "out").read_text() == "a file"


def test_all_writes_nothing_when_one_file_cannot_be_written(bad: Here) -> None:
    (bad.directory / "change" / "livepatch.h").mkdir(parents=True)
    (bad.directory / "change" / "entry_64.S").write_text(OLD)
    before = bad.tree()
    assert "change/livepatch.h: is a directory" in bad("emit", "--all", "--out-dir", "change").error_line
    assert bad.tree() == before


# A template of one's own, and what lpgen says of it after its name.
TEMPLATES = {
    "syntax": ("a\n{% if %}\n", ":2: template syntax: Expected an expression"),
    "unknown tag": ("a\n\n{% iff x %}\n", ":3: template syntax: Encountered unknown tag 'iff'"),
    "block left open": ("{% block x %}\n", ":1: template syntax: Unexpected end of template"),
    "unknown filter": ("a\n{{ 1 | hexx }}\n", ":2: template syntax: No filter named 'hexx'"),
    "undefined": ("a\n{{ nope }}\n", ":2: undefined name: 'nope' is undefined"),
    "undefined in a condition": ("a\n{% if nope %}{% endif %}\n", ":2: undefined name: 'nope' is undefined"),
    "undefined attribute": ("a\n\n{{ kernel.nope }}\n", ":3: undefined name:"),
    "undefined offset": ('{{ offsets["NOPE"] }}\n', ":1: undefined name:"),
    "undefined in a macro": (
        "{% macro m(x) %}\n\n{{ x.nope.y }}\n{% endmacro %}\n{{ m(1) }}\n",
        ":3: undefined name:",
    ),
    "undefined in a block override": (
        '{% extends "lpgen/livepatch_handler.S.j2" %}\n{% block pop %}\n\tblr\n{{ nope }}\n{% endblock %}\n',
        ":4: undefined name: 'nope' is undefined",
    ),
    "missing include": ('\n{% include "other.j2" %}\n', ":2: template 'other.j2' not found"),
    "include outside": ('{% include "../old" %}\n', ":1: template '../old' not found"),
    "includes itself": ('a\n{% include "livepatch_handler.S.j2" %}\n', ":2: templates or macros that use each other"),
    "extends itself": ('{% extends "livepatch_handler.S.j2" %}\n', ":1: templates or macros that use each other"),
    "recursive macro": (
        "{% macro m() %}\n{{ m() }}\n{% endmacro %}\n{{ m() }}\n",
        ":2: templates or macros that use each other",
    ),
    "division by zero": ("a\n{{ 1 // 0 }}\n", ":2: ZeroDivisionError"),
    "empty list": ("a\n{{ [].pop() }}\n", ":2: IndexError"),
    "bad call": ("{{ gpr(1, 2, 3) }}\n", ":1: TypeError"),
}


@pytest.mark.parametrize("name", TEMPLATES)
@pytest.mark.parametrize("command", ["emit", "verify"])
def test_a_template_of_ones_own_is_named_with_its_line(bad: Here, name: str, command: str) -> None:
    text, says = TEMPLATES[name]
    own = bad.directory / "own"
    own.mkdir()
    (own / "livepatch_handler.S.j2").write_text(text)
    before = bad.tree()
    line = bad(command, "--templates", "own", *(["--out", "old"] if command == "emit" else [])).error_line
    assert line.startswith(f"lpgen: own/livepatch_handler.S.j2{says}")
    assert bad.tree() == before


def test_undefined_name_inside_an_include_of_ones_own(bad: Here) -> None:
    own = bad.directory / "own"
    own.mkdir()
    (own / "livepatch_handler.S.j2").write_text('x\n{% include "part.j2" %}\n')
    (own / "part.j2").write_text("\n\n{{ nope }}\n")
    assert bad("emit", "--templates", "own").error_line.startswith("lpgen: own/part.j2:3: undefined name: 'nope'")


def test_template_that_is_not_utf8(bad: Here) -> None:
    own = bad.directory / "own"
    own.mkdir()
    (own / "livepatch_handler.S.j2").write_bytes(b"nop\n\xff\xfe\n")
    assert bad("emit", "--templates", "own").error_line.startswith("lpgen: own/livepatch_handler.S.j2: is not UTF-8")


def test_templates_that_give_no_assembly_are_refused_by_verify_with_template_and_line(bad: Here) -> None:
    own = bad.directory / "own"
    own.mkdir()
    (own / "livepatch_handler.S.j2").write_text(
        '{% extends "lpgen/livepatch_handler.S.j2" %}\n{% block pop %}\n\tfrobnicate r1\n{% endblock %}\n'
    )
    line = bad("verify", "--templates", "own").error_line
    assert "frobnicate" in line
    assert "own/livepatch_handler.S.j2:3" in line


def test_a_name_that_cannot_stand_in_the_banner(bad: Here) -> None:
    own = Path("two\nlines")
    own.mkdir()
    (own / "livepatch_handler.S.j2").write_text("\tblr\n")
    assert "cannot stand in a comment" in bad("emit", "--templates", str(own), "--out", "old").error_line
    assert Path("old").read_text() == OLD
