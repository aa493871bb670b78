"""`lpgen emit`: the same bytes for the same input, and a banner that makes them again."""

from __future__ import annotations

import itertools
import re
import shlex
from pathlib import Path

import pytest

from tests.commands.tools import Here, program

STYLES = ("kernel", "standalone")
CONFIGS = [
    (f"CONFIG_LIVEPATCH={livepatch}", f"CONFIG_FUNCTION_GRAPH_TRACER={graph}")
    for livepatch, graph in itertools.product("yn", "yn")
]
CHANGE = ("entry_64.S", "asm-offsets.h", "asm-offsets.c", "Kconfig", "livepatch.h")


def banner(text: str) -> list[str]:
    """The words of the command in an emitted text's banner."""
    match = re.search(r"lpgen \S+: lpgen (emit .*?)(?: \*/)?$", text, re.MULTILINE)
    assert match is not None
    return shlex.split(match[1])


def emitted(lpgen: Here, *args: str) -> str:
    ran = lpgen("emit", "--out", "-", *args)
    assert (ran.code, ran.err) == (0, "")
    return ran.out


def test_default_goes_to_out(lpgen: Here) -> None:
    ran = lpgen("emit")
    assert (ran.code, ran.out) == (0, "")
    text = Path("out/entry_64.S").read_text()
    assert ran.err == f"out/entry_64.S: {text.count(chr(10))} lines\n"
    assert lpgen.tree().keys() == {"out", "out/entry_64.S"}


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("config", CONFIGS, ids=" ".join)
def test_banner_makes_the_same_text_again(lpgen: Here, style: str, config: tuple[str, str]) -> None:
    text = emitted(lpgen, "--style", style, *(word for one in config for word in ("--config", one)))
    assert emitted(lpgen, *banner(text)[1:]) == text


def test_options_change_the_text(lpgen: Here) -> None:
    texts = {
        emitted(lpgen, "--style", style, "--config", config[0], "--config", config[1])
        for style in STYLES
        for config in CONFIGS
    }
    assert len(texts) == len(STYLES) * len(CONFIGS)
    for text in texts:
        assert ("\tbne-\tlivepatch_handler\n" in text) == ("\n * CONFIG_LIVEPATCH=y\n" in text)
        assert ("\nftrace_graph_call:\n" in text) == ("\n * CONFIG_FUNCTION_GRAPH_TRACER=y\n" in text)


def test_banner_with_files_of_ones_own(lpgen: Here) -> None:
    assert lpgen("offsets", "--format", "toml", "--out", "my offsets.toml").code == 0
    Path("my templates").mkdir()
    Path("my templates/livepatch_handler.S.j2").write_text(
        '{% extends "lpgen/livepatch_handler.S.j2" %}\n{% block pop %}\n\t/* mine */\n{{ super() }}{% endblock %}\n'
    )
    text = emitted(lpgen, "--offsets", "my offsets.toml", "--templates", "my templates/")
    assert "/* mine */" in text
    words = banner(text)
    assert words[words.index("--offsets") + 1] == "my offsets.toml"
    assert words[words.index("--templates") + 1] == "my templates"
    assert emitted(lpgen, *words[1:]) == text


def test_text_tells_of_no_place_and_no_time(lpgen: Here, tmp_path: Path) -> None:
    assert lpgen("offsets", "--format", "header", "--out", "asm-offsets.h").code == 0
    elsewhere = tmp_path / "elsewhere" / "deeper"
    elsewhere.mkdir(parents=True)
    here = lpgen.directory / "asm-offsets.h"
    first = program("emit", "--all", "--offsets", "asm-offsets.h", cwd=lpgen.directory, TZ="UTC", LC_ALL="C")
    second = program("emit", "--all", "--offsets", str(here), cwd=elsewhere, TZ="Asia/Tokyo", PYTHONHASHSEED="7")
    assert (first.code, second.code) == (0, 0)
    for name in CHANGE:
        data = (lpgen.directory / "out" / name).read_bytes()
        assert (elsewhere / "out" / name).read_bytes() == data
        assert str(tmp_path).encode() not in data
        assert not re.search(rb"\b20[0-9]{2}-[0-9]{2}\b", data)


def test_all_writes_the_whole_change_and_its_assembly_is_that_of_emit(lpgen: Here) -> None:
    ran = lpgen("emit", "--all", "--out-dir", "some/where")
    assert (ran.code, ran.out) == (0, "")
    assert sorted(path.name for path in Path("some/where").iterdir()) == sorted(CHANGE)
    assert ran.err.splitlines() == [
        f"some/where/{name}: {Path('some/where', name).read_text().count(chr(10))} lines" for name in CHANGE
    ]
    assert Path("some/where/entry_64.S").read_text() == emitted(lpgen)
    for name in CHANGE[1:]:
        assert banner(Path("some/where", name).read_text()) == ["emit", "--kernel", "4.7", "--all"]


def test_templates_of_ones_own_reach_every_file_of_the_change(lpgen: Here) -> None:
    Path("own").mkdir()
    Path("own/Kconfig.j2").write_text("# mine {{ kernel.version }}\n")
    assert lpgen("emit", "--all", "--templates", "own").code == 0
    assert Path("out/Kconfig").read_text() == "# mine 4.7\n"


def test_emitted_text_is_plain(lpgen: Here) -> None:
    for style in STYLES:
        text = emitted(lpgen, "--style", style)
        assert text.isascii()
        assert text.endswith("\n")
        assert not text.endswith("\n\n")
        assert not re.search(r"[ \t]$", text, re.MULTILINE)
        assert "\r" not in text
