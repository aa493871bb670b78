"""One step of a call: what it was, and what it changed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from lpgen.contract.verdict import Verdict
from lpgen.errors import Place
from lpgen.kernel.generations import Kernel
from lpgen.machine.places import Thread
from lpgen.machine.plan import Plan
from lpgen.machine.state import State
from lpgen.trace.names import Placed

# Event.kind: an instruction; a function that is not under test comes in or goes on; a call that it makes; an interrupt;
# the call's end other than in A.
INSTRUCTION, ENTER, RETURN, CALL, INTERRUPT, STOP = "instruction", "enter", "return", "call", "interrupt", "stop"
# Event.origin of an instruction: under test, or of a call, a call site, a stub.
TRAMPOLINES, AROUND = "trampolines", "around"


@dataclass(frozen=True, slots=True)
class Change:
    """A register that changed; ``means`` is what the new value is called, "" if it has no name.

    ``register`` is r0 to r31, lr, ctr, cr, xer, msr, f0 to f31 or v0 to v31; values are as the registers are wide, in
    bits: 64, but cr 32 and v0 to v31 128, where the lowest byte in memory is the lowest of the number.
    """

    register: str
    before: int
    after: int
    means: str = ""


@dataclass(frozen=True, slots=True)
class Access:
    """A load or store of ``size`` bytes, or a doubleword that a function changed (``kind`` store).

    ``name`` is what the memory is called, ``means`` what the value is. ``before`` is what a store went over.
    """

    kind: str
    address: int
    size: int
    value: int
    before: int
    name: str
    means: str = ""


@dataclass(slots=True)
class Event:
    """One step, on ``thread``, with ``depth`` calls under way there.

    ``text`` is an instruction's statement, or what a function did. ``address`` and ``symbol`` say where, ``place`` the
    line of the assembly and ``template`` the template's. ``registers`` and ``memory`` are what it changed (and loaded);
    ``scratch`` how many bytes more a function wrote, where no name is. ``frames`` are those on the stack when it is
    done, the highest first; ``r1`` and ``livepatch_sp`` are as they are then.
    """

    number: int
    kind: str
    thread: Thread
    depth: int
    text: str
    address: int = 0
    symbol: str = ""
    origin: str = ""
    place: Place | None = None
    template: Place | None = None
    actor: str = ""
    notes: list[str] = field(default_factory=list)
    registers: list[Change] = field(default_factory=list)
    memory: list[Access] = field(default_factory=list)
    scratch: int = 0
    frames: tuple[Placed, ...] = ()
    r1: int = 0
    livepatch_sp: int = 0

    @property
    def stores(self) -> Iterator[Access]:
        """What it wrote."""
        return (access for access in self.memory if access.kind == "store")


@dataclass(slots=True)
class Trace:
    """One call, step by step. ``start`` are the registers in A, ``memory`` what the stacks held then, by first address.

    ``verdict`` is what the contract says of it, from a run of its own in which the same happened.
    """

    kernel: Kernel
    plan: Plan
    start: State
    memory: dict[int, bytes]
    events: list[Event]
    verdict: Verdict
    threads: list[Thread]
    functions: dict[str, dict[str, int]]
