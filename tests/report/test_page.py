"""A report page as a file: the same each time, whole or not at all, nothing in it from elsewhere, well formed."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from contextlib import closing
from html.parser import HTMLParser
from pathlib import Path

import jsonschema
import pytest

from lpgen import api, resources
from lpgen.assembly import write_object
from lpgen.campaign.mutation import Asked, Subject, campaign
from lpgen.campaign.outcome import Outcome
from lpgen.campaign.store import Store
from lpgen.kernel.generations import kernel
from tests.commands.tools import LPGEN, Here, environment, on_terminal
from tests.contract.must_fail import ALL
from tests.linked.linked_kernel import emitted, link_kernel, needs_gnu
from tests.report.browser import Browser
from tests.report.pages import KERNELS, Pages, embedded

VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}
HOSTILE = "<script>alert(1)</script>&quot;'.S"
SCHEMA = Path(resources.__file__).parent / "report" / "schemas" / "report-1.json"
QUICK = ("--kernel", "4.7", "--no-prove")


@pytest.fixture
def lpgen(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Here:
    monkeypatch.chdir(tmp_path)
    return Here(tmp_path, capsys)


class Checked(HTMLParser):
    """Checks that what begins ends, that ids are there once and are what they are referred to by."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.referred: list[str] = []
        self.loaded: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(str(value))
            elif name in ("aria-labelledby", "aria-controls", "for"):
                self.referred += str(value).split()
            elif name == "href" and str(value).startswith("#"):
                self.referred.append(str(value)[1:])
            elif name in ("href", "src", "srcset", "action", "data", "poster"):
                self.loaded.append(str(value))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, self.getpos()


@pytest.mark.parametrize("name", ["4.7", "6.18", "no livepatch"])
def test_well_formed_and_alone(name: str, pages: Pages) -> None:
    text = pages(*KERNELS[name]).read_text()
    checked = Checked()
    checked.feed(text)
    checked.close()
    assert checked.open == []
    assert len(set(checked.ids)) == len(checked.ids)
    assert set(checked.referred) <= set(checked.ids)
    assert checked.loaded == ["data:,"]
    assert set(re.findall(r"https?://[^\s\"'<>`]*", text)) <= {"http://www.w3.org/2000/svg"}
    assert not re.search(r"@import|url\((?!#)|fetch\(|XMLHttpRequest|import\(|WebSocket", text)


def test_the_same_each_time(lpgen: Here, tmp_path: Path) -> None:
    assert [lpgen("report", *QUICK, "--out", name).code for name in ("one", "two")] == [0, 0]
    one = (tmp_path / "one").read_text()
    assert one == (tmp_path / "two").read_text()
    assert str(tmp_path) not in one
    assert not re.search(r"\b20[0-9][0-9]-[0-9][0-9]-[0-9][0-9]\b|\bseconds\b", one)


def test_a_hostile_name_and_text(lpgen: Here, tmp_path: Path, browser: Browser) -> None:
    assert lpgen("emit", "--kernel", "4.7", "--out", "plain.S").code == 0
    text = (tmp_path / "plain.S").read_text()
    directory = tmp_path / "<script>alert(1)<"
    directory.mkdir()
    name = f"<script>alert(1)<{os.sep}script>.S"
    (tmp_path / name).write_text(text + "/* </script><script>document.title = 'taken'</script><!-- <script> */\n")
    assert lpgen("report", name, *QUICK, "--out", "page.html").code == 0
    page = (tmp_path / "page.html").read_text()
    assert page.count("<script") == 2
    checked = Checked()
    checked.feed(page)
    browser.open(tmp_path / "page.html")
    assert browser.driver.title.startswith("lpgen report: kernel 4.7")
    assert name in browser.find("header").text
    assert "document.title = 'taken'" in browser.find("#emitted").get_property("textContent")
    browser.slide([1, 50])
    assert browser.complaints() == []


def test_what_cannot_be_made_leaves_nothing(lpgen: Here, tmp_path: Path) -> None:
    (tmp_path / "directory").mkdir()
    (tmp_path / "out").write_text("")
    before = lpgen.tree()
    assert "is a directory" in lpgen("report", *QUICK, "--out", "directory").error_line
    assert "cannot be written" in lpgen("report", *QUICK, "--out", "none/page.html").error_line
    assert "out: is a file" in lpgen("report", *QUICK).error_line
    assert "--json writes no page" in lpgen("report", *QUICK, "--json", "--out", "page.html").error_line
    late = lpgen("report", *QUICK, "--interrupt-at", "9999", "--out", "page.html").error_line
    assert late == "lpgen: --interrupt-at 9999: the call executes fewer instructions; give a lower boundary"
    assert lpgen.tree() == before


def test_ctrl_c_leaves_the_old_page(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text("old")
    for wait in (0.3, 1.0, 1.8):
        begun = subprocess.Popen(
            [*LPGEN, "report", "--kernel", "6.18", "--out", str(page)],
            cwd=tmp_path,
            env=environment(),
            stderr=subprocess.PIPE,
        )
        time.sleep(wait)
        begun.send_signal(signal.SIGINT)
        _, said = begun.communicate(timeout=120)
        if begun.returncode == 130 or wait < 1:
            assert begun.returncode in (130, -signal.SIGINT), said
            assert b"Traceback" not in said or wait < 1
            assert page.read_text() == "old"
        assert [path.name for path in tmp_path.iterdir()] == ["page.html"]


def test_a_page_is_replaced_whole(lpgen: Here, tmp_path: Path) -> None:
    page, link = tmp_path / "page.html", tmp_path / "link.html"
    page.write_text("old")
    link.symlink_to(page)
    with page.open() as reader:
        assert lpgen("report", *QUICK, "--out", "link.html").code == 0
        assert reader.read() == "old"
    assert link.is_symlink()
    assert page.read_text().startswith("<!doctype html>")


def test_progress_on_a_terminal(tmp_path: Path) -> None:
    code, shown = on_terminal("report", *QUICK, "--out", "page.html", cwd=tmp_path)
    assert code == 0
    assert b"/5" in shown
    assert b"page.html: 5 calls" in shown


# Templates of one's own


def test_a_block_of_ones_own(lpgen: Here, tmp_path: Path) -> None:
    own = tmp_path / "mine" / "report"
    own.mkdir(parents=True)
    (own / "report.html.j2").write_text(
        '{% extends "lpgen/report/report.html.j2" %}\n'
        "{% block summary %}<h1>Ours: {{ kernel.version }}</h1>{{ super() }}{% endblock %}\n"
    )
    (own / "report.css").write_text("body { color: teal }\n")
    assert lpgen("report", *QUICK, "--templates", "mine", "--out", "page.html").code == 0
    page = (tmp_path / "page.html").read_text()
    assert "<h1>Ours: 4.7</h1>" in page
    assert "Verdict by statement" in page
    assert "body { color: teal }" in page
    assert "--accent" not in page.split("</style>")[0]


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("one\n{% endif %}\n", 2, "template syntax"),
        ("one\ntwo\n{{ nobody }}\n", 3, "nobody"),
        ("{{ 1 / 0 }}\n", 1, "division"),
    ],
)
def test_a_template_that_is_wrong(text: str, line: int, says: str, lpgen: Here, tmp_path: Path) -> None:
    own = tmp_path / "mine" / "report"
    own.mkdir(parents=True)
    (own / "report.html.j2").write_text(text)
    said = lpgen("report", *QUICK, "--templates", "mine", "--out", "page.html").error_line
    assert f"mine/report/report.html.j2:{line}:" in said
    assert says in said
    assert not (tmp_path / "page.html").exists()


# What it is about


def test_an_object_and_standard_input(lpgen: Here, tmp_path: Path) -> None:
    made = kernel("6.12")
    (tmp_path / "entry.o").write_bytes(write_object(api.trampolines(made)))
    assert lpgen("report", "entry.o", "--kernel", "6.12", "--no-prove", "--out", "page.html").code == 0
    page = (tmp_path / "page.html").read_text()
    assert 'id="source"' not in page
    assert "livepatch_handler+0x" in page
    assert embedded(tmp_path / "page.html")["rows"]
    assert lpgen("emit", "--kernel", "4.7", "--out", "plain.S").code == 0
    done = subprocess.run(
        [*LPGEN, "report", "-", *QUICK, "--out", "-"],
        input=(tmp_path / "plain.S").read_bytes(),
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(b"<!doctype html>")
    assert b"<stdin>" in done.stdout or b"&lt;stdin&gt;" in done.stdout or b"lpgen report - " in done.stdout


@needs_gnu
def test_a_linked_kernel(lpgen: Here, tmp_path: Path) -> None:
    made = kernel("5.10")
    link_kernel(tmp_path, made, emitted(made))
    ran = lpgen("report", "vmlinux", "--no-prove", "--out", "page.html")
    assert ran.code == 0, ran.err
    assert "kernel 5.10" in (tmp_path / "page.html").read_text()


def _store(path: Path, version: str) -> list[Outcome]:
    """Write the results of a campaign on what lpgen emits for a kernel: of four mutants."""
    made = kernel(version)
    planned = campaign(Subject(made, api.trampolines(made), True, "kernel", None), Asked())
    outcomes = [
        Outcome(
            planned.ids[0],
            "immediate",
            "addi r1, r1, 8",
            "addi r1, r1, 16",
            verify="killed",
            statements=("L2",),
            caller="0",
        ),
        Outcome(planned.ids[1], "immediate", "nop", "ori r0, r0, 0", verify="passed", prove="proved"),
        Outcome(planned.ids[2], "register", "<was>", "<now>", place="x.S:3", verify="passed", prove="undecided"),
    ]
    with closing(Store(path, planned.about)) as store:
        store.add(outcomes)
    return outcomes


def test_with_a_mutation_campaign(lpgen: Here, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    _store(tmp_path / "out" / "mutate-4.7.sqlite", "4.7")
    assert lpgen("report", *QUICK).code == 0
    page = (tmp_path / "out" / "report.html").read_text()
    assert "3 mutants: 1 killed, 1 equivalent (proved), 1 survived" in page
    assert "<code>&lt;was&gt;</code> became <code>&lt;now&gt;</code>" in page
    assert "3 of " in page
    ran = lpgen("report", *QUICK, "--config", "CONFIG_FUNCTION_GRAPH_TRACER=n", "--out", "other.html")
    assert ran.code == 0
    assert "is about other code" in (tmp_path / "other.html").read_text()
    before = lpgen.tree()
    said = lpgen(
        "report", "--kernel", "6.12", "--no-prove", "--mutation", "out/mutate-4.7.sqlite", "--out", "x.html"
    ).error_line
    assert "out/mutate-4.7.sqlite: has the results of another code's mutants" in said
    assert lpgen("report", *QUICK, "--mutation", "none.sqlite").code == 2
    assert lpgen.tree() == before


@pytest.fixture(scope="module")
def documents(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, object]]:
    """Reports as JSON: of what lpgen emits, with everything; and of a wrong trampoline."""
    directory = tmp_path_factory.mktemp("json")
    _store(directory / "store", "4.7")
    (directory / "wrong.S").write_text(next(one for one in ALL if one.name == "handler_loses_r2").text())
    found = []
    for args in (["--kernel", "4.7", "--against", "4.12", "--mutation", "store"], ["wrong.S", *QUICK]):
        done = subprocess.run(
            [*LPGEN, "report", *args, "--json"],
            cwd=directory,
            env=environment(),
            capture_output=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == (1 if "wrong.S" in args else 0), done.stderr
        found.append(json.loads(done.stdout))
    return found


def test_json_is_what_its_schema_says(documents: list[dict[str, object]]) -> None:
    schema = json.loads(SCHEMA.read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    for document in documents:
        assert [error.message for error in validator.iter_errors(document)] == []
        for name in schema["required"]:
            assert not validator.is_valid({key: value for key, value in document.items() if key != name})
        assert not validator.is_valid(document | {"more": 1})
    assert all(documents[0][part] is not None for part in ("prove", "diff", "mutants"))
    assert all(documents[1][part] is None for part in ("prove", "diff", "mutants"))
    assert documents[1]["holds"] is False
