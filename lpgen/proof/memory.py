"""Memory as bytes by (region, offset): what was stored, what is unknown, and what somebody else may have changed."""

from __future__ import annotations

from lpgen.proof.term import Term, concat, extract, var

Cell = tuple[Term, int]


class Bytes:
    """The bytes of the regions that the trampolines write to. Offsets and sizes in bytes, little endian.

    A byte is bits 8k to 8k+7 of a term. What nobody stored is a variable for each doubleword; once somebody else may
    have written there (``forget``), another one.
    """

    __slots__ = ("_cells", "_forgotten")

    def __init__(self) -> None:
        self._cells: dict[tuple[str, int], Cell] = {}
        self._forgotten: list[tuple[str, int, int, int]] = []

    def copy(self) -> Bytes:
        """Return a copy that can be changed on its own."""
        made = Bytes()
        made._cells = self._cells.copy()
        made._forgotten = self._forgotten.copy()
        return made

    def load(self, region: str, offset: int, size: int) -> Term:
        """Return ``size`` bytes as one term."""
        cells = self._cells
        found: list[Cell] = []
        for at in range(offset, offset + size):
            cell = cells.get((region, at))
            if cell is None:
                start = at & ~7
                unknown = self._unknown(region, start)
                for n in range(8):
                    cells.setdefault((region, start + n), (unknown, n))
                cell = cells[region, at]
            found.append(cell)
        whole = found[0][0]
        if whole.width == 8 * size and all(cell == (whole, n) for n, cell in enumerate(found)):
            return whole
        return concat(*(extract(term, 8 * n + 7, 8 * n) for term, n in reversed(found)))

    def store(self, region: str, offset: int, size: int, value: Term) -> None:
        """Write the ``size`` bytes of ``value``."""
        for n in range(size):
            self._cells[region, offset + n] = (value, n)

    def forget(self, region: str, first: int, end: int) -> None:
        """Make the bytes from ``first`` up to ``end`` unknown: they may have any value from now on."""
        cells = self._cells
        if end - first <= 64:
            for at in range(first, end):
                cells.pop((region, at), None)
        else:
            for key in [key for key in cells if key[0] == region and first <= key[1] < end]:
                del cells[key]
        self._forgotten.append((region, first, end, len(self._forgotten) + 1))

    def written(self, region: str, first: int, end: int) -> bool:
        """Tell whether anything is known of the bytes from ``first`` up to ``end``."""
        return any(key[0] == region and first <= key[1] < end for key in self._cells)

    def _unknown(self, region: str, start: int) -> Term:
        for name, first, end, number in reversed(self._forgotten):
            if name == region and first <= start + 7 and start < end:
                return var(64, f"{region}#{number}[{start}]")
        return var(64, f"{region}[{start}]")
