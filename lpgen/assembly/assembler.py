"""Statements to a Unit: layout first, then all operands, one batch through the encoder, and the fields patched in."""

from __future__ import annotations

import re
from dataclasses import dataclass

from lpgen.assembly import encoder, expr, isa, operands
from lpgen.assembly.directives import Datum, Directives
from lpgen.assembly.expr import ExpressionError, UnknownExpressionError
from lpgen.assembly.layout import NUMERIC, Layout, Part, shown
from lpgen.assembly.model import Line, Relocation, Section, Symbol, Unit
from lpgen.assembly.operands import Operand, Wanted
from lpgen.assembly.statements import Statement, split_arguments
from lpgen.errors import LpgenError

# Branch operand -> (bits of the reach, mask of the field, relocation when the target is elsewhere).
_BRANCHES = {
    "li": (26, 0x03FFFFFC, "R_PPC64_REL24"),
    "bd": (16, 0x0000FFFC, "R_PPC64_REL14"),
    "lia": (26, 0x03FFFFFC, "R_PPC64_ADDR24"),
    "bda": (16, 0x0000FFFC, "R_PPC64_ADDR14"),
}
_DATA_RELOCATIONS = {8: ("R_PPC64_ADDR64", "R_PPC64_REL64"), 4: ("R_PPC64_ADDR32", "R_PPC64_REL32")}
_DATA_RELOCATIONS |= {2: ("R_PPC64_ADDR16", "R_PPC64_REL16")}


@dataclass(frozen=True, slots=True)
class _Instruction:
    part: Part
    offset: int
    mnemonic: str
    form: isa.Form | None
    given: list[Operand]
    at: Statement


@dataclass(frozen=True, slots=True)
class _Field:
    part: Part
    offset: int
    datum: Datum


class Assembler:
    """Takes statements (statements.Target), then ``finish`` makes the unit."""

    def __init__(self, name: str, *, isolated: bool) -> None:
        self._unit_name = name
        self._isolated = isolated
        self._layout = Layout()
        self._instructions: list[_Instruction] = []
        self._fields: list[_Field] = []
        self._directives = Directives(self._layout, self._datum)
        self._relocations: dict[str, list[Relocation]] = {}
        self._referenced: dict[str, Statement] = {}

    # What statements.Expander asks for

    def label(self, name: str, at: Statement) -> None:
        """Define a label here."""
        if name in self._layout.parts:
            raise at.error(f"'{name}' is a section and cannot be a label")
        self._layout.label(name, at)

    def assign(self, name: str, expression: str, at: Statement, *, once: bool) -> None:
        """Set a symbol."""
        try:
            self._directives.assign(name, expression, at, once=once)
        except (ExpressionError, RecursionError) as error:
            raise _located(error, at) from error

    def absolute(self, expression: str, at: Statement) -> int:
        """Evaluate an expression that has to be a number now."""
        try:
            return self._directives.number(expression)
        except (ExpressionError, RecursionError) as error:
            raise _located(error, at) from error

    def defined(self, name: str) -> bool:
        """Tell whether a symbol is defined at this point."""
        symbol = self._layout.names.get(name)
        return symbol is not None and symbol.known

    def execute(self, head: str, rest: str, at: Statement) -> None:
        """Carry out a directive or an instruction."""
        try:
            if head.startswith("."):
                self._directives.execute(head, rest, at)
            else:
                self._instruction(head, rest, at)
        except (ExpressionError, RecursionError) as error:
            raise _located(error, at) from error

    def _datum(self, datum: Datum) -> None:
        part = self._layout.current
        self._fields.append(_Field(part, part.size, datum))

    def _instruction(self, mnemonic: str, rest: str, at: Statement) -> None:
        part = self._layout.current
        if rest.startswith("(") and (mnemonic.isupper() or f"{mnemonic}(" in at.text) and not isa.forms(mnemonic):
            raise at.error(f"{mnemonic} is not defined as a macro", "give the header that defines it with -I")
        given = [operands.read(text, self._layout) for text in split_arguments(rest)]
        forms = isa.forms(mnemonic)
        form = operands.choose(forms, given) if forms else None
        if part.kind == "nobits":
            raise at.error(f"an instruction cannot go into {part.name}, which holds no data")
        if part.size % 4:
            raise at.error(f"instruction at {part.size:#x} in {part.name}, not a multiple of 4", "add .align 2")
        part.align = max(part.align, 4)
        self._instructions.append(_Instruction(part, part.size, mnemonic, form, given, at))
        part.append(bytes(4), at)

    # The end

    def finish(self) -> Unit:
        """Return the unit. Raises LpgenError at the first statement that cannot be encoded."""
        self._layout.inherit()
        requests: list[encoder.Request] = []
        patches: list[int] = []
        vetted: list[_Instruction] = []
        for instruction in self._instructions:
            try:
                if instruction.form is None:
                    self._unvetted(instruction)
                    continue
                request, patch = self._request(instruction, instruction.form)
            except (ExpressionError, isa.OperandError, RecursionError) as error:
                raise _located(error, instruction.at) from error
            vetted.append(instruction)
            requests.append(request)
            patches.append(patch)
        for instruction, word, patch in zip(vetted, encoder.encode(requests), patches, strict=True):
            _store(instruction.part, instruction.offset, word | patch, 4)
        for item in self._fields:
            try:
                self._field(item)
            except (ExpressionError, RecursionError) as error:
                raise _located(error, item.datum[2]) from error
        return self._unit()

    def _unvetted(self, item: _Instruction) -> None:
        texts = []
        for operand in item.given:
            node = operand.parsed.node
            if operand.parsed.modifier:
                raise UnknownExpressionError(
                    f"'{item.mnemonic}' is not in lpgen's table: its operands must be plain numbers"
                )
            text = str(node[2] if node[0] == "reg" else self._layout.number(node))
            if operand.base is not None:
                base = operand.base
                text += f"({base[2] if base[0] == 'reg' else self._layout.number(base)})"
            texts.append(text)
        if not re.fullmatch(r"[a-z][a-z0-9_]*\.?[+-]?", item.mnemonic):
            raise UnknownExpressionError(f"unknown instruction '{item.mnemonic}'")
        try:
            word = encoder.encode_unvetted(item.mnemonic, ",".join(texts), place=item.at.place, isolated=self._isolated)
        except LpgenError as error:
            raise item.at.error(error.reason, error.hint, unknown=True) from error
        _store(item.part, item.offset, word, 4)

    def _request(self, item: _Instruction, form: isa.Form) -> tuple[encoder.Request, int]:
        values: dict[str, isa.Value] = {}
        patch = 0
        for slot, operand in zip(form.operands, item.given, strict=True):
            try:
                if isa.KINDS[slot].cls == "target":
                    patch |= self._target(slot, operand, item)
                    values[slot] = 0
                    continue
                values[slot], wanted = operands.value_of(slot, operand, self._layout, item.part.name, item.offset)
                if not isinstance(values[slot], tuple):
                    isa.check(slot, int(values[slot]))  # type: ignore[arg-type]
            except (ExpressionError, isa.OperandError) as error:
                kind = UnknownExpressionError if isinstance(error, UnknownExpressionError) else ExpressionError
                raise kind(f"operand '{operand.text}' of '{form.mnemonic}': {error}") from error
            if wanted is not None:
                self._relocate(item.part, item.offset, wanted, item.at)
        expected = form.encode(values)
        by_capstone = "cap" in form.flags or (form.base is not None and "cap" in form.base_form().flags)
        return encoder.Request(form.text(values), expected, item.at.place, by_capstone), patch

    def _target(self, slot: str, operand: Operand, item: _Instruction) -> int:
        """Return a branch's field, or 0 and note a relocation."""
        if operand.base is not None or operand.parsed.modifier:
            raise ExpressionError("a branch target is a label, a symbol or .+number")
        bits, mask, relocation = _BRANCHES[slot]
        value = self._layout.fold(self._layout.evaluate(operand.parsed.node))
        absolute = slot in ("lia", "bda")
        if value.absolute:
            if not absolute:
                raise ExpressionError(
                    f"a branch to the number {value.const}: write .+{value.const}, or use the absolute form"
                )
            return _reach(value.const, bits, mask)
        key, minus, addend = operands.single(value, self._layout, item.part.name)
        if minus is not None:
            raise ExpressionError("a difference of symbols cannot be a branch target")
        place = self._layout.location(key)
        symbol = self._layout.names.get(key)
        # GNU as 2.40 leaves every branch to a global or weak symbol to the linker, in its own section, too.
        kept = symbol is not None and (symbol.binding != "local" or symbol.local_entry is not None)
        if place is not None and place[0] == item.part.name and not absolute and not kept:
            return _reach(place[1] + addend - item.offset, bits, mask)
        self._relocate(item.part, item.offset, Wanted(relocation, key, addend), item.at)
        return 0

    def _field(self, item: _Field) -> None:
        size, parsed, at = item.datum
        value = self._layout.fold(self._layout.evaluate(parsed.node))
        if value.absolute:
            number = operands.half(value.const, parsed.modifier) if parsed.modifier else value.const
            if not -(1 << (8 * size - 1)) <= number < 1 << (8 * size):
                raise UnknownExpressionError(f"{number:#x} does not fit in {size} byte{'s' if size > 1 else ''}")
            if any(number.to_bytes(9, "little", signed=True)) and item.part.kind == "nobits":
                raise ExpressionError(f"section {item.part.name} holds no data, only space")
            _store(item.part, item.offset, number, size)
            return
        if parsed.modifier or size not in _DATA_RELOCATIONS or item.part.kind == "nobits":
            raise UnknownExpressionError("no relocation of this kind for a datum")
        key, minus, const = operands.single(value, self._layout, item.part.name)
        direct, relative = _DATA_RELOCATIONS[size]
        if minus is not None:
            place = self._layout.location(minus)
            const += item.offset - (place[1] if place is not None else 0)
        self._relocate(item.part, item.offset, Wanted(relative if minus is not None else direct, key, const), at)

    def _relocate(self, part: Part, offset: int, wanted: Wanted, at: Statement) -> None:
        """Note a relocation: against the section for what is local to this unit, against the symbol otherwise."""
        key, addend = wanted.key, wanted.addend
        place = self._layout.location(key)
        symbol = self._layout.names.get(key)
        if place is None:
            if NUMERIC in key or key.startswith(".L"):
                raise at.error(f"undefined label '{shown(key)}'")
            self._referenced.setdefault(key, at)
        elif "GOT" in wanted.type:
            if symbol is None or key.startswith(".L") or NUMERIC in key:
                raise at.error(f"{shown(key)}@got: a GOT entry needs a named symbol")
        elif symbol is None or (symbol.binding == "local" and symbol.local_entry is None):
            key, addend = place[0], addend + place[1]
        self._relocations.setdefault(part.name, []).append(Relocation(offset, wanted.type, key, addend, at.place))

    def _unit(self) -> Unit:
        sections: dict[str, Section] = {}
        for part in self._layout.parts.values():
            relocations = sorted(self._relocations.get(part.name, []), key=lambda r: r.offset)
            sections[part.name] = Section(
                part.name, part.flags, part.kind, part.align, bytes(part.data), part.size, relocations
            )
        for item in sorted(self._instructions, key=lambda i: i.offset):
            text = re.sub(r"\s+", " ", item.at.text.strip())
            sections[item.part.name].lines.append(Line(item.offset, 4, text, item.at.place, item.at.template))
        return Unit(self._unit_name, sections, self._symbols())

    def _symbols(self) -> dict[str, Symbol]:
        out: dict[str, Symbol] = {}
        for name, symbol in self._layout.names.items():
            if name.startswith(".L") or NUMERIC in name:
                continue
            at = symbol.place
            if not symbol.known or at is None:
                for pair in (symbol.size, symbol.local_entry):
                    if pair is not None:
                        raise pair[1].error(f"symbol '{name}' is not defined in this file")
                if name in self._referenced:
                    binding = "weak" if symbol.binding == "weak" else "global"
                    out[name] = Symbol(name, None, 0, binding, symbol.type, 0, symbol.visibility)  # type: ignore[arg-type]
                continue
            try:
                place = self._place_of(name)
            except ExpressionError as error:
                if symbol.binding == "local":
                    continue  # a name for a register or for another unit's symbol: used up by now
                raise _located(error, at) from error
            size = self._number_of(symbol.size)
            other = symbol.visibility | self._entry_code(symbol.local_entry)
            out[name] = Symbol(name, place[0], place[1], symbol.binding, symbol.type, size, other)
        for name in self._referenced:
            out.setdefault(name, Symbol(name, None, 0, "global"))
        return out

    def _place_of(self, name: str) -> tuple[str, int]:
        value = self._layout.fold(self._layout.resolve(name, self._layout.names[name].node))
        if value.absolute:
            return "*ABS*", value.const
        place = self._layout.location(name)
        if place is not None:
            return place
        raise ExpressionError(f"symbol '{name}' is not defined in this unit")

    def _number_of(self, pair: tuple[expr.Node, Statement] | None) -> int:
        if pair is None:
            return 0
        try:
            return self._layout.number(pair[0])
        except ExpressionError as error:
            raise _located(error, pair[1]) from error

    def _entry_code(self, pair: tuple[expr.Node, Statement] | None) -> int:
        if pair is None:
            return 0
        distance = self._number_of(pair)
        codes = {0: 0, 1: 1, 4: 2, 8: 3, 16: 4, 32: 5, 64: 6}
        if distance not in codes:
            raise pair[1].error(f".localentry {distance}: only 0, 1, 4, 8, 16, 32 and 64 can be encoded")
        return codes[distance] << 5


def _reach(distance: int, bits: int, mask: int) -> int:
    if distance % 4:
        raise ExpressionError(f"branch distance {distance} is not a multiple of 4")
    if not -(1 << (bits - 1)) <= distance < 1 << (bits - 1):
        raise ExpressionError(f"branch distance {distance} is out of reach (+-{1 << (bits - 1)} bytes)")
    return distance & mask


def _store(part: Part, offset: int, value: int, size: int) -> None:
    if part.kind != "nobits":
        part.data[offset : offset + size] = (value & ((1 << (8 * size)) - 1)).to_bytes(size, "little")


def _located(error: Exception, at: Statement) -> LpgenError:
    if isinstance(error, RecursionError):
        return at.error("expression nested too deeply")
    return at.error(str(error), unknown=isinstance(error, UnknownExpressionError))
