"""A linked kernel's trampolines as assembly for plain GNU as, which makes the same bytes again.

Branches have labels, function_trace_op is reached through @toc: so the text can be changed, and judged like any other.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import PurePath

from lpgen.assembly.flow import branch_target
from lpgen.assembly.linker import link
from lpgen.assembly.model import Section, Symbol, Unit
from lpgen.assembly.unit import assemble
from lpgen.errors import LpgenError
from lpgen.kernel.bug_table import bug_target
from lpgen.kernel.generations import Kernel
from lpgen.kernel.names import known_names

_NOP = 0x60000000
_COLUMN = 32
_SP, _PACA = 1, 13
_LOADS_AND_STORES = frozenset({32, 34, 36, 38, 58, 62})
# A row of equal words as long as this is one .fill.
_ROW = 4
_WORD = 0x7FFFFFFF


def extract(unit: Unit, kernel: Kernel, head: str) -> str:
    """Return the text of ``unit``, cut out of a linked kernel; ``head`` is what its first comment says.

    Raises LpgenError when the text does not make the same bytes at the same addresses: it never returns such a text.
    """
    writer = _Writer(unit, kernel)
    plain: set[tuple[str, int]] = set()
    while True:
        text = writer.text(head, plain)
        wrong = _differences(unit, text, writer)
        if not wrong:
            return text
        if wrong <= plain:
            name, at = min(wrong)
            raise LpgenError(f"{unit.name}: the text of {name}+{at:#x} does not make the same bytes")
        # What has a second encoding, or is data between instructions, is written as a word.
        plain |= wrong


def _differences(unit: Unit, text: str, writer: _Writer) -> set[tuple[str, int]]:
    """Return section and offset of every word that the assembled and linked text has otherwise."""
    assert unit.fixed is not None
    try:
        again = assemble(text, name=unit.name, isolated=False)
    except LpgenError as error:
        place = writer.written.get(error.place.line or 0) if error.place is not None else None
        if place is None:
            raise
        return {place}
    addresses = {name: s.address for name, s in unit.sections.items() if s.address is not None}
    image = link(again, addresses=addresses, externals=unit.fixed.externals, toc=unit.fixed.toc)
    made = dict(image.segments)
    wrong = set()
    for name, section in unit.sections.items():
        assert section.address is not None
        data = made.get(section.address, b"").ljust(section.size, b"\0")
        if len(data) != section.size:
            raise LpgenError(f"{unit.name}: the text of {name} makes {len(data)} bytes, not {section.size}")
        wrong |= {(name, at) for at in range(0, section.size, 4) if data[at : at + 4] != section.data[at : at + 4]}
    return wrong


class _Writer:
    def __init__(self, unit: Unit, kernel: Kernel) -> None:
        self._unit = unit
        self._kernel = kernel
        # Line of the text -> the word that it is for.
        self.written: dict[int, tuple[str, int]] = {}
        self._labels = self._find_labels()
        self._frame: dict[int, str] = {}
        for name, entry in ((e.name, e) for e in kernel.offsets.entries):
            if known_names()[name].kind == "slot":
                self._frame.setdefault(entry.value, name)
        self._paca = {e.value: e.name for e in kernel.offsets.entries if e.name.startswith("PACA")}

    def _find_labels(self) -> dict[int, str]:
        """Return a name for every address that a branch goes to: the contract's, another symbol, a local label."""
        unit = self._unit
        assert unit.fixed is not None
        names: dict[int, str] = {}
        of_contract = {symbol.name for symbol in self._kernel.symbols}
        for symbol in unit.symbols.values():
            address = self._address(symbol)
            if address is not None and (address not in names or symbol.name in of_contract):
                names[address] = symbol.name
        for name, address in unit.fixed.externals.items():
            names[address] = name
        for section in unit.sections.values():
            for line in section.lines:
                at = (section.address or 0) + line.offset
                target = branch_target(_word(section, line.offset), at)
                if target is not None and target not in names:
                    names[target] = f".L{target & 0xFFFFFFFF:x}"
        for at in self._bugs():
            names.setdefault(at, f".L{at & 0xFFFFFFFF:x}")
        return names

    def _address(self, symbol: Symbol) -> int | None:
        section = self._unit.sections.get(symbol.section or "")
        return None if section is None or section.address is None else section.address + symbol.value

    def _bugs(self) -> dict[int, int]:
        """Return the addresses that entries of __bug_table are for, with the entry's address."""
        table = self._unit.sections.get("__bug_table")
        if table is None or table.address is None:
            return {}
        size = self._kernel.offsets["BUG_ENTRY_SIZE"]
        entries = range(0, table.size - size + 1, size)
        return {bug_target(table.data, at, table.address, size): at for at in entries}

    def text(self, head: str, plain: set[tuple[str, int]]) -> str:
        """Return the text; the words ``plain``, by section and offset, are written as .long."""
        self.written.clear()
        lines = ["/* SPDX-License-Identifier: GPL-2.0 */", "/*"]
        lines += [f" * {line}".rstrip() for line in (*head.splitlines(), "", *self._about())]
        lines += [" */", "\t.abiversion 2", ""]
        for first, end in ((0, 16), (16, 32)):
            lines += [f"\t.irp\tn, {','.join(map(str, range(first, end)))}", "\t.set\tr\\n, \\n", "\t.endr"]
        lines += [f"\t.set\t{e.name}, {e.value}" for e in self._kernel.offsets.entries if e.name in self._named()]
        if any("cr" in line.text for section in self._unit.sections.values() for line in section.lines):
            lines += ["\t.irp\tn, 0,1,2,3,4,5,6,7", "\t.set\tcr\\n, \\n", "\t.endr"]
        for section in self._unit.sections.values():
            lines += ["", f'\t.section "{section.name}", "{section.flags}"' + (", @progbits" if section.flags else "")]
            lines.append("\t.balign 4" if section.address is not None and section.address % 8 else "\t.balign 8")
            for at, line in self._section(section, plain):
                lines.append(line)
                if at is not None:
                    self.written[len(lines)] = (section.name, at)
        return "\n".join(lines) + "\n"

    def _about(self) -> Iterator[str]:
        """Yield what the first comment says of the kernel, and how GNU's tools make its bytes again."""
        unit, kernel = self._unit, self._kernel
        assert unit.fixed is not None
        yield f"The trampolines of {PurePath(unit.name).name}: kernel {kernel.version}, generation {kernel.generation}."
        yield "Behind an instruction: its address, without the upper half, its word, and the name in"
        yield "asm-offsets.h of what it loads or stores. The kernel's own bytes are made from FILE.S by"
        yield ""
        yield "  powerpc64le-linux-gnu-as -o FILE.o FILE.S"
        places = [f"--section-start={name}={section.address:#x}" for name, section in unit.sections.items()]
        values = {".TOC.": unit.fixed.toc, **unit.fixed.externals}
        options = ["-e 0", *places, *(f"--defsym {name}={value:#x}" for name, value in values.items()), "FILE.o"]
        yield "  powerpc64le-linux-gnu-ld -o FILE \\"
        yield from (f"    {option} \\" for option in options[:-1])
        yield f"    {options[-1]}"

    def _section(self, section: Section, plain: set[tuple[str, int]]) -> Iterator[tuple[int | None, str]]:
        assert section.address is not None
        code = {line.offset: line.text for line in section.lines}
        toc = self._through_toc(section)
        symbols: dict[int, list[Symbol]] = {}
        for symbol in self._unit.symbols.values():
            if symbol.section == section.name:
                symbols.setdefault(symbol.value, []).append(symbol)
        bugs = {} if section.name != "__bug_table" else {at: target for target, at in self._bugs().items()}
        at = 0
        while at < section.size:
            for symbol in symbols.get(at, ()):
                yield from ((None, line) for line in self._symbol(symbol, at))
            label = self._labels.get(section.address + at, "")
            if label.startswith(".L"):
                yield None, f"{label}:"
            word = _word(section, at)
            comment = f"/* {(section.address + at) & 0xFFFFFFFF:x}: {word:08x}"
            if at in bugs:
                size = 8 if self._kernel.offsets["BUG_ENTRY_SIZE"] >= 16 else 4
                value = self._labels[bugs[at]] + ("" if size == 8 else " - .")
                yield None, _row(f"\t.{'quad' if size == 8 else 'long'}\t{value}", f"{comment} */")
                at += size
                continue
            if at not in code or (section.name, at) in plain:
                count = 1 if at in code else self._equal_words(section, at, code, symbols)
                said = f"; {code[at]}" if at in code else "; not reached" if "x" in section.flags else ""
                what = f"\t.long\t{word:#010x}" if count == 1 else f"\t.fill\t{count}, 4, {word:#010x}"
                yield at, _row(what, f"{comment}{said} */")
                at += 4 * count
                continue
            statement = self._statement(code[at], word, section.address + at, toc.get(at))
            named = self._meaning(word)
            yield at, _row("\t" + statement, f"{comment}{f'  {named}' if named else ''} */")
            at += 4

    def _symbol(self, symbol: Symbol, at: int) -> Iterator[str]:
        if at:
            yield ""
        if symbol.binding != "local":
            yield f"\t.{'globl' if symbol.binding == 'global' else 'weak'}\t{symbol.name}"
        if symbol.type != "notype":
            yield f"\t.type\t{symbol.name}, @{'function' if symbol.type == 'func' else 'object'}"
        yield f"{symbol.name}:"

    def _named(self) -> set[str]:
        """Return the constants that the comments name: who changes the text may use them."""
        words = [_word(s, line.offset) for s in self._unit.sections.values() for line in s.lines]
        return {*map(self._meaning, words), "GPR0"}

    def _equal_words(self, section: Section, at: int, code: Mapping[int, str], symbols: Mapping[int, object]) -> int:
        assert section.address is not None
        end = at + 4
        while (
            end < section.size
            and section.data[end : end + 4] == section.data[at : at + 4]
            and end not in code
            and end not in symbols
            and section.address + end not in self._labels
        ):
            end += 4
        count = (end - at) // 4
        return count if count >= _ROW else 1

    def _statement(self, text: str, word: int, address: int, toc: str | None) -> str:
        mnemonic, _, operands = text.partition(" ")
        target = branch_target(word, address)
        if target is not None and not word & 2:
            operands = ", ".join([*operands.split(", ")[:-1], self._labels[target]])
        if toc is not None:
            operands = re.sub(r"-?\d+(?=\(|$)", toc, operands)
        return f"{mnemonic}\t{operands}".rstrip()

    def _through_toc(self, section: Section) -> dict[int, str]:
        """Return the operand that reaches function_trace_op, by the offset of the instructions that do."""
        fixed = self._unit.fixed
        assert fixed is not None
        goal = fixed.externals.get("function_trace_op")
        found: dict[int, str] = {}
        high: dict[int, tuple[int, int]] = {}
        for line in section.lines:
            word = _word(section, line.offset)
            opcode, rt, ra, low = word >> 26, word >> 21 & 31, word >> 16 & 31, word & 0xFFFF
            signed = low - ((low & 0x8000) << 1)
            if opcode == 15 and ra == 2:
                high[rt] = (line.offset, fixed.toc + (signed << 16))
            elif opcode in (14, 58) and ra in high and high[ra][1] + (signed & ~3 if opcode == 58 else signed) == goal:
                found[high[ra][0]] = "function_trace_op@toc@ha"
                found[line.offset] = "function_trace_op@toc@l"
            if opcode != 15 and rt in high and opcode in (14, 58):
                del high[rt]
        return found

    def _meaning(self, word: int) -> str:
        """Return the name in asm-offsets.h of what a load or store is for, empty when it is not known."""
        if word >> 26 not in _LOADS_AND_STORES:
            return ""
        base, at = word >> 16 & 31, word & 0xFFFF
        if word >> 26 in (58, 62):
            at &= ~3
        if base == _SP:
            gpr = at - self._kernel.offsets["GPR0"]
            # A kernel's asm-offsets.h ends with GPR13.
            return self._frame.get(at, f"GPR0+8*{gpr // 8}" if 0 <= gpr < 256 and gpr % 8 == 0 else "")
        return self._paca.get(at, "") if base == _PACA else ""


def _word(section: Section, at: int) -> int:
    return int.from_bytes(section.data[at : at + 4], "little")


def _row(statement: str, comment: str) -> str:
    width = len(statement.expandtabs(8))
    return f"{statement}{chr(9) * max(1, (_COLUMN + 7 - width) // 8)}{comment}"
