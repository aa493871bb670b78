"""What was seen of a call: the registers and the memory at each gate that the guest came by."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field

from lpgen.machine.places import CallSite, Function, Thread
from lpgen.machine.plan import Plan
from lpgen.machine.state import State
from lpgen.machine.stop import Step, Stop
from lpgen.machine.values import NOTHING, Values


@dataclass(slots=True, eq=False)
class Moment:
    """What there was to see when the guest came to a gate, or to a trap (``where`` is trap).

    ``where`` is the gate's kind, ``what`` the function or call site it stands for. ``stack`` is the memory from ``low``
    to the top of the stack, ``base`` the first BASE_WINDOW bytes of the livepatch stack's memory, ``sp`` livepatch_sp,
    ``frame`` what A's frame and all above it should hold, ``paca`` what r13 should. ``pt_regs`` is the address that the
    tracer got, 0 if that was none on its stack.
    ``steps`` are the instructions on the way here, in a watched world. ``after`` are the registers with which it went
    on from here.
    """

    where: str
    what: Function | CallSite | None
    state: State
    low: int
    stack: bytes
    base: bytes
    frame: bytes
    paca: int
    sp: int
    pt_regs: int = 0
    arguments: list[bytes] | None = None
    steps: list[Step] = field(default_factory=list)
    after: State | None = None

    def u64(self, address: int) -> int | None:
        """Return the doubleword at ``address`` of the stack, None outside of what was kept."""
        at = address - self.low
        if 0 <= at <= len(self.stack) - 8:
            value: int = struct.unpack_from("<Q", self.stack, at)[0]
            return value
        return None


@dataclass(frozen=True, slots=True)
class Interruption:
    """An interrupt before the instruction at ``pc``, with ``r1``; ``handled`` is False if r1 pointed to no stack."""

    pc: int
    r1: int
    mode: str
    handled: bool


@dataclass(slots=True)
class Trip:
    """One call and what was seen of it: ``a`` registers in A at the call, ``entry`` those at ftrace_caller.

    ``relation`` to the trip around it: "" for the outermost, inner (C or B calls), tracer (the tracer calls), interrupt
    (its handler calls), beside (another thread's call), sibling (C ends in it). ``sp`` is livepatch_sp at the call,
    ``base`` the first BASE_WINDOW bytes of the livepatch stack's memory, ``chain`` the return addresses above A.
    ``marker`` is what was at -8(livepatch_sp) when C returned, ``left`` the registers that B's body, C or its sibling
    left behind. ``results`` are what ftrace_return_to_handler made of r3 and r4, by number. ``direct_stub``: the direct
    trampoline that the tracer named is ftrace_stub_direct_tramp. ``values`` are what was chosen, not drawn. ``outset``
    is A's frame and all above it at the call.
    """

    plan: Plan
    thread: Thread
    site: CallSite
    b: Function
    c: Function
    a: State
    entry: State
    sp: int
    base: bytes
    chain: list[int]
    relation: str
    nip_after: int = 0
    link_after: int = 0
    edits: Mapping[int, int] = field(default_factory=dict)
    results: Mapping[int, int] = field(default_factory=dict)
    graph_return: int = 0
    direct_stub: bool = False
    result: bytes = b""
    values: Values = NOTHING
    outset: bytes = b""
    marker: int | None = None
    left: State | None = None
    moments: list[Moment] = field(default_factory=list)
    inner: list[Trip] = field(default_factory=list)
    end: Stop | None = None
    last_steps: list[Step] = field(default_factory=list)
    # Of the outermost trip only.
    constants: list[tuple[int, int, int]] = field(default_factory=list)
    other_stack: int | None = None
    interruption: Interruption | None = None

    def at(self, where: str) -> list[Moment]:
        """Return the moments at gates of one kind, in order."""
        return [moment for moment in self.moments if moment.where == where]

    @property
    def frame(self) -> int:
        """A's r1: the address of its frame."""
        return self.a.gpr[1]

    @property
    def cut_short(self) -> bool:
        """True if a call inside this one did not come to its end, so that this one could not either."""
        return any(trip.end is not None for trip in self.inner if trip.relation != "beside")
