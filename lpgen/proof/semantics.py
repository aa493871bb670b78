"""What each instruction does to registers and memory, as terms (Power ISA 3.0B, books I to III)."""

from __future__ import annotations

from dataclasses import dataclass

from lpgen.proof.state import Memory, Registers
from lpgen.proof.term import Term


class NotModelledError(Exception):
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


def execute(word: int, address: int, registers: Registers, memory: Memory) -> Outcome:
    """Execute the instruction ``word`` at ``address``: change ``registers`` and ``memory``.

    Raises NotModelledError.
    """
    raise NotModelledError(f"{word:#010x}")
