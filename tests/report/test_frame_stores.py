"""What lpgen.kernel.stores says is what the trampolines do: they are run, watched at every instruction."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lpgen import api
from lpgen.callers.placement import Prototype
from lpgen.callers.shape import CallShape
from lpgen.callers.types import VOID
from lpgen.kernel.frames import FRAME_FOR_B_BYTES, LIVEPATCH_FRAME_BYTES, REGS, A, B, livepatch_frame
from lpgen.kernel.generations import Kernel, every_config, kernel, spans, versions_of
from lpgen.kernel.stores import FULL, NO_REGS, PARTIAL, Entry, entries
from lpgen.machine.conductor import Conductor
from lpgen.machine.plan import PATCH, Plan
from lpgen.machine.stop import Step
from lpgen.machine.trip import Trip
from lpgen.machine.world import World

VERSIONS = [version for generation, *_ in spans() for version in versions_of(generation)]
# Where what is stored depends on the configuration: the old nip, the stub's LR, orig_gpr3.
CONFIGS = [
    pytest.param(version, config, id=f"{version}-{number}")
    for version in ("5.18", "6.5", "6.13")
    for number, config in enumerate(every_config(version))
    if number
]


def runs(made: Kernel, *, patched: bool = False) -> list[tuple[Entry, Trip, World]]:
    """One call through each entry point."""
    world = World(made, api.trampolines(made), watch=True)
    conductor = Conductor(world)
    found = []
    for entry in entries(made):
        plan = Plan(CallShape("f", Prototype(VOID)), 1, lean=entry.lean)
        if patched:
            plan = replace(plan, nip=PATCH)
        trip = conductor.run(plan.settled(made))
        assert trip.end is None
        assert trip.b.target == entry.symbol
        found.append((entry, trip, world))
    return found


def frames_of(made: Kernel) -> dict[str, int]:
    """Where each frame begins, in bytes from A's r1."""
    b = FRAME_FOR_B_BYTES if "frame_for_b" in made.features else 0
    return {A: 0, **({B: -b} if b else {}), REGS: -b - made.offsets["SWITCH_FRAME_SIZE"]}


def stores_of(steps: list[Step]) -> list[tuple[int, int, int]]:
    return [(step.address, step.size, step.value) for step in steps if step.kind == "store"]


def compare(made: Kernel) -> None:
    at = frames_of(made)
    for entry, trip, _ in runs(made):
        tracer = trip.moments[0]
        assert tracer.where == "tracer"
        said = {(at[store.frame] + store.offset, 8) for store in entry.stores}
        seen = {(address - trip.frame, size) for address, size, _ in stores_of(tracer.steps)}
        assert seen == said
        assert len(said) == len(entry.stores)
        for address, _, value in stores_of(tracer.steps):
            check_value(made, entry, trip, address - trip.frame, value)
        assert {FULL: True, PARTIAL: True, NO_REGS: False}[entry.regs] == bool(tracer.state.gpr[6])
        # r1 is at the low end of the frames, each of them once, and in the tracer at that of pt_regs.
        r1 = {step.gpr[1] - trip.frame for step in tracer.steps if step.kind == "insn"}
        assert r1 == set(at.values())
        assert tracer.state.gpr[1] - trip.frame == at[REGS]


def check_value(made: Kernel, entry: Entry, trip: Trip, offset: int, value: int) -> None:
    """The words of a store say what was stored."""
    at = frames_of(made)
    said = next(s.value for s in entry.stores if at[s.frame] + s.offset == offset)
    gpr = trip.entry.gpr
    words = {
        "r0: return address into A": gpr[0],
        "nip: behind B's call site": trip.b.site + 4,
        "nip, to compare with": trip.b.site + 4,
        "r1 of A's frame": trip.frame,
        "r1 of the frame above": trip.frame + at.get(B, 0),
        "r2 of B": gpr[2],
        "0: partial": 0,
        "0: no direct trampoline": 0,
        "LR: into the stub": trip.entry.lr,
        "MSR": trip.entry.msr,
        "CTR": trip.entry.ctr,
        "XER": trip.entry.xer,
    }
    words |= {f"r{n}": gpr[n] for n in range(2, 32)}
    if said == "CR":
        # CR0 may be that of the test of the paca's flag (contract/limits.py).
        assert (value ^ trip.entry.cr) & 0x0FFFFFFF == 0
    else:
        assert value == words[said], said


@pytest.mark.parametrize("version", VERSIONS)
def test_each_entry_stores_what_is_said(version: str) -> None:
    compare(kernel(version))


@pytest.mark.parametrize(("version", "config"), CONFIGS)
def test_each_entry_stores_what_is_said_in_each_configuration(version: str, config: dict[str, bool | int]) -> None:
    compare(kernel(version, config=config))


@pytest.mark.parametrize("version", ["4.7", "5.1", "5.18", "6.12", "6.18"])
def test_the_livepatch_frame_and_r1_in_the_handler(version: str) -> None:
    made = kernel(version)
    patched = [run for run in runs(made, patched=True) if run[0].regs != NO_REGS]
    assert patched
    for _, trip, _ in patched:
        (c,) = trip.at("c")
        top = trip.sp + LIVEPATCH_FRAME_BYTES
        low = top - LIVEPATCH_FRAME_BYTES
        stores = {address - low: value for address, _, value in stores_of(c.steps) if trip.sp <= address < top}
        assert stores == {
            0: trip.entry.gpr[2],
            8: trip.entry.gpr[0],
            16: 0x57AC6E9D,
        }
        assert set(stores) == {slot.offset for slot in livepatch_frame().slots}
        # livepatch_sp is raised before the frame is filled (L2), and r1 is A's all the while (L1).
        written = [address for address, _, _ in stores_of(c.steps)]
        assert written[-4:][0] == trip.thread.sp_address
        assert trip.thread.sp_address == trip.thread.info + made.offsets["TI_livepatch_sp"]
        assert trip.thread.sp_start - trip.thread.livepatch == made.thread_info_size + 8
        insns = [step for step in c.steps if step.kind == "insn"]
        raised = next(n for n, step in enumerate(insns) if step.gpr[1] == trip.frame)
        assert {step.gpr[1] for step in insns[raised:]} == {trip.frame}
        assert c.state.gpr[1] == trip.frame
