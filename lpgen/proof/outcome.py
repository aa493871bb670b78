"""What an instruction leads to, and the shape of the functions that execute one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from lpgen.errors import LpgenError
from lpgen.proof.state import Memory, Registers
from lpgen.proof.term import Term


class NotModelledError(LpgenError):
    """The instruction is none that is modelled here: its word, as text what it is."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """Where an instruction leads.

    ``branch``: under this condition (1 bit) to ``target`` (64 bits, its two low bits 0), None: always on behind it.
    ``trap``: under this condition a trap. ``fault``: what it ends in, whatever the values ("FP unavailable").
    ``privileged``: what it writes besides the registers that are modelled (MSR, SPR 275); ``links``: LR was set.
    """

    branch: Term | None = None
    target: Term | None = None
    trap: Term | None = None
    fault: str = ""
    privileged: str = ""
    links: bool = False


NEXT = Outcome()

# Executes one instruction: its address, the registers, the memory.
Handler = Callable[[int, Registers, Memory], Outcome]
# Makes the handler of a word, its fields taken out once. Raises NotModelledError for a form that the ISA calls invalid.
Decoder = Callable[[int], Handler]
# By opcode, primary or extended: the decoder, and the bits that have to be 0 (reserved ones, Rc where there is none).
Table = dict[int, tuple[Decoder, int]]

# Fields that are reserved in many instructions (Power ISA 3.0B, book I, 1.6).
RC = 1
RT_FIELD, RA_FIELD, RB_FIELD = 31 << 21, 31 << 16, 31 << 11


def signed16(word: int) -> int:
    """Return the immediate in the low half of ``word``, with its sign."""
    return (word & 0x7FFF) - (word & 0x8000)


def no_effect(word: int) -> Handler:
    """Decode an instruction that changes nothing here."""
    return lambda address, registers, memory: NEXT
