"""A proof with what it takes to show it: the trampolines, the command line, the counterexamples."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from lpgen.assembly import Unit
from lpgen.contract.replay import Replay
from lpgen.proof.checker import Refutation
from lpgen.proof.prover import Proof

# As terms are shown: the paca of a path's moment, and a number that may be an address.
_PACA = re.compile(r"paca@(\d+)")
_ADDRESS = re.compile(r"\b0x[0-9a-f]{6,16}\b")


@dataclass(slots=True)
class Shown:
    """A refuted statement as it is shown: one of its refutations, and the call that shows it in the emulator.

    ``replay`` is None if no call that was tried does, or none was (``sought``). ``file`` is where it was written,
    "" for nowhere.
    """

    refutation: Refutation
    replay: Replay | None
    file: str = ""
    sought: bool = True


@dataclass(slots=True)
class ProofResult:
    """A proof of ``unit``; ``str()`` is what `lpgen prove` prints.

    ``command`` is the start of the command lines that run a replay: `lpgen verify` and its options. ``shown`` is by id.
    """

    proof: Proof
    unit: Unit
    command: str = "lpgen verify"
    shown: Mapping[str, Shown] = field(default_factory=dict)

    def __str__(self) -> str:
        from lpgen.report.proof_text import proof_text

        return proof_text(self)

    @property
    def holds(self) -> bool:
        """True if every statement that applies is proved."""
        return self.proof.holds

    @property
    def refuted(self) -> tuple[str, ...]:
        """The ids of the statements that do not hold."""
        return self.proof.refuted

    def name_of(self, address: int) -> str:
        """Return symbol+offset of an instruction's address."""
        offset = address - self.proof.text
        below = [(s.value, s.name) for s in self.unit.symbols.values() if s.section == ".text" and s.value <= offset]
        value, name = max(below, default=(0, ".text"))
        return name if value == offset else f"{name}+{offset - value:#x}"

    def readable(self, one: Refutation, text: str) -> str:
        """Return a refutation's ``text`` with the names of addresses in .text, and with what each paca is."""
        trace = one.way.trace

        def paca(match: re.Match[str]) -> str:
            number = int(match[1])
            return f"the paca at {self.name_of(trace[number])}" if number < len(trace) else "the paca now"

        def address(match: re.Match[str]) -> str:
            value = int(match[0], 16)
            inside = 0 <= value - self.proof.text < len(self.unit.sections[".text"].data)
            return f"{match[0]} ({self.name_of(value)})" if inside else match[0]

        return _ADDRESS.sub(address, _PACA.sub(paca, text))
