"""The stack around a traced call as blocks, the highest address first: what the terminal, the SVG and the JSON draw.

All offsets and sizes are in bytes. Two columns tell where a row is: ``offset`` from its block's ``origin``, and ``far``
from A's r1 above the gap between the two stacks, from the stack's lowest address below it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lpgen.kernel.frames import (
    FRAME_FOR_B_BYTES,
    HEADER_BYTES,
    LIVEPATCH,
    LIVEPATCH_FRAME_BYTES,
    REGISTER_SLOTS,
    REGS,
    A,
    B,
    Frame,
    frame_for_b,
    frame_of_a,
    frame_with_regs,
    livepatch_frame,
)
from lpgen.kernel.generations import Kernel
from lpgen.kernel.stores import NO_REGS, OWN, Entry, entries

if TYPE_CHECKING:
    from lpgen.report.frame_caller import Caller

CALLERS, TRACER, RED_ZONE, INTERRUPT, GAP = "callers", "tracer", "red zone", "interrupt", "gap"
OUTER, LOW_END, THREAD_INFO = "outer livepatch frames", "low end", "thread_info"

# What is drawn of a parameter save area when there is no --caller: r3 to r10, and the first argument in memory.
NINE = REGISTER_SLOTS + 1
NINTH = "C's 9th argument is here"

PT_REGS = "pt_regs."
_GPR = re.compile(r"gpr\[(\d+)\]")


@dataclass(frozen=True, slots=True)
class Row:
    """``size`` bytes at ``offset`` from the block's origin and ``far`` from A's r1 or the stack's low end, or None.

    ``constant`` is the asm-offsets.h name of ``offset``; ``stored`` has what each entry point (its symbol) stores there
    before it calls the tracer. ``count``: so many doublewords are drawn as one row, and ``offset`` is the lowest's.
    """

    offset: int | None
    size: int | None
    name: str
    what: str = ""
    far: int | None = None
    constant: str = ""
    stored: tuple[tuple[str, str], ...] = ()
    count: int = 1

    @property
    def said(self) -> str:
        """What is there, in a few words: what is stored, where the entries differ each, else who uses it for what."""
        values = dict.fromkeys(value for _, value in self.stored)
        return "; ".join(values) or self.what


@dataclass(frozen=True, slots=True)
class Block:
    """A frame, or another part of the stack's memory, with its rows from the highest.

    ``size`` is None where it is not known. ``origin`` is what the rows' offsets count from. ``r1``: who has r1 at its
    low end, ``above``: what points to its high end; both "" for nobody.
    """

    kind: str
    name: str
    size: int | None
    origin: str
    rows: tuple[Row, ...]
    far: int | None = None
    r1: str = ""
    above: str = ""


@dataclass(frozen=True, slots=True)
class Diagram:
    """All that is drawn: ``blocks`` from the highest address, ``beside`` what is in no stack; ``notes`` are sentences.

    ``stack_size`` is THREAD_SIZE, ``gap`` the number of the block between the stacks.
    """

    kernel: Kernel
    entries: tuple[Entry, ...]
    blocks: tuple[Block, ...]
    beside: tuple[Block, ...]
    notes: tuple[str, ...]
    stack_size: int
    caller: Caller | None = None

    @property
    def gap(self) -> int:
        """The number of the block between the two stacks."""
        return next(n for n, block in enumerate(self.blocks) if block.kind == GAP)

    @property
    def livepatch(self) -> bool:
        """True if there is a livepatch stack."""
        return "livepatch" in self.kernel.features

    @property
    def title(self) -> str:
        """What it is a diagram of."""
        return f"The stack of one thread around a traced call, kernel {self.kernel.version}"

    @property
    def subtitle(self) -> str:
        """Which kernel, in the words of the other commands."""
        kernel = self.kernel
        return f"kernel {kernel.version}, generation {kernel.generation}; offsets: {kernel.offsets.label}"


def diagram(kernel: Kernel, caller: Caller | None = None) -> Diagram:
    """Return the diagram for ``kernel``, A's frame as that of the call ``caller`` (None: of no certain one)."""
    found = entries(kernel)
    blocks = [*_stack(kernel, found, caller), *_low_end(kernel)]
    on_stack = "thread_info_on_stack" in kernel.features
    return Diagram(
        kernel,
        found,
        tuple(blocks),
        () if on_stack else (_thread_info(kernel),),
        tuple(_notes(kernel, found)),
        1 << kernel.thread_shift,
        caller,
    )


def letters_of(drawn: Diagram) -> dict[str, str]:
    """Return the letter of each entry point, by its symbol: F for full registers, L for the lean one."""
    return {entry.symbol: "L" if entry.lean else "F" for entry in drawn.entries}


def title_of(block: Block) -> str:
    """Return a block's name, and its size where the name does not say it."""
    return block.name if block.size is None or str(block.size) in block.name else f"{block.name}, {block.size} bytes"


def offset_texts(row: Row, *, signed: bool) -> tuple[str, str]:
    """Return what the columns of the offsets say of a row.

    ``signed``, above the gap: from A's r1, with a sign, and from r1 of its frame. Below: from the stack's low end, and
    where that is not certain from livepatch_sp.
    """
    near = "" if row.offset is None else str(row.offset)
    if signed:
        return "" if row.far is None else f"{row.far:+d}" if row.far else "0", near
    return ("", near) if row.far is None else (str(row.far), "")


def folded(block: Block) -> Block:
    """Return the block with rows for GPRs that are alike drawn as one."""
    rows: list[Row] = []
    for row in block.rows:
        last = rows[-1] if rows else None
        if last is not None and _alike(last, row):
            rows[-1] = replace(row, size=8 * (last.count + 1), count=last.count + 1, name=last.name)
        else:
            rows.append(row)
    return replace(block, rows=tuple(_named(row) if row.count > 1 else row for row in rows))


def _alike(upper: Row, lower: Row) -> bool:
    """Say whether two neighbours are GPRs with the same entries, each storing the register itself, or nothing."""

    def kind(row: Row) -> tuple[object, ...]:
        match = _GPR.fullmatch(row.name)
        number = match[1] if match else ""
        plain = all(value == f"r{number}" for _, value in row.stored)
        return bool(match), plain, [symbol for symbol, _ in row.stored], "+" in row.constant

    # The upper one has the highest one's name, and what the lowest of those folded so far stores.
    match = _GPR.fullmatch(upper.name)
    if match and upper.count > 1:
        upper = replace(upper, name=f"gpr[{int(match[1]) - upper.count + 1}]")
    return kind(upper) == kind(lower) and kind(lower)[:2] == (True, True)


def _named(row: Row) -> Row:
    match = _GPR.fullmatch(row.name)
    last = int(match[1]) if match else 0
    first = last - row.count + 1
    stored = tuple((symbol, f"r{first} to r{last}") for symbol, _ in row.stored)
    constant = "GPR0+8*n" if "+" in row.constant else f"GPR{first}..GPR{last}"
    return replace(row, name=f"gpr[{first}..{last}]", stored=stored, constant=constant)


def _rows(frame: Frame, far: int | None, found: Sequence[Entry] = (), origin: int = 0) -> Iterator[Row]:
    """Yield a frame's rows from the highest; ``origin`` is what the offsets count from, in bytes of the frame."""
    for slot in reversed(frame.slots):
        stored = []
        for entry in found:
            value = entry.value_at(frame.kind, slot.offset)
            if value is not None:
                stored.append((entry.symbol, value))
        yield Row(
            slot.offset - origin,
            slot.size,
            slot.name.removeprefix(PT_REGS),
            slot.what,
            None if far is None else far + slot.offset,
            slot.constant,
            tuple(stored),
        )


def _stack(kernel: Kernel, found: Sequence[Entry], caller: Caller | None) -> Iterator[Block]:
    both = "ftrace_*caller" if len(found) > 1 else found[0].symbol
    lowest = "its lowest address"
    yield Block(CALLERS, "frames of A's callers", None, lowest, ())
    yield _block_of_a(kernel, found, caller)
    at = 0
    if "frame_for_b" in kernel.features:
        at -= FRAME_FOR_B_BYTES
        frame = frame_for_b()
        r1 = f"{both}, behind stdu r1,-{FRAME_FOR_B_BYTES}(r1)"
        yield Block(B, frame.name, frame.size, lowest, tuple(_rows(frame, at, found)), at, r1)
    frame = frame_with_regs(kernel)
    at -= frame.size
    rows = tuple(_with_gaps(kernel, frame, at, found))
    r1 = f"{both}, behind stdu r1,-{frame.size}(r1)"
    name = f"{frame.name} at {kernel.offsets['GPR0']}(r1), SWITCH_FRAME_SIZE {frame.size}"
    yield Block(REGS, name, frame.size, lowest, rows, at, r1)
    yield Block(TRACER, "frames of the tracer and what it calls", None, lowest, (), r1="the tracer and what it calls")
    size, red_zone = kernel.offsets["INT_FRAME_SIZE"], kernel.offsets["INT_FRAME_SIZE"] - frame.size
    row = Row(-red_zone, red_zone, "no interrupt writes here", "live below r1")
    yield Block(RED_ZONE, "red zone, below r1 at any instruction", red_zone, "r1", (row,))
    row = Row(-size, frame.size, "its back chain and pt_regs", "from r1 - INT_FRAME_SIZE")
    name = f"an interrupt's frame, {frame.size} bytes; INT_FRAME_SIZE {size}"
    yield Block(INTERRUPT, name, frame.size, "r1", (row,))
    both_grow = "livepatch" in kernel.features
    yield Block(GAP, "free: the stacks grow towards each other" if both_grow else "free", None, lowest, ())


def _block_of_a(kernel: Kernel, found: Sequence[Entry], caller: Caller | None) -> Block:
    r1 = "A, B's call site" + (", livepatch_handler, C's entry" if "livepatch" in kernel.features else "")
    if caller is None:
        names = [f"home of r{3 + n}" for n in range(REGISTER_SLOTS)] + [NINTH]
        frame = frame_of_a(NINE, names)
        rows = [Row(None, None, "A's own, more arguments in memory")]
        for row in _rows(frame, 0, found):
            number = ((row.offset or 0) - HEADER_BYTES) // 8 + 1
            rows.append(replace(row, what=f"argument doubleword {number}") if number > 0 else row)
        name = f"A's frame, parameter save area from {HEADER_BYTES}(r1) on"
        return Block(A, name, None, "its lowest address", tuple(rows), 0, r1)
    homes = caller.homes
    frame = frame_of_a(caller.doublewords, [name for name, _ in homes])
    rows = [Row(None, None, "A's own")]
    for row in _rows(frame, 0, found):
        number = ((row.offset or 0) - HEADER_BYTES) // 8
        rows.append(replace(row, what=homes[number][1]) if number >= 0 else row)
    name = "A's frame" if caller.doublewords else "A's frame, no parameter save area"
    return Block(A, name, None, "its lowest address", tuple(rows), 0, r1)


def _with_gaps(kernel: Kernel, frame: Frame, far: int, found: Sequence[Entry]) -> Iterator[Row]:
    """Yield the rows of the frame with pt_regs, with what has no name in asm-offsets.h between them."""
    first = kernel.offsets["GPR0"]
    end = frame.size
    for row in _rows(frame, far, found):
        start = row.offset or 0
        yield from _gap(start + (row.size or 0), end, far, found, first)
        match = _GPR.fullmatch(row.name)
        yield replace(row, constant=f"GPR0+8*{match[1]}") if match and not row.constant else row
        end = start


def _gap(start: int, end: int, far: int, found: Sequence[Entry], first: int) -> Iterator[Row]:
    if start >= end:
        return
    kept = [(e.symbol, value) for e in found if (value := e.value_at(REGS, OWN)) is not None] if start == OWN else []
    if kept:
        yield from _gap(start + 8, end, far, found, first)
        yield Row(OWN, 8, "lpgen's own", "", far + OWN, "", tuple(kept))
        return
    what = "not used" if end <= first else "no constant, or padding"
    yield Row(start, end - start, f"{end - start} bytes", what, far + start)


def _low_end(kernel: Kernel) -> Iterator[Block]:
    """Yield what grows up from the low end of the stack's memory: the livepatch stack, the magic, thread_info."""
    size = kernel.thread_info_size
    on_stack = "thread_info_on_stack" in kernel.features
    if "livepatch" in kernel.features:
        frame = livepatch_frame()
        origin = "livepatch_sp, as livepatch_handler raised it"
        rows = tuple(_rows(frame, None, origin=LIVEPATCH_FRAME_BYTES))
        name = "livepatch frame of the patched call"
        yield Block(LIVEPATCH, name, frame.size, origin, rows, above="livepatch_sp")
        row = Row(None, None, "24 bytes each, oldest lowest", "livepatch_sp starts here", far=size + 8)
        yield Block(OUTER, "livepatch frames of the patched calls around it", None, "", (row,))
    where = "the first doubleword behind thread_info" if on_stack else "task->stack"
    row = Row(0, 8, "STACK_END_MAGIC", "end_of_stack()", far=size)
    yield Block(LOW_END, f"the stack's end: {where}", 8, "its lowest address", (row,), size)
    if on_stack:
        yield _thread_info(kernel)


def _thread_info(kernel: Kernel) -> Block:
    on_stack = "thread_info_on_stack" in kernel.features
    offset = kernel.offsets["TI_livepatch_sp"]
    what = "top of the livepatch stack" if "livepatch" in kernel.features else ""
    constant = "TI_livepatch_sp"
    row = Row(offset, 8, "livepatch_sp", what, offset if on_stack else None, constant)
    rows = (row,) if "livepatch" in kernel.features else ()
    if on_stack:
        shift = kernel.thread_shift
        name = f"struct thread_info: r1 with its low {shift} bits cleared (THREAD_SHIFT)"
        return Block(THREAD_INFO, name, kernel.thread_info_size, "thread_info", rows, 0)
    at = kernel.offsets.get("PACA_THREAD_INFO")
    name = f"struct thread_info, in the task: PACA_THREAD_INFO(r13){f' = {at}(r13)' if at is not None else ''}"
    return Block(THREAD_INFO, name, None, "thread_info", rows)


def _notes(kernel: Kernel, found: Sequence[Entry]) -> Iterator[str]:
    for entry in found:
        if entry.regs == NO_REGS:
            yield f"{entry.symbol} gives the tracer no pt_regs: r6 is NULL."
        else:
            partial = ", a partial one: MSR slot 0" if entry.lean else ""
            yield f"{entry.symbol} gives the tracer its pt_regs: r6 = {kernel.offsets['GPR0']}(r1){partial}."
    if "livepatch" not in kernel.features:
        yield f"{kernel.option_of('CONFIG_LIVEPATCH')}=n: no livepatch stack."
        return
    yield "livepatch_handler pushes no stack frame: r1 is A's frame at each of its instructions (L1)."
    yield "livepatch_sp is raised before the livepatch frame is filled, and lowered after it was read back (L2)."
    if "thread_info_on_stack" in kernel.features:
        yield "Each stack (task, hardirq, softirq, emergency) has a thread_info and a livepatch stack of its own."
    else:
        yield "Interrupt stacks share the livepatch stack of the task that they interrupt."
    yield "Nothing checks that the stacks do not meet: only the newest frame's STACK_END_MAGIC is compared (L4)."
