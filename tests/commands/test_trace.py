"""`lpgen trace`: the options that name a call, the views, the exit codes."""

from __future__ import annotations

import json
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lpgen.api import trampolines
from lpgen.contract.replay import Replay, code_hash, replay_text
from lpgen.machine.values import Values
from tests.commands.tools import LPGEN, Here, environment, program
from tests.contract.must_fail import ALL

WORDS = next(wrong for wrong in ALL if wrong.name == "caller_compares_words")
NIP = 0xC000010000040848
ONE = "exclude each other; leave one out"


@pytest.mark.parametrize(
    ("args", "line"),
    [
        (["--json", "--perfetto", "x"], f"--json and --perfetto {ONE}"),
        (["--perfetto", ""], "--perfetto names no file; give a file's name, or - for standard output"),
        (["--json", "--unfold"], "--unfold is for the text and --svg; leave out --unfold, or --json"),
        (["--perfetto", "x", "--values"], "--values is for the text and --svg; leave out --values, or --perfetto"),
        (["--gdb", "0", "--values"], "--values is for the text and --svg; leave out --values, or --gdb"),
        (["--gdb", "65536"], "lpgen trace: Invalid value for '--gdb': 65536 is not in the range 0<=x<=65535; "),
        (["--seed", f"{1 << 64}"], f"--seed {1 << 64}: more than 64 bits; give a smaller number"),
        (["--plan", "void f()", "--only", "1"], f"--plan and --only {ONE}"),
        (["--plan", "void f()", "--replay", "x"], f"--plan and --replay {ONE}"),
        (["--plan", "void f()", "--patched"], f"--plan and --patched {ONE}"),
        (["--plan", "void f()", "--seed", "3"], f"--plan and --seed {ONE}"),
        (["--only", "1", "--caller", "void f(void)"], f"--only and --caller {ONE}"),
        (["--only", "1", "--interrupt-at", "3"], f"--only and --interrupt-at {ONE}"),
        (["--at", "3:frame"], "--at interrupts the caller of --only; add --only N, or use --interrupt-at"),
        (["--replay", ""], "--replay names no file; give a file that `lpgen prove` wrote"),
        (
            ["--through", "mcount"],
            "--through mcount: no call site of kernel 4.7 leads there; there is only ftrace_caller",
        ),
        (["--only", "1", "--at", "3"], "--at '3': not a boundary; write N:MODE, MODE one of frame, calls, switch"),
        (
            ["--interrupt-at", "0"],
            "--interrupt-at '0': not a boundary; write N or N:MODE, MODE one of frame, calls, switch",
        ),
        (["--interrupt-at", "x:calls"], "--interrupt-at 'x:calls': not a boundary; "),
        (["--interrupt-at", "3:now"], "--interrupt-at '3:now': not a boundary; "),
        (["--interrupt-at", "3:"], "--interrupt-at '3:': not a boundary; "),
        (["--interrupt-at", ""], "--interrupt-at '': not a boundary; "),
        (
            ["--interrupt-at", "9999"],
            "--interrupt-at 9999: the call executes fewer instructions; give a lower boundary",
        ),
        (
            ["--interrupt-at", "9999", "--gdb", "0"],
            "--interrupt-at 9999: the call executes fewer instructions; give a lower boundary",
        ),
        (["--only", "1", "--at", "9999:frame"], "--at 9999:frame: the call executes fewer instructions; "),
        (["--caller", "int f(int"], "--caller, column 6: '(' is not closed; add ')'"),
        (["--caller", ""], "--caller"),
        (["--through", ""], "--through : no call site"),
        (["--config", "CONFIG_LIVEPATCH=n", "--patched"], "--patched: kernel 4.7 has no livepatch with these options"),
        (
            ["--kernel", "4.18", "--through", "ftrace_caller", "--patched"],
            "--patched: ftrace_caller of kernel 4.18 leads to no livepatch; leave out --through or --patched",
        ),
        (
            ["--kernel", "6.12", "--through", "_mcount", "--patched"],
            "--patched: _mcount of kernel 6.12 leads to no livepatch; leave out --through or --patched",
        ),
        (["none.S"], "none.S: cannot be read: no such file"),
    ],
)
def test_a_wrong_option_is_one_line(lpgen: Here, args: list[str], line: str) -> None:
    assert lpgen("trace", *args).error_line.removeprefix("lpgen: ").startswith(line)
    assert lpgen.tree() == {}


@pytest.mark.parametrize(
    ("version", "there"),
    [
        ("4.7", ["ftrace_caller"]),
        ("5.18", ["ftrace_regs_caller", "ftrace_caller"]),
        ("6.12", ["ftrace_regs_caller", "ftrace_caller", "_mcount"]),
    ],
)
def test_through_leads_where_it_says(lpgen: Here, version: str, there: list[str]) -> None:
    for symbol in there:
        ran = lpgen("trace", "--kernel", version, "--through", symbol, "--json")
        events = json.loads(ran.out)["events"]
        first = next(e["symbol"] for e in events if e.get("origin") == "trampolines")
        # _mcount and mcount are one address.
        assert first.removeprefix("_") == symbol.removeprefix("_")
    line = lpgen("trace", "--kernel", version, "--through", "ftrace_call").error_line
    assert line.endswith(", ".join(there))


def test_a_prototype_with_an_error_says_where(lpgen: Here) -> None:
    line = lpgen("trace", "--caller", "int f(int, flaot)").error_line
    assert "--caller" in line
    assert "column 12" in line


@pytest.mark.parametrize("mode", ["", ":frame", ":calls", ":switch"])
def test_an_interrupt_comes_where_it_is_said_to(lpgen: Here, mode: str) -> None:
    ran = lpgen("trace", "--kernel", "6.12", "--patched", "--interrupt-at", f"7{mode}", "--json")
    document = json.loads(ran.out)
    assert ran.code == 0
    (at,) = (n for n, event in enumerate(document["events"]) if event["kind"] == "interrupt")
    before = [event for event in document["events"][:at] if event.get("origin") == "trampolines"]
    assert len(before) == 6
    assert document["events"][at]["address"] == hex(int(before[-1]["address"], 16) + 4)
    assert len({event["thread"] for event in document["events"]}) == 1 + (mode == ":switch")
    assert sum(e["kind"] == "call" for e in document["events"]) == 1 + (mode in (":calls", ":switch"))


def test_the_command_shows_the_same_again(lpgen: Here) -> None:
    for args in (["--patched", "--seed", "7"], ["--only", "3", "--at", "30:frame", "--kernel", "6.12"], []):
        ran = lpgen("trace", *args)
        assert (ran.code, ran.err) == (0, "")
        again = next(line for line in ran.out.splitlines() if line.startswith("  lpgen trace "))
        assert lpgen(*shlex.split(again)[1:]).out == ran.out


def test_a_broken_call_is_exit_code_1_and_marked(lpgen: Here) -> None:
    Path("wrong.S").write_text(WORDS.text())
    ran = lpgen("trace", "wrong.S", "--plan", "long f(long) seed=3 nip=patch twin")
    assert (ran.code, ran.err) == (1, "")
    assert "^^^ X3 BROKEN at C's entry: where it went" in ran.out
    assert ran.out.splitlines()[-1].startswith("BROKEN in this call: X3")
    assert "wrong.S" in ran.out
    line = next(n for n, text in enumerate(WORDS.text().splitlines(), 1) if "bne" in text and "livepatch" in text)
    assert any(f" {line}  bne" in shown for shown in ran.out.splitlines())


def test_a_counterexample_of_prove_is_shown(lpgen: Here) -> None:
    Path("wrong.S").write_text(WORDS.text())
    unit = trampolines(WORDS.kernel, source="wrong.S")
    replay = Replay("X3", "C is entered", code_hash(unit), "void f() seed=3 nip=patch", Values(nip=NIP))
    Path("x3.json").write_text(replay_text(replay))
    ran = lpgen("trace", "wrong.S", "--replay", "x3.json")
    assert (ran.code, ran.err) == (1, "")
    assert "X3 BROKEN" in ran.out
    assert "\n  lpgen trace wrong.S --kernel 4.7 --replay x3.json\n" in ran.out
    assert lpgen("trace", "--replay", "x3.json").error_line.startswith("lpgen: x3.json: was made for other code")


def test_an_object_is_the_same_call(lpgen: Here) -> None:
    lpgen("emit", "--out", "mine.S")
    assert lpgen("assemble", "mine.S", "--format", "obj", "--out", "mine.o").code == 0
    text, binary = (json.loads(lpgen("trace", f"mine.{end}", "--patched", "--json").out) for end in ("S", "o"))
    same = ("kind", "address", "symbol", "registers", "r1", "livepatch_sp")
    assert [[e.get(k) for k in same] for e in text["events"]] == [[e.get(k) for k in same] for e in binary["events"]]
    assert not any("template" in event for event in binary["events"])
    assert text["events"][4]["place"].startswith("mine.S:")


def test_standard_input_is_a_file_too(tmp_path: Path) -> None:
    ran = subprocess.run(
        [*LPGEN, "trace", "-"],
        input=WORDS.text(),
        env=environment(),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "\n  lpgen trace - --kernel 4.7 --plan " in ran.stdout


def test_perfetto_is_written_and_nothing_else(lpgen: Here) -> None:
    assert (lpgen("trace", "--perfetto", "call.json").code, [*lpgen.tree()]) == (0, ["call.json"])
    ran = lpgen("trace", "--perfetto", "-")
    assert ran.out == Path("call.json").read_text()


def test_colours_are_a_terminals(tmp_path: Path) -> None:
    plain = program("trace", cwd=tmp_path)
    assert "\x1b" not in plain.out
    assert "\x1b[" in program("trace", cwd=tmp_path, FORCE_COLOR="1").out
    assert "\x1b" not in program("trace", cwd=tmp_path, FORCE_COLOR="1", NO_COLOR="1").out


def test_interrupting_the_command_is_quiet(tmp_path: Path) -> None:
    running = subprocess.Popen(
        [*LPGEN, "trace", "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env=environment(), cwd=tmp_path, text=True,
    )  # fmt: skip
    try:
        with pytest.raises(subprocess.TimeoutExpired):
            running.wait(2)
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=60)
    finally:
        running.kill()
    assert out == ""
    assert "Traceback" not in err
    assert running.returncode != 0


@pytest.mark.parametrize("args", [["--help"], ["emit"], ["kernels"]])
def test_no_other_command_loads_it(args: list[str], tmp_path: Path) -> None:
    code = (
        "import sys; from lpgen.cli import run; run(sys.argv[1:])\n"
        "print([m for m in sys.modules if m.startswith('lpgen.trace') or m == 'lpgen.commands.trace'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *args], cwd=tmp_path, env=environment(), capture_output=True, text=True, check=True
    )
    assert done.stdout.endswith("[]\n")
