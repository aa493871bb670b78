"""Whatever the bytes of a trampoline are, the suite comes to a verdict: no exception, no hang."""

from __future__ import annotations

import dataclasses
from functools import cache
from random import Random

import pytest

import lpgen
from lpgen.api import trampolines
from lpgen.assembly import Unit
from lpgen.contract.suite import Suite
from lpgen.errors import LpgenError
from lpgen.kernel.generations import kernel
from lpgen.machine.cases import special_cases
from lpgen.source.emit import emit_source

# Every way of finding ftrace_ops and thread_info, and every way out.
VERSIONS = ("4.7", "4.14.336", "5.4.265", "6.12", "6.18")


@cache
def good(version: str) -> Unit:
    return trampolines(kernel(version))


def damaged(version: str, rng: Random) -> Unit:
    """The emitted code with one word changed: a bit, the whole of it, or another one's copy."""
    unit = good(version)
    section = unit.sections[".text"]
    data = bytearray(section.data)
    words = [line.offset for line in section.lines]
    at = rng.choice(words)
    word = int.from_bytes(data[at : at + 4], "little")
    how = rng.randrange(4)
    if how <= 1:
        word ^= 1 << rng.randrange(32)
    elif how == 2:
        word = rng.getrandbits(32)
    else:
        other = rng.choice(words)
        word = int.from_bytes(data[other : other + 4], "little")
    data[at : at + 4] = word.to_bytes(4, "little")
    return dataclasses.replace(
        unit, sections={**unit.sections, ".text": dataclasses.replace(section, data=bytes(data))}
    )


@pytest.mark.parametrize("seed", range(60))
def test_a_verdict_on_damaged_code(seed: int) -> None:
    rng = Random(seed)
    made = kernel(VERSIONS[seed % len(VERSIONS)])
    suite = Suite(made, damaged(made.version, rng))
    numbers = range(seed % 4, special_cases(made), 4)
    try:
        verdict = suite.run(numbers, full=False)
    except LpgenError:
        # What ftrace would refuse to patch, or a relocation that no longer fits.
        return
    assert verdict.callers == len(numbers)
    assert len({f.finding.statement for f in verdict.failures}) == len(verdict.broken)


@pytest.mark.parametrize("version", ["4.7", "6.8"])
def test_a_move_of_a_register_to_itself_changes_nothing(version: str) -> None:
    """Unicorn ends a run there (tests/machine/test_quirks_unicorn.py)."""
    text = emit_source(kernel(version)).text
    for symbol in ("ftrace_caller", "livepatch_handler", "return_to_handler"):
        text = text.replace(f"_GLOBAL({symbol})\n", f"_GLOBAL({symbol})\n\tmr\tr13, r13\n\tmr\tr4, r4\n")
    result = lpgen.verify(version, text=text)
    assert result.holds, str(result)
