"""The processor's registers as terms, and what instructions need of a memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from lpgen.proof.term import Term, concat, const, extract

# Bits of XER by name, counted from the lowest (Power ISA 3.0B, book I, 3.2.2).
XER_BITS = {"so": 31, "ov": 30, "ca": 29, "ov32": 19, "ca32": 18}


@dataclass(slots=True)
class Registers:
    """All registers but FPRs and VRs, which the kernel has switched off.

    ``gpr``: 32 terms of 64 bits; ``lr``, ``ctr``, ``msr`` 64 bits; ``cr``: 32 terms of one bit, CR0's LT first.
    ``xer``: the bits of XER_BITS by name, one bit each; ``xer_rest``: 64 bits, XER with those bits 0.
    """

    gpr: list[Term]
    lr: Term
    ctr: Term
    msr: Term
    cr: list[Term]
    xer: dict[str, Term]
    xer_rest: Term

    def copy(self) -> Registers:
        """Return a copy that can be changed on its own."""
        return Registers(self.gpr.copy(), self.lr, self.ctr, self.msr, self.cr.copy(), self.xer.copy(), self.xer_rest)

    def cr_word(self) -> Term:
        """Return CR as 32 bits."""
        return concat(*self.cr)

    def set_cr_word(self, word: Term) -> None:
        """Set all of CR from 32 bits."""
        self.cr[:] = [extract(word, 31 - n, 31 - n) for n in range(32)]

    def xer_word(self) -> Term:
        """Return XER as 64 bits."""
        parts, at = [], 64
        for name, bit in sorted(XER_BITS.items(), key=lambda item: -item[1]):
            if at > bit + 1:
                parts.append(extract(self.xer_rest, at - 1, bit + 1))
            parts.append(self.xer[name])
            at = bit
        return concat(*parts, extract(self.xer_rest, at - 1, 0))

    def set_xer_word(self, word: Term) -> None:
        """Set all of XER from 64 bits."""
        parts, at = [], 64
        for name, bit in sorted(XER_BITS.items(), key=lambda item: -item[1]):
            if at > bit + 1:
                parts.append(extract(word, at - 1, bit + 1))
            parts.append(const(1, 0))
            self.xer[name] = extract(word, bit, bit)
            at = bit
        self.xer_rest = concat(*parts, extract(word, at - 1, 0))


class Memory(Protocol):
    """What loads and stores need. Addresses are terms of 64 bits, sizes in bytes, values terms of 8 * size bits."""

    def load(self, address: Term, size: int) -> Term:
        """Return what is at ``address``, little endian."""
        ...

    def store(self, address: Term, size: int, value: Term) -> None:
        """Write ``value`` to ``address``, little endian."""
        ...
