"""lpgen offsets, as a person calls it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from lpgen import cli
from lpgen.commands.offsets import FORMATS, command, offsets_text
from lpgen.errors import LpgenError
from lpgen.kernel.generations import kernel
from lpgen.kernel.offsets import default_offsets, read_offsets

DATA = Path(__file__).parent / "data"


def run(*args: str) -> str:
    result = CliRunner().invoke(command, list(args), catch_exceptions=False)
    assert result.exit_code == 0
    assert result.stderr == ""
    return result.stdout


@pytest.mark.parametrize("form", ["header", "toml"])
def test_what_is_written_is_read_back(form: str, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    assert run("--kernel", "4.7", "--format", form, "--out", str(first)) == ""
    offsets = read_offsets(first)
    assert list(offsets.items()) == list(default_offsets().items())
    run("--format", form, "--offsets", str(first), "--out", str(second))
    assert list(read_offsets(second).items()) == list(offsets.items())


def test_header() -> None:
    lines = run("--kernel", "v4.9.337", "--format", "header").split("\n")
    assert lines[0] == "/* lpgen 0.1.0: lpgen offsets --kernel 4.9.337 --format header */"
    assert "#define PACATOC 16 /* offsetof(struct paca_struct, kernel_toc) */" in lines
    assert "#define TI_livepatch_sp 24 /* offsetof(struct thread_info, livepatch_sp) */" in lines


def test_json() -> None:
    document = json.loads(run("--format", "json"))
    assert document["schema"] == "lpgen.offsets/1"
    assert (document["kernel"], document["generation"], document["layout"]) == ("4.7", "G1", "L1")
    assert {entry["name"]: entry["value"] for entry in document["offsets"]} == dict(default_offsets())
    assert all(entry["source"] and entry["field"] for entry in document["offsets"])


def test_table() -> None:
    lines = run().split("\n")
    assert lines[0] == "kernel 4.7, generation G1; offsets: layout L1, default paca"
    assert lines[2].split() == ["name", "dec", "hex", "struct", "field", "source"]
    assert next(line for line in lines if line.startswith("_NIP")).split()[:5] == [
        "_NIP",
        "368",
        "0x170",
        "pt_regs",
        "nip",
    ]
    assert len(lines) == 3 + len(default_offsets()) + 1
    assert not any(line.endswith(" ") for line in lines)


def test_the_table_of_a_terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("TERM", "dumb")
    command.main([], standalone_mode=False)
    shown = capsys.readouterr().out
    assert "gpr[13]" in shown
    assert "TI_livepatch_sp" in shown


@pytest.mark.parametrize("form", FORMATS)
def test_a_real_header_in_every_format(form: str) -> None:
    text = run("--offsets", str(DATA / "asm-offsets-6.12.117.h"), "--format", form)
    assert "asm-offsets-6.12.117.h" in text
    assert str(DATA) not in text
    assert text == run("--offsets", str(DATA / "asm-offsets-6.12.117.h"), "--format", form)


def test_help_has_an_example() -> None:
    assert "lpgen offsets --format header --out asm-offsets.h" in run("--help")


def test_an_unknown_format() -> None:
    with pytest.raises(LpgenError, match="the formats are header, toml, json, table"):
        offsets_text(kernel(), "yaml")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--kernel", "4.6"], "kernel 4.6 has no livepatch on ppc64le"),
        (["--offsets", "/nowhere/asm-offsets.h"], "/nowhere/asm-offsets.h: there is no such file"),
        (["--format", "yaml"], "'yaml' is not one of"),
    ],
)
def test_bad_input_is_one_line_and_changes_no_file(
    args: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    out.write_text("old")
    assert cli.run(["offsets", "--out", str(out), *args]) == 2
    seen = capsys.readouterr()
    assert seen.out == ""
    assert message in seen.err
    assert seen.err.count("\n") == 1
    assert out.read_text() == "old"
    assert list(tmp_path.iterdir()) == [out]
