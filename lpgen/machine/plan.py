"""What a synthetic call does: who calls whom, what the tracer does, what C does. Data only; conductor.py runs it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from random import Random

from lpgen.callers.placement import Prototype
from lpgen.callers.randoms import random_result, random_values
from lpgen.callers.shape import CallShape
from lpgen.callers.types import Integer, Pointer
from lpgen.kernel.generations import Kernel
from lpgen.machine.places import HOMES, TASK_THREADS, THREADS

# How C destroys the marker: another upper half, a flipped low bit, nothing left, all ones, or by a stack so deep that
# it runs over the livepatch stack.
MARKERS = 5
STACKS_MEET = 5
# Where a direct trampoline comes from: ops->direct_call, or orig_gpr3 that the tracer set.
DIRECT_OPS, DIRECT_TRACER = 1, 2
KEEP, SAME, PATCH = "keep", "same", "patch"
FRAME, CALLS, SWITCH = "frame", "calls", "switch"
INTERRUPT_MODES = (FRAME, CALLS, SWITCH)


@dataclass(frozen=True)
class Interrupt:
    """An interrupt before the ``boundary``-th (from 1) instruction of the trampolines that the call executes.

    ``mode`` frame: the handler builds its frame right below r1 and writes to all below; calls: it also makes ``plan``'s
    patched call, from that frame or on another stack; switch: the other thread runs ``plan`` for a while, and the
    interrupted one comes back on another cpu.
    """

    boundary: int
    mode: str = FRAME
    plan: Plan | None = None


@dataclass(frozen=True)
class Plan:
    """One call from A to B. What its kernel does not have, ``settled`` takes out.

    ``shape`` and ``seed`` fix arguments, result and the contents of every register.
    ``home_a``, ``home_b``, ``home_c``: where the functions are, indices in HOMES. ``form``: the call-site form of B.
    ``pointer``: A calls B at its global entry, through a pointer or stub, and reloads r2 behind the call; otherwise it
    is a local call. ``thread``: on which stack, an index in THREADS.
    ``nip``: the tracer keeps regs->nip, writes the same value, or writes C. ``link``: it sets regs->link to a
    kretprobe's trampoline. ``edit``: it changes gpr[3..10] and gpr[14..31]. ``recursion``: the calls of traced
    functions that it makes itself.
    ``twin``: C's address differs from the old nip only in the upper half.
    ``tracing`` off: ftrace_call is not patched. ``graph``: the graph hook is patched in, or the tracer is the graph
    tracer, which makes B return to return_to_handler.
    ``marker``: how C destroys the livepatch stack's marker, 1 to MARKERS; 0 not at all.
    ``spill``: C is variadic, unlike B, and finds all but the first argument through va_arg.
    ``sleep``: C comes back on another cpu, with another paca; ``wander``: the tracer does, and the graph tracer.
    ``inner``: the calls that C (or B's body) makes; they may find tracing switched off, or B patched to something else.
    ``sibling``: the traced function that C ends in, by a tail call; ``stub``: through a module's stub.
    ``interrupt``: an interrupt in the trampolines. ``beside``: a call on another thread, in turns with this one.
    ``lean``: B's call site leads to the lean entry, ftrace_caller where there is ftrace_regs_caller too. ``early``: it
    is not patched yet and leads to _mcount. ``disabled``: tracing is off in the paca. ``kprobe``: it is a kprobe that
    changes nip. ``direct``: a direct trampoline, 1 from ops->direct_call, 2 from the tracer.
    """

    shape: CallShape
    seed: int
    home_b: int = 0
    form: int = 0
    pointer: bool = False
    home_a: int = 0
    home_c: int = 2
    nip: str = KEEP
    link: bool = False
    edit: bool = False
    tracing: bool = True
    graph: bool = False
    twin: bool = False
    marker: int = 0
    spill: bool = False
    sleep: bool = False
    wander: bool = False
    thread: int = 0
    inner: tuple[Plan, ...] = ()
    recursion: tuple[Plan, ...] = ()
    sibling: Plan | None = None
    stub: bool = False
    interrupt: Interrupt | None = None
    beside: Plan | None = None
    lean: bool = False
    early: bool = False
    disabled: bool = False
    kprobe: bool = False
    direct: int = 0

    @property
    def traced(self) -> bool:
        """True if the tracer is called."""
        return self.tracing and not self.disabled and not self.early and self.direct != DIRECT_OPS

    @property
    def patched(self) -> bool:
        """True if C runs instead of B's body, livepatched."""
        return self.traced and self.nip == PATCH and not self.kprobe

    @property
    def redirected(self) -> bool:
        """True if C runs instead of B's body because a kprobe says so."""
        return self.traced and self.nip == PATCH and self.kprobe

    @cached_property
    def values(self) -> list[bytes]:
        """The arguments' values, after promotion."""
        return random_values(self.shape, Random(self.seed))

    @cached_property
    def result(self) -> bytes:
        """The value that B or C returns."""
        return random_result(self.shape, Random(self.seed + 1))

    def depth(self) -> int:
        """How many calls lie inside each other, this one included."""
        return 1 + max((plan.depth() for plan in self.inner), default=0)

    def threads(self) -> frozenset[int]:
        """The threads that the call and all that belongs to it run on."""
        parts = self._parts()
        return frozenset({self.thread}).union(*(part.threads() for part in parts))

    def _parts(self) -> list[Plan]:
        """The plans of the calls that belong to this one."""
        during = None if self.interrupt is None else self.interrupt.plan
        return [*self.inner, *self.recursion, *(p for p in (self.sibling, self.beside, during) if p is not None)]

    def patched_inside(self) -> bool:
        """True if a patched call can be under way above this one's frame on the livepatch stack."""
        during = self.interrupt
        here = during is not None and during.mode == CALLS and during.plan is not None
        inside = [*self.inner, self.sibling, during.plan if here and during is not None else None]
        return any(
            plan.patched or plan.patched_inside() for plan in inside if plan is not None and plan.thread == self.thread
        )

    def kinds(self) -> frozenset[str]:
        """What kinds of scenario the call is an instance of, those inside it included."""
        found = {"patched" if self.patched else ("unpatched" if self.traced else "tracing off")}
        found.add("global entry" if self.pointer else "local entry")
        placement = self.shape.placement
        for kind, is_it in (
            ("arguments in memory", placement.memory_bytes > 0),
            ("variadic", placement.prototype.variadic),
            ("arguments in A's frame", placement.needs_parameter_save_area),
            ("hidden result", placement.hidden is not None),
            ("another TOC", self.patched and self.home_c != self.home_b),
            ("call site stores r0", self.form > 0),
            ("same nip", self.traced and self.nip == SAME),
            ("link", self.traced and self.link),
            ("gpr edits", self.traced and self.edit),
            ("ftrace_caller", self.lean),
            ("not patched yet", self.early),
            ("tracing disabled", self.disabled),
            ("kprobe", self.redirected),
            ("direct call", self.direct == DIRECT_OPS),
            ("direct call by the tracer", self.direct == DIRECT_TRACER),
            ("graph", self.graph),
            ("twin address", self.twin),
            ("marker destroyed", self.patched and 0 < self.marker < STACKS_MEET),
            ("marker", self.patched and self.marker > 0),
            ("stacks meet", self.patched and self.marker == STACKS_MEET),
            ("variadic C", self.spill),
            (
                "another cpu",
                self.sleep or self.wander or (self.interrupt is not None and self.interrupt.mode == SWITCH),
            ),
            ("sibling", self.sibling is not None),
            ("recursion", bool(self.recursion)),
            ("threads in turns", self.beside is not None),
            (f"{THREADS[self.thread]} stack", self.thread > 0),
            ("another stack", self.thread > 0),
            ("interrupt", self.interrupt is not None),
        ):
            if is_it:
                found.add(kind)
        if self.patched and self.patched_inside():
            found.add("nested")
        for plan in (*self.inner, self.sibling):
            same_b = plan is not None and (plan.home_b, plan.form) == (self.home_b, self.form)
            if plan is not None and self.patched and plan.patched and same_b:
                found.add("patched again in flight")
        for plan in self.inner:
            if self.patched and not plan.patched:
                found.add("unpatched in flight" if plan.traced else "switched off in flight")
        for part in self._parts():
            found |= part.kinds()
        if self.depth() > 8:
            found.add("deep chain")
        if self.interrupt is not None:
            found.add(f"interrupt {self.interrupt.mode}")
        return frozenset(found)

    def words(self) -> Iterator[str]:
        """What is special about this call, for a person."""
        yield "patched" if self.patched else ("unpatched" if self.tracing else "tracing off")
        for text, is_it in (
            ("through ftrace_caller", self.lean),
            ("call site not patched yet", self.early),
            ("tracing disabled in the paca", self.disabled),
            ("a kprobe changes nip", self.kprobe),
            ("ops->direct_call is set", self.direct == DIRECT_OPS),
            ("the tracer names a direct trampoline", self.direct == DIRECT_TRACER),
        ):
            if is_it:
                yield text
        yield f"B in {HOMES[self.home_b]}"
        yield f"A in {HOMES[self.home_a]}, " + ("through B's global entry" if self.pointer else "local call")
        if self.patched:
            yield "C's address is nip's in the lower half" if self.twin else f"C in {HOMES[self.home_c]}"
        for text, is_it in (
            ("call site stores r0", self.form > 0),
            ("tracer writes nip unchanged", self.nip == SAME and self.tracing),
            ("tracer changes link", self.link and self.tracing),
            ("tracer edits gprs", self.edit and self.tracing),
            ("graph tracer on", self.graph),
            ("C destroys the marker", 0 < self.marker < STACKS_MEET),
            ("C's stack runs over the livepatch stack", self.marker == STACKS_MEET),
            ("C is variadic", self.spill),
            ("C returns on another cpu", self.sleep),
            ("the tracer returns on another cpu", self.wander and self.tracing),
            (f"on the {THREADS[self.thread]} stack", self.thread > 0),
        ):
            if is_it:
                yield text
        if self.sibling is not None:
            through = " through a module stub" if self.stub else ""
            yield f"C ends in a sibling call{through} ({', '.join(self.sibling.words())})"
        if self.interrupt is not None:
            yield f"interrupt before instruction {self.interrupt.boundary} ({self.interrupt.mode})"
        if self.beside is not None:
            yield f"in turns with another thread ({', '.join(self.beside.words())})"
        for name, plans in (("the tracer", self.recursion), ("it then", self.inner)):
            for plan in plans[:1]:
                yield f"{name} calls {plan.shape.c_prototype()} ({', '.join(plan.words())})"
            if len(plans) > 1:
                yield f"and {len(plans) - 1} more"

    def settled(self, kernel: Kernel) -> Plan:
        """Return the plan with what excludes itself, and what ``kernel`` does not have, put right.

        A local call stays in one home; inner calls start where C (or B) is; what runs at the same time finds the same
        patched in.
        """
        plan = self._possible(kernel)
        if plan.beside is not None or plan.interrupt is not None:
            plan = plan._uniform(plan._same())
        if not plan.pointer and plan.home_a != plan.home_b:
            plan = replace(plan, home_a=plan.home_b)
        if plan.twin:
            plan = replace(plan, home_b=0, home_a=plan.home_a if plan.pointer else 0, home_c=1)
        if plan.redirected:
            # Nobody gives A its TOC back.
            plan = replace(plan, home_c=plan.home_b)
        here = plan.home_c if plan.patched or plan.redirected else plan.home_b
        same = plan._same()
        made: dict[str, object] = {"inner": tuple(plan._inside(p, here, {}).settled(kernel) for p in plan.inner)}
        made["recursion"] = tuple(
            plan._inside(p._uniform(same), 0, same).settled(kernel) for p in plan.recursion if plan.traced
        )
        if plan.sibling is not None:
            # It has C's frame and type: nothing of its own on the stack.
            sibling = replace(plan.sibling, shape=plan.shape, pointer=plan.stub, inner=(), sibling=None)
            sibling = replace(sibling, link=False, edit=False, spill=False, early=False)
            made["sibling"] = plan._inside(sibling, here, same).settled(kernel)
        if plan.interrupt is not None and plan.interrupt.plan is not None:
            inside = plan.interrupt.plan
            if plan.interrupt.mode == SWITCH:
                inside = plan._elsewhere(inside, kernel)
            made["interrupt"] = replace(plan.interrupt, plan=inside.settled(kernel))
        if plan.beside is not None:
            made["beside"] = plan._elsewhere(plan.beside, kernel).settled(kernel)
        return replace(plan, **made)  # type: ignore[arg-type]

    def _possible(self, kernel: Kernel) -> Plan:
        """Return the plan without what ``kernel`` does not have, or what this way of calling excludes."""
        has = kernel.features
        early = self.early and "mcount" in has
        disabled = self.disabled and "tracing_switch" in has and not early
        direct = self.direct if "direct_calls" in has and not early and not disabled else 0
        traced = self.tracing and not early and not disabled and direct != DIRECT_OPS
        lean = self.lean and "two_entries" in has and not early
        # What the tracer changes it needs a pt_regs for; a partial one takes no edits of registers.
        regs = traced and (not lean or "partial_regs" in has)
        # Without livepatch whoever changes nip is a kprobe.
        kprobe = self.kprobe and regs and ("kprobe_test" in has or "livepatch" not in has)
        # What the graph hook, patched in for all calls, makes of a kprobe's nip is nobody's statement.
        kprobe = kprobe and not (self.graph and "graph_hook" in has)
        changes: dict[str, object] = {"early": early, "disabled": disabled, "lean": lean, "kprobe": kprobe}
        changes["direct"] = 0 if direct == DIRECT_TRACER and not regs else direct
        changes["edit"] = self.edit and regs and not lean
        changes["link"] = self.link and regs
        changes["nip"] = self.nip if regs and (self.nip != PATCH or "livepatch" in has) else KEEP
        if kprobe:
            changes |= {"nip": PATCH, "twin": False, "spill": False, "sibling": None, "stub": False, "marker": 0}
        graph = self.graph and not (early or disabled)
        if "return_to_handler" in has:
            # Who ends in a sibling call has one return address for two functions.
            graph = graph and regs and self.sibling is None
            changes["link"] = changes["link"] and not graph
        elif "graph_hook" not in has:
            graph = False
        changes["graph"] = graph
        if self.form >= len(kernel.call_sites):
            changes["form"] = 0
        changed = {name: value for name, value in changes.items() if getattr(self, name) != value}
        return replace(self, **changed) if changed else self  # type: ignore[arg-type]

    def _elsewhere(self, plan: Plan, kernel: Kernel) -> Plan:
        """Return the plan of another thread's call, on a thread that does not share this one's livepatch stack."""
        if "thread_info_in_task" not in kernel.features:
            return plan
        own, other = (t if t in TASK_THREADS else 0 for t in (self.thread, plan.thread))
        return replace(plan, thread=1 - own) if own == other or plan.thread not in TASK_THREADS else plan

    def _same(self) -> dict[str, object]:
        """What is patched in or set for all calls that run at the same time."""
        return {"tracing": self.tracing, "graph": self.graph, "disabled": self.disabled, "direct": self.direct}

    def _uniform(self, same: dict[str, object]) -> Plan:
        """Return the plan with the same patched in for every call of it."""

        def each(plans: tuple[Plan, ...]) -> tuple[Plan, ...]:
            return tuple(p._uniform(same) for p in plans)

        during = self.interrupt
        if during is not None and during.plan is not None:
            during = replace(during, plan=during.plan._uniform(same))
        return replace(
            self,
            **same,  # type: ignore[arg-type]
            inner=each(self.inner),
            recursion=each(self.recursion),
            sibling=None if self.sibling is None else self.sibling._uniform(same),
            beside=None if self.beside is None else self.beside._uniform(same),
            interrupt=during,
        )

    def _inside(self, plan: Plan, home: int, same: dict[str, object]) -> Plan:
        return replace(plan, home_a=home, home_b=plan.home_b if plan.pointer else home, thread=self.thread, **same)  # type: ignore[arg-type]


def can_spill(shape: CallShape) -> bool:
    """True if a variadic C finds the arguments of a B that is not: all in slots, and a parameter save area is there."""
    placement = shape.placement
    return (
        placement.memory_bytes > 0
        and not placement.prototype.variadic
        and all(isinstance(t, Integer | Pointer) and t.size == 8 for t in placement.types)
    )


def can_be_sibling(shape: CallShape) -> bool:
    """True if a function of this type can end in a call of another one: nothing of its own in its caller's frame."""
    return not shape.placement.needs_parameter_save_area and shape.placement.hidden is None


def as_variadic(shape: CallShape) -> CallShape:
    """Return the shape of the variadic C that takes this call's arguments, all but the first by va_arg."""
    params = shape.prototype.params
    return CallShape(shape.name, Prototype(shape.prototype.result, params[:1], variadic=True), params[1:])
