"""What a run executed of the trampolines: instructions, and the two ways out of each conditional branch and trap."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from lpgen.assembly import Section
from lpgen.machine.stop import Step
from lpgen.machine.trip import Trip

# Primary opcodes and extended opcodes (Power ISA 3.0B, book I): bc; bclr, bcctr; tdi, twi; td, tw.
_BC, _XL, _TDI, _TWI, _X = 16, 19, 2, 3, 31
_BCLR, _BCCTR, _TW, _TD = 16, 528, 4, 68
_ALWAYS = 20


def conditional(word: int) -> bool:
    """True if the instruction ``word`` is a conditional branch or trap, one that can go two ways."""
    opcode, extended, options = word >> 26, word >> 1 & 0x3FF, word >> 21 & 31
    if opcode == _BC or (opcode == _XL and extended in (_BCLR, _BCCTR)):
        return options & _ALWAYS != _ALWAYS
    if opcode in (_TDI, _TWI) or (opcode == _X and extended in (_TW, _TD)):
        return options != 31
    return False


@dataclass(slots=True)
class Coverage:
    """Byte offsets in .text of executed instructions; ``went``: those that branched or trapped, ``fell``: did not."""

    executed: set[int] = field(default_factory=set)
    went: set[int] = field(default_factory=set)
    fell: set[int] = field(default_factory=set)

    def add(self, trip: Trip, text: int) -> None:
        """Add what a watched trip shows; ``text`` is the address of .text."""
        for steps, end in _ways(trip):
            pcs = [step.pc - text for step in steps if step.kind == "insn"]
            if not pcs:
                continue
            self.executed.update(pcs)
            for pc, following in zip(pcs, [*pcs[1:], end - text if end else None], strict=True):
                (self.fell if following == pc + 4 else self.went).add(pc)

    def merge(self, other: Coverage) -> None:
        """Add what another run showed."""
        self.executed |= other.executed
        self.went |= other.went
        self.fell |= other.fell

    def summary(self, section: Section) -> CoverageSummary:
        """Return the figures for a .text section."""
        # Data in .text, such as the area for out-of-line stubs, is no instruction and has no line.
        counted = section.counted
        offsets = [
            line.offset
            for line in section.lines
            if counted is None or line.offset in counted or line.offset in self.executed
        ]
        words = {at: int.from_bytes(section.data[at : at + 4], "little") for at in offsets}
        two_way = [at for at, word in words.items() if conditional(word)]
        return CoverageSummary(
            len(words),
            tuple(at for at in offsets if at not in self.executed),
            len(two_way),
            tuple(at for at in two_way if at not in self.went or at not in self.fell),
        )


@dataclass(frozen=True, slots=True)
class CoverageSummary:
    """``instructions`` in all, offsets ``missed``; conditional ``branches`` in all, those gone only ``one_way``."""

    instructions: int
    missed: tuple[int, ...]
    branches: int
    one_way: tuple[int, ...]


def _ways(trip: Trip) -> Iterator[tuple[list[Step], int]]:
    for inner in trip.inner:
        yield from _ways(inner)
    for moment in trip.moments:
        yield moment.steps, 0
    if trip.end is not None and trip.last_steps:
        yield trip.last_steps, trip.end.pc
