"""``link``: a unit at addresses, every relocation resolved and checked for overflow."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

from lpgen.assembly.model import Image, Relocation, Section, Symbol, Unit
from lpgen.errors import LpgenError

# ELFv2 ABI 1.5, table 3.10 "Relocation table". Branches: type -> (mask of the field, bits of the reach, pc-relative).
_WORD = {
    "R_PPC64_REL24": (0x03FFFFFC, 26, True),
    "R_PPC64_REL14": (0x0000FFFC, 16, True),
    "R_PPC64_ADDR24": (0x03FFFFFC, 26, False),
    "R_PPC64_ADDR14": (0x0000FFFC, 16, False),
}
# Data: type -> (bytes, pc-relative).
_DATA = {"R_PPC64_ADDR64": (8, False), "R_PPC64_REL64": (8, True), "R_PPC64_ADDR32": (4, False)}
_DATA |= {"R_PPC64_REL32": (4, True)}
# Suffix of a 16-bit relocation -> (shift, 0x8000 is added first, bits the whole value must fit in or 0).
_HALVES = {"": (0, False, 16), "_LO": (0, False, 0), "_HI": (16, False, 32), "_HA": (16, True, 32)}
_HALVES |= {"_HIGH": (16, False, 0), "_HIGHA": (16, True, 0), "_HIGHER": (32, False, 0), "_HIGHERA": (32, True, 0)}
_HALVES |= {"_HIGHEST": (48, False, 0), "_HIGHESTA": (48, True, 0)}
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
    and relocations that need tables which only a real linker builds (@got).
    """
    placed = _place(unit, addresses)
    outside = externals or {}
    symbols = {
        s.name: _address(s, placed) for s in unit.symbols.values() if s.section in placed or s.section == "*ABS*"
    }
    known = {**outside, **placed, **symbols, ".TOC.": toc}
    segments = []
    for name, start in placed.items():
        section = unit.sections[name]
        data = bytearray(section.data if section.kind != "nobits" else bytes(section.size))
        for relocation in section.relocations:
            _apply(data, relocation, start, known, toc, unit)
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
            _apply(data, relocation, 0, known, 0, unit)
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


def _apply(data: bytearray, relocation: Relocation, start: int, known: Mapping[str, int], toc: int, unit: Unit) -> None:
    place = start + relocation.offset
    symbol = unit.symbols.get(relocation.symbol)
    kind = relocation.type
    if relocation.symbol in known:
        value = known[relocation.symbol]
    elif symbol is not None and symbol.binding == "weak":
        value = 0
    else:
        raise LpgenError(f"undefined symbol '{relocation.symbol}'", place=relocation.place)
    value += relocation.addend
    if kind in _WORD:
        mask, bits, relative = _WORD[kind]
        if symbol is not None and relative:
            # A branch within the unit shares its TOC, so it goes to the local entry (ELFv2 ABI 2.3.2.1).
            value += symbol.local_entry
        distance = _signed(value - place if relative else value)
        if distance % 4:
            raise LpgenError(f"branch to {value:#x} is not a multiple of 4", place=relocation.place)
        _fits(distance, bits, relocation)
        _merge(data, relocation.offset, 4, mask, distance)
    elif kind in _DATA:
        size, relative = _DATA[kind]
        number = _signed(value - place if relative else value)
        if size == 4:
            _fits(number, 32, relocation, unsigned=not relative)
        _merge(data, relocation.offset, size, (1 << (8 * size)) - 1, number)
    else:
        _apply_half(data, relocation, value, place, toc)


def _apply_half(data: bytearray, relocation: Relocation, value: int, place: int, toc: int) -> None:
    name = relocation.type.removeprefix("R_PPC64_")
    ds = name.endswith("_DS")
    stem = name.removesuffix("_DS")
    families = {"ADDR16": 0, "TOC16": toc, "REL16": place}
    family, low, rest = stem.partition("16")
    suffix, base = rest, families.get(family + low)
    if base is None or suffix not in _HALVES:
        raise LpgenError(
            f"relocation {relocation.type} needs tables that only a linker builds",
            place=relocation.place,
            hint="write the object and use ld, or reach the symbol through the TOC pointer",
        )
    shift, adjusted, bits = _HALVES[suffix]
    number = _signed(value - base) + (0x8000 if adjusted else 0)
    if bits:
        _fits(number, bits, relocation)
    if ds and number % 4:
        raise LpgenError(f"{relocation.type}: {number:#x} is not a multiple of 4", place=relocation.place)
    _merge(data, relocation.offset, 2, 0xFFFC if ds else 0xFFFF, (number >> shift))


def _signed(value: int) -> int:
    return (value + (1 << 63)) % (1 << 64) - (1 << 63)


def _fits(value: int, bits: int, relocation: Relocation, *, unsigned: bool = False) -> None:
    if not -(1 << (bits - 1)) <= value < 1 << (bits if unsigned else bits - 1):
        raise LpgenError(
            f"{relocation.type} against '{relocation.symbol}': {value:#x} does not fit in {bits} bits",
            place=relocation.place,
        )


def _merge(data: bytearray, offset: int, size: int, mask: int, value: int) -> None:
    old = int.from_bytes(data[offset : offset + size], "little")
    data[offset : offset + size] = ((old & ~mask) | (value & mask)).to_bytes(size, "little")
