"""What is emitted for every kernel in every configuration, in both styles, keeps every statement, and all of it ran."""

from __future__ import annotations

from pathlib import Path

import pytest

from lpgen.api import trampolines
from lpgen.assembly import Unit
from lpgen.contract.statements import STATEMENTS
from lpgen.contract.suite import Suite, applicable, default_callers
from lpgen.contract.verdict import Verdict
from lpgen.kernel.generations import Kernel, every_config, kernel, spans, versions_of
from lpgen.kernel.offsets import read_offsets
from lpgen.machine.cases import special_cases

VERSIONS = [version for generation, _, _ in spans() for version in versions_of(generation)]
REAL_HEADERS = sorted((Path(__file__).parent.parent / "kernel" / "data").glob("asm-offsets-*.h"))


def assert_good(kernel: Kernel, unit: Unit, verdict: Verdict) -> None:
    said = f"kernel {kernel.version} with {kernel.options}"
    assert verdict.holds, f"{said}: {[(f.finding, f.case.name) for f in verdict.failures]} {verdict.not_exercised}"
    covered = verdict.coverage.summary(unit.sections[".text"])
    assert (covered.missed, covered.one_way) == ((), ()), said
    assert covered.instructions > 80, said


@pytest.mark.parametrize("version", VERSIONS)
def test_the_default_configuration(version: str) -> None:
    made = kernel(version)
    unit = trampolines(made)
    assert_good(made, unit, Suite(made, unit).run(range(default_callers(made))))


@pytest.mark.parametrize("version", VERSIONS)
def test_every_configuration(version: str) -> None:
    """The special ways of calling, which exercise every statement; both styles are the same bytes."""
    for config in every_config(version):
        made = kernel(version, config=config)
        unit = trampolines(made)
        assert_good(made, unit, Suite(made, unit).run(range(special_cases(made))))
        other = trampolines(made, style="standalone")
        text, same = unit.sections[".text"], other.sections[".text"]
        assert (text.data, [(r.offset, r.type, r.symbol, r.addend) for r in text.relocations]) == (
            same.data,
            [(r.offset, r.type, r.symbol, r.addend) for r in same.relocations],
        )
        # What the verdict rests on besides: entry points, the trap's entry in __bug_table.
        few = Suite(made, other).run(range(0, special_cases(made), 4), full=False)
        assert few.broken == [], f"{version} with {config}, standalone"


@pytest.mark.parametrize("header", REAL_HEADERS, ids=lambda path: path.stem)
def test_with_the_offsets_of_a_real_build(header: Path) -> None:
    made = kernel(header.stem.removeprefix("asm-offsets-"), offsets=read_offsets(header))
    unit = trampolines(made)
    assert_good(made, unit, Suite(made, unit).run(range(default_callers(made))))


def test_every_statement_is_some_kernels() -> None:
    found = {id_ for version in VERSIONS for id_ in applicable(kernel(version))}
    assert found == set(STATEMENTS)
    assert set(applicable(kernel("6.18"))) - set(applicable(kernel("6.12"))) == {"S7"}
    assert "S6" in applicable(kernel("4.13"))
    assert "S6" not in applicable(kernel("4.13", config={"CONFIG_KPROBES_ON_FTRACE": False}))
