"""The mutation campaign: each mutant of a kernel's trampolines against the suite, the prover, or both.

Which callers see a mutant first is learned from a sample of the mutants, and again inside each chunk of neighbours; so
a mutant's result depends on nothing but its chunk: not on the number of processes, on shards, or on when a campaign was
stopped and went on.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from lpgen import __version__
from lpgen.assembly import Unit
from lpgen.assembly.disassembly import disassemble
from lpgen.assembly.kernel_text import assemble_source
from lpgen.assembly.reach import BUG_TABLE, judged
from lpgen.campaign import pool
from lpgen.campaign.killing import SAMPLE, Bench, Round, Ways, learned, ways
from lpgen.campaign.mutants import Mutant, mutants
from lpgen.campaign.outcome import BOTH, KILLED, PASSED, PROVE, PROVED, REFUTED, UNDECIDED, VERIFY, Outcome
from lpgen.campaign.store import Store
from lpgen.errors import LpgenError
from lpgen.kernel.generations import Kernel
from lpgen.source.emit import emit_source
from lpgen.source.leave_out import Omission, emit_without, omissions
from lpgen.source.packs import Templates

# Mutants of code, and of templates, that a process gets at once; they learn from each other.
CHUNK, TEMPLATE_CHUNK = 8, 2
# So many callers are sent before the prover is asked.
QUICK = 12
TEMPLATE = "template"


class Proof(Protocol):
    """What the prover says: ids of statements that are refuted, and of those neither proved nor refuted."""

    @property
    def refuted(self) -> tuple[str, ...]:
        """The ids of the statements that do not hold."""

    @property
    def undecided(self) -> tuple[str, ...]:
        """The ids of the statements that are neither proved nor refuted."""


class Prover(Protocol):
    """The prover, as far as it is used here."""

    @property
    def text(self) -> bytes:
        """The bytes of .text as the prover has them linked."""

    def run(self, words: Mapping[int, int], *, first: bool = False) -> Proof:
        """Return what is proved of the code with ``words`` (by byte offset in .text) in it.

        ``first``: up to the first refutation. Raises LpgenError for an instruction that it does not know.
        """


@dataclass(frozen=True)
class Subject:
    """What is mutated: a kernel's trampolines. ``emitted``: what lpgen emits, in ``style``, from ``templates``."""

    kernel: Kernel
    unit: Unit
    emitted: bool = True
    style: str = "kernel"
    templates: Templates | None = None


@dataclass(frozen=True)
class Asked:
    """Who is asked: ``who`` is verify, prove or both; ``thorough``: of each mutant all of them, to their end."""

    who: str = BOTH
    thorough: bool = False


Piece = Mutant | Omission


@dataclass(frozen=True)
class Campaign:
    """All mutants of a subject, in chunks, and what tells this campaign from any other."""

    subject: Subject
    asked: Asked
    chunks: tuple[tuple[Piece, ...], ...]
    about: Mapping[str, str]

    @property
    def ids(self) -> list[str]:
        """The ids of all mutants, in order: of the code, then of the templates."""
        return [id_of(piece) for chunk in self.chunks for piece in chunk]

    def shard(self, number: int, of: int) -> list[tuple[Piece, ...]]:
        """Return the chunks of shard ``number`` (from 1) of ``of``."""
        return list(self.chunks[number - 1 :: of])


def id_of(piece: Piece) -> str:
    """Return what a mutant is called, which no other is."""
    return piece.id if isinstance(piece, Mutant) else f"{piece.place} {TEMPLATE} without {piece.tag}"


def campaign(subject: Subject, asked: Asked) -> Campaign:
    """Return the campaign on ``subject``. Raises LpgenError when it is none that can be run."""
    bench = Bench(subject.kernel, subject.unit)
    of_code = mutants(bench.unit, bench.text, bench.name_of)
    of_templates: list[Omission] = []
    if subject.emitted:
        rendered = emit_source(subject.kernel, style=subject.style, templates_dir=subject.templates)
        used = {Path(place.file).name for place in rendered.origins if place is not None}
        of_templates = [one for one in omissions(subject.templates) if Path(one.name).name in used]
    chunks: list[tuple[Piece, ...]] = [tuple(part) for part in _parts(of_code, CHUNK)]
    chunks += [tuple(part) for part in _parts(of_templates, TEMPLATE_CHUNK)]
    kernel = subject.kernel
    words = [(one.id, sorted(one.words(bench.text).items())) for one in of_code]
    text = [(id_of(one), one.start, one.end) for one in of_templates]
    about = {
        "lpgen": f"{__version__} {_own_code()}",
        "kernel": kernel.version,
        "options": json.dumps({**kernel.options, **kernel.numbers}, sort_keys=True),
        "offsets": _digest(kernel.offsets.header_text()),
        "code": _digest(json.dumps([bench.text.hex(), *sorted(s.data.hex() for s in bench.unit.sections.values())])),
        "mutants": _digest(json.dumps([words, text])),
        "--with": asked.who,
        "--thorough": str(asked.thorough),
    }
    return Campaign(subject, asked, tuple(chunks), about)


def _own_code() -> str:
    """Return a digest of lpgen itself: another suite has other results."""
    root = Path(__file__).parents[1]
    names = sorted(root.rglob("*.py"))
    return _digest("".join(f"{name.relative_to(root)}\0{name.read_text(encoding='utf-8')}\0" for name in names))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _parts(pieces: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    for start in range(0, len(pieces), size):
        yield pieces[start : start + size]


def run(
    planned: Campaign,
    store: Store,
    shard: tuple[int, int] = (1, 1),
    jobs: int | None = None,
    tick: Callable[[int], None] | None = None,
    check: Callable[[], None] | None = None,
    method: str | None = None,
) -> None:
    """Run the mutants of a shard that ``store`` has no result of, and put the results there, chunk by chunk.

    ``jobs`` is the number of processes, None for every core. ``tick`` is called with how many mutants more are done
    (first with those that were done before as well), ``check`` often; what they raise ends the campaign. ``method`` is
    how processes start (multiprocessing).
    """
    advance, check = tick or _nothing, check or (lambda: None)
    known = store.outcomes().keys()
    # A chunk is done as a whole: its mutants learn from each other. Those of templates take longest: first.
    left = [chunk for chunk in reversed(planned.shard(*shard)) if any(id_of(piece) not in known for piece in chunk)]
    before = sum(map(len, planned.shard(*shard))) - sum(map(len, left))
    if not left:
        return
    check()
    order = _order(planned, check)
    jobs = max(1, min(pool.usable_cores() if jobs is None else jobs, len(left)))
    if jobs == 1:
        trial = Trial(planned, order, check)
        for chunk in left:
            store.add(trial.outcomes(chunk))
            advance(before + len(chunk))
            before = 0
        return
    with closing(pool.in_order(left, _do, jobs, _start, (planned, order), method=method)) as parts:
        for part in parts:
            store.add(part)
            # Not earlier: what shows it may start a thread, and processes are forked from one of a single thread.
            advance(before + len(part))
            before = 0


def _order(planned: Campaign, check: Callable[[], None]) -> Ways:
    """Return the callers in the order that a sample of all mutants teaches: the same for each shard."""
    if planned.asked.who == PROVE:
        return Ways(())
    bench = Bench(planned.subject.kernel, planned.subject.unit)
    known = ways(bench, check)
    of_code = [piece for chunk in planned.chunks for piece in chunk if isinstance(piece, Mutant)]
    return learned(bench, known, of_code[:: max(1, len(of_code) // SAMPLE)], check)


class _Worker:
    trial: Trial


def _start(planned: Campaign, order: Ways) -> None:
    _Worker.trial = Trial(planned, order, pool.check)


def _do(chunk: tuple[Piece, ...]) -> list[Outcome]:
    return _Worker.trial.outcomes(chunk)


class Trial:
    """Tries mutants in this process. ``check`` is called between two callers; what it raises ends the trial."""

    def __init__(self, planned: Campaign, order: Ways, check: Callable[[], None]) -> None:
        self._subject = planned.subject
        self._asked = planned.asked
        self._order = order
        self._check = check
        self._bench = Bench(planned.subject.kernel, planned.subject.unit)
        self._prover: Prover | None = None
        self._code = _code_of(planned.subject.unit)

    def outcomes(self, chunk: Iterable[Piece]) -> list[Outcome]:
        """Return what becomes of each mutant of a chunk."""
        tried = Round(self._bench, self._order, self._check)
        found = []
        for piece in chunk:
            self._check()
            found.append(self._of_code(piece, tried) if isinstance(piece, Mutant) else self._of_template(piece))
        return found

    def _of_code(self, mutant: Mutant, tried: Round) -> Outcome:
        words = mutant.words(self._bench.text)
        outcome = _described(self._bench, mutant, words)

        return self._judged(outcome, tried, words, lambda: self._proof(self._own_prover(), mutant))

    def _of_template(self, omitted: Omission) -> Outcome:
        subject = self._subject
        outcome = Outcome(id_of(omitted), TEMPLATE, was=omitted.tag, now="left out", template=str(omitted.place))
        try:
            rendered = emit_without(subject.kernel, omitted, style=subject.style, templates_dir=subject.templates)
            unit = assemble_source(subject.kernel, rendered, name=subject.kernel.file_name, isolated=False)
            unit = judged(unit, [symbol.name for symbol in subject.kernel.symbols])
            if _code_of(unit) == self._code:
                return replace(outcome, same=True)
            bench = Bench(subject.kernel, unit)
        except LpgenError as error:
            return replace(outcome, acceptance=str(error))
        tried = Round(bench, self._order, self._check)

        return self._judged(outcome, tried, {}, lambda: self._proof(_prover(subject.kernel, unit), None))

    def _own_prover(self) -> Prover:
        if self._prover is None:
            self._prover = _prover(self._subject.kernel, self._subject.unit)
        return self._prover

    def _judged(self, outcome: Outcome, tried: Round, words: Mapping[int, int], prove: Callable[[], Proof]) -> Outcome:
        who, thorough = self._asked.who, self._asked.thorough
        try:
            tried.begin(words)
        except LpgenError as error:
            return replace(outcome, acceptance=str(error))
        kill = None if who == PROVE else tried.quick(QUICK)
        if who != VERIFY and (kill is None or thorough):
            outcome = self._proved(outcome, prove)
        if who == PROVE:
            return outcome
        if kill is None and (outcome.prove != PROVED or thorough):
            kill = tried.rest()
            outcome = replace(outcome, verify=PASSED)
        if kill is not None:
            outcome = replace(outcome, verify=KILLED, statements=kill.statements, caller=kill.caller, what=kill.what)
        return replace(outcome, sent=tried.sent)

    def _proof(self, prover: Prover, mutant: Mutant | None) -> Proof:
        words = {} if mutant is None else mutant.words(prover.text)
        return prover.run(words, first=not self._asked.thorough)

    def _proved(self, outcome: Outcome, prove: Callable[[], Proof]) -> Outcome:
        # Whether the solver loads is no fault of a mutant.
        self._own_prover()
        try:
            proof = prove()
        except LpgenError as error:
            return replace(outcome, prove=UNDECIDED, undecided=(str(error),))
        if proof.refuted:
            return replace(outcome, prove=REFUTED, refuted=tuple(proof.refuted))
        if proof.undecided:
            return replace(outcome, prove=UNDECIDED, undecided=tuple(proof.undecided))
        return replace(outcome, prove=PROVED)


def _prover(kernel: Kernel, unit: Unit) -> Prover:
    # It is loaded where it is asked for: z3 takes half a second.
    from lpgen.proof import prover

    return prover.Prover(kernel, unit)


def _code_of(unit: Unit) -> object:
    """Return all that two units with the same code have in common; the lines in __bug_table are none of it."""
    sections = [
        (
            section.name,
            section.size if section.name == BUG_TABLE else section.data,
            [(r.offset, r.type, r.symbol, r.addend) for r in section.relocations],
        )
        for section in unit.sections.values()
    ]
    return sections, unit.symbols


def _described(bench: Bench, mutant: Mutant, words: Mapping[int, int]) -> Outcome:
    def shown(found: Mapping[int, int]) -> str:
        return "; ".join(disassemble(word, at, bench.name_of) for at, word in found.items())

    text = bench.text
    was = {at: int.from_bytes(text[at : at + 4], "little") for at in words}
    line = next(line for line in bench.unit.sections[".text"].lines if line.offset == mutant.offset)
    template = "" if line.template is None else str(line.template)
    return Outcome(mutant.id, mutant.kind, was=shown(was), now=shown(words), place=str(line.place), template=template)


def _nothing(done: int) -> None:
    pass
