"""The proof of one kernel's trampolines: every entry, every path, every statement."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from lpgen.assembly import Unit
from lpgen.contract.suite import applicable
from lpgen.kernel.generations import Kernel
from lpgen.machine.acceptance import check_entry_points, check_patch_points
from lpgen.proof import smaller
from lpgen.proof.checker import Checker, EnoughError, Refutation, StatementProof
from lpgen.proof.ftrace import Entry, FtraceProof
from lpgen.proof.ground import World
from lpgen.proof.solver import Solver


@dataclass(slots=True)
class Proof:
    """What a proof says. ``statements`` are those that apply to the kernel, in the contract's order.

    ``limits``: the known limits of the design that were met. ``paths``: how many were followed to their ends.
    ``seconds``: the time that it took; ``questions``: how many the solver was asked. ``text``: the address of .text.
    ``covered``: byte offsets in .text of the instructions that some path executes.
    """

    kernel: Kernel
    statements: dict[str, StatementProof]
    limits: frozenset[str] = frozenset()
    paths: int = 0
    seconds: float = 0.0
    questions: int = 0
    text: int = 0
    covered: frozenset[int] = field(default=frozenset(), repr=False)

    @property
    def refuted(self) -> tuple[str, ...]:
        """The ids of the statements that do not hold."""
        return tuple(s.id for s in self.statements.values() if s.refutations)

    @property
    def undecided(self) -> tuple[str, ...]:
        """The ids of the statements that are neither proved nor refuted: asked without an answer, or never asked."""
        return tuple(s.id for s in self.statements.values() if not s.refutations and (s.open or not s.checks))

    @property
    def holds(self) -> bool:
        """True if all statements are proved."""
        return not self.refuted and not self.undecided

    @property
    def refutations(self) -> list[Refutation]:
        """The first refutation of each statement that does not hold."""
        return [s.refutations[0] for s in self.statements.values() if s.refutations]


class Prover:
    """Proves the trampolines of ``unit``, or of what some replaced instructions make of them.

    Raises LpgenError for a unit that lacks what the kernel needs or that ftrace would refuse to patch, and when the
    solver does not load.
    """

    def __init__(self, kernel: Kernel, unit: Unit) -> None:
        self.kernel = kernel
        self.world = World(kernel, unit)
        check_entry_points(kernel, self.world.image)
        self.solver = Solver()

    @property
    def text(self) -> bytes:
        """The bytes of .text as they are linked here; in the emulator C functions, and so branches, are elsewhere."""
        start, end = self.world.text_range
        return self.world.image_bytes(start, end - start) or b""

    def run(self, words: Mapping[int, int] | None = None, *, first: bool = False) -> Proof:
        """Prove, with the instructions at the byte offsets ``words`` in .text replaced.

        ``first``: stop at the first refutation; other statements are undecided then. Raises LpgenError for an
        instruction that is not modelled, and for one that ftrace would refuse to patch.
        """
        begun, asked = time.perf_counter(), self.solver.questions
        world = self.world.with_words(words or {})
        check_patch_points(self.kernel, world.image, lambda address: world.words.get(address) or 0)
        checker = Checker(world, self.solver, applicable(self.kernel), first=first)
        start = world.text_range[0]
        with suppress(EnoughError):
            self._run(world, checker)
        return Proof(
            self.kernel,
            checker.statements,
            frozenset(checker.limits),
            checker.paths,
            time.perf_counter() - begun,
            self.solver.questions - asked,
            start,
            frozenset(pc - start for pc in checker.covered),
        )

    def _run(self, world: World, checker: Checker) -> None:
        two = "two_entries" in world.features
        entries = [Entry("ftrace_regs_caller", lean=False), Entry("ftrace_caller", lean=True)]
        for entry in entries if two else [Entry("ftrace_caller", lean=False)]:
            FtraceProof(world, checker, entry).run()
        if "mcount" in world.features:
            for symbol in ("_mcount", "mcount"):
                smaller.mcount(world, checker, symbol)
        if "return_to_handler" in world.features:
            smaller.return_to_handler(world, checker)
