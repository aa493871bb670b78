"""lpgen frame."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from lpgen.kernel.stores import entries
from lpgen.report.schema import schema
from tests.commands.test_command_line import HEAVY
from tests.commands.tools import Here, environment, program
from tests.report.frame_cases import DIAGRAMS, NINE

VALIDATOR = Draft202012Validator(json.loads(schema("frame/1").text))


def document(lpgen: Here, *args: str) -> dict[str, Any]:
    ran = lpgen("frame", "--json", *args)
    assert (ran.code, ran.err) == (0, "")
    found: dict[str, Any] = json.loads(ran.out)
    VALIDATOR.validate(found)
    return found


@pytest.mark.parametrize("version", [name for name in DIAGRAMS if " " not in name])
def test_json(lpgen: Here, version: str) -> None:
    drawn = DIAGRAMS[version]
    found = document(lpgen, "--kernel", version)
    offsets = drawn.kernel.offsets
    assert found["stack"] == {
        "thread_size": 16384,
        "switch_frame_size": offsets["SWITCH_FRAME_SIZE"],
        "int_frame_size": offsets["INT_FRAME_SIZE"],
        "red_zone": 288,
    }
    regs = next(frame for frame in found["frames"] if frame["kind"] == "pt_regs")
    slots = {slot["name"]: slot for slot in regs["slots"]}
    assert [slots[f"gpr[{n}]"]["offset"] for n in range(32)] == [offsets.gpr(n) for n in range(32)]
    assert slots["nip"]["from_a"] == regs["from_a"] + offsets["_NIP"]
    assert slots["nip"]["constant"] == "_NIP"
    assert set(slots["nip"]["stored_by"]) == {entry.symbol for entry in entries(drawn.kernel)}
    assert list(slots["gpr[31]"]["stored_by"]) == [entries(drawn.kernel)[0].symbol]
    starts = [frame["from_a"] for frame in found["frames"] if frame["kind"] in ("a", "b", "pt_regs")]
    assert [r1["from_a"] for r1 in found["r1"]] == [*starts, None]
    assert found["livepatch_sp"]["offset"] == offsets["TI_livepatch_sp"]
    assert found["low_end"][-1]["kind"] == "thread_info"
    assert found["command"] == f"lpgen frame --kernel {version}"


def test_json_of_a_caller_and_without_livepatch(lpgen: Here) -> None:
    found = document(lpgen, "--caller", NINE)["caller"]
    assert found["parameter_save_area"] == 72
    assert found["arguments"][8]["pieces"] == [{"where": "96(r1)", "value_offset": 0, "size": 8}]
    assert document(lpgen, "--kernel", "6.12", "--config", "CONFIG_LIVEPATCH=n")["livepatch_sp"] is None


def test_the_command_in_the_json_makes_it_again(lpgen: Here) -> None:
    import shlex

    first = document(lpgen, "--config", "CONFIG_LIVEPATCH=n", "--caller", "int f(long, char *)")
    words = shlex.split(first["command"])
    assert words[:2] == ["lpgen", "frame"]
    assert document(lpgen, *words[2:]) == first


def test_every_field_of_the_schema_is_described() -> None:
    def check(node: Any, where: str) -> int:
        count = 0
        if isinstance(node, dict):
            for name, inner in node.get("properties", {}).items():
                assert inner.get("description"), f"{where}.{name}"
                count += 1
            count += sum(check(value, f"{where}.{key}") for key, value in node.items())
        elif isinstance(node, list):
            count += sum(check(value, where) for value in node)
        return count

    assert check(json.loads(schema("frame/1").text), "") > 50


def test_offsets_of_a_kernel_build_are_what_is_drawn(lpgen: Here) -> None:
    text = lpgen("offsets", "--kernel", "6.12", "--format", "header").out
    Path("asm-offsets.h").write_text(
        text.replace("#define PACA_THREAD_INFO 2312", "#define PACA_THREAD_INFO 2400")
        .replace("#define SWITCH_FRAME_SIZE 432", "#define SWITCH_FRAME_SIZE 448")
        .replace("#define INT_FRAME_SIZE 720", "#define INT_FRAME_SIZE 736")
    )
    ran = lpgen("frame", "--kernel", "6.12", "--offsets", "asm-offsets.h")
    assert ran.code == 0, ran.err
    assert "PACA_THREAD_INFO(r13) =" in ran.out
    assert "2400(r13)" in ran.out
    assert "behind stdu r1,-448(r1)" in ran.out
    assert ran.out.startswith("kernel 6.12, generation G9; offsets: asm-offsets.h\n")


def test_svg(lpgen: Here) -> None:
    ran = lpgen("frame", "--kernel", "6.12", "--svg", "frame.svg")
    assert (ran.code, ran.out, ran.err) == (
        0,
        "",
        "frame.svg: the stack of one thread around a traced call, kernel 6.12\n",
    )
    text = Path("frame.svg").read_text()
    assert lpgen("frame", "--kernel", "6.12", "--svg", "-").out == text
    assert text.startswith('<?xml version="1.0" encoding="UTF-8"?>\n<svg ')
    assert text.count("<text ") < lpgen("frame", "--kernel", "6.12", "--svg", "-", "--unfold").out.count("<text ")


def test_errors_leave_nothing_behind(lpgen: Here) -> None:
    for args, said in (
        (["--svg", "x.svg", "--json"], "--svg and --json exclude each other; leave one out"),
        (["--svg", ""], "--svg names no file"),
        (["--json", "--unfold"], "--unfold is for the diagram"),
        (["--svg", "x.svg", "--caller", "int f("], "--caller, column"),
        (["--caller", ""], "--caller"),
        (["--kernel", "4.99"], "series ended"),
        (["--svg", "no/x.svg"], "no/x.svg: cannot be written"),
    ):
        assert said in lpgen("frame", *args).error_line
    assert lpgen.tree() == {}


@pytest.mark.parametrize("args", [[], ["--json"], ["--svg", "-"]])
def test_what_is_not_used_is_not_loaded(tmp_path: Path, args: list[str]) -> None:
    code = (
        "import sys; from lpgen.cli import run; code = run(['frame', *sys.argv[1:]]); "
        f"print(sorted(set(sys.modules) & {{*{HEAVY!r}, 'pycparser', 'jinja2'}}), file=sys.stderr); sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *args],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0
    assert done.stderr == "[]\n"


def test_a_reader_that_goes_away_is_no_error(tmp_path: Path) -> None:
    ran = program("frame", "--caller", "int f(void)", cwd=tmp_path)
    assert (ran.code, ran.err) == (0, "")
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-m", "lpgen", "frame"],
        cwd=tmp_path,
        env=environment(),
        stdout=write,
        stderr=subprocess.PIPE,
        timeout=60,
        check=False,
    )
    os.close(write)
    assert done.stderr == b""
    assert done.returncode == 141
