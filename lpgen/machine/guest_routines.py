"""A, the tracer, C and the others as guest code: one way of calling, made from a call that Python saw and judged.

That call, the *model*, says what is constant (addresses, the way it goes, what the harness drew); the registers that
come from a caller's window are compared with the window. So a guest routine is at least as strict as the statements:
what it lets pass is what the model showed, with other values. What it does not let pass is judged by them, in full.

What is compared, by where the guest came to, and for which statements (T2: the traced function's r2 in 24(frame)):

    tracer      gate (T1: which, once), r1, r2 (T2), r3 to r6 (T1), r12 (call ops), MSR, 24(r1) (T2), all that T3 says
                of pt_regs, orig_gpr3 (S7), back chain and LR saves from r1 to A's frame (T4)
    kprobe      gate (S6), r1, r2 (T2), r3, MSR, 24(r1), back chain to A's frame
    graph       gate (S8), r1, r2, r3 to r5, MSR, 24(r1), back chain to A's frame
    body, redirected, direct
                gate (X1, S7, S8m), r1 to r10, r13 to r31 with the tracer's edits (X1, X2), CR2 to CR4, MSR, LR, r0,
                16(A's frame); tracing disabled: r11, CR1, CR5 to CR7, XER; _mcount: r11, CR, XER; graph hook: CTR
    c           gate (X3), r1 to r10, r13 to r31 with the edits (X3, X2, L1), CR2 to CR4, MSR, r12, CTR, LR (L3),
                livepatch_sp and the three doublewords of the livepatch frame (L2)
    unhook      gate (S8r), r1, r2, MSR, back chain to A's frame; r3 and the results in pt_regs from 6.18 on
    kretprobe, graph_return, back
                gate (L4, L6); behind C: r1, r2 to r10, r13 to r31, CR but for CR0, XER, MSR (L1, L4, L5); behind
                return_to_handler: r1 to r4, r13 to r31, CR2 to CR4, MSR (S8r)
    all         A's frame but for 16(r1) (T5, L5), livepatch_sp (T5, L4, L6); before C the doublewords above it (T5);
                in calls inside calls the livepatch frame of the one around (L2, L6); nothing of this where nothing is
                the trampolines' any more: back from B's body

A routine starts as a BulkEngine's gate leaves the registers.
"""

from __future__ import annotations

from collections.abc import Mapping

from lpgen.callers.types import LONG
from lpgen.machine import instructions as w
from lpgen.machine.actors import VOLATILE_GPR
from lpgen.machine.engine import SPRG_R0, SPRG_R11, SPRG_R12, SPRG_R31
from lpgen.machine.guest_callers import ARGUMENTS, LEFT, RESULT, GuestPlan, frame_offsets
from lpgen.machine.guest_code import CR_SAVE, Pieces, Source, constant, window
from lpgen.machine.instructions import Code
from lpgen.machine.places import LIVEPATCH_FRAME, STACK_END_MAGIC
from lpgen.machine.plan import DIRECT_TRACER, PATCH, SAME, Plan
from lpgen.machine.trip import Moment, Trip
from lpgen.machine.world import World

# What the lean entry saves of the GPRs, where it has a pt_regs to give (contract section 6, G6).
PARTIAL = (0, 1, *range(3, 11))
BEFORE_C = ("tracer", "kprobe", "graph", "direct", "body", "redirected")
IN_B = ("body", "redirected", "direct")
FUNCTIONS = ("body", "redirected", "c")
NONE: Mapping[int, Source] = {}


def _base_word(trip: Trip, offset: int) -> int:
    """Return what was ``offset`` bytes above livepatch_sp at a call."""
    at = trip.sp - trip.thread.livepatch + offset
    return int.from_bytes(trip.base[at : at + 8], "little")


def gate_number(world: World, address: int) -> int:
    """Return the number of the gate at ``address``."""
    word = int.from_bytes(world.engine.read(address, 4), "little")
    distance = word & 0x3FFFFFC
    thunk = address + (distance - (1 << 26) if distance >> 25 else distance)
    return int.from_bytes(world.engine.read(thunk + 4, 2), "little")


class Way(Pieces):
    """The routines of one way of calling. ``entry`` is where the loop goes for a caller of that way.

    ``model`` is a good call of the plan ``plan``. ``loop`` and ``fail`` are where a routine goes from A's end, and
    with a stop's number (from 1) in r0 when something is not as it was. ``checks`` off leaves out all that compares.
    Calls inside of it are ways as well, of plans with no window: all is as in the model.
    """

    def __init__(
        self,
        world: World,
        plan: Plan,
        model: Trip,
        code: Code,
        loop: int,
        fail: int,
        *,
        checks: bool,
    ) -> None:
        super().__init__(world, plan, code)
        self._trip, self._checks = model, checks
        self._features, self._offsets = world.kernel.features, world.offsets
        self._loop, self._fail = loop, fail
        # A's frame in bytes: the one that its back chain leads to is above it.
        self._frame_bytes = int.from_bytes(model.outset[:8], "little") - model.frame
        self._frame: Mapping[int, int] = {}
        self._arguments: dict[int, int] = {}
        if isinstance(plan, GuestPlan):
            self._frame = frame_offsets(world.kernel, plan)
            for n, pieces in enumerate(plan.shape.placement.arguments):
                self._arguments |= {piece.index: ARGUMENTS + n for piece in pieces if piece.kind == "gpr"}
        self._hooked = any(moment.where == "unhook" for moment in model.moments)
        following = 0
        for number in reversed(range(len(model.moments))):
            following = self._routine(number, following)
        self.entry = code.here
        self._depart(following)

    # Sources

    def _entry(self, number: int) -> Source:
        """GPR ``number`` where the trampolines are entered."""
        if number in self._arguments:
            return window(self._arguments[number])
        return self._drawn("entry", f"r{number}", self._trip.entry.gpr[number])

    def _edited(self, number: int) -> Source:
        edits = self._trip.edits
        if number not in edits:
            return self._entry(number)
        return self._drawn("tracer", f"gpr{number}", edits[number])

    def _left(self, name: str) -> Source:
        """What C or B's body leaves in a register: r and its number, xer or cr."""
        left = self._trip.left
        assert left is not None
        if name == "r3" and isinstance(self._plan, GuestPlan) and self._plan.shape.prototype.result == LONG:
            return window(RESULT)
        value = left.gpr[int(name[1:])] if name[0] == "r" else getattr(left, name)
        return self._drawn("c" if self._plan.patched else "body", name, value)

    def _in_frame(self, offset: int) -> Source:
        """The doubleword at ``offset`` of A's frame at the call."""
        at = self._frame.get(offset)
        return constant(int.from_bytes(self._trip.outset[offset : offset + 8], "little")) if at is None else window(at)

    # The routines

    def _depart(self, following: int) -> None:
        """Be A: make the frame, load the registers, call."""
        trip, code = self._trip, self._code
        self._at_window = False
        self._load(1, constant(trip.frame))
        self._load(12, constant(trip.sp))
        for n in range(3):
            self._load(0, constant(_base_word(trip, 8 * n)))
            code.add(w.std(0, 8 * n, 12))
        offsets = range(0, self._frame_bytes, 8)
        for offset in offsets:
            self._load(0, self._in_frame(offset))
            code.add(w.std(0, offset, 1))
        self._next(following)
        self._load(0, constant(trip.site.call))
        code.add(w.mtspr(w.TAR, 0))
        self._load(0, self._drawn("entry", "ctr", trip.a.ctr))
        code.add(w.mtspr(w.CTR, 0))
        self._load(0, self._drawn("entry", "xer", trip.a.xer))
        code.add(w.mtspr(w.XER, 0))
        self._load(0, self._drawn("entry", "cr", trip.a.cr))
        code.add(w.mtcrf(w.CR_ALL, 0))
        sources = {}
        for n in range(2, 32):
            at = self._arguments.get(n)
            sources[n] = self._drawn("entry", f"r{n}", trip.a.gpr[n]) if at is None else window(at)
        self._load_all(sources)
        code.add(w.BCTAR)

    def _routine(self, number: int, following: int) -> int:
        """Add what acts at a moment; ``following`` acts at the next one. Return its address."""
        trip, code = self._trip, self._code
        moment = trip.moments[number]
        if trip.inner and moment.where in FUNCTIONS:
            self._inside(number, following)
        start = code.here
        self._at_window = False
        if self._checks:
            code.add(w.xori(12, 31, gate_number(self._world, self._gate_address(moment))))
        code.add(w.mfspr(31, SPRG_R31))
        if self._checks:
            self._check(number)
            code.add(w.cmpdi(12, 0), w.beq(12), w.addi(0, 0, number + 1))
            code.branch(self._fail)
            self._at_window = False
        if moment.where == "back":
            code.branch(self._loop)
            return start
        self._next(following)
        getattr(self, f"_be_{moment.where}")(number)
        return start

    def _inside(self, number: int, following: int) -> None:
        """Add the calls that C or B's body makes, and what it does behind them."""
        trip, code = self._trip, self._code
        moment, inner = trip.moments[number], trip.inner[0]
        self._at_window = False
        at = code.here
        self._load(12, constant(inner.sp))
        for n in range(3):
            self._load(0, constant(_base_word(inner, 8 * n)))
            code.add(w.std(0, 8 * n, 12))
        self._next(following)
        self._load(0, constant(moment.state.lr))
        code.add(w.mtspr(w.LR, 0))
        self._load(0, self._drawn("entry", "cr", trip.entry.cr))
        code.add(w.mtcrf(w.CR_ALL, 0))
        kept = {n: self._edited(n) for n in range(14, 32)}
        self._finish(number, kept | {1: constant(moment.state.gpr[1]), 13: constant(moment.paca)})
        for call in reversed(trip.inner):
            way = Way(self._world, call.plan, call, code, at, self._fail, checks=self._checks)
            at = way.entry
        self._inner_entry = at

    def _gate_address(self, moment: Moment) -> int:
        world, trip = self._world, self._trip
        if moment.where == "back":
            return trip.site.returns + (4 if self._plan.pointer else 0)
        if moment.where in ("c", "redirected"):
            return trip.c.gep
        return {
            "tracer": world.tracer_of(trip.b),
            "kprobe": world.kprobe,
            "graph": world.graph,
            "unhook": world.unhook,
            "direct": world.direct_of(trip.b),
            "body": trip.b.site + 4,
            "kretprobe": world.kretprobe,
            "graph_return": world.graph_return,
        }[moment.where]

    # What they check

    def _check(self, number: int) -> None:
        trip = self._trip
        moment = trip.moments[number]
        where = moment.where
        came_back = where in ("back", "kretprobe", "graph_return", "unhook")
        registers, saved = self._registers(number)
        self._all_differ(registers)
        if came_back and not trip.plan.patched and not self._hooked:
            return
        if where in ("c", *IN_B, "back", "kretprobe"):
            self._check_cr(number)
        for spr, source in saved.items():
            self._code.add(w.mfspr(3, spr))
            self._differ(3, source)
        self._code.add(w.mfmsr(3))
        self._differ(3, constant(moment.state.msr))
        self._memory(self._memory_at(number))
        if where in BEFORE_C:
            wanted = [constant(_base_word(trip, 8 * n)) for n in range(3)]
        elif where == "c":
            wanted = [self._entry(2), constant(trip.link_after), constant(STACK_END_MAGIC)]
        else:
            wanted = []
        if wanted:
            self._load(5, constant(trip.sp))
            self._memory([(5, 8 * n, source) for n, source in enumerate(wanted)])
        if trip.relation and trip.sp > trip.thread.sp_start:
            # The livepatch frame of the call around it.
            self._load(5, constant(trip.sp - LIVEPATCH_FRAME))
            below = range(0, LIVEPATCH_FRAME, 8)
            self._memory([(5, at, constant(_base_word(trip, at - LIVEPATCH_FRAME))) for at in below])
        self._load(5, constant(trip.thread.sp_address))
        self._memory([(5, 0, constant(moment.sp))])

    def _registers(self, number: int) -> tuple[dict[int, Source], dict[int, Source]]:
        """Return what GPRs hold (but r0, r11, r12), and by SPR what the others and special registers hold."""
        trip, plan, moment = self._trip, self._plan, self._trip.moments[number]
        state, where = moment.state, moment.where
        wanted: dict[int, Source] = {1: constant(state.gpr[1])}
        saved: dict[int, Source] = {}
        if where in ("tracer", "kprobe", "graph", "unhook"):
            wanted[2] = constant(self._world.ground.toc)
            arguments = {"tracer": 4, "kprobe": 1, "graph": 3, "unhook": "return_regs" in self._features}[where]
            if where == "graph" and "graph_passes_sp" not in self._features:
                arguments = 2
            wanted |= {n: constant(state.gpr[n]) for n in range(3, 3 + arguments)}
            if where == "tracer" and "call_ops" in self._features:
                saved[SPRG_R12] = constant(state.gpr[12])
            return wanted, saved
        if where in ("c", *IN_B):
            wanted |= {n: self._edited(n) for n in (*range(2, 11), *range(14, 31))}
            wanted[31], wanted[13] = self._edited(31), constant(moment.paca)
            saved[w.LR] = constant(state.lr)
            if where == "c":
                saved |= {SPRG_R12: constant(trip.c.gep), w.CTR: constant(trip.c.gep)}
                return wanted, saved
            saved[SPRG_R0] = constant(state.gpr[0])
            if plan.early or (plan.disabled and "out_of_line" not in self._features):
                saved[SPRG_R11] = self._entry(11)
            if plan.early or plan.disabled:
                saved[w.XER] = self._drawn("entry", "xer", trip.entry.xer)
            if trip.at("graph"):
                saved[w.CTR] = constant(trip.b.site + 4)
            return wanted, saved
        if not (plan.patched or self._hooked):
            return wanted, saved
        wanted |= {n: self._edited(n) for n in range(14, 32)}
        wanted[13], wanted[2] = constant(moment.paca), constant(state.gpr[2])
        if self._hooked:
            wanted |= {n: self._result(n) for n in (3, 4)}
            return wanted, saved
        wanted |= {n: self._left(f"r{n}") for n in range(3, 11)}
        saved[w.XER] = self._left("xer")
        return wanted, saved

    def _result(self, number: int) -> Source:
        """What is in r3 or r4 behind return_to_handler."""
        results = self._trip.results
        if number not in results:
            return self._left(f"r{number}")
        return self._drawn("unhook", f"gpr{number}", results[number])

    def _check_cr(self, number: int) -> None:
        """Check CR2 to CR4; behind C CR1 and CR5 to CR7 too, and all but CR0 (or all) where nobody may change it."""
        trip, plan, code = self._trip, self._plan, self._code
        where = trip.moments[number].where
        code.add(w.mfcr(3))
        self._load(4, self._drawn("entry", "cr", trip.entry.cr))
        code.add(w.xor(4, 3, 4))
        if where == "body" and plan.early:
            code.add(w.or_(12, 12, 4))
            return
        first, last = (4, 31) if where == "body" and plan.disabled else (8, 19)
        code.add(w.rlwinm(4, 4, first, last), w.or_(12, 12, 4))
        if where in ("back", "kretprobe") and plan.patched and not self._hooked:
            self._load(4, self._left("cr"))
            code.add(w.xor(4, 3, 4), w.rlwinm(5, 4, 4, 7), w.or_(12, 12, 5), w.rlwinm(4, 4, 20, 31), w.or_(12, 12, 4))

    def _memory_at(self, number: int) -> list[tuple[int, int, Source]]:
        """Return what memory holds at r1 and (r6, r3) pt_regs: base register, offset, value."""
        trip, moment = self._trip, self._trip.moments[number]
        where, r1 = moment.where, moment.state.gpr[1]
        wanted: list[tuple[int, int, Source]] = []
        to_a = trip.frame - r1
        after = any(m.where in FUNCTIONS for m in trip.moments[:number])
        for offset in range(0, self._frame_bytes, 8):
            if offset == 16:
                if where in ("tracer", *IN_B):
                    wanted.append((1, to_a + 16, constant(moment.u64(trip.frame + 16) or 0)))
            else:
                wanted.append((1, to_a + offset, self._left_in_frame(offset) if after else self._in_frame(offset)))
        if where in ("tracer", "kprobe", "graph", "unhook"):
            at = r1
            while at < trip.frame:
                above = moment.u64(at) or 0
                wanted.append((1, at - r1, constant(above)))
                if where == "tracer" and above < trip.frame:
                    wanted.append((1, above - r1 + 16, constant(moment.u64(above + 16) or 0)))
                at = above if above > at else trip.frame
            if where != "unhook":
                wanted.append((1, 24, self._entry(2)))
        if where == "tracer" and moment.pt_regs:
            wanted += self._pt_regs(moment)
        if where == "unhook" and "return_regs" in self._features:
            wanted += [(1, moment.state.gpr[3] - r1 + 8 * n, self._left(f"r{n}")) for n in (3, 4)]
        return wanted

    def _pt_regs(self, moment: Moment) -> list[tuple[int, int, Source]]:
        offsets, trip = self._offsets, self._trip
        start = moment.pt_regs - moment.state.gpr[1]
        lean = trip.plan.lean
        fields = [(offsets["GPR0"] + 8 * n, self._entry(n)) for n in (PARTIAL if lean else range(32))]
        fields += [(offsets["_NIP"], constant(trip.b.site + 4)), (offsets["_LINK"], self._entry(0))]
        if lean:
            fields.append((offsets["_MSR"], constant(0)))
        else:
            fields.append((offsets["_MSR"], constant(trip.entry.msr)))
            specials = (("_CTR", "ctr", trip.entry.ctr), ("_XER", "xer", trip.entry.xer), ("_CCR", "cr", trip.entry.cr))
            fields += [(offsets[field], self._drawn("entry", name, value)) for field, name, value in specials]
        if "direct_calls" in self._features:
            fields.append((offsets["ORIG_GPR3"], constant(0)))
        return [(1, start + offset - offsets["GPR0"], source) for offset, source in fields]

    def _left_in_frame(self, offset: int) -> Source:
        """What is at ``offset`` of A's frame once C or B's body wrote to its parameter save area."""
        if offset == 8:
            return window(CR_SAVE)
        inside = 32 <= offset < 32 + self._plan.shape.placement.parameter_save_area_size
        return window(LEFT + 1 + offset // 8 % 10) if inside else self._in_frame(offset)

    # What they do

    def _be_tracer(self, number: int) -> None:
        trip, plan, code = self._trip, self._plan, self._code
        moment = trip.moments[number]
        regs = moment.pt_regs - moment.state.gpr[1]
        self._use_stack(moment.state.gpr[1])
        if moment.pt_regs:
            writes: list[tuple[str, int]] = []
            if plan.nip in (PATCH, SAME):
                writes.append(("_NIP", trip.nip_after))
            if plan.direct == DIRECT_TRACER:
                stub = self._world.symbol("ftrace_stub_direct_tramp")
                writes.append(("ORIG_GPR3", stub if trip.direct_stub else self._world.direct_of(trip.b)))
            if plan.link or (plan.graph and "return_to_handler" in self._features):
                writes.append(("_LINK", trip.link_after))
            for n in trip.edits:
                self._load(0, self._edited(n))
                code.add(w.std(0, regs + 8 * n, 1))
            for name, value in writes:
                self._load(0, constant(value))
                code.add(w.std(0, regs + self._offsets[name] - self._offsets["GPR0"], 1))
        self._return(number, "tracer")

    def _be_kprobe(self, number: int) -> None:
        self._use_stack(self._trip.moments[number].state.gpr[1])
        self._return(number, "kprobe")

    def _be_graph(self, number: int) -> None:
        self._use_stack(self._trip.moments[number].state.gpr[1])
        self._return(number, "graph")

    def _be_unhook(self, number: int) -> None:
        state = self._trip.moments[number].state
        self._use_stack(state.gpr[1])
        for n in self._trip.results:
            self._load(0, self._result(n))
            self._code.add(w.std(0, state.gpr[3] - state.gpr[1] + 8 * n, 1))
        self._return(number, "unhook")

    def _return(self, number: int, event: str, kept: Mapping[int, Source] = NONE) -> None:
        """Return as ``event`` does, with ``kept`` in nonvolatile registers."""
        after = self._trip.moments[number].after
        assert after is not None
        sources = {n: self._drawn(event, f"r{n}", after.gpr[n]) for n in (*VOLATILE_GPR, 2)}
        if event in ("body", "c"):
            sources[3] = self._left("r3")
        self._clobber(event, after, {**sources, **kept})
        self._code.add(w.BLR)

    def _be_direct(self, number: int) -> None:
        moment = self._trip.moments[number]
        assert moment.after is not None
        self._write_below(moment.state.gpr[1])
        sources = {n: self._drawn("direct", f"r{n}", moment.after.gpr[n]) for n in (11, 12)}
        # What the routine used is what B gets.
        self._clobber("direct", moment.after, sources | {n: self._edited(n) for n in (3, 4, 5)})
        self._code.add(w.mfspr(0, SPRG_R0), w.BLR)

    def _be_body(self, number: int) -> None:
        """Be B's body or C: write to the parameter save area, use the stack, call, return."""
        moment, code = self._trip.moments[number], self._code
        self._use_stack(moment.state.gpr[1], in_a=True)
        size = self._plan.shape.placement.parameter_save_area_size
        for offset in range(32, 32 + size, 8):
            self._load(0, self._left_in_frame(offset))
            code.add(w.std(0, offset, 1))
        if self._trip.inner:
            code.branch(self._inner_entry)
        else:
            self._finish(number, NONE)

    def _finish(self, number: int, kept: Mapping[int, Source]) -> None:
        """End C or B's body."""
        moment = self._trip.moments[number]
        if moment.where == "redirected" and "out_of_line" in self._features:
            self._load(0, constant(moment.state.gpr[0]))
            self._code.add(w.mtspr(w.LR, 0))
        self._return(number, "c" if moment.where == "c" else "body", kept)

    _be_c = _be_redirected = _be_body

    def _be_kretprobe(self, number: int) -> None:
        """Return into A, with what C or B left."""
        trip, plan, code = self._trip, self._plan, self._code
        self._load(0, constant(trip.site.returns))
        code.add(w.mtspr(w.TAR, 0), w.mtspr(w.LR, 0))
        if self._checks and (plan.patched or self._hooked):
            self._load_all({n: self._left(f"r{n}") for n in (3, 4, 5)})
        code.add(w.BCTAR)

    _be_graph_return = _be_kretprobe
