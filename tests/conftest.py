"""For all tests: where LPGEN_CI is set, a test that cannot run is a test that failed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

CI = "LPGEN_CI"


def _fail(report: Any) -> None:
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
    report.outcome = "failed"
    report.longrepr = f"{CI} is set and nothing may be skipped: {reason}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    report = yield
    # What is fetched from outside may not be there, or be newer than what the README shows.
    if item.get_closest_marker("network") is not None:
        return report
    if os.environ.get(CI) and report.skipped and not hasattr(report, "wasxfail"):
        _fail(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Iterator[None]:
    report = yield
    if os.environ.get(CI) and report.skipped:
        _fail(report)
    return report
