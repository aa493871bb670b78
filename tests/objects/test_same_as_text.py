"""An object that GNU's tools make of an emitted text is judged as the text is: the same bytes at the same addresses,
the same instructions counted, the same verdict. And wrong trampolines are refuted as objects by the same statements.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from lpgen.api import trampolines
from lpgen.assembly import Unit, write_object
from lpgen.assembly.reach import judged
from lpgen.contract.suite import Suite
from lpgen.contract.verdict import Verdict
from lpgen.kernel.generations import Kernel, spans, versions_of
from lpgen.machine.cases import special_cases
from tests.contract.must_fail import ALL, Wrong
from tests.emitted import emitted_build as build
from tests.objects import objects

# Of each generation the first kernel.
ONE_OF_EACH = [versions_of(generation)[0] for generation, *_ in spans()]
# Of ten statements one wrong trampoline each.
_ONLY = {wrong.breaks[0]: wrong for wrong in ALL if wrong.only and wrong.interrupts is None}
SAMPLE = list(_ONLY.values())[::2][:10]


def object_of(what: build.Emitted, directory: Path) -> Unit:
    return objects.read(build.compile_gnu(what, directory).read_bytes(), f"{what.file_name}.o")


@build.needs_gnu
@build.every_kernel
@build.every_style
def test_bytes(version: str, style: str, tmp_path: Path) -> None:
    """All configurations: what is linked, where the entry points are, and which instructions a run has to execute."""
    for number, config in enumerate(build.configs(version)):
        what = build.emitted(version, config, style)
        directory = tmp_path / str(number)
        directory.mkdir()
        with build.named(what):
            text = objects.placed(what.kernel, what.unit())
            there = objects.placed(what.kernel, object_of(what, directory))
            mine = {address: data for address, data in text.segments if address == objects.TEXT}
            # GNU as fills up a section to its alignment, lpgen does not.
            theirs = {a: d[: len(mine.get(a, d))] for a, d in there.segments if a == objects.TEXT}
            assert theirs == mine
            names = {symbol.name for symbol in what.kernel.symbols}
            assert {n: a for n, a in there.symbols.items() if n in names} == {
                n: a for n, a in text.symbols.items() if n in names
            }
            own, other = text.unit.sections[".text"], there.unit.sections[".text"]
            assert [line.offset for line in other.lines if line.offset in (other.counted or ())] == [
                line.offset for line in own.lines
            ]
            for name in ("__bug_table", ".rodata"):
                assert (name in text.unit.sections) == (name in there.unit.sections)
                if name in text.unit.sections:
                    assert text.unit.sections[name].size <= there.unit.sections[name].size


def facts(verdict: Verdict, unit: Unit) -> dict[str, object]:
    """What a verdict says, without where the statements were written."""
    covered = verdict.coverage.summary(unit.sections[".text"])
    return {
        "statements": {s.id: (s.callers, s.checks, s.broken, dict(s.kinds)) for s in verdict.statements.values()},
        "limits": dict(verdict.limits),
        "coverage": covered,
        "runs": (verdict.callers, verdict.watched, verdict.interrupted),
        "findings": [(f.finding, f.address, f.symbol) for f in verdict.failures],
    }


def judge(kernel: Kernel, unit: Unit, count: int) -> dict[str, object]:
    return facts(Suite(kernel, unit).run(range(0, count, 3), full=False), unit)


@build.needs_gnu
@pytest.mark.parametrize("version", ONE_OF_EACH)
def test_verdict(version: str, tmp_path: Path) -> None:
    what = build.emitted(version, build.default(version))
    unit = judged(object_of(what, tmp_path), objects.roots(what.kernel))
    count = special_cases(what.kernel)
    assert judge(what.kernel, unit, count) == judge(what.kernel, trampolines(what.kernel), count)


@pytest.mark.parametrize("wrong", SAMPLE, ids=lambda wrong: wrong.name)
def test_wrong_objects_are_refuted(wrong: Wrong) -> None:
    """Objects by lpgen's own writer: no tool is needed for the way from bytes to a verdict."""
    made = wrong.kernel
    text = wrong.unit()
    unit = judged(objects.read(write_object(text), f"{wrong.name}.o"), objects.roots(made))
    count = special_cases(made)
    broken = Suite(made, unit).run(range(count), full=False)
    assert set(wrong.breaks) <= set(broken.broken), wrong.why
    assert any(wrong.says in f"{f.finding.what} {f.finding.expected} {f.finding.seen}" for f in broken.failures)
    assert all(f.place.startswith(f"{wrong.name}.o: ") for f in broken.failures if f.instruction)


def test_the_sample_is_a_sample() -> None:
    assert len(SAMPLE) == 10
    assert len({statement for wrong in SAMPLE for statement in wrong.breaks}) >= 10
