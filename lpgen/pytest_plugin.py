"""A pytest plugin: one test for each contract statement that a file of trampolines has to keep.

    [pytest]
    lpgen_files = arch/powerpc/kernel/entry_64.S trampolines/*.S     files to judge: globs, from the root directory
    lpgen_templates = my_templates                                   directories of templates to judge, or packs
    lpgen_kernel = 4.7
    lpgen_config = CONFIG_FUNCTION_GRAPH_TRACER=n                    one a line
    lpgen_callers = 2000

Without lpgen_files and lpgen_templates the plugin collects nothing, and it loads the rest of lpgen only for what it
collects and for the fixture ``lpgen_verify``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from lpgen.report.result import Result


class _Broken(Exception):
    """What a test says when its statement does not hold: the lines for a person."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the plugin's settings."""
    parser.addini("lpgen_files", "assembly files to judge: globs, relative to the root directory", "args", [])
    parser.addini(
        "lpgen_templates",
        "template directories to judge: globs, from the root directory; or installed packs",
        "args",
        [],
    )
    parser.addini("lpgen_kernel", "kernel version that they are for", default="4.7")
    parser.addini("lpgen_config", "CONFIG_NAME=y or n that differ from the kernel's default", "linelist", [])
    parser.addini("lpgen_callers", "how many callers to send (default: as many as exercise every statement)")


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Collect a file that lpgen_files names."""
    if _named(parent.config, "lpgen_files", file_path):
        return TrampolineFile.from_parent(parent, path=file_path)
    return None


def pytest_collect_directory(path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Collect a directory that lpgen_templates names: its templates, then all else that is in it.

    Packs are collected in the root directory.
    """
    if path == parent.config.rootpath and (packs := _packs(parent.config)):
        return TemplateDirectory.from_parent(parent, path=path, packs=packs)
    if _named(parent.config, "lpgen_templates", path) and path.name not in _packs(parent.config):
        return TemplateDirectory.from_parent(parent, path=path)
    return None


@pytest.fixture(scope="session")
def lpgen_verify(pytestconfig: pytest.Config) -> Callable[..., Result]:
    """Return a function that takes what lpgen.verify takes, and fails the test with the report unless all holds.

    What is not given comes from the settings lpgen_kernel, lpgen_config and lpgen_callers.
    """

    def check(kernel: str | None = None, **given: Any) -> Result:
        __tracebackhide__ = True
        from lpgen.api import verify
        from lpgen.errors import LpgenError

        try:
            version, wanted = _settings(pytestconfig)
            # A kernel at hand says itself which it is.
            chosen = kernel if kernel is not None or {"vmlinux", "build"} & given.keys() else version
            result = verify(chosen, **(wanted | given))
        except LpgenError as error:
            pytest.fail(f"lpgen: {error}", pytrace=False)
        if not result.holds:
            pytest.fail(str(result), pytrace=False)
        return result

    return check


def _named(config: pytest.Config, setting: str, path: Path) -> bool:
    patterns: list[str] = config.getini(setting)
    if not patterns:
        return False
    try:
        relative = path.relative_to(config.rootpath)
    except ValueError:
        return False
    return any(path in config.rootpath.glob(pattern) for pattern in patterns if relative.parts)


def _packs(config: pytest.Config) -> list[str]:
    """Return the names among lpgen_templates that are no directory of templates, but a pack's, or wrong."""
    if not (patterns := config.getini("lpgen_templates")):
        return []
    from lpgen.source.packs import names_pack

    return [pattern for pattern in patterns if names_pack(pattern, config.rootpath)]


def _settings(config: pytest.Config) -> tuple[str, dict[str, Any]]:
    """Return version and arguments of lpgen.verify that the settings give. Raises LpgenError."""
    from lpgen.errors import LpgenError
    from lpgen.kernel.options import parse_setting

    options: dict[str, bool | int] = {}
    for setting in config.getini("lpgen_config"):
        parsed = parse_setting(setting)
        if parsed is None:
            raise LpgenError(f"lpgen_config: {setting!r} is not a setting", hint="write CONFIG_NAME=y or CONFIG_NAME=n")
        options[parsed[0]] = parsed[1]
    wanted: dict[str, Any] = {"config": options}
    callers: str | None = config.getini("lpgen_callers")
    if callers:
        if not (callers.isascii() and callers.isdecimal() and int(callers[:12])):
            raise LpgenError(f"lpgen_callers: {callers!r} is not a number from 1 on")
        wanted["callers"] = int(callers[:12])
    return config.getini("lpgen_kernel"), wanted


class _Trampolines(pytest.Collector):
    """What is judged once, for all the tests of its statements."""

    judged: Result | None = None
    what: dict[str, Any]

    def statements(self) -> Iterator[StatementTest]:
        """Yield a test for each statement; LpgenError for what cannot be assembled or run."""
        from lpgen import api
        from lpgen.contract.statements import STATEMENTS
        from lpgen.contract.suite import Suite, applicable
        from lpgen.kernel.generations import kernel

        version, wanted = _settings(self.config)
        facts = kernel(version, config=wanted["config"])
        unit = api.trampolines(facts, **self.what)
        Suite(facts, unit).conductor(watch=False)
        for id_ in applicable(facts):
            yield StatementTest.from_parent(self, name=id_, text=STATEMENTS[id_].text)

    def result(self) -> Result:
        """Return the verdict; the first test that asks runs the callers."""
        if self.judged is None:
            from lpgen.api import verify

            version, wanted = _settings(self.config)
            self.judged = verify(version, **wanted, **self.what)
        return self.judged

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Say an input error in one line."""
        from lpgen.errors import LpgenError

        if isinstance(excinfo.value, LpgenError):
            return f"lpgen: {excinfo.value}"
        return super().repr_failure(excinfo)


def _shown(config: pytest.Config, path: Path) -> str:
    """Return ``path`` as a person at the invocation directory names it."""
    invoked = config.invocation_params.dir
    return str(path.relative_to(invoked)) if path.is_relative_to(invoked) else str(path)


class TrampolineFile(_Trampolines, pytest.File):
    """A file of assembly."""

    def collect(self) -> Iterator[StatementTest]:
        """Yield a test for each statement."""
        self.what = {"source": _shown(self.config, self.path)}
        if self.path != Path(self.what["source"]).absolute():
            self.what = {"source": str(self.path)}
        yield from self.statements()


class Templates(_Trampolines):
    """What `lpgen emit` makes of a directory of templates, or of the installed ``pack``."""

    def __init__(self, *, pack: str | None = None, **given: Any) -> None:
        super().__init__(**given)
        self.pack = pack

    def collect(self) -> Iterator[StatementTest]:
        """Yield a test for each statement."""
        from lpgen.source.packs import find_pack

        self.what = {"templates": self.path if self.pack is None else find_pack(self.pack)}
        yield from self.statements()


class TemplateDirectory(pytest.Directory):
    """A directory of templates, or one that has ``packs`` besides what is in it."""

    def __init__(self, *, packs: Sequence[str] = (), **given: Any) -> None:
        super().__init__(**given)
        self.packs = packs

    def collect(self) -> Iterator[pytest.Item | pytest.Collector]:
        """Yield the templates as one, then what else is in the directory."""
        for pack in self.packs:
            yield Templates.from_parent(self, name=pack, pack=pack, path=self.path)
        if not self.packs:
            yield Templates.from_parent(self, name="templates", path=self.path)
        yield from pytest.Dir.from_parent(self, path=self.path).collect()


class StatementTest(pytest.Item):
    """The test of one statement."""

    def __init__(self, *, text: str, **given: Any) -> None:
        super().__init__(**given)
        self.text = text

    def runtest(self) -> None:
        """Fail unless the statement was exercised and holds."""
        assert isinstance(self.parent, _Trampolines)
        result = self.parent.result()
        statement = result.statements[self.name]
        if statement.broken:
            from lpgen.report.terminal import failure_lines

            failure = next(f for f in result.failures if f.finding.statement == self.name)
            raise _Broken("\n".join([*failure_lines(failure, result), f"  statement    {self.text}"]))
        if not statement.callers:
            raise _Broken(f"no caller exercised {self.name} ({self.text}): set lpgen_callers higher, or leave it out")

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Say what a person needs, without a traceback of lpgen's own."""
        from lpgen.errors import LpgenError

        if isinstance(excinfo.value, _Broken):
            return str(excinfo.value)
        if isinstance(excinfo.value, LpgenError):
            return f"lpgen: {excinfo.value}"
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, None, str]:
        """Return the file and the heading of a failure."""
        return self.path, None, f"{_shown(self.config, self.path)}: {self.name}"
