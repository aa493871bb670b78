"""Gates at addresses that somebody else chose."""

from __future__ import annotations

from collections.abc import Collection

from lpgen.errors import LpgenError
from lpgen.machine.code import TRAP
from lpgen.machine.engine import PAGE, Engine, branch, words

# A branch's reach, less than 32 MiB in bytes, and how far from each other pages are that it leads from and to.
_REACH = 0x1F00000
_FIRST, _END = 0xC000000000000000, 1 << 64
# Where the ways to the monitor start in a page, behind what they lead to, and the bytes of one.
_WAYS, _WAY_BYTES = 0x800, 12
# Gates have 15 bits.
_MAX_GATE = 0x7FFF


class Anywhere:
    """Places gates at any kernel address that is free, in an ``engine`` whose other memory is mapped already.

    ``pages`` are the addresses of pages of functions, where a word that traps is free.
    """

    def __init__(self, engine: Engine, pages: Collection[int]) -> None:
        self._engine = engine
        self._pages = set(pages)
        # Pages with a way to the monitor, each with where the next gate's code goes.
        self._next: dict[int, int] = {}

    def place(self, at: int, number: int) -> None:
        """Make the instruction at ``at`` (a multiple of 4) gate ``number``. Raises LpgenError when that cannot be."""
        if number > _MAX_GATE:
            raise LpgenError("too many addresses for C were chosen in one world", hint="start anew")
        page = at & -PAGE
        if not self._engine.is_mapped(at):
            self._map(page)
            self._pages.add(page)
        elif page not in self._pages or self._engine.read(at, 4) != words(TRAP):
            raise LpgenError(f"C cannot be at {at:#x}: something else is there", hint="choose another nip")
        ways = self._ways_near(page)
        thunk = self._next[ways]
        self._next[ways] = thunk + _WAY_BYTES
        self._engine.write(thunk, self._engine.gate(thunk, number, ways))
        self._engine.write(at, words(branch(at, thunk)))
        # A run may have trapped here before.
        self._engine.flush()

    def _ways_near(self, page: int) -> int:
        """Return a page, near ``page``, with a way to the monitor and room for another gate's code."""
        for known, free in self._next.items():
            if abs(known - page) < _REACH and free + _WAY_BYTES <= known + PAGE:
                return known
        tries = (page + sign * distance for distance in range(PAGE, _REACH, PAGE) for sign in (1, -1))
        found = next((t for t in tries if _FIRST <= t < _END and not self._engine.is_mapped(t)), None)
        if found is None:
            raise LpgenError(f"C cannot be in the page {page:#x}: no page near it is free", hint="choose another nip")
        self._map(found)
        self._engine.add_monitor_entry(found)
        self._next[found] = found + _WAYS
        return found

    def _map(self, page: int) -> None:
        self._engine.map(page, PAGE, writable=False)
        self._engine.write(page, words(TRAP) * (PAGE // 4))
