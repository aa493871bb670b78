"""What a proof rests on, in words, and what guards each: read it before you rely on a proof."""

from __future__ import annotations

from dataclasses import dataclass

from lpgen.kernel.generations import Kernel
from lpgen.proof.ground import DEEPEST


@dataclass(frozen=True, slots=True)
class Assumption:
    """One assumption: a short ``name``, the ``text``, what ``guard`` there is, and the feature that ``needs`` it."""

    name: str
    text: str
    guard: str
    needs: str = ""


_ALL = (
    Assumption(
        "memory",
        f"A's frame with {-DEEPEST} bytes below it, thread_info, the livepatch stack from livepatch_sp on, paca, "
        "kernel data and text do not overlap; what is accessed is mapped",
        "no bound check is a known limit of the design; `lpgen verify` runs the two stacks into each other",
    ),
    Assumption(
        "ABI",
        "the tracer, C and what else is called keep r1, r14-r31, CR2-CR4 and the memory from r1 up but for the CR and "
        "LR save words (of A's frame C may write to the parameter save area too); all else they leave is any value",
        "ELFv2 2.2.1, 2.2.2: the compiler; `lpgen verify` has them do the worst of it",
    ),
    Assumption(
        "pt_regs",
        "the tracer changes no more of pt_regs than nip, link, orig_gpr3 and, of the full entry, gpr[3..10, 14..31]",
        "contract section 3; ftrace and livepatch in the kernel",
    ),
    Assumption(
        "addresses",
        "nip, link, LR, r0 and entry points are multiples of 4, r1 at A's call of 16, pointers to data of 8",
        "Power ISA 3.0B, book I, 1.9; ELFv2 2.2.2.1",
    ),
    Assumption(
        "interrupts",
        "one may come before every instruction: it gives all registers back, keeps what is above r1 - 288 and below "
        "livepatch_sp, overwrites all else on both stacks, and the thread may go on on another cpu",
        "contract section 2; `lpgen verify --interrupts` does it in the emulator",
    ),
    Assumption(
        "facilities",
        "FP, VEC and VSX are off in MSR: an instruction that uses them does not come back",
        "the kernel is built with -msoft-float; FPRs and VRs are compared by `lpgen verify`",
    ),
    Assumption(
        "paca",
        "every cpu's paca holds the kernel's TOC; PACA_THREAD_INFO is that of the task, PACA_FTRACE_ENABLED one byte "
        "that does not change between entry and the test",
        "the offsets come from asm-offsets.h, DWARF or BTF of the kernel",
    ),
    Assumption(
        "ftrace",
        "what a call finds of ops, ops->func, ops->direct_call and of what ftrace patches stays so until the call has "
        "gone on in B or C: no tracing is switched on or off meanwhile",
        "none: `lpgen verify` changes none of it either",
    ),
    Assumption(
        "nesting",
        "C, the tracer and interrupts leave livepatch_sp and what is below it as they found it: L4 and L6 of the calls "
        "inside, by induction over their depth",
        "`lpgen verify` nests calls a hundred deep",
        "livepatch",
    ),
    Assumption(
        "marker",
        "C destroys no more of the livepatch frame than its marker, unless the marker too",
        "the marker is the doublewords' upper neighbour: what runs over them from above meets it first",
        "livepatch",
    ),
    Assumption(
        "stub",
        "an out-of-line stub is as the contract's section 7 has it: ops, mflr r0, bl, mtlr r0, b nip",
        "ftrace writes it; `lpgen verify` builds the same",
        "out_of_line",
    ),
    Assumption(
        "kprobe",
        "is_current_kprobe_addr returns an int, extended to 64 bits",
        "ELFv2 2.2.3: the compiler",
        "kprobe_test",
    ),
    Assumption(
        "kprobe hook",
        "no kprobe changes nip while the graph hook is patched in: where B goes on then is nobody's statement",
        "contract section 8 asks for the hook on the unpatched way out",
        "kprobe_test",
    ),
    Assumption(
        "code",
        "what runs are the linked bytes, and ftrace changes only ftrace_call, ftrace_regs_call and ftrace_graph_call",
        "the same image as in `lpgen verify`; what ftrace would refuse to patch is refused",
    ),
    Assumption(
        "instructions",
        "each instruction does what lpgen/proof says it does",
        "tests compare them with Unicorn and with pypcode, on every encoding, with random and corner values; "
        "one that is not modelled is an error",
    ),
    Assumption(
        "solver",
        "the normal form's rules are right, and z3 is when it says that there are no such values",
        "tests check the rules against z3 and numbers; values that it finds are put into the terms, and replayed",
    ),
)


def assumptions(kernel: Kernel) -> list[Assumption]:
    """Return what a proof of this kernel's trampolines rests on."""
    return [a for a in _ALL if not a.needs or a.needs in kernel.features]
