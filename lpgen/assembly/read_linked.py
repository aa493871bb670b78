"""A unit out of a linked kernel: its trampolines at their own addresses, and what of the rest they refer to.

Only what can be reached from the entry points is taken, so that a kernel of 500 MB costs what a small one does.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Mapping
from functools import cached_property

from lpgen.assembly.disassembly import disassemble
from lpgen.assembly.flow import branch_target, falls_through, links
from lpgen.assembly.model import LINKED, Binding, Fixed, Line, Section, Symbol, SymbolType, Unit
from lpgen.elf.file import SHF_EXECINSTR, SHN_UNDEF, SHT_NOBITS, SHT_RELA, ElfFile, ElfSymbol
from lpgen.errors import LpgenError, Place
from lpgen.kernel.generations import Kernel

# C functions of the kernel that trampolines call, and its data that they reach through the TOC pointer.
FUNCTIONS = ("prepare_ftrace_return", "ftrace_return_to_handler", "is_current_kprobe_addr")
DATA = ("function_trace_op",)
_TABLE = ("__start___bug_table", "__stop___bug_table")
TOC = ".TOC."
# ELFv2 ABI 3.3: the TOC pointer is 0x8000 behind the start of the .got.
_TOC_BIAS = 0x8000
# More instructions than the trampolines of any kernel have.
MAX_INSTRUCTIONS = 4000
# How far from the entry points a subroutine of theirs may be, in bytes.
_GAP = 0x8000
# GNU ld: 00000012.plt_branch.NAME, 00000012.long_branch.NAME.
_STUB = re.compile(r"\.(plt_branch|long_branch)\.")
_CHUNK = 0x4000
# The area for out-of-line stubs, and all of the trampolines with what lies between, in bytes.
_MAX_AREA = 6 << 20
MAX_SPAN = 8 << 20
_MAX_TABLE = 4 << 20
# 32 bytes each (contract section 8).
_AREAS = {"ftrace_tramp_text": ".tramp.ftrace.text", "ftrace_tramp_init": ".tramp.ftrace.init"}
TRAMP_BYTES = 32
_COUNT = "ftrace_ool_stub_text_count"
_R_PPC64_RELATIVE = 22
_RELA = struct.Struct("<QQq")
_BINDINGS: dict[int, Binding] = {1: "global", 2: "weak"}
_TYPES: dict[int, SymbolType] = {1: "object", 2: "func"}
_FUNC_LIKE = frozenset({"function", "label"})


def read_linked(elf: ElfFile, kernel: Kernel, entries: Mapping[str, str] | None = None) -> Unit:
    """Return the trampolines of the linked kernel ``elf``, which is one of the kernel ``kernel``.

    ``entries`` maps names of the contract to the symbols that have them in this file. Raises LpgenError for a kernel
    without symbols, without the trampolines, or whose trampolines are not to be followed.
    """
    return _Reader(elf, kernel, entries or {}).unit()


class _Reader:
    def __init__(self, elf: ElfFile, kernel: Kernel, entries: Mapping[str, str]) -> None:
        self._elf = elf
        self._kernel = kernel
        if not elf.has_symbols:
            raise LpgenError(
                "has no symbol table", place=elf.place, hint="give the vmlinux as it was built, not stripped"
            )
        self._wanted = {s.name: entries.get(s.name, s.name) for s in kernel.symbols}
        self._kinds = {s.name: s.kind for s in kernel.symbols}
        names = {*self._wanted.values(), *FUNCTIONS, *DATA, *_TABLE, TOC}
        self._symbols = elf.symbols(names)
        self._chunks: dict[int, bytes] = {}
        self._externals: dict[str, int] = {}
        self._gates: dict[int, str] = {}
        self._found = self._find_entries()
        self.toc = self._find_toc()

    # What there is

    def _executable(self, symbol: ElfSymbol) -> bool:
        sections = self._elf.sections
        return symbol.section < len(sections) and bool(sections[symbol.section].flags & SHF_EXECINSTR)

    def _one(self, name: str, *, code: bool) -> ElfSymbol | None:
        """Return the symbol of that name: one in code when it is code, a global one before a local one."""
        found = [s for s in self._symbols.get(name, ()) if s.section != SHN_UNDEF and (not code or self._executable(s))]
        return max(found, key=lambda symbol: symbol.binding in _BINDINGS, default=None)

    def _find_entries(self) -> dict[str, ElfSymbol]:
        found = {}
        for name, there in self._wanted.items():
            symbol = self._one(there, code=self._kinds[name] in _FUNC_LIKE)
            if symbol is None and name != there:
                raise LpgenError(f"has no symbol {there} to be {name}", place=self._elf.place)
            if symbol is not None:
                found[name] = symbol
        first = next((s for s in self._kernel.symbols if s.name == "ftrace_caller"), None)
        assert first is not None
        if first.name not in found:
            raise LpgenError(
                f"has no {self._wanted[first.name]}",
                place=self._elf.place,
                hint="a kernel built with CONFIG_DYNAMIC_FTRACE has; --entry names another symbol",
            )
        address = found[first.name].value
        section = self._elf.section_at(address)
        if section is None:
            raise LpgenError(
                f"has {self._wanted[first.name]} at {address:#x}, where none of its sections is",
                place=self._elf.place,
                hint="give a kernel's vmlinux",
            )
        if section.type == SHT_NOBITS:
            raise LpgenError(
                "holds debug data only: its code is not in the file",
                place=self._elf.place,
                hint="give the kernel that it belongs to",
            )
        return found

    def _find_toc(self) -> int:
        symbol = self._one(TOC, code=False)
        if symbol is not None:
            return symbol.value
        got = self._elf.section(".got")
        if got is None:
            raise LpgenError("has neither .TOC. nor a .got: what is its TOC pointer?", place=self._elf.place)
        return got.address + _TOC_BIAS

    def _word(self, address: int) -> int:
        base = address & -_CHUNK
        if base not in self._chunks:
            section = self._elf.section_at(address)
            if section is None or not section.flags & SHF_EXECINSTR or section.type == SHT_NOBITS:
                raise LpgenError(f"the trampolines lead to {address:#x}, where no code is", place=self._elf.place)
            self._chunks[base] = self._elf.memory(base, _CHUNK)
        return int.from_bytes(self._chunks[base][address - base : address - base + 4], "little")

    def _name(self, address: int) -> str:
        near = self._elf.symbols_between(max(address - 0x10000, 0), address + 1)
        below = [symbol for symbol in near if symbol.name]
        if not below:
            return f"{address:#x}"
        distance = address - below[-1].value
        return f"{below[-1].name}+{distance:#x}" if distance else below[-1].name

    # Following the code

    def _follow(self) -> dict[int, int]:
        """Return the words that can be executed, by address. Notes the C functions that they call."""
        starts = [s.value for name, s in self._found.items() if self._kinds[name] in _FUNC_LIKE]
        span = (min(starts) - _GAP, max(starts) + _GAP)
        known: dict[int, str] = {}
        for name in FUNCTIONS:
            # An extract that was linked again has them as numbers.
            symbol = self._one(name, code=True) or self._one(name, code=False)
            if symbol is not None:
                known[symbol.value] = name
                # ELFv2 ABI 2.3.2.1: a call that keeps its TOC goes to the local entry point.
                known[symbol.value + (((1 << (symbol.other >> 5)) >> 2) << 2)] = name
        words: dict[int, int] = {}
        ahead = sorted(starts, reverse=True)
        while ahead:
            at = ahead.pop()
            while at not in words:
                if len(words) >= MAX_INSTRUCTIONS or at % 4:
                    what = f"has more than {MAX_INSTRUCTIONS} instructions" if at % 4 == 0 else f"leads to {at:#x}"
                    raise LpgenError(f"{self._name(starts[0])} {what}: no trampolines", place=self._elf.place)
                word = words[at] = self._word(at)
                if word >> 26 == 1:
                    raise LpgenError(
                        f"{self._name(at)} is a prefixed instruction, which the emulator does not have",
                        place=self._elf.place,
                        hint="a kernel built without CONFIG_PPC_KERNEL_PCREL can be run",
                    )
                target = branch_target(word, at)
                if target is not None and target in known:
                    self._externals[known[target]] = target
                elif target is not None and target != at + 4:
                    # A linker's stub, where a branch does not reach, ends in a branch to CTR.
                    if links(word) and not span[0] <= target < span[1] and not _STUB.search(self._name(target)):
                        raise LpgenError(
                            f"{self._name(at)} calls {self._name(target)}, which kernel {self._kernel.version} has no "
                            "part for in the contract",
                            place=self._elf.place,
                        )
                    ahead.append(target)
                if not falls_through(word):
                    break
                at += 4
        # Those of C functions that are reached at all: through a stub their global entry point.
        reached = set(self._externals) | {name for name in FUNCTIONS if any(name in self._name(at) for at in words)}
        self._gates = {at: name for at, name in known.items() if name in reached}
        return words

    def _references(self, words: Mapping[int, int]) -> set[int]:
        """Return the addresses that the code reaches through the TOC pointer, as far as it can be read off."""
        found: set[int] = set()
        values: dict[int, int] = {}
        last = -1
        for at in sorted(words):
            word = words[at]
            if at != last + 4:
                values.clear()
            last = at
            opcode, rt, ra = word >> 26, word >> 21 & 31, word >> 16 & 31
            low = (word & 0xFFFF) - ((word & 0x8000) << 1)
            base = self.toc if ra == 2 else values.get(ra)
            made = None
            if opcode == 15 and ra == 2:  # addis rt,r2,x@toc@ha
                made = self.toc + (low << 16)
            elif opcode == 14 and base is not None:  # addi
                made = base + low
                found.add(made)
            elif opcode in (58, 62) and base is not None:  # ld, ldu, lwa; std, stdu
                found.add(base + (low & ~3))
            elif 32 <= opcode <= 55 and base is not None:
                found.add(base + low)
            if opcode in (14, 15, 24, 25, 58) or 32 <= opcode < 36 or 40 <= opcode < 44:
                values.pop(rt, None)
            if made is not None:
                values[rt] = made
        return found

    # Building

    def unit(self) -> Unit:
        """Return the trampolines and what belongs to them."""
        words = self._follow()
        for name in DATA:
            symbol = self._one(name, code=False)
            if symbol is not None:
                self._externals[name] = symbol.value
        text = self._code(words)
        unit = Unit(self._elf.name, {text.name: text}, {}, LINKED)
        self._add_symbols(unit, text)
        for area, where in _AREAS.items():
            self._add_area(unit, area, where, TRAMP_BYTES)
        count = self._found.get(_COUNT)
        if count is not None and not self._executable(count):
            self._add_area(unit, _COUNT, ".rodata", 4, "a")
        self._add_bug_table(unit, words)
        for name in self._externals:
            unit.symbols.setdefault(name, Symbol(name, None, 0, "global"))
        referred = self._references(words) - set(self._externals.values())
        unit.fixed = Fixed(self.toc, self._externals, tuple(self._doublewords(referred)), self._gates)
        return unit

    def _code(self, words: Mapping[int, int]) -> Section:
        ends = dict.fromkeys(words, 4)
        area = self._found.get("ftrace_ool_stub_text")
        if area is not None:
            size = self._kernel.stub_count * self._kernel.offsets["FTRACE_OOL_STUB_SIZE"]
            if size > _MAX_AREA:
                raise LpgenError(f"its area for out-of-line stubs has {size} bytes", place=self._elf.place)
            ends[area.value] = size
        count = self._found.get(_COUNT)
        if count is not None and self._executable(count):
            ends[count.value] = 4
        first = min(ends)
        end = max(at + size for at, size in ends.items())
        if end - first > MAX_SPAN:
            where = f"between {self._name(first)} and {self._name(end)}"
            raise LpgenError(f"the trampolines lie {where}, more than {MAX_SPAN} bytes", place=self._elf.place)
        place = Place(self._elf.name)
        lines = [Line(at - first, 4, disassemble(word, at, self._name), place, None) for at, word in words.items()]
        lines.sort(key=lambda line: line.offset)
        data = self._elf.memory(first, end - first)
        return Section(".text", "ax", "progbits", 4, data, len(data), [], lines, address=first)

    def _add_symbols(self, unit: Unit, section: Section) -> None:
        assert section.address is not None
        for symbol in self._elf.symbols_between(section.address, section.address + section.size):
            named = bool(symbol.name) and symbol.name not in unit.symbols and symbol.name not in self._externals
            if named and symbol.type in (0, 1, 2):
                unit.symbols[symbol.name] = self._made(symbol, symbol.name, section)
        for name, symbol in self._found.items():
            if section.address <= symbol.value < section.address + section.size:
                unit.symbols[name] = self._made(symbol, name, section)

    @staticmethod
    def _made(symbol: ElfSymbol, name: str, section: Section) -> Symbol:
        binding = _BINDINGS.get(symbol.binding, "local")
        value = symbol.value - (section.address or 0)
        return Symbol(name, section.name, value, binding, _TYPES.get(symbol.type, "notype"), symbol.size, symbol.other)

    def _add_area(self, unit: Unit, name: str, section: str, size: int, flags: str = "aw") -> None:
        symbol = self._found.get(name)
        if symbol is None or name in unit.symbols:
            return
        data = self._elf.memory(symbol.value, size)
        unit.sections[section] = Section(section, flags, "progbits", 4, data, size, address=symbol.value)
        unit.symbols[name] = self._made(symbol, name, unit.sections[section])

    def _add_bug_table(self, unit: Unit, words: Mapping[int, int]) -> None:
        """Add the entries of __bug_table for the trampolines' own traps."""
        size = self._kernel.offsets.get("BUG_ENTRY_SIZE")
        first, end = (self._one(name, code=False) for name in _TABLE)
        if size is None or first is None or end is None or not 0 < end.value - first.value <= _MAX_TABLE:
            return
        table = self._elf.memory(first.value, end.value - first.value)
        own = []
        for at in range(0, len(table) - size + 1, size):
            if size >= 16:
                target = self._doubleword(first.value + at)
            else:
                target = first.value + at + struct.unpack_from("<i", table, at)[0]
            if target in words:
                own.append(at)
        if own:
            data = bytearray(table[own[0] : own[-1] + size])
            address = first.value + own[0]
            for at in own if size >= 16 else ():
                struct.pack_into("<Q", data, at - own[0], self._doubleword(first.value + at))
            unit.sections["__bug_table"] = Section(
                "__bug_table", "aw", "progbits", 1, bytes(data), len(data), address=address
            )

    def _doublewords(self, addresses: Iterable[int]) -> list[tuple[int, bytes]]:
        """Return what the kernel has at ``addresses``, a doubleword each, when it runs where it is linked to."""
        return [
            (at, struct.pack("<Q", self._doubleword(at)))
            for at in sorted({address & ~7 for address in addresses})
            if self._elf.section_at(at) is not None
        ]

    def _doubleword(self, address: int) -> int:
        addend = self._relative.get(address)
        if addend is not None:
            return addend & 0xFFFFFFFFFFFFFFFF
        return int.from_bytes(self._elf.memory(address, 8), "little")

    @cached_property
    def _relative(self) -> Mapping[int, int]:
        """The doublewords that a relocatable kernel fills in when it starts."""
        section = self._elf.section(".rela.dyn")
        data = b"" if section is None or section.type != SHT_RELA else self._elf.data(section)
        rows = _RELA.iter_unpack(data[: len(data) - len(data) % _RELA.size])
        return {at: addend for at, info, addend in rows if info & 0xFFFFFFFF == _R_PPC64_RELATIVE}
