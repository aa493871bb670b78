"""What is asked of a path, statement by statement, and what the answers were."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from lpgen.proof.ground import World
from lpgen.proof.path import Path, Way
from lpgen.proof.reading import evaluate, show
from lpgen.proof.solver import Solver, UndecidedError
from lpgen.proof.state import Registers
from lpgen.proof.term import FALSE, TRUE, Term, const, equal, invert, signed, sub

# Of each statement so many refutations are kept; a wrong trampoline may have thousands.
KEPT = 16


@dataclass(slots=True)
class Refutation:
    """A statement that does not hold: where that is seen, what is wrong, and the values under which it is.

    ``expected`` and ``seen`` are text. ``address`` is the instruction
    that did it, None where only its effect is seen. ``values`` are those of variables; those not there can be any.
    ``case``: what the tracer and the others did. ``way``: how it came there.
    """

    statement: str
    where: str
    what: str
    expected: str
    seen: str
    values: dict[str, int]
    case: str
    way: Way
    conditions: tuple[Term, ...]
    address: int | None = None


@dataclass(slots=True)
class StatementProof:
    """One statement: how often something was asked for it, and where it does not hold. ``open``: no answer came."""

    id: str
    checks: int = 0
    refutations: list[Refutation] = field(default_factory=list)
    open: list[str] = field(default_factory=list)

    def takes(self, where: str, what: str, case: str) -> bool:
        """Tell whether a refutation is kept: the first of its kind, up to KEPT of them."""
        known = any((one.where, one.what, one.case) == (where, what, case) for one in self.refutations)
        return not known and len(self.refutations) < KEPT


class EnoughError(Exception):
    """The first refutation is all that was asked for."""


class Checker:
    """Asks, counts and keeps the answers. ``first``: stop at the first refutation."""

    def __init__(self, world: World, solver: Solver, statements: Iterable[str], *, first: bool = False) -> None:
        self.world = world
        self.solver = solver
        self.statements = {id_: StatementProof(id_) for id_ in statements}
        self.limits: set[str] = set()
        self.covered: set[int] = set()
        self.paths = 0
        self.case = ""
        self.where = ""
        self._first = first

    def begin(self, registers: Registers, symbol: str, phase: str = "ftrace") -> Path:
        """Return a path that starts at ``symbol`` with ``registers``, r13 being the paca."""
        path = Path(self.world, self.report, self.differs, self.find, registers, self.world.symbols[symbol])
        path.entry, path.phase = symbol, phase
        registers.gpr[13] = path.paca
        self.world.prepare(path.memory)
        return path

    # Conditions

    def possible(self, path: Path, *conditions: Term) -> bool:
        """Tell whether ``conditions`` can hold on the path; True when the solver has no answer."""
        known = [path.knows(condition) for condition in conditions]
        if False in known:
            return False
        if all(known):
            return True
        try:
            return self.solver.possible((*path.conditions, *conditions))
        except UndecidedError:
            return True

    def certain(self, path: Path, condition: Term, *also: Term) -> bool:
        """Tell whether ``condition`` holds on the path, where ``also`` hold."""
        return path.knows(condition) is True or not self.possible(path, invert(condition), *also)

    def find(self, path: Path, address: Term) -> tuple[str, int] | None:
        """Return region and offset of an address that the solver shows to be a region's base and a number.

        None if it is none of all, or not always the same.
        """
        if address.op == "var":
            return None
        try:
            values = self.solver.model(path.conditions)
        except UndecidedError:
            return None
        if values is None:
            return None
        for base, region in self.world.bases.items():
            distance = sub(address, base)
            offset = signed(evaluate(distance, values), 64)
            fields = self.world.regions[region]
            inside = fields.first <= offset < fields.end
            if inside and self.certain(path, equal(distance, const(64, offset))):
                return region, offset
        return None

    # Statements

    def equal(self, path: Path, statement: str, what: str, expected: Term, seen: Term, *also: Term) -> bool:
        """Ask that two terms are equal, where ``also`` hold too."""
        if expected is seen:
            self._count(statement)
            return True
        return self._ask(path, statement, what, equal(expected, seen), show(expected), show(seen), also)

    def true(self, path: Path, statement: str, what: str, condition: Term, expected: str, seen: str) -> bool:
        """Ask that a condition holds."""
        return self._ask(path, statement, what, condition, expected, seen)

    def broken(self, path: Path, statement: str, address: int, what: str, expected: str, seen: str) -> None:
        """Note what breaks a statement whatever the values."""
        self._ask(path, statement, what, FALSE, expected, seen, address=address)

    def report(self, path: Path, statement: str, address: int, what: str, expected: str, seen: str) -> None:
        """Be told by a path of an access that may not be."""
        self.where = "on the way"
        self.broken(path, statement, address, what, expected, seen)

    def differs(self, path: Path, statement: str, address: int, what: str, was: Term, now: Term) -> None:
        """Be told by a path of a register that an instruction changed, and may not have."""
        self.where = "on the way"
        self._ask(path, statement, what, equal(was, now), show(was), show(now), address=address)

    def count(self, statement: str) -> None:
        """Note that something was asked for a statement, and the answer was yes."""
        self._count(statement)

    def _count(self, statement: str) -> None:
        found = self.statements.get(statement)
        if found is not None:
            found.checks += 1

    def _ask(
        self,
        path: Path,
        statement: str,
        what: str,
        condition: Term,
        expected: str,
        seen: str,
        also: tuple[Term, ...] = (),
        address: int | None = None,
    ) -> bool:
        self._count(statement)
        found = self.statements.get(statement)
        if found is None or condition is TRUE or path.knows(condition):
            return True
        conditions = (*path.conditions, *also, invert(condition))
        try:
            values = self.solver.model(conditions)
        except UndecidedError as error:
            found.open.append(f"{what} {self.where}: {error}")
            return False
        if values is None:
            return True
        if not found.takes(self.where, what, self.case):
            return False
        found.refutations.append(
            Refutation(
                statement,
                self.where,
                what,
                expected,
                seen,
                values,
                self.case,
                path.way(),
                conditions,
                address,
            )
        )
        if self._first:
            raise EnoughError
        return False
