"""The emulated processor: a true little-endian 64-bit POWER at kernel addresses. The only importer of unicorn.

Python acts for every function that is not under test (A, B, C, the tracer). Such a function's address is a *gate*:
three instructions that lead to the monitor, guest code which stores all registers to a block and stops the run. Python
reads the block, judges, changes, and resumes: the monitor loads all registers and goes to the pc with rfid. That takes
some ten microseconds each way and sees VRs and XER as they are (Unicorn has no ids for the VRs and misses XER's bits).
"""

from __future__ import annotations

import ctypes
import mmap
import struct
from collections.abc import Callable, Sequence
from threading import Timer
from typing import Any

from lpgen.errors import LpgenError
from lpgen.machine import instructions as w
from lpgen.machine import state as block
from lpgen.machine.instructions import branch as branch
from lpgen.machine.instructions import words as words
from lpgen.machine.state import BLOCK_BYTES, State
from lpgen.machine.stop import Step, Stop

try:
    import unicorn
    from unicorn import ppc_const as ppc
except ImportError as error:  # pragma: no cover - needs a machine without a wheel
    raise LpgenError(
        f"the emulator does not load: {error}",
        hint="pip install unicorn (wheels exist for Linux x86-64 and arm64, macOS and Windows); lpgen doctor says more",
    ) from error

# Power ISA 3.0B, Book III 3.2.1. No DR/IR: addresses go through Unicorn's virtual TLB, one to one.
MSR_SF, MSR_VEC, MSR_VSX, MSR_EE, MSR_FP, MSR_ME, MSR_RI, MSR_LE = (
    1 << 63,
    1 << 25,
    1 << 23,
    1 << 15,
    1 << 13,
    1 << 12,
    2,
    1,
)
# The kernel runs with FP and vectors off, so an instruction that uses them is a fault; the monitor needs them on.
KERNEL_MSR = MSR_SF | MSR_EE | MSR_ME | MSR_RI | MSR_LE
MONITOR_MSR = KERNEL_MSR | MSR_VEC | MSR_VSX | MSR_FP

PROGRAM_CHECK = 6
_INTERRUPTS = {
    6: "trap (program check)",
    7: "FP unavailable",
    8: "system call",
    73: "VEC unavailable",
    94: "VSX unavailable",
    96: "illegal instruction",
}
_ACCESSES = {
    19: "load from unmapped",
    20: "store to unmapped",
    21: "fetch from unmapped",
    22: "store to read-only",
    23: "load from unreadable",
    24: "fetch from non-executable",
}

PAGE = 0x10000
# More basic blocks than any way through the code under test has: a run that gets here does not end.
MAX_BLOCKS = 4000
# More traced instructions and accesses than any way has, from one stop to the next: 4000 long blocks fill the memory.
MAX_STEPS = 50_000


_BLOCK_OFFSETS = ((block.LR, w.LR), (block.CTR, w.CTR), (block.XER, w.XER))
_DOUBLEWORD = struct.Struct("<Q")


class _Batch:
    """Registers that are read again and again: one call with arrays made once, a fifth of reg_read_batch's time."""

    def __init__(self, uc: Any, ids: Sequence[int]) -> None:
        self._uc = uc
        self._count = len(ids)
        self._ids = (ctypes.c_int * self._count)(*ids)
        self._values = (ctypes.c_uint64 * self._count)()
        at = ctypes.addressof(self._values)
        self._pointers = (ctypes.c_void_p * self._count)(*(at + 8 * n for n in range(self._count)))

    def read(self) -> tuple[int, ...]:
        """Return the registers' values now."""
        status = self._uc._do_reg_read_batch(self._ids, self._pointers, self._count)
        if status != unicorn.UC_ERR_OK:
            raise unicorn.UcError(status)
        return tuple(self._values)


class Engine:
    """One emulated processor with its memory. Addresses and sizes in bytes."""

    # With hooks on blocks and on invalid accesses, which cost more than what they watch: a subclass may do without.
    hooked = True
    writable_is = unicorn.UC_PROT_WRITE | unicorn.UC_PROT_EXEC

    def __init__(self, monitor: int) -> None:
        """Build a processor whose monitor (code and register block, 2 pages of 64 KiB) lies at ``monitor``."""
        self.uc = unicorn.Uc(unicorn.UC_ARCH_PPC, unicorn.UC_MODE_PPC64 | unicorn.UC_MODE_BIG_ENDIAN)
        self.uc.ctl_set_tlb_mode(unicorn.UC_TLB_VIRTUAL)
        self.uc.reg_write(ppc.UC_PPC_REG_MSR, MONITOR_MSR)
        self._regions: dict[int, tuple[int, memoryview]] = {}
        self._allowed: dict[int, int] = {}
        self._writable: list[tuple[int, memoryview]] = []
        self._kept: list[bytes] = []
        self._seen_blocks: set[tuple[int, int]] | None = None
        self._seen_pcs: list[int] | None = None
        self._monitor = monitor
        self._block = monitor + PAGE
        self._exit = monitor + 0x8000
        self._entries = 0
        self._harness: set[int] = set()
        self.map(monitor, 2 * PAGE)
        self._resume_code = monitor
        self.write(monitor, self._own_code(monitor, *self._resume_words()))
        self._own_gate = monitor + 0x4000
        self.add_monitor_entry(monitor + 0x5000)
        self.write(self._own_gate, self.gate(self._own_gate, 0, monitor + 0x5000))
        self._why: tuple[str, int, int] | None = None
        self._blocks = 0
        self._countdown = 0
        self._trace: list[Step] | None = None
        self.uc.hook_add(unicorn.UC_HOOK_INTR, self._on_interrupt)
        if self.hooked:
            self.uc.hook_add(unicorn.UC_HOOK_MEM_INVALID, self._on_invalid)
            self.uc.hook_add(unicorn.UC_HOOK_BLOCK, self._on_block)
        self._watch_hooks: list[Any] = []
        self._watched: tuple[tuple[int, int], ...] = ()
        self._before: Callable[[int], bool] | None = None
        self._accessed: Callable[[int, int, bool], None] | None = None
        self._asking = False
        self._counted = 0
        self._registers_now = _Batch(
            self.uc,
            [ppc.UC_PPC_REG_0 + n for n in range(32)] + [ppc.UC_PPC_REG_LR, ppc.UC_PPC_REG_CTR, ppc.UC_PPC_REG_CR],
        )
        self._pc_now = _Batch(self.uc, [ppc.UC_PPC_REG_PC])

    # Memory

    def map(self, address: int, size: int, *, writable: bool = True) -> None:
        """Map ``size`` bytes (a multiple of 4096) of zeros at ``address``; not writable means for the guest.

        The guest's memory is the host's: reading and writing from here is a copy of bytes, not a call of Unicorn's.
        """
        protection = unicorn.UC_PROT_READ | (self.writable_is if writable else unicorn.UC_PROT_EXEC)
        host = mmap.mmap(-1, size)
        self.uc.mem_map_ptr(address, size, protection, ctypes.addressof(ctypes.c_char.from_buffer(host)))
        region = (address, memoryview(host))
        if writable:
            self._writable.append(region)
        for page in range(address // PAGE, (address + size - 1) // PAGE + 1):
            self._regions[page], self._allowed[page] = region, protection

    def map_page(self, address: int, *, writable: bool = True) -> None:
        """Map the page that holds ``address``, unless it is mapped."""
        if address // PAGE not in self._regions:
            self.map(address & ~(PAGE - 1), PAGE, writable=writable)

    def is_mapped(self, address: int) -> bool:
        """True if there is memory at ``address``."""
        return address // PAGE in self._regions

    def write(self, address: int, data: bytes) -> None:
        """Write ``data``, whatever the guest's permissions; not over instructions that may have run."""
        base, memory = self._regions[address // PAGE]
        start = address - base
        memory[start : start + len(data)] = data

    def write_code(self, address: int, data: bytes) -> None:
        """Write instructions over ones that may have run: their translation is dropped."""
        self.write(address, data)
        self.uc.ctl_remove_cache(address, address + len(data))

    def read(self, address: int, size: int) -> bytes:
        """Return ``size`` bytes at ``address``, all of them inside one mapping."""
        base, memory = self._regions[address // PAGE]
        start = address - base
        return bytes(memory[start : start + size])

    def read_u64(self, address: int) -> int:
        """Return the doubleword at ``address``."""
        base, memory = self._regions[address // PAGE]
        value: int = _DOUBLEWORD.unpack_from(memory, address - base)[0]
        return value

    def write_u64(self, address: int, value: int) -> None:
        """Store a doubleword."""
        base, memory = self._regions[address // PAGE]
        _DOUBLEWORD.pack_into(memory, address - base, value)

    def room(self, address: int) -> int:
        """Return how many bytes there are from ``address`` to the end of its mapping, 0 where there is none."""
        base, memory = self._regions.get(address // PAGE, (0, memoryview(b"")))
        return max(0, base + len(memory) - address) if base <= address else 0

    def is_harness(self, address: int, size: int) -> bool:
        """True if the monitor, or a gate's way to it, has one of ``size`` bytes at ``address``."""
        if address < self._monitor + 2 * PAGE and self._monitor < address + size:
            return True
        return any(word in self._harness for word in range(address & ~3, address + size, 4))

    def keep(self) -> None:
        """Note what all memory that the guest can write holds now, for ``restore``."""
        self._kept = [bytes(memory) for _, memory in self._writable]

    def restore(self) -> None:
        """Give all memory that the guest can write what it held at the time of ``keep``."""
        for (_, memory), kept in zip(self._writable, self._kept, strict=True):
            if memory != kept:
                memory[:] = kept

    def flush(self) -> None:
        """Drop all translations, which otherwise grow with every run."""
        self.uc.ctl_flush_tb()

    def written(self) -> list[tuple[int, memoryview]]:
        """Return the memory that the guest can write, by its first address: the memory itself, not a copy.

        The monitor's own is left out.
        """
        return [(address, memory) for address, memory in self._writable if address != self._monitor]

    # Monitor

    def _resume_words(self) -> list[int]:
        code = w.load_address(31, self._block)
        for offset, spr in (*_BLOCK_OFFSETS, (block.PC, w.SRR0), (block.MSR, w.SRR1)):
            code += [w.ld(3, offset, 31), w.mtspr(spr, 3)]
        code += [w.ld(3, block.CR, 31), w.mtcrf(w.CR_ALL, 3)]
        code += [w.lfd(n, block.FPR + 8 * n, 31) for n in range(32)]
        for n in range(32):
            code += [w.addi(3, 0, block.VR + 16 * n), w.lvx(n, 31, 3)]
        code += [w.ld(n, 8 * n, 31) for n in range(31)]
        return [*code, w.ld(31, 8 * 31, 31), w.RFID]

    def add_monitor_entry(self, address: int) -> int:
        """Place the storing half of the monitor at ``address`` (1 KiB), for gates within a branch's reach of it."""
        code = [w.mtspr(w.SPRG1, 30), *w.load_address(30, self._block)]
        code += [w.std(31, block.GATE, 30)]
        code += [w.std(n, 8 * n, 30) for n in range(30)]
        code += [w.mfspr(31, w.SPRG1), w.std(31, 8 * 30, 30)]
        code += [w.mfspr(31, w.SPRG0), w.std(31, 8 * 31, 30)]
        for offset, spr in _BLOCK_OFFSETS:
            code += [w.mfspr(3, spr), w.std(3, offset, 30)]
        code += [w.mfcr(3), w.std(3, block.CR, 30)]
        code += [w.mfmsr(3), w.std(3, block.MSR, 30)]
        code += [w.oris(3, 3, (MSR_VEC | MSR_VSX) >> 16), w.ori(3, 3, MSR_FP), w.mtmsrd(3)]
        code += [w.stfd(n, block.FPR + 8 * n, 30) for n in range(32)]
        for n in range(32):
            code += [w.addi(3, 0, block.VR + 16 * n), w.stvx(n, 30, 3)]
        # The exit has a page of its own: Unicorn drops the translation of what shares a block with it after each run.
        code += [*w.load_address(3, self._exit), w.mtspr(w.CTR, 3), w.BCTR]
        self.write(address, self._own_code(address, *code))
        return address

    def gate(self, at: int, number: int, entry: int) -> bytes:
        """Return the instructions of gate ``number`` (< 32768) for address ``at``, leading to a monitor entry."""
        return self._own_code(at, w.mtspr(w.SPRG0, 31), w.addi(31, 0, number), branch(at + 8, entry))

    def _own_code(self, at: int, *code: int) -> bytes:
        self._harness.update(range(at, at + 4 * len(code), 4))
        return words(*code)

    # Running

    def interrupt_at(self, boundary: int) -> None:
        """Have resume() stop before the ``boundary``-th (from 1) watched instruction from now on; 0: not any more."""
        self._countdown = boundary

    def resume(self, state: State) -> Stop:
        """Run from ``state`` to the next stop. Whatever the guest does ends in a Stop, within MAX_BLOCKS blocks.

        Where steps are traced it ends within MAX_STEPS of them, too.
        """
        self._why = None
        self._blocks = 0
        self.write(self._block, state.pack())
        # Whatever the guest did to MSR before, the monitor starts with its own.
        self.uc.reg_write(ppc.UC_PPC_REG_MSR, MONITOR_MSR)
        try:
            at = self._resume_code
            while True:
                self.uc.emu_start(at, self._exit)
                at = self._pc_now.read()[0]
                if at == self._exit or self._why is not None:
                    break
                # `or rx,rx,rx` gives way to other threads, and so ends the run behind it.
                self._blocks += 1
                if self._blocks > MAX_BLOCKS:
                    self._stop("runaway", at)
                    break
        except unicorn.UcError as error:
            if self._why is None:
                pc = self.uc.reg_read(ppc.UC_PPC_REG_PC)
                self._why = (f"fault:{error}", pc, pc)
        if self._why is None:
            stored, gate = State.unpack(self.read(self._block, BLOCK_BYTES))
            stored.pc = 0
            return Stop("gate", 0, stored, gate)
        kind, pc, address = self._why
        kind, _, what = kind.partition(":")
        return Stop(kind, pc, self._store(pc), what=what, address=address)

    def _store(self, pc: int) -> State:
        """Return all registers of a guest that was stopped at ``pc``."""
        msr = self.uc.reg_read(ppc.UC_PPC_REG_MSR)
        self.uc.reg_write(ppc.UC_PPC_REG_MSR, MONITOR_MSR)
        why, self._why = self._why, None
        # Behind a runaway the gate's own blocks would be too many, and end this run as well.
        self._blocks = 0
        self.uc.emu_start(self._own_gate, self._exit)
        self._why = why
        stored, _ = State.unpack(self.read(self._block, BLOCK_BYTES))
        stored.pc, stored.msr = pc, msr
        return stored

    def _stop(self, kind: str, pc: int, address: int = 0) -> None:
        if self._why is None:
            self._why = (kind, pc, address)
        self.uc.emu_stop()

    def _on_interrupt(self, uc: Any, number: int, _: Any) -> None:
        # Unicorn's pc is already behind the instruction, and without a stop the run would go on there.
        pc = uc.reg_read(ppc.UC_PPC_REG_PC) - 4
        if number == PROGRAM_CHECK:
            self._stop("trap", pc)
        else:
            self._stop(f"fault:{_INTERRUPTS.get(number, f'exception {number}')}", pc)

    def _on_invalid(self, uc: Any, access: int, address: int, size: int, value: int, _: Any) -> bool:
        self._why = (f"fault:{_ACCESSES.get(access, 'bad access')}", uc.reg_read(ppc.UC_PPC_REG_PC), address)
        return False

    def _on_block(self, uc: Any, address: int, size: int, _: Any) -> None:
        self._blocks += 1
        if self._seen_blocks is not None:
            self._seen_blocks.add((address, size))
        if self._blocks > MAX_BLOCKS:
            self._stop("runaway", address)

    # Stopping where somebody wants to

    def ask(self, before: Callable[[int], bool] | None, accessed: Callable[[int, int, bool], None] | None) -> None:
        """Have ``before`` asked with the address of each instruction that is to run next: True stops there, "asked".

        ``accessed`` is told of each load and store: address, bytes, whether it stores. Neither hears of the monitor's
        instructions. ``before`` None: nobody is asked any more.
        """
        self._before, self._accessed = before, accessed
        if not self._asking:
            self._asking = True
            self.uc.hook_add(unicorn.UC_HOOK_CODE, self._on_any)
            self.uc.hook_add(unicorn.UC_HOOK_MEM_READ | unicorn.UC_HOOK_MEM_WRITE, self._on_any_access)
            self.flush()

    def _on_any(self, uc: Any, address: int, size: int, _: Any) -> None:
        if self._before is None or self._why is not None or address in self._harness or not self._before(address):
            return
        if self._countdown and self._counted == address:
            # It is counted again when it runs.
            self._countdown += 1
        self._stop("asked", address)

    def _on_any_access(self, uc: Any, access: int, address: int, size: int, value: int, _: Any) -> None:
        if self._accessed is not None and not self._monitor <= address < self._monitor + 2 * PAGE:
            self._accessed(address, size, access == unicorn.UC_MEM_WRITE)

    # Watching every instruction

    def watch(self, ranges: Sequence[tuple[int, int]], *, around: Sequence[tuple[int, int]] = ()) -> None:
        """Watch the instructions in ``ranges`` [first, end): count them as boundaries, and trace when asked to.

        Those in ``around`` are traced with them, and are no boundaries.

        Costs some ten microseconds an instruction, so it is off until called: once, before code in the ranges ran.
        """
        for first, end in ranges:
            self._watch_hooks.append(self.uc.hook_add(unicorn.UC_HOOK_CODE, self._on_code, begin=first, end=end - 1))
        for first, end in around:
            self._watch_hooks.append(self.uc.hook_add(unicorn.UC_HOOK_CODE, self._on_around, begin=first, end=end - 1))
        self._watched = (*ranges, *around)
        kinds = unicorn.UC_HOOK_MEM_READ | unicorn.UC_HOOK_MEM_WRITE
        # All addresses but the monitor's own block, which each stop reads or writes a hundred times.
        for first, last in ((0, self._monitor - 1), (self._monitor + 2 * PAGE, (1 << 64) - 1)):
            self._watch_hooks.append(self.uc.hook_add(kinds, self._on_access, begin=first, end=last))

    def record(self, blocks: set[tuple[int, int]] | None, pcs: list[int] | None = None) -> None:
        """Note each basic block that runs (address and bytes) in ``blocks``, each watched instruction in ``pcs``."""
        self._seen_blocks, self._seen_pcs = blocks, pcs

    def trace(self, steps: list[Step] | None) -> None:
        """Append a Step for each watched instruction and its memory accesses to ``steps``; None ends that."""
        self._trace = steps

    def _on_code(self, uc: Any, address: int, size: int, _: Any) -> None:
        if self._countdown:
            self._countdown -= 1
            if not self._countdown:
                self._stop("boundary", address)
                return
            self._counted = address
        if self._seen_pcs is not None:
            self._seen_pcs.append(address)
        self._on_around(uc, address, size, None)

    def _on_around(self, uc: Any, address: int, size: int, _: Any) -> None:
        if self._trace is not None:
            if len(self._trace) >= MAX_STEPS:
                self._stop("runaway", address)
                return
            values = self._registers_now.read()
            self._trace.append(Step("insn", address, values[:32], values[32], values[33], values[34]))

    def _on_access(self, uc: Any, access: int, address: int, size: int, value: int, _: Any) -> None:
        if not self._trace:
            return
        pc = self._pc_now.read()[0]
        if any(first <= pc < end for first, end in self._watched):
            kind = "store" if access == unicorn.UC_MEM_WRITE else "load"
            value &= (1 << 8 * size) - 1
            self._trace.append(Step(kind, pc, address=address, size=size, value=value))


# What the gates of a BulkEngine save, for the guest's routines: r31 (by the gate itself), r12, r11, r0.
SPRG_R31, SPRG_R12, SPRG_R11, SPRG_R0 = w.SPRG0, w.SPRG1, w.SPRG2, w.SPRG3


class BulkEngine(Engine):
    """A processor whose gates lead to routines in the guest, not to Python; data is not executable.

    A gate jumps to the address in the doubleword at ``NEXT`` << 16, with its number in r31 and r31, r12, r11 and r0 in
    SPRG_R31 to SPRG_R0; r11 is that address, all else is as it was at the gate.
    """

    # Below 2^31, so that `lis` alone makes the upper half.
    NEXT = 0x5A06
    hooked = False
    # A store to memory that can be executed costs a hundred others: Unicorn looks for translated code there each time.
    writable_is = unicorn.UC_PROT_WRITE

    def __init__(self, monitor: int) -> None:
        super().__init__(monitor)
        # Without it a page is known for the last kind of access only, and loads and stores in turns miss each time.
        self.uc.hook_add(unicorn.UC_HOOK_TLB_FILL, self._on_miss)

    def _on_miss(self, uc: Any, address: int, access: int, entry: Any, _: Any) -> bool:
        entry.paddr, entry.perms = address, self._allowed.get(address // PAGE, 0)
        return address // PAGE in self._allowed

    def add_monitor_entry(self, address: int) -> int:
        """Place what gates within a branch's reach lead to at ``address``."""
        saved = [w.mtspr(SPRG_R12, 12), w.mtspr(SPRG_R11, 11), w.mtspr(SPRG_R0, 0)]
        self.write(address, words(*saved, w.lis(11, self.NEXT), w.ld(11, 0, 11), w.mtspr(w.TAR, 11), w.BCTAR))
        return address

    def run(self, start: int, end: int, progress: Callable[[], int], *, timeout: float) -> Stop | None:
        """Run from ``start`` with FP and vectors on until ``end`` is reached; None if it is.

        A run that makes no ``progress`` (a number that changes) in ``timeout`` seconds is a runaway. The stop's state
        holds no registers.
        """
        self._why = None
        self.uc.reg_write(ppc.UC_PPC_REG_MSR, MONITOR_MSR)
        at, before = start, -1
        try:
            while self._why is None:
                # Unicorn's own timeout is a thread that wakes up all the time.
                clock = Timer(timeout, self.uc.emu_stop)
                clock.start()
                try:
                    self.uc.emu_start(at, end)
                finally:
                    clock.cancel()
                    clock.join()
                at = self._pc_now.read()[0]
                if at == end and self._why is None:
                    return None
                now = progress()
                if self._why is None and now == before:
                    self._why = ("runaway", at, at)
                before = now
        except unicorn.UcError as error:
            self._why = self._why or (f"fault:{error}", at, at)
        kind, pc, address = self._why
        kind, _, what = kind.partition(":")
        return Stop(kind, pc, State([0] * 32, 0, 0, 0, 0, pc, 0, [0] * 32, bytes(512)), what=what, address=address)
