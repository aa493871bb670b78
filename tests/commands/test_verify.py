"""`lpgen verify`: the verdict as a person and as a program reads it, and the exit code."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from lpgen.contract.suite import applicable
from lpgen.kernel.generations import kernel as kernel_facts
from tests.commands.tools import Here, program

G1_STATEMENTS = applicable(kernel_facts("4.7"))

LOSES_R2 = """\
{% extends "lpgen/livepatch_handler.S.j2" %}
{% block pop %}
\tld\tr0, -16(r11)
\taddi\tr11, r11, -24
\tmtlr\tr0
\tstd\tr11, TI_livepatch_sp(r12)
\tblr
{% endblock %}
"""
KEYS = {
    "schema": str,
    "lpgen": str,
    "command": str,
    "kernel": str,
    "generation": str,
    "options": dict,
    "offsets": str,
    "assembler": str,
    "not_judged": list,
    "seed": int,
    "callers": int,
    "watched": int,
    "interrupted": int,
    "in_guest": int,
    "every_boundary": bool,
    "replay": type(None),
    "holds": bool,
    "broken": list,
    "not_exercised": list,
    "statements": list,
    "kinds": dict,
    "limits": list,
    "coverage": dict,
    "failures": list,
}
FAILURE_KEYS = {
    "statement",
    "where",
    "what",
    "expected",
    "seen",
    "address",
    "symbol",
    "instruction",
    "place",
    "template",
    "case",
    "name",
    "prototype",
    "plan",
    "plan_text",
    "values",
    "interrupted",
    "shrunk",
    "first_seen",
    "command",
}


@pytest.fixture
def wrong(lpgen: Here) -> Here:
    """lpgen beside templates whose livepatch_handler loses r2."""
    Path("wrong").mkdir()
    Path("wrong/livepatch_handler.S.j2").write_text(LOSES_R2)
    return lpgen


def test_what_emit_writes_holds(lpgen: Here) -> None:
    ran = lpgen("verify")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.endswith(f"\nholds: all {len(G1_STATEMENTS)} statements\n")
    for id_ in G1_STATEMENTS:
        assert f"\n{id_} " in ran.out
    assert lpgen.tree() == {}


def test_few_callers_show_only_what_they_exercise(lpgen: Here) -> None:
    ran = lpgen("verify", "--callers", "1")
    assert ran.code == 0
    last = ran.out.splitlines()[-1]
    assert f"of {len(G1_STATEMENTS)} statements; these callers do not exercise" in last
    assert "L4" in last


def test_a_broken_statement_is_exit_code_1_with_all_that_it_takes_to_look_at_it(wrong: Here) -> None:
    ran = wrong("verify", "--templates", "wrong")
    assert (ran.code, ran.err) == (1, "")
    assert ran.out.splitlines()[-1] == "BROKEN: L4, L5"
    assert "L5 broken back in A: r2 (A's TOC)\n" in ran.out
    for label in ("expected ", "seen ", "instruction  livepatch_handler+", "caller ", "how many ", "again "):
        assert f"\n  {label}" in ran.out
    again = next(line for line in ran.out.splitlines() if line.startswith("  again"))
    words = shlex.split(again)[1:]
    assert words[:2] == ["lpgen", "verify"]
    alone = wrong(*words[1:])
    assert alone.code == 1
    assert "L5 broken back in A: r2 (A's TOC)" in alone.out
    assert "\n1 caller, seed 0; each watched at every instruction, 0 interrupted\n" in alone.out


def test_json(wrong: Here) -> None:
    good = wrong("verify", "--json", "--callers", "60", "--seed", "5", "--config", "CONFIG_FUNCTION_GRAPH_TRACER=n")
    bad = wrong("verify", "--json", "--templates", "wrong")
    assert (good.code, bad.code, good.err, bad.err) == (0, 1, "", "")
    for ran in (good, bad):
        document = json.loads(ran.out)
        assert {key: type(value) for key, value in document.items()} == KEYS
        assert document["schema"] == "lpgen.verify/1"
        for statement in document["statements"]:
            assert statement.keys() == {"id", "text", "callers", "in_guest", "checks", "broken", "kinds"}
    document = json.loads(good.out)
    assert (document["callers"], document["seed"], document["holds"], document["failures"]) == (60, 5, True, [])
    assert document["options"] == {"CONFIG_LIVEPATCH": True, "CONFIG_FUNCTION_GRAPH_TRACER": False}
    assert "S8" not in [statement["id"] for statement in document["statements"]]
    document = json.loads(bad.out)
    assert document["holds"] is False
    assert document["broken"] == ["L4", "L5"]
    for failure in document["failures"]:
        assert failure.keys() == FAILURE_KEYS
    failure = next(f for f in document["failures"] if f["statement"] == "L5")
    assert failure["template"].startswith("templates/livepatch_handler.S.j2:")
    assert failure["command"].startswith("lpgen verify --kernel 4.7 --templates wrong --plan ")


def test_same_seed_same_verdict_another_seed_other_callers(lpgen: Here) -> None:
    runs = [lpgen("verify", "--json", "--callers", "560", "--seed", seed).out for seed in ("3", "3", "4")]
    assert runs[0] == runs[1]
    first, other = json.loads(runs[0]), json.loads(runs[2])
    assert first["holds"]
    assert other["holds"]
    assert [s["checks"] for s in first["statements"]] != [s["checks"] for s in other["statements"]]


def test_styles_and_options_hold(lpgen: Here) -> None:
    for args in (["--style", "standalone"], ["--config", "CONFIG_LIVEPATCH=n"]):
        ran = lpgen("verify", *args)
        assert (ran.code, ran.out.splitlines()[-1][:11]) == (0, "holds: all ")


def test_offsets_of_ones_own_are_what_runs(lpgen: Here) -> None:
    assert lpgen("offsets", "--format", "header", "--out", "asm-offsets.h").code == 0
    ran = lpgen("verify", "--offsets", "asm-offsets.h", "--callers", "30")
    assert ran.code == 0
    assert "\nkernel 4.7, generation G1; offsets: asm-offsets.h\n" in ran.out


@pytest.mark.parametrize("columns", ["80", "60"])
def test_statements_fit_the_width(tmp_path: Path, columns: str) -> None:
    ran = program("verify", "--callers", "2", cwd=tmp_path, COLUMNS=columns)
    table = ran.out.split("\n\n")[0].splitlines()
    assert max(map(len, table)) <= int(columns)
    assert all(line == line.rstrip() for line in ran.out.splitlines())


def test_a_wide_terminal_has_one_line_a_statement(tmp_path: Path) -> None:
    ran = program("verify", "--callers", "2", cwd=tmp_path, COLUMNS="150")
    assert len(ran.out.split("\n\n")[0].splitlines()) == 1 + len(G1_STATEMENTS)


def test_callers_in_the_guest(lpgen: Here) -> None:
    """Those from number 4,000 on; one of them again is any other caller, watched."""
    many = lpgen("verify", "--callers", "4800", "--json", "--jobs", "2")
    document = json.loads(many.out)
    assert (many.code, document["callers"], document["in_guest"]) == (0, 4800, 800)
    assert document["statements"][0]["in_guest"] > 700
    shown = lpgen("verify", "--callers", "4100", "--jobs", "2")
    assert "100 judged in the guest" in " ".join(shown.out.split())
    again = lpgen("verify", "--only", "4099")
    assert again.code == 0
    assert "1 caller, seed 0; each watched" in again.out
