"""What is built carries what it needs: wheel, zip, sdist and the checkout make the same text."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
DATA = sorted(
    str(path.relative_to(ROOT))
    for path in (ROOT / "lpgen").rglob("*")
    if path.suffix in {".toml", ".h", ".json", ".j2"}
)


def _files(directory: Path) -> set[str]:
    return {str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file()}


# The page's style and script are among them.
TEMPLATES = _files(ROOT / "templates")


def _build(kind: str, directory: Path, tree: Path = ROOT) -> Path:
    command = [sys.executable, "-m", "build", f"--{kind}", "--no-isolation", "--outdir", str(directory), str(tree)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = directory.iterdir()
    return built


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _build("wheel", tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _build("sdist", tmp_path_factory.mktemp("sdist"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("installed")
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "-q",
        "--no-deps",
        "--no-index",
        "--target",
        str(target),
        str(wheel),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return target


def _run(path: Path, directory: Path, *args: str) -> str:
    """Run the lpgen that is on ``path``, in ``directory``; return what it printed."""
    # -P: not from the current directory. The last line says where lpgen came from.
    code = "import sys, lpgen.cli; code = lpgen.cli.run(); print(lpgen.cli.__file__, file=sys.stderr); sys.exit(code)"
    env = os.environ | {"PYTHONPATH": str(path)}
    done = subprocess.run(
        [sys.executable, "-P", "-c", code, *args],
        cwd=directory,
        env=env,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert Path(done.stderr.splitlines()[-1]).is_relative_to(path)
    return done.stdout


EMITS = [["emit", "--out", "-"], ["emit", "--out", "-", "--style", "standalone"], ["offsets", "--format", "header"]]


@pytest.mark.parametrize("args", EMITS, ids=" ".join)
def test_wheel_in_an_empty_directory(installed: Path, tmp_path: Path, args: list[str]) -> None:
    assert _run(installed, tmp_path, *args) == _run(ROOT, tmp_path, *args)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("args", EMITS, ids=" ".join)
def test_zip_on_the_path(wheel: Path, tmp_path: Path, args: list[str]) -> None:
    assert _run(wheel, tmp_path, *args) == _run(ROOT, tmp_path, *args)


def test_installed_wheel_runs_what_it_emits(installed: Path, tmp_path: Path) -> None:
    assert "\nholds: " in _run(installed, tmp_path, "verify", "--callers", "5")


def test_installed_wheel_makes_a_report(installed: Path, tmp_path: Path) -> None:
    page = _run(installed, tmp_path, "report", "--no-prove", "--out", "-")
    assert all((ROOT / "templates" / "report" / name).read_text() in page for name in ("report.css", "report.js"))


def test_templates_of_ones_own_work_with_a_zip(wheel: Path, tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    (own / "ftrace_stub.S.j2").write_text(
        '{% extends "lpgen/ftrace_stub.S.j2" %}\n{% block stub %}/* mine */\n{{ super() }}{% endblock %}\n'
    )
    assert "/* mine */" in _run(wheel, tmp_path, "emit", "--out", "-", "--templates", "own")


def test_wheel_has_every_data_file_and_nothing_that_is_not_lpgen(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {f"lpgen/templates/{name}" for name in TEMPLATES} <= names
    assert set(DATA) <= names
    assert "lpgen/py.typed" in names
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"lpgen"}
    assert [name for name in names if name.endswith("licenses/LICENSE")]


def test_wheel_has_one_copy_of_each_file(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert len(names) == len(set(names))


def test_sdist_has_what_the_tests_need_and_builds_the_same_wheel(sdist: Path, wheel: Path, tmp_path: Path) -> None:
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    (tree,) = tmp_path.iterdir()
    for name in ("pyproject.toml", "README.md", "CHANGELOG.md", "LICENSE", ".ci/run", "tests/conftest.py"):
        assert (tree / name).is_file(), name
    assert _files(tree / "templates") == TEMPLATES
    command = [
        sys.executable,
        "-m",
        "build",
        "--wheel",
        "--no-isolation",
        "--outdir",
        str(tmp_path / "dist"),
        str(tree),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    again = zipfile.ZipFile(tmp_path / "dist" / wheel.name)
    first = zipfile.ZipFile(wheel)
    assert {name: again.read(name) for name in again.namelist()} == {
        name: first.read(name) for name in first.namelist()
    }


def test_checkout_reads_its_own_templates(tmp_path: Path) -> None:
    """An editable install points at the checkout: an edit of templates/ is seen at once."""
    copy = tmp_path / "checkout"
    _copy(ROOT / "lpgen", copy / "lpgen")
    _copy(ROOT / "templates", copy / "templates")
    stub = copy / "templates" / "ftrace_stub.S.j2"
    stub.write_text(stub.read_text().replace("the tracer while there is none", "edited just now"))
    (tmp_path / "cwd").mkdir()
    assert "edited just now" in _run(copy, tmp_path / "cwd", "emit", "--out", "-")


def _content(wheel: Path) -> dict[str, bytes]:
    archive = zipfile.ZipFile(wheel)
    return {name: archive.read(name) for name in archive.namelist()}


def _copy(source: Path, target: Path) -> None:
    import shutil

    shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
