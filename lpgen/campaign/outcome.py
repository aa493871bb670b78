"""What became of a mutant, and what may be said of many."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any

# What was asked: the suite, the prover, or both.
VERIFY, PROVE, BOTH = "verify", "prove", "both"
# States of a mutant. ``NONE``: what was left out of a template made no difference to the code, so there is no mutant.
KILLED, EQUIVALENT, SURVIVED, NONE = "killed", "equivalent", "survived", "none"
# What verify says of one, and the prover.
NOT_ASKED, PASSED = "not asked", "passed"
PROVED, REFUTED, UNDECIDED = "proved", "refuted", "undecided"


@dataclass(frozen=True, slots=True)
class Outcome:
    """One mutant: what was changed, and who said what of it.

    ``was`` and ``now`` are the instructions before and after, ``place`` the line in the assembly, ``template`` the one
    in a template. ``acceptance`` is why the kernel's build or ftrace would refuse it; nothing was run then. ``verify``
    is "killed" (``statements`` broken, seen by ``caller``, ``what`` it saw), "passed" (by ``sent`` callers) or "not
    asked"; ``prove`` is "refuted", "proved", "undecided" or "not asked", with the ids that are.
    """

    id: str
    kind: str
    was: str = ""
    now: str = ""
    place: str = ""
    template: str = ""
    same: bool = False
    acceptance: str = ""
    verify: str = NOT_ASKED
    statements: tuple[str, ...] = ()
    caller: str = ""
    what: str = ""
    sent: int = 0
    prove: str = NOT_ASKED
    refuted: tuple[str, ...] = ()
    undecided: tuple[str, ...] = ()

    @property
    def state(self) -> str:
        """What became of it: killed, equivalent (proved, and nobody killed it), survived; none when it is no mutant."""
        if self.same:
            return NONE
        if self.acceptance or self.verify == KILLED or self.prove == REFUTED:
            return KILLED
        return EQUIVALENT if self.prove == PROVED else SURVIVED

    @property
    def contradicted(self) -> bool:
        """True if a caller sees a statement broken that the prover has proved for every caller."""
        return self.verify == KILLED and self.prove == PROVED

    @property
    def only_verify(self) -> bool:
        """True if verify kills it and the prover, asked, does not refute it."""
        return self.verify == KILLED and self.prove in (PROVED, UNDECIDED)

    @property
    def only_prove(self) -> bool:
        """True if the prover refutes it and verify, asked with all that it has, does not kill it."""
        return self.verify == PASSED and self.prove == REFUTED

    def data(self) -> dict[str, Any]:
        """Return the outcome as JSON-able data, without what is empty."""
        made = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in made.items() if value}

    @classmethod
    def of(cls, data: dict[str, Any]) -> Outcome:
        """Return the outcome that ``data`` made such data of."""
        made: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in data.items()
        }
        return cls(**made)


@dataclass(slots=True)
class Score:
    """How many mutants became what. ``refused`` of the ``killed`` were so before anything ran."""

    mutants: int = 0
    killed: int = 0
    equivalent: int = 0
    survived: int = 0
    refused: int = 0
    only_verify: int = 0
    only_prove: int = 0

    @classmethod
    def of(cls, outcomes: Iterable[Outcome]) -> Score:
        """Count the outcomes, those that are no mutants left out."""
        score = cls()
        for one in outcomes:
            if one.state == NONE:
                continue
            score.mutants += 1
            score.killed += one.state == KILLED
            score.equivalent += one.state == EQUIVALENT
            score.survived += one.state == SURVIVED
            score.refused += bool(one.acceptance)
            score.only_verify += one.only_verify
            score.only_prove += one.only_prove
        return score
