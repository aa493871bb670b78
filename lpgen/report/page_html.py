"""A report page as one HTML file that needs nothing else: no network, no other file."""

from __future__ import annotations

import json
import traceback
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from lpgen import __version__, resources
from lpgen.campaign.outcome import Outcome, Score
from lpgen.contract.limits import LIMITS
from lpgen.contract.statements import STATEMENTS
from lpgen.errors import LpgenError, Place
from lpgen.proof.assumptions import assumptions
from lpgen.report.files import read_text
from lpgen.report.json_trace import trace_json
from lpgen.report.page import Page
from lpgen.report.proof_text import verdict_of
from lpgen.report.terminal import summary
from lpgen.source.render import TemplateLoader

TEMPLATE = "report/report.html.j2"


def page_html(page: Page, templates_dir: Path | None = None) -> str:
    """Return the page. Raises LpgenError for a fault of a template of ``templates_dir``, with its line."""
    loader = TemplateLoader(templates_dir)
    environment = jinja2.Environment(
        loader=loader,
        undefined=jinja2.StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["count"] = lambda number: f"{number:,}"
    context: dict[str, Any] = {
        "page": page,
        "kernel": page.kernel,
        "version": __version__,
        "verdict_line": summary(page.verdict),
        "statements": list(_statements(page)),
        "limits": [(LIMITS[name], came, seen) for name, (came, seen) in page.verdict.limits.items()],
        "proof": page.proof,
        "assumptions": assumptions(page.kernel) if page.proof is not None else (),
        "costs": list(_costs(page)),
        "mutation": _mutation(page.mutants) if page.mutants else None,
        "data": Markup(_for_script(page_data(page))),
        "file": lambda name: Markup(_file(name, templates_dir)),
        "covered": page.verdict.covered if page.verdict.coverage.executed else None,
    }
    try:
        return environment.get_template(TEMPLATE).render(context)
    except jinja2.TemplateSyntaxError as error:
        place = Place(error.filename or TEMPLATE, error.lineno)
        raise LpgenError(f"template syntax: {error.message}", place=place, hint="mend the template") from error
    except jinja2.TemplateNotFound as error:
        at = _place_of(error, loader.names)
        raise LpgenError(f"template {error.name!r} not found", place=at, hint="mend the template") from error
    except LpgenError:
        raise
    except Exception as error:
        # What has no line of a template is lpgen's own fault.
        at = _place_of(error, loader.names)
        if at is None:
            raise
        what = "undefined name" if isinstance(error, jinja2.UndefinedError) else "template"
        raise LpgenError(f"{what}: {error}", place=at, hint="mend the template") from error


def _place_of(error: BaseException, names: set[str]) -> Place | None:
    """Return the innermost line of the templates ``names`` in the traceback."""
    found = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename in names]
    return Place(found[-1].filename, found[-1].lineno) if found else None


def page_data(page: Page) -> dict[str, Any]:
    """Return what the page's script works with: the calls, and which line of the code each address belongs to."""
    return {
        "calls": [{"title": one.title, "what": one.what, "trace": trace_json(one.result)} for one in page.calls],
        "rows": {f"{address:#x}": row.number for row in page.rows for address in row.addresses},
    }


def _for_script(data: object) -> str:
    """Return JSON that may stand in a script element: nothing in it ends that."""
    return json.dumps(data, separators=(",", ":")).replace("<", "\\u003c").replace("\u2028", "\\u2028")


def _file(name: str, directory: Path | None) -> str:
    """Return the text of a file beside the page's template: a person's own, or the shipped one."""
    own = None if directory is None else directory / "report" / name
    return _own_text(own) if own is not None and own.is_file() else resources.read_template(f"report/{name}")


def _own_text(path: Path) -> str:
    """Return the text of a person's file, which may be empty. Raises LpgenError when it cannot be read or is none."""
    return "" if path.stat().st_size == 0 else read_text(path)


def _statements(page: Page) -> Any:
    """Yield a row for each statement of the contract: what the callers, the prover and the mutants say of it."""
    killed: dict[str, int] = {}
    for one in page.mutants:
        for id_ in one.statements:
            killed[id_] = killed.get(id_, 0) + 1
    failures = {failure.finding.statement: failure for failure in page.verdict.failures}
    for id_, statement in STATEMENTS.items():
        result = page.verdict.statements.get(id_)
        if result is None:
            continue
        said = "broken" if result.broken else "holds" if result.callers else "not exercised"
        proved = "" if page.proof is None else verdict_of(page.proof, id_).lower()
        yield {
            "id": id_,
            "text": statement.text,
            "callers": result.callers,
            "checks": result.checks,
            "verdict": said,
            "proved": proved,
            "killed": killed.get(id_, 0),
            "failure": failures.get(id_),
        }


def _costs(page: Page) -> Any:
    most = max((cost.instructions or 0 for cost in page.costs), default=1) or 1
    for number, cost in enumerate(page.costs):
        own = None if page.own is None else page.own[number]
        first = number == 0 or page.costs[number - 1].entry != cost.entry
        yield {
            "entry": cost.entry,
            "first": first,
            "path": cost.path,
            "cost": cost,
            "own": own,
            "share": 100 * (cost.instructions or 0) / most,
        }


def _mutation(outcomes: tuple[Outcome, ...]) -> dict[str, Any]:
    kinds: dict[str, list[Outcome]] = {}
    for one in outcomes:
        if one.state != "none":
            kinds.setdefault(one.kind, []).append(one)
    return {
        "score": Score.of(outcomes),
        "kinds": [(kind, Score.of(part)) for kind, part in kinds.items()],
        "survivors": [one for one in outcomes if one.state == "survived"],
    }
