"""``link``: a unit at addresses, every relocation resolved and checked for overflow."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

from lpgen.assembly.model import Image, Relocation, Section, Symbol, Unit
from lpgen.errors import LpgenError

_HINTS = ("_BRTAKEN", "_BRNTAKEN")
# ELFv2 ABI 1.5, table 3.10 "Relocation table". Branches: type -> (mask of the field, bits of the reach, pc-relative).
_WORD = {
    "REL24": (0x03FFFFFC, 26, True),
    "REL24_NOTOC": (0x03FFFFFC, 26, True),
    "REL24_P9NOTOC": (0x03FFFFFC, 26, True),
}
_WORD |= {"ADDR24": (0x03FFFFFC, 26, False)}
_WORD |= {f"{kind}{hint}": (0x0000FFFC, 16, kind == "REL14") for kind in ("REL14", "ADDR14") for hint in ("", *_HINTS)}
# Data: type -> (bytes, pc-relative).
_DATA = {"ADDR64": (8, False), "UADDR64": (8, False), "ADDR64_LOCAL": (8, False), "REL64": (8, True)}
_DATA |= {"ADDR32": (4, False), "UADDR32": (4, False), "REL32": (4, True), "UADDR16": (2, False)}
# Notes for a linker that rewrites code. Left as it is the code does the same, but that it may be slower.
_NOTES = frozenset(("NONE", "ENTRY", "TOCSAVE", "PLTSEQ", "PLTCALL", "PCREL_OPT", "GNU_VTINHERIT", "GNU_VTENTRY"))
# Suffix of a 16-bit relocation -> (shift, 0x8000 is added first, bits the whole value must fit in or 0).
_HALVES = {"": (0, False, 16), "_LO": (0, False, 0), "_HI": (16, False, 32), "_HA": (16, True, 32)}
_HALVES |= {"_HIGH": (16, False, 0), "_HIGHA": (16, True, 0), "_HIGHER": (32, False, 0), "_HIGHERA": (32, True, 0)}
_HALVES |= {"_HIGHEST": (48, False, 0), "_HIGHESTA": (48, True, 0)}
_FAMILIES = ("ADDR16", "TOC16", "REL16")
# What a 16-bit field of these primary opcodes takes (Power ISA 3.0B, book I): cmpli either; ori, xori, andi. unsigned.
_EITHER, _UNSIGNED = 10, (24, 26, 28)
_MASK = (1 << 64) - 1


def link(
    unit: Unit,
    *,
    addresses: Mapping[str, int],
    externals: Mapping[str, int] | None = None,
    toc: int = 0,
) -> Image:
    """Place a unit's sections and resolve its relocations.

    ``addresses`` gives byte addresses by section name; a section that takes memory but is not named there is put behind
    the highest section so far, aligned. ``externals`` are addresses of symbols that the unit does not define (where a
    branch is to arrive: no local entry offset is added). ``toc`` is the value of ``.TOC.``, what r2 holds.

    Raises LpgenError for an undefined symbol, a value that does not fit its field, misaligned or overlapping sections,
    and relocations that need tables or stubs which only a real linker builds (@got, a call between code with and
    without a TOC pointer).
    """
    placed = _place(unit, addresses)
    outside = externals or {}
    symbols = {
        s.name: _address(s, placed) for s in unit.symbols.values() if s.section in placed or s.section == "*ABS*"
    }
    known = {**outside, **placed, **symbols, ".TOC.": toc, "*ABS*": 0}
    segments = []
    for name, start in placed.items():
        section = unit.sections[name]
        data = bytearray(section.data if section.kind != "nobits" else bytes(section.size))
        for relocation in section.relocations:
            _apply(data, relocation, start, known, toc, unit, code="x" in section.flags)
        if data:
            segments.append((start, bytes(data)))
    segments.sort()
    symbols |= {
        name: outside[name] for name, symbol in unit.symbols.items() if symbol.section is None and name in outside
    }
    return Image(segments, symbols, unit, placed)


def flat(unit: Unit, name: str = ".text") -> tuple[bytes, list[Relocation]]:
    """Return a section's bytes with the relocations resolved that hold at any address, and those that are left.

    Position-independent are the relocations relative to the place whose target lies in the same section. Raises
    LpgenError when one of these does not fit.
    """
    section = unit.sections.get(name)
    if section is None:
        return b"", []
    known = {name: 0} | {s.name: s.value for s in unit.symbols.values() if s.section == name}
    data = bytearray(section.data)
    left = []
    for relocation in section.relocations:
        if relocation.type.startswith("R_PPC64_REL") and relocation.symbol in known:
            _apply(data, relocation, 0, known, 0, unit, code=True)
        else:
            left.append(relocation)
    return bytes(data), left


def _address(symbol: Symbol, placed: Mapping[str, int]) -> int:
    return symbol.value if symbol.section == "*ABS*" else placed[symbol.section or ""] + symbol.value


def _place(unit: Unit, addresses: Mapping[str, int]) -> dict[str, int]:
    for name, address in addresses.items():
        section = unit.sections.get(name)
        if section is None:
            if name == ".text":
                continue
            raise LpgenError(f"{unit.name}: there is no section {name} to place")
        if address % section.align:
            raise LpgenError(f"{unit.name}: address {address:#x} of {name} is not a multiple of {section.align}")
        if not 0 <= address <= _MASK - section.size:
            raise LpgenError(f"{unit.name}: address {address:#x} of {name} is outside 64 bits")
    loaded: list[Section] = [s for s in unit.sections.values() if "a" in s.flags]
    placed = {s.name: addresses[s.name] for s in loaded if s.name in addresses}
    end = max((placed[s.name] + s.size for s in loaded if s.name in placed), default=0)
    for section in loaded:
        if section.name not in placed:
            start = end + -end % section.align
            placed[section.name] = start
            end = start + section.size
    ranges = sorted((placed[s.name], placed[s.name] + s.size, s.name) for s in loaded if s.size)
    for (_, before, first), (after, _, second) in pairwise(ranges):
        if after < before:
            raise LpgenError(f"{unit.name}: sections {first} and {second} overlap at {after:#x}")
    return {s.name: placed[s.name] for s in loaded}


def linkable(kind: str) -> bool:
    """True for the types of relocations that ``link`` resolves, true of none that needs what only a linker builds."""
    name = kind.removeprefix("R_PPC64_")
    return name in _NOTES or name in _WORD or name in _DATA or name in ("TOC", "REL16DX_HA") or _half(name) is not None


def _half(name: str) -> tuple[str, str] | None:
    """Return family and suffix of a 16-bit relocation, None for any other."""
    stem = name.removesuffix("_DS")
    family = next((family for family in _FAMILIES if stem.startswith(family)), None)
    if family is None or stem.removeprefix(family) not in _HALVES:
        return None
    return family, stem.removeprefix(family)


def _apply(
    data: bytearray,
    relocation: Relocation,
    start: int,
    known: Mapping[str, int],
    toc: int,
    unit: Unit,
    *,
    code: bool,
) -> None:
    kind = relocation.type.removeprefix("R_PPC64_")
    if kind in _NOTES:
        return
    place = start + relocation.offset
    symbol = unit.symbols.get(relocation.symbol)
    nowhere = relocation.symbol not in known
    if not nowhere:
        value = known[relocation.symbol]
    elif symbol is not None and symbol.binding == "weak":
        value = 0
    else:
        raise LpgenError(f"undefined symbol '{relocation.symbol}'", place=relocation.place)
    value += relocation.addend
    if kind in _WORD:
        _apply_branch(data, relocation, value, place, symbol)
    elif kind in _DATA or kind == "TOC":
        size, relative = _DATA.get(kind, (8, False))
        if kind == "TOC":
            value = toc + relocation.addend
        if kind == "ADDR64_LOCAL" and symbol is not None:
            value += symbol.local_entry
        number = _signed(value - place if relative else value)
        if size < 8:
            _fits(number, 8 * size, relocation, either=not relative)
        _merge(data, relocation.offset, size, (1 << (8 * size)) - 1, number)
    elif kind == "REL16DX_HA":
        # addpcis splits its 16 bits over three fields (Power ISA 3.0B, DX-form).
        number = _signed(value - place) + (0 if nowhere else 0x8000)
        _fits(number, 32, relocation)
        half = number >> 16 & 0xFFFF
        _merge(data, relocation.offset, 4, 0x1FFFC1, half & 0xFFC1 | (half & 0x3E) << 15)
    else:
        _apply_half(data, relocation, value, place, toc, code=code, nowhere=nowhere)


def _apply_branch(data: bytearray, relocation: Relocation, value: int, place: int, symbol: Symbol | None) -> None:
    kind = relocation.type.removeprefix("R_PPC64_")
    mask, bits, relative = _WORD[kind]
    entry = 0 if symbol is None else symbol.other >> 5
    if (kind == "REL24_NOTOC" and entry) or (kind == "REL24_P9NOTOC" and entry > 1) or (kind == "REL24" and entry == 1):
        # r12 or r2 would have to be set up on the way (ELFv2 ABI 1.5, 2.3.2.1 and 4.2.3): GNU ld puts a stub between.
        raise LpgenError(
            f"{relocation.type} against '{relocation.symbol}': a call between code with and without a TOC pointer",
            place=relocation.place,
            hint="it needs a stub that only a linker makes",
        )
    if symbol is not None and relative:
        # A branch within the unit shares its TOC, so it goes to the local entry (ELFv2 ABI 2.3.2.1).
        value += symbol.local_entry
    distance = _signed(value - place if relative else value)
    if distance % 4:
        raise LpgenError(f"branch to {value:#x} is not a multiple of 4", place=relocation.place)
    _fits(distance, bits, relocation)
    _merge(data, relocation.offset, 4, mask, distance)
    if kind.endswith(_HINTS):
        _hint(data, relocation.offset, taken=kind.endswith("_BRTAKEN"))


def _hint(data: bytearray, offset: int, *, taken: bool) -> None:
    """Set the "at" bits of BO as GNU ld does: 001at and 011at test a CR bit, 1a00t and 1a01t count CTR down."""
    options = int.from_bytes(data[offset : offset + 4], "little") >> 21 & 31
    hinted = options & 0x1E | taken
    hinted |= {4: 2, 16: 8}.get(options & 0x14, 0)
    _merge(data, offset, 4, 31 << 21, hinted << 21)


def _apply_half(
    data: bytearray, relocation: Relocation, value: int, place: int, toc: int, *, code: bool, nowhere: bool
) -> None:
    ds = relocation.type.endswith("_DS")
    half = _half(relocation.type.removeprefix("R_PPC64_"))
    if half is None:
        raise LpgenError(
            f"relocation {relocation.type} needs tables that only a linker builds",
            place=relocation.place,
            hint="write the object and use ld, or reach the symbol through the TOC pointer",
        )
    family, suffix = half
    shift, adjusted, bits = _HALVES[suffix]
    # As GNU ld does: what is against a weak symbol that is nowhere is not adjusted.
    adjusted = adjusted and not nowhere
    number = _signed(value - {"ADDR16": 0, "TOC16": toc, "REL16": place}[family]) + (0x8000 if adjusted else 0)
    if bits:
        either = unsigned = False
        if bits == 16 and family == "ADDR16" and not ds:
            opcode = data[(relocation.offset & ~3) + 3] >> 2 if code and len(data) > relocation.offset | 3 else 0
            either, unsigned = not code or opcode == _EITHER, opcode in _UNSIGNED
        _fits(number, bits, relocation, either=either, unsigned=unsigned)
    if ds and number % 4:
        raise LpgenError(f"{relocation.type}: {number:#x} is not a multiple of 4", place=relocation.place)
    _merge(data, relocation.offset, 2, 0xFFFC if ds else 0xFFFF, (number >> shift))


def _signed(value: int) -> int:
    return (value + (1 << 63)) % (1 << 64) - (1 << 63)


def _fits(value: int, bits: int, relocation: Relocation, *, either: bool = False, unsigned: bool = False) -> None:
    """Refuse what does not fit: signed; ``unsigned``; or ``either``, of which GNU ld drops the sign."""
    low, high = (
        (-1 << bits, 1 << bits) if either else (0, 1 << bits) if unsigned else (-1 << (bits - 1), 1 << (bits - 1))
    )
    if not low <= value < high:
        raise LpgenError(
            f"{relocation.type} against '{relocation.symbol}': {value:#x} does not fit in {bits} bits",
            place=relocation.place,
        )


def _merge(data: bytearray, offset: int, size: int, mask: int, value: int) -> None:
    if offset + size > len(data):
        raise LpgenError(f"a relocation of {size} bytes at {offset:#x} ends behind its section of {len(data)}")
    old = int.from_bytes(data[offset : offset + size], "little")
    data[offset : offset + size] = ((old & ~mask) | (value & mask)).to_bytes(size, "little")
