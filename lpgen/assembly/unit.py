"""``assemble``: the way from text to Unit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from lpgen.assembly.assembler import Assembler
from lpgen.assembly.comments import scrub
from lpgen.assembly.model import Unit, UnknownError
from lpgen.assembly.preprocess import SourceLine, Sources, preprocess
from lpgen.assembly.statements import Expander
from lpgen.errors import LpgenError, Place

Which = Literal["auto", "lpgen", "gnu"]
ASSEMBLERS: tuple[Which, ...] = ("auto", "lpgen", "gnu")


@dataclass(frozen=True)
class How:
    """How a person's text is assembled: by which ``assembler``, what is searched for #include, further C macros.

    "auto": by lpgen's own, and by GNU as what lpgen's does not know. ``cpp``: preprocessed by gcc.
    """

    assembler: Which = "auto"
    cpp: bool = False
    include_dirs: tuple[str, ...] = ()
    defines: Mapping[str, str] = field(default_factory=dict)


def assemble(
    text: str,
    *,
    name: str,
    headers: Mapping[str, str] | None = None,
    include_dirs: Sequence[Path] = (),
    defines: Mapping[str, str] | None = None,
    origins: Sequence[Place | None] | None = None,
    isolated: bool = True,
    assembler: Which = "lpgen",
    cpp: bool = False,
) -> Unit:
    """Assemble a ppc64le source text.

    ``name`` is the file as the person named it; it appears in every place and in __FILE__. ``headers`` are texts by the
    name used in #include, searched before ``include_dirs`` and the stub headers of lpgen. ``defines`` are C macros (a
    CONFIG_ option is '1'). ``origins`` gives for each line of the text the template line it was rendered from. With
    ``isolated`` an instruction outside lpgen's table reaches Keystone in a child process with a time limit.

    ``assembler`` "gnu" is GNU as; with "auto" it gets the text when lpgen's own does not know a directive, an
    instruction or a form of an operand in it, and GNU as is installed. What is wrong by lpgen's own rules, such as an
    undefined label or a number out of range, is not tried again. ``made_by`` of the unit says which it was. With
    ``cpp`` gcc preprocesses the text, for whichever assembler.

    Offsets, sizes and alignments in the result are bytes. Raises LpgenError, with the file and line, for everything
    that cannot be assembled, and without a place when Keystone, or a tool that was asked for, cannot be loaded.
    """
    if cpp:
        from lpgen.assembly import gnu

        lines = gnu.preprocess(text, name, headers=headers or {}, directories=list(include_dirs), defines=defines or {})
    else:
        lines = preprocess(text, name, sources=Sources(headers or {}, include_dirs), defines=defines or {})
    if assembler == "gnu":
        return _by_gnu(lines, name, origins, include_dirs)
    try:
        made = Assembler(name, isolated=isolated)
        own_lines = [SourceLine(scrub(text, place), place) for text, place in lines] if cpp else lines
        Expander(made).run(own_lines, origins, name)
        return made.finish()
    except UnknownError as error:
        from lpgen.assembly import gnu

        if assembler == "lpgen":
            raise
        if gnu.tool("as") is None:
            wanted = f"GNU as would be tried if {gnu.PREFIX}as were installed: {gnu.install_hint('as')}"
            hint = wanted if error.hint is None else f"{error.hint}; {wanted}"
            raise LpgenError(error.reason, place=error.place, hint=hint) from error
        own = error
    try:
        return _by_gnu(lines, name, origins, include_dirs)
    except LpgenError as theirs:
        raise LpgenError(own.reason, place=own.place, hint=str(theirs)) from theirs


def _by_gnu(
    lines: Sequence[SourceLine], name: str, origins: Sequence[Place | None] | None, directories: Sequence[Path]
) -> Unit:
    from lpgen.assembly import gnu

    return gnu.assemble(lines, name, origins, directories)
