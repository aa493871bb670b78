"""The program that gdb is told it debugs: an ELF file with the symbols and lines of one emulated call, and no code."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from lpgen.assembly.elf import ET_EXEC, RawSection, StringTable, elf_file
from lpgen.assembly.model import Line
from lpgen.debugger.dwarf import SourceRow, debug_sections
from lpgen.debugger.unwinding import frame_section
from lpgen.errors import Place
from lpgen.machine.code import OOL_CODE_BYTES, module_stub
from lpgen.machine.engine import PAGE
from lpgen.machine.trip import Trip
from lpgen.machine.world import World
from lpgen.resources import SHIPPED, template_path

_SYMBOL = struct.Struct("<IBBHQQ")
_GLOBAL, _OBJECT, _FUNC = 1 << 4, 1, 2
_ALLOC, _EXEC, _WRITE = 2, 4, 1
# ELFv2 ABI 1.5, 3.4.1: st_other of a function whose local entry is 8 bytes behind its global one.
_LOCAL_ENTRY_8 = 3 << 5
# The file of lines that are in none.
_NO_FILE = "(no source)"


@dataclass(frozen=True, slots=True)
class Mark:
    """A symbol of the program: ``size`` in bytes, ``code`` or data, ``other`` is st_other."""

    name: str
    address: int
    size: int
    code: bool = True
    other: int = 0


def program(world: World, trip: Trip) -> bytes:
    """Return an ELF64 file (ET_EXEC) with what there is to name in ``world``.

    ``trip`` is the call, run before in a world that traces what is around the trampolines, too: A, B and C are its own,
    pt_regs is where its tracer found it.
    """
    acted = list(_acted(world, trip))
    variables, pt_regs = _variables(world, trip)
    marks = [*_trampolines(world), *acted]
    marks += [Mark(name, address, 8, code=False) for name, address in variables.items()]
    if pt_regs:
        marks.append(Mark("pt_regs", pt_regs, world.offsets["SWITCH_FRAME_SIZE"] - world.offsets["GPR0"], code=False))
    areas = _areas(world, marks)
    raws = [RawSection("", "progbits"), *areas]
    raws += debug_sections(world.image.unit.name, _sequences(world, marks), variables, pt_regs, _members(world))
    callers = [(mark.address, mark.size) for mark in acted if re.fullmatch(r"A\d*", mark.name)]
    raws.append(frame_section(world, trip, callers, [(mark.address, mark.size) for mark in acted if mark.size == 4]))
    strings = StringTable()
    table = [bytes(_SYMBOL.size)]
    for mark in marks:
        number = next(n for n, area in enumerate(areas, 1) if area.address <= mark.address < area.address + area.size)
        kind = _GLOBAL | (_FUNC if mark.code else _OBJECT)
        table.append(_SYMBOL.pack(strings.add(mark.name), kind, mark.other, number, mark.address, mark.size))
    symbols = b"".join(table)
    raws.append(RawSection(".symtab", "symtab", 0, 8, symbols, len(symbols), len(raws) + 1, 1, _SYMBOL.size))
    raws.append(RawSection(".strtab", "strtab", 0, 1, bytes(strings.data), len(strings.data)))
    raws.append(RawSection(".shstrtab", "strtab"))
    return elf_file(raws, ET_EXEC)


def _trampolines(world: World) -> Iterable[Mark]:
    unit = world.image.unit
    for name, address in world.image.symbols.items():
        symbol = unit.symbols.get(name)
        if name.startswith(".L") or not name.isprintable() or symbol is None or symbol.section is None:
            continue
        section = unit.sections.get(symbol.section)
        if section is not None and world.engine.room(address):
            code = "x" in section.flags
            yield Mark(name, address, symbol.size, code=code, other=symbol.other if code else 0)


def _acted(world: World, trip: Trip) -> Iterable[Mark]:
    """Yield every function that Python acts for, with the stubs; A, B and C of the call last."""
    gates = {
        "tracer": world.tracer,
        "module_tracer": world.module_tracer,
        "prepare_ftrace_return": world.graph,
        "is_current_kprobe_addr": world.kprobe,
        "ftrace_return_to_handler": world.unhook,
        "kretprobe_trampoline": world.kretprobe,
        "return_to_handler": world.graph_return,
        "direct_trampoline": world.direct_of(trip.b),
    }
    defined = {name for name, symbol in world.image.unit.symbols.items() if symbol.section is not None}
    yield from (Mark(name, at, 4) for name, at in gates.items() if name not in defined)
    for (home, name), at in world.stubs.items():
        yield Mark(f"{name}_stub_in_module_{home}", at, len(module_stub(0)))
    others = (*world.functions_b.values(), *world.functions_c, *world.twins.values(), *world.chosen_c)
    names = {function: re.sub(r"\W+", "_", function.name) for function in others}
    names |= {trip.c: "C", trip.b: "B"}
    for function, name in names.items():
        if function.site and function.lr != function.site + 4:
            yield Mark(f"{name}_ool_stub", function.lr - OOL_CODE_BYTES // 2, OOL_CODE_BYTES)
        size = function.site + 8 - function.gep if function.site else 4
        yield Mark(name, function.gep, size, other=_LOCAL_ENTRY_8 if function.lep != function.gep else 0)
    for number, site in enumerate((*world.local_calls.values(), *world.pointer_calls)):
        # Behind a call through a pointer r2 is loaded; the last instruction is where Python acts again.
        size = site.returns + (8 if site in world.pointer_calls else 4) - site.call
        yield Mark("A" if site == trip.site else f"A{number}", site.call, size)


def _variables(world: World, trip: Trip) -> tuple[dict[str, int], int]:
    """Return the addresses of the call's data by name, and that of pt_regs, 0 if its tracer got none."""
    thread = trip.thread
    paca = trip.a.gpr[13]
    named = {"livepatch_sp": thread.sp_address, "thread_info": thread.info, "paca": paca}
    if "call_ops" not in world.kernel.features:
        named["function_trace_op"] = world.ground.function_trace_op
    if world.engine.room(world.ground.toc) >= 8:
        named["kernel_toc"] = world.ground.toc
    moments = trip.at("tracer")
    return named, moments[0].pt_regs if moments else 0


def _members(world: World) -> dict[str, int]:
    """Return the members of struct pt_regs but gpr, with their offsets in it."""
    entries = world.offsets.entries
    known = {entry.field: entry.value - world.offsets["GPR0"] for entry in entries if entry.struct == "pt_regs"}
    return {name: at for name, at in known.items() if name.isidentifier()}


def _areas(world: World, marks: list[Mark]) -> list[RawSection]:
    """Return sections without contents, so that gdb reads memory, around the marks: .text, and pages besides."""
    first, end = world.image.text_range
    areas = [RawSection(".text", "nobits", _ALLOC | _EXEC, 4, size=end - first, address=first)]
    pages: dict[int, bool] = {}
    for mark in marks:
        if not first <= mark.address < end:
            page = mark.address & -PAGE
            pages[page] = pages.get(page, False) or mark.code
    for page, code in sorted(pages.items()):
        name, flags = (".text", _ALLOC | _EXEC) if code else (".bss", _ALLOC | _WRITE)
        for start, stop in (
            (page, min(page + PAGE, max(page, first))),
            (max(page, min(page + PAGE, end)), page + PAGE),
        ):
            if start < stop:
                areas.append(RawSection(f"{name}.{start:x}", "nobits", flags, 4, size=stop - start, address=start))
    return areas


def _sequences(world: World, marks: list[Mark]) -> list[tuple[list[SourceRow], int]]:
    """Return the lines of the trampolines, and of every B: theirs, like those of an object, are in no file."""
    first, end = world.text
    lines = world.image.unit.sections[".text"].lines
    places = [_source(line) or (_NO_FILE, number) for number, line in enumerate(lines, 1)]
    rows = [SourceRow(first + line.offset, *place) for line, place in zip(lines, places, strict=True)]
    starts = {mark.address for mark in marks if mark.code}
    found = [([row for row in rows for _ in range(1 + (row.address in starts))], end)]
    number = len(lines)
    for mark in sorted({mark.address: mark for mark in marks}.values(), key=lambda mark: mark.address):
        # In the others that Python acts for gdb finds no prologue.
        if mark.other and not first <= mark.address < end:
            addresses = (mark.address, *range(mark.address, mark.address + mark.size, 4))
            rows = [SourceRow(address, _NO_FILE, number + (address - mark.address) // 4 + 1) for address in addresses]
            number += len(rows) - 1
            found.append((rows, mark.address + mark.size))
    return found


def _source(line: Line) -> tuple[str, int] | None:
    """Return file and line: of the text that was handed in if it is a file here, of the template otherwise."""
    places = [place for place in (line.place, line.template) if place is not None and place.line is not None]
    for place in places:
        path = Path(place.file) if _is_file(place) else template_path(place.file.removeprefix(SHIPPED))
        if path is not None and place.line is not None:
            return str(path.absolute()), place.line
    first = places[0] if places else None
    return None if first is None or first.line is None else (first.file, first.line)


def _is_file(place: Place) -> bool:
    try:
        return Path(place.file).is_file()
    except (OSError, ValueError):
        return False
