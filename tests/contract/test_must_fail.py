"""Every wrong trampoline is refuted by just the statements that it breaks, and for the stated reason."""

from __future__ import annotations

import pytest

from lpgen.contract.suite import Suite, default_callers
from tests.contract.must_fail import ALL, KERNEL, Wrong


@pytest.mark.parametrize("wrong", ALL, ids=lambda wrong: wrong.name)
def test_refuted(wrong: Wrong) -> None:
    verdict = Suite(KERNEL, wrong.unit(KERNEL)).run(range(default_callers(KERNEL)))
    assert tuple(verdict.broken) == wrong.breaks, wrong.why
    said = [f.finding.what + " " + f.finding.expected + " " + f.finding.seen for f in verdict.failures]
    assert any(wrong.says in text for text in said), said


def test_the_emitted_text_is_not_refuted() -> None:
    unedited = Wrong("unedited", (), "", "", ())
    verdict = Suite(KERNEL, unedited.unit(KERNEL)).run(range(default_callers(KERNEL)))
    assert verdict.holds
