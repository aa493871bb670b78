"""A proof for a person: one row a statement, each refutation with its values, and what the proof rests on."""

from __future__ import annotations

from collections.abc import Iterator

from lpgen.contract.limits import LIMITS
from lpgen.contract.statements import STATEMENTS
from lpgen.proof.assumptions import assumptions
from lpgen.report.files import write_out
from lpgen.report.proof_result import ProofResult, Shown
from lpgen.report.style import BAD, FAINT, GOOD, HEADING, WARNING, Text, plain, shown
from lpgen.report.wrap import terminal_width, wrapped

_INDENT = 24
_LABEL = " " * 15
PROVED, REFUTED, OPEN, NOT_APPLICABLE = "proved", "REFUTED", "open", "n/a"
_STYLES = {PROVED: GOOD, REFUTED: BAD, OPEN: WARNING, NOT_APPLICABLE: FAINT}


def verdict_of(result: ProofResult, id_: str) -> str:
    """Return what the proof says of one statement of the contract."""
    found = result.proof.statements.get(id_)
    if found is None:
        return NOT_APPLICABLE
    if found.refutations:
        return REFUTED
    return OPEN if id_ in result.proof.undecided else PROVED


def print_proof(result: ProofResult) -> None:
    """Print the proof."""
    write_out("-", shown(proof_lines(result, terminal_width())))


def proof_text(result: ProofResult, width: int = 80) -> str:
    """Return what is printed, without colours, in lines of ``width`` columns where that can be."""
    return plain(proof_lines(result, width))


def proof_lines(result: ProofResult, width: int = 80) -> Iterator[Text]:
    """Yield the lines that a person reads."""
    proof = result.proof
    yield Text(f"{'':3} {'checks':>7}  {'verdict':9}  statement", HEADING)
    for id_, statement in STATEMENTS.items():
        said = verdict_of(result, id_)
        checks = proof.statements[id_].checks if id_ in proof.statements else 0
        first, *more = wrapped(statement.text, width - _INDENT)
        figures = f"{id_:3} {f'{checks:,}' if checks else '-':>7}  "
        yield Text.assemble(figures, (f"{said:9}", _STYLES[said]), f"  {first}")
        yield from (Text(" " * _INDENT + line) for line in more)
    for id_, one in result.shown.items():
        yield Text()
        yield from map(Text, refutation_lines(result, id_, one, width))
    for statement_proof in proof.statements.values():
        for why in statement_proof.open[:3]:
            yield from map(Text, wrapped(f"{statement_proof.id} is open: {why}", width, "  ", first=""))
    if proof.limits:
        yield Text()
        yield Text("known limits of the kernel's design, no failures:")
        for limit in sorted(proof.limits):
            yield from map(Text, wrapped(LIMITS[limit], width, "  "))
    yield Text()
    yield Text("assumed:")
    for made in assumptions(proof.kernel):
        yield from map(Text, wrapped(made.text, width, _LABEL, first=f"  {made.name:13}"))
        yield from map(Text, wrapped(f"guard: {made.guard}", width, _LABEL))
    yield Text()
    kernel = proof.kernel
    yield Text(f"kernel {kernel.version}, generation {kernel.generation}; offsets: {kernel.offsets.label}")
    yield Text(
        f"{len(proof.covered)} instructions on {proof.paths} paths, {proof.questions} questions to the solver, "
        f"{proof.seconds:.2f} s"
    )
    yield Text(summary(result), GOOD if result.holds else BAD)


def summary(result: ProofResult) -> str:
    """Return the last line: what came out."""
    proof = result.proof
    if proof.refuted:
        return f"REFUTED: {', '.join(proof.refuted)}"
    if proof.undecided:
        return f"NOT PROVED: {', '.join(proof.undecided)}"
    return f"proved: all {len(proof.statements)} statements, for all inputs, on every path"


def refutation_lines(result: ProofResult, id_: str, shown: Shown, width: int = 80) -> Iterator[str]:
    """Yield the lines that tell of one refuted statement."""
    one = shown.refutation
    where = "" if one.where == "on the way" else f" {one.where}"
    yield f"{id_} refuted{where}: {one.what}"
    yield from wrapped(result.readable(one, one.expected), width, _LABEL, first="  expected     ")
    yield from wrapped(result.readable(one, one.seen), width, _LABEL, first="  seen         ")
    if one.address is not None:
        line = _line(result, one.address)
        yield f"  instruction  {result.name_of(one.address)}{f': {line[0]}' if line else ''}"
        if line and line[1]:
            yield f"               {line[1]}"
    yield from wrapped(case_text(shown), width, _LABEL, first="  case         ")
    values = [f"{result.readable(one, name)} = {value:#x}" for name, value in one.values.items()]
    if values:
        yield from wrapped(", ".join(values), width, _LABEL, first="  values       ", lines=8)
    if not shown.sought:
        return
    if shown.replay is None:
        said = "no call that was tried shows it in the emulator: its values need what the emulated world does not have"
        yield from wrapped(said, width, _LABEL, first="  replay       ")
        return
    yield from wrapped(shown.replay.plan, width, _LABEL, first="  call         ")
    if shown.replay.values:
        yield from wrapped("; ".join(shown.replay.values.words()), width, _LABEL, first="  chosen       ", lines=6)
    if shown.file:
        yield f"  replay       {result.command} --replay {shown.file}"


def case_text(shown: Shown) -> str:
    """Return which way into the trampolines it is, and what the others do."""
    one = shown.refutation
    parts = [one.way.entry, one.case]
    if one.way.graph:
        parts.append("the graph tracer is on")
    return ", ".join(part for part in parts if part)


def _line(result: ProofResult, address: int) -> tuple[str, str] | None:
    offset = address - result.proof.text
    lines = result.unit.sections[".text"].lines
    found = next((line for line in lines if line.offset <= offset < line.offset + line.size), None)
    if found is None:
        return None
    places = [str(found.place), *([str(found.template)] if found.template is not None else [])]
    return found.text, ", ".join(places)
