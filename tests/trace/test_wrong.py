"""A call that shows what is wrong can be traced, and the step that is shown as guilty is the one that is."""

from __future__ import annotations

import pytest

from lpgen.report.json_trace import trace_json
from lpgen.report.perfetto import perfetto_json
from lpgen.report.trace_result import TraceResult
from lpgen.report.trace_text import View, plain_trace
from lpgen.trace.build import trace_call
from tests.contract.must_fail import ALL, Wrong
from tests.trace.truth import Watcher, check_truth
from tests.trace.wrong import failing


@pytest.mark.parametrize("wrong", ALL, ids=lambda wrong: wrong.name)
def test_a_broken_call_is_shown_as_it_is(wrong: Wrong) -> None:
    suite, failure = failing(wrong)
    trace = trace_call(suite.kernel, suite.unit, failure.case.plan, case=failure.case)
    check_truth(trace, Watcher(suite.kernel, suite.unit))
    assert failure.finding.statement in trace.verdict.broken
    result = TraceResult(trace, suite.unit, "lpgen trace", "lpgen verify")
    blamed = [failure for failure in trace.verdict.failures if failure.address is not None]
    for one in blamed:
        (number,) = (n for n, failures in result.guilty.items() if one in failures)
        assert trace.events[number].address == one.address
        assert trace.events[number].symbol == one.symbol
    text = plain_trace(result, View())
    for one in blamed:
        assert f"^^^ {one.finding.statement} BROKEN" in text
    assert "\nBROKEN in this call: " in text
    marked = [broken for event in trace_json(result)["events"] for broken in event.get("broken", ())]
    assert sorted(marked) == sorted(one.finding.statement for one in blamed)
    assert perfetto_json(result)["traceEvents"]
