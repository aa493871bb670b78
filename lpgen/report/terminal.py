"""The verdict for a person: one row a statement, then each failure with all that it takes to look at it."""

from __future__ import annotations

import struct
from collections.abc import Iterable

from lpgen.assembly.model import LINKED, LPGEN, OBJECT
from lpgen.callers.types import CType, Float, Integer, Pointer
from lpgen.contract.limits import LIMITS
from lpgen.contract.replay import Replay
from lpgen.contract.shrink import ShrunkCase
from lpgen.contract.verdict import Failure, StatementResult, Verdict
from lpgen.machine.plan import Plan
from lpgen.report.files import write_out
from lpgen.report.result import Result, first_selector
from lpgen.report.style import BAD, GOOD, HEADING, WARNING, Text, plain, shown
from lpgen.report.wrap import terminal_width, wrapped

# Columns before a statement's text: id, callers, verdict.
_INDENT = 22
_LABEL = " " * 15
_AS_IT_IS = {OBJECT: "an object as it is", LINKED: "a linked kernel as it is, at its own addresses"}


def print_verdict(result: Result, *, kinds: bool = False) -> None:
    """Print the verdict; ``kinds``: with the table of callers by kind of scenario and statement."""
    write_out("-", shown(verdict_lines(result, terminal_width(), kinds=kinds)))


def plain_text(result: Result, width: int = 80) -> str:
    """Return what is printed, without colours, in lines of ``width`` columns where that can be."""
    return plain(verdict_lines(result, width))


def verdict_lines(result: Result, width: int = 80, *, kinds: bool = False) -> Iterable[Text]:
    """Yield the lines that a person reads: statements, failures, what was run, and the verdict itself."""
    yield Text(f"{'':2}  {'callers':>7}  {'verdict':7}  statement", HEADING)
    for statement in result.statements.values():
        yield from _statement_lines(statement, width)
    if kinds:
        yield Text()
        yield from _kinds_lines(result, width)
    for failure in result.failures:
        yield Text()
        yield from map(Text, failure_lines(failure, result, width))
    if result.limits:
        yield Text()
        yield Text("known limits of the kernel's design, no failures:")
        for limit, (came, seen) in result.limits.items():
            yield from _limit_lines(limit, came, seen, width)
    yield Text()
    yield from (Text(line) for line in _coverage_lines(result, width))
    kernel = result.kernel
    yield Text(f"kernel {kernel.version}, generation {kernel.generation}; offsets: {kernel.offsets.label}")
    if result.taken:
        said = f"not judged: {', '.join(result.taken)}, which only the kernel's own instructions say"
        yield from map(Text, wrapped(said, width))
    if result.assembler != LPGEN:
        made = _AS_IT_IS.get(result.assembler, f"assembled by {result.assembler}")
        yield Text(f"{result.unit.name}: {made}")
    yield from map(Text, wrapped(_what_was_run(result), width))
    yield Text(summary(result), GOOD if result.holds else BAD)
    if result.replay is not None:
        # Never good news: what was said of a proof is seen, or a proof and the emulator disagree.
        yield Text(_replayed(result.replay, broken=result.replayed), BAD)


def _replayed(replay: Replay, *, broken: bool) -> str:
    """Return what a replay came to, for its last line."""
    if broken:
        return f"replayed: {replay.statement} is broken, as lpgen prove said"
    disagree = "the proof's model and the emulator disagree; please report it"
    return f"replayed: {replay.statement} holds in this call: {disagree}"


def _what_was_run(result: Result) -> str:
    plain = result.callers - result.interrupted
    watched = "each" if result.watched == plain else f"{result.watched:,}"
    said = f"{_callers(result.callers)}, seed {result.seed}; {watched} watched at every instruction"
    if result.in_guest:
        said = f"{said}, {result.in_guest:,} judged in the guest by what they come to"
    if result.every_boundary:
        return f"{said}, {result.interrupted:,} interrupted: several ways of calling at every boundary, in every mode"
    return f"{said}, {result.interrupted:,} interrupted" + (
        ": a sample (all boundaries: --interrupts)" if result.interrupted and result.callers > 1 else ""
    )


def _coverage_lines(result: Result, width: int) -> Iterable[str]:
    if not result.coverage.executed:
        return
    covered = result.covered
    done, both = covered.instructions - len(covered.missed), covered.branches - len(covered.one_way)
    yield f"executed {done} of {covered.instructions} instructions, {both} of {covered.branches} branches both ways"
    for what, offsets in (("not executed", covered.missed), ("one way only", covered.one_way)):
        if offsets:
            yield from wrapped(f"{what}: {', '.join(result.names_of(offsets))}", width, "  ", lines=3)


def _kinds_lines(result: Result, width: int) -> Iterable[Text]:
    """Yield the table of callers by kind of scenario and statement, in as many parts as the width needs."""
    ids = list(result.statements)
    name = max(map(len, result.kinds), default=0)
    columns = max((width - name) // 7, 1)
    for start in range(0, len(ids), columns):
        part = ids[start : start + columns]
        if start:
            yield Text()
        yield Text(" " * name + "".join(f"{id_:>7}" for id_ in part), HEADING)
        for kind in sorted(result.kinds):
            counts = "".join(f"{result.statements[id_].kinds.get(kind, 0) or '-':>7}" for id_ in part)
            yield Text(f"{kind:{name}}{counts}")


def _statement_lines(result: StatementResult, width: int) -> Iterable[Text]:
    if result.broken:
        said, style = "BROKEN", BAD
    elif result.callers:
        said, style = "holds", GOOD
    else:
        said, style = "-", WARNING
    first, *more = wrapped(result.text, width - _INDENT)
    yield Text.assemble(f"{result.id:2}  {result.callers:7,}  ", (said, style), " " * (9 - len(said)), first)
    for line in more:
        yield Text(" " * _INDENT + line)


def _limit_lines(limit: str, came: int, seen: int, width: int) -> Iterable[Text]:
    figures = f"{came:11,}  "
    as_documented = "seen as documented" if seen == came else f"NOT as documented for {came - seen:,} of them"
    said = f"{LIMITS[limit]} ({as_documented})"
    yield from map(Text, wrapped(said, width, " " * len(figures), first=figures))


def summary(verdict: Verdict) -> str:
    """Return the last line: what came out."""
    unseen = [s.id for s in verdict.statements.values() if not s.callers]
    if verdict.broken:
        return f"BROKEN: {', '.join(verdict.broken)}"
    if verdict.not_exercised:
        return f"NOT SHOWN: no caller exercised {', '.join(verdict.not_exercised)}"
    total = len(verdict.statements)
    if unseen:
        return f"holds: {total - len(unseen)} of {total} statements; these callers do not exercise {', '.join(unseen)}"
    return f"holds: all {total} statements"


def failure_head(failure: Failure) -> Iterable[str]:
    """Yield what was seen where, and the instruction to blame with its places."""
    finding = failure.finding
    yield f"{finding.statement} broken {finding.where}: {finding.what}"
    yield f"  expected     {finding.expected}"
    yield f"  seen         {finding.seen}"
    if failure.symbol:
        yield f"  instruction  {failure.symbol}{f': {failure.instruction}' if failure.instruction else ''}"
        places = [p for p in (failure.place, failure.template) if p]
        if places:
            yield f"               {', '.join(places)}"


def failure_lines(failure: Failure, result: Result, width: int = 80) -> Iterable[str]:
    """Yield the lines that tell of one failure, the first of its statement."""
    finding, case = failure.finding, failure.case
    statement = result.statements[finding.statement]
    yield from failure_head(failure)
    number = "" if case.number < 0 or isinstance(case, ShrunkCase) else f"#{case.number} {case.name}: "
    yield from wrapped(number + case.plan.shape.c_prototype(), width, _LABEL, first="  caller       ")
    yield from wrapped("; ".join(case.plan.words()), width, _LABEL, lines=6)
    values = _values(case.plan)
    if values:
        yield from wrapped(", ".join(values), width, _LABEL, first="  values       ", lines=6)
    if case.values:
        yield from wrapped("; ".join(case.values.words()), width, _LABEL, first="  chosen       ", lines=6)
    if isinstance(case, ShrunkCase) and case.interrupted:
        yield from wrapped(case.interrupted, width, _LABEL, first="  interrupted  ")
    if result.callers > 1:
        yield f"  how many     {_callers(statement.broken)} of {statement.callers:,}"
    first = first_selector(failure)
    if first is not None:
        yield f"  first seen   #{case.number} {case.name}  ({first})"
    yield f"  again        {result.again(failure)}"


def _values(plan: Plan) -> list[str]:
    types, values = plan.shape.placement.types, plan.values
    return [f"a{n} = {_value(t, v)}" for n, (t, v) in enumerate(zip(types, values, strict=True), 1)]


def _value(ctype: CType, value: bytes) -> str:
    if isinstance(ctype, Float):
        return repr(struct.unpack("<f" if ctype.size == 4 else "<d", value)[0])
    if isinstance(ctype, Integer | Pointer):
        return f"{int.from_bytes(value, 'little'):#x}"
    return value.hex(" ", 8)


def _callers(count: int) -> str:
    return f"{count:,} caller{'' if count == 1 else 's'}"
