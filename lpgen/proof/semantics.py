"""What each instruction does to registers and memory, as terms (Power ISA 3.0B, books I to III).

An instruction that is not modelled is an error, never one that is passed over; so is a form that the ISA calls invalid
and a word with reserved bits set. What the ISA leaves undefined is a variable of the instruction's own.
"""

from __future__ import annotations

from functools import cache

from lpgen.proof import accesses, control, integer, shifts
from lpgen.proof.facilities import facility
from lpgen.proof.outcome import Handler, NotModelledError, Outcome, Table
from lpgen.proof.state import Memory, Registers

__all__ = ["NotModelledError", "Outcome", "execute"]

_PRIMARY: Table = {**accesses.PRIMARY, **control.PRIMARY, **integer.PRIMARY, **shifts.PRIMARY}
# The primary opcodes with an extended one in bits 21 to 30.
_EXTENDED: dict[int, Table] = {
    19: control.EXTENDED_19,
    31: {**accesses.EXTENDED, **control.EXTENDED_31, **integer.EXTENDED, **shifts.EXTENDED},
}


def execute(word: int, address: int, registers: Registers, memory: Memory) -> Outcome:
    """Execute the instruction ``word`` at ``address``: change ``registers`` and ``memory``.

    Raises NotModelledError.
    """
    return _handler(word)(address, registers, memory)


@cache
def _handler(word: int) -> Handler:
    opcode = word >> 26
    table, key = (_EXTENDED[opcode], word >> 1 & 0x3FF) if opcode in _EXTENDED else (_PRIMARY, opcode)
    if key in table:
        decoder, zeros = table[key]
        if word & zeros:
            raise NotModelledError(f"{word:#010x}: reserved bits are set")
        return decoder(word)
    fault = facility(word)
    if not fault:
        raise NotModelledError(f"{word:#010x}: no instruction that is modelled")
    outcome = Outcome(fault=fault)
    return lambda address, registers, memory: outcome
