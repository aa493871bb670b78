"""What the proof knows of memory before a call: the regions, by what their addresses count from, and what is in them.

Each address has to be one region's base and a distance. That regions do not overlap is an assumption (assumptions.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import copy
from dataclasses import dataclass

from lpgen.assembly import Image, Unit
from lpgen.kernel.generations import Kernel
from lpgen.machine.linking import ground_of, linked
from lpgen.machine.places import GATES, STACK_END_MAGIC, Ground
from lpgen.machine.scan import bug_entries
from lpgen.proof.memory import Bytes
from lpgen.proof.term import Term, add, concat, const, extract, plus, sext, var

# How far below A's frame the trampolines may go, in bytes; how much of A's frame and above is sure to be there.
DEEPEST, HIGHEST = -0x1000, 0x200
# Instructions around a call site that can be read.
AROUND = 64
# STACK_END_MAGIC, as the 64-bit value that a livepatch frame ends in.
MAGIC = STACK_END_MAGIC
MTLR_R0, MFLR_R0 = 0x7C0803A6, 0x7C0802A6

R1 = var(64, "r1", 4)
ENTRY_LR = var(64, "LR", 2)
RETURN = var(64, "r0", 2)
TOC = var(64, "kernel TOC", 3)
OPS = var(64, "ops", 3)
FUNC = var(64, "ops->func", 2)
DIRECT = var(64, "ops->direct_call", 2)
FLAG = var(8, "paca flag")
LIVEPATCH_SP = var(64, "livepatch_sp", 3)
TASK_INFO = var(64, "thread_info", 3)
_DISPLACEMENT = var(24, "displacement of the stub's branch")
STUB_BRANCH = concat(const(6, 18), _DISPLACEMENT, const(2, 0))


def paca(number: int) -> Term:
    """Return the paca pointer of the cpu that the thread is on at one of its instructions."""
    return var(64, f"paca@{number}", 3)


@dataclass(frozen=True)
class Fields:
    """What is known of a region's memory: terms by offset; the window [first, end) that is sure to be there."""

    known: Mapping[int, Term]
    first: int
    end: int


class Code:
    """The instruction words of .text by address, some of them replaced; an area for stubs is most of it."""

    def __init__(self, start: int, data: bytes, changed: Mapping[int, int] | None = None) -> None:
        self._start = start
        self._data = data
        self._changed = changed or {}

    def __contains__(self, address: int) -> bool:
        return 0 <= address - self._start <= len(self._data) - 4 and not address & 3

    def get(self, address: int) -> int | None:
        """Return the word at ``address``, None where there is none."""
        found = self._changed.get(address)
        if found is not None:
            return found
        if address not in self:
            return None
        at = address - self._start
        return int.from_bytes(self._data[at : at + 4], "little")

    def with_words(self, changed: Mapping[int, int]) -> Code:
        """Return the same code with other words at some addresses."""
        return Code(self._start, self._data, {**self._changed, **changed})


class World:
    """One kernel's memory and the linked trampolines, with some of their instructions replaced.

    ``words`` maps address to instruction word, ``gates`` the address of a C function to its kind of event; ``patched``
    are the instructions that ftrace writes to, ``bases`` what the addresses of each region count from. Raises
    LpgenError for a unit that cannot be linked, that lacks an entry point, or that ftrace would not patch.
    """

    def __init__(self, kernel: Kernel, unit: Unit) -> None:
        self.kernel = kernel
        self.features = kernel.features
        self.offsets = kernel.offsets
        self.ground: Ground = ground_of(unit)
        functions = {name: self.ground.functions + 0x1000 + 16 * n for n, name in enumerate(GATES)}
        wanted = dict(functions)
        if not {"kprobe_test", "two_entries"} & kernel.features:
            del wanted["is_current_kprobe_addr"]
        self.image: Image = linked(unit, kernel, self.ground, wanted)
        self.symbols = self.image.symbols
        self.gates = {functions[name]: GATES[name] for name in wanted}
        fixed = self.image.unit.fixed
        if fixed is not None:
            self.gates = {at: GATES[name] for at, name in fixed.gates.items() if name in GATES}
        self._data = [(at, at + len(data), data) for at, data in self.image.segments]
        if fixed is not None:
            self._data += [(at, at + len(data), data) for at, data in fixed.data]
        start, end = self.text_range
        self.words = Code(start, self.image_bytes(start, end - start) or b"")
        named = ("ftrace_call", "ftrace_regs_call", "ftrace_graph_call")
        self.patched = frozenset(self.symbols[name] for name in named if name in self.symbols)
        self._written = list(self._written_by_others())
        self.regions = self._regions()
        info = TASK_INFO
        if "thread_info_on_stack" in self.features:
            shift = kernel.thread_shift
            info = concat(extract(R1, 63, shift), const(shift, 0))
        self.thread_info = info
        self.bases: dict[Term, str] = {
            R1: "stack",
            ENTRY_LR: "stub" if "out_of_line" in self.features else "call site",
            TOC: "toc",
            OPS: "ops",
            LIVEPATCH_SP: "livepatch",
            info: "thread_info",
        }

    @property
    def text_range(self) -> tuple[int, int]:
        """First address of the instructions and the one behind them."""
        section = self.image.unit.sections[".text"]
        start = self.image.addresses[".text"]
        return start, start + len(section.data)

    def image_bytes(self, address: int, size: int) -> bytes | None:
        """Return bytes of the linked trampolines and their data, None where there are none."""
        for start, end, data in self._data:
            if start <= address and address + size <= end:
                return data[address - start : address - start + size]
        return None

    def absolute(self, address: int, size: int) -> Term | None:
        """Return what is at an address that is a number, None where no memory is known to be."""
        if self.changes(address, size):
            return None
        data = self.image_bytes(address, size)
        if data is not None:
            return const(8 * size, int.from_bytes(data, "little"))
        pointer = self.ground.function_trace_op
        if pointer <= address and address + size <= pointer + 8:
            return extract(OPS, 8 * (address - pointer + size) - 1, 8 * (address - pointer))
        return None

    def changes(self, address: int, size: int) -> bool:
        """Tell whether others may write to these bytes of the trampolines, or of their data, at any time."""
        return any(address < end and start < address + size for start, end in self._written)

    def _written_by_others(self) -> Iterator[tuple[int, int]]:
        """Yield what ftrace patches, the stubs and trampolines that it writes, and data that may be written to."""
        yield from ((at, at + 4) for at in self.patched)
        if "out_of_line" in self.features and "ftrace_ool_stub_text" in self.symbols:
            start = self.symbols["ftrace_ool_stub_text"]
            yield start, start + self.kernel.stub_count * self.offsets["FTRACE_OOL_STUB_SIZE"]
        for name, start in self.image.addresses.items():
            section = self.image.unit.sections.get(name)
            if section is not None and "w" in section.flags:
                yield start, start + section.size

    def bug_flags(self) -> dict[int, int]:
        """Return the flags of each entry in __bug_table, by the address that it is for."""
        section = self.image.unit.sections.get("__bug_table")
        if section is None:
            return {}
        base = self.image.addresses["__bug_table"]
        data = self.image_bytes(base, len(section.data)) or b""
        return bug_entries(data, base, self.offsets["BUG_ENTRY_SIZE"])

    def _regions(self) -> dict[str, Fields]:
        offsets, features = self.offsets, self.features
        in_paca: dict[int, Term] = {offsets["PACATOC"]: TOC}
        if "tracing_switch" in features:
            in_paca[offsets["PACA_FTRACE_ENABLED"]] = FLAG
        if "PACA_THREAD_INFO" in offsets and "thread_info_in_task" in features:
            in_paca[offsets["PACA_THREAD_INFO"]] = TASK_INFO
        in_ops: dict[int, Term] = {}
        if "call_ops" in features:
            in_ops[offsets["FTRACE_OPS_FUNC"]] = FUNC
        if "direct_calls" in features:
            in_ops[offsets["FTRACE_OPS_DIRECT_CALL"]] = DIRECT
        pointer = {self.ground.function_trace_op - self.ground.toc: OPS}
        return {
            "paca": Fields(in_paca, 0, 0x4000),
            "another paca": Fields({}, 0, 0x4000),
            "ops": Fields(in_ops, 0, 0x1000),
            "toc": Fields(pointer, -0x8000, 0x8000),
            "stub": Fields(self._stub(), -16, 8),
            "call site": Fields({}, -AROUND, AROUND),
            "thread_info": Fields({}, 0, 0x80),
            "livepatch": Fields({}, -8, 0x800),
            "stack": Fields({}, DEEPEST, HIGHEST),
        }

    def _stub(self) -> dict[int, Term]:
        """Return the words of an out-of-line stub by distance from LR at entry (contract section 7)."""
        words = {-8: const(32, MFLR_R0), 0: const(32, MTLR_R0), 4: STUB_BRANCH}
        if self.offsets.get("FTRACE_OOL_STUB_SIZE", 0) == 24:
            words[-16] = OPS
        return words

    def prepare(self, memory: Bytes) -> None:
        """Put livepatch_sp where it is before a call."""
        if "livepatch" in self.features:
            memory.store("thread_info", self.offsets["TI_livepatch_sp"], 8, LIVEPATCH_SP)

    @property
    def slot_before(self) -> Term:
        """What 16(A's frame) holds before a call."""
        return Bytes().load("stack", 16, 8)

    @property
    def handler_range(self) -> tuple[int, int]:
        """First address of livepatch_handler and the one behind it: the next entry point, or the end of .text."""
        first, end = self.symbols["livepatch_handler"], self.text_range[1]
        others = [self.symbols.get(s.name, 0) for s in self.kernel.symbols]
        return first, min((a for a in (*others, end) if a > first), default=end)

    def with_words(self, words: Mapping[int, int]) -> World:
        """Return the same world with the instructions at these byte offsets in .text replaced."""
        if not words:
            return self
        made = copy(self)
        start = self.text_range[0]
        made.words = self.words.with_words({start + offset: word for offset, word in words.items()})
        return made

    @property
    def nip(self) -> Term:
        """The instruction behind B's call site."""
        if "out_of_line" not in self.features:
            return ENTRY_LR
        return plus(add(ENTRY_LR, sext(concat(_DISPLACEMENT, const(2, 0)), 64)), 4)
