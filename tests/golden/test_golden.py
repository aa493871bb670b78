"""The text for every kernel at which lpgen's facts change, kept readable in this directory, is what is emitted now.

LPGEN_UPDATE=1 writes them anew; the difference is then for git to show and for a person to read.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from difflib import unified_diff
from functools import partial
from pathlib import Path

import pytest

from lpgen.kernel.generations import kernel, spans, versions_of
from lpgen.source.emit import emit_source

HERE = Path(__file__).parent
UPDATE = "LPGEN_UPDATE"
COMMAND = f"{UPDATE}=1 .venv/bin/pytest tests/golden"


def texts() -> dict[str, Callable[[], str]]:
    """The names of all golden files, each with what makes its text."""
    versions = {version: generation for generation, *_ in spans() for version in versions_of(generation)}
    made = {f"{generation}-{version}.S": partial(text_for, version) for version, generation in versions.items()}
    newest, generation = list(versions.items())[-1]
    return made | {f"{generation}-{newest}-ifdef.S": partial(text_for, newest, ifdef=True)}


def text_for(version: str, *, ifdef: bool = False) -> str:
    return emit_source(kernel(version), ifdef=ifdef).text


TEXTS = texts()


def kept(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir() if path.suffix == ".S"}


def compare(name: str, text: str, directory: Path = HERE) -> None:
    """Fail, with the difference and the command that accepts it, unless the file ``name`` has the text."""
    path = directory / name
    old = path.read_text() if path.is_file() else ""
    if old == text:
        return
    shown = "\n".join(unified_diff(old.splitlines(), text.splitlines(), f"golden/{name}", "emitted now", lineterm=""))
    pytest.fail(f"{name} is not what is emitted:\n{shown or 'the ends of lines differ'}\n\nto accept: {COMMAND}", False)


def compare_names(wanted: set[str], directory: Path = HERE) -> None:
    """Fail for a file that no kernel makes, and for one that is missing."""
    stale, missing = sorted(kept(directory) - wanted), sorted(wanted - kept(directory))
    if stale or missing:
        pytest.fail(f"no kernel makes {stale}; there is no {missing}\n\nto accept: {COMMAND}", False)


def update(wanted: dict[str, Callable[[], str]], directory: Path = HERE) -> None:
    """Write all golden files, and remove those that no kernel makes."""
    for name in kept(directory) - wanted.keys():
        (directory / name).unlink(missing_ok=True)
    for name, make in wanted.items():
        (directory / name).write_text(make())


@pytest.fixture(scope="module", autouse=True)
def updated() -> None:
    if os.environ.get(UPDATE):
        update(TEXTS)


@pytest.mark.parametrize("name", TEXTS)
def test_the_text_is_the_one_that_was_accepted(name: str) -> None:
    compare(name, TEXTS[name]())


def test_every_file_is_one_that_a_kernel_makes() -> None:
    compare_names(set(TEXTS))


def test_a_changed_text_is_shown_with_the_command_that_accepts_it() -> None:
    name = next(iter(TEXTS))
    text = (HERE / name).read_text()
    with pytest.raises(pytest.fail.Exception) as caught:
        compare(name, text.replace("\tbne-\tlivepatch_handler\n", "\tbeq-\tlivepatch_handler\n"))
    said = str(caught.value).splitlines()
    assert said[0] == f"{name} is not what is emitted:"
    assert "-\tbne-\tlivepatch_handler" in said
    assert "+\tbeq-\tlivepatch_handler" in said
    assert said[-1] == "to accept: LPGEN_UPDATE=1 .venv/bin/pytest tests/golden"
    with pytest.raises(pytest.fail.Exception, match=r"ends of lines differ"):
        compare(name, text[:-1])
    with pytest.raises(pytest.fail.Exception, match=r"\+\tblr"):
        compare("G0-4.6.S", "\tblr\n")


def test_a_stale_file_and_a_missing_one_are_named_and_an_update_mends_both(tmp_path: Path) -> None:
    (tmp_path / "G0-4.6.S").write_text("\tblr\n")
    wanted = {"G1-4.7.S": lambda: "\tnop\n"}
    with pytest.raises(pytest.fail.Exception) as caught:
        compare_names(set(wanted), tmp_path)
    assert str(caught.value).splitlines()[0] == "no kernel makes ['G0-4.6.S']; there is no ['G1-4.7.S']"
    assert str(caught.value).endswith(COMMAND)
    update(wanted, tmp_path)
    compare_names(set(wanted), tmp_path)
    compare("G1-4.7.S", "\tnop\n", tmp_path)
