"""The README's commands do what it says, and print what it shows. LPGEN_UPDATE=1 writes what they print into it."""

from __future__ import annotations

import ast
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from lpgen.contract.statements import STATEMENTS
from lpgen.contract.suite import applicable
from lpgen.kernel.generations import kernel
from lpgen.resources import read_template, template_names

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
FENCE = re.compile(r"^```(\w+)(?: ([^\n]+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
UPDATE = bool(os.environ.get("LPGEN_UPDATE"))
MARK = "=== next command ==="


def _blocks(kind: str) -> list[tuple[str, str]]:
    return [(name, body) for found, name, body in FENCE.findall(README.read_text()) if found == kind]


CONSOLE = [body for _, body in _blocks("console")]
SETUP = [body.strip() for _, body in _blocks("sh")]


@pytest.fixture
def shell(tmp_path: Path) -> Path:
    """A directory with the README's files in it, and lpgen and the virtual environment's lpgen as programs."""
    work = tmp_path / "work"
    for programs in (tmp_path / "bin", work / ".venv" / "bin"):
        programs.mkdir(parents=True)
        lpgen = programs / "lpgen"
        lpgen.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m lpgen "$@"\n')
        lpgen.chmod(0o755)
    for name, body in _blocks("jinja"):
        (work / name).parent.mkdir(exist_ok=True)
        (work / name).write_text(body)
    return work


def _bash(script: str, directory: Path) -> subprocess.CompletedProcess[str]:
    path = f"{directory.parent / 'bin'}{os.pathsep}{os.environ['PATH']}"
    env = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "FORCE_COLOR")}
    return subprocess.run(
        ["bash", "-c", script],
        cwd=directory,
        env=env | {"PATH": path, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.mark.parametrize("number", range(len(CONSOLE)))
def test_quoted_output_is_what_lpgen_prints(shell: Path, number: int) -> None:
    block = CONSOLE[number]
    commands = re.findall(r"^\$ (.*)$", block, re.MULTILINE)
    assert commands
    # $? of the command before is kept for the next one.
    script = "".join(f"lpgen_code=$?; echo '{MARK}'; (exit $lpgen_code)\n{command}\n" for command in commands)
    printed = _bash(script, shell).stdout.split(f"{MARK}\n")[1:]
    now = "".join(f"$ {command}\n{output}" for command, output in zip(commands, printed, strict=True))
    if UPDATE:
        README.write_text(README.read_text().replace(f"```console\n{block}```", f"```console\n{now}```"))
    else:
        assert now == block, "if lpgen is right: LPGEN_UPDATE=1 pytest tests/test_readme.py"


def test_the_main_job(shell: Path) -> None:
    main, _ = SETUP
    setup, *steps = main.split(" && .venv/bin/lpgen ")
    assert setup == "python3 -m venv .venv && .venv/bin/pip install -q -e ."
    assert [step.split()[0] for step in steps] == ["emit", "verify"]
    (shell / "out").mkdir()  # as in the checkout
    done = _bash(" && ".join(f".venv/bin/lpgen {step}" for step in steps), shell)
    assert done.returncode == 0, done.stdout
    assert done.stdout.endswith(f"\nholds: all {len(applicable(kernel()))} statements\n")
    assert (shell / "out" / "entry_64.S").is_file()


def test_out_is_in_the_checkout() -> None:
    assert (ROOT / "out").is_dir()


def test_ci_runs_the_same_test_command() -> None:
    _, tests = SETUP
    assert tests in (ROOT / ".ci" / "run").read_text().splitlines()


def test_ci_script_is_a_program_and_names_what_doctor_names() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert subprocess.run(["bash", "-n", str(script)], check=False).returncode == 0
    from lpgen.commands.doctor import TOOLS

    for _, _, package in TOOLS:
        assert package in script.read_text()


def test_statement_table() -> None:
    text = README.read_text()
    table = "| id | statement |\n|---|---|\n" + "".join(f"| {s.id} | {s.text} |\n" for s in STATEMENTS.values())
    if UPDATE:
        found = re.search(r"\| id \| statement \|\n\|---\|---\|\n(\| .*\n)*", text)
        assert found is not None
        README.write_text(text.replace(found[0], table))
    else:
        assert table in text, "if lpgen is right: LPGEN_UPDATE=1 pytest tests/test_readme.py"


def test_template_table_has_every_template_and_block() -> None:
    section = README.read_text().split("## Templates of your own")[1].split("\n## ")[0]
    rows = {tuple(re.findall(r"`([^`]+\.j2)`", row)): row for row in section.splitlines() if ".j2`" in row}
    rows = {names: row for names, row in rows.items() if names and row.startswith("| `")}
    assert sorted(name for names in rows for name in names) == template_names()
    for names, row in rows.items():
        blocks = [b for name in names for b in re.findall(r"\{% block (\w+)", read_template(name))]
        assert re.findall(r"`(\w+)`", row.split("|")[3]) == blocks, names


def test_names_for_templates_are_those_that_lpgen_gives() -> None:
    section = README.read_text().split("Names that a template of the assembly may use")[1].split("\n## ")[0]
    listed = {
        name for row in re.findall(r"^\| (`.*?) \|", section, re.MULTILINE) for name in re.findall(r"`(\w+)", row)
    }
    tree = ast.parse((ROOT / "lpgen" / "source" / "emit.py").read_text())
    (context,) = (
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.target.id == "context"
    )
    assert isinstance(context, ast.Dict)
    given = {key.value for key in context.keys if isinstance(key, ast.Constant)}
    assert listed == given


def test_directories_and_files_it_names_are_there() -> None:
    section = README.read_text().split("## Development")[1]
    for name in re.findall(r"`((?:lpgen|templates|tests)(?:/[\w./]+)?)`", section):
        assert (ROOT / name).exists(), name


def test_no_line_is_wider_than_a_kernel_persons_terminal() -> None:
    for line in FENCE.sub("", README.read_text()).splitlines():
        assert len(line) <= 130
