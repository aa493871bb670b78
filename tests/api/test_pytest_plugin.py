"""The pytest plugin: a tree of trampolines is tested with pytest, and a failure reads like an assertion."""

from __future__ import annotations

import shlex
import subprocess
import sys
import tomllib
from importlib import metadata

import pytest

import lpgen.api  # noqa: F401 -- pytester forgets what is first imported while it runs
from lpgen.contract.suite import applicable
from lpgen.kernel.generations import kernel
from lpgen.kernel.generations import kernel as kernel_facts
from lpgen.source.emit import emit_source
from tests.commands.tools import ROOT, program
from tests.contract.must_fail import ALL, KERNEL

G1_STATEMENTS = applicable(kernel_facts("4.7"))

pytest_plugins = ["pytester"]
# Installed, pytest finds the plugin by its entry point, and would not take it twice.
INSTALLED = any(point.name == "lpgen" for point in metadata.entry_points(group="pytest11"))
PLUGIN = ["-p", "no:cacheprovider", *([] if INSTALLED else ["-p", "lpgen.pytest_plugin"])]
WRONG = {wrong.name: wrong for wrong in ALL}
OVERRIDE = """\
{% extends "lpgen/livepatch_handler.S.j2" %}
{% block pop %}
	ld	r0, -16(r11)
	addi	r11, r11, -24
	mtlr	r0
	std	r11, TI_livepatch_sp(r12)
	blr
{% endblock %}
"""


def _ini(pytester: pytest.Pytester, text: str) -> None:
    pytester.makeini(f"[pytest]\nfilterwarnings = error\n{text}")


@pytest.fixture
def tree(pytester: pytest.Pytester) -> pytest.Pytester:
    """A tree with right trampolines, wrong ones, and a file that lpgen has nothing to do with."""
    (pytester.path / "asm").mkdir()
    (pytester.path / "asm/good.S").write_text(emit_source(KERNEL).text)
    (pytester.path / "asm/wrong.S").write_text(WRONG["handler_pushes_a_frame"].text())
    (pytester.path / "other.S").write_text("not assembly\n")
    return pytester


def _run(pytester: pytest.Pytester, *args: str) -> pytest.RunResult:
    return pytester.runpytest_inprocess(*PLUGIN, *args)


def test_one_test_a_statement(tree: pytest.Pytester) -> None:
    _ini(tree, "lpgen_files = asm/good.S\n")
    _run(tree, "-q").assert_outcomes(passed=len(G1_STATEMENTS))
    listed = _run(tree, "--collect-only", "-q").outlines
    assert [line for line in listed if "::" in line] == [f"asm/good.S::{id_}" for id_ in G1_STATEMENTS]


def test_a_failure_reads_like_an_assertion(tree: pytest.Pytester) -> None:
    _ini(tree, "lpgen_files = asm/*.S\n")
    ran = _run(tree)
    broken = WRONG["handler_pushes_a_frame"].breaks
    outcomes = ran.parseoutcomes()
    assert outcomes["passed"] + outcomes["failed"] == 2 * len(G1_STATEMENTS)
    assert outcomes["failed"] >= len(broken)
    ran.stdout.fnmatch_lines([
        "*asm/wrong.S: X3*",
        "X3 broken at C's entry: argument 9 (long) in 96(r1)",
        "  expected     0x*",
        "  seen         0x*",
        "  instruction  livepatch_handler+0x*",
        "  caller       void f(long a1*",
        "  again        lpgen verify asm/wrong.S *--plan *",
        "  statement    nip changed: C gets A's registers and A's frame, through livepatch_handler",
        "FAILED asm/wrong.S::X3 - X3 broken at C's entry*",
    ])  # fmt: skip
    ran.stdout.no_fnmatch_line("*Traceback*")
    ran.stdout.no_fnmatch_line("*pytest_plugin.py*")
    again = next(
        line
        for line in ran.outlines
        if line.startswith("  again") and "(long*9) " in line and line.endswith("nip=patch'")
    )
    ran_again = program(*shlex.split(again)[2:], cwd=tree.path)
    assert ran_again.code == 1
    assert "\nX3 broken at C's entry: argument 9 (long) in 96(r1)\n" in ran_again.out


def test_statements_that_no_caller_exercised_fail(tree: pytest.Pytester) -> None:
    _ini(tree, "lpgen_files = asm/good.S\nlpgen_callers = 1\n")
    ran = _run(tree)
    assert ran.parseoutcomes()["failed"]
    ran.stdout.fnmatch_lines(["no caller exercised L4 *"])


def test_settings_reach_the_run(tree: pytest.Pytester) -> None:
    (tree.path / "asm/good.S").write_text(emit_source(kernel("4.9", config={"CONFIG_LIVEPATCH": False})).text)
    _ini(tree, "lpgen_files = asm/good.S\nlpgen_config = CONFIG_LIVEPATCH=n\nlpgen_kernel = 4.9\n")
    ran = _run(tree, "-q")
    names = [id_ for id_ in G1_STATEMENTS if not id_.startswith("L") and id_ != "X3"]
    ran.assert_outcomes(passed=len(names))


@pytest.mark.parametrize(
    ("ini", "line"),
    [
        ("lpgen_files = other.S", "lpgen: other.S:1: *"),
        ("lpgen_files = asm/good.S\nlpgen_kernel = 3.9", "lpgen: *3.9*"),
        ("lpgen_files = asm/good.S\nlpgen_config = LIVEPATCH", "lpgen: lpgen_config: 'LIVEPATCH' is not a setting*"),
        ("lpgen_files = asm/good.S\nlpgen_callers = many", "lpgen: lpgen_callers: 'many' is not a number*"),
        ("lpgen_templates = asm", "lpgen: *holds no template*"),
    ],
)
def test_input_errors_are_one_line(tree: pytest.Pytester, ini: str, line: str) -> None:
    _ini(tree, f"{ini}\n")
    ran = _run(tree)
    ran.assert_outcomes(errors=1)
    ran.stdout.fnmatch_lines([line])
    ran.stdout.no_fnmatch_line("*Traceback*")


def test_a_directory_of_templates(pytester: pytest.Pytester) -> None:
    (pytester.path / "mine").mkdir()
    (pytester.path / "mine/livepatch_handler.S.j2").write_text(OVERRIDE)
    (pytester.path / "mine/test_own.py").write_text("def test_own(): pass\n")
    _ini(pytester, "lpgen_templates = mine\n")
    ran = _run(pytester)
    ran.assert_outcomes(failed=2, passed=len(G1_STATEMENTS) - 2 + 1)
    ran.stdout.fnmatch_lines(["L5 broken back in A: r2 (A's TOC)", "*livepatch_handler.S.j2:*"])


def test_silent_and_cheap_when_unused(tree: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    _ini(tree, "")
    (tree.path / "test_one.py").write_text(
        "import sys\n"
        "def test_one():\n"
        "    ours = ('lpgen', 'unicorn', 'keystone', 'rich')\n"
        "    loaded = {name for name in sys.modules if name.split('.')[0] in ours}\n"
        "    assert loaded <= {'lpgen', 'lpgen.pytest_plugin'}, loaded\n"
    )
    ran = tree.runpytest_subprocess(*PLUGIN, "-q")
    ran.assert_outcomes(passed=1)


def test_fixture(tree: pytest.Pytester) -> None:
    _ini(tree, "lpgen_callers = 600\n")
    (tree.path / "test_own.py").write_text(
        "def test_good(lpgen_verify):\n"
        "    assert lpgen_verify(source='asm/good.S').holds\n"
        "def test_wrong(lpgen_verify):\n"
        "    lpgen_verify(source='asm/wrong.S')\n"
        "def test_missing(lpgen_verify):\n"
        "    lpgen_verify(source='asm/none.S')\n"
    )
    ran = _run(tree)
    ran.assert_outcomes(passed=1, failed=2)
    ran.stdout.fnmatch_lines(["BROKEN: *", "lpgen: asm/none.S: cannot be read: no such file or directory*"])
    ran.stdout.no_fnmatch_line("*Traceback*")


def test_entry_point_names_the_plugin() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["pytest11"] == {"lpgen": "lpgen.pytest_plugin"}


def test_importing_lpgen_is_cheap() -> None:
    code = "import sys, lpgen; assert not [m for m in sys.modules if m.startswith('lpgen.')]; lpgen.verify"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
