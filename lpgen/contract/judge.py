"""What a statement's function works with: the trip, the world's facts, and a place for findings."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from lpgen.machine.actors import CR_KEPT
from lpgen.machine.state import State
from lpgen.machine.trip import Moment, Trip
from lpgen.machine.world import World


@dataclass(frozen=True, slots=True)
class Location:
    """What was wrong, so that the instruction that last wrote it can be found.

    ``kind``: gpr (``number``), lr, ctr, cr, memory (``number`` is the address), or pc (``number`` is the instruction).
    """

    kind: str
    number: int = 0


@dataclass(frozen=True, slots=True)
class Finding:
    """A broken statement: where it was seen, what is wrong, expected and seen values as text.

    ``path`` leads to the trip: the index of the inner call, the one inside that, and so on; ``moment`` to the moment.
    """

    statement: str
    where: str
    what: str
    expected: str
    seen: str
    location: Location | None = None
    path: tuple[int, ...] = ()
    moment: int = -1


WHERE = {
    "tracer": "at the call to the tracer",
    "graph": "at the call to prepare_ftrace_return",
    "kprobe": "at the call to is_current_kprobe_addr",
    "unhook": "at the call to ftrace_return_to_handler",
    "direct": "at the direct trampoline",
    "redirected": "where the kprobe leads",
    "body": "in B",
    "c": "at C's entry",
    "kretprobe": "at the kretprobe trampoline",
    "graph_return": "at return_to_handler",
    "back": "back in A",
    "trap": "at the trap",
    "end": "on the way",
}


@dataclass(slots=True)
class Judge:
    """Judges one trip: statements call the methods below; each call counts as a check of the current statement.

    ``root`` is the outermost trip, ``path`` leads from there to ``trip``.
    """

    world: World
    root: Trip
    trip: Trip
    path: tuple[int, ...] = ()
    statement: str = ""
    checks: dict[str, int] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    def count(self, checks: int = 1) -> None:
        """Note that the current statement was exercised."""
        self.checks[self.statement] = self.checks.get(self.statement, 0) + checks

    def broken(
        self, where: str, what: str, expected: str, seen: str, location: Location | None = None, moment: int = -1
    ) -> None:
        """Note a finding against the current statement."""
        self.findings.append(
            Finding(self.statement, WHERE.get(where, where), what, expected, seen, location, self.path, moment)
        )

    def value(
        self, moment: Moment, what: str, expected: int, seen: int | None, location: Location | None = None
    ) -> bool:
        """Check a 64-bit value."""
        self.count()
        if expected == seen:
            return True
        self.broken(moment.where, what, self.hex(expected), self.hex(seen), location, self.trip.moments.index(moment))
        return False

    def true(
        self,
        moment: Moment,
        what: str,
        holds: bool,
        expected: str,
        seen: int | None,
        location: Location | None = None,
    ) -> bool:
        """Check a condition on the value ``seen``."""
        self.count()
        if not holds:
            self.broken(moment.where, what, expected, self.hex(seen), location, self.trip.moments.index(moment))
        return holds

    def gprs(self, moment: Moment, expected: State, numbers: Iterable[int]) -> None:
        """Check GPRs against ``expected``."""
        seen = moment.state.gpr
        self.count()
        for number in numbers:
            # r13 is the paca of the cpu that the thread is on now.
            wanted = moment.paca if number == 13 else expected.gpr[number]
            if seen[number] != wanted:
                self.value(moment, f"r{number}", wanted, seen[number], Location("gpr", number))

    def kept_cr(self, moment: Moment, expected: State) -> None:
        """Check CR2-CR4."""
        self.count()
        if (moment.state.cr ^ expected.cr) & CR_KEPT:
            for n in range(2, 5):
                shift = 28 - 4 * n
                self.value(
                    moment, f"CR{n}", expected.cr >> shift & 15, moment.state.cr >> shift & 15, Location("cr", n)
                )

    def floats(self, moment: Moment, expected: State, first_fpr: int = 0, first_vr: int = 0) -> None:
        """Check FPRs and VRs from the given numbers on."""
        state = moment.state
        self.count()
        if state.fpr[first_fpr:] != expected.fpr[first_fpr:]:
            for n in range(first_fpr, 32):
                self.value(moment, f"f{n}", expected.fpr[n], state.fpr[n])
        if state.vr[16 * first_vr :] != expected.vr[16 * first_vr :]:
            for n in range(first_vr, 32):
                if state.vector(n) != expected.vector(n):
                    self.broken(
                        moment.where,
                        f"v{n}",
                        expected.vector(n)[::-1].hex(),
                        state.vector(n)[::-1].hex(),
                        moment=self.trip.moments.index(moment),
                    )

    def frame(self, moment: Moment) -> None:
        """Check that A's frame and all above it is as it should be, 16(A's frame) apart."""
        self.count()
        a = self.trip.frame
        seen = moment.stack[a - moment.low :]
        expected = moment.frame
        if seen[:16] == expected[:16] and seen[24:] == expected[24:]:
            return
        for at in range(0, len(expected), 8):
            if at != 16 and seen[at : at + 8] != expected[at : at + 8]:
                self.value(
                    moment,
                    f"{at}(A's frame)",
                    int.from_bytes(expected[at : at + 8], "little"),
                    int.from_bytes(seen[at : at + 8], "little"),
                    Location("memory", a + at),
                )

    def hex(self, value: int | None) -> str:
        """Return a value as a person wants to read it: hexadecimal, with its name if it has one."""
        if value is None:
            return "nothing (outside the stack)"
        name = self.world.name_of(value)
        number = f"{value:#018x}" if value > 0xFFFF else f"{value:#x}"
        return number if name == f"{value:#x}" else f"{number} ({name})"
