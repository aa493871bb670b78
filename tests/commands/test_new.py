"""lpgen new: the pack that it writes is installed, emitted, judged, tested by its own tests, and broken."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from lpgen.api import trampolines
from lpgen.cli import run
from lpgen.kernel.generations import kernel
from lpgen.report.files import write_directory
from lpgen.source.emit import emit_source
from lpgen.source.new_pack import assembly_templates, blocks_of, chosen_block, pack_files, users_of
from tests.commands.tools import Here, Ran, environment, program

TEMPLATE = "livepatch_handler.S.j2"
FILES = {
    "pyproject.toml",
    "README.md",
    "my_pack/__init__.py",
    f"my_pack/templates/{TEMPLATE}",
    "tests/test_kernels.py",
}


def test_writes_a_pack(lpgen: Here) -> None:
    ran = lpgen("new", "my-pack")
    assert (ran.code, ran.out) == (0, "")
    assert ran.err.count("\n") == len(FILES)
    made = {name.removeprefix("my-pack/") for name, content in lpgen.tree().items() if content != "/"}
    assert made == FILES
    project = tomllib.loads((lpgen.directory / "my-pack/pyproject.toml").read_text())
    assert project["project"]["entry-points"] == {"lpgen.templates": {"my-pack": "my_pack"}}
    assert (lpgen.directory / "my-pack").stat().st_mode & 0o777 == 0o777 & ~_umask()


def _umask() -> int:
    import os

    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_what_the_readme_says_is_accepted(lpgen: Here) -> None:
    assert lpgen("new", "p", "--kernel", "6.12", "--template", "ftrace_lean_caller.S.j2").code == 0
    text = (lpgen.directory / "p/README.md").read_text()
    commands = re.findall(r"^(?:lpgen .*|pip .*|pytest)$", text, re.MULTILINE)
    assert commands == [
        "pip install -e .",
        "pytest",
        "lpgen emit --kernel 6.12 --templates p --out ftrace_entry.S",
        "lpgen emit --kernel 6.12 --templates p/templates --watch --out ftrace_entry.S",
    ]
    assert "`restore`" in text
    kernels = re.findall(r'^    "(.*)",$', (lpgen.directory / "p/tests/test_kernels.py").read_text(), re.MULTILINE)
    assert kernels == ["4.18", "5.1", "5.18", "5.19", "6.5", "6.8", "6.12", "6.13"]


def test_an_empty_directory_is_filled_and_stays_the_same(lpgen: Here) -> None:
    (lpgen.directory / "there").mkdir()
    before = (lpgen.directory / "there").stat().st_ino
    assert lpgen("new", "there").code == 0
    assert (lpgen.directory / "there").stat().st_ino == before
    assert sorted(path.name for path in (lpgen.directory / "there").iterdir()) == [
        "README.md",
        "pyproject.toml",
        "tests",
        "there",
    ]


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["full"], "full: is not empty; name a directory that is to be made"),
        (["file"], "lpgen new: Invalid value for 'DIR': Directory 'file' is a file"),
        (["no/such"], "no/such: cannot be written: no such file or directory; make the directory first"),
        ([""], "DIR names no directory"),
        (["2-b"], "'2-b' cannot be the name of a pack; --name takes letters"),
        (["a b"], "'a b' cannot be the name of a pack"),
        (["x", "--name", "json"], "a pack cannot be called 'json': Python has another use for it; use --name"),
        (["x", "--name", "lpgen"], "a pack cannot be called 'lpgen'"),
        (["x", "--template", "livepatch_handlr.S.j2"], f"did you mean {TEMPLATE}?"),
        (
            ["x", "--template", "Kconfig.j2"],
            "lpgen has no template 'Kconfig.j2' of the assembly; there are call_tracer",
        ),
        (["x", "--template", "mcount.S.j2", "--kernel", "5.1"], "or leave out --kernel: 6.6, 6.8, 6.13"),
        (["x", "--kernel", "3.9"], "3.9"),
    ],
)
def test_what_cannot_be_is_one_line_and_writes_nothing(lpgen: Here, args: list[str], said: str) -> None:
    (lpgen.directory / "full").mkdir()
    (lpgen.directory / "full/x").touch()
    (lpgen.directory / "file").touch()
    before = lpgen.tree()
    assert said in lpgen("new", *args).error_line
    assert lpgen.tree() == before


@pytest.mark.parametrize("there", [False, True])
def test_nothing_is_left_of_what_fails(tmp_path: Path, there: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "made"
    if there:
        path.mkdir()

    def fails(self: Path, target: Path) -> Path:
        if self.name in ("b", "made") or self.name.startswith(".lpgen"):
            raise KeyboardInterrupt
        return real(self, target)

    real = Path.replace
    monkeypatch.setattr(Path, "replace", fails)
    with pytest.raises(KeyboardInterrupt):
        write_directory(path, {"a/x": "1", "b": "2"})
    assert list(tmp_path.rglob("*")) == ([path] if there else [])


@pytest.mark.parametrize("template", assembly_templates())
def test_the_override_of_each_template_changes_no_byte(template: str, tmp_path: Path) -> None:
    (own,) = (text for path, text in pack_files("pack", template).items() if path.endswith(template))
    (tmp_path / template).write_text(own)
    block = chosen_block(blocks_of(template))
    if block is not None:
        assert f"{{% block {block.name} %}}" in own
        assert block.name != "header"
    users = users_of(template)
    for version in {users[0], users[-1]}:
        facts = kernel(version)
        text = emit_source(facts, templates_dir=tmp_path).text
        assert "/* pack: " in text
        made, plain = trampolines(facts, templates=tmp_path), trampolines(facts)
        assert made.sections[".text"].data == plain.sections[".text"].data
        assert made.symbols == plain.symbols


def test_completion_of_templates(tmp_path: Path) -> None:
    words = "lpgen new x --template ftrace_l"
    ran = program(cwd=tmp_path, _LPGEN_COMPLETE="bash_complete", COMP_WORDS=words, COMP_CWORD="4")
    assert ran.out == "plain,ftrace_lean_caller.S.j2\n"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new pack, and beside it what an installation of it leaves, in site/."""
    top = tmp_path_factory.mktemp("pack")
    assert run(["new", str(top / "my-pack")]) == 0
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index", "--no-build-isolation"]
    done = subprocess.run(
        [*command, "--target", str(top / "site"), str(top / "my-pack")],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    shutil.rmtree(top / "my-pack/build", ignore_errors=True)
    return top


def _lpgen(top: Path, *args: str, cwd: Path) -> Ran:
    both = f"{environment()['PYTHONPATH']}:{top / 'site'}"
    return program(*args, cwd=cwd, PYTHONPATH=both)


def test_an_installed_pack_goes_by_its_name(project: Path, tmp_path: Path) -> None:
    ran = _lpgen(project, "emit", "--templates", "my-pack", "--out", "-", cwd=tmp_path)
    assert ran.code == 0, ran.err
    assert "\n * lpgen 0.1.0: lpgen emit --kernel 4.7 --templates my-pack\n" in ran.out
    assert "\t/* my-pack: from here to the end of the block */\n" in ran.out
    assert str(project) not in ran.out
    # In the project itself the package has the same name, and no template beside it.
    for where in (project, project / "my-pack"):
        assert _lpgen(project, "emit", "--templates", "my-pack", "--out", "-", cwd=where).out == ran.out
    judged = _lpgen(project, "verify", "--templates", "my-pack", cwd=tmp_path)
    assert judged.code == 0
    assert judged.out.endswith("\nholds: all 16 statements\n")


def test_doctor_lists_it(project: Path, tmp_path: Path) -> None:
    ran = _lpgen(project, "doctor", cwd=tmp_path)
    assert f"\nTemplate packs\n  my-pack  my-pack 0.1.0  {project / 'site/my_pack/templates'}\n" in ran.out


def test_a_failure_can_be_run_again_by_the_name(project: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    shutil.copytree(project / "site", site)
    _break(site / "my_pack/templates" / TEMPLATE)
    ran = _lpgen(tmp_path, "verify", "--templates", "my-pack", cwd=tmp_path)
    assert ran.code == 1
    assert "\n  again        lpgen verify --kernel 4.7 --templates my-pack --plan " in ran.out
    # A place is a file that can be opened.
    assert re.search(rf", site/my_pack/templates/{re.escape(TEMPLATE)}:\d+\n", ran.out) or "templates/" in ran.out
    (site / "my_pack/templates" / TEMPLATE).write_text("{% nonsense %}\n")
    line = _lpgen(tmp_path, "emit", "--templates", "my-pack", "--out", "x", cwd=tmp_path).error_line
    assert line.startswith(f"lpgen: site/my_pack/templates/{TEMPLATE}:1: template syntax: ")


def test_its_own_tests_pass_and_name_the_statement_that_is_broken(project: Path, tmp_path: Path) -> None:
    own = tmp_path / "my-pack"
    shutil.copytree(project / "my-pack", own)
    # Two kernels show as much as ten.
    path = own / "tests/test_kernels.py"
    path.write_text(re.sub(r'(?<=KERNELS = \[\n)(    ".*",\n)*', '    "4.7",\n    "6.13",\n', path.read_text()))
    code, out = _pytest(own)
    assert code == 0, out
    assert " 18 passed" in out
    _break(own / "my_pack/templates" / TEMPLATE)
    code, out = _pytest(own)
    assert code == 1
    assert "FAILED my_pack/templates::templates::L5 - L5 broken back in A: r2 (A's TOC)" in out
    assert "FAILED tests/test_kernels.py::test_every_statement_holds[6.13]" in out
    assert "\nBROKEN: L4, L5, S8r\n" in out


def _break(template: Path) -> None:
    text = template.read_text()
    assert "\tld\tr2, -24(r11)\n" in text
    template.write_text(text.replace("\tld\tr2, -24(r11)\n", ""))


def _pytest(directory: Path) -> tuple[int, str]:
    from tests.api.test_pytest_plugin import PLUGIN

    done = subprocess.run(
        [sys.executable, "-m", "pytest", *PLUGIN], cwd=directory, env=environment(), capture_output=True, text=True,
        timeout=300, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr
