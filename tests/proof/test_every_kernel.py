"""What is emitted for every kernel in every configuration is proved, and all of it was followed."""

from __future__ import annotations

import pytest

from lpgen.api import trampolines
from lpgen.contract.suite import applicable
from lpgen.kernel.generations import every_config, kernel, spans, versions_of
from lpgen.proof.prover import Prover

VERSIONS = [version for generation, _, _ in spans() for version in versions_of(generation)]


@pytest.mark.parametrize("version", VERSIONS)
def test_every_configuration(version: str) -> None:
    for config in every_config(version):
        made = kernel(version, config=config)
        unit = trampolines(made)
        proof = Prover(made, unit).run()
        said = f"{version} with {config}"
        assert proof.refuted == (), f"{said}: {[(r.statement, r.where, r.what, r.seen) for r in proof.refutations]}"
        assert proof.undecided == (), said
        assert list(proof.statements) == applicable(made), said
        # ftrace_stub, and what is reached only through it, runs while no tracer is patched in.
        missed = {line.offset for line in unit.sections[".text"].lines} - proof.covered
        assert missed == set(), f"{said}: {sorted(missed)}"


@pytest.mark.parametrize("version", ["4.7", "4.18", "6.18"])
def test_the_figures_do_not_depend_on_what_was_proved_before(version: str) -> None:
    made = kernel(version)
    unit = trampolines(made)
    first, again = Prover(made, unit), Prover(made, unit)
    one, other = first.run(), again.run()
    figures = [(p.paths, p.covered, {i: s.checks for i, s in p.statements.items()}) for p in (one, other, first.run())]
    assert figures[0] == figures[1] == figures[2]
