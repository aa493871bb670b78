"""The JSON of every command is what its schema says, and nothing else would be."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from lpgen.api import trampolines
from lpgen.assembly.model import LPGEN
from lpgen.campaign.mutants import KINDS
from lpgen.campaign.outcome import Outcome
from lpgen.cli import COMMANDS
from lpgen.contract.replay import KEYS, Replay, code_hash, replay_text, to_json
from lpgen.kernel.generations import kernel, stretches
from lpgen.machine.values import EVENTS, Values
from lpgen.report.kernels import kernel_json
from lpgen.report.mutation import Mutation, mutation_json
from lpgen.report.schema import Schema, schema, schemas
from tests.commands.test_install import linux, needs_git  # noqa: F401
from tests.commands.tools import Here, program
from tests.contract.must_fail import ALL
from tests.linked.linked_kernel import emitted, link_kernel, needs_gnu
from tests.tree.trees import make_tree

SCHEMAS = schemas()
each_schema = pytest.mark.parametrize("one", SCHEMAS, ids=lambda one: one.name)
AUTHOR = ("--author", "A. Person <person@example.org>")


def _validator(name: str) -> Draft202012Validator:
    return Draft202012Validator(json.loads(schema(name).text))


def _places(document: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    yield path
    inside = (
        document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    )
    for key, value in inside:
        yield from _places(value, (*path, key))


def _kinds_of_places(document: Any) -> list[tuple[str | int, ...]]:
    """A place of each kind: those in a list's entries are one kind."""
    found = {tuple("*" if isinstance(key, int) else key for key in path): path for path in _places(document)}
    return list(found.values())


def _at(document: Any, path: tuple[str | int, ...]) -> Any:
    for key in path:
        document = document[key]
    return document


def _check(text: str, name: str) -> dict[str, Any]:
    """Check that a document is valid, and is no longer when anything in it is not what it was."""
    document: dict[str, Any] = json.loads(text)
    validator = _validator(name)
    assert document["schema"] == schema(name).name
    assert [f"{error.json_path}: {error.message}" for error in validator.iter_errors(document)] == []
    for path in _kinds_of_places(document):
        wrong = copy.deepcopy(document)
        at = _at(wrong, path)
        if isinstance(at, dict):
            at["not a field"] = {}
        elif isinstance(at, list):
            at.append({"not": "an entry"})
        else:
            _at(wrong, path[:-1])[path[-1]] = {}
        assert not validator.is_valid(wrong), path
    for key in json.loads(schema(name).text)["required"]:
        assert not validator.is_valid({k: v for k, v in document.items() if k != key}), key
    return document


def _json(lpgen: Here, *args: str, code: int = 0) -> dict[str, Any]:
    ran = lpgen(*args, "--json")
    assert ran.code == code, ran.err
    return _check(ran.out, args[0])


def _wrong(name: str) -> str:
    Path(f"{name}.S").write_text(next(wrong for wrong in ALL if wrong.name == name).text())
    return f"{name}.S"


@each_schema
def test_a_schema_is_one(one: Schema) -> None:
    document = json.loads(one.text)
    Draft202012Validator.check_schema(document)
    name, version = re.fullmatch(r"lpgen\.([a-z]+)/([0-9]+)", one.name).groups()  # type: ignore[union-attr]
    assert document["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert document["$id"] == f"urn:lpgen:{name}:{version}"
    assert document["properties"]["schema"]["const"] == one.name
    assert one.what.endswith(".")
    assert schema(name).name == schema(one.name).name == schema(f"{name}/{version}").name == one.name


def _parts(part: Any, path: str = "$") -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(part, dict):
        yield path, part
        for key, value in part.items():
            yield from _parts(value, f"{path}.{key}")
    elif isinstance(part, list):
        for n, value in enumerate(part):
            yield from _parts(value, f"{path}[{n}]")


@each_schema
def test_every_field_is_described_and_no_other_is_allowed(one: Schema) -> None:
    for path, part in _parts(json.loads(one.text)):
        if "properties" in part and "type" in part:
            for name, field in part["properties"].items():
                described = field["description"]
                assert described.endswith("."), f"{path}: {name}"
                assert described[0] == described[0].upper() or described[0].islower(), name
                optional = name not in part["required"]
                assert not optional or re.search(r"left out|[Ll]eft out", described), f"{path}: {name} may be missing"
            assert part["additionalProperties"] is False, path
        elif part.get("type") == "object":
            assert "additionalProperties" in part, path


@each_schema
def test_the_head_says_the_same_everywhere(one: Schema) -> None:
    """Fields of lpgen.report.json_head have one description, but for what is left out and what the command does."""
    verify = json.loads(schema("verify").text)["properties"]
    found = json.loads(one.text)["properties"]
    for name in ("schema", "lpgen", "options"):
        if name in found and one.name != "lpgen.replay/1":
            ours, theirs = found[name]["description"], verify[name]["description"]
            assert ours.removesuffix("; left out with --revert.") == (
                theirs.removesuffix(".") if ours.endswith("--revert.") else theirs
            )


def test_commands_with_json_and_the_table_are_the_same() -> None:
    having = {
        name
        for name in COMMANDS
        if any("--json" in option.opts for option in import_module(f"lpgen.commands.{name}").command.params)
    }
    written = {one.name: one.command.split() for one in SCHEMAS}
    assert {words[1] for words in written.values() if words[2:] == ["--json"]} == having
    assert having == set(COMMANDS)
    for name, words in written.items():
        assert words[0] == "lpgen"
        assert words[1] in COMMANDS, name
        assert words[2:] in ([], ["--json"]), name
        if words[2:]:
            assert name.startswith(f"lpgen.{words[1]}/")


def test_the_table(lpgen: Here) -> None:
    ran = lpgen("schema")
    assert ran.out.splitlines()[0].split() == ["schema", "command", "what", "it", "is"]
    assert [line.split()[0] for line in ran.out.splitlines()[1:] if line[0] != " "] == [one.name for one in SCHEMAS]
    document = _json(lpgen, "schema")
    assert [one["name"] for one in document["schemas"]] == [one.name for one in SCHEMAS]


def test_one_is_printed(lpgen: Here) -> None:
    for asked in ("verify", "verify/1", "lpgen.verify/1", "lpgen.verify"):
        ran = lpgen("schema", asked)
        assert (ran.code, ran.out) == (0, schema("verify").text)
    assert lpgen("schema", "verfy").error_line == "lpgen: there is no schema 'verfy'; did you mean verify/1?"
    assert lpgen("schema", "verify/2").error_line.startswith("lpgen: there is no schema 'verify/2'; ")
    assert lpgen("schema", "").error_line == "lpgen: there is no schema ''; lpgen schema lists them"
    assert lpgen("schema", "verify", "--json").error_line == "lpgen: a schema is JSON already; leave out --json"


def test_kernels(lpgen: Here) -> None:
    assert len(_json(lpgen, "kernels")["kernels"]) == len(list(stretches()))
    assert _json(lpgen, "kernels", "6.13", "--config", "CONFIG_LIVEPATCH=n")["kernel"]["version"] == "6.13"
    validator = _validator("kernels")
    for stretch in stretches():
        assert validator.is_valid(json.loads(json.dumps(kernel_json(kernel(stretch.first)))))
    assert not validator.is_valid({"schema": "lpgen.kernels/1", "lpgen": "0"})


def test_diff(lpgen: Here) -> None:
    assert set(_json(lpgen, "diff", "4.7", "6.13")) >= {"contract", "offsets", "code"}
    assert _json(lpgen, "diff", "6.1.44", "6.1.45", "--part", "code").keys() & {"contract", "offsets"} == set()
    assert _json(lpgen, "diff", "6.12", "6.12")["differs"] is False


@pytest.mark.parametrize("version", ["4.7", "5.0", "6.13"])
def test_offsets(lpgen: Here, version: str) -> None:
    document = _json(lpgen, "offsets", "--kernel", version)
    assert document == json.loads(lpgen("offsets", "--kernel", version, "--format", "json").out)
    Path("asm-offsets.h").write_text(lpgen("offsets", "--kernel", version, "--format", "header").out)
    _json(lpgen, "offsets", "--kernel", version, "--offsets", "asm-offsets.h")


def test_assemble(lpgen: Here) -> None:
    lpgen("emit", "--kernel", "6.13", "--out", "entry.S")
    document = json.loads(lpgen("assemble", "entry.S", "--kernel", "6.13", "--json").out)
    _validator("assemble").validate(document)
    assert document == json.loads(lpgen("assemble", "entry.S", "--kernel", "6.13", "--format", "json").out)
    lpgen("assemble", "entry.S", "--kernel", "6.13", "--format", "obj", "--out", "entry.o")
    _validator("assemble").validate(json.loads(lpgen("assemble", "entry.o", "--json").out))
    Path("own.S").write_text("\t.bss\nx:\t.space 8\n\t.text\n\t.globl f\nf:\tbl g\n\tlwz r3, K(r1)\n\t.set K, 8\n")
    _json(lpgen, "assemble", "own.S")
    for form in ("hex", "listing"):
        line = lpgen("assemble", "own.S", "--json", "--format", form).error_line
        assert line == f"lpgen: --json and --format {form} exclude each other; leave one out"


def test_cost(lpgen: Here) -> None:
    assert "own" not in _json(lpgen, "cost", "--kernel", "6.12")
    lpgen("emit", "--kernel", "6.12", "--out", "mine.S")
    text = Path("mine.S").read_text()
    Path("mine.S").write_text(text.replace("_GLOBAL(_mcount)\n", "_GLOBAL(_mcount)\n\ttrap\n"))
    document = _json(lpgen, "cost", "mine.S", "--kernel", "6.12", "--assembler", "lpgen", code=1)
    (ended,) = (one for one in document["costs"] if one["end"])
    assert ended["instructions"] is None
    assert document["command"] == "lpgen cost mine.S --kernel 6.12 --assembler lpgen"
    assert document["assembler"] == LPGEN


def test_doctor(lpgen: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    assert _json(lpgen, "doctor")["works"] is True
    monkeypatch.setenv("PATH", str(lpgen.directory))
    monkeypatch.setattr("lpgen.machine.selftest.selftest", lambda: [("a check", False, "seen 7")])
    monkeypatch.setattr("lpgen.commands.doctor.PACKAGES", ("click", "no-such-package"))
    monkeypatch.setitem(import_module("lpgen.commands.doctor").ENGINES, "None", "lpgen.no_such_engine")
    document = _json(lpgen, "doctor", code=1)
    assert document["works"] is False
    assert [package["version"] is None for package in document["packages"]][:2] == [False, True]
    assert {tool["version"] for tool in document["tools"]} == {None}
    assert [engine["error"] is None for engine in document["engines"]] == [True, True, False]


def test_emit(lpgen: Here) -> None:
    document = _json(lpgen, "emit", "--kernel", "6.12", "--ifdef", "--out", "x.S")
    assert document["command"] == "lpgen emit --kernel 6.12 --ifdef"
    (file,) = document["files"]
    text = Path("x.S").read_bytes()
    assert (file["file"], file["bytes"], file["lines"]) == ("x.S", len(text), text.count(b"\n"))
    document = _json(lpgen, "emit", "--all", "--out-dir", "all")
    assert sorted(file["file"] for file in document["files"]) == sorted(map(str, Path("all").iterdir()))
    assert lpgen("emit", "--json").err == ""
    told = "lpgen: --json tells of a file, and takes standard output; add --out FILE, or leave out --json"
    for out in ("-", "/dev/stdout"):
        assert lpgen("emit", "--json", "--out", out).error_line == told
    assert "leave out --json" in lpgen("emit", "--json", "--diff", "x.S").error_line


@needs_gnu
def test_extract_and_a_kernel_at_hand(lpgen: Here, tmp_path: Path) -> None:
    wanted = kernel("6.12", config={"CONFIG_LIVEPATCH": False})
    (tmp_path / "link").mkdir()
    link_kernel(tmp_path / "link", wanted, emitted(wanted)).rename("vmlinux")
    document = _json(lpgen, "extract", "vmlinux", "--out", "x.S")
    assert document["notes"]
    assert (document["files"][0]["file"], document["assembler"]) == ("x.S", "linked kernel")
    assert lpgen("extract", "vmlinux", "--json", "--out", "y.S").err == ""
    assert "--json tells of a file" in lpgen("extract", "vmlinux", "--json").error_line
    assert _json(lpgen, "emit", "--vmlinux", "vmlinux")["notes"]
    assert _json(lpgen, "verify", "vmlinux", "--callers", "20")["not_judged"]
    assert _json(lpgen, "cost", "vmlinux")["assembler"] == "linked kernel"
    _json(lpgen, "offsets", "--vmlinux", "vmlinux")


def test_install(lpgen: Here, linux: Path) -> None:  # noqa: F811
    target = make_tree(linux, "6.12")
    before = target.read_text()
    planned = _json(lpgen, "install", "--tree", "linux", "--dry-run")
    assert target.read_text() == before
    assert planned["files"][0]["diff"] == lpgen("install", "--tree", "linux", "--dry-run").out
    done = _json(lpgen, "install", "--tree", "linux")
    assert target.read_text() != before
    assert done == planned | {"dry_run": False}
    assert done["command"] == "lpgen install --tree . --kernel 6.12"
    again = _json(lpgen, "install", "--tree", "linux")
    assert [file["changed"] for file in again["files"]] == [False]
    planned = _json(lpgen, "install", "--tree", "linux", "--revert", "--dry-run")
    back = _json(lpgen, "install", "--tree", "linux", "--revert")
    assert target.read_text() == before
    assert back == planned | {"dry_run": False}
    assert (back["action"], back["files"][0]["added"]) == ("revert", done["files"][0]["removed"])
    assert lpgen("install", "--tree", "linux", "--json").err == ""


def test_install_says_that_changes_of_others_are_kept(lpgen: Here, linux: Path) -> None:  # noqa: F811
    target = make_tree(linux, "6.12")
    assert lpgen("install", "--tree", "linux").code == 0
    target.write_text(target.read_text() + "/* somebody's */\n")
    notes = _json(lpgen, "install", "--tree", "linux")["notes"]
    assert "the text before, with changes of others, is kept in .lpgen" in [note["text"] for note in notes]


def test_patch(lpgen: Here, linux: Path) -> None:  # noqa: F811
    make_tree(linux, "6.12")
    document = _json(lpgen, "patch", "--tree", "linux", "--out", "x.patch", *AUTHOR)
    assert (document["author"], document["file"]) == (AUTHOR[1], "x.patch")
    assert f"Subject: [PATCH] {document['subject']}\n" in Path("x.patch").read_text()
    assert "--json tells of a file" in lpgen("patch", "--tree", "linux", "--json", *AUTHOR).error_line


@pytest.mark.parametrize(
    "args", [("--callers", "60"), ("--only", "7", "--at", "3:frame"), ("--plan", "long f(long*9) seed=3 nip=patch")]
)
def test_verify_holds(lpgen: Here, args: tuple[str, ...]) -> None:
    assert _json(lpgen, "verify", *args)["holds"] is True


@pytest.mark.parametrize(
    "name", ["caller_saves_half_of_ctr", "handler_loses_r2", "handler_raises_late", "caller_frame_misaligned"]
)
def test_verify_is_broken(lpgen: Here, name: str) -> None:
    document = _json(lpgen, "verify", _wrong(name), code=1)
    assert document["failures"]
    assert all(failure["symbol"] for failure in document["failures"])


@pytest.mark.parametrize(
    "args",
    [
        ("--kernel", "4.7", "--patched", "--interrupt-at", "60:calls"),
        ("--kernel", "6.12", "--caller", "int f(int, ..., double)"),
        ("--kernel", "6.18", "--plan", "long f(long*2) seed=5 direct=2 home_b=1"),
    ],
)
def test_trace(lpgen: Here, args: tuple[str, ...]) -> None:
    assert _trace(lpgen, *args)["verdict"]["holds"] is True


@pytest.mark.parametrize("name", ["handler_loses_r2", "caller_compares_words"])
def test_trace_is_broken(lpgen: Here, name: str) -> None:
    plan = "long f(long*9) seed=0 nip=patch twin"
    document = _trace(lpgen, _wrong(name), "--plan", plan, code=1)
    assert [event["broken"] for event in document["events"] if "broken" in event]


def _trace(lpgen: Here, *args: str, code: int = 0) -> dict[str, Any]:
    """Check all of a trace, and a small one of each kind of event for what would be no trace."""
    ran = lpgen("trace", *args, "--json")
    assert ran.code == code, ran.err
    document: dict[str, Any] = json.loads(ran.out)
    assert [f"{error.json_path}: {error.message}" for error in _validator("trace").iter_errors(document)] == []
    small = document | {
        "events": list({(event["kind"], *event): event for event in document["events"]}.values()),
        "stacks": [stack | {"memory": dict(list(stack["memory"].items())[:1])} for stack in document["stacks"]],
        "functions": dict(list(document["functions"].items())[:1]),
        "verdict": document["verdict"] | {"statements": document["verdict"]["statements"][:1]},
    }
    for event in small["events"]:
        event |= {"memory": event["memory"][:2]} if "memory" in event else {}
    _check(json.dumps(small), "trace")
    return document


def test_prove(lpgen: Here) -> None:
    assert _json(lpgen, "prove", "--kernel", "4.7")["holds"] is True
    document = _json(lpgen, "prove", _wrong("caller_compares_words"), code=1)
    _check(Path("out/prove-X3.json").read_text(), "replay")
    assert document["refutations"][0]["replay"]["schema"] == "lpgen.replay/1"
    verdict = _json(lpgen, "verify", "caller_compares_words.S", "--replay", "out/prove-X3.json", code=1)
    assert verdict["replay"]["broken"] is True
    document = _json(lpgen, "prove", "caller_compares_words.S", "--no-replay", code=1)
    assert document["refutations"][0]["replay"] is None


def test_a_replay_with_everything_chosen() -> None:
    unit = trampolines(kernel("4.7"))
    registers = {event: {"r3": 1, "cr": 2} for event in EVENTS}
    registers["tracer"] |= {"gpr3": 5}
    registers["c"] |= {"marker": 4}
    values = Values(**registers, frame={16: 1}, stack={-8: 2}, flag=3, nip=4)  # type: ignore[arg-type]
    replay = Replay("X3", "what", code_hash(unit), "void f() seed=3 nip=patch", values)
    document = _check(replay_text(replay), "replay")
    assert document.keys() == set(json.loads(schema("replay").text)["properties"]) == set(KEYS)
    validator = _validator("replay")
    for name, wrong in (("frame", {"-8": "0x1"}), ("stack", {"8": "0x1"}), ("entry", {"lr": "0x1"}), ("nip", -1)):
        assert not validator.is_valid(to_json(replay) | {name: wrong}), name
    assert validator.is_valid(to_json(replay) | {"nip": 17})


def test_the_replay_inside_a_proof_is_a_replay() -> None:
    alone = json.loads(schema("replay").text)
    inside = json.loads(schema("prove").text)
    embedded = inside["properties"]["refutations"]["items"]["properties"]["replay"]
    assert inside["$defs"] == alone["$defs"]
    assert embedded["required"] == alone["required"]
    assert {k: v for k, v in embedded["properties"].items() if k != "schema"} == {
        k: v for k, v in alone["properties"].items() if k != "schema"
    }


def test_mutate(lpgen: Here) -> None:
    ran = lpgen("mutate", "--with", "verify", "--shard", "1/200", "--jobs", "1", "--out", "store", "--json")
    document = _check(ran.out, "mutate")
    assert document["done"] == document["mutants"] > 0


def test_mutants_of_every_sort() -> None:
    outcomes = (
        Outcome("f+0x4 a", "delete", verify="killed", statements=("L1",), caller="off-0", what="r3", prove="refuted"),
        Outcome("f+0x8 a", "swap", prove="proved", verify="passed", sent=3),
        Outcome("f+0xc a", "delete", acceptance="ftrace patches only 60000000 (nop)"),
        Outcome("x.S.j2:1 a", "template", same=True, template="x.S.j2:1"),
        Outcome("f+0x10 a", "width", "ld", "lwz", "e.S:7", prove="undecided", undecided=("L4",), refuted=("T1",)),
    )
    ids = tuple(one.id for one in outcomes)
    made = Mutation(kernel("4.7"), "lpgen", "lpgen mutate", "both", True, (1, 1), (*ids, "more"), outcomes)
    document = _check(json.dumps(mutation_json(made)), "mutate")
    fields = json.loads(schema("mutate").text)["properties"]["outcomes"]["items"]["properties"]
    assert set().union(*document["outcomes"]) == set(fields)
    assert {one.kind for one in outcomes} - {"template"} <= set(KINDS)


@pytest.mark.parametrize(
    "args",
    [
        ("verify", "broken.S"),
        ("prove", "broken.S"),
        ("mutate", "broken.S", "--with", "verify", "--out", "store"),
        ("cost", "broken.S"),
        ("assemble", "broken.S"),
        ("kernels", "4.99"),
        ("diff", "4.7", "4.99"),
        ("offsets", "--kernel", "4.99"),
        ("emit", "--kernel", "4.99"),
        ("extract", "broken.S", "--out", "x.S"),
        ("install", "--tree", "."),
        ("patch", "--tree", ".", "--out", "x"),
    ],
    ids=lambda args: args[0],
)
def test_bad_input_is_the_same_line_with_json(lpgen: Here, args: tuple[str, ...]) -> None:
    Path("broken.S").write_text("_GLOBAL(ftrace_caller)\n\tfrobnicate r3\n")
    assert lpgen(*args, "--json").error_line == lpgen(*args).error_line
    assert not {"x.S", "x"} & {path.name for path in lpgen.directory.iterdir()}


def test_colours_never_get_into_json(tmp_path: Path) -> None:
    for args in (("schema",), ("kernels",), ("cost",), ("emit",)):
        ran = program(*args, "--json", cwd=tmp_path, FORCE_COLOR="1")
        assert "\x1b" not in ran.out
        assert json.loads(ran.out)["schema"] == f"lpgen.{args[0]}/1"


@pytest.mark.parametrize(
    "spoil",
    [
        lambda document: document.update(seed="0"),
        lambda document: document.update(seed=-1),
        lambda document: document.pop("coverage"),
        lambda document: document["statements"][0].pop("checks"),
        lambda document: document["statements"][0].update(id="Q1"),
        lambda document: document.update(schema="lpgen.verify/2"),
        lambda document: document.update(broken=["nothing"]),
    ],
)
def test_a_wrong_field_is_refused(lpgen: Here, spoil: Callable[[dict[str, Any]], object]) -> None:
    document = json.loads(lpgen("verify", "--callers", "2", "--json").out)
    assert _validator("verify").is_valid(document)
    spoil(document)
    assert not _validator("verify").is_valid(document)


def test_new(lpgen: Here) -> None:
    document = _json(lpgen, "new", "pack")
    assert [Path(one["file"]).is_file() for one in document["files"]] == [True] * 5
