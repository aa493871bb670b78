"""Where things stand in the emulated kernel, and what they are: addresses, functions, call sites, stacks, gates.

Addresses are those of a ppc64le kernel: kernel text and data from 0xc000000000000000, modules from
0xd000000000000000.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

# The trampolines' .text with the area for out-of-line stubs, which belongs to it.
MAX_TEXT = 0x800000
# Data of the trampolines' own; a .toc of theirs, where 16 bits reach it from the TOC pointer.
MAX_DATA = 0x800000
MAX_TOC = 0x8000
# With call ops each home's functions have an ftrace_ops of their own.
OPS_SPACING = 0x2000
# struct thread_info of each task, where it is in the task.
TASK_SPACING = 0x400
THREAD_INFO = 0x180
STACK_SPACING = 0x20000
MODULE_SPACING = 0x1000000
MAIN_FRAME = 0x100

STACK_END_MAGIC = 0x57AC6E9D
LIVEPATCH_FRAME = 24
# The part of a stack's memory that is compared as its base: 100 livepatch frames and more.
BASE_WINDOW = 0xC00
THREADS = ("task", "second task", "hardirq", "softirq", "emergency", "bystander")
BYSTANDER = len(THREADS) - 1
# The stacks of tasks; the others are of interrupts, which use the livepatch stack of the task that they interrupt where
# thread_info is in the task.
TASK_THREADS = (0, 1, BYSTANDER)

HOMES = ("kernel", "module 1", "module 2")
# How a call site leads into the trampolines: to the entry that saves all registers, to the lean one, or, not patched
# yet, to _mcount.
REGS, LEAN, MCOUNT = "regs", "lean", "mcount"
# Both are where an unpatched call site may lead.
MCOUNTS = ("_mcount", "mcount")
STORES_R0 = "std r0,16(r1)"
# The kernel's C functions that trampolines call by name, and the kind of gate that each is.
GATES = {
    "prepare_ftrace_return": "graph",
    "is_current_kprobe_addr": "kprobe",
    "ftrace_return_to_handler": "unhook",
}


@dataclass(frozen=True, slots=True)
class Ground:
    """Where the parts of one emulated kernel lie; each address is that of a 64 KiB page but for those of data.

    ``rodata`` is for data of the trampolines' own, ``more_data`` for more than a page of it. ``functions``: A, B, C
    and the tracer, within a branch's reach of ``text``. ``toc`` is the kernel's TOC pointer, ``ops`` the first
    ftrace_ops, ``tasks`` the first task, ``stacks`` the first stack. ``modules``: the first module, whose addresses
    differ in the low 32 bits from ``functions`` by less than a branch's reach.
    """

    text: int
    rodata: int
    more_data: int
    functions: int
    monitor: int
    pacas: tuple[int, int]
    toc: int
    function_trace_op: int
    ops: int
    tasks: int
    stacks: int
    modules: int

    @property
    def main_return(self) -> int:
        """Where the outermost function of a thread returns to; only ever seen in a back chain."""
        return self.functions + 0xF000


_KERNEL = 0xC000000000000000
_TOC_DATA = _KERNEL + 0x1000000
# For trampolines that are linked here, wherever they are to be.
GROUND = Ground(
    text=_KERNEL + 0x200000,
    rodata=_KERNEL + 0x30000,
    more_data=_KERNEL + 0x1100000,
    functions=_KERNEL + 0x40000,
    monitor=_KERNEL + 0x100000,
    pacas=(_KERNEL + 0xF00000, _KERNEL + 0xF02000),
    toc=_TOC_DATA + 0x8000,
    # Further from the TOC pointer than 16 bits reach, with a low half above 0x8000: @ha has to carry.
    function_trace_op=_TOC_DATA + 0x228F8,
    ops=_TOC_DATA + 0x30120,
    tasks=_TOC_DATA + 0x50000,
    stacks=_KERNEL + 0x2000000,
    modules=0xD000000000010000,
)


@dataclass(frozen=True, slots=True)
class Function:
    """B or C. ``gep``, ``lep``: entry points; ``site``: B's call-site bl; ``toc``: its r2; ``home``: index in HOMES.

    ``lr`` is what LR holds where the call site leads, ``target`` the symbol there.
    """

    name: str
    home: int
    gep: int
    lep: int
    toc: int
    site: int = 0
    form: int = 0
    lr: int = 0
    target: str = ""


@dataclass(frozen=True, slots=True)
class CallSite:
    """A call in A: ``call`` is its branch, ``returns`` what LR is in B, ``toc`` A's r2."""

    home: int
    call: int
    returns: int
    toc: int


@dataclass(frozen=True, slots=True)
class Thread:
    """A stack: its memory from ``base`` to ``top``; where its livepatch_sp is kept and where that starts.

    ``task`` is the number of the thread whose livepatch stack it uses, ``livepatch`` the base of the memory that holds
    this one, ``info`` the address of thread_info.
    """

    number: int
    name: str
    base: int
    top: int
    sp_address: int
    sp_start: int
    task: int = 0
    livepatch: int = 0
    info: int = 0

    def over(self, other: Thread) -> Thread:
        """Return this stack with the livepatch stack of ``other``."""
        return replace(
            self,
            sp_address=other.sp_address,
            sp_start=other.sp_start,
            task=other.task,
            livepatch=other.livepatch,
            info=other.info,
        )


@dataclass(frozen=True, slots=True)
class Patched:
    """What is patched in or set for all calls: tracer, graph hook, the paca's flag off, ops->direct_call."""

    tracer: bool = False
    graph: bool = False
    disabled: bool = False
    direct: bool = False


@dataclass(frozen=True, slots=True)
class Gate:
    """What a gate stands for: kind (route.NAMES) and which function or call site."""

    kind: str
    what: Function | CallSite | None = None
