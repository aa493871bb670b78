"""Where things stand in the emulated kernel, and what they are: addresses, functions, call sites, stacks, gates.

Addresses are those of a ppc64le kernel: kernel text and data from 0xc000000000000000, modules from
0xd000000000000000.
"""

from __future__ import annotations

from dataclasses import dataclass

KERNEL = 0xC000000000000000
TEXT = KERNEL + 0x200000
# The trampolines' .text with the area for out-of-line stubs, which belongs to it.
MAX_TEXT = 0x800000
RODATA = KERNEL + 0x30000
# Data of the trampolines' own, when it is more than fits there.
MORE_DATA = KERNEL + 0x1100000
MAX_DATA = 0x800000
FUNCTIONS = KERNEL + 0x40000
MONITOR = KERNEL + 0x100000
PACAS = (KERNEL + 0xF00000, KERNEL + 0xF02000)
TOC_DATA = KERNEL + 0x1000000
KERNEL_TOC = TOC_DATA + 0x8000
# A .toc of the trampolines' own: where 16 bits reach it from the TOC pointer.
MAX_TOC = 0x8000
# Further from the TOC pointer than 16 bits reach, with a low half above 0x8000: @ha has to carry.
FUNCTION_TRACE_OP = KERNEL_TOC + 0x1A8F8
FTRACE_OPS = TOC_DATA + 0x30120
# With call ops each home's functions have an ftrace_ops of their own.
OPS_SPACING = 0x2000
# struct thread_info of each task, where it is in the task.
TASKS = TOC_DATA + 0x50000
TASK_SPACING = 0x400
THREAD_INFO = 0x180
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
TRAMP_BYTES = 32


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
