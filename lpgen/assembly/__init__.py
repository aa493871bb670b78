"""Source text to bytes, symbols and relocations."""

from __future__ import annotations

from lpgen.assembly.elf import write_object
from lpgen.assembly.linker import link
from lpgen.assembly.model import Fixed, Image, Line, Relocation, Section, Symbol, Unit
from lpgen.assembly.unit import How, assemble

__all__ = [
    "Fixed",
    "How",
    "Image",
    "Line",
    "Relocation",
    "Section",
    "Symbol",
    "Unit",
    "assemble",
    "link",
    "write_object",
]
