"""lpgen mutate as a program: what it prints, how it goes on after it was killed, what it refuses."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from lpgen.campaign.outcome import Outcome
from lpgen.kernel.generations import kernel
from lpgen.report.mutation import Mutation, mutation_json, mutation_lines
from tests.commands.tools import LPGEN, Here, environment, on_terminal, program

# Small enough to wait for, large enough to be stopped in the middle of.
PART = ("mutate", "--with", "verify", "--shard", "2/30", "--jobs", "2", "--out", "store")


def _stored(directory: Path) -> dict[str, Any]:
    with sqlite3.connect(directory / "store") as connection:
        if not connection.execute("SELECT name FROM sqlite_master WHERE name = 'outcomes'").fetchall():
            return {}
        return dict(connection.execute("SELECT id, outcome FROM outcomes"))


def _begin(directory: Path) -> subprocess.Popen[str]:
    """Start a campaign and return it once it has some results, and is not at its end."""
    begun = subprocess.Popen(
        [*LPGEN, *PART],
        cwd=directory,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    for _ in range(6000):
        if begun.poll() is not None:
            pytest.fail(f"ended by itself: {begun.communicate()}")
        if _stored(directory):
            return begun
        time.sleep(0.05)
    begun.kill()
    pytest.fail("no result in five minutes")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the part gives in one run: its JSON, and what is in the file."""
    directory = tmp_path_factory.mktemp("undisturbed")
    ran = program(*PART, "--json", cwd=directory)
    assert (ran.code, ran.err) == (1, "")
    return json.loads(ran.out), _stored(directory)


def test_killed_it_goes_on_where_it_was(tmp_path: Path, undisturbed: tuple[dict[str, Any], dict[str, Any]]) -> None:
    for _ in range(2):
        begun = _begin(tmp_path)
        begun.send_signal(signal.SIGKILL)
        begun.communicate(timeout=180)
        kept = _stored(tmp_path)
        assert 0 < len(kept) < len(undisturbed[1])
    ran = program(*PART, "--json", cwd=tmp_path)
    assert _stored(tmp_path) == undisturbed[1]
    assert json.loads(ran.out) == undisturbed[0]
    assert kept.items() <= _stored(tmp_path).items()


def test_ctrl_c_says_how_to_go_on(tmp_path: Path, undisturbed: tuple[dict[str, Any], dict[str, Any]]) -> None:
    begun = _begin(tmp_path)
    begun.send_signal(signal.SIGINT)
    out, err = begun.communicate(timeout=180)
    assert (begun.returncode, out) == (130, "")
    lines = err.splitlines()
    assert lines[1:] == ["lpgen: stopped"]
    done, command = lines[0].removeprefix("store: ").split("; go on with ")
    assert done == f"{len(_stored(tmp_path))} of {len(undisturbed[1])} mutants are done"
    assert command == "lpgen mutate --kernel 4.7 --with verify --out store --shard 2/30"
    program(*command.split()[1:], cwd=tmp_path)
    assert _stored(tmp_path) == undisturbed[1]


def test_json(undisturbed: tuple[dict[str, Any], dict[str, Any]]) -> None:
    document, stored = undisturbed
    assert document["schema"] == "lpgen.mutate/1"
    assert (document["kernel"], document["generation"], document["with"], document["shard"]) == (
        "4.7",
        "G1",
        "verify",
        "2/30",
    )
    assert document["done"] == document["mutants"] == len(document["outcomes"]) == len(stored)
    score = document["score"]
    assert score["mutants"] == score["killed"] + score["equivalent"] + score["survived"]
    assert score["survived"] == len(document["survivors"]) > 0
    assert document["holds"] is False
    for name in score:
        assert score[name] == sum(part[name] for part in document["kinds"].values())
    states = [one["state"] for one in document["outcomes"]]
    assert score["killed"] == states.count("killed")
    killed = next(one for one in document["outcomes"] if one["verify"] == "killed")
    assert {"id", "kind", "was", "now", "place", "template", "statements", "caller", "what", "sent"} <= killed.keys()


def test_shards_are_merged(tmp_path: Path, undisturbed: tuple[dict[str, Any], dict[str, Any]]) -> None:
    for number in (1, 3):
        program("mutate", "--with", "verify", "--shard", f"{number}/200", "--out", f"{number}", cwd=tmp_path)
    merged = program(
        *PART[:3], "--shard", "1/200", "--out", "store", "--merge", "1", "--merge", "3", "--json", cwd=tmp_path
    )
    assert json.loads(merged.out)["done"] == json.loads(merged.out)["mutants"]
    both = [sqlite3.connect(tmp_path / name).execute("SELECT * FROM outcomes").fetchall() for name in ("1", "3")]
    assert _stored(tmp_path) == dict(both[0] + both[1])


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["--shard", "0/4"], "--shard '0/4': no part of a whole; write I/N"),
        (["--shard", "5/4"], "--shard '5/4': no part of a whole"),
        (["--shard", "half"], "--shard 'half': no part of a whole"),
        (["--out", ""], "--out names no file"),
        (["--out", "none/store"], "none/store: cannot be used: unable to open database file; make the directory first"),
        (["--merge", "none"], "none: is no file; --merge takes what another --out has"),
        (["--with", "verify", "--thorough"], "--thorough asks both; leave out --with"),
        (["--with", "luck"], "luck"),
        (["--jobs", "0"], "--jobs"),
        (["none.S"], "none.S: cannot be read"),
        (["none.S", "--templates", "x"], "FILE and --templates exclude each other"),
        (["none.S", "--style", "standalone"], "--style is for what lpgen emits"),
        (["--entry", "a=b"], "--entry names symbols in a FILE"),
    ],
)
def test_input_errors(lpgen: Here, args: list[str], says: str) -> None:
    assert says in lpgen("mutate", *args).error_line


def test_a_file_with_other_results_is_refused_and_kept(lpgen: Here, tmp_path: Path) -> None:
    program(*PART[:3], "--shard", "1/400", "--out", "store", cwd=lpgen.directory)
    before = (lpgen.directory / "store").read_bytes()
    line = lpgen("mutate", "--with", "verify", "--kernel", "4.8", "--out", "store").error_line
    assert line.startswith("lpgen: store: has the results of another campaign: another kernel")
    assert "name another file with --out, or delete this one" in line
    assert (lpgen.directory / "store").read_bytes() == before


def test_a_file_of_ones_own(lpgen: Here) -> None:
    lpgen("emit", "--out", "mine.S")
    ran = lpgen("mutate", "mine.S", "--with", "verify", "--shard", "1/300", "--out", "store", "--jobs", "1")
    assert ran.code in (0, 1)
    assert "template" not in ran.out.split("\n\n", 1)[0]
    assert "mutants: " in ran.out.splitlines()[-1]


def test_progress_on_a_terminal(tmp_path: Path) -> None:
    part = ("--with", "verify", "--shard", "1/100", "--jobs", "2", "--out", "store")
    code, shown = on_terminal("mutate", *part, cwd=tmp_path)
    assert code in (0, 1)
    assert b"mutants" in shown
    assert b"\x1b[3" not in shown
    (tmp_path / "store").unlink()
    assert on_terminal("mutate", *part, cwd=tmp_path, TERM="dumb") == (code, b"")


def _mutation(*outcomes: Outcome, planned: int = 0) -> Mutation:
    ids = tuple(one.id for one in outcomes) + tuple(f"more {n}" for n in range(planned))
    return Mutation(kernel("4.7"), "lpgen", "lpgen mutate --kernel 4.7", "both", True, (1, 1), ids, outcomes)


def test_what_a_person_reads() -> None:
    killed = Outcome("f+0x4 delete nop", "delete", verify="killed", statements=("L1",), caller="off-0", prove="refuted")
    equal = Outcome("f+0x8 swap with the next", "swap", prove="proved")
    refused = Outcome("f+0xc delete nop", "delete", acceptance="ftrace patches only 60000000 (nop)")
    none = Outcome("x.S.j2:1 template without {% block a %}", "template", same=True)
    text = "\n".join(line.plain for line in mutation_lines(_mutation(killed, equal, refused, none)))
    rows = text.splitlines()
    assert rows[0].split() == ["mutants", "killed", "equivalent", "survived"]
    assert [row.split() for row in rows[1:4]] == [
        ["delete", "2", "2", "0", "0"],
        ["swap", "1", "0", "1", "0"],
        ["all", "3", "2", "1", "0"],
    ]
    assert rows[-1] == "3 mutants: 2 killed, 1 equivalent (proved), 0 survived"
    assert "survived:" not in text
    hole = Outcome(
        "f+0x10 width ld to lwz", "width", "ld r0, -8(r11)", "lwz r0, -8(r11)", "e.S:7", "templates/f.S.j2:3",
        verify="passed", sent=620, prove="undecided", undecided=("L4",),
    )  # fmt: skip
    wrong = Outcome(
        "f+0x14 swap", "swap", verify="killed", statements=("T1",), caller="off-0", what="r3", prove="proved"
    )
    late = Outcome("f+0x18 swap", "swap", verify="passed", prove="refuted", refuted=("S7",), sent=9)
    mutation = _mutation(hole, wrong, late, planned=2)
    text = "\n".join(line.plain for line in mutation_lines(mutation, 200))
    for part in (
        "survived: nobody killed it, and it was not proved equivalent (1)\nf+0x10 width ld to lwz\n"
        "  instruction  ld r0, -8(r11)\n  mutant       lwz r0, -8(r11)\n  line         e.S:7, templates/f.S.j2:3\n"
        "  verify       no statement broken for 620 callers\n  prove        not decided: L4\n",
        "contradicted: proved, and yet a caller sees it broken (1)\nf+0x14 swap\n"
        "  verify  T1 broken for off-0, r3\n  prove   all proved\n",
        "killed by the prover, and not by verify (1)\nf+0x18 swap\n"
        "  verify  no statement broken for 9 callers\n  prove   refuted: S7\n",
        "2 of 5 mutants are left: lpgen mutate --kernel 4.7",
        "3 mutants: 2 killed, 0 equivalent (proved), 1 survived; 1 CONTRADICTED",
        "killed by verify only: 1, by the prover only: 1",
    ):
        assert part in text
    assert not mutation.holds
    document = mutation_json(mutation)
    assert (document["survivors"], document["contradictions"]) == (["f+0x10 width ld to lwz"], ["f+0x14 swap"])
    assert (document["only_verify"], document["only_prove"]) == (["f+0x14 swap"], ["f+0x18 swap"])
    assert (document["done"], document["mutants"]) == (3, 5)
    assert Outcome.of(json.loads(json.dumps(hole.data()))) == hole
