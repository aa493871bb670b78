"""Template packs by their entry points: found by name, none of them run, and a broken one said in one line."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from lpgen.api import verify
from lpgen.errors import LpgenError
from lpgen.source.packs import Pack, find_templates, names_pack, offered
from tests.api.test_pytest_plugin import PLUGIN

pytest_plugins = ["pytester"]
STUB = '{% extends "lpgen/ftrace_stub.S.j2" %}\n{% block stub %}/* mine */\n{{ super() }}{% endblock %}\n'


class Site:
    """A directory on sys.path into which distributions are put by hand."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def add(self, name: str, points: str, *, package: str | None = None, templates: bool = True) -> None:
        info = self.directory / f"{name.replace('-', '_')}-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[lpgen.templates]\n{points}\n")
        if package is not None:
            (self.directory / package).mkdir()
            # A pack is not run.
            (self.directory / package / "__init__.py").write_text("raise SystemExit('was run')\n")
            if templates:
                (self.directory / package / "templates").mkdir()
                (self.directory / package / "templates/ftrace_stub.S.j2").write_text(STUB)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    directory = tmp_path / "site"
    directory.mkdir()
    monkeypatch.syspath_prepend(str(directory))
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    return Site(directory)


def test_found_by_name_and_not_run(site: Site) -> None:
    site.add("one-dist", "one = one_package", package="one_package")
    site.add("other", "other = other_package\nbad = gone", package="other_package")
    assert find_templates("one") == Pack("one", "one-dist 1.0", site.directory / "one_package/templates")
    assert [pack.name for pack in offered() if pack.distribution in ("one-dist 1.0", "other 1.0")] == [
        "bad",
        "one",
        "other",
    ]
    assert "one_package" not in sys.modules


def test_a_directory_with_templates_comes_first(site: Site) -> None:
    site.add("one-dist", "one = one_package", package="one_package")
    Path("one").mkdir()
    assert isinstance(find_templates("one"), Pack)
    assert find_templates("./one") == Path("one")
    Path("one/ftrace_stub.S.j2").write_text(STUB)
    assert find_templates("one") == Path("one")
    assert not names_pack("one", Path.cwd())
    assert names_pack("one", Path.cwd().parent)


@pytest.mark.parametrize(
    ("points", "package", "templates", "said"),
    [
        ("one = gone", None, True, "pack 'one' of dist 1.0: there is no package gone; mend or reinstall dist, or pip"),
        ("one = gone.below", None, True, "pack 'one' of dist 1.0: looking for gone.below: ModuleNotFoundError: "),
        ("one = here", "here", False, "pack 'one' of dist 1.0: its package here has no directory templates; "),
        ("one = here:name", "here", True, "its entry point 'here:name' is not the name of a package; "),
        ("one = json.decoder", None, True, "json.decoder is a module, not a package with a directory templates; "),
    ],
)
def test_a_broken_pack_is_one_line(site: Site, points: str, package: str | None, templates: bool, said: str) -> None:
    site.add("dist", points, package=package, templates=templates)
    with pytest.raises(LpgenError) as caught:
        find_templates("one")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_entry_points_that_cannot_be_read(site: Site) -> None:
    site.add("good", "good = good_package", package="good_package")
    site.add("damaged", "one = x")
    path = next(site.directory.glob("damaged*")) / "entry_points.txt"
    path.write_bytes(b"[lpgen.templates]\n\xff\n")
    assert isinstance(find_templates("good"), Pack)
    (fault,) = (pack for pack in offered() if pack.fault)
    with pytest.raises(LpgenError, match=r"damaged-1\.0\.dist-info: its entry points cannot be read"):
        fault.resolved()


def test_two_of_one_name(site: Site) -> None:
    site.add("dist-a", "one = a_package", package="a_package")
    site.add("dist-b", "one = b_package", package="b_package")
    with pytest.raises(LpgenError, match=r"dist-a 1.0 and dist-b 1.0 both have a pack 'one'; uninstall one of them"):
        find_templates("one")


def test_neither_directory_nor_pack(site: Site) -> None:
    with pytest.raises(LpgenError, match=r"^frist: is not a directory, nor an installed pack of templates; "):
        find_templates("frist")
    site.add("dist", "first = p", package="p")
    with pytest.raises(LpgenError, match=r"^frist: is not a directory, .*; did you mean first\?$"):
        find_templates("frist")
    assert find_templates("a/frist") == Path("a/frist")


def test_verify_takes_the_name(site: Site) -> None:
    site.add("dist", "first = p", package="p")
    result = verify("4.7", templates="first", callers=2)
    assert result.command == "lpgen verify --kernel 4.7 --templates first"
    with pytest.raises(LpgenError, match="none: is not a directory"):
        verify("4.7", templates="none")


def test_the_plugin_takes_the_name(site: Site, pytester: pytest.Pytester) -> None:
    site.add("dist", "first = p", package="p")
    (pytester.path / "test_own.py").write_text("def test_own(): pass\n")
    pytester.makeini("[pytest]\nlpgen_templates = first\n")
    ran = pytester.runpytest_inprocess(*PLUGIN, "-v")
    ran.assert_outcomes(passed=17)
    ran.stdout.fnmatch_lines(["*::first::T1 PASSED*", "*test_own.py::test_own PASSED*"])
    (site.directory / "p/templates/ftrace_stub.S.j2").write_text(
        STUB.replace("{{ super() }}", '{{ asm.entry("ftrace_stub") }}\n\tli\tr1, 0\n\tblr\n')
    )
    ran = pytester.runpytest_inprocess(*PLUGIN)
    ran.stdout.fnmatch_lines(["  again        lpgen verify --kernel 4.7 --templates first --plan *"])
    pytester.makeini("[pytest]\nlpgen_templates = frist\n")
    ran = pytester.runpytest_inprocess(*PLUGIN)
    ran.assert_outcomes(errors=1)
    ran.stdout.fnmatch_lines(["lpgen: frist: is not a directory, nor an installed pack of templates; *"])
