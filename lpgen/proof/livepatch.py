"""Statements L1 to L7 for all inputs: livepatch_handler, from the changed nip to C and back to A."""

from __future__ import annotations

from collections.abc import Callable

from lpgen.proof.calls import c_writes, called
from lpgen.proof.checker import Checker
from lpgen.proof.explore import Event, Explorer, came_to
from lpgen.proof.ground import LIVEPATCH_SP, MAGIC, World
from lpgen.proof.path import DeadEnd, Path
from lpgen.proof.reading import show
from lpgen.proof.state import Registers
from lpgen.proof.term import FALSE, TRUE, Term, both, const, equal, invert, less, plus, var

FRAME = 24


class LivepatchProof:
    """Follows a path through livepatch_handler, C, and back."""

    def __init__(self, world: World, checker: Checker, explorer: Explorer) -> None:
        self.world = world
        self.checker = checker
        self.explorer = explorer

    def run(self, path: Path, registers_on: Callable[[Path], None], a_sees: Callable[[Path], None]) -> None:
        """Follow ``path``, which has come to livepatch_handler.

        ``registers_on`` asks for what C relies on, ``a_sees`` for what A does when C has returned.
        """
        path.enter_handler("handler")
        before = path.registers.copy()
        for one, event in self.explorer.events(path):
            nip = one.facts["nip"]
            self.checker.where = "at C's entry"
            if not self.explorer.reaches(one, event, nip):
                self._astray(one, event, "X3", "C's global entry")
                continue
            self._c(one, before, registers_on)
            try:
                called(one, "c")
            except DeadEnd as end:
                self._astray(one, Event("dead", end.pc, None, end.what), "L4", "A, behind its call")
                continue
            self._after_c(one, a_sees)

    def _astray(self, path: Path, event: Event, statement: str, wanted: str) -> None:
        self.checker.where = "on the way"
        self.checker.broken(path, statement, event.address, "where it went", wanted, came_to(event))

    def _sp(self, path: Path) -> Term:
        return path.memory.load("thread_info", self.world.offsets["TI_livepatch_sp"], 8)

    def _own_sp(self, path: Path) -> None:
        """Note that livepatch_sp was stored, and in this thread's thread_info: a path knows no other one."""
        if path.stored_sp:
            self.checker.count("L7")

    def _slot(self, path: Path, offset: int) -> Term:
        return path.memory.load("livepatch", offset, 8)

    def _c(self, path: Path, before: Registers, registers_on: Callable[[Path], None]) -> None:
        """Ask what C finds: L1, L2, L3, and what X3 says of its registers."""
        checker, registers, facts = self.checker, path.registers, path.facts
        # What else L1 keeps was asked for behind each instruction.
        checker.equal(path, "L1", "XER inside the handler", before.xer_word(), registers.xer_word())
        checker.equal(path, "L2", "livepatch_sp", plus(LIVEPATCH_SP, FRAME), self._sp(path))
        checker.equal(path, "L2", "r2 at -24(livepatch_sp)", facts["entry r2"], self._slot(path, 0))
        checker.equal(path, "L2", "return address at -16(livepatch_sp)", facts["link"], self._slot(path, 8))
        checker.equal(path, "L2", "marker at -8(livepatch_sp)", const(64, MAGIC), self._slot(path, 16))
        checker.equal(path, "L3", "r12", facts["nip"], registers.gpr[12])
        checker.equal(path, "L3", "CTR", facts["nip"], registers.ctr)
        first, end = self.world.handler_range
        lr = registers.lr
        inside = both(less(const(64, first), lr), less(lr, const(64, end)))
        wanted = "an address inside livepatch_handler"
        checker.true(path, "L3", "LR", inside, wanted, show(lr))
        self._own_sp(path)
        registers_on(path)

    def _after_c(self, path: Path, a_sees: Callable[[Path], None]) -> None:
        """Follow the way back from C, which left the livepatch frame as it was, but perhaps for its marker."""
        path.registers.gpr[2] = var(64, "c.r2")
        path.enter_handler("back")
        c_writes(path)
        marker = var(64, "c.marker")
        path.memory.store("livepatch", path.top - 8, 8, marker)
        left = path.registers.copy()
        intact = equal(marker, const(64, MAGIC))
        for one, event in self.explorer.events(path):
            for case in (intact, invert(intact)):
                if not self.checker.possible(one, case):
                    continue
                way = one.fork()
                way.assume(case)
                self._back(way, event, left, a_sees if case is intact else None)

    def _back(self, path: Path, event: Event, left: Registers, a_sees: Callable[[Path], None] | None) -> None:
        """Judge where the way back led to; ``a_sees`` is None when C destroyed the marker."""
        checker = self.checker
        link = path.facts["link"]
        if a_sees is None:
            checker.case = "C destroyed the marker"
            checker.where = "at the trap"
            if event.kind != "trap":
                self._astray(path, event, "L4", "a trap")
                return
            flags = self.world.bug_flags().get(event.address)
            if flags is None:
                checker.broken(path, "L4", event.address, "__bug_table", "an entry for the trap", "none")
            elif flags & 1:
                plain = "flags without BUGFLAG_WARNING (1): the kernel goes on behind a warning"
                checker.broken(path, "L4", event.address, "__bug_table", plain, f"{flags:#x}")
            checker.equal(path, "L4", "livepatch_sp", plus(LIVEPATCH_SP, FRAME), self._sp(path))
            stored = FALSE if path.stored_sp else TRUE
            checker.true(path, "L4", "livepatch_sp", stored, "not stored before the trap", "stored")
            return
        checker.case = "C left the marker as it was"
        checker.where = "back in A"
        if not self.explorer.reaches(path, event, link):
            self._astray(path, event, "L4", "A, behind its call")
            self._astray(path, event, "L6", "A, behind its call")
            return
        registers, entry_r2 = path.registers, path.facts["entry r2"]
        checker.equal(path, "L4", "r2", entry_r2, registers.gpr[2])
        checker.equal(path, "L5", "r2 (A's TOC)", entry_r2, registers.gpr[2])
        for id_ in ("L4", "L6"):
            checker.equal(path, id_, "livepatch_sp", LIVEPATCH_SP, self._sp(path))
        a_sees(path)
        for number in (3, 4):
            checker.equal(path, "L5", f"r{number}, C's result", left.gpr[number], registers.gpr[number])
        checker.equal(path, "L1", "XER", left.xer_word(), registers.xer_word())
        checker.equal(path, "L1", "MSR", left.msr, registers.msr)
        self._own_sp(path)
