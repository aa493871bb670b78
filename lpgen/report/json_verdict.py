"""The verdict as JSON: lpgen.verify/1, whose fields `lpgen schema verify` describes."""

from __future__ import annotations

from typing import Any

from lpgen.contract.limits import LIMITS
from lpgen.contract.replay import Replay
from lpgen.contract.shrink import ShrunkCase
from lpgen.contract.verdict import Failure
from lpgen.machine.plan_text import plan_text
from lpgen.report.json_head import json_head
from lpgen.report.result import Result

SCHEMA = "lpgen.verify/1"


def verdict_json(result: Result) -> dict[str, Any]:
    """Return the verdict as JSON-able data."""
    kernel, covered = result.kernel, result.covered
    return {
        **json_head(SCHEMA, result.command, kernel, result.assembler),
        "not_judged": list(result.taken),
        "seed": result.seed,
        "callers": result.callers,
        "watched": result.watched,
        "interrupted": result.interrupted,
        "in_guest": result.in_guest,
        "every_boundary": result.every_boundary,
        "replay": None if result.replay is None else _replay(result.replay, broken=result.replayed),
        "holds": result.holds,
        "broken": result.broken,
        "not_exercised": result.not_exercised,
        "statements": [
            {
                "id": s.id,
                "text": s.text,
                "callers": s.callers,
                "checks": s.checks,
                "broken": s.broken,
                "in_guest": s.in_guest,
                "kinds": dict(sorted(s.kinds.items())),
            }
            for s in result.statements.values()
        ],
        "kinds": dict(sorted(result.kinds.items())),
        "limits": [
            {"name": name, "text": LIMITS[name], "callers": came, "seen": seen}
            for name, (came, seen) in result.limits.items()
        ],
        "coverage": {
            "instructions": covered.instructions,
            "executed": covered.instructions - len(covered.missed),
            "missed": [result.name_of(offset) for offset in covered.missed],
            "branches": covered.branches,
            "both_ways": covered.branches - len(covered.one_way),
            "one_way": [result.name_of(offset) for offset in covered.one_way],
        },
        "failures": [_failure(failure, result) for failure in result.failures],
    }


def _replay(replay: Replay, *, broken: bool) -> dict[str, Any]:
    return {
        "file": replay.file,
        "statement": replay.statement,
        "what": replay.what,
        "code": replay.code,
        "broken": broken,
    }


def _failure(failure: Failure, result: Result) -> dict[str, Any]:
    finding, case = failure.finding, failure.case
    shrunk = isinstance(case, ShrunkCase)
    return {
        "statement": finding.statement,
        "where": finding.where,
        "what": finding.what,
        "expected": finding.expected,
        "seen": finding.seen,
        "address": failure.address,
        "symbol": failure.symbol,
        "instruction": failure.instruction,
        "place": failure.place,
        "template": failure.template,
        "case": case.number if case.number >= 0 else None,
        "name": case.name,
        "prototype": case.plan.shape.c_prototype(),
        "plan": list(case.plan.words()),
        "plan_text": plan_text(case.plan),
        "values": [value.hex() for value in case.plan.values],
        "interrupted": case.interrupted if isinstance(case, ShrunkCase) else "",
        "shrunk": shrunk,
        "first_seen": result.first_seen(failure),
        "command": result.again(failure),
    }
