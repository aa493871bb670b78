"""A report page as JSON. ``schema`` names the format; it changes when a field's meaning does.

lpgen.report/1: the reports of other commands on the same trampolines, each with a schema of its own: ``verify``,
``prove`` (null: there is no proof), ``diff`` (null without --against); ``costs`` and ``own_costs`` as in lpgen.cost;
``mutants``, the score of a mutation campaign (null: there is none) and the file ``mutants_from``; ``calls``, each with
its ``title``, ``what`` is special about it, and its ``trace``; ``notes`` on what is not there, and why.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from lpgen.campaign.outcome import Score
from lpgen.report.compare_text import diff_json
from lpgen.report.json_head import json_head
from lpgen.report.json_proof import proof_json
from lpgen.report.json_trace import trace_json
from lpgen.report.json_verdict import verdict_json
from lpgen.report.page import Page

SCHEMA = "lpgen.report/1"


def page_json(page: Page) -> dict[str, Any]:
    """Return a page as JSON-able data."""
    return {
        **json_head(SCHEMA, page.command, page.kernel, page.unit.made_by),
        "holds": page.holds,
        "verify": verdict_json(page.verdict),
        "prove": None if page.proof is None else proof_json(page.proof),
        "costs": [asdict(cost) for cost in page.costs],
        "own_costs": None if page.own is None else [asdict(cost) for cost in page.own],
        "mutants": asdict(Score.of(page.mutants)) if page.mutants else None,
        "mutants_from": page.mutants_from,
        "diff": None if page.comparison is None else diff_json(page.comparison),
        "calls": [{"title": one.title, "what": one.what, "trace": trace_json(one.result)} for one in page.calls],
        "notes": page.notes,
    }
