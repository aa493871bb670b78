"""Statements T1 to T5, X1 to X3, S6 to S8 for all inputs: ftrace_caller and ftrace_regs_caller, up to B or C."""

from __future__ import annotations

from dataclasses import dataclass

from lpgen.proof.calls import ADDRESS_ZEROS, CR_KEPT, EDITED, any_registers, called, tracer_writes
from lpgen.proof.checker import Checker
from lpgen.proof.explore import Event, Explorer, came_to
from lpgen.proof.frames import frame_below, return_slot, stack_stores
from lpgen.proof.ground import DIRECT, ENTRY_LR, FUNC, OPS, R1, RETURN, TOC, World
from lpgen.proof.livepatch import LivepatchProof
from lpgen.proof.path import DeadEnd, Path
from lpgen.proof.reading import show
from lpgen.proof.scenario import ROUTES, Case, cases
from lpgen.proof.state import Registers
from lpgen.proof.term import FALSE, TRUE, Term, base_and_offset, concat, const, equal, plus, sext, var, zext

# struct pt_regs up to and with result, in bytes.
PT_REGS_BYTES = 44 * 8
PARTIAL = (0, 1, *range(3, 11))
KEPT_GPRS = (*range(1, 11), *range(14, 32))
NONVOLATILE = (1, *range(14, 32))


@dataclass(frozen=True)
class Entry:
    """A way into the trampolines: its symbol, and whether it saves few registers only."""

    symbol: str
    lean: bool


class FtraceProof:
    """Follows every path from an entry to B, C or a direct trampoline, and asks what the contract says."""

    def __init__(self, world: World, checker: Checker, entry: Entry) -> None:
        self.world = world
        self.checker = checker
        self.symbol, self.lean = entry.symbol, entry.lean
        self.explorer = Explorer(world, checker)
        self.livepatch = LivepatchProof(world, checker, self.explorer)
        self.entry = self._entry_registers()
        self.has_regs = not entry.lean or "partial_regs" in world.features

    def _entry_registers(self) -> Registers:
        made = any_registers("entry")
        made.gpr[0], made.gpr[1], made.lr = RETURN, R1, ENTRY_LR
        return made

    def run(self) -> None:
        """Follow all paths."""
        path = self.checker.begin(self.entry.copy(), self.symbol)
        path.lean = self.lean
        path.facts["entry r2"] = self.entry.gpr[2]
        ahead = [path]
        while ahead:
            for one, event in self.explorer.events(ahead.pop()):
                try:
                    ahead += self._arrived(one, event)
                except DeadEnd as end:
                    ahead += self._arrived(one, Event("dead", end.pc, None, end.what))

    def _arrived(self, path: Path, event: Event) -> list[Path]:
        """Judge where a path came to; return the paths that go on from there."""
        on: list[Path] = []
        stack_stores(path, self.checker)
        possible = [c for c in cases(self.world, path, lean=self.lean) if self.checker.possible(path, *c.conditions)]
        for case in possible:
            if case.nobody:
                continue
            one = path
            if len(possible) > 1:
                one = path.fork()
                one.assume(*case.conditions)
            else:
                path.assume(*case.conditions)
            self.checker.case = case.name
            on += self._gate(one, event, case)
        return on

    def _gate(self, path: Path, event: Event, case: Case) -> list[Path]:
        gates = case.gates
        index = len(path.events)
        wanted, statement = gates[index] if index < len(gates) else gates[-1]
        checker, features = self.checker, self.world.features
        if event.kind == "kprobe" and "kprobe_test" not in features:
            return self._unasked_kprobe(path)
        if event.kind == "handler":
            if wanted == "c":
                return self._handler(path)
        elif event.kind == "jump" and event.target is not None:
            if case.either and self._goes_to(path, event, "direct"):
                wanted = "direct"
            if wanted in ("body", "redirected", "direct") and self._goes_to(path, event, wanted):
                self._left(path, event.target, wanted, case)
                return []
        elif event.kind == wanted:
            path.events = (*path.events, wanted)
            return {"tracer": self._tracer, "kprobe": self._kprobe, "graph": self._graph}[wanted](path, event)
        checker.where = "on the way"
        seen = came_to(event)
        checker.broken(path, statement, event.address, "where it went", ROUTES[wanted], seen)
        return []

    def _goes_to(self, path: Path, event: Event, wanted: str) -> bool:
        return self.explorer.reaches(path, event, *self._targets(path, wanted))

    def _targets(self, path: Path, wanted: str) -> list[Term]:
        """Return where a gate may be reached: out of line B's body through the stub, or at nip itself."""
        facts = path.facts
        if wanted == "direct":
            return [facts.get("orig_gpr3", DIRECT)]
        if wanted == "redirected":
            return [facts["nip"]]
        return [ENTRY_LR, self.world.nip] if "out_of_line" in self.world.features else [self.world.nip]

    # Registers

    def _expected(self, path: Path, number: int) -> Term:
        return path.facts.get(f"gpr{number}", self.entry.gpr[number])

    def _registers_on(self, path: Path, statement: str, numbers: tuple[int, ...] = KEPT_GPRS) -> None:
        """Ask for all that a function may rely on; what the tracer edited is X2's, unedited ``statement``'s."""
        checker, registers, entry = self.checker, path.registers, self.entry
        unedited = tuple(equal(path.facts[f"gpr{n}"], entry.gpr[n]) for n in EDITED if f"gpr{n}" in path.facts)
        for number in numbers:
            wanted, seen = self._expected(path, number), registers.gpr[number]
            edited = f"gpr{number}" in path.facts
            first = "X2" if edited else statement
            if wanted is seen:
                checker.count(first)
                checker.count(statement)
            elif not checker.equal(path, first, f"r{number}", wanted, seen) and edited:
                checker.equal(path, statement, f"r{number}", entry.gpr[number], seen, *unedited)
        checker.equal(path, statement, "r13 (the paca)", path.paca, registers.gpr[13])
        for bit in CR_KEPT:
            checker.equal(path, statement, f"CR bit {bit}", entry.cr[bit], registers.cr[bit])
        if statement != "L5":
            # L1's: what C did to it is C's own.
            checker.equal(path, statement, "MSR", entry.msr, registers.msr)

    def _dword(self, path: Path, offset: int) -> Term:
        return path.memory.load("stack", offset, 8)

    # The functions that are called

    def _called_from(self, path: Path, statement: str, where: str) -> int | None:
        """Ask what holds at each call of the kernel's C code; return the offset of r1 from A's frame."""
        checker, registers = self.checker, path.registers
        checker.where = where
        checker.equal(path, statement, "MSR", self.entry.msr, registers.msr)
        checker.equal(path, "T2", "r2", TOC, registers.gpr[2])
        base, r1 = base_and_offset(registers.gpr[1])
        if base is not R1:
            return None
        checker.equal(path, "T2", "24(frame)", self.entry.gpr[2], self._dword(path, r1 + 24))
        return r1

    def _tracer(self, path: Path, event: Event) -> list[Path]:
        checker, world, gpr = self.checker, self.world, path.registers.gpr
        r1 = self._called_from(path, "T1", "at the call to the tracer")
        checker.equal(path, "T1", "r3 (ip)", plus(world.nip, -4), gpr[3])
        checker.equal(path, "T1", "r4 (parent_ip)", RETURN, gpr[4])
        checker.equal(path, "T1", "r5 (ops)", OPS, gpr[5])
        if "call_ops" in world.features:
            checker.equal(path, "T1", "r12 (the tracer's global entry)", FUNC, gpr[12])
        regs = self._pt_regs(path, r1)
        if r1 is not None:
            self._back_chain(path, r1)
        module = "call_ops" in world.features
        called(path, "tracer")
        if module:
            path.registers.gpr[2] = var(64, "tracer.r2")
        if regs is not None:
            tracer_writes(path, world, regs, lean=self.lean)
        return [path]

    def _pt_regs(self, path: Path, r1: int | None) -> int | None:
        """Ask for T3, and for r6; return the offset of pt_regs from A's frame."""
        checker, world = self.checker, self.world
        seen = path.registers.gpr[6]
        if not self.has_regs:
            checker.equal(path, "T1", "r6 (no pt_regs)", const(64, 0), seen)
            return None
        base, regs = base_and_offset(seen)
        inside = base is R1 and r1 is not None and regs >= r1 + 32 and regs + PT_REGS_BYTES <= 0
        wanted = "an address in the new frame"
        checker.true(path, "T1", "r6 (&pt_regs)", TRUE if inside else FALSE, wanted, show(seen))
        if base is not R1 or not world.regions["stack"].first <= regs <= -PT_REGS_BYTES:
            # The tracer writes to no memory of the trampolines then, and what it wants of nip is lost.
            return None
        offsets, first = world.offsets, world.offsets["GPR0"]

        def field(name: str) -> Term:
            return self._dword(path, regs + offsets[name] - first)

        for number in PARTIAL if self.lean else range(32):
            slot = self._dword(path, regs + 8 * number)
            if number == 13:
                self._paca_slot(path, slot)
            else:
                checker.equal(path, "T3", f"pt_regs.gpr[{number}]", self.entry.gpr[number], slot)
        checker.equal(path, "T3", "pt_regs.nip", world.nip, field("_NIP"))
        checker.equal(path, "T3", "pt_regs.link", RETURN, field("_LINK"))
        if self.lean:
            checker.equal(path, "T3", "pt_regs.msr (0: partial)", const(64, 0), field("_MSR"))
        else:
            checker.equal(path, "T3", "pt_regs.msr", self.entry.msr, field("_MSR"))
            checker.equal(path, "T3", "pt_regs.ctr", self.entry.ctr, field("_CTR"))
            checker.equal(path, "T3", "pt_regs.xer", self.entry.xer_word(), field("_XER"))
            self._ccr(path, field("_CCR"))
        if "direct_calls" in world.features:
            checker.equal(path, "S7", "pt_regs.orig_gpr3", const(64, 0), field("ORIG_GPR3"))
        return regs

    def _paca_slot(self, path: Path, slot: Term) -> None:
        """gpr[13] is the paca of a cpu that the thread was on since the call."""
        if slot.op == "var" and str(slot.args[0]).startswith("paca@"):
            self.checker.count("T3")
        else:
            self.checker.equal(path, "T3", "pt_regs.gpr[13]", path.paca, slot)

    def _ccr(self, path: Path, seen: Term) -> None:
        entry, checker = self.entry, self.checker
        wanted = zext(entry.cr_word(), 64)
        if "tracing_switch" in self.world.features and seen is not wanted:
            # A known limit: CR0 is what the test of the paca's flag left there.
            tested = concat(const(2, 1), const(1, 0), entry.xer["so"], *entry.cr[4:])
            if checker.certain(path, equal(zext(tested, 64), seen)):
                checker.limits.add("ccr")
                checker.count("T3")
                return
        checker.equal(path, "T3", "pt_regs.ccr", wanted, seen)

    def _back_chain(self, path: Path, r1: int) -> None:
        checker = self.checker
        at, frames = r1, 0
        checker.true(path, "T4", "r1", FALSE if r1 & 15 else TRUE, "16-byte aligned", f"{r1}(A's frame)")
        wanted = [self.world.nip] if "frame_for_b" in self.world.features else []
        while at < 0 and frames < 4:
            base, above = base_and_offset(self._dword(path, at))
            rising = base is R1 and at < above <= 0 and not above & 15
            seen = show(self._dword(path, at))
            if not checker.true(
                path, "T4", f"back chain at {at}(A's frame)", TRUE if rising else FALSE, "a higher frame", seen
            ):
                return
            frames += 1
            if above < 0 and frames <= len(wanted):
                slot = self._dword(path, above + 16)
                checker.equal(path, "T4", "back chain: B's call site", wanted[frames - 1], slot)
            at = above
        checker.true(
            path,
            "T4",
            "back chain",
            TRUE if frames == len(wanted) + 1 and not at else FALSE,
            f"{len(wanted)} frames between the tracer's caller and A",
            f"{frames - 1}",
        )
        checker.equal(path, "T4", "16(A's frame)", RETURN, self._dword(path, 16))

    def _kprobe(self, path: Path, event: Event) -> list[Path]:
        r1 = self._called_from(path, "S6", "at the call to is_current_kprobe_addr")
        self.checker.equal(path, "S6", "r3 (ip)", plus(self.world.nip, -4), path.registers.gpr[3])
        self._frame_below(path, "S6", r1)
        called(path, "kprobe")
        # It returns an int.
        path.registers.gpr[3] = path.facts["kprobe"] = sext(var(32, "kprobe.answer"), 64)
        return [path]

    def _unasked_kprobe(self, path: Path) -> list[Path]:
        """Let is_current_kprobe_addr be called, any number of times, where its answer decides nothing."""
        r1 = self._called_from(path, "T5", "at the call to is_current_kprobe_addr")
        self._frame_below(path, "T5", r1)
        called(path, f"kprobe~{len(path.trace)}")
        return [path]

    def _graph(self, path: Path, event: Event) -> list[Path]:
        checker, gpr = self.checker, path.registers.gpr
        r1 = self._called_from(path, "S8", "at the call to prepare_ftrace_return")
        checker.equal(path, "S8", "r3 (return address into A)", path.facts.get("link", RETURN), gpr[3])
        checker.equal(path, "S8", "r4 (ip)", plus(self.world.nip, -4), gpr[4])
        if "graph_passes_sp" in self.world.features:
            checker.equal(path, "S8", "r5 (r1 of A's frame)", R1, gpr[5])
        self._frame_below(path, "S8", r1)
        called(path, "graph")
        path.registers.gpr[3] = path.facts["graph"] = var(64, "graph.returns", ADDRESS_ZEROS)
        return [path]

    def _frame_below(self, path: Path, statement: str, r1: int | None) -> None:
        if r1 is None:
            self.checker.true(path, statement, "r1", FALSE, "a frame below A's", show(path.registers.gpr[1]))
        else:
            frame_below(path, self.checker, statement, r1)

    # The ways out

    def _left(self, path: Path, target: Term, wanted: str, case: Case) -> None:
        """Judge a path that has left for B's body, for where a kprobe leads, or for a direct trampoline."""
        checker, registers, features = self.checker, path.registers, self.world.features
        address = path.trace[-1]
        path.events = (*path.events, wanted)
        link = path.facts.get("link", RETURN)
        if wanted == "direct":
            checker.where = "at the direct trampoline"
            self._registers_on(path, "S7")
            self._return_slot(path, "S7")
            checker.equal(path, "S7", "LR", ENTRY_LR, registers.lr)
            checker.equal(path, "S7", "r0", link, registers.gpr[0])
            if "orig_gpr3" in path.facts:
                self._stub_direct_tramp(path)
            return
        if wanted == "body" and "graph_hook" in features and path.graph is None and not case.off:
            checker.where = "on the way"
            checker.broken(path, "S8", address, "past ftrace_graph_call", ROUTES["graph"], ROUTES["body"])
        checker.where = "in B" if wanted == "body" else ROUTES[wanted]
        self._registers_on(path, "X1")
        if path.graph and "graph" in path.facts:
            returns = path.facts["graph"]
            checker.equal(path, "S8", "LR", returns, registers.lr)
            checker.equal(path, "S8", "r0", returns, registers.gpr[0])
            checker.equal(path, "S8", "CTR (nip)", self.world.nip, registers.ctr)
            checker.equal(path, "S8", "16(A's frame)", returns, self._dword(path, 16))
        else:
            self._returns_to_a(path, target, wanted)
        if case.off:
            self._as_at_entry(path)

    def _returns_to_a(self, path: Path, target: Term, wanted: str) -> None:
        """Ask for what makes B return to A: r0, LR, where the stub does not set it, and 16(A's frame)."""
        checker, registers = self.checker, path.registers
        out_of_line, link = "out_of_line" in self.world.features, path.facts.get("link", RETURN)
        checker.equal(path, "X1", "r0", link, registers.gpr[0])
        through_stub = out_of_line and target is ENTRY_LR
        if not through_stub and not (out_of_line and wanted == "redirected"):
            checker.equal(path, "X1", "LR", link, registers.lr)
        self._return_slot(path, "X1")

    def _as_at_entry(self, path: Path) -> None:
        checker, registers, entry = self.checker, path.registers, self.entry
        if "out_of_line" not in self.world.features:
            checker.equal(path, "X1", "r11", entry.gpr[11], registers.gpr[11])
        for bit in range(4, 32):
            checker.equal(path, "X1", f"CR bit {bit}", entry.cr[bit], registers.cr[bit])
        checker.equal(path, "X1", "XER", entry.xer_word(), registers.xer_word())

    def _return_slot(self, path: Path, statement: str) -> None:
        allowed = (RETURN, path.facts.get("link", RETURN), self.world.slot_before)
        return_slot(path, self.checker, statement, allowed)

    def _stub_direct_tramp(self, path: Path) -> None:
        """Follow the direct trampoline that is one of the trampolines' own: it returns at once."""
        path.pc = self.world.symbols["ftrace_stub_direct_tramp"]
        for one, event in self.explorer.events(path):
            stack_stores(one, self.checker)
            self.checker.where = "behind ftrace_stub_direct_tramp"
            if event.target is None or not self._goes_to(one, event, "body"):
                self.checker.broken(one, "S7", event.address, "where it went", ROUTES["body"], came_to(event))
                continue
            self._registers_on(one, "X1")
            self._returns_to_a(one, event.target, "body")

    def _handler(self, path: Path) -> list[Path]:
        checker, registers = self.checker, path.registers
        checker.where = "at livepatch_handler"
        link, nip = path.facts["link"], path.facts["nip"]
        self._registers_on(path, "X3")
        if "out_of_line" in self.world.features:
            checker.equal(path, "X3", "r0", link, registers.gpr[0])
            checker.equal(path, "X3", "LR", nip, registers.lr)
        else:
            checker.equal(path, "X3", "LR", link, registers.lr)
            checker.equal(path, "X3", "CTR", nip, registers.ctr)
        self.livepatch.run(path, lambda at: self._registers_on(at, "X3"), self._a_sees)
        return []

    def _a_sees(self, path: Path) -> None:
        """Ask that A finds its registers as at its call: C kept those that are not volatile."""
        self._registers_on(path, "L5", NONVOLATILE)
