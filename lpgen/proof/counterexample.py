"""A refutation as one concrete call: the solver's values in the emulated world, run there and seen to fail.

The proof's variables that are addresses are pinned to those of a plan of the emulated world; what the ABI leaves free
takes the values that the solver finds for the rest. A counterexample is one whose call, run in the emulator, breaks the
very statement that was refuted. Calls are tried from the plainest on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import product

from lpgen.assembly import Unit
from lpgen.contract.judge import Finding
from lpgen.contract.pins import Pins, pins
from lpgen.contract.replay import Replay, code_hash
from lpgen.contract.suite import Suite, judge_trip
from lpgen.kernel.generations import Kernel
from lpgen.machine.actors import CR_KEPT
from lpgen.machine.plan import CALLS, DIRECT_OPS, DIRECT_TRACER, FRAME, PATCH, SWITCH, Interrupt, Plan
from lpgen.machine.plan_text import parse_plan, plan_text
from lpgen.machine.values import EVENTS, Values
from lpgen.proof.calls import ADDRESS_ZEROS
from lpgen.proof.checker import Refutation
from lpgen.proof.ground import DIRECT, FLAG, MAGIC, World
from lpgen.proof.reading import variables
from lpgen.proof.scenario import nonzero
from lpgen.proof.solver import Solver, UndecidedError
from lpgen.proof.term import Term, both, const, equal, extract, invert, var, zext

# Calls that are tried for one refutation, interrupts apart.
TRIES = 320
# And calls that are interrupted, at each of their instructions.
INTERRUPTED = 1
# Places where one statement does not hold that are tried to be shown.
PLACES = 3
_XER = 0xE00C0000
_INSIDES = (
    "void f() nip=patch",
    "void f() nip=patch pointer home_b=1",
    "void f() off",
    "void f() disabled",
    "void f() nip=patch inner=[void f() off]",
)


class Replayer:
    """Makes counterexamples of refutations, in an emulator of the same trampolines."""

    def __init__(self, kernel: Kernel, unit: Unit, world: World, solver: Solver) -> None:
        self._kernel = kernel
        self._unit = unit
        self._world = world
        self._solver = solver
        self._suite = Suite(kernel, unit)
        self._pins: dict[Plan, Pins] = {}

    def replay(self, refutations: Sequence[Refutation]) -> tuple[Refutation, Replay | None]:
        """Return one of a statement's refutations with a call that breaks the statement in the emulator.

        Its values are then those in the emulated world. None, and the first refutation, if none of those tried does.
        """
        first: set[Plan] = set()
        for refutation in _different(refutations)[:PLACES]:
            tried: set[Plan] = set()
            found = self._plain(refutation, tried)
            if found is not None:
                return refutation, found
            first = first or tried
        return refutations[0], self._interrupted(first, refutations[0])

    def _plain(self, refutation: Refutation, tried: set[Plan]) -> Replay | None:
        """Try calls without an interrupt, the plainest first."""
        for plan in _plans(self._kernel, self._world, self._solver, refutation):
            settled = plan.settled(self._kernel)
            if settled in tried:
                continue
            tried.add(settled)
            if len(tried) > TRIES:
                break
            found = self._in_world(settled, refutation)
            if found is not None:
                return found
        return None

    def _in_world(self, plan: Plan, refutation: Refutation) -> Replay | None:
        found = self._values(plan, refutation)
        if found is not None and self._breaks(plan, found[0], refutation.statement):
            values, refutation.values = found
            return self._made(plan, values, refutation)
        if self._breaks(plan, Values(), refutation.statement):
            return self._made(plan, Values(), refutation)
        return None

    def _interrupted(self, plans: Iterable[Plan], refutation: Refutation) -> Replay | None:
        """Try an interrupt before each instruction of the plainest calls."""
        late = refutation.statement[0] == "L"
        by_length = sorted(plans, key=lambda p: (late and not p.patched, bool(p.inner), len(plan_text(p))))
        for plan in by_length[:INTERRUPTED]:
            trip = self._suite.conductor(watch=True).run(plan)
            count = sum(1 for m in trip.moments for s in m.steps if s.kind == "insn")
            # Of another module, so that what it leaves on the livepatch stack is not what was there.
            patch = " nip=patch home_c=0" if "livepatch" in self._kernel.features else ""
            inside = parse_plan(f"void f() seed=1 home_a=1 home_b=1{patch}")
            for mode, boundary in product((FRAME, CALLS, SWITCH), range(1, count + 1)):
                during = None if mode == FRAME else replace(inside, thread=1 if mode == SWITCH else 0)
                interrupt = Interrupt(boundary, mode, during)
                one = replace(plan, interrupt=interrupt).settled(self._kernel)
                if self._breaks(one, Values(), refutation.statement):
                    return self._made(one, Values(), refutation)
        return None

    def _made(self, plan: Plan, values: Values, refutation: Refutation) -> Replay:
        what = f"{refutation.what} {refutation.where}: expected {refutation.expected}, not {refutation.seen}"
        what = "".join(c if c.isprintable() else " " for c in what)[:2000]
        return Replay(refutation.statement, what, code_hash(self._unit), plan_text(plan), values)

    def _breaks(self, plan: Plan, values: Values, statement: str) -> bool:
        return any(f.statement == statement for f in self.findings(plan, values))

    def findings(self, plan: Plan, values: Values) -> list[Finding]:
        """Run one call, each instruction watched, and return what the statements say of it."""
        conductor = self._suite.conductor(watch=True)
        return judge_trip(conductor.world, conductor.run(plan, values=values))[1]

    # Values

    def _values(self, plan: Plan, refutation: Refutation) -> tuple[Values, dict[str, int]] | None:
        """Return what to choose in the call of ``plan`` to make the refutation happen, and all values by variable.

        None if nothing does.
        """
        if plan not in self._pins:
            self._pins[plan] = pins(self._suite.conductor(watch=True), plan)
        here = self._pins[plan]
        used = {v for c in refutation.conditions for v in variables(c)}
        names = {str(v.args[0]): v for v in used}
        try:
            model = self._solver.model((*refutation.conditions, *self._pinned(here, names)))
        except UndecidedError:
            return None
        if model is None:
            return None
        values = {name: model.get(name, 0) for name in names}
        return _chosen(here, values), values

    def _pinned(self, here: Pins, names: dict[str, Term]) -> Iterator[Term]:
        """Yield what the emulated world fixes of the variables ``names``."""
        fixed = {
            "r1": here.frame,
            "LR": here.lr,
            "r0": here.returns,
            "kernel TOC": here.ground.toc,
            "ops": here.ops,
            "ops->func": here.tracer,
            "ops->direct_call": here.direct if here.plan.direct == DIRECT_OPS else 0,
            "livepatch_sp": here.sp,
            "thread_info": here.thread.info,
            "entry.msr": here.entry.msr,
            "left.msr": here.entry.msr,
            "tracer.nip": here.nip_after,
            "tracer.link": here.link_after,
            "graph.returns": here.graph_return,
            "unhook.returns": here.graph_return,
        }
        stub = self._tracers_direct(here)
        if stub is not None:
            fixed["tracer.orig_gpr3"] = stub
        if here.plan.disabled:
            fixed["paca flag"] = 0
        if here.plan.kprobe:
            fixed["kprobe.answer"] = 1
        for name, value in fixed.items():
            if name in names:
                yield equal(names[name], const(names[name].width, value))
        if any(v.startswith("displacement") for v in names):
            yield equal(self._world.nip, const(64, here.nip))
        for name, one in names.items():
            who, _, register = name.partition(".")
            if who in ("entry", *EVENTS) and register and name not in fixed:
                yield from _register(here, who, register, one)
            elif name.startswith("stack["):
                yield from _in_frame(here, int(name[6:-1]), one)
            elif name == "paca flag" and not here.plan.disabled:
                yield nonzero(one)

    def _tracers_direct(self, here: Pins) -> int | None:
        if "direct_calls" not in self._world.features:
            return None
        if here.plan.direct != DIRECT_TRACER:
            return 0
        return here.symbols["ftrace_stub_direct_tramp"] if here.plan.seed & 16 else here.direct


def _different(refutations: Sequence[Refutation]) -> list[Refutation]:
    """Return the first refutation for each thing that is wrong."""
    found: dict[tuple[str, str, str], Refutation] = {}
    for one in refutations:
        found.setdefault((one.where, one.what, one.case), one)
    return list(found.values())


def _register(here: Pins, who: str, register: str, one: Term) -> Iterator[Term]:
    """Yield what fixes a register that ``who`` leaves, unless it is free."""
    if register in ("lr", "returns", "answer"):
        return
    free = here.free[who]
    if register == "xer":
        yield equal(extract(one, 31, 0), extract(zext(one, 64), 31, 0))
        yield equal(_masked(one, ~_XER), const(32, 0))
    if register == "cr" and who != "entry":
        yield equal(_masked(one, CR_KEPT), const(32, 0))
    if register in free:
        return
    if register.startswith("gpr"):
        # An edit that the plan does not make.
        number = int(register[3:])
        yield equal(one, const(64, here.entry.gpr[number]))
    elif who == "entry":
        value = {"cr": here.entry.cr, "xer": here.entry.xer, "ctr": here.entry.ctr}.get(register)
        if value is None:
            value = here.entry.gpr[int(register[1:])]
        yield equal(one, const(one.width, value))


def _masked(term: Term, mask: int) -> Term:
    return both(term, const(term.width, mask))


def _in_frame(here: Pins, offset: int, one: Term) -> Iterator[Term]:
    """Yield what fixes a doubleword of A's frame or above it, unless it is free."""
    if 0 <= offset <= len(here.above) - 8 and offset not in here.frame_free:
        yield equal(one, const(64, int.from_bytes(here.above[offset : offset + 8], "little")))


def _chosen(here: Pins, model: dict[str, int]) -> Values:
    """Return the values of a model that a call of this plan may choose."""
    events: dict[str, dict[str, int]] = {event: {} for event in EVENTS}
    frame: dict[int, int] = {}
    stack: dict[int, int] = {}
    flag = None
    for name, value in model.items():
        who, _, register = name.partition(".")
        if who in events and register in here.free[who]:
            events[who][register] = value & _XER if register == "xer" else value
        elif name == "kprobe.answer" and "r3" in here.free["kprobe"] and value != 1:
            events["kprobe"]["r3"] = (value | -(value >> 31) << 32) & (1 << 64) - 1
        elif name.startswith("stack["):
            offset = int(name[6:-1])
            if offset in here.frame_free:
                frame[offset] = value
            elif offset in here.stack_free:
                stack[offset] = value
        elif name == "paca flag" and value and not here.plan.disabled and not here.plan.early:
            flag = value
    marker = events["c"].get("marker")
    if marker == MAGIC:
        del events["c"]["marker"]
    return Values.of(events, frame, stack, flag)


def _plans(kernel: Kernel, world: World, solver: Solver, refutation: Refutation) -> Iterator[Plan]:
    """Yield calls that may go the refutation's way, the plainest first."""
    way = refutation.way

    def can(*conditions: Term) -> bool:
        try:
            return solver.possible((*refutation.conditions, *conditions))
        except UndecidedError:
            return True

    has = world.features
    base = parse_plan("void f() seed=3")
    base = replace(base, lean=way.lean, early=way.phase == "mcount")
    if way.phase == "mcount":
        yield from (replace(base, home_b=home, home_a=home) for home in ((2, 1) if way.entry == "mcount" else (0, 1)))
        return
    if way.phase == "unhook":
        tails = product((False, True), (False, True), (3, 8, 24))
        yield from (replace(base, graph=True, edit=e, nip=PATCH if p else "keep", seed=s) for e, p, s in tails)
        return
    nip = way.nip if way.nip is not None else var(64, "tracer.nip", ADDRESS_ZEROS)
    same = equal(nip, world.nip)
    ways: list[dict[str, object]] = []
    if way.tracing is False:
        ways.append({"tracing": False})
    else:
        if can(same):
            ways += [{}, {"nip": "same"}]
        if can(invert(same)):
            ways.append({"nip": PATCH})
        if "kprobe_test" in has or "livepatch" not in has:
            ways.append({"nip": PATCH, "kprobe": True})
    if "tracing_switch" in has and can(equal(FLAG, const(8, 0))):
        ways.append({"disabled": True})
    if "direct_calls" in has:
        if can(nonzero(DIRECT)):
            ways.append({"direct": DIRECT_OPS})
        ways += [
            {"direct": DIRECT_TRACER},
            {"direct": DIRECT_TRACER, "seed": 19},
            {"direct": DIRECT_TRACER, "nip": PATCH},
        ]
    graphs = (bool(way.graph),) if "graph_hook" in has and way.graph is not None else (False, True)
    more: list[dict[str, object]] = [
        {},
        {"edit": True},
        {"link": True},
        {"edit": True, "link": True},
        {"home_b": 1, "home_a": 1},
        {"home_b": 2, "home_a": 2, "seed": 9},
        {"pointer": True, "home_a": 1},
        {"twin": True},
        {"form": 1},
        {"marker": 1},
        {"marker": 2},
        {"wander": True},
        {"sleep": True},
        {"seed": 5},
        {"thread": 2},
        {"inner": (parse_plan("void f() nip=patch pointer home_b=1"),)},
        {"inner": (parse_plan("void f() off"),)},
        {"inner": (parse_plan("void f() disabled"),)},
        {"inner": (parse_plan("void f() nip=patch inner*45=[void f() nip=patch]"),)},
        {"shape": parse_plan("long f(long*10)").shape},
        {"shape": parse_plan("int128 f()").shape},
        {"sibling": parse_plan("void f() nip=patch")},
    ]
    if refutation.statement == "L6":
        # Only calls inside each other show it.
        inner = [(parse_plan(inside),) for inside in _INSIDES]
        linked: list[dict[str, object]] = [{"inner": plans, "link": link} for link in (False, True) for plans in inner]
        more = [*linked, more[-1], {}]
    for one, graph, goes in product(more, graphs, ways):
        settings: dict[str, object] = {**goes, "graph": graph, **one}
        yield replace(base, **settings)  # type: ignore[arg-type]
