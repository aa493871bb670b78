"""Operands of an instruction: text to trees when the statement is read, trees to numbers and relocations at the end."""

from __future__ import annotations

from dataclasses import dataclass

from lpgen.assembly import expr, isa
from lpgen.assembly.expr import ExpressionError, Node, UnknownExpressionError, Value
from lpgen.assembly.layout import Layout, shown

_REGISTER_CLASSES = {"gpr": "general register", "fpr": "floating-point register", "vr": "vector register"}
_REGISTER_CLASSES |= {
    "vsr": "vector-scalar register",
    "crf": "condition register field",
    "crb": "condition register bit",
}

# Modifier -> the part of a relocation's name that says which 16 bits.
_HALVES = {"": "", "l": "_LO", "h": "_HI", "ha": "_HA", "high": "_HIGH", "higha": "_HIGHA"}
_HALVES |= {"higher": "_HIGHER", "highera": "_HIGHERA", "highest": "_HIGHEST", "highesta": "_HIGHESTA"}
_DS_HALVES = {"": "_DS", "l": "_LO_DS"}


@dataclass(frozen=True, slots=True)
class Operand:
    """One operand as read; ``base`` is the register of ``disp(base)``."""

    text: str
    parsed: expr.Parsed
    base: Node | None = None


@dataclass(frozen=True, slots=True)
class Wanted:
    """A relocation that an operand needs."""

    type: str
    key: str
    addend: int


def read(text: str, layout: Layout) -> Operand:
    """Parse one operand. Raises ExpressionError."""
    parsed = expr.parse(text, layout)
    if not parsed.rest:
        return Operand(text, parsed)
    if not parsed.rest.startswith("("):
        raise UnknownExpressionError(f"cannot read '{parsed.rest}' behind the operand")
    base = expr.parse(parsed.rest[1:], layout)
    if base.rest != ")" or base.modifier:
        raise UnknownExpressionError(f"cannot read the base register in '{text}'")
    return Operand(text, parsed, base.node)


def choose(forms: tuple[isa.Form, ...], operands: list[Operand]) -> isa.Form:
    """Return the form with as many operands as were given. Raises ExpressionError when there is none."""
    for form in forms:
        if len(form.operands) == len(operands):
            return form
    counts = " or ".join(str(count) for count in sorted({len(form.operands) for form in forms}))
    raise UnknownExpressionError(f"'{forms[0].mnemonic}' takes {counts} operands, not {len(operands)}")


def value_of(slot: str, operand: Operand, layout: Layout, section: str, offset: int) -> tuple[isa.Value, Wanted | None]:
    """Return the operand's number (0 where a relocation fills it in) and the relocation, if it needs one.

    ``section`` and ``offset`` say where the instruction lies. Raises ExpressionError or isa.OperandError.
    """
    kind = isa.KINDS[slot]
    if kind.cls == "mem":
        if operand.base is None:
            raise ExpressionError(f"'{operand.text}' is no memory operand; write disp(register)")
        base = isa.check("ra0", _register("gpr", operand.base, layout))
        disp, wanted = _immediate(slot, operand.parsed, layout, section, offset)
        return (isa.check(slot, disp), base), wanted
    if operand.base is not None:
        raise ExpressionError(f"'{operand.text}' is a memory operand, which does not fit here")
    if kind.cls == "imm":
        return _immediate(slot, operand.parsed, layout, section, offset)
    if operand.parsed.modifier and kind.cls != "num":
        raise UnknownExpressionError(f"@{operand.parsed.modifier} has no meaning in '{operand.text}'")
    if kind.cls == "num":
        value, wanted = _immediate(slot, operand.parsed, layout, section, offset)
        if wanted is not None:
            raise ExpressionError(f"'{operand.text}' needs a number here, not an address")
        return value, None
    return _register(kind.cls, operand.parsed.node, layout), None


def _register(cls: str, node: Node, layout: Layout) -> int:
    if node[0] == "reg":
        if node[1] != cls and not (cls == "crb" and node[1] == "crf"):
            raise ExpressionError(f"a {_REGISTER_CLASSES[cls]} is needed here, not a {_REGISTER_CLASSES[node[1]]}")
        if node[1] == cls:
            return int(node[2])
    if cls == "crb":
        node = _cr_numbers(node)
    return layout.number(node)


def _cr_numbers(node: Node) -> Node:
    """Replace condition register names in 4*cr1+eq by their numbers."""
    if node[0] == "reg" and node[1] in ("crf", "crb"):
        return ("num", node[2])
    if node[0] == "bin":
        return ("bin", node[1], _cr_numbers(node[2]), _cr_numbers(node[3]))
    return node


def single(value: Value, layout: Layout, section: str) -> tuple[str, str | None, int]:
    """Return (symbol key, key that is subtracted or None, constant) of a value that a relocation can express.

    What is subtracted has to lie in ``section``, the section of the field. Raises ExpressionError otherwise.
    """
    plus = [key for key, count in value.terms.items() if count == 1]
    minus = [key for key, count in value.terms.items() if count == -1]
    if len(plus) == 1 and len(minus) <= 1 and len(value.terms) == len(plus) + len(minus):
        if not minus:
            return plus[0], None, value.const
        place = layout.location(minus[0])
        if place is not None and place[0] == section:
            return plus[0], minus[0], value.const
    names = ", ".join(sorted(shown(key) for key in value.terms))
    raise UnknownExpressionError(f"no relocation can express this combination of {names}")


def half(value: int, modifier: str) -> int:
    """Return the 16 bits that a modifier takes out of a number. Raises ExpressionError for an unknown modifier."""
    shifts = {"l": 0, "h": 16, "ha": 16, "high": 16, "higha": 16}
    shifts |= {"higher": 32, "highera": 32, "highest": 48, "highesta": 48}
    if modifier not in shifts:
        raise UnknownExpressionError(f"@{modifier} has no meaning for a number")
    if modifier in ("h", "ha") and not -(1 << 31) <= value < 1 << 32:
        raise UnknownExpressionError(f"{value:#x}@{modifier}: the number has more than 32 bits")
    if modifier.endswith("a"):
        value += 0x8000
    return (value >> shifts[modifier]) & 0xFFFF


def _immediate(slot: str, parsed: expr.Parsed, layout: Layout, section: str, offset: int) -> tuple[int, Wanted | None]:
    if parsed.node[0] == "reg":
        raise ExpressionError("a number is needed here, not a register")
    value = layout.fold(layout.evaluate(parsed.node))
    modifier = parsed.modifier
    if value.absolute:
        if not modifier:
            return value.const, None
        taken = half(value.const, modifier)
        signed = isa.KINDS[slot].low < 0 and taken > 0x7FFF
        return (taken - 0x10000 if signed else taken), None
    key, minus, const = single(value, layout, section)
    family, _, rest = modifier.partition("@") if modifier.startswith(("toc", "got")) else ("", "", modifier)
    if family not in ("", "toc", "got") or (minus is not None and family):
        raise UnknownExpressionError(f"relocation modifier @{modifier} is not supported")
    prefix = {"": "ADDR16", "toc": "TOC16", "got": "GOT16"}[family]
    if minus is not None:
        place = layout.location(minus)
        prefix, const = "REL16", const + offset - (place[1] if place is not None else 0)
    kind = isa.KINDS[slot]
    halves = _HALVES if kind.step == 1 else _DS_HALVES if kind.step == 4 and minus is None else {}
    allowed = ("", "l", "h", "ha") if prefix != "ADDR16" else tuple(_HALVES)
    if rest not in halves or rest not in allowed:
        raise UnknownExpressionError(f"@{modifier or 'none'}: no relocation of this kind for the operand")
    return 0, Wanted(f"R_PPC64_{prefix}{halves[rest]}", key, const)
