"""Values that are chosen, not drawn: registers and memory of one call, put over the random ones.

A run draws all that a call's functions may leave behind from its plan's seed. Whoever looks for one certain state (a
proof's counterexample) names the values that matter; only what the ABI, the plan and the emulated world leave open can
be named. Names are those of registers: r0 to r31, cr, xer, ctr; gpr3 and so on for the tracer's edits of pt_regs.gpr.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields

from lpgen.callers.values import encode, encode_result
from lpgen.errors import LpgenError
from lpgen.kernel.generations import Kernel
from lpgen.machine.actors import CR_KEPT, VOLATILE_GPR, XER_BITS
from lpgen.machine.plan import DIRECT_TRACER, Plan
from lpgen.machine.state import State

# Those that act in a call, in the order in which they come: A, then who leaves registers behind.
EVENTS = ("entry", "tracer", "kprobe", "graph", "direct", "body", "c", "unhook")
_M64 = (1 << 64) - 1
_M32 = 0xFFFFFFFF
_VOLATILE = frozenset({*(f"r{n}" for n in VOLATILE_GPR), "cr", "xer", "ctr"})
_EDITED = frozenset(f"gpr{n}" for n in (*range(3, 11), *range(14, 32)))


@dataclass(frozen=True, slots=True)
class Values:
    """What is chosen for the outermost call of a plan; all else is drawn as ever.

    ``entry`` and the other events of EVENTS map names of registers to values. entry: registers in A at the call, which
    reach the trampolines unchanged. The others are registers that a function returns with: tracer (with gpr3 and so
    on: its edits of pt_regs.gpr), kprobe (is_current_kprobe_addr), graph (prepare_ftrace_return), direct (the direct
    trampoline), body (B's, or where a kprobe leads), c (with r2, and marker: the doubleword at -8(livepatch_sp)) and
    unhook (ftrace_return_to_handler; with gpr3 and gpr4: what it makes of the results in pt_regs).
    ``frame`` are doublewords of A's frame by their offset in bytes from r1, ``stack`` those below it, by a negative
    offset. ``flag`` is the byte PACA_FTRACE_ENABLED of every paca, 1 to 255. ``nip`` is C's address.
    """

    entry: Mapping[str, int] = field(default_factory=dict)
    tracer: Mapping[str, int] = field(default_factory=dict)
    kprobe: Mapping[str, int] = field(default_factory=dict)
    graph: Mapping[str, int] = field(default_factory=dict)
    direct: Mapping[str, int] = field(default_factory=dict)
    body: Mapping[str, int] = field(default_factory=dict)
    c: Mapping[str, int] = field(default_factory=dict)
    unhook: Mapping[str, int] = field(default_factory=dict)
    frame: Mapping[int, int] = field(default_factory=dict)
    stack: Mapping[int, int] = field(default_factory=dict)
    flag: int | None = None
    nip: int | None = None

    @classmethod
    def of(
        cls,
        registers: Mapping[str, Mapping[str, int]],
        frame: Mapping[int, int],
        stack: Mapping[int, int],
        flag: int | None,
        nip: int | None = None,
    ) -> Values:
        """Return the values with the ``registers`` of each of EVENTS."""
        entry, tracer, kprobe, graph, direct, body, c, unhook = (registers[event] for event in EVENTS)
        return cls(entry, tracer, kprobe, graph, direct, body, c, unhook, frame, stack, flag, nip)

    def at(self, event: str) -> Mapping[str, int]:
        """Return what is chosen for one of EVENTS, by register."""
        found: Mapping[str, int] = getattr(self, event)
        return found

    def __bool__(self) -> bool:
        """True if anything is chosen."""
        return any(getattr(self, f.name) not in (None, {}) for f in fields(self))

    def words(self) -> Iterable[str]:
        """Yield what is chosen, for a person."""
        for event in EVENTS:
            for name, value in self.at(event).items():
                yield f"{event} {name} = {value:#x}"
        for offset, value in (*self.frame.items(), *self.stack.items()):
            yield f"{offset}(A's frame) = {value:#x}"
        if self.flag is not None:
            yield f"PACA_FTRACE_ENABLED = {self.flag:#x}"
        if self.nip is not None:
            yield f"C at {self.nip:#x}"


NOTHING = Values()


def free_registers(kernel: Kernel, plan: Plan) -> dict[str, frozenset[str]]:
    """Return the names that Values may have for each of EVENTS, in the outermost call of ``plan``, a settled one.

    An event that the plan does not come to has none.
    """
    has = kernel.features
    found = {event: frozenset[str]() for event in EVENTS}
    found["entry"] = _free_at_entry(plan)
    regs = plan.traced and (not plan.lean or "partial_regs" in has)
    if plan.traced:
        found["tracer"] = _VOLATILE | (_EDITED if plan.edit and regs else frozenset())
    if plan.traced and (plan.patched or plan.redirected) and "kprobe_test" in has:
        found["kprobe"] = _VOLATILE - ({"r3"} if plan.kprobe else frozenset())
    by_tracer = plan.direct == DIRECT_TRACER
    if plan.direct and not (by_tracer and (plan.patched or names_stub(plan))):
        found["direct"] = frozenset({"r11", "r12", "cr", "xer", "ctr"})
    if plan.graph and "graph_hook" in has and not plan.patched:
        # What it returns is where B returns to: the world's.
        found["graph"] = _VOLATILE - {"r3"}
    result = {f"r{n}" for n in encode_result(plan.shape.placement, plan.result, 0).gpr}
    if plan.patched:
        # C that ends in a sibling call does not return itself.
        found["c"] = (_VOLATILE | {"r2", "marker"}) - result if plan.sibling is None else frozenset()
    else:
        found["body"] = _VOLATILE - result
    if plan.graph and plan.traced and "return_to_handler" in has:
        found["unhook"] = _VOLATILE - {"r3"}
        if changes_results(kernel, plan):
            found["unhook"] |= {"gpr3", "gpr4"}
    return found


def names_stub(plan: Plan) -> bool:
    """True if the direct trampoline that the plan's tracer names is ftrace_stub_direct_tramp."""
    return bool(plan.seed & 16)


def changes_results(kernel: Kernel, plan: Plan) -> bool:
    """True if ftrace_return_to_handler changes the results in the pt_regs that it gets."""
    return "return_regs" in kernel.features and (plan.edit or bool(plan.seed & 8))


def _free_at_entry(plan: Plan) -> frozenset[str]:
    """Return what is free in A at the call: no argument, and not what the way to the trampolines sets."""
    taken = {0, 1, 2, 13, *encode(plan.shape.placement, plan.values, 0).gpr}
    names = {"cr", "xer", "ctr"}
    if plan.pointer:
        taken.add(12)
    if plan.home_b:
        # A module's stub for the trampolines.
        taken |= {11, 12}
    if plan.pointer or plan.home_b:
        names.remove("ctr")
    return frozenset(names | {f"r{n}" for n in range(32) if n not in taken})


def free_in_frame(plan: Plan, size: int, *, stores_r0: bool) -> tuple[int, ...]:
    """Return the offsets from r1, in bytes, of the doublewords of A's frame that Values may have.

    ``size`` is that of the frame in bytes, ``stores_r0`` whether the call site of B stores the return address in it.
    """
    taken = {0, *((16,) if stores_r0 else ()), *((24,) if plan.pointer else ())}
    for offset, data in encode(plan.shape.placement, plan.values, 0).mem.items():
        taken.update(range(offset & ~7, offset + len(data), 8))
    return tuple(offset for offset in range(0, size, 8) if offset not in taken)


def check_values(kernel: Kernel, plan: Plan, values: Values) -> None:
    """Raise LpgenError for a value that ``plan``, a settled one, leaves no choice of, or that is out of range.

    Which offsets of A's frame are free, and whether C can be at an address, shows when the call is made.
    """
    free = free_registers(kernel, plan)
    for event in EVENTS:
        for name, value in values.at(event).items():
            if name not in free[event]:
                known = ", ".join(sorted(free[event], key=_order)) or "nothing: the plan does not come there"
                raise LpgenError(f"{event}: {name} is not free to choose", hint=f"free is {known}")
            _check_range(event, name, value)
    answer = values.kprobe.get("r3")
    if answer is not None and (answer == 1 or not -(1 << 31) <= _signed(answer) < 1 << 31):
        raise LpgenError(f"kprobe: r3 = {answer:#x} is no answer of is_current_kprobe_addr", hint="an int other than 1")
    for offset, value in (*values.frame.items(), *values.stack.items()):
        if not 0 <= value <= _M64:
            raise LpgenError(f"{offset}(A's frame): {value:#x} is no 64-bit value")
    if values.flag is not None:
        if "tracing_switch" not in kernel.features or plan.disabled or plan.early:
            raise LpgenError("flag: nobody looks at it, or the plan says disabled", hint="leave it out")
        if not 1 <= values.flag <= 0xFF:
            raise LpgenError(f"flag: {values.flag:#x} is no byte other than 0", hint="disabled is in the plan")
    if values.nip is not None:
        if not (plan.patched or plan.redirected) or plan.twin:
            raise LpgenError("nip: the plan has no nip=patch, or says twin", hint="leave it out, or change the plan")
        if not _FIRST_KERNEL <= values.nip <= _M64 or values.nip & 3:
            raise LpgenError(f"nip: {values.nip:#x} is no address of an instruction in the kernel")


_FIRST_KERNEL = 0xC000000000000000


def _check_range(event: str, name: str, value: int) -> None:
    allowed, why = _M64, "64 bits"
    if name == "cr":
        allowed, why = (_M32, "32 bits") if event == "entry" else (_M32 & ~CR_KEPT, "CR0, CR1 and CR5 to CR7")
    elif name == "xer":
        allowed, why = XER_BITS, f"the bits {XER_BITS:#x}"
    if value < 0 or value & ~allowed:
        raise LpgenError(f"{event}: {name} = {value:#x}: only {why} can be chosen")


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value


def _order(name: str) -> tuple[bool, str, int]:
    """Sort registers by number, behind those without one."""
    stem = name.rstrip("0123456789")
    return (stem != name, stem, int(name[len(stem) :] or 0))


def overlay(state: State, chosen: Mapping[str, int], *, kept_cr: bool = True) -> None:
    """Put chosen registers over those of ``state``; ``kept_cr``: CR2 to CR4 stay. Names that are no register stay out.

    A name is one that ``check_values`` has let through.
    """
    for name, value in chosen.items():
        if name == "cr":
            state.cr = (state.cr & CR_KEPT) | value if kept_cr else value
        elif name in ("xer", "ctr"):
            setattr(state, name, value)
        elif name[0] == "r":
            state.gpr[int(name[1:])] = value


def edits(chosen: Mapping[str, int]) -> dict[int, int]:
    """Return the chosen edits of pt_regs.gpr, by number."""
    return {int(name[3:]): value for name, value in chosen.items() if name.startswith("gpr")}
