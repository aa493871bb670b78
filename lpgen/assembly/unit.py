"""``assemble``: the way from text to Unit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from lpgen.assembly.assembler import Assembler
from lpgen.assembly.model import Unit
from lpgen.assembly.preprocess import Sources, preprocess
from lpgen.assembly.statements import Expander
from lpgen.errors import Place


def assemble(
    text: str,
    *,
    name: str,
    headers: Mapping[str, str] | None = None,
    include_dirs: Sequence[Path] = (),
    defines: Mapping[str, str] | None = None,
    origins: Sequence[Place | None] | None = None,
    isolated: bool = True,
) -> Unit:
    """Assemble a ppc64le source text.

    ``name`` is the file as the person named it; it appears in every place and in __FILE__. ``headers`` are texts by the
    name used in #include, searched before ``include_dirs`` and the stub headers of lpgen. ``defines`` are C macros (a
    CONFIG_ option is '1'). ``origins`` gives for each line of the text the template line it was rendered from. With
    ``isolated`` an instruction outside lpgen's table reaches Keystone in a child process with a time limit.

    Offsets, sizes and alignments in the result are bytes. Raises LpgenError, with the file and line, for everything
    that cannot be assembled, and without a place when Keystone cannot be loaded.
    """
    sources = Sources(headers or {}, include_dirs)
    lines = preprocess(text, name, sources=sources, defines=defines or {})
    assembler = Assembler(name, isolated=isolated)
    Expander(assembler).run(lines, origins, name)
    return assembler.finish()
