"""Running a plan: A, B, C and the tracer act, the trampolines run for real, and what was seen is kept for judging.

Each call is a generator that yields the registers to go on with and is sent what the guest did next, so that calls
nest, and can be stopped and interleaved at any point.
"""

from __future__ import annotations

import struct
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from random import Random

from lpgen.callers.values import decode, encode, encode_result
from lpgen.callers.variadic import VariadicReader
from lpgen.machine.engine import KERNEL_MSR, Step, Stop
from lpgen.machine.plan import PATCH, SAME, Plan
from lpgen.machine.state import State
from lpgen.machine.world import (
    BASE_WINDOW,
    LIVEPATCH_FRAME,
    PACA,
    CallSite,
    Function,
    Gate,
    Thread,
    World,
)

M64 = (1 << 64) - 1
# Power ISA 3.0B 3.2.2: SO OV CA OV32 CA32; the others are reserved or belong to string instructions.
XER_BITS = 0xE00C0000
CR_KEPT = 0x00FFF000
VOLATILE_GPR = (0, *range(3, 13))
KEPT_GPR = (1, *range(14, 32))
MAX_EVENTS = 24
# How far below its r1 a called function writes: more than any frame in here.
CALLEE_BYTES = 640


@dataclass(slots=True)
class Moment:
    """What there was to see when the guest came to a gate.

    ``where`` is the gate's kind, ``what`` the function or call site it stands for. ``stack`` is the memory from ``low``
    to the top of the stack, ``base`` its first BASE_WINDOW bytes, ``frame`` what A's frame and all above it should
    hold. ``pt_regs`` is the address that the tracer got, 0 if that was no address on its stack.
    """

    where: str
    what: Function | CallSite | None
    state: State
    low: int
    stack: bytes
    base: bytes
    frame: bytes
    pt_regs: int = 0
    arguments: list[bytes] | None = None
    steps: list[Step] = field(default_factory=list)

    def u64(self, address: int) -> int | None:
        """Return the doubleword at ``address`` of the stack, None outside of what was kept."""
        at = address - self.low
        if 0 <= at <= len(self.stack) - 8:
            value: int = struct.unpack_from("<Q", self.stack, at)[0]
            return value
        return None


@dataclass(slots=True)
class Trip:
    """One call and what was seen of it: ``a`` registers in A at the call, ``entry`` those at ftrace_caller."""

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
    nip_after: int = 0
    link_after: int = 0
    edits: Mapping[int, int] = field(default_factory=dict)
    graph_return: int = 0
    moments: list[Moment] = field(default_factory=list)
    inner: list[Trip] = field(default_factory=list)
    end: Stop | None = None
    constants: list[tuple[int, int, int]] = field(default_factory=list)
    other_stack: int | None = None
    last_steps: list[Step] = field(default_factory=list)
    final_base: bytes = b""

    def at(self, where: str) -> list[Moment]:
        """Return the moments at gates of one kind, in order."""
        return [moment for moment in self.moments if moment.where == where]

    @property
    def frame(self) -> int:
        """A's r1: the address of its frame."""
        return self.a.gpr[1]


Call = Generator[State, Stop, Trip]


class Conductor:
    """Runs plans in one World. Moments have steps only in a world that watches its trampolines."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.engine = world.engine
        self._steps: list[Step] = []
        if world.watched:
            self.engine.trace(self._steps)
        regs = world.offsets
        self._field = {name: regs[name] - regs["GPR0"] for name in ("_NIP", "_LINK")}

    def run(self, plan: Plan) -> Trip:
        """Run ``plan``, a settled one, on a fresh stack and return what was seen; a faulting guest raises nothing."""
        world = self.world
        thread = world.threads[plan.thread]
        others = [(t, world.stack_image(t)) for t in world.threads if t is not thread]
        world.patch(tracer=plan.tracing, graph=plan.graph and "graph_hook" in world.kernel.features)
        outer = world.reset(thread)
        self._steps.clear()
        call = self.call(plan, thread, outer)
        state = next(call)
        while True:
            try:
                state = call.send(self.engine.resume(state))
            except StopIteration as done:
                trip: Trip = done.value
                break
        trip.constants = world.changed_constants()
        for other, before in others:
            if world.stack_image(other) != before:
                trip.other_stack = other.number
                world.reset(other)
        return trip

    def call(self, plan: Plan, thread: Thread, outer: int) -> Call:
        """Make the call that ``plan`` says from a frame pushed below ``outer`` (an r1)."""
        world = self.world
        b = world.functions_b[plan.home_b * len(world.kernel.call_sites) + plan.form]
        c = world.twins[b.gep] if plan.twin else world.functions_c[plan.home_c * 2 + plan.seed % 2]
        site = world.pointer_calls[plan.home_a] if plan.pointer else world.local_calls[b.gep]
        rng = Random(plan.seed ^ 0x5EED)
        a = self._state_of_a(plan, thread, outer, b, site, rng)
        entry = a.copy()
        entry.lr, entry.gpr[0] = b.site + 4, site.returns
        if plan.pointer:
            entry.gpr[2] = b.toc
        effects = world.stub_effects(b.home)
        if effects is not None:
            for number, value in effects.items():
                entry.gpr[number] = value
            entry.ctr = effects[12]
        entry.pc = world.symbol("ftrace_caller")
        trip = Trip(
            plan,
            thread,
            site,
            b,
            c,
            a,
            entry,
            self.engine.read_u64(thread.sp_address),
            self.engine.read(thread.base, BASE_WINDOW),
            self._chain(thread, a.gpr[1]),
            nip_after=b.site + 4,
            link_after=site.returns,
        )
        frame = bytearray(self.engine.read(a.gpr[1], thread.top - a.gpr[1]))
        state = a
        for _ in range(MAX_EVENTS):
            stop = yield state
            steps, self._steps[:] = self._steps.copy(), []
            if stop.kind != "gate":
                trip.end = stop
                trip.last_steps = steps
                trip.final_base = self.engine.read(thread.base, BASE_WINDOW)
                return trip
            gate = world.gate(stop.gate)
            moment = self._moment(trip, gate, stop.state, frame)
            moment.steps = steps
            trip.moments.append(moment)
            if gate.kind == "back":
                return trip
            if gate.kind == "tracer":
                state = self._tracer(trip, moment, rng)
            elif gate.kind == "graph":
                state = self._graph(trip, moment, rng)
            elif gate.kind in ("kretprobe", "graph_return"):
                state = moment.state.copy()
                state.pc = state.lr = trip.site.returns
            else:
                state = yield from self._body(trip, moment, frame, rng)
                if trip.inner and trip.inner[-1].end is not None:
                    trip.end = trip.inner[-1].end
                    return trip
        trip.end = Stop("runaway", state.pc, state, what=f"{MAX_EVENTS} calls without a return to A")
        return trip

    # A

    def _state_of_a(self, plan: Plan, thread: Thread, outer: int, b: Function, site: CallSite, rng: Random) -> State:
        placement = plan.shape.placement
        result_bytes = (placement.prototype.result.size + 15) & ~15 if placement.hidden is not None else 0
        locals_at = 32 + ((placement.parameter_save_area_size + 15) & ~15)
        frame = outer - (locals_at + result_bytes + 16 * rng.randint(0, 3))
        buffer = frame + locals_at
        image = encode(placement, plan.values, buffer)
        words = struct.unpack("<72Q", rng.randbytes(72 * 8))
        gpr, fpr = list(words[:32]), list(words[32:64])
        vr = bytearray(rng.randbytes(512))
        for number, value in image.gpr.items():
            gpr[number] = value
        for number, value in image.fpr.items():
            fpr[number] = value
        for number, data in image.vr.items():
            vr[16 * number : 16 * number + 16] = data
        self.engine.write_u64(frame, outer)
        for offset, data in image.mem.items():
            self.engine.write(frame + offset, data)
        gpr[1], gpr[2], gpr[13] = frame, site.toc, PACA
        ctr = words[64]
        if plan.pointer:
            self.engine.write_u64(frame + 24, site.toc)
            gpr[12] = ctr = b.gep
        return State(
            gpr,
            words[65],
            ctr,
            words[66] & XER_BITS,
            words[67] & 0xFFFFFFFF,
            site.call,
            KERNEL_MSR,
            fpr,
            bytes(vr),
        )

    def _chain(self, thread: Thread, frame: int) -> list[int]:
        """Return the return addresses that a back-chain walk from ``frame`` lists."""
        found = []
        at = self.engine.read_u64(frame)
        while thread.base <= at < thread.top - 24:
            found.append(self.engine.read_u64(at + 16))
            at = self.engine.read_u64(at)
        return found

    # Seeing

    def _moment(self, trip: Trip, gate: Gate, state: State, frame: bytearray) -> Moment:
        thread = trip.thread
        r1 = state.gpr[1]
        low = r1 & ~15 if thread.base <= r1 < trip.frame else trip.frame
        moment = Moment(
            gate.kind,
            gate.what,
            state,
            low,
            self.engine.read(low, thread.top - low),
            self.engine.read(thread.base, BASE_WINDOW),
            bytes(frame),
        )
        if gate.kind == "tracer":
            regs = state.gpr[6]
            if thread.base <= regs <= thread.top - 400 and not regs & 7:
                moment.pt_regs = regs
        return moment

    # The functions that are not under test

    def _clobber(self, state: State, rng: Random, *, floats: bool, keep: tuple[int, ...] = ()) -> None:
        """Change every volatile register but those in ``keep``, as ELFv2 2.2.1 lets a called function."""
        words = struct.unpack("<48Q", rng.randbytes(48 * 8))
        for number in VOLATILE_GPR:
            if number not in keep:
                state.gpr[number] = words[number]
        state.ctr = words[32]
        state.xer = words[33] & XER_BITS
        state.cr = (state.cr & CR_KEPT) | (words[34] & 0xFFFFFFFF & ~CR_KEPT)
        if floats:
            state.fpr[:14] = words[16:30]
            state.vr = rng.randbytes(320) + state.vr[320:]

    def _use_stack(self, thread: Thread, state: State, rng: Random) -> bytes:
        """Write what a called function writes: LR and CR save of its caller's frame, and a frame of its own.

        Return the CR save word.
        """
        r1 = state.gpr[1]
        saved = rng.randbytes(4)
        if thread.base + BASE_WINDOW <= r1 - CALLEE_BYTES <= r1 <= thread.top - 32:
            self.engine.write(r1 - CALLEE_BYTES, rng.randbytes(CALLEE_BYTES))
            self.engine.write(r1 + 8, saved)
            self.engine.write_u64(r1 + 16, state.lr)
        return saved

    def _tracer(self, trip: Trip, moment: Moment, rng: Random) -> State:
        plan = trip.plan
        regs = moment.pt_regs
        if regs:
            if plan.nip == PATCH:
                trip.nip_after = trip.c.gep
            if plan.nip in (PATCH, SAME):
                self.engine.write_u64(regs + self._field["_NIP"], trip.nip_after)
            if plan.link:
                trip.link_after = self.world.kretprobe
                self.engine.write_u64(regs + self._field["_LINK"], trip.link_after)
            if plan.edit:
                trip.edits = {n: rng.getrandbits(64) for n in (*range(3, 11), *range(14, 32))}
                for number, value in trip.edits.items():
                    self.engine.write_u64(regs + 8 * number, value)
        state = moment.state.copy()
        self._use_stack(trip.thread, state, rng)
        # The kernel is compiled without FP and vector registers: the tracer changes none.
        self._clobber(state, rng, floats=False)
        state.pc = state.lr
        return state

    def _graph(self, trip: Trip, moment: Moment, rng: Random) -> State:
        state = moment.state.copy()
        self._use_stack(trip.thread, state, rng)
        self._clobber(state, rng, floats=False)
        trip.graph_return = self.world.graph_return if trip.plan.seed & 2 else moment.state.gpr[3]
        state.gpr[3] = trip.graph_return
        state.pc = state.lr
        return state

    def _body(self, trip: Trip, moment: Moment, frame: bytearray, rng: Random) -> Generator[State, Stop, State]:
        """Be B's body or C: take the arguments, call what the plan says, use what the ABI allows, return the result."""
        plan, thread = trip.plan, trip.thread
        placement = plan.shape.placement
        seen = moment.state
        r1 = seen.gpr[1]
        inside = thread.base <= r1 <= thread.top - 32 - max(placement.parameter_save_area_size, 0)
        if not inside:
            state = seen.copy()
            state.pc = state.lr
            return state

        def read(offset: int, size: int) -> bytes:
            return self.engine.read(r1 + offset, size) if r1 + offset + size <= thread.top else bytes(size)

        def legitimately(offset: int, data: bytes) -> None:
            at = r1 + offset
            self.engine.write(at, data)
            if trip.frame <= at and at + len(data) <= thread.top:
                frame[at - trip.frame : at - trip.frame + len(data)] = data

        gprs = dict(enumerate(seen.gpr))
        if placement.prototype.variadic:
            reader = VariadicReader(placement)
            fixed = len(placement.prototype.params)
            vectors = {n: seen.vector(n) for n in range(2, 14)}
            moment.arguments = decode(placement, gprs, dict(enumerate(seen.fpr)), vectors, read)[:fixed]
            for offset, data in reader.spill(gprs):
                legitimately(offset, data)
            moment.arguments += reader.read_all(read)
        else:
            vectors = {n: seen.vector(n) for n in range(2, 14)}
            moment.arguments = decode(placement, gprs, dict(enumerate(seen.fpr)), vectors, read)
        if placement.parameter_save_area_size:
            # The parameter save area is the called function's to write to.
            legitimately(32, rng.randbytes(placement.parameter_save_area_size))
        state = seen.copy()
        legitimately(8, self._use_stack(thread, state, rng))
        if plan.inner:
            yield from self._inner(trip, state)
        image = encode_result(placement, plan.result, trip.a.gpr[3] if placement.hidden is not None else 0)
        for address, data in image.memory.items():
            legitimately(address - r1, data)
        self._clobber(state, rng, floats=True)
        for number, value in image.gpr.items():
            state.gpr[number] = value
        for number, value in image.fpr.items():
            state.fpr[number] = value
        vr = bytearray(state.vr)
        for number, data in image.vr.items():
            vr[16 * number : 16 * number + 16] = data
        state.vr = bytes(vr)
        if moment.where == "c":
            # C leaves any r2 behind, as it restores its own TOC only for itself.
            state.gpr[2] = trip.c.toc if plan.seed & 4 else rng.getrandbits(64)
            if plan.marker:
                self._destroy_marker(thread, plan.marker)
        state.pc = state.lr
        return state

    def _inner(self, trip: Trip, state: State) -> Generator[State, Stop, None]:
        """Make the inner calls from a frame of the calling function's own."""
        own = state.gpr[1] - 0x70
        self.engine.write_u64(own, state.gpr[1])
        for plan in trip.plan.inner:
            if trip.thread.base + 0x1000 > own:
                return
            trip.inner.append((yield from self.call(plan, trip.thread, own)))
            if trip.inner[-1].end is not None:
                return

    def _destroy_marker(self, thread: Thread, how: int) -> None:
        top = self.engine.read_u64(thread.sp_address)
        if thread.base + LIVEPATCH_FRAME <= top <= thread.top:
            marker = self.engine.read_u64(top - 8)
            self.engine.write_u64(top - 8, (marker ^ 0xFFFF << 32, marker ^ 1, 0, M64)[how - 1])
