"""Rendering: which template wins, how one extends another, and the way back from a line to its template."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import jinja2
import pytest

from lpgen.errors import LpgenError
from lpgen.kernel.generations import Kernel, kernel
from lpgen.resources import read_template, template_names
from lpgen.source.emit import STYLES, emit_source
from lpgen.source.render import Rendered, _When, render

CONFIGS = [
    {"CONFIG_LIVEPATCH": livepatch, "CONFIG_FUNCTION_GRAPH_TRACER": graph}
    for livepatch, graph in itertools.product((True, False), repeat=2)
]
# Between them every part of every template; each has both options.
VERSIONS = ("4.7", "4.14.336", "5.4", "6.12", "6.18")
# Template extended, block, what the block says.
EXTENDS = '{{% extends "lpgen/{}.j2" %}}\n{{% block {} %}}\n{}{{% endblock %}}\n'


def own(directory: Path, **templates: str) -> Path:
    """Write templates; in a keyword's name __ stands for a dot."""
    directory.mkdir(exist_ok=True)
    for name, text in templates.items():
        (directory / name.replace("__", ".")).write_text(text)
    return directory


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_every_line_comes_from_a_template_line_that_reads_like_it(
    version: str, style: str, config: dict[str, bool]
) -> None:
    made = emit_source(kernel(version, config=config), style=style)
    lines = made.text.split("\n")
    assert len(made.origins) == len(lines)
    for line, origin in zip(lines, made.origins, strict=True):
        if not line:
            continue
        assert origin is not None, line
        assert origin.line is not None
        name = origin.file.removeprefix("templates/")
        template = read_template(name).split("\n")[origin.line - 1]
        # What is outside of {{ }} and {% %} stands in the line as it is, in this order.
        literal = [re.escape(part) for part in re.split(r"\{\{.*?\}\}|\{%.*?%\}", template)]
        assert re.search(".*".join(literal), line), f"{origin}: {template!r} gave {line!r}"


def test_text_is_what_jinja_alone_makes_of_the_templates() -> None:
    """The markers that origins rest on change nothing, whitespace included."""
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(read_template),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        extensions=[_When],
    )
    for version in VERSIONS:
        chosen = kernel(version)
        for style, ifdef in (*((style, False) for style in STYLES), ("kernel", True)):
            made = emit_source(chosen, style=style, ifdef=ifdef)
            assert environment.get_template("entry_64.S.j2").render(_context(chosen, style, ifdef)) == made.text


def _context(chosen: Kernel, style: str, ifdef: bool) -> dict[str, object]:
    """The names that emit_source gives its templates, taken from it."""
    import importlib

    emit = importlib.import_module("lpgen.source.emit")
    caught: dict[str, object] = {}

    def catch(name: str, context: dict[str, object], **_: object) -> Rendered:
        caught.update(context)
        return Rendered("", ())

    original = emit.render
    emit.render = catch  # type: ignore[attr-defined]
    try:
        emit.emit_source(chosen, style=style, ifdef=ifdef)
    finally:
        emit.render = original  # type: ignore[attr-defined]
    return caught


def test_no_marker_is_left_in_the_text() -> None:
    for version in VERSIONS:
        for style in STYLES:
            assert max(map(ord, emit_source(kernel(version), style=style).text)) < 0x80
        assert max(map(ord, emit_source(kernel(version), ifdef=True).text)) < 0x80


def test_one_template_replaced(tmp_path: Path) -> None:
    directory = own(tmp_path / "own", livepatch_handler__S__j2="/* mine */\n_GLOBAL(livepatch_handler)\n\tblr\n")
    shipped, made = emit_source(kernel()), emit_source(kernel(), templates_dir=directory)
    assert "/* mine */\n_GLOBAL(livepatch_handler)\n\tblr\n" in made.text
    # All before it is as shipped, the banner apart.
    start = made.text.index("/* mine */")
    assert made.text[:start].replace(" --templates own", "") == shipped.text[: start - len(" --templates own")]
    line = made.text[:start].count("\n")
    assert str(made.origins[line]) == f"{directory}/livepatch_handler.S.j2:1"


def test_one_block_overridden(tmp_path: Path) -> None:
    directory = own(
        tmp_path / "own",
        livepatch_handler__S__j2=EXTENDS.format("livepatch_handler.S", "call", "\tnop\n"),
    )
    shipped, made = emit_source(kernel()).text, emit_source(kernel(), templates_dir=directory).text
    assert made.replace(" --templates own", "") == shipped.replace("\tmfctr\tr12\n\tbctrl\n", "\tnop\n")
    line = made.split("\n").index("\tnop", made[: made.index("_GLOBAL(livepatch_handler)")].count("\n"))
    origin = emit_source(kernel(), templates_dir=directory).origins[line]
    assert str(origin) == f"{directory}/livepatch_handler.S.j2:3"


def test_super_keeps_the_shipped_block(tmp_path: Path) -> None:
    directory = own(
        tmp_path / "own",
        ftrace_stub__S__j2=EXTENDS.format("ftrace_stub.S", "stub", "/* before */\n{{ super() }}"),
    )
    made = emit_source(kernel(), templates_dir=directory).text
    assert "/* before */\n/* ftrace_stub: the tracer while there is none */\n" in made
    assert made.replace("/* before */\n", "").replace(" --templates own", "") == emit_source(kernel()).text


def test_a_template_of_ones_own_may_include_another(tmp_path: Path) -> None:
    directory = own(
        tmp_path / "own",
        preamble__kernel__j2='#include "x.h"\n{% include "part.j2" %}\n{% include "lpgen/preamble.kernel.j2" %}\n',
        part__j2="/* part of {{ kernel.version }} */\n",
    )
    made = emit_source(kernel(), templates_dir=directory).text
    assert '#include "x.h"\n/* part of 4.7 */\n#include <linux/magic.h>\n' in made


# The page of `lpgen report` is rendered elsewhere: tests/report/test_page.py.
@pytest.mark.parametrize("name", [name for name in template_names() if not name.startswith("report/")])
def test_every_shipped_template_can_be_overridden_and_extended(tmp_path: Path, name: str) -> None:
    directory = own(tmp_path / "own", **{name: f'{{% extends "lpgen/{name}" %}}\n'})
    for version in VERSIONS:
        assert emit_source(kernel(version), templates_dir=directory).text
    (directory / name).write_text("{{ broken_on_purpose }}\n")
    everything = [
        lambda version=version, style=style: emit_source(kernel(version), style=style, templates_dir=directory)
        for version in VERSIONS
        for style in STYLES
    ]
    everything.append(lambda: _change(directory))
    failures = []
    for make in everything:
        try:
            make()
        except LpgenError as error:
            failures.append(str(error))
    assert failures
    assert all(f"own/{name}:1: undefined name: 'broken_on_purpose'" in failure for failure in failures)


def _change(directory: Path) -> object:
    from lpgen.source.change import change_files

    return change_files(kernel(), banner="x", templates_dir=directory)


def test_names_outside_the_directories_are_no_templates(tmp_path: Path) -> None:
    (tmp_path / "secret.j2").write_text("x")
    directory = own(tmp_path / "own", entry_64__S__j2='{% include "../secret.j2" %}')
    with pytest.raises(LpgenError, match=r"own/entry_64\.S\.j2:1: template '\.\./secret\.j2' not found"):
        render("entry_64.S.j2", {}, templates_dir=directory)


def test_unknown_template() -> None:
    with pytest.raises(LpgenError, match=r"template 'nope\.j2' not found"):
        render("nope.j2", {})


def test_an_error_of_lpgens_own_is_not_blamed_on_a_template() -> None:
    class Broken:
        def items(self) -> object:
            raise ZeroDivisionError

        keys = __iter__ = __len__ = items

    with pytest.raises(ZeroDivisionError):
        render("entry_64.S.j2", Broken())  # type: ignore[arg-type]
