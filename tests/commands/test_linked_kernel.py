"""lpgen verify, cost and extract with a linked kernel as FILE."""

from __future__ import annotations

import json
import shlex
import struct
from dataclasses import replace
from pathlib import Path

import pytest

import lpgen as package
from lpgen.api import trampolines
from lpgen.contract.replay import Replay, code_hash, replay_text
from lpgen.kernel.chosen import choose
from lpgen.kernel.generations import Kernel, kernel
from lpgen.machine.values import Values
from tests.commands.tools import Here
from tests.linked.linked_kernel import emitted, link_kernel, needs_gnu

pytestmark = needs_gnu
OFF = {"CONFIG_LIVEPATCH": False}


@pytest.fixture
def wanted() -> Kernel:
    return kernel("6.12", config={"CONFIG_LIVEPATCH": False})


@pytest.fixture
def vmlinux(lpgen: Here, wanted: Kernel) -> Path:
    """A kernel without livepatch in the directory, and nothing else."""
    folder = lpgen.directory.parent / "link"
    folder.mkdir()
    link_kernel(folder, wanted, emitted(wanted)).rename(lpgen.directory / "vmlinux")
    return lpgen.directory / "vmlinux"


def test_it_says_itself_which_kernel_it_is(lpgen: Here, vmlinux: Path, wanted: Kernel) -> None:
    ran = lpgen("verify", "vmlinux", "--json")
    assert ran.code == 0, ran.err
    verdict = json.loads(ran.out)
    assert (verdict["kernel"], verdict["generation"], verdict["assembler"]) == ("6.12", "G9", "linked kernel")
    assert [s["id"] for s in verdict["statements"]] == ["T1", "T2", "T3", "T4", "T5", "X1", "X2", "S8m", "S8r"]
    assert "kernel 6.12" in ran.err
    assert "CONFIG_LIVEPATCH_64=n" in ran.err
    ran = lpgen("verify", "vmlinux")
    assert ran.code == 0
    assert "vmlinux: a linked kernel as it is, at its own addresses\n" in ran.out


def test_a_failures_last_line_runs_it_again(lpgen: Here, vmlinux: Path, wanted: Kernel) -> None:
    load = struct.pack("<I", 0xE84D0000 | wanted.offsets["PACATOC"])
    vmlinux.write_bytes(vmlinux.read_bytes().replace(load, struct.pack("<I", 0x60000000)))
    ran = lpgen("verify", "vmlinux")
    assert ran.code == 1
    again = next(line for line in ran.out.splitlines() if line.startswith("  again"))
    words = shlex.split(again)[1:]
    assert words[:4] == ["lpgen", "verify", "vmlinux", "--plan"]
    ran = lpgen(*words[1:])
    assert ran.code == 1
    assert "T2" in ran.out.splitlines()[-1]


def test_what_is_given_besides_wins(lpgen: Here, vmlinux: Path) -> None:
    ran = lpgen("verify", "vmlinux", "--kernel", "6.8", "--json", "--callers", "1")
    assert json.loads(ran.out)["kernel"] == "6.8"
    ran = lpgen("verify", "vmlinux", "--config", "CONFIG_LIVEPATCH=y")
    assert "vmlinux does not define livepatch_handler" in ran.err
    assert ran.code == 2


def test_from_python(vmlinux: Path) -> None:
    result = package.verify(source=vmlinux, callers=30)
    assert result.kernel.version == "6.12"
    assert result.broken == []
    assert result.assembler == "linked kernel"
    assert result.command == f"lpgen verify {vmlinux}"


def test_cost(lpgen: Here, vmlinux: Path) -> None:
    ran = lpgen("cost", "vmlinux")
    assert ran.code == 0, ran.err
    row = next(line for line in ran.out.splitlines() if line.startswith("ftrace_regs_caller  plain"))
    emitted_row = next(line for line in lpgen("cost", "--vmlinux", "vmlinux").out.splitlines() if "  plain" in line)
    # What is linked is what is emitted: no difference in brackets.
    assert [word for word in row.split() if word != "(=)"] == emitted_row.split()


def test_extract_and_judge_what_was_extracted(lpgen: Here, vmlinux: Path) -> None:
    ran = lpgen("extract", "vmlinux", "--out", "mine.S")
    assert ran.code == 0, ran.err
    assert ran.out == ""
    assert ran.err.splitlines()[-1].startswith("mine.S: ")
    assert lpgen("extract", "vmlinux").out == Path("mine.S").read_text()
    ran = lpgen("verify", "--vmlinux", "vmlinux", "mine.S")
    assert ran.code == 0, ran.out + ran.err
    text = Path("mine.S").read_text()
    assert "function_trace_op@toc@ha" in text
    assert "\tbl\tftrace_return_to_handler\t" in text
    wrong = text.replace("\tld\tr2, 16(r13)\t", "\tnop\t")
    assert wrong != text
    Path("mine.S").write_text(wrong)
    ran = lpgen("verify", "--vmlinux", "vmlinux", "mine.S")
    assert ran.code == 1
    assert ran.out.splitlines()[-1].startswith("BROKEN: T1, T2")


def test_another_name_for_an_entry_point(lpgen: Here, wanted: Kernel) -> None:
    from lpgen.source.emit import emit_source

    text = (
        emit_source(wanted)
        .text.replace("return_to_handler", "my_return")
        .replace("ftrace_my_return", "ftrace_return_to_handler")
    )
    folder = lpgen.directory.parent / "link"
    folder.mkdir()
    link_kernel(folder, wanted, emitted(wanted, text)).rename("vmlinux")
    ran = lpgen("verify", "vmlinux", "--config", "CONFIG_FUNCTION_GRAPH_TRACER=y")
    assert "does not define return_to_handler" in ran.error_line
    ran = lpgen(
        "verify", "vmlinux", "--config", "CONFIG_FUNCTION_GRAPH_TRACER=y", "--entry", "return_to_handler=my_return"
    )
    assert ran.code == 0, ran.err
    for command in ("verify", "extract"):
        ran = lpgen(command, "vmlinux", "--entry", "ftrace_caller=nobody")
        assert "has no symbol nobody to be ftrace_caller" in ran.error_line


def test_extract_wants_a_linked_kernel(lpgen: Here, vmlinux: Path) -> None:
    assert lpgen("emit", "--style", "standalone", "--out", "entry.S").code == 0
    assert lpgen("assemble", "entry.S", "--format", "obj", "--out", "entry.o").code == 0
    before = lpgen.tree()
    assert "is an object, not a linked kernel" in lpgen("extract", "entry.o", "--out", "x.S").error_line
    assert "is not an ELF file" in lpgen("extract", "entry.S", "--out", "x.S").error_line
    assert "there is no such file" in lpgen("extract", "nowhere", "--out", "x.S").error_line
    assert lpgen.tree() == before


def test_a_replay_runs_in_it(lpgen: Here, vmlinux: Path) -> None:
    unit = trampolines(choose(None, config={}, subject=vmlinux), source=vmlinux)
    values = Values(nip=0xC0000000DEAD0000, entry={"r14": 0x1414, "xer": 0x80000000}, flag=0x40)
    replay = Replay("X1", "", code_hash(unit), "void f() nip=patch kprobe", values)
    Path("x1.json").write_text(replay_text(replay))
    ran = lpgen("verify", "vmlinux", "--replay", "x1.json")
    assert (ran.code, ran.err.count("\n")) == (1, ran.err.count("vmlinux: "))
    assert ran.out.splitlines()[-2].startswith("holds: ")
    assert ran.out.splitlines()[-1].startswith("replayed: X1 holds in this call")
    Path("x1.json").write_text(replay_text(replace(replay, values=replace(values, nip=unit.fixed.toc & ~3))))  # type: ignore[union-attr]
    assert "C cannot be at 0x" in lpgen("verify", "vmlinux", "--replay", "x1.json").error_line
