"""The calls that a report page steps through: they show what the trampolines are for, and what is hard about it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import replace

from lpgen.assembly import Unit
from lpgen.contract.verdict import Failure
from lpgen.kernel.generations import Kernel
from lpgen.machine.cases import Case, interrupt_plan
from lpgen.machine.plan import CALLS, Interrupt, Plan
from lpgen.machine.plan_text import parse_plan, plan_text
from lpgen.report.page import Shown
from lpgen.report.trace_result import TraceResult
from lpgen.trace.build import trace_call
from lpgen.trace.event import INSTRUCTION, TRAMPOLINES, Trace

_PATCHED = "long f(long*9) seed=1 nip=patch"
# Title, what is special, the plan.
_USUAL = (
    ("traced", "The tracer leaves regs->nip alone: B's body runs.", "long f(long*9) seed=1"),
    ("livepatched", "The tracer sets regs->nip = C, and C finds its 9th argument in A's frame.", _PATCHED),
    (
        "variadic",
        "C spills r4 to r10 into A's frame and walks on from there.",
        "int f(int,ptr,...;double,long*6) seed=2 nip=patch",
    ),
    (
        "nested",
        "C calls a function of module 1 that is livepatched too: two frames on the livepatch stack.",
        "long f(long*9) seed=3 nip=patch inner=[long f(long*9) seed=4 nip=patch pointer home_b=1]",
    ),
)


def shown_calls(
    kernel: Kernel,
    unit: Unit,
    own: Sequence[tuple[Case, str]],
    failures: Sequence[Failure],
    *,
    trace_command: str,
    verify_command: str,
) -> list[Shown]:
    """Trace the calls: a person's ``own``, each with the option that names it, the ``failures``, the usual ones."""

    def shown(title: str, what: str, case: Case, named: str = "") -> Shown:
        trace = trace_call(kernel, unit, case.plan, values=case.values, case=case)
        command = f"{trace_command} {named or f'--plan {shlex.quote(plan_text(case.plan))}'}"
        return Shown(title, what, TraceResult(trace, unit, command, verify_command))

    found = [shown("your call", "As the options name it.", case, named) for case, named in own]
    for failure in failures:
        finding = failure.finding
        found.append(shown(f"{finding.statement} broken", f"{finding.what}, {finding.where}.", failure.case))
    usual = [shown(title, what, Case(-1, title, plan)) for title, what, plan in _usual(kernel)]
    found += usual
    patched = next((one.result.trace for one in usual if one.title == "livepatched"), None)
    boundary = None if patched is None else _raised(patched)
    if patched is not None and boundary is not None:
        made = interrupt_plan(kernel, CALLS, 1)
        plan = replace(patched.plan, interrupt=Interrupt(boundary, CALLS, made)).settled(kernel)
        what = "An interrupt comes when livepatch_sp is raised and nothing is stored; its handler makes a patched call."
        found.append(shown("interrupted", what, Case(-1, "interrupted", plan)))
    return found


def _usual(kernel: Kernel) -> Iterator[tuple[str, str, Plan]]:
    for title, what, text in _USUAL:
        plan = parse_plan(text)
        if "livepatch" in kernel.features or not plan.patched:
            yield title, what, plan.settled(kernel)


def _raised(trace: Trace) -> int | None:
    """Return the number, among the trampolines' instructions, of the first behind the one that raises livepatch_sp."""
    number = 0
    before = trace.events[0].livepatch_sp
    for event in trace.events:
        if event.kind == INSTRUCTION and event.origin == TRAMPOLINES:
            number += 1
            if event.livepatch_sp > before:
                return number + 1
    return None
