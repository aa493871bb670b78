"""Plans of later kernels: what a kernel does not have, or a way of calling excludes, is settled; they round-trip."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lpgen.api import plan_case, trampolines
from lpgen.contract.suite import Suite, judge_trip
from lpgen.errors import LpgenError
from lpgen.kernel.generations import kernel
from lpgen.machine.cases import case, fixed_cases
from lpgen.machine.places import TASK_THREADS, Patched
from lpgen.machine.plan import KEEP, PATCH, SWITCH, Plan
from lpgen.machine.plan_text import check_plan, parse_plan, plan_text
from lpgen.machine.world import World

LATE = ("4.14.336", "4.18", "5.4.265", "5.18", "6.6", "6.12", "6.13", "6.18")


def settled(text: str, version: str) -> Plan:
    return parse_plan(text).settled(kernel(version))


@pytest.mark.parametrize(
    ("text", "version", "gone"),
    [
        ("void f() lean", "4.17", {"lean": False}),
        ("void f() lean early", "6.5", {"early": False}),
        ("void f() disabled", "4.17", {"disabled": False}),
        ("void f() kprobe nip=patch", "4.18", {"kprobe": False}),
        ("void f() direct=1", "6.12", {"direct": 0}),
        ("void f() direct=2 graph", "6.12", {"direct": 0}),
        ("void f() graph", "5.18", {"graph": False}),
        # Without a pt_regs, or with a partial one.
        ("void f() lean nip=patch link edit", "4.18", {"nip": KEEP, "link": False, "edit": False}),
        ("void f() lean nip=patch link edit", "6.12", {"edit": False}),
        # Where no tracer is called there is nothing that it could change.
        ("void f() disabled nip=patch link", "6.12", {"nip": KEEP, "link": False}),
        ("void f() early nip=patch disabled lean", "6.12", {"nip": KEEP, "disabled": False, "lean": False}),
        ("void f() direct=1 nip=patch", "6.13", {"nip": KEEP}),
        ("void f() disabled direct=2", "6.13", {"direct": 0}),
        ("void f() graph link", "6.12", {"link": False}),
        ("void f() off graph", "6.12", {"graph": False}),
        ("void f() kprobe nip=patch graph", "4.13", {"kprobe": False}),
    ],
)
def test_what_is_settled(text: str, version: str, gone: dict[str, object]) -> None:
    plan = parse_plan(text)
    found = plan.settled(kernel(version))
    for name, value in gone.items():
        assert getattr(plan, name) != value
        assert getattr(found, name) == value
    assert replace(found, **{name: getattr(plan, name) for name in gone}) == replace(plan, home_c=found.home_c)  # type: ignore[arg-type]


def test_what_stays() -> None:
    for text, version in (
        ("void f() seed=0 nip=patch lean", "6.12"),
        ("void f() seed=0 nip=patch kprobe", "4.13"),
        ("void f() seed=0 direct=2 link lean", "6.13"),
        ("void f() seed=0 early", "6.6"),
        ("void f() seed=0 disabled lean", "4.18"),
        ("void f() seed=0 nip=patch graph lean", "6.18"),
    ):
        plan = settled(text, version)
        assert plan == replace(parse_plan(text), home_c=plan.home_c)


def test_a_kprobe_leads_to_where_the_toc_is_the_same() -> None:
    assert settled("void f() kprobe nip=patch home_b=1 home_c=2", "4.13").home_c == 1
    # Without livepatch it needs no test for that.
    plain = kernel("6.12", config={"CONFIG_LIVEPATCH": False})
    assert parse_plan("void f() kprobe nip=patch").settled(plain).redirected


def test_threads_that_run_in_turns_have_livepatch_stacks_of_their_own() -> None:
    """From 5.1 on an interrupt's stack shares that of the task: it cannot be in turns with it."""
    beside = settled("void f() thread=2 beside=[void f() thread=3]", "5.1").beside
    assert beside is not None
    assert beside.thread in TASK_THREADS
    assert beside.thread == 1
    during = settled("void f() interrupt=3:switch[void f() thread=4]", "5.1").interrupt
    assert during is not None
    assert during.mode == SWITCH
    assert during.plan is not None
    assert during.plan.thread == 1
    assert settled("void f() thread=2 beside=[void f() thread=3]", "5.0").beside == parse_plan("void f() thread=3")


@pytest.mark.parametrize(("text", "name"), [("void f() lean", "lean"), ("void f() direct=2", "direct")])
def test_a_plan_that_the_kernel_excludes_is_refused(text: str, name: str) -> None:
    with pytest.raises(LpgenError, match=f"the plan says {name}, which kernel 4.7 or the rest of it excludes"):
        plan_case(kernel("4.7"), text)


@pytest.mark.parametrize("version", LATE)
def test_round_trip(version: str) -> None:
    made = kernel(version)
    seen: set[str] = set()
    for number in range(fixed_cases(made) + 200):
        plan = case(made, number).plan
        seen |= plan.kinds()
        check_plan(plan)
        assert parse_plan(plan_text(plan)) == plan
        assert plan.settled(made) == plan
    wanted = {"ftrace_caller": "two_entries", "tracing disabled": "tracing_switch", "not patched yet": "mcount"}
    wanted |= {"kprobe": "kprobe_test", "direct call": "direct_calls", "direct call by the tracer": "direct_calls"}
    for kind, feature in wanted.items():
        assert (kind in seen) is (feature in made.features), kind


def test_interrupts_share_the_livepatch_stack_of_the_task_that_they_interrupt() -> None:
    made = kernel("5.4")
    world = World(made, trampolines(made))
    task, other, hardirq = (world.threads[n] for n in (0, 1, 2))
    assert (hardirq.sp_address, hardirq.livepatch, hardirq.task) == (task.sp_address, task.base, 0)
    inside = world.interrupting(hardirq, other)
    assert (inside.sp_address, inside.livepatch, inside.base) == (other.sp_address, other.base, hardirq.base)
    assert world.owners({2}) == {0, 2}
    before = kernel("5.0")
    old = World(before, trampolines(before))
    assert old.threads[2].livepatch == old.threads[2].base
    assert old.interrupting(old.threads[2], old.threads[1]) == old.threads[2]


def test_a_hardirq_on_the_second_task_pushes_on_that_tasks_livepatch_stack() -> None:
    made = kernel("6.12")
    suite = Suite(made, trampolines(made))
    conductor = suite.conductor(watch=True)
    plan = parse_plan("void f() nip=patch thread=1 interrupt=60:calls[void f() nip=patch thread=2]").settled(made)
    trip = conductor.run(plan)
    assert trip.interruption is not None
    (during,) = (inside for inside in trip.inner if inside.relation == "interrupt")
    assert during.thread.sp_address == conductor.world.threads[1].sp_address
    assert during.at("c")[0].sp == during.sp + 24
    assert judge_trip(conductor.world, trip)[1] == []


def test_what_is_patched_and_set() -> None:
    made = kernel("6.18")
    world = World(made, trampolines(made))
    off, direct = made.offsets["FTRACE_OPS_FUNC"], made.offsets["FTRACE_OPS_DIRECT_CALL"]
    flag = made.offsets["PACA_FTRACE_ENABLED"]
    b = world.functions_b[1, 0, "lean"]
    for wanted in (Patched(tracer=True), Patched(), Patched(True, False, True), Patched(True, False, False, True)):
        world.patch(wanted)
        ops = world.ops_of(b)
        assert world.engine.read_u64(ops + off) == (
            world.tracer_of(b) if wanted.tracer else world.symbol("ftrace_stub")
        )
        assert world.engine.read_u64(ops + direct) == (world.direct_of(b) if wanted.direct else 0)
        assert world.engine.read(0xC000000000F00000 + flag, 1) == bytes([not wanted.disabled])
    assert world.data.changed() == []


def test_a_plan_with_nip_patch_but_no_pt_regs_is_no_patch() -> None:
    assert parse_plan("void f() nip=patch lean").nip == PATCH
    assert not settled("void f() nip=patch lean", "5.17").patched
    assert settled("void f() nip=patch lean", "5.18").patched
