"""`lpgen emit`: the same bytes for the same input, and a banner that makes them again."""

from __future__ import annotations

import itertools
import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from lpgen.kernel.generations import every_config, kernel
from lpgen.kernel.options import setting_text
from tests.commands.tools import Here, Ran, program

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


@pytest.mark.parametrize(
    ("version", "name"),
    [
        ("4.11", "entry_64.S"),
        ("4.12", "ftrace_64_mprofile.S"),
        ("5.17", "ftrace_64_mprofile.S"),
        ("6.1.192", "ftrace_mprofile.S"),
        ("6.12", "ftrace_entry.S"),
    ],
)
def test_default_file_has_the_name_of_the_kernels(lpgen: Here, version: str, name: str) -> None:
    assert lpgen("emit", "--kernel", version).err.startswith(f"out/{name}: ")
    assert lpgen.tree().keys() == {"out", f"out/{name}"}
    change = lpgen("emit", "--kernel", version, "--all", "--out-dir", "change")
    assert change.err.startswith(f"change/{name}: ")
    assert Path("change", name).read_text() == Path("out", name).read_text()


DOTCONFIG = """\
# Linux/powerpc 6.13.4 Kernel Configuration
CONFIG_PPC64=y
CONFIG_LIVEPATCH=y
CONFIG_LIVEPATCH_64=y
# CONFIG_FUNCTION_GRAPH_TRACER is not set
CONFIG_PPC_FTRACE_OUT_OF_LINE=y
# CONFIG_DYNAMIC_FTRACE_WITH_CALL_OPS is not set
CONFIG_PPC_FTRACE_OUT_OF_LINE_NUM_RESERVE=8
"""


def test_options_of_a_dotconfig(lpgen: Here) -> None:
    Path(".config").write_text(DOTCONFIG)
    text = emitted(lpgen, "--kernel", "6.13", "--config", ".config")
    assert text == emitted(
        lpgen,
        *("--kernel", "6.13", "--config", "CONFIG_FUNCTION_GRAPH_TRACER=n"),
        *("--config", "CONFIG_DYNAMIC_FTRACE_WITH_CALL_OPS=n"),
        *("--config", "CONFIG_PPC_FTRACE_OUT_OF_LINE_NUM_RESERVE=8"),
    )
    # The banner names the settings, not the file: it makes the same text where there is no such file.
    assert ".config" not in banner(text)
    assert emitted(lpgen, *banner(text)[1:]) == text
    for setting in ("CONFIG_FUNCTION_GRAPH_TRACER=n", "CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS=n"):
        assert f"\n * {setting}\n" in text


def test_a_setting_wins_over_a_dotconfig_and_a_dotconfig_over_the_one_before(lpgen: Here) -> None:
    Path(".config").write_text(DOTCONFIG)
    Path("graph.config").write_text("CONFIG_FUNCTION_GRAPH_TRACER=y\n")
    for before, on in (((), "n"), (("--config", "CONFIG_FUNCTION_GRAPH_TRACER=y"), "y")):
        text = emitted(lpgen, "--kernel", "6.12", *before, "--config", ".config")
        assert f"\n * CONFIG_FUNCTION_GRAPH_TRACER={on}\n" in text
    merged = emitted(lpgen, "--kernel", "6.12", "--config", ".config", "--config", "graph.config")
    assert "\n * CONFIG_FUNCTION_GRAPH_TRACER=y\n * CONFIG_LIVEPATCH_64=y\n" in merged


def test_a_dotconfig_without_livepatch(lpgen: Here) -> None:
    Path(".config").write_text("CONFIG_PPC64=y\n")
    text = emitted(lpgen, "--kernel", "6.12", "--config", ".config")
    assert "\n * CONFIG_LIVEPATCH_64=n\n" in text
    assert "livepatch_handler" not in text.split("*/", 2)[2]


IFDEF = ["4.7", "4.14.336", "5.4", "6.5", "6.12", "6.18"]


@pytest.mark.parametrize(
    ("version", "settings"),
    [
        (version, tuple(setting_text(name, value) for name, value in config.items()))
        for version in IFDEF
        for config in every_config(version)
    ],
    ids=lambda value: value if isinstance(value, str) else "".join(setting[-1] for setting in value),
)
def test_one_file_for_every_configuration(lpgen: Here, version: str, settings: tuple[str, ...]) -> None:
    """Its #ifdefs resolved for a configuration, it assembles to the words of the text for that configuration."""
    chosen = ["--kernel", version, *(word for setting in settings for word in ("--config", setting))]
    Path("all.S").write_text(emitted(lpgen, "--kernel", version, "--ifdef"))
    Path("one.S").write_text(emitted(lpgen, *chosen))
    one, every = (lpgen("assemble", name, "--format", "hex", *chosen) for name in ("one.S", "all.S"))
    assert (one.code, every.code) == (0, 0), every.err
    assert every.out == one.out
    assert one.out.count("\n") > 60


@pytest.mark.parametrize("version", IFDEF)
def test_ifdef_is_the_same_for_every_setting_and_its_banner_makes_it(lpgen: Here, version: str) -> None:
    text = emitted(lpgen, "--kernel", version, "--ifdef")
    assert f"\n#ifdef {kernel(version).option_of('CONFIG_LIVEPATCH')}\n" in text
    assert "made for CONFIG_" not in text
    assert len(re.findall("^#if", text, re.MULTILINE)) == text.count("#endif")
    assert banner(text) == ["emit", "--kernel", version, "--ifdef"]
    assert emitted(lpgen, "--kernel", version, "--ifdef", "--config", "CONFIG_LIVEPATCH=n") == text
    assert emitted(lpgen, *banner(text)[1:]) == text


def test_diff_with_what_is_there(lpgen: Here) -> None:
    assert lpgen("emit", "--kernel", "6.12", "--out", "tree.S").code == 0
    before = lpgen.tree()
    assert lpgen("emit", "--kernel", "6.12", "--diff", "tree.S") == Ran(0, "", "")
    ran = lpgen("emit", "--kernel", "6.7", "--diff", "tree.S")
    assert (ran.code, ran.err) == (1, "")
    lines = ran.out.splitlines()
    assert lines[:2] == ["--- tree.S", "+++ ftrace_entry.S"]
    assert lines.count("+\tnop") == 2
    assert "- * lpgen 0.1.0: lpgen emit --kernel 6.12" in lines
    assert "+ * lpgen 0.1.0: lpgen emit --kernel 6.7" in lines
    assert lpgen.tree() == before


def test_diff_of_what_a_person_changed(lpgen: Here) -> None:
    text = emitted(lpgen)
    Path("mine.S").write_text(text.replace("\tbctrl\n", "\tbctrl\n\tnop\n"))
    ran = lpgen("emit", "--diff", "mine.S")
    assert (ran.code, [line for line in ran.out.splitlines()[2:] if line[0] in "+-"]) == (1, ["-\tnop"])


@pytest.mark.parametrize(
    ("change", "shown"),
    [
        (lambda text: text.replace("\n", "\r\n"), "-\tbctrl\r\n"),
        (lambda text: text[:-1], "-\tblr\n\\ No newline at end of file\n+\tblr\n"),
    ],
    ids=["line ends", "last newline"],
)
def test_diff_shows_what_is_hard_to_see(lpgen: Here, change: Callable[[str], str], shown: str) -> None:
    Path("mine.S").write_bytes(change(emitted(lpgen)).encode())
    ran = lpgen("emit", "--diff", "mine.S")
    assert ran.code == 1
    assert shown in ran.out
