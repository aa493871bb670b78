"""An emitted text's way back to its templates, by the command in its banner."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from lpgen.kernel.generations import kernel
from lpgen.kernel.offsets import read_offsets
from lpgen.source.emit import STYLES, emit_source
from lpgen.source.origin import template_lines


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize(("livepatch", "graph"), list(itertools.product((True, False), repeat=2)))
def test_every_option(style: str, livepatch: bool, graph: bool) -> None:
    chosen = kernel("4.9", config={"CONFIG_LIVEPATCH": livepatch, "CONFIG_FUNCTION_GRAPH_TRACER": graph})
    made = emit_source(chosen, style=style)
    assert template_lines(made.text) == made.origins


def test_an_edited_text_has_no_origins() -> None:
    text = emit_source(kernel()).text
    assert template_lines(text.replace("tdne", "tdeq")) is None
    assert template_lines(text + "\n") is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\tblr\n",
        "/*\n * lpgen 0.1.0: lpgen emit --frobnicate x\n */\n",
        "/*\n * lpgen 0.1.0: lpgen emit --kernel 9.99\n */\n",
        "/*\n * lpgen 0.1.0: lpgen emit --kernel\n */\n",
        "/*\n * lpgen 0.1.0: lpgen emit --kernel 'open\n */\n",
        "\n" * 40 + " * lpgen 0.1.0: lpgen emit --kernel 4.7\n",
    ],
)
def test_text_of_another_hand_has_no_origins(text: str) -> None:
    assert template_lines(text) is None


def test_with_offsets_and_templates_given_again(tmp_path: Path) -> None:
    header = tmp_path / "my asm-offsets.h"
    header.write_text(kernel().offsets.header_text())
    offsets = read_offsets(header)
    own = tmp_path / "own"
    own.mkdir()
    (own / "livepatch_handler.S.j2").write_text("_GLOBAL(livepatch_handler)\n\tblr\n")
    for templates_dir, given in ((None, offsets), (own, None), (own, offsets)):
        made = emit_source(kernel(offsets=given), templates_dir=templates_dir)
        assert template_lines(made.text, offsets=given, templates_dir=templates_dir) == made.origins
        # Without them the text is not made again, so nothing is claimed.
        assert template_lines(made.text) is None


@pytest.mark.parametrize("version", ["4.14.336", "6.12", "6.18"])
def test_late_kernels_with_ifdef_and_numbers(version: str) -> None:
    made = emit_source(kernel(version), ifdef=True)
    assert template_lines(made.text) == made.origins
    few = kernel("6.18", config={"CONFIG_PPC_FTRACE_OUT_OF_LINE_NUM_RESERVE": 12})
    text = emit_source(few, style="standalone")
    assert template_lines(text.text) == text.origins


@pytest.mark.parametrize(
    "setting", ["CONFIG_LIVEPATCH=" + "9" * 5000, "CONFIG_LIVEPATCH=\u0663", "CONFIG_LIVEPATCH", "=n"]
)
def test_a_banner_with_no_setting(setting: str) -> None:
    text = emit_source(kernel("4.7")).text
    assert template_lines(text.replace("--kernel 4.7\n", f"--kernel 4.7 --config {setting}\n", 1)) is None
