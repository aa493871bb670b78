"""What addresses and values are called at one moment of a call: pt_regs.nip, livepatch_sp, A's LR save, a9.

Names follow the call as it goes on: whoever reads the trace tells them which frames are on which stack by now.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from lpgen.callers.placement import Placement
from lpgen.callers.values import encode
from lpgen.kernel import frames
from lpgen.kernel.frames import Frame
from lpgen.machine.places import HOMES, OPS_SPACING, Function, Thread
from lpgen.machine.state import State
from lpgen.machine.trip import Trip
from lpgen.machine.world import World

# Smaller values stand for too much to be called by the argument that has them.
_SMALLEST_ARGUMENT = 0x10000
_CALLERS = {"tracer": "tracer", "interrupt": "interrupt handler", "beside": "A2"}


@dataclass(frozen=True, slots=True)
class Placed:
    """A ``frame`` whose lowest byte is at ``address``; ``owner`` is the function whose it is, "" for a trampoline."""

    address: int
    frame: Frame
    owner: str = ""

    @property
    def name(self) -> str:
        """What it is called: that of its function, or what it is for."""
        return f"{self.owner}'s frame" if self.owner else self.frame.name

    @property
    def end(self) -> int:
        """The first address above it."""
        return self.address + self.frame.size


@dataclass(slots=True)
class Stack:
    """A thread's stack, the innermost last of each: the calls under way with who made them, the frames, who acts.

    Who acts is there with the registers that it was reached with. ``cut`` is the frame that r1 points into, with only
    the rest of it among ``frames``.
    """

    thread: Thread
    calls: list[tuple[Trip, str]] = field(default_factory=list)
    frames: list[Placed] = field(default_factory=list)
    acting: list[tuple[str, State]] = field(default_factory=list)
    cut: Placed | None = None

    def raised(self, r1: int) -> None:
        """Note that an instruction raised r1: what is below is gone."""
        popped = None
        while self.frames and self.frames[-1].address < r1:
            popped = self.frames.pop()
        self.cut = None
        if popped is not None and r1 < popped.end:
            self.cut = popped
            rest = Frame(frames.OTHER, f"{r1 - popped.address}({popped.name})", popped.end - r1, ())
            self.frames.append(Placed(r1, rest))

    def pop_below(self, r1: int) -> None:
        """Forget the frames below ``r1``."""
        self.cut = None
        while self.frames and self.frames[-1].address < r1:
            self.frames.pop()


def argument_names(placement: Placement) -> list[str]:
    """Return the names of the parameter save area's doublewords: a9 for the one that holds the 9th argument.

    A doubleword whose argument travels in a register has none: its place is the called function's to use.
    """
    found = [""] * (placement.parameter_save_area_size // 8)
    for number, pieces in enumerate(placement.arguments):
        for piece in pieces:
            if piece.kind == "mem":
                first = (piece.index - frames.PARAMETER_SAVE_AREA) // 8
                last = (piece.index + piece.size - 1 - frames.PARAMETER_SAVE_AREA) // 8
                for at in range(first, last + 1):
                    found[at] = f"{found[at]}, a{number + 1}" if found[at] else f"a{number + 1}"
    return found


class Names:
    """The names of one kernel's world during one call, whose outermost trip is ``trip``."""

    def __init__(self, world: World, trip: Trip) -> None:
        self.world = world
        self.stacks = {thread.number: Stack(thread) for thread in world.threads}
        self.on = trip.thread.number
        self._titles: dict[int, str] = {}
        self._functions: dict[str, int] = {}
        self._arguments: dict[int, str] = {}
        self._highest: dict[int, int] = {}
        self._data = dict(self._data_names())
        self._regs = frozenset(m.pt_regs for one in all_trips(trip) for m in one.moments if m.pt_regs)
        self._room = world.offsets["GPR0"] - frames.HEADER_BYTES
        self._add_stubs()
        for one in all_trips(trip):
            self._add_functions(one)

    def _add_functions(self, trip: Trip) -> None:
        places = (("B", trip.b), ("C", trip.c)) if trip.plan.patched or trip.plan.redirected else (("B", trip.b),)
        for kind, function in places:
            if function.gep not in self._titles:
                self._add_function(kind, function)

    def _add_stubs(self) -> None:
        for (home, symbol), address in self.world.stubs.items():
            self._titles[address] = f"the stub for {symbol} in {HOMES[home]}"

    def _add_function(self, kind: str, function: Function) -> None:
        self._functions[kind] = number = self._functions.get(kind, 0) + 1
        title = kind if number == 1 else f"{kind}{number}"
        self._titles[function.gep] = title
        if function.lep != function.gep:
            self._titles[function.gep], self._titles[function.lep] = f"{title} (GEP)", f"{title} (LEP)"
        if function.site:
            self._titles[function.site] = f"{title}'s call site"
            self._titles[function.site + 4] = f"behind {title}'s call site"
            if function.lr != function.site + 4:
                self._titles[function.lr] = f"the mtlr in {title}'s stub"
                self._titles[function.lr - 8] = f"{title}'s stub"
                # Contract section 7: ops in front of the stub's code, its branch back behind the mtlr.
                self._data[function.lr - 16] = f"{title}'s stub: ops"
                self._data[function.lr + 4] = f"{title}'s stub: the branch back"

    def title(self, function: Function) -> str:
        """Return B, C, or B2 and so on for one that an inner call brings in."""
        return self._titles.get(function.gep, function.name).removesuffix(" (GEP)")

    def owner(self, trip: Trip) -> str:
        """Return who made the call: A, or the function that a call inside another one comes from."""
        if trip.relation in ("inner", "sibling"):
            stack = self.stacks[trip.thread.number]
            return stack.acting[-1][0].removesuffix("'s body") if stack.acting else "C"
        return _CALLERS.get(trip.relation, "A")

    def _nearest(self) -> Iterator[Stack]:
        """Yield the stacks, that of thread ``on``, which runs now, first: an address may be in use on several."""
        yield self.stacks[self.on]
        yield from (stack for number, stack in self.stacks.items() if number != self.on)

    # Following the call

    def depart(self, trip: Trip, size: int) -> None:
        """Note that ``trip``'s call is made, from a frame of ``size`` bytes."""
        stack = self.stacks[trip.thread.number]
        placement = trip.plan.shape.placement
        if trip.relation != "sibling":
            doublewords = placement.parameter_save_area_size // 8
            frame = frames.frame_of_a(doublewords, argument_names(placement))
            # The frame of an earlier call from the same function is gone.
            stack.pop_below(trip.frame + size)
            stack.frames.append(Placed(trip.frame, replace(frame, size=size), self.owner(trip)))
        stack.calls.append((trip, self.owner(trip)))
        image = encode(placement, trip.plan.values, trip.a.gpr[3] if placement.hidden is not None else 0)
        for number, pieces in enumerate(placement.arguments):
            for piece in pieces:
                value = 0
                if piece.kind in ("gpr", "fpr"):
                    value = (image.gpr if piece.kind == "gpr" else image.fpr)[piece.index]
                elif piece.kind == "mem" and piece.size == 8:
                    value = int.from_bytes(image.mem[piece.index], "little")
                if value >= _SMALLEST_ARGUMENT:
                    self._arguments[value] = f"a{number + 1}"

    def moved(self, stack: Stack, before: int, r1: int) -> None:
        """Note that an instruction moved r1: a frame was pushed, or frames were popped."""
        if not stack.thread.base <= r1 < stack.thread.top:
            # No frame is there; those on the stack are there still.
            return
        if stack.frames and not stack.thread.base <= before < stack.thread.top:
            before = stack.frames[-1].address
        if r1 >= before:
            stack.raised(r1)
            return
        if stack.cut is not None and stack.cut.address == r1:
            # Back in the frame that r1 was raised into.
            stack.frames[-1], stack.cut = stack.cut, None
            return
        kernel = self.world.kernel
        base = kernel.offsets["GPR0"]
        size = kernel.offsets["SWITCH_FRAME_SIZE"]
        regs = next((at - base for at in self._regs if r1 <= at - base and at - base + size <= before), None)
        if regs is None or (regs, before - r1) == (r1, size):
            stack.frames.append(Placed(r1, frames.pushed_frame(kernel, before - r1)))
            return
        # Several frames, or what is none of the kernel's own, in one step: the tracer said where pt_regs is.
        for low, high in ((regs + size, before), (regs, regs + size), (r1, regs)):
            if high > low:
                stack.frames.append(Placed(low, frames.pushed_frame(kernel, high - low)))

    def raised(self, thread: Thread, livepatch_sp: int) -> None:
        """Note what livepatch_sp of ``thread`` is by now; one that is beyond half of the stack's memory is none."""
        if thread.sp_start < livepatch_sp <= thread.livepatch + (thread.top - thread.base) // 2:
            self._highest[thread.task] = max(livepatch_sp, self._highest.get(thread.task, 0))

    # Names

    def memory(self, address: int) -> str:
        """Return what the memory at ``address`` is called by now."""
        for thread in self.world.threads:
            if address == thread.sp_address:
                one = thread.number == 0
                return "livepatch_sp" if one else f"livepatch_sp ({thread.name})"
            name = self._livepatch(thread, address)
            if name:
                return name
        for stack in self.stacks.values():
            if stack.thread.base <= address < stack.thread.top:
                return self._on_stack(stack, address)
        return self._data.get(address) or self._data.get(address & ~7) or self.world.name_of(address)

    def _livepatch(self, thread: Thread, address: int) -> str:
        if thread.livepatch != thread.base:
            return ""
        if address & ~7 == thread.sp_start - 8:
            return "STACK_END_MAGIC at the stack's base"
        if not thread.sp_start <= address < self._highest.get(thread.number, 0):
            return ""
        number, offset = divmod(address - thread.sp_start, frames.LIVEPATCH_FRAME_BYTES)
        slot = frames.livepatch_frame().slot_at(offset)
        return f"livepatch frame {number + 1}: {slot.name if slot is not None else offset}"

    def _on_stack(self, stack: Stack, address: int) -> str:
        for placed in reversed(stack.frames):
            if placed.address <= address < placed.end:
                slot = placed.frame.slot_at(address - placed.address)
                if slot is None:
                    return self._unnamed(placed, address - placed.address)
                if slot.name.startswith("pt_regs."):
                    return slot.name
                return f"{placed.owner}'s {slot.name}" if placed.owner else f"{placed.name}: {slot.name}"
        if stack.frames and address < stack.frames[-1].address:
            return f"{address - stack.frames[-1].address}({stack.frames[-1].name})"
        return f"{stack.thread.top - address} bytes below the top of the {stack.thread.name} stack"

    def _unnamed(self, placed: Placed, offset: int) -> str:
        """Return what ``offset`` of a frame is called that none of its slots holds."""
        number, inside = divmod(offset - frames.HEADER_BYTES, 8)
        if placed.frame.kind == frames.REGS and not inside and 0 <= offset - frames.HEADER_BYTES < self._room:
            # ELFv2 2.2.2: behind the header, and in front of pt_regs.
            return f"{placed.name}: local variable space, doubleword {number + 1}"
        return f"{offset}({placed.name})"

    def _data_names(self) -> Iterator[tuple[int, str]]:
        world, offsets = self.world, self.world.offsets
        for number, paca in enumerate(world.ground.pacas):
            cpu = f" (cpu {number})" if number else ""
            for entry in offsets.entries:
                if entry.name.startswith("PACA"):
                    field_name = "thread_info" if entry.name == "PACA_THREAD_INFO" else entry.field
                    yield paca + entry.value, f"paca.{field_name}{cpu}"
        if "call_ops" not in world.kernel.features:
            yield world.ground.function_trace_op, "function_trace_op"
        for home in range(len(HOMES)):
            for entry in offsets.entries:
                if entry.name.startswith("FTRACE_OPS_"):
                    yield world.ground.ops + OPS_SPACING * home + entry.value, f"ops.{entry.field}"

    def place(self, address: int) -> str:
        """Return what the instruction at ``address`` is called, "" if it has no name."""
        name = self.value(address)
        into = name.removeprefix("return address into ")
        return f"{into}, behind the call" if into != name else name

    def value(self, value: int) -> str:
        """Return what ``value`` is called, "" if it has no name."""
        if value in self._titles:
            return self._titles[value]
        for stack in self._nearest():
            for trip, owner in reversed(stack.calls):
                if trip.relation != "sibling" and value in (trip.site.call, trip.site.returns):
                    return f"return address into {owner}" if value == trip.site.returns else f"the call in {owner}"
        base = self.world.offsets["GPR0"]
        for stack in self._nearest():
            thread = stack.thread
            if value == thread.info:
                return "thread_info"
            if not thread.base <= value <= thread.top:
                continue
            for placed in stack.frames:
                if value == placed.address:
                    return placed.name
                if placed.frame.kind == frames.REGS and value == placed.address + base:
                    return "&pt_regs"
            if thread.livepatch == thread.base and thread.sp_start <= value < thread.base + 0xC00:
                above = value - thread.sp_start
                return f"livepatch stack + {above}" if above else "livepatch stack, empty"
            near = next((p for p in reversed(stack.frames) if value >= p.address), None)
            return f"{near.name} + {value - near.address}" if near is not None else ""
        if value in self.world.ground.pacas:
            return "paca"
        if value in self._arguments:
            return self._arguments[value]
        name = self.world.name_of(value)
        return "" if name == f"{value:#x}" else name


def all_trips(trip: Trip) -> Iterator[Trip]:
    """Yield a trip and all those inside it."""
    yield trip
    for inner in trip.inner:
        yield from all_trips(inner)
