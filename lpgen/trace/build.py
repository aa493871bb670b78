"""A recording as events: each instruction, each function that acted, with what they changed by name."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from lpgen.assembly import Unit
from lpgen.assembly.disassembly import disassemble
from lpgen.assembly.flow import branch_target
from lpgen.contract.route import NAMES as GATES
from lpgen.contract.suite import Suite
from lpgen.kernel.frames import INTERRUPT as INTERRUPTED
from lpgen.kernel.frames import interrupt_frame
from lpgen.kernel.generations import Kernel
from lpgen.machine.cases import Case
from lpgen.machine.places import CallSite, Function, Gate, Thread
from lpgen.machine.plan import SWITCH, Plan
from lpgen.machine.state import State
from lpgen.machine.stop import Step, Stop
from lpgen.machine.values import NOTHING, Values
from lpgen.machine.world import World
from lpgen.trace.event import (
    AROUND,
    CALL,
    ENTER,
    INSTRUCTION,
    INTERRUPT,
    RETURN,
    STOP,
    TRAMPOLINES,
    Access,
    Change,
    Event,
    Trace,
)
from lpgen.trace.names import Names, Placed, Stack, all_trips
from lpgen.trace.record import Departure, Recording, Run, Written, record
from lpgen.trace.said import call_said, enter_said, fields_said, result_said, return_said, stop_said

# A displacement that is still an expression of the macro that made it.
_REACHED = re.compile(r"[+*][^,]*\(r\d+\)")
_ALWAYS = re.compile(r"(b|bl|blr|blrl|bctr|bctrl)\b")
SPECIAL = ("lr", "ctr", "cr", "xer", "msr")


def trace_call(kernel: Kernel, unit: Unit, plan: Plan, *, values: Values = NOTHING, case: Case | None = None) -> Trace:
    """Run ``plan``, a settled one, through the trampolines of ``unit`` and return what happened step by step.

    ``case`` is what the call is known as in a run of `lpgen verify`. Raises LpgenError as World and Conductor.run do.
    """
    world = World(kernel, unit, watch=True, around=True)
    recording = record(world, plan, values=values)
    judged = case if case is not None else Case(-1, "trace", plan, values=values)
    verdict = Suite(kernel, unit).run([judged], watch_all=True, full=False)
    builder = _Builder(recording)
    builder.build()
    first = next(part for part in recording.parts if isinstance(part, Run))
    used = {part.thread.number for part in recording.parts if isinstance(part, Run)}
    used |= {world.threads[number].task for number in used}
    return Trace(
        kernel,
        plan,
        first.start,
        {t.base: bytes(builder.first(t.base, t.top - t.base)) for t in world.threads if t.number in used},
        builder.events,
        verdict,
        [thread for thread in world.threads if thread.number in used],
        dict(_functions(builder.names, recording)),
    )


def _functions(names: Names, recording: Recording) -> Iterator[tuple[str, dict[str, int]]]:
    for trip in all_trips(recording.trip):
        b, c = trip.b, trip.c
        yield names.title(b), {"gep": b.gep, "lep": b.lep, "toc": b.toc, "call_site": b.site}
        if trip.plan.patched or trip.plan.redirected:
            yield names.title(c), {"gep": c.gep, "lep": c.lep, "toc": c.toc}


class _Builder:
    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        self.world: World = recording.world
        self.names = Names(self.world, recording.trip)
        self.events: list[Event] = []
        self._first = recording.memory
        self._memory = {address: bytearray(memory) for address, memory in recording.memory.items()}
        self._state: State | None = None
        self._pending: dict[int, Departure] = {}
        self._scratch: list[tuple[Event, Access]] = []
        self._later: dict[int, list[Written]] = {}

    # Memory as it is at the event that is being made

    def first(self, address: int, size: int) -> bytes:
        """Return what the memory held at the begin."""
        return self._piece(self._first, address, size)

    def _piece(self, image: dict[int, bytearray], address: int, size: int) -> bytes:
        for base, memory in image.items():
            if base <= address and address + size <= base + len(memory):
                return bytes(memory[address - base : address - base + size])
        return self.world.engine.read(address, size) if self.world.engine.is_mapped(address) else bytes(size)

    def _read(self, address: int, size: int = 8) -> int:
        return int.from_bytes(self._piece(self._memory, address, size), "little")

    def _write(self, address: int, size: int, value: int) -> None:
        for base, memory in self._memory.items():
            if base <= address and address + size <= base + len(memory):
                memory[address - base : address - base + size] = value.to_bytes(size, "little")

    # Events

    def build(self) -> None:
        """Make the events, in order."""
        for part in self.recording.parts:
            if isinstance(part, Departure):
                self._pending[part.trip.thread.number] = part
                continue
            self.names.on = part.thread.number
            stack = self.names.stacks[part.thread.number]
            # An interrupt's stack has the livepatch stack of the task that it interrupts.
            stack.thread = part.thread
            self._before(part, stack)
            self._run(part, stack)
            self._after(part, stack)
        self._add_ways()
        self._add_what_frames_show()

    def _add_what_frames_show(self) -> None:
        """Give the events what they wrote below every frame where a later frame comes to lie: it shows through."""
        covered = {
            address
            for first, end in {(placed.address, placed.end) for event in self.events for placed in event.frames}
            for address in range(first & ~7, end, 8)
        }
        covered |= {access.address & ~7 for event in self.events for access in event.memory}
        for event, access in self._scratch:
            if access.address in covered:
                event.scratch -= access.size
                event.memory.append(access)

    def _add_ways(self) -> None:
        """Note of each branch where it went: what the text names may be what ftrace patched over."""
        patched = {
            address: branch_target(int.from_bytes(original, "little"), address)
            for points in self.world.patches.values()
            for address, original, _ in points
        }
        last: dict[int, Event] = {}
        for event in self.events:
            before = last.get(event.thread.number)
            if before is not None and before.kind == INSTRUCTION and before.text[:1] == "b" and event.kind != INTERRUPT:
                on = event.address == before.address + 4 and not _ALWAYS.match(before.text)
                where = event.actor if event.actor.endswith("'s body") else event.symbol or event.actor
                by = "patched, " if patched.get(before.address, event.address) != event.address else ""
                if where or on:
                    before.notes.append("not taken" if on else f"{by}to {where}")
            last[event.thread.number] = event

    def _event(self, kind: str, stack: Stack, text: str) -> Event:
        event = Event(len(self.events), kind, stack.thread, len(stack.calls), text)
        self.events.append(event)
        return event

    def _finish(self, event: Event, stack: Stack, r1: int) -> None:
        thread = stack.thread
        event.r1 = r1
        event.livepatch_sp = self._read(thread.sp_address)
        event.frames = tuple(stack.frames)
        self.names.raised(thread, event.livepatch_sp)

    def _before(self, run: Run, stack: Stack) -> None:
        """Make the event of what was done before ``run``: a call is made, or a function goes on."""
        departure = self._pending.pop(run.thread.number, None)
        reached = run.start
        written = self._own_writes(run)
        if departure is not None:
            trip = departure.trip
            outer = next((w.after for w in written if w.address == trip.frame), None) or self._read(trip.frame)
            who = self.names.owner(trip)
            self.names.depart(trip, max(outer - trip.frame, 32))
            if trip.relation == "sibling" and stack.acting:
                stack.acting.pop()
            event = self._event(CALL, stack, call_said(self.names, trip, who))
            event.actor = who
            event.address = run.start.pc
            event.symbol = self.names.value(run.start.pc)
        else:
            who, reached = stack.acting.pop() if stack.acting else ("A", run.start)
            event = self._event(RETURN, stack, "")
            event.actor = who
            stack.pop_below(run.start.gpr[1])
        if self._state is not None:
            event.registers = list(self._changes(self._state, run.start))
        self._writes(event, written, stack)
        if departure is None:
            changed = [one.register for one in self._changes(reached, run.start)]
            event.text = return_said(event, who, changed)
        self._state = run.start
        self._finish(event, stack, run.start.gpr[1])

    def _own_writes(self, run: Run) -> list[Written]:
        """Return what the functions of the run's thread wrote; another's, on its own stack, wait for its next run."""
        thread = run.thread
        own = self._later.pop(thread.number, [])
        others = [t for t in self.world.threads if t.number != thread.number]
        for one in run.written:
            stack = next((t for t in others if t.base <= one.address < t.top), None)
            if stack is None or self._in_livepatch(thread, one.address):
                own.append(one)
            else:
                self._later.setdefault(stack.number, []).append(one)
        return own

    def _writes(self, event: Event, written: Sequence[Written], stack: Stack) -> None:
        """Put into ``event`` what a function wrote: by name, or counted where it is below every frame."""
        lowest = stack.frames[-1].address if stack.frames else 0
        thread = stack.thread
        for one in written:
            below = thread.base <= one.address < lowest and not self._in_livepatch(thread, one.address)
            below |= any(p.frame.kind == INTERRUPTED and p.address < one.address < p.end for p in stack.frames)
            self._write(one.address, 8, one.after)
            name, means = self.names.memory(one.address), self.names.value(one.after)
            access = Access("store", one.address, 8, one.after, one.before, name, means)
            if below:
                event.scratch += 8
                self._scratch.append((event, access))
            else:
                event.memory.append(access)

    def _in_livepatch(self, thread: Thread, address: int) -> bool:
        return thread.livepatch <= address < max(self._read(thread.sp_address), thread.sp_start)

    def _changes(self, before: State, after: State) -> Iterator[Change]:
        for n in range(32):
            if before.gpr[n] != after.gpr[n]:
                yield self._change(f"r{n}", before.gpr[n], after.gpr[n])
        for name in SPECIAL:
            was, now = getattr(before, name), getattr(after, name)
            if was != now:
                yield self._change(name, was, now)
        for n in range(32):
            if before.fpr[n] != after.fpr[n]:
                yield Change(f"f{n}", before.fpr[n], after.fpr[n])
        for n in range(32):
            one, other = before.vector(n), after.vector(n)
            if one != other:
                yield Change(f"v{n}", int.from_bytes(one, "little"), int.from_bytes(other, "little"))

    def _change(self, register: str, before: int, after: int) -> Change:
        if register == "cr":
            return Change(register, before, after, fields_said(before, after))
        named = register not in ("xer", "msr")
        return Change(register, before, after, self.names.value(after) if named else "")

    # The guest's own steps

    def _run(self, run: Run, stack: Stack) -> None:
        stop = run.stop
        assert stop is not None
        grouped: list[tuple[Step, list[Step]]] = []
        for step in run.steps:
            if step.kind == "insn":
                grouped.append((step, []))
            elif grouped:
                grouped[-1][1].append(step)
        end = stop.state
        last = Step("insn", 0, tuple(end.gpr), lr=end.lr, ctr=end.ctr, cr=end.cr)
        following = [*(step for step, _ in grouped), last][1:]
        for (step, accesses), after in zip(grouped, following, strict=True):
            self._instruction(step, accesses, after, stack)
        if grouped:
            self._unseen(run.start, end, len(grouped))
        self._state = end

    def _unseen(self, start: State, end: State, count: int) -> None:
        """Give XER and MSR to the instruction that moved to them, FPRs and VRs to the last one: they show at the end.

        ``count`` is how many instructions there were.
        """
        seen = {f"r{n}" for n in range(32)} | {"lr", "ctr", "cr"}
        own = self.events[-count:]
        for change in self._changes(start, end):
            if change.register not in seen:
                to = f"mt{change.register}"
                moved = (event for event in reversed(own) if event.text.startswith(to))
                next(moved, own[-1]).registers.append(change)

    def _instruction(self, step: Step, accesses: list[Step], after: Step, stack: Stack) -> None:
        world = self.world
        event = self._event(INSTRUCTION, stack, "")
        event.address = step.pc
        line = world.image.line_at(step.pc)
        first, end = world.text
        event.origin = TRAMPOLINES if first <= step.pc < end else AROUND
        event.symbol = world.name_of(step.pc) if event.origin == TRAMPOLINES else self.names.place(step.pc)
        word = int.from_bytes(world.engine.read(step.pc, 4), "little")
        if line is not None:
            event.text = " ".join(line.text.replace("%r", "r").split())
            event.place, event.template = line.place, line.template
        if line is None or _REACHED.search(event.text):
            event.text = disassemble(word, step.pc, self._aim)
        if step.gpr[1] != after.gpr[1]:
            self.names.moved(stack, step.gpr[1], after.gpr[1])
        for n in range(32):
            if step.gpr[n] != after.gpr[n]:
                event.registers.append(self._change(f"r{n}", step.gpr[n], after.gpr[n]))
        for name in ("lr", "ctr", "cr"):
            was, now = getattr(step, name), getattr(after, name)
            if was != now:
                event.registers.append(self._change(name, was, now))
        for access in accesses:
            event.memory.append(self._access(access, stack))
        self._finish(event, stack, after.gpr[1])

    def _aim(self, address: int) -> str:
        return self.names.value(address) or f"{address:#x}"

    def _access(self, step: Step, stack: Stack) -> Access:
        before = self._read(step.address, step.size)
        value = step.value if step.kind == "store" else before
        if step.kind == "store":
            self._write(step.address, step.size, value)
            if step.address == stack.thread.sp_address:
                self.names.raised(stack.thread, value)
        means = self.names.value(value) if step.size == 8 else ""
        return Access(step.kind, step.address, step.size, value, before, self.names.memory(step.address), means)

    # Where a run came to

    def _after(self, run: Run, stack: Stack) -> None:
        stop, gate = run.stop, run.gate
        assert stop is not None
        if gate is None:
            self._stopped(stop, stack)
            return
        event = self._event(ENTER, stack, "")
        event.address = self._gate_address(gate)
        event.symbol = self.names.place(event.address) if event.address else ""
        if gate.kind == "back":
            while stack.calls:
                trip, event.actor = stack.calls.pop()
                if trip.relation != "sibling":
                    break
            event.text = f"back in {event.actor}"
            event.depth = len(stack.calls)
            event.notes = list(result_said(trip, stop.state))
        else:
            trip = stack.calls[-1][0] if stack.calls else self.recording.trip
            event.actor = self._who(gate)
            event.text = f"{event.actor} is reached"
            event.notes = list(enter_said(self.names, trip, gate, stop.state, self._read))
            stack.acting.append((event.actor, stop.state))
        self._finish(event, stack, stop.state.gpr[1])

    def _who(self, gate: Gate) -> str:
        function = gate.what
        if isinstance(function, Function):
            title = self.names.title(function)
            return f"{title}'s body" if gate.kind == "body" else title
        return GATES.get(gate.kind, gate.kind).removeprefix("the ")

    def _gate_address(self, gate: Gate) -> int:
        function = gate.what
        if function is None:
            return {"tracer": self.world.tracer}.get(gate.kind, 0)
        if isinstance(function, CallSite):
            return function.returns
        return function.site + 4 if gate.kind == "body" else function.gep

    def _stopped(self, stop: Stop, stack: Stack) -> None:
        kind = INTERRUPT if stop.kind == "boundary" else STOP
        event = self._event(kind, stack, stop_said(self.names, stop))
        event.address, event.symbol = stop.pc, self.world.name_of(stop.pc)
        event.actor = "interrupt handler" if kind == INTERRUPT else ""
        line = self.world.image.line_at(stop.pc)
        if line is not None:
            event.place, event.template = line.place, line.template
        if kind == INTERRUPT:
            stack.acting.append((event.actor, stop.state))
            r1, size = stop.state.gpr[1], self.world.offsets["INT_FRAME_SIZE"]
            during = self.recording.trip.interruption
            if during is not None and during.handled and during.mode != SWITCH:
                # Contract section 2: right below r1, the red zone's 288 bytes included.
                stack.frames.append(Placed(r1 - size, interrupt_frame(size)))
        self._finish(event, stack, stop.state.gpr[1])
