"""The frames on a thread's stacks as data: which slot lies where, and what it is called.

A frame's offsets are in bytes from its lowest address: r1 for a stack frame, livepatch_sp - 24 for a frame on the
livepatch stack. Header and parameter save area: ELFv2 ABI 1.5, 2.2.2 and 2.2.3; pt_regs: the kernel's asm-offsets;
the livepatch stack: contract section 4.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lpgen.kernel.checks import RED_ZONE
from lpgen.kernel.generations import Kernel

HEADER_BYTES = 32
PARAMETER_SAVE_AREA = 32
FRAME_FOR_B_BYTES = 32
GRAPH_FRAME_BYTES = 112
RESULTS_FRAME_BYTES = 48
LIVEPATCH_FRAME_BYTES = 24
REGISTER_SLOTS = 8
FIRST_ARGUMENT = 3

A, B, REGS, GRAPH, RESULTS, LIVEPATCH = "a", "b", "pt_regs", "graph", "results", "livepatch"
INTERRUPT, OTHER = "interrupt", "other"


@dataclass(frozen=True, slots=True)
class Slot:
    """``size`` bytes at ``offset`` of a frame. ``what`` says who uses it for what, in a few words.

    ``constant`` is the name that asm-offsets.h has for ``offset``, "" where it has none.
    """

    offset: int
    size: int
    name: str
    what: str = ""
    constant: str = ""


@dataclass(frozen=True, slots=True)
class Frame:
    """One kind of frame: ``kind`` is one of the constants above, ``size`` in bytes, the lowest slot first."""

    kind: str
    name: str
    size: int
    slots: tuple[Slot, ...]

    def slot_at(self, offset: int) -> Slot | None:
        """Return the slot that holds byte ``offset``, None where there is none."""
        return next((slot for slot in self.slots if slot.offset <= offset < slot.offset + slot.size), None)


def header(lr: str = "LR save", lr_what: str = "", toc_what: str = "") -> tuple[Slot, ...]:
    """Return the four slots that every frame starts with (ELFv2 2.2.2.1)."""
    return (
        Slot(0, 8, "back chain", "r1 of the frame above"),
        Slot(8, 4, "CR save", "the called function's"),
        Slot(12, 4, "reserved"),
        Slot(16, 8, lr, lr_what),
        Slot(24, 8, "TOC save", toc_what),
    )


def frame_of_a(doublewords: int, arguments: Sequence[str] = ()) -> Frame:
    """Return A's frame with a parameter save area of so many doublewords; 0: it has none.

    ``arguments`` are names for its doublewords, the first ones; "" where there is no other name than the register's.
    """
    slots = list(header("LR save", "B's or C's: the called function stores it here", "A's r2, for nonlocal calls"))
    for number in range(doublewords):
        register = f"r{FIRST_ARGUMENT + number}" if number < REGISTER_SLOTS else ""
        given = arguments[number] if number < len(arguments) else ""
        name = given or f"parameter save area, doubleword {number + 1}"
        slots.append(Slot(PARAMETER_SAVE_AREA + 8 * number, 8, name, f"for {register}" if register else "in memory"))
    return Frame(A, "A's frame", HEADER_BYTES + (8 * doublewords + 15 & ~15), tuple(slots))


def frame_for_b() -> Frame:
    """Return the frame that makes B appear in a backtrace (contract section 6, G8)."""
    return Frame(B, "frame for B", FRAME_FOR_B_BYTES, header("LR save", "nip: behind B's call site"))


def frame_with_regs(kernel: Kernel) -> Frame:
    """Return the frame of SWITCH_FRAME_SIZE bytes that holds pt_regs: layout and fields as the kernel's offsets say."""
    offsets = kernel.offsets
    size = offsets["SWITCH_FRAME_SIZE"]
    slots = list(header("LR save", "the tracer's return address", "r2 of the traced function"))
    for n in range(32):
        constant = f"GPR{n}"
        slots.append(Slot(offsets.gpr(n), 8, f"pt_regs.gpr[{n}]", constant=constant if constant in offsets else ""))
    known = {slot.offset for slot in slots}
    for entry in offsets.entries:
        if entry.struct == "pt_regs" and not entry.field.startswith("gpr[") and entry.value not in known:
            slots.append(Slot(entry.value, 8, f"pt_regs.{entry.field}", constant=entry.name))
            known.add(entry.value)
    return Frame(REGS, "frame with pt_regs", size, tuple(sorted(slots, key=lambda slot: slot.offset)))


def graph_frame() -> Frame:
    """Return the frame around prepare_ftrace_return, up to 5.17: r2, and r3 to r11 and CTR behind the header."""
    saved = [Slot(32 + 8 * n, 8, f"r{3 + n}") for n in range(9)]
    slots = (*header("LR save", "prepare_ftrace_return's", "r2 of B"), *saved, Slot(104, 8, "CTR", "nip"))
    return Frame(GRAPH, "frame for the graph hook", GRAPH_FRAME_BYTES, slots)


def results_frame() -> Frame:
    """Return the frame around ftrace_return_to_handler, 6.6 to 6.17: from 6.18 on pt_regs has B's results."""
    slots = (*header("LR save", "ftrace_return_to_handler's", "r2 of B"), Slot(32, 8, "r3"), Slot(40, 8, "r4"))
    return Frame(RESULTS, "frame for B's results", RESULTS_FRAME_BYTES, slots)


def livepatch_frame() -> Frame:
    """Return a frame on the livepatch stack (contract section 4, L2)."""
    return Frame(
        LIVEPATCH,
        "livepatch frame",
        LIVEPATCH_FRAME_BYTES,
        (
            Slot(0, 8, "r2", "A's TOC"),
            Slot(8, 8, "return address", "into A"),
            Slot(16, 8, "STACK_END_MAGIC", "0x57ac6e9d: compared before the frame is popped"),
        ),
    )


def interrupt_frame(size: int) -> Frame:
    """Return what an interrupt builds right below r1: INT_FRAME_SIZE bytes, the uppermost 288 of them left alone."""
    slots = (*header()[:1], Slot(size - RED_ZONE, RED_ZONE, "red zone", "the interrupted code's own"))
    return Frame(INTERRUPT, "interrupt frame", size, slots)


def other_frame(size: int) -> Frame:
    """Return a frame of which nothing is known but its size in bytes."""
    return Frame(OTHER, f"frame of {size} bytes", size, tuple(slot for slot in header() if slot.offset < size))


def pushed_frame(kernel: Kernel, size: int) -> Frame:
    """Return what a frame of ``size`` bytes is that ``kernel``'s trampolines push."""
    if size == kernel.offsets["SWITCH_FRAME_SIZE"]:
        return frame_with_regs(kernel)
    if size == FRAME_FOR_B_BYTES and "frame_for_b" in kernel.features:
        return frame_for_b()
    if size == GRAPH_FRAME_BYTES and "graph_hook" in kernel.features:
        return graph_frame()
    if size == RESULTS_FRAME_BYTES and {"return_to_handler", "return_regs"} & kernel.features == {"return_to_handler"}:
        return results_frame()
    return other_frame(size)
