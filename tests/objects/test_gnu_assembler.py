"""Kernel-style text in every style, and what GNU as takes because lpgen's own assembler does not know it."""

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
from lpgen.contract.suite import Suite
from lpgen.errors import LpgenError
from lpgen.kernel.generations import kernel
from lpgen.machine.cases import special_cases
from lpgen.source.emit import emit_source
from tests.commands.tools import LPGEN, Here, environment
from tests.emitted.emitted_build import needs_gnu

KERNEL = kernel("6.12")
TEXT = emit_source(KERNEL).text
STYLES = Path(__file__).with_name("kernel_style.S").read_text()
WAYS = [How("lpgen"), How("lpgen", cpp=True), How("gnu"), How("gnu", cpp=True)]
# A directive that lpgen does not know, and that changes nothing.
UNKNOWN = "\t.subsection 0\n"


def ids(how: How) -> str:
    return f"{how.assembler}{'-cpp' if how.cpp else ''}"


@needs_gnu
@pytest.mark.parametrize("how", WAYS, ids=ids)
def test_styles(how: How) -> None:
    """Macros, alternatives, labels, comments: the bytes do not depend on what assembled them."""
    ours, other = assemble_text(KERNEL, STYLES, "s.S", WAYS[0]), assemble_text(KERNEL, STYLES, "s.S", how)
    for name, section in ours.sections.items():
        size = section.size
        assert other.sections[name].data[:size].hex(" ", 4) == section.data.hex(" ", 4), name
    text = ours.sections[".text"]
    theirs = other.sections[".text"]
    assert [(line.offset, line.place) for line in theirs.lines] == [(line.offset, line.place) for line in text.lines]
    assert {r.offset: (r.type, r.place) for r in theirs.relocations} == {
        r.offset: (r.type, r.place) for r in text.relocations
    }


def test_the_text_of_an_alternative_that_stands_there_is_judged() -> None:
    store = "\tstd\tr12, GPR12(r1)\n"
    assert store in TEXT
    for default, other, broken in ((store, "\ttrap\n", []), ("\tnop\n", store, ["T3"])):
        text = TEXT.replace(
            store, f"BEGIN_FTR_SECTION\n{default}FTR_SECTION_ELSE\n{other}ALT_FTR_SECTION_END_IFSET(CPU_FTR_HAS_PPR)\n"
        )
        text = text.replace("#include <asm/ppc_asm.h>", "#include <asm/feature-fixups.h>\n#include <asm/ppc_asm.h>")
        unit = trampolines(KERNEL, text=text)
        assert unit.sections["__ftr_alt_97"].size == 4
        assert Suite(KERNEL, unit).run(range(0, special_cases(KERNEL), 5), full=False).broken == broken


@needs_gnu
@pytest.mark.parametrize("how", WAYS, ids=ids)
def test_bytes_and_places_of_every_way(how: How) -> None:
    ours, other = (trampolines(KERNEL, text=TEXT, how=h).sections[".text"] for h in (WAYS[0], how))
    assert [(line.offset, line.place, line.template) for line in other.lines] == [
        (line.offset, line.place, line.template) for line in ours.lines
    ]
    assert [(r.offset, r.place) for r in other.relocations] == [(r.offset, r.place) for r in ours.relocations]


@needs_gnu
def test_the_report_says_who_assembled(here: Here, tmp_path: Path) -> None:
    text = TEXT.replace("_GLOBAL(livepatch_handler)", f"{UNKNOWN}_GLOBAL(livepatch_handler)")
    (tmp_path / "own.S").write_text(text)
    result = verify("6.12", source="own.S", callers=50)
    assert re.fullmatch(r"GNU as \d[\d.]*", result.assembler)
    assert f"own.S: assembled by {result.assembler}\n" in str(result)
    assert result.command == "lpgen verify own.S --kernel 6.12"
    assert "assembled by" not in str(verify("6.12", callers=50))
    ran = here("verify", "own.S", "--kernel", "6.12", "--assembler", "lpgen")
    line = text[: text.index(UNKNOWN)].count("\n") + 1
    assert ran.error_line == f"lpgen: own.S:{line}: unknown directive .subsection"


@needs_gnu
def test_a_finding_has_the_persons_line(here: Here, tmp_path: Path) -> None:
    text = UNKNOWN + TEXT.replace("\tstd\tr2, -24(r11)\n", "\tstd\tr12, -24(r11)\n")
    (tmp_path / "own.S").write_text(text)
    ran = here("verify", "own.S", "--kernel", "6.12", "--callers", "200", "--no-shrink")
    assert ran.code == 1
    places = {int(line) for line in re.findall(r"own\.S:(\d+)", ran.out)}
    handler = text[: text.index("_GLOBAL(livepatch_handler)")].count("\n")
    assert places
    assert all(handler < line < text.count("\n") for line in places)


@needs_gnu
@pytest.mark.parametrize(
    ("line", "said"),
    [
        (
            "\tstdd\tr0, 1(r1)",
            "own.S:2: unknown instruction 'stdd 0,1(1)': neither lpgen's table nor Keystone takes it; "
            "own.S:2: GNU as: unrecognized opcode: `stdd'",
        ),
        ("\t.nonsense 1", "own.S:2: unknown directive .nonsense; own.S:2: GNU as: unknown pseudo-op: `.nonsense'"),
        ("\tb\t7f", "own.S:2: undefined label '7:'"),
        ("\taddi\tr3, r3, 70000", "own.S:2: operand '70000' of 'addi': 70000 is out of range -32768..32767"),
        ("#include <no/such.h>", "own.S:2: include file 'no/such.h' not found; pass it with -I DIR"),
    ],
)
def test_both_refuse(line: str, said: str, here: Here, tmp_path: Path) -> None:
    (tmp_path / "own.S").write_text(f"#include <asm/ppc_asm.h>\n{line}\n")
    assert here("verify", "own.S").error_line.startswith(f"lpgen: {said}")


@needs_gnu
def test_errors_of_gnus_tools_are_at_the_persons_line(here: Here, tmp_path: Path) -> None:
    name = 'a "b" c.S'
    (tmp_path / name).write_text("#include <asm/ppc_asm.h>\n\n\tnonsense\tr0\n")
    for more in ((), ("--cpp",)):
        ran = here("verify", name, "--assembler", "gnu", *more)
        assert ran.error_line == f"lpgen: {name}:3: GNU as: unrecognized opcode: `nonsense'"
    (tmp_path / name).write_text("\n#include <no/such.h>\n")
    assert here("verify", name, "--cpp").error_line == f"lpgen: {name}:2: gcc: no/such.h: No such file or directory"
    (tmp_path / "dir").mkdir()
    (tmp_path / "dir" / "inc.h").write_text("\n\tnonsense NUMBER\n")
    (tmp_path / name).write_text('#include "inc.h"\n')
    for more in ((), ("--cpp",)):
        ran = here("verify", name, "--assembler", "gnu", *more, "-I", "dir", "-D", "NUMBER=3")
        assert re.search(r"dir/inc.h:2: GNU as: unrecognized opcode: `nonsense'$", ran.error_line)
    assert "-I no: is no directory" in here("verify", name, "-I", "no").error_line
    assert "--cpp is for a FILE" in here("verify", "--cpp").error_line


def test_without_the_tools(here: Here, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own.S").write_text(UNKNOWN)
    monkeypatch.setattr(gnu, "tool", lambda name: None)
    assert here("verify", "own.S").error_line == (
        "lpgen: own.S:1: unknown directive .subsection; GNU as would be tried if powerpc64le-linux-gnu-as were "
        "installed: apt-get install binutils-powerpc64le-linux-gnu"
    )
    ran = here("verify", "own.S", "--assembler", "lpgen")
    assert ran.error_line == "lpgen: own.S:1: unknown directive .subsection"
    assert "apt-get install binutils-powerpc64le-linux-gnu" in here("verify", "own.S", "--assembler", "gnu").error_line
    assert "apt-get install gcc-powerpc64le-linux-gnu" in here("verify", "own.S", "--cpp").error_line


@needs_gnu
def test_what_runs_away_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gnu, "SECONDS", 3)
    began = time.monotonic()
    for text in (".rept 2000000000\nnop\n.endr", ".space 0x7fffffffffff", ".macro m\nm\nm\n.endm\nm"):
        with pytest.raises(LpgenError):
            assemble_text(KERNEL, text, "x.S", How("gnu"))
    assert time.monotonic() - began < 30


@needs_gnu
def test_ctrl_c_leaves_nothing(tmp_path: Path) -> None:
    # A pipe that nobody writes to: GNU as waits until it is stopped.
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "own.S").write_text('.incbin "pipe"\n')
    command = [*LPGEN, "verify", "own.S", "--assembler", "gnu"]
    env = environment(TMPDIR=str(tmp_path))
    with subprocess.Popen(
        command, cwd=tmp_path, env=env, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        end = time.monotonic() + 30
        while not list(tmp_path.glob("lpgen.*")) and time.monotonic() < end:
            time.sleep(0.05)
        time.sleep(0.3)
        os.killpg(process.pid, signal.SIGINT)
        _, said = process.communicate(timeout=30)
    assert (process.returncode, said) == (130, "lpgen: stopped\n")
    assert {path.name for path in tmp_path.iterdir()} == {"own.S", "pipe"}
