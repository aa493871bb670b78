"""The kernel world around the trampolines: text, functions A, B, C and tracer, kernel data, modules, paca, stacks.

Addresses are those of a 4.7 ppc64le kernel: kernel text and data from 0xc000000000000000, modules from
0xd000000000000000. Everything that a trampoline should not touch is filled with a pattern of its own, so that a missing
store, a swapped slot, an off-by-8 and a short access are all seen.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from random import Random

from lpgen.assembly import Image, Unit, link
from lpgen.errors import LpgenError
from lpgen.kernel.generations import Kernel
from lpgen.machine.engine import PAGE, Engine, branch, words
from lpgen.machine.scan import bug_entries, privileged

KERNEL = 0xC000000000000000
TEXT = KERNEL + 0x10000
RODATA = KERNEL + 0x30000
FUNCTIONS = KERNEL + 0x40000
MONITOR = KERNEL + 0x100000
PACAS = (KERNEL + 0xF00000, KERNEL + 0xF02000)
TOC_DATA = KERNEL + 0x1000000
KERNEL_TOC = TOC_DATA + 0x8000
# Further from the TOC pointer than 16 bits reach, with a low half above 0x8000: @ha has to carry.
FUNCTION_TRACE_OP = KERNEL_TOC + 0x1A8F8
FTRACE_OPS = TOC_DATA + 0x30120
STACKS = KERNEL + 0x2000000
STACK_SPACING = 0x20000
MODULES = 0xD000000000010000
MODULE_SPACING = 0x1000000
# Where the outermost function of a thread returns to; only ever seen in a back chain.
MAIN_RETURN = FUNCTIONS + 0xF000
MAIN_FRAME = 0x100

STACK_END_MAGIC = 0x57AC6E9D
LIVEPATCH_FRAME = 24
# The part of a stack's memory that is compared as its base: 100 livepatch frames and more.
BASE_WINDOW = 0xC00
THREADS = ("task", "second task", "hardirq", "softirq", "emergency", "bystander")
BYSTANDER = len(THREADS) - 1

HOMES = ("kernel", "module 1", "module 2")
_MFLR_R0, _STD_R0_16_R1, _LD_R2_24_R1, _BCTRL, _BCTR, _NOP, _TRAP = (
    0x7C0802A6,
    0xF8010010,
    0xE8410018,
    0x4E800421,
    0x4E800420,
    0x60000000,
    0x7FE00008,
)


@dataclass(frozen=True, slots=True)
class Function:
    """B or C. ``gep``, ``lep``: entry points; ``site``: B's call-site bl; ``toc``: its r2; ``home``: index in HOMES."""

    name: str
    home: int
    gep: int
    lep: int
    toc: int
    site: int = 0
    form: int = 0


@dataclass(frozen=True, slots=True)
class CallSite:
    """A call in A: ``call`` is its branch, ``returns`` what LR is in B, ``toc`` A's r2."""

    home: int
    call: int
    returns: int
    toc: int


@dataclass(frozen=True, slots=True)
class Thread:
    """A stack: its memory from ``base`` to ``top``; where its livepatch_sp is kept and where that starts."""

    number: int
    name: str
    base: int
    top: int
    sp_address: int
    sp_start: int


@dataclass(frozen=True, slots=True)
class Gate:
    """What a gate stands for: kind (tracer, graph, body, c, back, kretprobe) and which function or call site."""

    kind: str
    what: Function | CallSite | None = None


class World:
    """One kernel with the trampolines of ``unit`` linked in, two modules, and the stacks of THREADS.

    Raises LpgenError when the unit lacks an entry point of the generation, or when what ftrace patches is not what
    ftrace expects to find there.
    """

    def __init__(self, kernel: Kernel, unit: Unit, *, watch: bool = False) -> None:
        self.kernel = kernel
        self.offsets = kernel.offsets
        self.engine = Engine(MONITOR)
        self._gates: list[Gate] = [Gate("own")]
        self._stubs: dict[int, int] = {}
        self._twin_pages: set[int] = set()
        self._stack_images: list[bytes] = []
        self._pattern = Random(0xC0FFEE)
        for address in (TEXT, TEXT + PAGE, RODATA, FUNCTIONS):
            self.engine.map(address, PAGE, writable=False)
            self.engine.write(address, words(_TRAP) * (PAGE // 4))
        self._entry = {0: self.engine.add_monitor_entry(FUNCTIONS)}
        self._next = {0: FUNCTIONS + 0x800}
        self._next_thunk = {0: FUNCTIONS + 0x8000}
        self.stack_bytes = 1 << kernel.thread_shift
        self.toc = (KERNEL_TOC, *(MODULES + n * MODULE_SPACING + 0x808000 for n in range(len(HOMES) - 1)))
        for home in range(1, len(HOMES)):
            base = MODULES + (home - 1) * MODULE_SPACING
            self.engine.map(base, PAGE, writable=False)
            self.engine.write(base, words(_TRAP) * (PAGE // 4))
            self._entry[home] = self.engine.add_monitor_entry(base)
            self._next[home] = base + 0x800
            self._next_thunk[home] = base + 0xC000
        self.tracer = self._place_gate(0, Gate("tracer"))
        self.graph = self._place_gate(0, Gate("graph"))
        self.kretprobe = self._place_gate(0, Gate("kretprobe"))
        self.graph_return = self._place_gate(0, Gate("graph_return"))
        self.image = self._link(unit)
        self._check_entry_points()
        first, end = self.text
        self.privileged = privileged(self.engine.read(first, end - first), first)
        self._patch_points()
        self.functions_b = [
            self._place_b(home, form) for home in range(len(HOMES)) for form in range(len(kernel.call_sites))
        ]
        self.functions_c = [self._place_c(home, n) for home in range(len(HOMES)) for n in range(2)]
        self.twins = {b.gep: self._place_twin(b) for b in self.functions_b if b.home == 0}
        self.local_calls = {function.gep: self._place_local_call(function) for function in self.functions_b}
        self.pointer_calls = [self._place_pointer_call(home) for home in range(len(HOMES))]
        self._place_data()
        self.threads = [self._place_thread(n) for n in range(len(THREADS))]
        self.watched = watch
        if watch:
            first, end = self.text
            self.engine.watch([(first, end)])
        self.patched = (False, False)

    # What stands where

    @property
    def text(self) -> tuple[int, int]:
        """First address of the trampolines' .text and the one behind it."""
        return TEXT, TEXT + len(self.image.unit.sections[".text"].data)

    def gate(self, number: int) -> Gate:
        """Return what gate ``number`` stands for; a number that none has, from a jump into a thunk, is a wild one."""
        return self._gates[number] if number < len(self._gates) else Gate("wild")

    def symbol(self, name: str) -> int:
        """Return the address of a symbol of the trampolines."""
        return self.image.symbols[name]

    def name_of(self, address: int) -> str:
        """Return how a person would write ``address``: symbol+offset, function, stack or the bare number."""
        first, end = self.text
        if first <= address < end:
            name, at = max(
                ((n, a) for n, a in self.image.symbols.items() if first <= a <= address),
                key=lambda item: (item[1], item[0] in self._entry_names()),
                default=("trampolines", first),
            )
            return f"{name}+{address - at:#x}" if address != at else name
        for known, name in self._named:
            if known == address:
                return name
        return f"{address:#x}"

    def _entry_names(self) -> set[str]:
        return {symbol.name for symbol in self.kernel.symbols}

    @property
    def _named(self) -> Iterable[tuple[int, str]]:
        yield self.tracer, "tracer"
        yield self.graph, "prepare_ftrace_return"
        yield self.kretprobe, "kretprobe_trampoline"
        yield FTRACE_OPS, "*function_trace_op"
        yield KERNEL_TOC, "kernel TOC"
        for home in range(1, len(HOMES)):
            yield self.toc[home], f"TOC of {HOMES[home]}"
        for function in (*self.functions_b, *self.functions_c, *self.twins.values()):
            yield function.gep, f"{function.name} (GEP)"
            if function.lep != function.gep:
                yield function.lep, f"{function.name} (LEP)"
            if function.site:
                yield function.site, f"the call site's bl in {function.name}"
                yield function.site + 4, f"behind the call site in {function.name}"
        for site in (*self.local_calls.values(), *self.pointer_calls):
            yield site.returns, f"return address into A ({HOMES[site.home]})"

    # Building

    def _place(self, home: int, code: bytes) -> int:
        at = self._next[home]
        self.engine.write(at, code)
        self._next[home] = at + len(code) + 4
        return at

    def _gate_code(self, home: int, at: int, gate: Gate) -> bytes:
        """Return the one instruction of a gate: a branch to where the monitor is told its number.

        What lies behind it traps: an entry in the middle is none.
        """
        self._gates.append(gate)
        thunk = self._next_thunk[home]
        code = self.engine.gate(thunk, len(self._gates) - 1, self._entry[home])
        self.engine.write(thunk, code)
        self._next_thunk[home] = thunk + len(code)
        return words(branch(at, thunk))

    def _place_gate(self, home: int, gate: Gate) -> int:
        return self._place(home, self._gate_code(home, self._next[home], gate))

    def _link(self, unit: Unit) -> Image:
        if ".text" not in unit.sections or not unit.sections[".text"].data:
            raise LpgenError(f"{unit.name} has no code", hint="the trampolines belong in .text")
        other = [n for n, sec in unit.sections.items() if "x" in sec.flags and sec.data and n != ".text"]
        if other:
            raise LpgenError(
                f"{unit.name} has code in {', '.join(other)}", hint="only code in .text is watched and judged"
            )
        size = len(unit.sections[".text"].data)
        if size > PAGE:
            raise LpgenError(f"{unit.name}: .text of {size} bytes is larger than the {PAGE} bytes set aside for it")
        externals = {
            "function_trace_op": FUNCTION_TRACE_OP,
            "prepare_ftrace_return": self.graph,
        }
        undefined = [s.name for s in unit.symbols.values() if s.section is None]
        unknown = [n for n in undefined if n not in externals and n != ".TOC."]
        if unknown:
            raise LpgenError(
                f"{unit.name} uses {', '.join(sorted(unknown))}, which neither it nor kernel {self.kernel.version} "
                "has for it"
            )
        addresses = {".text": TEXT}
        at = RODATA
        for name, section in unit.sections.items():
            if name != ".text" and section.data:
                addresses[name] = at
                at += (len(section.data) + 0xFF) & ~0xFF
        image = link(unit, addresses=addresses, externals=externals, toc=KERNEL_TOC)
        for address, data in image.segments:
            self.engine.write(address, data)
        return image

    def _check_entry_points(self) -> None:
        symbols = self.image.unit.symbols
        local = [s.name for s in self.kernel.symbols if s.name in symbols and symbols[s.name].binding == "local"]
        if local:
            raise LpgenError(
                f"{self.image.unit.name}: {', '.join(local)} is not global: the kernel's C code could not link to it",
                hint="add .globl",
            )
        missing = [s.name for s in self.kernel.symbols if s.name not in self.image.symbols]
        if missing:
            raise LpgenError(
                f"{self.image.unit.name} does not define {', '.join(missing)}",
                hint=f"kernel {self.kernel.version} with these options needs "
                + ", ".join(s.name for s in self.kernel.symbols),
            )

    def _word(self, address: int) -> int:
        word: int = struct.unpack("<I", self.engine.read(address, 4))[0]
        return word

    def _patch_points(self) -> None:
        """Check that ftrace would find what it expects, as it refuses to patch anything else."""
        self._patches: dict[str, tuple[int, bytes, bytes]] = {}
        call = self.symbol("ftrace_call")
        self._expect(call, branch(call, self.symbol("ftrace_stub"), link=True), "ftrace_call", "bl ftrace_stub")
        if "call_with_nop" in self.kernel.features:
            self._expect(call + 4, _NOP, "ftrace_call+4", "nop")
        self._patches["tracer"] = (
            call,
            self.engine.read(call, 4),
            words(branch(call, self.tracer, link=True)),
        )
        if "graph_hook" in self.kernel.features:
            hook, stub = self.symbol("ftrace_graph_call"), self.symbol("ftrace_graph_stub")
            self._expect(hook, branch(hook, stub), "ftrace_graph_call", "b ftrace_graph_stub")
            self._patches["graph"] = (
                hook,
                self.engine.read(hook, 4),
                words(branch(hook, self.symbol("ftrace_graph_caller"))),
            )

    def _expect(self, address: int, word: int, where: str, text: str) -> None:
        seen = self._word(address)
        if seen != word:
            raise LpgenError(
                f"{self.image.unit.name}: {where} holds {seen:08x}, ftrace patches only {word:08x} ({text})",
                hint=f"put {text} there",
            )

    def _place_b(self, home: int, form: int) -> Function:
        at = self._next[home]
        distance = self.toc[home] - at
        high, low = (distance + 0x8000) >> 16, distance & 0xFFFF
        code = [0x3C4C0000 | high & 0xFFFF, 0x38420000 | low]  # addis r2,r12,..@ha; addi r2,r2,..@l
        for text in self.kernel.call_sites[form][:-1]:
            code.append({"mflr r0": _MFLR_R0, "std r0,16(r1)": _STD_R0_16_R1}[text])
        site = at + 4 * len(code)
        target = self.symbol("ftrace_caller") if home == 0 else self._stub(home)
        code.append(branch(site, target, link=True))
        function = Function(f"B{len(self._gates)}", home, at, at + 8, self.toc[home], site, form)
        self._place(home, words(*code) + self._gate_code(home, site + 4, Gate("body", function)))
        return function

    def _stub(self, home: int) -> int:
        """Return the module's stub for ftrace_caller: like the kernel's, it uses r11, r12 and CTR and keeps r2."""
        if home not in self._stubs:
            target = self.symbol("ftrace_caller")
            base = MODULES + (home - 1) * MODULE_SPACING + 0x8000
            code = [0x3D620001, 0x396B0000 | 0x1230]  # addis r11,r2,1; addi r11,r11,0x1230: the stub's own data
            code += [0x3D800000 | target >> 48 & 0xFFFF, 0x618C0000 | target >> 32 & 0xFFFF]
            code += [0x798C07C6, 0x658C0000 | target >> 16 & 0xFFFF, 0x618C0000 | target & 0xFFFF]
            code += [0x7D8903A6, _BCTR]
            self.engine.write(base, words(*code))
            self._stubs[home] = base
        return self._stubs[home]

    def stub_effects(self, home: int) -> dict[int, int] | None:
        """Return the GPRs that the way from ``home`` to ftrace_caller changes (CTR = r12 as well), None for none."""
        if home == 0:
            return None
        return {11: self.toc[home] + 0x10000 + 0x1230, 12: self.symbol("ftrace_caller")}

    def _place_c(self, home: int, n: int) -> Function:
        at = self._next[home]
        function = Function(f"C{home}{n}", home, at, at, self.toc[home])
        self._place(home, self._gate_code(home, at, Gate("c", function)))
        return function

    def _place_twin(self, b: Function) -> Function:
        """Place a C in module 1 whose entry differs from the nip in B only in the upper half."""
        nip = b.site + 4
        at = MODULES & ~0xFFFFFFFF | nip & 0xFFFFFFFF
        page = at & ~(PAGE - 1)
        if page not in self._twin_pages:
            self._twin_pages.add(page)
            self.engine.map(page, PAGE, writable=False)
            self.engine.write(page, words(_TRAP) * (PAGE // 4))
        function = Function(f"C twin of {b.name}", 1, at, at, self.toc[1])
        self.engine.write(at, self._gate_code(1, at, Gate("c", function)))
        return function

    def _place_local_call(self, function: Function) -> CallSite:
        home = function.home
        at = self._next[home]
        site = CallSite(home, at, at + 4, self.toc[home])
        self._place(
            home, words(branch(at, function.lep, link=True)) + self._gate_code(home, at + 4, Gate("back", site))
        )
        return site

    def _place_pointer_call(self, home: int) -> CallSite:
        at = self._next[home]
        site = CallSite(home, at, at + 4, self.toc[home])
        self._place(home, words(_BCTRL, _LD_R2_24_R1) + self._gate_code(home, at + 8, Gate("back", site)))
        return site

    def _place_data(self) -> None:
        self._constant: list[tuple[int, bytes]] = []
        for address in (PACAS[0], TOC_DATA + 0x8000, FUNCTION_TRACE_OP & ~0xFFFF):
            self.engine.map(address & ~0xFFFF, PAGE)
        window = 0x1000
        pacas = []
        for address in PACAS:
            paca = bytearray(self._pattern.randbytes(window))
            struct.pack_into("<Q", paca, self.offsets["PACATOC"], KERNEL_TOC)
            pacas.append((address, bytes(paca)))
        data = bytearray(self._pattern.randbytes(window))
        page = FUNCTION_TRACE_OP & ~(window - 1)
        struct.pack_into("<Q", data, FUNCTION_TRACE_OP - page, FTRACE_OPS)
        near_toc = self._pattern.randbytes(window)
        for address, content in (*pacas, (page, bytes(data)), (KERNEL_TOC, near_toc)):
            self.engine.write(address, content)
            self._constant.append((address, content))

    def _place_thread(self, number: int) -> Thread:
        # Not all alike in the address bits above the stack's own: clearing too many of them is to be seen.
        base = STACKS + number * STACK_SPACING + number % 4 * self.stack_bytes
        self.engine.map(base, self.stack_bytes)
        info = base + self.offsets["TI_livepatch_sp"]
        # Contract section 5: the magic is the first doubleword behind thread_info, livepatch_sp starts one later.
        start = base + self.kernel.thread_info_size + 8
        thread = Thread(number, THREADS[number], base, base + self.stack_bytes, info, start)
        stack = bytearray(self._pattern.randbytes(self.stack_bytes))
        struct.pack_into("<Q", stack, start - 8 - base, STACK_END_MAGIC)
        struct.pack_into("<Q", stack, self.offsets["TI_livepatch_sp"], start)
        frame = self.stack_bytes - MAIN_FRAME
        struct.pack_into("<QQQ", stack, frame, 0, self._pattern.getrandbits(64), MAIN_RETURN)
        self._stack_images.append(bytes(stack))
        self.engine.write(base, bytes(stack))
        return thread

    # Between calls

    def reset(self, thread: Thread) -> int:
        """Give ``thread`` its stack as new; return r1 of the frame of its outermost function."""
        self.engine.write(thread.base, self._stack_images[thread.number])
        return thread.top - MAIN_FRAME

    def changed_stack(self, used: Collection[int]) -> int | None:
        """Return the number of a stack that changed though no call used it, None if there is none.

        ``used`` are the stacks of the calls since the last time. All are as new afterwards, so that what one case did
        does not depend on those before it.
        """
        changed = None
        for thread in self.threads:
            if thread.number in used:
                self.reset(thread)
            elif self.stack_image(thread) != self._stack_images[thread.number]:
                self.reset(thread)
                changed = thread.number if changed is None else changed
        return changed

    def patch(self, *, tracer: bool, graph: bool) -> None:
        """Patch ftrace_call and ftrace_graph_call as ftrace does when a tracer, the graph tracer, comes or goes."""
        wanted = (tracer, graph)
        if wanted == self.patched:
            return
        for name, on, was in zip(("tracer", "graph"), wanted, self.patched, strict=True):
            if on != was:
                address, original, patched = self._patches[name]
                self.engine.write_code(address, patched if on else original)
        self.patched = wanted

    def changed_constants(self) -> list[tuple[int, int, int]]:
        """Return what the guest changed in paca and kernel data: (address, doubleword before, after); mend it."""
        changed: list[tuple[int, int, int]] = []
        for address, content in self._constant:
            now = self.engine.read(address, len(content))
            if now != content:
                pairs = zip(struct.iter_unpack("<Q", content), struct.iter_unpack("<Q", now), strict=True)
                changed += [(address + 8 * n, old, new) for n, ((old,), (new,)) in enumerate(pairs) if old != new]
                self.engine.write(address, content)
        return changed

    def stack_image(self, thread: Thread) -> bytes:
        """Return all of a thread's stack memory."""
        return self.engine.read(thread.base, self.stack_bytes)

    def bug_entries(self) -> dict[int, int]:
        """Return the flags of each entry in __bug_table, by the address that it is for."""
        section = self.image.unit.sections.get("__bug_table")
        if section is None:
            return {}
        base = self.image.addresses["__bug_table"]
        return bug_entries(self.engine.read(base, len(section.data)), base, self.offsets["BUG_ENTRY_SIZE"])
