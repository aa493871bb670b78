"""lpgen.verify from Python."""

from __future__ import annotations

from pathlib import Path

import pytest

import lpgen
from lpgen import api
from lpgen.contract.shrink import ShrunkCase
from lpgen.kernel.generations import kernel
from lpgen.source.emit import emit_source
from tests.contract.must_fail import ALL, KERNEL

WRONG = next(wrong for wrong in ALL if wrong.name == "handler_pushes_a_frame")
EMITTED = emit_source(KERNEL).text


def test_what_emit_writes_holds() -> None:
    result = lpgen.verify()
    assert result.holds
    assert isinstance(result, lpgen.Verdict)
    assert isinstance(result, lpgen.Result)
    assert (result.broken, result.failures) == ([], [])
    assert str(result).splitlines()[-1] == "holds: all 16 statements"
    assert all(len(line) <= 80 for line in str(result).splitlines())
    assert api.report(result) == str(result)


@pytest.mark.parametrize("how", ["source", "text", "path"])
def test_a_text_of_ones_own(how: str, tmp_path: Path) -> None:
    text = WRONG.text()
    path = tmp_path / "mine.S"
    path.write_text(text)
    if how == "text":
        result = lpgen.verify("4.9", text=text, callers=200)
    else:
        result = lpgen.verify("4.9", source=path if how == "path" else str(path), callers=200)
    assert not result.holds
    assert set(WRONG.breaks) <= set(result.broken)
    failure = next(f for f in result.failures if f.finding.statement == "X3")
    assert isinstance(failure.case, ShrunkCase)
    assert failure.symbol.startswith("livepatch_handler")
    name = "-" if how == "text" else str(path)
    assert f"again        lpgen verify {name} --kernel 4.9 --plan 'void f(long*9) " in str(result)


@pytest.mark.parametrize("style", ["kernel", "standalone"])
def test_both_styles_as_files(style: str) -> None:
    assert lpgen.verify(text=emit_source(KERNEL, style=style).text, callers=30).holds


def test_emitted_text_knows_its_templates() -> None:
    unit = api.trampolines(KERNEL, text=EMITTED)
    assert any(line.template is not None for line in unit.sections[".text"].lines)


def test_interrupts_are_added_and_said() -> None:
    result = lpgen.verify(callers=1, interrupts=True, jobs=None)
    assert result.holds
    assert result.every_boundary
    assert result.interrupted > 3000
    assert ", in every mode\n" in str(result).replace("\n", " ").replace("every mode ", "every mode\n")


def test_the_result_does_not_depend_on_jobs() -> None:
    results = [lpgen.verify(text=WRONG.text(), callers=300, jobs=jobs, seed=3) for jobs in (1, 2)]
    assert results[0] == results[1]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"kernel": "3.9"}, "3.9"),
        ({"config": {"CONFIG_NONE": True}}, "CONFIG_NONE"),
        ({"style": "intel"}, "there is no style 'intel'"),
        ({"offsets": "none.h"}, "none.h"),
        ({"templates": "none"}, "none: is not a directory"),
        ({"source": "none.S"}, "none.S: cannot be read: no such file"),
        ({"source": "/"}, "cannot be read: is a directory"),
        ({"text": ""}, "<text>: is empty"),
        ({"text": "a\0b"}, "is a binary file"),
        ({"text": "\udc80"}, "<text>:1"),
        ({"text": "bogus r1\n"}, "<text>:1"),
        ({"text": "nop\n"}, "does not define"),
        ({"text": "nop\n", "source": "x.S"}, "exclude each other"),
        ({"source": "x.S", "templates": "mine"}, "exclude each other"),
        ({"callers": 0}, "0 callers show nothing"),
        ({"jobs": 0}, "0 processes do nothing"),
        ({"seed": -1}, "seed -1 is negative"),
    ],
)
def test_input_errors(given: dict[str, object], says: str) -> None:
    with pytest.raises(lpgen.LpgenError) as caught:
        lpgen.verify(**given)  # type: ignore[arg-type]
    assert says in str(caught.value)


def test_names() -> None:
    assert set(lpgen.__all__) <= set(dir(lpgen))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = lpgen.nothing


def test_prove() -> None:
    assert lpgen.prove("6.12").holds
    wrong = emit_source(kernel("6.12")).text.replace("cmpd\tr12", "cmpw\tr12")
    result = lpgen.prove("6.12", text=wrong)
    assert not result.holds
    assert result.refuted == ("X3",)
    assert result.shown["X3"].replay is not None
    assert result.command == "lpgen verify - --kernel 6.12"
    assert str(result).endswith("REFUTED: X3\n")
    assert lpgen.prove("6.12", text=wrong, replays=False).shown["X3"].replay is None
    with pytest.raises(lpgen.LpgenError, match="exclude each other"):
        lpgen.prove("6.12", text=wrong, templates="somewhere")
