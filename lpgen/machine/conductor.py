"""Running a plan: A, B, C and the tracer act, the trampolines run for real, and what was seen is kept for judging.

Each call is a generator that yields the registers to go on with and is sent what the guest did next, so that calls
nest, run in turns, and can be interrupted at any instruction.
"""

from __future__ import annotations

from collections.abc import Generator
from random import Random

from lpgen.callers.values import encode, encode_result
from lpgen.errors import LpgenError
from lpgen.kernel.checks import RED_ZONE
from lpgen.machine.actors import back_chain, clobber, destroy_marker, direct_trampoline, state_of_a, use_stack
from lpgen.machine.places import (
    BASE_WINDOW,
    LEAN,
    LIVEPATCH_FRAME,
    MCOUNT,
    REGS,
    CallSite,
    Function,
    Gate,
    Patched,
    Thread,
)
from lpgen.machine.plan import (
    CALLS,
    DIRECT_OPS,
    FRAME,
    Interrupt,
    Plan,
)
from lpgen.machine.roles import (
    change_regs,
    choose_in_a,
    is_current_kprobe_addr,
    prepare_ftrace_return,
    return_to,
    take_arguments,
)
from lpgen.machine.state import State
from lpgen.machine.stop import Step, Stop
from lpgen.machine.trip import Interruption, Moment, Trip
from lpgen.machine.values import NOTHING, Values, check_values, overlay
from lpgen.machine.world import World

MAX_EVENTS = 24
# What an interrupt's handler uses below its frame.
HANDLER_BYTES = 512

Call = Generator[State, Stop, Trip]


class Conductor:
    """Runs plans in one World. Moments have steps and interrupts come only in a world that watches its trampolines."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.engine = world.engine
        self._steps: list[Step] = []
        self._features = world.kernel.features
        self._paca = [world.ground.pacas[0]] * len(world.threads)
        self._interrupt: Interrupt | None = None
        self._interruption: Interruption | None = None
        self._interrupted: Plan | None = None
        self._extra: list[Trip] = []
        self._waiting: list[tuple[Call, State, Thread]] = []

    def run(self, plan: Plan, *, trace: bool = True, values: Values = NOTHING) -> Trip:
        """Run ``plan``, a settled one, on fresh stacks and return what was seen; a faulting guest raises nothing.

        ``trace`` off: moments have no steps in a watched world either, which takes a third of the time. ``values`` are
        put over what is drawn for the outermost call. Raises LpgenError for one that the plan leaves no choice of.
        """
        if values:
            check_values(self.world.kernel, plan, values)
        self.world.choose_flag(values.flag)
        try:
            return self._run_plan(plan, trace, values)
        except LpgenError:
            # What was begun is nothing that a later call did to this one's stacks.
            self.world.changed_stack(self.world.owners(plan.threads()))
            raise

    def _run_plan(self, plan: Plan, trace: bool, values: Values) -> Trip:
        world = self.world
        if world.watched:
            self.engine.trace(self._steps if trace else None)
        involved = world.owners(plan.threads())
        self._patch(plan, outermost=True)
        outer = {number: world.reset(world.threads[number]) for number in involved}
        self._steps.clear()
        self._extra, self._waiting = [], []
        self._interruption, self._interrupt, self._interrupted = None, plan.interrupt, plan
        for number in involved:
            self._paca[number] = world.ground.pacas[number & 1]
        self.engine.interrupt_at(plan.interrupt.boundary if plan.interrupt is not None and world.watched else 0)
        thread = world.threads[plan.thread]
        main = self.call(plan, thread, outer[plan.thread], "", values)
        running = [(main, next(main), thread)]
        if plan.beside is not None:
            beside = plan.beside
            thread = world.threads[beside.thread]
            other = self.call(beside, thread, outer[beside.thread], "beside")
            running.append((other, next(other), thread))
        trip = self._in_turns(running, main, Random(plan.seed ^ 0x7412))
        self.engine.interrupt_at(0)
        trip.inner += self._extra
        trip.interruption = self._interruption
        trip.constants = world.data.changed()
        trip.other_stack = world.changed_stack(involved)
        return trip

    def _in_turns(self, running: list[tuple[Call, State, Thread]], main: Call, rng: Random) -> Trip:
        """Run calls in turns to their ends; a call that did not end as it should ends all."""
        done: Trip | None = None
        while running or self._waiting:
            if not running:
                running.append(self._waiting.pop())
            index = rng.randrange(len(running)) if len(running) > 1 else 0
            call, state, thread = running[index]
            try:
                running[index] = (call, call.send(self._resume(state, thread)), thread)
            except StopIteration as finished:
                del running[index]
                if call is main:
                    done = finished.value
                else:
                    self._extra.append(finished.value)
                if finished.value.end is not None and done is not None:
                    break
        assert done is not None
        return done

    def _patch(self, plan: Plan, *, outermost: bool = False) -> None:
        if plan.early and not outermost:
            # What is patched in is nothing to _mcount; it stays for calls that run at the same time.
            return
        graph = plan.graph and "graph_hook" in self._features
        self.world.patch(Patched(plan.tracing, graph, plan.disabled, plan.direct == DIRECT_OPS))

    # Interrupts

    def _resume(self, state: State, thread: Thread) -> Stop:
        stop = self._run(state, thread)
        if stop.kind == "boundary":
            self.engine.interrupt_at(0)
            stop = self._run(self._handle_interrupt(stop), thread)
        return stop

    def _run(self, state: State, thread: Thread) -> Stop:
        """Run on the cpu that the thread is on, where its task is the current one."""
        self.world.data.run_on(self._paca[thread.number], thread)
        stop = self.engine.resume(state)
        if stop.kind == "trap":
            self.world.check_linked(stop.pc)
        return stop

    def _handle_interrupt(self, stop: Stop) -> State:
        """Be the interrupt handler: return the registers to go on with, the same but for the paca after a switch."""
        interrupt = self._interrupt
        assert interrupt is not None
        r1 = stop.state.gpr[1]
        thread = next((t for t in self.world.threads if t.base + BASE_WINDOW <= r1 < t.top), None)
        handled = thread is not None and not r1 & 15
        self._interruption = Interruption(stop.pc, r1, interrupt.mode, handled)
        if thread is None or not handled:
            return stop.state
        steps, self._steps[:] = self._steps.copy(), []
        rng = Random(stop.pc)
        frame = r1 - self.world.offsets["SWITCH_FRAME_SIZE"] - RED_ZONE
        if interrupt.mode in (FRAME, CALLS):
            self.engine.write(frame - HANDLER_BYTES, rng.randbytes(r1 - RED_ZONE - frame + HANDLER_BYTES))
            self.engine.write_u64(frame, r1)
        state = stop.state
        plan = interrupt.plan
        if plan is not None:
            on = self.world.threads[plan.thread]
            if interrupt.mode == CALLS:
                on = self.world.interrupting(on, thread)
                self._paca[on.number] = self._paca[thread.number]
                outer = frame if on is thread else on.top - 0x100
                self._extra.append(self._run_to_end(self.call(plan, on, outer, "interrupt"), on))
            else:
                self._run_a_while(self.call(plan, on, on.top - 0x100, "beside"), on, rng)
                state = stop.state.copy()
                self._to_another_cpu(thread, state)
        self._steps[:] = steps
        return state

    def _run_to_end(self, call: Call, thread: Thread) -> Trip:
        state = next(call)
        while True:
            try:
                state = call.send(self._run(state, thread))
            except StopIteration as finished:
                trip: Trip = finished.value
                return trip

    def _run_a_while(self, call: Call, thread: Thread, rng: Random) -> None:
        """Run another thread's call up to one of its gates; the rest comes after the interrupted call's end."""
        state = next(call)
        for _ in range(rng.randint(1, 4)):
            try:
                state = call.send(self._run(state, thread))
            except StopIteration as finished:
                self._extra.append(finished.value)
                return
        self._waiting.append((call, state, thread))

    # A call

    def call(self, plan: Plan, thread: Thread, outer: int, relation: str = "", values: Values = NOTHING) -> Call:
        """Make the call that ``plan`` says from a frame pushed below ``outer`` (an r1)."""
        rng = Random(plan.seed ^ 0x5EED)
        trip = self._depart(plan, thread, outer, relation, rng, values)
        trip.outset = self.engine.read(trip.frame, thread.top - trip.frame)
        frame = bytearray(trip.outset)
        state, current = trip.a, trip
        before: list[Step] = []
        for _ in range(MAX_EVENTS):
            stop = yield state
            steps, self._steps[:] = before + self._steps, []
            before = []
            if stop.kind != "gate":
                # A sibling that has been reached returns for C: what is missing then is C's own return.
                reached = current is trip or bool(current.at("c") or current.at("body"))
                for one in (trip,) if reached else (trip, current):
                    one.end, one.last_steps = stop, steps
                if stop.kind == "trap":
                    moment = self._moment(trip, Gate("trap"), stop.state, frame)
                    moment.steps = steps
                    trip.moments.append(moment)
                return trip
            gate = self.world.gate(stop.gate)
            if gate.kind in ("back", "kretprobe"):
                current = trip
            if gate.kind == "kprobe" and "kprobe_test" not in self._features:
                # A trampoline may ask all the same; the answer decides nothing here.
                state, before = is_current_kprobe_addr(self.world, current, stop.state, rng), steps
                continue
            moment = self._moment(current, gate, stop.state, frame)
            moment.steps = steps
            if gate.kind == "c" and current.plan.redirected:
                moment.where = "redirected"
            current.moments.append(moment)
            if gate.kind == "back":
                return trip
            if gate.kind in ("own", "wild"):
                trip.end = Stop("fault", 0, stop.state, what="a jump into the harness")
                return trip
            if gate.kind == "tracer":
                state = yield from self._tracer(current, moment, rng)
            elif gate.kind == "graph":
                state = prepare_ftrace_return(self.world, current, moment, rng)
                if current.plan.wander:
                    self._to_another_cpu(thread, state)
            elif gate.kind == "kprobe":
                state = is_current_kprobe_addr(self.world, current, moment.state, rng)
            elif gate.kind == "unhook":
                state = return_to(self.world, current, moment, rng)
                if current.plan.wander:
                    self._to_another_cpu(thread, state)
            elif gate.kind == "direct":
                state = moment.state.copy()
                direct_trampoline(self.engine, thread, state, rng)
                overlay(state, current.values.direct)
                state.pc = state.lr
            elif gate.kind in ("kretprobe", "graph_return"):
                state = moment.state.copy()
                state.pc = state.lr = current.site.returns
                current = trip
            else:
                state = yield from self._body(current, moment, frame, rng)
                trip.left = state.copy()
                sibling = current.plan.sibling
                if gate.kind == "c" and sibling is not None:
                    current = self._sibling(current, sibling, state, rng)
                    state = current.a.copy()
                    trip.result = current.result
                    if sibling.pointer:
                        frame[24:32] = self.engine.read(trip.frame + 24, 8)
            moment.after = state
            if trip.cut_short and trip.end is None:
                trip.end = next(t.end for t in trip.inner if t.end is not None)
                return trip
        trip.end = Stop("runaway", state.pc, state, what=f"{MAX_EVENTS} calls without a return to A")
        return trip

    def _b(self, plan: Plan) -> Function:
        entry = MCOUNT if plan.early else LEAN if plan.lean else REGS
        return self.world.functions_b[plan.home_b, 0 if plan.early else plan.form, entry]

    def _c(self, plan: Plan, b: Function, values: Values) -> Function:
        if values.nip is not None:
            return self.world.c_at(values.nip, plan.home_c)
        return self.world.twins[b.gep] if plan.twin else self.world.functions_c[plan.home_c * 2 + plan.seed % 2]

    def _depart(self, plan: Plan, thread: Thread, outer: int, relation: str, rng: Random, values: Values) -> Trip:
        world = self.world
        b = self._b(plan)
        site = world.pointer_calls[plan.home_a] if plan.pointer else world.local_calls[b.gep]
        a = state_of_a(self.engine, plan, outer, b, site, self._paca[thread.number], rng)
        if values:
            choose_in_a(world, plan, thread, b, outer, a, values)
        return self._trip(plan, thread, site, a, relation, values)

    def _trip(
        self, plan: Plan, thread: Thread, site: CallSite, a: State, relation: str, values: Values = NOTHING
    ) -> Trip:
        world = self.world
        b = self._b(plan)
        entry = a.copy()
        entry.lr, entry.gpr[0] = b.lr, site.returns
        if plan.pointer:
            entry.gpr[2] = b.toc
        effects = world.stub_effects(b)
        if effects is not None:
            for number, value in effects.items():
                entry.gpr[number] = value
            entry.ctr = effects[12]
        entry.pc = world.symbol(b.target)
        return Trip(
            plan,
            thread,
            site,
            b,
            self._c(plan, b, values),
            a,
            entry,
            self.engine.read_u64(thread.sp_address),
            self.engine.read(thread.livepatch, BASE_WINDOW),
            back_chain(self.engine, thread, a.gpr[1]),
            relation,
            nip_after=b.site + 4,
            link_after=site.returns,
            result=plan.result,
            values=values,
        )

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
            self.engine.read(thread.livepatch, BASE_WINDOW),
            bytes(frame),
            self._paca[thread.number],
            self.engine.read_u64(thread.sp_address),
        )
        if gate.kind == "tracer":
            regs = state.gpr[6]
            if thread.base <= regs <= thread.top - 400 and not regs & 7:
                moment.pt_regs = regs
        return moment

    # The functions that are not under test

    def _tracer(self, trip: Trip, moment: Moment, rng: Random) -> Generator[State, Stop, State]:
        """Be the tracer: call traced functions, edit pt_regs, use what the ABI allows, return."""
        plan = trip.plan
        state = moment.state.copy()
        use_stack(self.engine, trip.thread, state, rng)
        if plan.recursion:
            yield from self._inner(trip, plan.recursion, state, "tracer")
            self._here(moment, state)
        if moment.pt_regs:
            change_regs(self.world, trip, moment.pt_regs, rng)
        # The kernel is compiled without FP and vector registers: the tracer changes none.
        clobber(state, rng, floats=False)
        if "call_ops" in self._features and self.world.tracer_of(trip.b) != self.world.tracer:
            # A module's, called through its global entry point: it leaves its own TOC behind.
            state.gpr[2] = self.world.toc[1]
        overlay(state, trip.values.tracer)
        if plan.wander:
            self._to_another_cpu(trip.thread, state)
        state.pc = state.lr
        return state

    def _to_another_cpu(self, thread: Thread, state: State) -> None:
        pacas = self.world.ground.pacas
        self._paca[thread.number] = pacas[1 - pacas.index(self._paca[thread.number])]
        state.gpr[13] = self._paca[thread.number]

    def _body(self, trip: Trip, moment: Moment, frame: bytearray, rng: Random) -> Generator[State, Stop, State]:
        """Be B's body or C: take the arguments, call what the plan says, use what the ABI allows, return the result."""
        plan, thread = trip.plan, trip.thread
        placement = plan.shape.placement
        state = moment.state.copy()
        r1 = state.gpr[1]
        if not thread.base <= r1 <= thread.top - 32 - placement.parameter_save_area_size:
            state.pc = state.lr
            return state

        def legitimately(offset: int, data: bytes) -> None:
            at = r1 + offset
            self.engine.write(at, data)
            # A's frame as the judge expects it; r1 is somewhere below when the handler pushed a frame.
            if trip.thread.top - len(frame) <= at and at + len(data) <= thread.top:
                start = at - (thread.top - len(frame))
                frame[start : start + len(data)] = data

        for offset, data in take_arguments(self.world, trip, moment):
            legitimately(offset, data)
        if placement.parameter_save_area_size:
            # The parameter save area is the called function's to write to.
            legitimately(32, rng.randbytes(placement.parameter_save_area_size))
        legitimately(8, use_stack(self.engine, thread, state, rng))
        if plan.inner:
            # What they found switched off stays off while this call is on its way back.
            yield from self._inner(trip, plan.inner, state, "inner")
            self._here(moment, state)
        image = encode_result(placement, plan.result, trip.a.gpr[3] if placement.hidden is not None else 0)
        for address, data in image.memory.items():
            legitimately(address - r1, data)
        clobber(state, rng, floats=True)
        overlay(state, trip.values.c if moment.where == "c" else trip.values.body)
        for number, value in image.gpr.items():
            state.gpr[number] = value
        for number, value in image.fpr.items():
            state.fpr[number] = value
        vr = bytearray(state.vr)
        for number, data in image.vr.items():
            vr[16 * number : 16 * number + 16] = data
        state.vr = bytes(vr)
        if moment.where == "c":
            self._leave_c(trip, state, rng)
        if moment.where == "redirected" and "out_of_line" in self._features:
            # It may have been gone on at through LR: the address to return to is in r0 as well.
            state.lr = moment.state.gpr[0]
        state.pc = state.lr
        return state

    def _here(self, moment: Moment, state: State) -> None:
        """Give a function that made calls the paca of the cpu that it is on now, unless its r13 was wrong before."""
        if moment.state.gpr[13] == moment.paca:
            thread = next(t for t in self.world.threads if t.base <= moment.low < t.top)
            state.gpr[13] = self._paca[thread.number]

    def _leave_c(self, trip: Trip, state: State, rng: Random) -> None:
        """Do what is C's own: any r2 is left behind, as C restores its TOC only for itself."""
        plan, thread = trip.plan, trip.thread
        state.gpr[2] = trip.values.c.get("r2", trip.c.toc if plan.seed & 4 else rng.getrandbits(64))
        if plan.sleep:
            self._to_another_cpu(thread, state)
        if plan.marker:
            destroy_marker(self.engine, thread, plan.marker, rng)
        top = self.engine.read_u64(thread.sp_address)
        if thread.livepatch + LIVEPATCH_FRAME <= top < thread.livepatch + thread.top - thread.base:
            if "marker" in trip.values.c:
                self.engine.write_u64(top - 8, trip.values.c["marker"])
            trip.marker = self.engine.read_u64(top - 8)

    def _sibling(self, trip: Trip, plan: Plan, state: State, rng: Random) -> Trip:
        """End C in a call of another traced function: C's frame is gone, LR and r1 are as C found them."""
        self._patch(plan)
        b = self._b(plan)
        state = state.copy()
        image = encode(plan.shape.placement, plan.values)
        for number, value in image.gpr.items():
            state.gpr[number] = value
        for number, value in image.fpr.items():
            state.fpr[number] = value
        vr = bytearray(state.vr)
        for number, data in image.vr.items():
            vr[16 * number : 16 * number + 16] = data
        state.vr = bytes(vr)
        state.gpr[2] = trip.c.toc
        state.pc = b.lep
        if plan.pointer:
            # A module's stub saves the caller's TOC in the frame that r1 points to: A's.
            if trip.thread.base <= state.gpr[1] <= trip.thread.top - 32:
                self.engine.write_u64(state.gpr[1] + 24, trip.c.toc)
            state.gpr[12] = state.ctr = state.pc = b.gep
        site = CallSite(trip.c.home, 0, state.lr, trip.c.toc)
        inside = self._trip(plan, trip.thread, site, state, "sibling")
        trip.inner.append(inside)
        return inside

    def _inner(self, trip: Trip, plans: tuple[Plan, ...], state: State, relation: str) -> Generator[State, Stop, None]:
        """Make calls from the frame of the function that acts now, unless its r1 is none."""
        for plan in plans:
            if not trip.thread.base + BASE_WINDOW <= state.gpr[1] <= trip.thread.top - 32:
                return
            self._patch(plan)
            trip.inner.append((yield from self.call(plan, trip.thread, state.gpr[1], relation)))
            if trip.inner[-1].end is not None:
                return
