"""The kernel world around the trampolines: text, functions A, B, C and tracer, kernel data, modules, paca, stacks.

Addresses are those of a ppc64le kernel: kernel text and data from 0xc000000000000000, modules from
0xd000000000000000. Everything that a trampoline should not touch is filled with a pattern of its own, so that a missing
store, a swapped slot, an off-by-8 and a short access are all seen.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Collection, Iterator
from random import Random

from lpgen.assembly import Unit
from lpgen.errors import LpgenError
from lpgen.kernel.generations import Kernel
from lpgen.machine.acceptance import check_entry_points, patch_points
from lpgen.machine.anywhere import Anywhere
from lpgen.machine.code import (
    BCTRL,
    LD_R2_24_R1,
    MFLR_R0,
    OOL_CODE_BYTES,
    STD_R0_16_R1,
    STUB_DATA,
    TRAP,
    module_stub,
    ool_stub,
    toc_setup,
)
from lpgen.machine.engine import PAGE, Engine, branch, words
from lpgen.machine.kernel_data import KernelData
from lpgen.machine.linking import ground_of, load, own_data
from lpgen.machine.naming import named_places
from lpgen.machine.places import (
    HOMES,
    LEAN,
    MAIN_FRAME,
    MCOUNT,
    MCOUNTS,
    MODULE_SPACING,
    OPS_SPACING,
    REGS,
    STACK_END_MAGIC,
    STACK_SPACING,
    STORES_R0,
    TASK_SPACING,
    TASK_THREADS,
    THREAD_INFO,
    THREADS,
    CallSite,
    Function,
    Gate,
    Patched,
    Thread,
)
from lpgen.machine.scan import bug_entries, privileged


class World:
    """One kernel with the trampolines of ``unit`` linked in, two modules, and the stacks of THREADS.

    ``watch``: the trampolines' instructions are watched; ``around``: those of ``code_around`` are traced with them.
    ``engine`` makes the processor, given where its monitor is to lie.
    Raises LpgenError when the unit lacks an entry point of the generation, or when what ftrace patches is not what
    ftrace expects to find there.
    """

    def __init__(
        self,
        kernel: Kernel,
        unit: Unit,
        *,
        watch: bool = False,
        around: bool = False,
        engine: Callable[[int], Engine] = Engine,
    ) -> None:
        self.kernel = kernel
        self.offsets = kernel.offsets
        self.ground = ground = ground_of(unit)
        self.engine = engine(ground.monitor)
        self._gates: list[Gate] = [Gate("own")]
        self.stubs: dict[tuple[int, str], int] = {}
        self._next_ool: dict[int, int] = {}
        self._twin_pages: set[int] = set()
        self._chosen_c: dict[int, tuple[int, Function]] = {}
        self._stack_images: list[bytes] = []
        self._pattern = Random(0xC0FFEE)
        for address in (ground.rodata, ground.functions):
            self.engine.map(address, PAGE, writable=False)
            self.engine.write(address, words(TRAP) * (PAGE // 4))
        self._entry = {0: self.engine.add_monitor_entry(ground.functions)}
        self._next = {0: ground.functions + 0x800}
        self._next_thunk = {0: ground.functions + 0x8000}
        self.stack_bytes = 1 << kernel.thread_shift
        self.toc = (ground.toc, *(self.ground.modules + n * MODULE_SPACING + 0x808000 for n in range(len(HOMES) - 1)))
        for home in range(1, len(HOMES)):
            base = self.ground.modules + (home - 1) * MODULE_SPACING
            self.engine.map(base, PAGE, writable=False)
            self.engine.write(base, words(TRAP) * (PAGE // 4))
            self._entry[home] = self.engine.add_monitor_entry(base)
            self._next[home] = base + 0x800
            self._next_thunk[home] = base + 0xC000
        self.tracer = self._place_gate(0, Gate("tracer"))
        self.graph = self._place_gate(0, Gate("graph"))
        self.kretprobe = self._place_gate(0, Gate("kretprobe"))
        self.graph_return = self._place_gate(0, Gate("graph_return"))
        self.kprobe = self._place_gate(0, Gate("kprobe"))
        self.unhook = self._place_gate(0, Gate("unhook"))
        direct = self._place_gate(0, Gate("direct"))
        # Where ops->func is called through its global entry point, the tracer may be a module's.
        self.module_tracer = self._place_gate(1, Gate("tracer"))
        # It leaves its own TOC behind: never that of B.
        self._tracers = {home: self.tracer if home == 1 else self.module_tracer for home in range(len(HOMES))}
        functions = {"prepare_ftrace_return": self.graph, "ftrace_return_to_handler": self.unhook}
        if {"kprobe_test", "two_entries"} & kernel.features:
            functions["is_current_kprobe_addr"] = self.kprobe
        self.image = load(unit, kernel, self.engine, ground, functions)
        check_entry_points(kernel, self.image)
        first, end = self.text
        self.privileged = privileged(self.engine.read(first, end - first), first)
        self.patches = patch_points(kernel, self.image, self.engine, self.tracer)
        self.functions_b = {
            (home, form, entry): self._place_b(home, form, entry)
            for home in range(len(HOMES))
            for form in range(len(kernel.call_sites))
            for entry in self.entries
            if entry != MCOUNT or form == 0
        }
        self.functions_c = [self._place_c(home, n) for home in range(len(HOMES)) for n in range(2)]
        placed = self.functions_b.values()
        self.twins = {b.gep: self._place_twin(b) for b in placed if b.home == 0}
        self._anywhere = Anywhere(self.engine, {ground.functions, *map(self._module, (1, 2)), *self._twin_pages})
        self.local_calls = {function.gep: self._place_local_call(function) for function in placed}
        self.pointer_calls = [self._place_pointer_call(home) for home in range(len(HOMES))]
        # Where 32 bits are compared with 0, the one whose lower half is 0 is taken for none.
        self.directs = dict.fromkeys(range(len(HOMES)), direct)
        if "direct_calls" in kernel.features:
            self.directs |= dict.fromkeys((0, 1), self._place_low_zero(Gate("direct")))
        stub = self.symbol("ftrace_stub")
        self.data = KernelData(
            kernel, self.engine, ground, self._pattern, self._tracers, self.directs, stub, own_data(self.image, ground)
        )
        self.threads = [self._place_thread(n) for n in range(len(THREADS))]
        self.watched = watch
        if watch:
            first, end = self.text
            self.engine.watch([(first, end)], around=[*self.code_around] if around else ())
        self.patched = Patched()

    # What stands where

    @property
    def text(self) -> tuple[int, int]:
        """First address of the trampolines' instructions and the one behind them."""
        section = self.image.unit.sections[".text"]
        last = section.lines[-1] if section.lines else None
        return self.ground.text, self.ground.text + (len(section.data) if last is None else last.offset + last.size)

    @property
    def entries(self) -> dict[str, str]:
        """The symbols that call sites lead to, by the way they lead there."""
        two = "two_entries" in self.kernel.features
        found = {REGS: "ftrace_regs_caller" if two else "ftrace_caller"}
        if two:
            found[LEAN] = "ftrace_caller"
        if "mcount" in self.kernel.features:
            found[MCOUNT] = "_mcount"
        return found

    @property
    def code_around(self) -> Iterator[tuple[int, int]]:
        """Ranges of addresses of the real instructions around the trampolines: calls, call sites, stubs."""
        for b in self.functions_b.values():
            yield b.gep, b.site + 4
            if b.lr != b.site + 4:
                yield b.lr - OOL_CODE_BYTES // 2, b.lr + OOL_CODE_BYTES // 2
        size = len(module_stub(0))
        yield from ((base, base + size) for base in self.stubs.values())
        yield from ((site.call, site.returns) for site in self.local_calls.values())
        yield from ((site.call, site.returns + 4) for site in self.pointer_calls)

    def ops_of(self, b: Function) -> int:
        """Return the address of the ftrace_ops that the tracer of ``b`` gets."""
        return self.ground.ops + (OPS_SPACING * b.home if "call_ops" in self.kernel.features else 0)

    def tracer_of(self, b: Function) -> int:
        """Return the address of the tracer of ``b``."""
        return self._tracers[b.home] if "call_ops" in self.kernel.features else self.tracer

    def direct_of(self, b: Function) -> int:
        """Return the address of the direct trampoline of ``b``."""
        return self.directs[b.home]

    def stores_r0(self, b: Function) -> bool:
        """True if the call site of ``b`` stores r0 at 16(r1) before the call, and B's body does not any more."""
        return b.target not in MCOUNTS and STORES_R0 in self.kernel.call_sites[b.form]

    def gate(self, number: int) -> Gate:
        """Return what gate ``number`` stands for; a number that none has, from a jump into a thunk, is a wild one."""
        return self._gates[number] if number < len(self._gates) else Gate("wild")

    def check_linked(self, address: int) -> None:
        """Raise LpgenError if the trap at ``address`` stands for an instruction that could not be linked."""
        relocation = self.image.unit.sections[".text"].unlinked.get(address - self.ground.text)
        if relocation is not None:
            raise LpgenError(
                f"{self.image.unit.name} executes {self.name_of(address)}, which uses {relocation.symbol}: that is not "
                "there, or only where no entry point is seen to lead",
                place=relocation.place,
                hint="lead there by a branch, or name the address in an instruction or in data that is used",
            )

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
        for known, name in named_places(self):
            if known == address:
                return name
        return f"{address:#x}"

    def _entry_names(self) -> set[str]:
        return {symbol.name for symbol in self.kernel.symbols}

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

    def _place_b(self, home: int, form: int, entry: str) -> Function:
        at = self._next[home]
        code = toc_setup(self.toc[home] - at)
        out_of_line = "out_of_line" in self.kernel.features and entry != MCOUNT
        # What is not patched yet has the compiler's call, whatever ftrace makes of it later.
        texts = ("mflr r0", "bl") if entry == MCOUNT else self.kernel.call_sites[form]
        for text in texts[:-1]:
            code.append({"mflr r0": MFLR_R0, "std r0,16(r1)": STD_R0_16_R1}[text])
        site = at + 4 * len(code)
        symbol = self.entries[entry]
        if entry == MCOUNT:
            symbol = MCOUNTS[home == 2]
        target = self.symbol(symbol) if home == 0 else self._stub(home, symbol)
        lr = site + 4
        if out_of_line:
            stub = self._place_ool_stub(home, site, target)
            code.append(branch(site, stub))
            lr = stub + 8
        else:
            code.append(branch(site, target, link=True))
        function = Function(
            f"B{len(self._gates)}", home, at, at + 8, self.toc[home], site=site, form=form, lr=lr, target=symbol
        )
        self._place(home, words(*code) + self._gate_code(home, site + 4, Gate("body", function)))
        return function

    def _place_ool_stub(self, home: int, site: int, target: int) -> int:
        """Write the out-of-line stub of a call site, in the area or in the module; return where it is entered."""
        size = self.offsets["FTRACE_OOL_STUB_SIZE"]
        first = self._next_ool.get(home)
        if first is None:
            # Some stubs stand behind their call sites, some before: both signs of the way back.
            module = self._module(home) + (0x500 if home == 2 else 0x9000)
            first = self.symbol("ftrace_ool_stub_text") if home == 0 else module
        elif home == 0 and first == self.symbol("ftrace_ool_stub_text") + self.kernel.stub_count * size:
            # The area is full: the kernel's build makes room for more elsewhere.
            first = self.ground.functions + 0x6000
        self._next_ool[home] = first + size
        has_ops = size > OOL_CODE_BYTES
        if has_ops:
            own = self.ground.ops + OPS_SPACING * home
            ops = own if "call_ops" in self.kernel.features else self._pattern.getrandbits(64)
            self.engine.write_u64(first, ops)
        entered = first + size - OOL_CODE_BYTES
        self.engine.write(entered, ool_stub(entered, target, site + 4))
        return entered

    def _module(self, home: int) -> int:
        return self.ground.modules + (home - 1) * MODULE_SPACING

    def _stub(self, home: int, symbol: str) -> int:
        """Return the module's stub for ``symbol``."""
        if (home, symbol) not in self.stubs:
            base = self._module(home) + 0x8000 + 0x100 * sum(1 for other, _ in self.stubs if other == home)
            self.engine.write(base, module_stub(self.symbol(symbol)))
            self.stubs[home, symbol] = base
        return self.stubs[home, symbol]

    def stub_effects(self, b: Function) -> dict[int, int] | None:
        """Return the GPRs that the way from ``b`` to the trampolines changes (CTR = r12 as well), None for none."""
        if b.home == 0:
            return None
        return {11: self.toc[b.home] + STUB_DATA, 12: self.symbol(b.target)}

    def _place_c(self, home: int, n: int) -> Function:
        at = self._next[home]
        function = Function(f"C{home}{n}", home, at, at, self.toc[home])
        self._place(home, self._gate_code(home, at, Gate("c", function)))
        return function

    def _place_twin(self, b: Function) -> Function:
        """Place a C in module 1 whose entry differs from the nip in B only in the upper half."""
        nip = b.site + 4
        at = self.ground.modules & ~0xFFFFFFFF | nip & 0xFFFFFFFF
        page = at & ~(PAGE - 1)
        if page not in self._twin_pages:
            self._twin_pages.add(page)
            self.engine.map(page, PAGE, writable=False)
            self.engine.write(page, words(TRAP) * (PAGE // 4))
        function = Function(f"C twin of {b.name}", 1, at, at, self.toc[1])
        self.engine.write(at, self._gate_code(1, at, Gate("c", function)))
        return function

    def c_at(self, address: int, home: int) -> Function:
        """Return the C whose entry is ``address``; one with the TOC of ``home`` is placed where there is none yet.

        Raises LpgenError when something else is there.
        """
        for function in (*self.functions_c, *self.twins.values()):
            if function.gep == address:
                return function
        function = Function(f"C at {address:#x}", home, address, address, self.toc[home])
        gate = Gate("c", function)
        if address in self._chosen_c:
            number = self._chosen_c[address][0]
            self._gates[number] = gate
        else:
            number = len(self._gates)
            self._anywhere.place(address, number)
            self._gates.append(gate)
        self._chosen_c[address] = number, function
        return function

    @property
    def chosen_c(self) -> list[Function]:
        """The functions C that were placed at addresses of somebody's choice."""
        return [function for _, function in self._chosen_c.values()]

    def _place_low_zero(self, gate: Gate) -> int:
        """Place a gate at a module's address whose lower half is 0."""
        self._gates.append(gate)
        at = (self.ground.modules >> 32) + 1 << 32
        self._anywhere.place(at, len(self._gates) - 1)
        return at

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
        self._place(home, words(BCTRL, LD_R2_24_R1) + self._gate_code(home, at + 8, Gate("back", site)))
        return site

    def _place_thread(self, number: int) -> Thread:
        # Not all alike in the address bits above the stack's own: clearing too many of them is to be seen.
        base = self._stack_base(number)
        self.engine.map(base, self.stack_bytes)
        offset = self.offsets.get("TI_livepatch_sp", 16)
        stack = bytearray(self._pattern.randbytes(self.stack_bytes))
        if "thread_info_in_task" in self.kernel.features:
            # Contract section 5: the magic is at task->stack, livepatch_sp starts one doubleword later.
            task = number if number in TASK_THREADS else 0
            livepatch = self._stack_base(task)
            info = self.ground.tasks + TASK_SPACING * task + THREAD_INFO
            start = livepatch + 8
        else:
            # Contract section 5: the magic is the first doubleword behind thread_info, livepatch_sp starts one later.
            task, livepatch, info = number, base, base
            start = base + self.kernel.thread_info_size + 8
            struct.pack_into("<Q", stack, offset, start)
        if livepatch == base:
            struct.pack_into("<Q", stack, start - 8 - base, STACK_END_MAGIC)
        thread = Thread(
            number, THREADS[number], base, base + self.stack_bytes, info + offset, start, task, livepatch, info
        )
        frame = self.stack_bytes - MAIN_FRAME
        struct.pack_into("<QQQ", stack, frame, 0, self._pattern.getrandbits(64), self.ground.main_return)
        self._stack_images.append(bytes(stack))
        self.engine.write(base, bytes(stack))
        if "thread_info_in_task" in self.kernel.features:
            self.data.add_livepatch_sp(thread.sp_address, thread.sp_start)
        return thread

    def _stack_base(self, number: int) -> int:
        return self.ground.stacks + number * STACK_SPACING + number % 4 * self.stack_bytes

    def _reset_sp(self, thread: Thread) -> None:
        if "thread_info_in_task" in self.kernel.features:
            self.engine.write_u64(thread.sp_address, thread.sp_start)

    def interrupting(self, thread: Thread, interrupted: Thread) -> Thread:
        """Return ``thread``, an interrupt's stack, as it is while ``interrupted`` is: where its livepatch stack is."""
        if "thread_info_in_task" not in self.kernel.features or thread.number in TASK_THREADS:
            return thread
        return thread.over(interrupted)

    # Between calls

    def reset(self, thread: Thread) -> int:
        """Give ``thread`` its stack as new; return r1 of the frame of its outermost function."""
        self.engine.write(thread.base, self._stack_images[thread.number])
        self._reset_sp(thread)
        return thread.top - MAIN_FRAME

    def owners(self, used: Collection[int]) -> frozenset[int]:
        """Return ``used``, numbers of threads, and those whose livepatch stacks they use."""
        return frozenset(used) | {self.threads[number].task for number in used}

    def changed_stack(self, used: Collection[int]) -> int | None:
        """Return the number of a stack that changed though no call used it, None if there is none.

        ``used`` are the stacks of the calls since the last time. All are as new afterwards, so that what one case did
        does not depend on those before it.
        """
        changed = None
        for thread in self.threads:
            if thread.number in used:
                self.reset(thread)
            elif self.stack_image(thread) != self._stack_images[thread.number] or not self._sp_is_new(thread, used):
                self.reset(thread)
                changed = thread.number if changed is None else changed
        return changed

    def _sp_is_new(self, thread: Thread, used: Collection[int]) -> bool:
        if "thread_info_in_task" not in self.kernel.features or thread.task in used:
            return True
        return self.engine.read_u64(thread.sp_address) == thread.sp_start

    def patch(self, wanted: Patched) -> None:
        """Patch and set what ftrace does when a tracer, the graph tracer, a direct trampoline comes or goes."""
        was, self.patched = self.patched, wanted
        if wanted == was:
            return
        for name, on, before in (("tracer", wanted.tracer, was.tracer), ("graph", wanted.graph, was.graph)):
            for address, original, patched in self.patches[name] if on != before else ():
                self.engine.write_code(address, patched if on else original)
        if "tracing_switch" in self.kernel.features and wanted.disabled != was.disabled:
            self.data.set_tracing(disabled=wanted.disabled)
        if {"call_ops", "direct_calls"} & self.kernel.features:
            self.data.set_ops(wanted)

    def choose_flag(self, flag: int | None) -> None:
        """Set what PACA_FTRACE_ENABLED is where tracing is on, in every paca; None: what it is without a choice."""
        self.data.choose_flag(flag, disabled=self.patched.disabled)

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
