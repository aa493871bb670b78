"""The verdict as JSON. ``schema`` names the format; it changes when a field changes its meaning."""

from __future__ import annotations

from typing import Any

from lpgen import __version__
from lpgen.contract.limits import LIMITS
from lpgen.contract.verdict import Verdict

SCHEMA = "lpgen.verify/1"


def verdict_json(verdict: Verdict, command: str) -> dict[str, Any]:
    """Return the verdict as JSON-able data; ``command`` is the start of the command line that runs one case again."""
    kernel = verdict.kernel
    return {
        "schema": SCHEMA,
        "lpgen": __version__,
        "kernel": kernel.version,
        "generation": kernel.generation,
        "options": kernel.options,
        "offsets": kernel.offsets.label,
        "seed": verdict.seed,
        "callers": verdict.callers,
        "watched": verdict.watched,
        "interrupted": verdict.interrupted,
        "holds": verdict.holds,
        "broken": verdict.broken,
        "not_exercised": verdict.not_exercised,
        "statements": [
            {"id": s.id, "text": s.text, "callers": s.callers, "checks": s.checks, "broken": s.broken}
            for s in verdict.statements.values()
        ],
        "limits": [
            {"name": name, "text": LIMITS[name], "callers": came, "seen": seen}
            for name, (came, seen) in verdict.limits.items()
        ],
        "failures": [
            {
                "statement": f.finding.statement,
                "where": f.finding.where,
                "what": f.finding.what,
                "expected": f.finding.expected,
                "seen": f.finding.seen,
                "address": f.address,
                "symbol": f.symbol,
                "instruction": f.instruction,
                "place": f.place,
                "template": f.template,
                "case": f.case.number,
                "name": f.case.name,
                "prototype": f.case.plan.shape.c_prototype(),
                "plan": list(f.case.plan.words()),
                "command": f"{command} --only {f.case.number}",
            }
            for f in verdict.failures
        ],
    }
