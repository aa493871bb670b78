"""What the emitted text promises beyond the contract: the static chain, r11, comes back on the unpatched way out."""

from __future__ import annotations

import pytest

from lpgen.assembly.kernel_text import assemble_source
from lpgen.kernel.generations import kernel
from lpgen.machine.cases import case, special_cases
from lpgen.machine.conductor import Conductor
from lpgen.machine.world import World
from lpgen.source.emit import emit_source

KERNEL = kernel("4.7")


@pytest.fixture(scope="module")
def conductor() -> Conductor:
    return Conductor(World(KERNEL, assemble_source(KERNEL, emit_source(KERNEL), name="entry_64.S", isolated=False)))


@pytest.mark.parametrize("way", ["off-0", "same-nip-0", "module-0", "graph-0", "graph-link-0"])
def test_r11_comes_back(conductor: Conductor, way: str) -> None:
    one = next(c for c in (case(KERNEL, n) for n in range(special_cases(KERNEL))) if c.name == way)
    trip = conductor.run(one.plan)
    (body,) = trip.at("body")
    assert body.state.gpr[11] == trip.entry.gpr[11]
