"""What each entry point of the trampolines stores before it calls the tracer: which slot of which frame gets what.

Contract section 3 (T2 to T4) and section 6; tests/report/test_frame_stores.py runs the trampolines and compares. What
lpgen's own trampolines keep beside pt_regs is among it, and said to be theirs.
"""

from __future__ import annotations

from dataclasses import dataclass

from lpgen.kernel.frames import REGS, A, B
from lpgen.kernel.generations import Kernel

FULL, PARTIAL, NO_REGS = "full", "partial", "none"

BACK_CHAIN, LR_SAVE, TOC_SAVE = 0, 16, 24
# The doubleword behind the header: a callee of four integer parameters has no parameter save area (ELFv2 2.2.3.1).
OWN = 32

RETURN_ADDRESS = "r0: return address into A"
NIP = "nip: behind B's call site"


@dataclass(frozen=True, slots=True)
class Store:
    """The doubleword ``value``, in a few words, at ``offset`` bytes of a ``frame`` of that kind (kernel/frames.py)."""

    frame: str
    offset: int
    value: str


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry point: its ``symbol``, and what it gives the tracer in r6.

    ``regs`` is FULL, PARTIAL (MSR slot 0), or NO_REGS (r6 is NULL). ``stores`` is all that it stores before the tracer
    is called, with tracing on and no direct trampoline.
    """

    symbol: str
    lean: bool
    regs: str
    stores: tuple[Store, ...]

    def value_at(self, frame: str, offset: int) -> str | None:
        """Return what it stores at ``offset`` of a frame, None where it stores nothing."""
        return next((s.value for s in self.stores if (s.frame, s.offset) == (frame, offset)), None)


def entries(kernel: Kernel) -> tuple[Entry, ...]:
    """Return the entry points of ``kernel``, the one with full registers first."""
    two = "two_entries" in kernel.features
    full = Entry("ftrace_regs_caller" if two else "ftrace_caller", False, FULL, _full(kernel))
    if not two:
        return (full,)
    partial = "partial_regs" in kernel.features
    return full, Entry("ftrace_caller", True, PARTIAL if partial else NO_REGS, _lean(kernel))


def _common(kernel: Kernel) -> list[Store]:
    found = [Store(A, LR_SAVE, RETURN_ADDRESS)]
    if "frame_for_b" in kernel.features:
        found += [Store(B, BACK_CHAIN, "r1 of A's frame"), Store(B, LR_SAVE, NIP)]
    found += [
        Store(REGS, BACK_CHAIN, "r1 of the frame above"),
        Store(REGS, TOC_SAVE, "r2 of B"),
        Store(REGS, kernel.offsets["_NIP"], NIP),
    ]
    found += [Store(REGS, kernel.offsets.gpr(n), f"r{n}") for n in range(3, 11)]
    return found


def _with_regs(kernel: Kernel) -> list[Store]:
    """Return what belongs to every pt_regs, a partial one too."""
    offsets = kernel.offsets
    found = [
        Store(REGS, offsets.gpr(0), RETURN_ADDRESS),
        Store(REGS, offsets.gpr(1), "r1 of A's frame"),
        Store(REGS, offsets["_LINK"], RETURN_ADDRESS),
    ]
    if "direct_calls" in kernel.features:
        found.append(Store(REGS, offsets["ORIG_GPR3"], "0: no direct trampoline"))
    return found


def _full(kernel: Kernel) -> tuple[Store, ...]:
    offsets = kernel.offsets
    found = [*_common(kernel), *_with_regs(kernel)]
    found += [Store(REGS, offsets.gpr(n), f"r{n}") for n in (2, *range(11, 32))]
    specials = (("_MSR", "MSR"), ("_CTR", "CTR"), ("_XER", "XER"), ("_CCR", "CR"))
    found += [Store(REGS, offsets[name], value) for name, value in specials]
    return tuple(found)


def _lean(kernel: Kernel) -> tuple[Store, ...]:
    features = kernel.features
    found = _common(kernel)
    if "partial_regs" in features:
        found += [*_with_regs(kernel), Store(REGS, kernel.offsets["_MSR"], "0: partial")]
    if "out_of_line" in features:
        found.append(Store(REGS, OWN, "LR: into the stub"))
    elif "partial_regs" in features and "livepatch" in features and "frame_for_b" not in features:
        found.append(Store(REGS, OWN, "nip, to compare with"))
    return tuple(found)
