"""What a C prototype says of A's frame: which argument of C lies where, in registers and in memory (ELFv2 2.2.3)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from lpgen.callers.placement import FIRST_GPR, GPR_SLOTS, PARAMETER_SAVE_AREA, Piece
from lpgen.callers.shape import CallShape
from lpgen.callers.types import Void
from lpgen.report.columns import columns
from lpgen.report.style import HEADING, Text
from lpgen.report.wrap import wrapped


@dataclass(frozen=True, slots=True)
class Caller:
    """A call of B and C by A, as ``shape`` says."""

    shape: CallShape

    @property
    def prototype(self) -> str:
        """The function's C prototype; its parameters are called a1, a2 and so on."""
        return self.shape.c_prototype()

    @property
    def doublewords(self) -> int:
        """Doublewords of the parameter save area in A's frame, 0 where there is none."""
        return self.shape.placement.parameter_save_area_size // 8

    @property
    def homes(self) -> list[tuple[str, str]]:
        """What each doubleword of the parameter save area is called, and what it is in a few words."""
        found = []
        held = [list(self._at(number)) for number in range(self.doublewords)]
        last = max((number for number, here in enumerate(held) if here), default=-1)
        for number, here in enumerate(held):
            # A variadic function does not know how many arguments it got.
            empty = "spilled by C all the same" if self.shape.prototype.variadic and number > last else "not used"
            names, types = (", ".join(part) for part in zip(*here, strict=True)) if here else ("", "")
            if number < GPR_SLOTS:
                register = f"r{FIRST_GPR + number}"
                home = f"home of {register}"
                found.append((f"{home}: {names}", f"{types}: in {register}") if here else (home, empty))
            else:
                found.append((names, types) if here else (f"doubleword {number + 1}", "not used"))
        return found

    def _at(self, number: int) -> Iterator[tuple[str, str]]:
        """Yield the arguments that have a part in doubleword ``number``, each with its type."""
        start = PARAMETER_SAVE_AREA + 8 * number
        if number == 0 and self.shape.placement.hidden is not None:
            yield "result's address", "void *"
        for argument, pieces in enumerate(self.shape.placement.arguments):
            ctype = self.shape.placement.types[argument]
            for piece in pieces:
                if piece.kind == "gpr" and piece.index == FIRST_GPR + number:
                    yield self._part(argument, piece.value_offset, piece.size, ctype.size), ctype.c_name
                elif piece.kind == "mem" and piece.index < start + 8 and start < piece.index + piece.size:
                    first = max(start - piece.index, 0)
                    size = min(piece.size - first, 8)
                    yield self._part(argument, piece.value_offset + first, size, ctype.size), ctype.c_name

    def _part(self, argument: int, first: int, part: int, size: int) -> str:
        name = f"a{argument + 1}"
        return name if part == size else f"{name}[{first}..{first + part - 1}]"

    def arguments(self) -> Iterator[tuple[str, str, tuple[Piece, ...]]]:
        """Yield each argument's name, the C type that it is passed as, and its pieces."""
        placement = self.shape.placement
        for number, (ctype, pieces) in enumerate(zip(placement.types, placement.arguments, strict=True), 1):
            yield f"a{number}", ctype.c_name, pieces

    @property
    def result(self) -> str:
        """Where the result is, in a few words."""
        placement = self.shape.placement
        if placement.hidden is not None:
            return "in memory, its address in r3"
        if isinstance(placement.prototype.result, Void):
            return "none"
        return ", ".join(piece.where for piece in placement.result)

    def lines(self, width: int) -> Iterator[Text]:
        """Yield the call for a person: the prototype, and a row for each argument."""
        yield from (Text(line, HEADING) for line in wrapped(f"A calls {self.prototype}", width, "  ", first=""))
        rows = [(name, ", ".join(piece.where for piece in pieces), ctype) for name, ctype, pieces in self.arguments()]
        if self.shape.prototype.variadic:
            spilled = "C is variadic: it stores the registers behind its fixed arguments, up to r10, in their homes"
            yield from (Text(line) for line in wrapped(spilled, width, "  "))
        rows.append(("result", self.result, self.shape.prototype.result.c_name))
        yield from columns(rows, width, "  ")


def caller_of(prototype: str) -> Caller:
    """Return the call that a C prototype names. Raises LpgenError for a text that is none."""
    from lpgen.callers.c_prototype import parse_prototype

    return Caller(parse_prototype(prototype, "--caller"))
