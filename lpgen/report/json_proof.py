"""A proof as JSON: lpgen.prove/1, whose fields `lpgen schema prove` describes."""

from __future__ import annotations

from typing import Any

from lpgen.contract.limits import LIMITS
from lpgen.contract.replay import to_json
from lpgen.contract.statements import STATEMENTS
from lpgen.proof.assumptions import assumptions
from lpgen.report.json_head import json_head
from lpgen.report.proof_result import ProofResult, Shown
from lpgen.report.proof_text import NOT_APPLICABLE, case_text, verdict_of

SCHEMA = "lpgen.prove/1"


def proof_json(result: ProofResult) -> dict[str, Any]:
    """Return the proof as JSON-able data."""
    proof = result.proof
    kernel = proof.kernel
    verdicts = {id_: verdict_of(result, id_) for id_ in STATEMENTS}
    return {
        **json_head(SCHEMA, result.command, kernel, result.unit.made_by),
        "holds": result.holds,
        "refuted": list(proof.refuted),
        "undecided": list(proof.undecided),
        "paths": proof.paths,
        "instructions": len(proof.covered),
        "questions": proof.questions,
        "seconds": round(proof.seconds, 3),
        "statements": [
            {
                "id": id_,
                "text": statement.text,
                "verdict": "not applicable" if verdicts[id_] == NOT_APPLICABLE else verdicts[id_].lower(),
                "checks": proof.statements[id_].checks if id_ in proof.statements else 0,
            }
            for id_, statement in STATEMENTS.items()
        ],
        "refutations": [_refutation(result, id_, shown) for id_, shown in result.shown.items()],
        "assumptions": [{"name": a.name, "text": a.text, "guard": a.guard} for a in assumptions(kernel)],
        "limits": [{"name": name, "text": LIMITS[name]} for name in sorted(proof.limits)],
    }


def _refutation(result: ProofResult, id_: str, shown: Shown) -> dict[str, Any]:
    one = shown.refutation
    return {
        "statement": id_,
        "where": one.where,
        "what": one.what,
        "expected": result.readable(one, one.expected),
        "seen": result.readable(one, one.seen),
        "instruction": None if one.address is None else result.name_of(one.address),
        "entry": one.way.entry,
        "case": case_text(shown),
        "values": {name: f"{value:#x}" for name, value in one.values.items()},
        "path": [result.name_of(address) for address in one.way.trace],
        "replay": None if shown.replay is None else to_json(shown.replay),
        "file": shown.file or None,
    }
