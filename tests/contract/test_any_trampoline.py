"""Whatever the bytes of a trampoline are, the suite comes to a verdict: no exception, no hang."""

from __future__ import annotations

import dataclasses
from random import Random

import pytest

from lpgen.assembly import Unit
from lpgen.contract.suite import Suite
from lpgen.errors import LpgenError
from lpgen.machine.cases import special_cases
from tests.contract.must_fail import KERNEL
from tests.contract.test_must_fail import UNEDITED

GOOD = UNEDITED.unit()


def damaged(rng: Random) -> Unit:
    """The emitted code with one word changed: a bit, the whole of it, or another one's copy."""
    section = GOOD.sections[".text"]
    data = bytearray(section.data)
    at = rng.randrange(len(data) // 4) * 4
    word = int.from_bytes(data[at : at + 4], "little")
    how = rng.randrange(4)
    if how <= 1:
        word ^= 1 << rng.randrange(32)
    elif how == 2:
        word = rng.getrandbits(32)
    else:
        other = rng.randrange(len(data) // 4) * 4
        word = int.from_bytes(data[other : other + 4], "little")
    data[at : at + 4] = word.to_bytes(4, "little")
    return dataclasses.replace(
        GOOD, sections={**GOOD.sections, ".text": dataclasses.replace(section, data=bytes(data))}
    )


@pytest.mark.parametrize("seed", range(40))
def test_a_verdict_on_damaged_code(seed: int) -> None:
    rng = Random(seed)
    suite = Suite(KERNEL, damaged(rng))
    special = special_cases(KERNEL)
    try:
        verdict = suite.run((n for n in range(special) if n % 4 == seed % 4), full=False)
    except LpgenError:
        # What ftrace would refuse to patch, or a relocation that no longer fits.
        return
    assert verdict.callers == len(range(seed % 4, special, 4))
    assert len({f.finding.statement for f in verdict.failures}) == len(verdict.broken)
