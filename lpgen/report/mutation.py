"""A mutation campaign for a person and as JSON: lpgen.mutate/1, whose fields `lpgen schema mutate` describes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from lpgen.assembly.model import LPGEN
from lpgen.campaign.outcome import NONE, SURVIVED, VERIFY, Outcome, Score
from lpgen.kernel.generations import Kernel
from lpgen.report.columns import columns
from lpgen.report.files import write_out
from lpgen.report.json_head import json_head
from lpgen.report.style import BAD, GOOD, HEADING, WARNING, Text, shown
from lpgen.report.wrap import terminal_width, wrapped

SCHEMA = "lpgen.mutate/1"
# So many of a list are shown to a person; JSON has all.
SHOWN = 40
_HEAD = ("", "mutants", "killed", "equivalent", "survived")


@dataclass(frozen=True)
class Mutation:
    """The outcomes of a campaign on ``kernel``'s trampolines, as far as it is.

    ``made_by`` is the unit's; ``planned`` are the ids of all mutants of the shard, in order; ``command`` is the command
    line that goes on with it.
    """

    kernel: Kernel
    made_by: str
    command: str
    asked: str
    thorough: bool
    shard: tuple[int, int]
    planned: tuple[str, ...]
    outcomes: tuple[Outcome, ...]

    @property
    def score(self) -> Score:
        """The figures of all that are done."""
        return Score.of(self.outcomes)

    @property
    def complete(self) -> bool:
        """True if each mutant has its outcome."""
        return len(self.outcomes) == len(self.planned)

    @property
    def survivors(self) -> list[Outcome]:
        """Those that nobody killed and nobody proved equivalent."""
        return [one for one in self.outcomes if one.state == SURVIVED]

    @property
    def contradictions(self) -> list[Outcome]:
        """Those that a caller sees broken and the prover has proved."""
        return [one for one in self.outcomes if one.contradicted]

    @property
    def holds(self) -> bool:
        """True if none survived and none is contradicted."""
        return not self.survivors and not self.contradictions


def mutation_json(mutation: Mutation) -> dict[str, Any]:
    """Return a campaign as JSON-able data."""
    kernel, outcomes = mutation.kernel, mutation.outcomes
    return {
        **json_head(SCHEMA, mutation.command, kernel, mutation.made_by),
        "with": mutation.asked,
        "thorough": mutation.thorough,
        "shard": f"{mutation.shard[0]}/{mutation.shard[1]}",
        "mutants": len(mutation.planned),
        "done": len(outcomes),
        "holds": mutation.holds,
        "score": asdict(mutation.score),
        "kinds": {kind: asdict(Score.of(part)) for kind, part in _by_kind(outcomes)},
        "survivors": [one.id for one in mutation.survivors],
        "contradictions": [one.id for one in mutation.contradictions],
        "only_verify": [one.id for one in outcomes if one.only_verify],
        "only_prove": [one.id for one in outcomes if one.only_prove],
        "outcomes": [{**one.data(), "state": one.state, "verify": one.verify, "prove": one.prove} for one in outcomes],
    }


def print_mutation(mutation: Mutation) -> None:
    """Print a campaign for a person."""
    write_out("-", shown(mutation_lines(mutation, terminal_width())))


def mutation_lines(mutation: Mutation, width: int = 80) -> Iterator[Text]:
    """Yield what a person reads: figures by kind, then each mutant that somebody has to look at, then the summary."""
    rows = [_HEAD, *(_row(kind, Score.of(part)) for kind, part in _by_kind(mutation.outcomes))]
    rows.append(_row("all", mutation.score))
    yield from columns(rows, width, heading=True, right=range(1, len(_HEAD)))
    yield from _listed("survived: nobody killed it, and it was not proved equivalent", mutation.survivors, width)
    yield from _listed("contradicted: proved, and yet a caller sees it broken", mutation.contradictions, width)
    undecided = [one for one in mutation.outcomes if one.only_verify and not one.contradicted]
    yield from _listed("killed by verify, and not decided by the prover", undecided, width)
    only = [one for one in mutation.outcomes if one.only_prove]
    yield from _listed("killed by the prover, and not by verify", only, width)
    yield Text()
    kernel = mutation.kernel
    yield Text(f"kernel {kernel.version}, generation {kernel.generation}; offsets: {kernel.offsets.label}")
    if mutation.made_by != LPGEN:
        yield Text(f"assembled by {mutation.made_by}" if " " in mutation.made_by else f"an {mutation.made_by} as it is")
    yield from map(Text, wrapped(_how(mutation), width))
    if not mutation.complete:
        left = len(mutation.planned) - len(mutation.outcomes)
        yield Text(f"{left:,} of {len(mutation.planned):,} mutants are left: {mutation.command}", WARNING)
    yield Text(summary(mutation), (GOOD if mutation.complete else "") if mutation.holds else BAD)


def summary(mutation: Mutation) -> str:
    """Return the last line: what came out."""
    score = mutation.score
    said = f"{score.mutants:,} mutants: {score.killed:,} killed, "
    said += f"{score.equivalent:,} equivalent (proved), " if mutation.asked != VERIFY else ""
    said += f"{score.survived:,} survived"
    contradicted = len(mutation.contradictions)
    return said + (f"; {contradicted:,} CONTRADICTED" if contradicted else "")


def _how(mutation: Mutation) -> str:
    score = mutation.score
    said = {"verify": "verify alone", "prove": "the prover alone", "both": "verify, then the prover"}[mutation.asked]
    said = f"asked: {said}{', each of them of every mutant' if mutation.thorough else ''}"
    if mutation.shard[1] > 1:
        said += f"; shard {mutation.shard[0]} of {mutation.shard[1]}"
    said += f"; {score.refused:,} refused by the assembler, the kernel's build or ftrace"
    if mutation.asked == "both":
        said += f"; killed by verify only: {score.only_verify:,}, by the prover only: {score.only_prove:,}"
    same = sum(one.state == NONE for one in mutation.outcomes)
    return said + (f"; {same:,} left out of templates without a change of the code" if same else "")


def _by_kind(outcomes: Iterable[Outcome]) -> list[tuple[str, list[Outcome]]]:
    found: dict[str, list[Outcome]] = {}
    for one in outcomes:
        if one.state != NONE:
            found.setdefault(one.kind, []).append(one)
    return list(found.items())


def _row(name: str, score: Score) -> tuple[str, ...]:
    return (name, *(f"{count:,}" for count in (score.mutants, score.killed, score.equivalent, score.survived)))


def _listed(title: str, outcomes: list[Outcome], width: int) -> Iterator[Text]:
    if not outcomes:
        return
    yield Text()
    yield Text(f"{title} ({len(outcomes):,})", HEADING)
    for one in outcomes[:SHOWN]:
        yield Text(one.id)
        rows = [("instruction", one.was), ("mutant", one.now)]
        rows += [("line", ", ".join(place for place in (one.place, one.template) if place))]
        rows += [("verify", _verify_said(one)), ("prove", _prove_said(one))]
        yield from columns([row for row in rows if row[1]], width, "  ")
    if len(outcomes) > SHOWN:
        yield Text(f"and {len(outcomes) - SHOWN:,} more: --json has all")


def _verify_said(one: Outcome) -> str:
    if one.verify == "killed":
        return f"{', '.join(one.statements)} broken for {one.caller}, {one.what}"
    sent = f"{one.sent:,} caller{'' if one.sent == 1 else 's'}"
    return f"no statement broken for {sent}" if one.sent else ""


def _prove_said(one: Outcome) -> str:
    said = [f"refuted: {', '.join(one.refuted)}"] if one.refuted else []
    said += [f"not decided: {', '.join(one.undecided)}"] if one.undecided else []
    return "; ".join(said) or ("all proved" if one.prove == "proved" else "")
