"""What a report page shows: everything that lpgen knows of one kernel's trampolines, put together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lpgen import resources
from lpgen.assembly import Unit
from lpgen.campaign.outcome import Outcome
from lpgen.contract.cost import Cost
from lpgen.errors import Place
from lpgen.kernel.generations import Kernel
from lpgen.machine.linking import ground_of
from lpgen.report.compare import Comparison
from lpgen.report.proof_result import ProofResult
from lpgen.report.result import Result
from lpgen.report.trace_result import TraceResult
from lpgen.source.render import Rendered


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the code that is shown: its ``number`` (from 1), ``text``, the ``template`` line it came from.

    ``addresses`` are those of its instructions; ``missed``: no caller of the run executed one of them.
    """

    number: int
    text: str
    template: Place | None = None
    addresses: tuple[int, ...] = ()
    missed: bool = False


@dataclass(frozen=True, slots=True)
class Shown:
    """A call that the page steps through: a ``title``, and ``what`` is special about it, in a sentence."""

    title: str
    what: str
    result: TraceResult


@dataclass(slots=True, kw_only=True)
class Page:
    """A report on ``unit``. ``command`` makes it again; ``notes`` say what is not there, and why.

    ``own`` are the costs of what lpgen emits, where something else is reported on; ``mutants`` the outcomes of a
    mutation campaign on the same code.
    """

    kernel: Kernel
    unit: Unit
    command: str
    verdict: Result
    calls: list[Shown]
    costs: list[Cost]
    rows: list[Row]
    sources: Mapping[str, Sequence[str]] = field(default_factory=dict)
    own: list[Cost] | None = None
    proof: ProofResult | None = None
    mutants: tuple[Outcome, ...] = ()
    mutants_from: str = ""
    comparison: Comparison | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        """True if no statement is broken, unexercised, or refuted."""
        return self.verdict.holds and (self.proof is None or self.proof.holds)


def code_rows(unit: Unit, verdict: Result, text: str | None, rendered: Rendered | None) -> list[Row]:
    """Return the code: the lines of ``text`` where there is one, else an instruction a line.

    ``rendered`` says which template line each line of an emitted text came from.
    """
    base = ground_of(unit).text
    section = unit.sections[".text"]
    missed = frozenset(verdict.covered.missed) if verdict.coverage.executed else frozenset()
    if text is None:
        return [
            Row(number, f"{verdict.name_of(line.offset)}\t{line.text}", line.template, (base + line.offset,),
                line.offset in missed)
            for number, line in enumerate(section.lines, 1)
        ]  # fmt: skip
    at: dict[int, list[int]] = {}
    templates: dict[int, Place] = {}
    for line in section.lines:
        if line.place.line is not None:
            at.setdefault(line.place.line, []).append(line.offset)
            if line.template is not None:
                templates[line.place.line] = line.template
    rows = []
    for number, content in enumerate(text.rstrip("\n").split("\n"), 1):
        origin = templates.get(number)
        if rendered is not None and number <= len(rendered.origins):
            origin = rendered.origins[number - 1]
        offsets = at.get(number, [])
        rows.append(Row(number, content, origin, tuple(base + o for o in offsets), any(o in missed for o in offsets)))
    return rows


def template_sources(rows: Sequence[Row]) -> dict[str, list[str]]:
    """Return the lines of every template that ``rows`` came from, by its name, in the order of first use."""
    found: dict[str, list[str]] = {}
    for name in _names(rows):
        shipped = name.removeprefix(resources.SHIPPED)
        if Path(name).is_file():
            content = Path(name).read_text(encoding="utf-8")
        elif shipped in resources.template_names():
            content = resources.read_template(shipped)
        else:
            continue
        found[name] = content.rstrip("\n").split("\n")
    return found


def _names(rows: Sequence[Row]) -> Iterator[str]:
    yield from dict.fromkeys(row.template.file for row in rows if row.template is not None)
