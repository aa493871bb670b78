"""Instruction forms: operand kinds, checks, and an encoding that owes nothing to Keystone.

Every word that Keystone returns for a mnemonic in this table is compared with ``Form.encode``; the rows themselves are
checked against GNU as in tests/assembly. Encodings: Power ISA 2.07B and 3.0B, books I-III.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from types import CodeType

from lpgen.assembly.expr import UnknownExpressionError
from lpgen.assembly.isa_rows import ALIASES, READ_ONLY_SPRS, ROWS, SPRS

# A memory operand has two values, every other operand one.
Value = int | tuple[int, int]


class OperandError(ValueError):
    """An operand that the instruction cannot take; the caller adds the place."""


class UnknownOperandError(OperandError, UnknownExpressionError):
    """An operand that GNU as may take: it lets a number of 32 bits stand for a signed one."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What an operand slot takes.

    ``cls`` is the class of register (gpr, fpr, vr, vsr, crf, crb), ``num`` for a plain number, ``imm`` for a number or
    a relocated symbol, ``mem`` for ``disp(base)``, ``target`` for a branch target. ``low`` and ``high`` bound the
    number (of ``mem``: the displacement, which is a multiple of ``step``).
    """

    cls: str
    low: int
    high: int
    encode: Callable[[int], int]
    step: int = 1


def _at(shift: int) -> Callable[[int], int]:
    return lambda value: value << shift


def _low16(value: int) -> int:
    return value & 0xFFFF


def _split6(value: int) -> int:
    # sh of MD and XS forms: five bits at 11, the highest one at bit 1.
    return (value & 31) << 11 | (value >> 5) << 1


def _mask6(value: int) -> int:
    # mb/me of MD forms: five bits at 6, the highest one at bit 5.
    return (value & 31) << 6 | (value >> 5) << 5


def _spr(value: int) -> int:
    return (value & 31) << 16 | (value >> 5) << 11


def _vsr(shift: int, extra: int) -> Callable[[int], int]:
    return lambda value: (value & 31) << shift | (value >> 5) << extra


def _dx(value: int) -> int:
    return ((value >> 6) & 0x3FF) << 6 | ((value >> 1) & 31) << 16 | (value & 1)


def _nothing(_value: int) -> int:
    # A field that aliases compute with, or that is patched in afterwards (branch targets).
    return 0


S16 = (-0x8000, 0x7FFF)

KINDS: dict[str, Kind] = {
    **{name: Kind("gpr", 0, 31, _at(21)) for name in ("rt", "rs")},
    **{name: Kind("gpr", 0, 31, _at(16)) for name in ("ra", "ra0")},
    "rb": Kind("gpr", 0, 31, _at(11)),
    **{name: Kind("fpr", 0, 31, _at(21)) for name in ("frt", "frs")},
    "fra": Kind("fpr", 0, 31, _at(16)),
    "frb": Kind("fpr", 0, 31, _at(11)),
    "frc": Kind("fpr", 0, 31, _at(6)),
    "vrt": Kind("vr", 0, 31, _at(21)),
    "vra": Kind("vr", 0, 31, _at(16)),
    "vrb": Kind("vr", 0, 31, _at(11)),
    "vrc": Kind("vr", 0, 31, _at(6)),
    "xt": Kind("vsr", 0, 63, _vsr(21, 0)),
    "xtq": Kind("vsr", 0, 63, _vsr(21, 3)),
    "xa": Kind("vsr", 0, 63, _vsr(16, 2)),
    "xb": Kind("vsr", 0, 63, _vsr(11, 1)),
    "bf": Kind("crf", 0, 7, _at(23)),
    "bfa": Kind("crf", 0, 7, _at(18)),
    "bt": Kind("crb", 0, 31, _at(21)),
    **{name: Kind("crb", 0, 31, _at(16)) for name in ("ba", "bi")},
    "bb": Kind("crb", 0, 31, _at(11)),
    "bc": Kind("crb", 0, 31, _at(6)),
    "bo": Kind("num", 0, 31, _at(21)),
    "to": Kind("num", 0, 31, _at(21)),
    "sh5": Kind("num", 0, 31, _at(11)),
    "mb5": Kind("num", 0, 31, _at(6)),
    "me5": Kind("num", 0, 31, _at(1)),
    "sh6": Kind("num", 0, 63, _split6),
    "mb6": Kind("num", 0, 63, _mask6),
    **{name: Kind("num", 0, 63, _nothing) for name in ("n6", "b6")},
    **{name: Kind("num", 0, 31, _nothing) for name in ("n5", "b5")},
    "n1": Kind("num", 0, 1, _nothing),
    "n2": Kind("num", 0, 3, _nothing),
    "si": Kind("imm", *S16, _low16),
    "sis": Kind("imm", -0x8000, 0xFFFF, _low16),
    "ui": Kind("imm", 0, 0xFFFF, _low16),
    "uis": Kind("imm", 0, 0xFFFF, _low16),
    # subi and its kin are addi with the number negated, so the range is the mirror image.
    "nsi": Kind("num", -0x7FFF, 0x8000, _nothing),
    "nsis": Kind("num", -0xFFFF, 0x8000, _nothing),
    "dx": Kind("num", *S16, _dx),
    "d": Kind("mem", *S16, _low16),
    "ds": Kind("mem", *S16, _low16, 4),
    "dq": Kind("mem", *S16, _low16, 16),
    **{name: Kind("target", 0, 0, _nothing) for name in ("li", "lia", "bd", "bda")},
    "spr": Kind("num", 0, 1023, _spr),
    "fxm": Kind("num", 0, 255, _at(12)),
    "fxm1": Kind("num", 1, 128, _at(12)),
    "flm": Kind("num", 0, 255, _at(17)),
    "l": Kind("num", 0, 1, _at(21)),
    "l1": Kind("num", 0, 1, _at(16)),
    "l2": Kind("num", 0, 2, _at(21)),
    "th": Kind("num", 0, 31, _at(21)),
    "eh": Kind("num", 0, 1, _at(0)),
    "bh": Kind("num", 0, 3, _at(11)),
    "lev": Kind("num", 0, 127, _at(5)),
    "shb": Kind("num", 0, 15, _at(6)),
    "sim5": Kind("num", -16, 15, lambda value: (value & 31) << 16),
    "dm": Kind("num", 0, 3, _at(8)),
}

# BO values that Power ISA 2.07B book I, 2.4 defines; the others have reserved bits set.
VALID_BO = frozenset((0, 2, 4, 6, 7, 8, 10, 12, 14, 15, 16, 18, 20, 24, 25, 26, 27))

_SHIFTS = {"x": 1, "m": 2, "p": 3, "d": 0}
_WORD = re.compile(r"(\d+)(?:([xmpd])(\d+))?(?:\|([0-9a-f]+))?")


@dataclass(frozen=True, slots=True)
class Form:
    """One operand list of one mnemonic."""

    mnemonic: str
    operands: tuple[str, ...]
    word: int
    flags: frozenset[str]
    base: str | None = None
    base_operands: tuple[str | CodeType, ...] = ()

    def values(self, given: Mapping[str, Value]) -> tuple[Form, dict[str, Value]]:
        """Return the form whose word this is and its operand values: an alias is turned into its base instruction.

        Raises OperandError when a number does not fit the base instruction.
        """
        if self.base is None:
            return self, dict(given)
        base = self.base_form()
        scope: dict[str, int] = {}
        for name, value in given.items():
            if isinstance(value, tuple):
                scope["disp"], scope["memra"] = value
            else:
                scope[name] = value
        out: dict[str, Value] = {}
        for slot, source in zip(base.operands, self.base_operands, strict=True):
            if isinstance(source, str):
                out[slot] = scope[source] if source in scope else given[source]
            else:
                # The expression comes from the table in isa_rows.py, never from a person's input.
                out[slot] = int(eval(source, _HELPERS, scope))
        return base, out

    def base_form(self) -> Form:
        """Return the form of the base instruction that an alias stands for."""
        for form in forms(self.base or ""):
            if len(form.operands) == len(self.base_operands):
                return form
        raise LookupError(f"{self.mnemonic}: no {self.base} with {len(self.base_operands)} operands")

    def encode(self, given: Mapping[str, Value]) -> int:
        """Return the 32-bit word for the operand values, branch targets and relocated fields counting as 0.

        Raises OperandError for a value that the instruction cannot take.
        """
        base, values = self.values(given)
        word = base.word
        for name in base.operands:
            kind, value = KINDS[name], values[name]
            if isinstance(value, tuple):
                word |= kind.encode(check(name, value[0])) | check("ra0", value[1]) << 16
            else:
                word |= kind.encode(check(name, value))
        base._check_whole(values)
        return word

    def text(self, given: Mapping[str, Value]) -> str:
        """Return the statement that Keystone is given: bare numbers, ``{at}`` where a branch wants its own address."""
        form, values = (self.values(given)) if "base" in self.flags else (self, dict(given))
        words = []
        for name in form.operands:
            value = values[name]
            if isinstance(value, tuple):
                words.append(f"{value[0]}({value[1]})")
            elif name in ("li", "bd"):
                words.append("{at}")
            elif name != "eh" or value:  # Keystone takes the hint EH=1 only; 0 is what leaving it out means
                words.append(str(value))
        return f"{form.mnemonic} {','.join(words)}".rstrip()

    def _check_whole(self, values: Mapping[str, Value]) -> None:
        ra, rt = values.get("ra"), values.get("rt")
        for value in values.values():
            if isinstance(value, tuple):
                ra = value[1]
        if self.flags & {"lu", "su"} and ra == 0:
            raise OperandError("the base register of an update form cannot be r0")
        if "lu" in self.flags and ra == rt:
            raise OperandError("a load with update cannot load its own base register")
        if "bo" in values:
            if values["bo"] not in VALID_BO:
                raise OperandError(f"branch option {values['bo']} has reserved bits set")
            if self.mnemonic.startswith("bcctr") and isinstance(values["bo"], int) and not values["bo"] & 4:
                raise OperandError("a branch to CTR cannot decrement CTR")


def check(name: str, value: int) -> int:
    """Return ``value`` when the operand slot ``name`` can hold it; raises OperandError otherwise."""
    kind = KINDS[name]
    if not kind.low <= value <= kind.high:
        signed = value - (1 << 32) if 1 << 31 <= value < 1 << 32 else value
        wraps = kind.cls in ("imm", "mem") and S16[0] <= signed <= kind.high
        raise (UnknownOperandError if wraps else OperandError)(f"{value} is out of range {kind.low}..{kind.high}")
    if value % kind.step:
        raise OperandError(f"displacement {value} is not a multiple of {kind.step}")
    if name == "fxm1" and value & (value - 1):
        raise OperandError(f"field mask {value:#x} has more than one bit set")
    return value


def _wrap(width: int) -> Callable[[int], int]:
    return lambda value: 0 if value == width else value


_HELPERS: dict[str, object] = {"__builtins__": {}, "w64": _wrap(64), "w32": _wrap(32)}


def _parse_word(text: str) -> int:
    match = _WORD.fullmatch(text)
    if match is None:
        raise ValueError(text)
    primary, letter, extended, extra = match.groups()
    word = int(primary) << 26
    if letter:
        word |= int(extended) << _SHIFTS[letter]
    return word | int(extra or "0", 16)


def _variants(mnemonic: str) -> Iterator[tuple[str, str, int]]:
    """Yield (bare mnemonic, its suffix, bits to or in) for a mnemonic with or without ``[.]``."""
    bare = mnemonic.removesuffix("[.]")
    yield bare, "", 0
    if bare != mnemonic:
        yield bare, ".", 1


_TRAPS = {"lt": 16, "le": 20, "eq": 4, "ge": 12, "gt": 8, "nl": 12, "ne": 24, "ng": 20}
_TRAPS |= {"llt": 2, "lle": 6, "lge": 5, "lgt": 1, "lnl": 5, "lng": 6}

# condition -> (branch if true, CR bit); the hints + and - set the "at" bits (Power ISA 2.07B book I, 2.4).
_CONDITIONS = {"lt": (1, 0), "gt": (1, 1), "eq": (1, 2), "so": (1, 3), "un": (1, 3)}
_CONDITIONS |= {"ge": (0, 0), "nl": (0, 0), "le": (0, 1), "ng": (0, 1), "ne": (0, 2), "ns": (0, 3), "nu": (0, 3)}


def _generated_aliases() -> Iterator[str]:
    for condition, to in _TRAPS.items():
        yield f"tw{condition} ra,rb = tw {to},ra,rb"
        yield f"td{condition} ra,rb = td {to},ra,rb"
        yield f"tw{condition}i ra,si = twi {to},ra,si"
        yield f"td{condition}i ra,si = tdi {to},ra,si"
    kinds = (("", "bc"), ("l", "bcl"), ("a", "bca"), ("la", "bcla"))
    registers = (("lr", "bclr"), ("lrl", "bclrl"), ("ctr", "bcctr"), ("ctrl", "bcctrl"))
    for condition, (true, bit) in _CONDITIONS.items():
        for hint, at in (("", 0), ("-", 2), ("+", 3)):
            bo = (12 if true else 4) | at
            for suffix, base in kinds:
                target = "bda" if "a" in suffix else "bd"
                yield f"b{condition}{suffix}{hint} {target} = {base} {bo},{bit},{target}"
                yield f"b{condition}{suffix}{hint} bf,{target} = {base} {bo},bf*4+{bit},{target}"
            for suffix, base in registers:
                yield f"b{condition}{suffix}{hint} = {base} {bo},{bit}"
                yield f"b{condition}{suffix}{hint} bf = {base} {bo},bf*4+{bit}"
    for name, plain in (("bdnz", 16), ("bdz", 18)):
        for hint, at in (("", 0), ("-", 8), ("+", 9)):
            for suffix, base in kinds:
                target = "bda" if "a" in suffix else "bd"
                yield f"{name}{suffix}{hint} {target} = {base} {plain | at},0,{target}"
            for suffix, base in registers[:2]:
                yield f"{name}{suffix}{hint} = {base} {plain | at},0"
    for name, number in {**SPRS, **READ_ONLY_SPRS}.items():
        yield f"mf{name} rt = mfspr rt,{number}"
    for name, number in SPRS.items():
        yield f"mt{name} rs = mtspr {number},rs"
    yield "mfsprg rt,n2 = mfspr rt,272+n2 ;base"
    yield "mtsprg n2,rs = mtspr 272+n2,rs ;base"


# Spellings among the generated ones that Keystone 0.9.2 does not know; it is given the base instruction instead.
_BASE_ONLY = frozenset(("mfvrsave", "mtvrsave"))


def _compile_alias(line: str) -> Iterator[Form]:
    left, right = line.split(" = ")
    right, _, flags = right.partition(";")
    mnemonic, _, operands = left.partition(" ")
    base, _, base_operands = right.strip().partition(" ")
    for bare, suffix, _bits in _variants(mnemonic):
        sources: list[str | CodeType] = []
        names = tuple(operands.split(",")) if operands else ()
        for source in base_operands.split(","):
            if source in names:
                sources.append(source)
            elif source in ("d.ra", "d.disp"):
                sources.append({"d.ra": "memra", "d.disp": "disp"}[source])
            else:
                sources.append(compile(source, "isa_rows", "eval"))
        base_name = base.removesuffix("[.]") + (suffix if "[" in base else "")
        marks = set(flags.split())
        if bare + suffix in _BASE_ONLY:
            marks.add("base")
        yield Form(bare + suffix, names, 0, frozenset(marks), base_name, tuple(sources))


@cache
def _raw_rows() -> dict[str, list[tuple[str, bool]]]:
    """Map each mnemonic to its rows as text; a row is compiled when its mnemonic is used: starting stays cheap."""
    rows: dict[str, list[tuple[str, bool]]] = {}
    for line in filter(None, ROWS.splitlines()):
        for bare, suffix, _bits in _variants(line.split(" ", 1)[0]):
            rows.setdefault(bare + suffix, []).append((line, False))
    for line in (*filter(None, ALIASES.splitlines()), *_generated_aliases()):
        for bare, suffix, _bits in _variants(line.split(" ", 1)[0]):
            rows.setdefault(bare + suffix, []).append((line, True))
    return rows


def mnemonics() -> list[str]:
    """Return every mnemonic of the table, in the table's order."""
    return list(_raw_rows())


@cache
def forms(mnemonic: str) -> tuple[Form, ...]:
    """Return the operand lists of a mnemonic, an empty tuple when the table does not have it."""
    found: list[Form] = []
    for line, alias in _raw_rows().get(mnemonic, ()):
        if alias:
            found += [form for form in _compile_alias(line) if form.mnemonic == mnemonic]
            continue
        name, *rest = line.split(" ")
        operands = "" if _WORD.fullmatch(rest[0]) else rest.pop(0)
        word, *flags = rest
        for bare, suffix, bits in _variants(name):
            if bare + suffix == mnemonic:
                names = tuple(operands.split(",")) if operands else ()
                found.append(Form(mnemonic, names, _parse_word(word) | bits, frozenset(flags)))
    return tuple(found)
