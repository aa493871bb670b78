"""What a synthetic call does: who calls whom, what the tracer does, what C does. Data only; machine/trip.py runs it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from random import Random

from lpgen.callers.randoms import random_result, random_values
from lpgen.callers.shape import CallShape
from lpgen.machine.world import HOMES

# How C destroys the marker: another upper half, a flipped low bit, nothing left, all ones.
MARKERS = 4
KEEP, SAME, PATCH = "keep", "same", "patch"


@dataclass(frozen=True)
class Plan:
    """One call from A to B.

    ``shape`` and ``seed`` fix arguments, result and the contents of every register.
    ``home_a``, ``home_b``, ``home_c``: where the functions are, indices in HOMES. ``form``: the call-site form of B.
    ``pointer``: A calls B at its global entry, through a pointer or stub, and reloads r2 behind the call; otherwise it
    is a local call.
    ``nip``: the tracer keeps regs->nip, writes the same value, or writes C. ``link``: it sets regs->link to a
    kretprobe's trampoline. ``edit``: it changes gpr[3..10] and gpr[14..31].
    ``twin``: C's address differs from the old nip only in the upper half.
    ``tracing`` off: ftrace_call is not patched. ``graph``: the graph hook is patched in.
    ``marker``: how C destroys the livepatch stack's marker, 1 to MARKERS; 0 not at all.
    ``inner``: the calls that C (or B's body) makes.
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
    thread: int = 0
    inner: tuple[Plan, ...] = ()

    @property
    def patched(self) -> bool:
        """True if C runs instead of B's body."""
        return self.tracing and self.nip == PATCH

    @cached_property
    def values(self) -> list[bytes]:
        """The arguments' values, after promotion."""
        return random_values(self.shape, Random(self.seed))

    @cached_property
    def result(self) -> bytes:
        """The value that B or C returns."""
        return random_result(self.shape, Random(self.seed + 1))

    def words(self) -> Iterator[str]:
        """What is special about this call, for a person."""
        yield "patched" if self.patched else ("unpatched" if self.tracing else "tracing off")
        yield f"B in {HOMES[self.home_b]}"
        yield f"A in {HOMES[self.home_a]}, " + ("through B's global entry" if self.pointer else "local call")
        if self.patched:
            yield "C's address is nip's in the lower half" if self.twin else f"C in {HOMES[self.home_c]}"
        if self.form:
            yield "call site stores r0"
        if self.nip == SAME and self.tracing:
            yield "tracer writes nip unchanged"
        if self.link and self.tracing:
            yield "tracer changes link"
        if self.edit and self.tracing:
            yield "tracer edits gprs"
        if self.graph:
            yield "graph tracer on"
        if self.marker:
            yield "C destroys the marker"
        if self.thread:
            yield f"thread {self.thread}"
        for plan in self.inner:
            yield f"then calls {plan.shape.c_prototype()} ({', '.join(plan.words())})"

    def settled(self, forms: int) -> Plan:
        """Return the plan with what excludes itself put right.

        ``forms``: the number of call-site forms. A local call stays in one home; inner calls start where C (or B) is
        and find patched in what the outer one does.
        """
        plan = self
        if not plan.pointer and plan.home_a != plan.home_b:
            plan = replace(plan, home_a=plan.home_b)
        if plan.form >= forms:
            plan = replace(plan, form=0)
        if plan.twin:
            plan = replace(plan, home_b=0, home_a=plan.home_a if plan.pointer else 0, home_c=1)
        here = plan.home_c if plan.patched else plan.home_b
        inner = tuple(
            replace(
                p,
                home_a=here,
                home_b=p.home_b if p.pointer else here,
                thread=plan.thread,
                tracing=plan.tracing,
                graph=plan.graph,
            ).settled(forms)
            for p in plan.inner
        )
        return replace(plan, inner=inner) if inner != plan.inner else plan
