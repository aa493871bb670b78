"""Assembling the text of one kernel: its asm-offsets.h and its options stand behind the #includes."""

from __future__ import annotations

from lpgen.assembly import Unit, assemble
from lpgen.kernel.generations import Kernel
from lpgen.source.render import Rendered


def headers(kernel: Kernel) -> dict[str, str]:
    """Return the include files that a build of ``kernel`` generates, by the name in the #include."""
    return {"asm/asm-offsets.h": kernel.offsets.header_text()}


def defines(kernel: Kernel) -> dict[str, str]:
    """Return the CONFIG_ macros that a build of ``kernel`` has."""
    return {name: "1" for name, on in kernel.options.items() if on} | {n: str(v) for n, v in kernel.numbers.items()}


def assemble_source(kernel: Kernel, rendered: Rendered, *, name: str, isolated: bool) -> Unit:
    """Assemble what was rendered for ``kernel``; ``isolated`` for text that a person had a hand in.

    Raises LpgenError with the line in ``name`` and, where known, in the template.
    """
    return assemble(
        rendered.text,
        name=name,
        headers=headers(kernel),
        defines=defines(kernel),
        origins=rendered.origins,
        isolated=isolated,
    )
