"""The trampolines of a unit into an engine's memory: linked in, or, of a linked kernel, where that has them."""

from __future__ import annotations

from collections.abc import Mapping

from lpgen.assembly import Image, Unit, link
from lpgen.errors import LpgenError
from lpgen.kernel.generations import Kernel
from lpgen.machine.code import TRAP
from lpgen.machine.engine import PAGE, Engine, branch, words
from lpgen.machine.places import GROUND, MAX_TEXT, Ground

# Where the linear map holds what a kernel allocates: beyond every kernel image.
_LINEAR = 0xC000000100000000
_KERNEL = 0xC000000000000000
_MODULES = 0xD000000000010000
# How far from .text the functions are put, in bytes: within a branch's reach (32 MiB) from both its ends.
_NEAR, _FAR = 0x800000, 0x1700000


def ground_of(unit: Unit) -> Ground:
    """Return where the parts of the world are to lie around ``unit``.

    Raises LpgenError when a linked kernel leaves no room near its trampolines.
    """
    fixed = unit.fixed
    if fixed is None:
        return GROUND
    taken = {page for start, size in _pieces(unit) for page in range(start // PAGE, (start + size) // PAGE + 1)}
    taken |= {fixed.toc // PAGE, *(address // PAGE for address in fixed.externals.values())}
    text = unit.sections[".text"].address
    assert text is not None
    tries = [(text + sign * distance) & ~(PAGE - 1) for distance in range(_NEAR, _FAR, PAGE) for sign in (1, -1)]
    functions = next((t for t in tries if t >= _KERNEL and t // PAGE not in taken and t & 0xFFFFFF >= 0x40000), None)
    if functions is None:
        raise LpgenError(f"{unit.name}: no page near .text is free for the callers")
    return Ground(
        text=text,
        rodata=_LINEAR,
        functions=functions,
        monitor=_LINEAR + 0x100000,
        pacas=(_LINEAR + 0xF00000, _LINEAR + 0xF02000),
        toc=fixed.toc,
        function_trace_op=fixed.externals.get("function_trace_op", _LINEAR + 0x10228F8),
        ops=_LINEAR + 0x1030120,
        tasks=_LINEAR + 0x1050000,
        stacks=_LINEAR + 0x2000000,
        modules=_MODULES + (functions & 0xFF000000),
    )


def _pieces(unit: Unit) -> list[tuple[int, int]]:
    """Return address and size in bytes of everything of a linked kernel that is loaded."""
    assert unit.fixed is not None
    sections = [(s.address, s.size) for s in unit.sections.values() if s.address is not None]
    return sections + [(address, len(data)) for address, data in unit.fixed.data]


def own_data(unit: Unit) -> list[tuple[int, bytes]]:
    """Return what a linked kernel has in memory beside its code, by address."""
    if unit.fixed is None:
        return []
    sections = [(s.address, s.data) for s in unit.sections.values() if s.address is not None and "x" not in s.flags]
    return sections + list(unit.fixed.data)


def load(unit: Unit, kernel: Kernel, engine: Engine, ground: Ground, functions: Mapping[str, int]) -> Image:
    """Write the trampolines into the engine's memory, their relocations resolved, and return them linked.

    ``functions`` are the gates of the kernel's C functions that trampolines call. Raises LpgenError for a unit without
    code, and for one that refers to what the kernel does not have for it.
    """
    if ".text" not in unit.sections or not unit.sections[".text"].data:
        raise LpgenError(f"{unit.name} has no code", hint="the trampolines belong in .text")
    if unit.fixed is not None:
        return _load_fixed(unit, engine, functions)
    other = [n for n, sec in unit.sections.items() if "x" in sec.flags and sec.data and n != ".text"]
    if other:
        raise LpgenError(f"{unit.name} has code in {', '.join(other)}", hint="only code in .text is watched and judged")
    size = len(unit.sections[".text"].data)
    if size > MAX_TEXT:
        raise LpgenError(f"{unit.name}: .text of {size} bytes is larger than the {MAX_TEXT} bytes set aside for it")
    mapped = (size + PAGE - 1) // PAGE * PAGE + PAGE
    engine.map(ground.text, mapped, writable=False)
    engine.write(ground.text, words(TRAP) * (mapped // 4))
    externals = {"function_trace_op": ground.function_trace_op, **functions}
    undefined = [s.name for s in unit.symbols.values() if s.section is None]
    unknown = [n for n in undefined if n not in externals and n != ".TOC."]
    if unknown:
        raise LpgenError(
            f"{unit.name} uses {', '.join(sorted(unknown))}, which neither it nor kernel {kernel.version} has for it"
        )
    addresses = {".text": ground.text}
    at = ground.rodata
    for name, section in unit.sections.items():
        if name != ".text" and section.data:
            addresses[name] = at
            at += (len(section.data) + 0xFF) & ~0xFF
    image = link(unit, addresses=addresses, externals=externals, toc=ground.toc)
    for address, data in image.segments:
        engine.write(address, data)
    return image


def _load_fixed(unit: Unit, engine: Engine, functions: Mapping[str, int]) -> Image:
    """Load a linked kernel's trampolines where it has them; its C functions become branches to the gates."""
    fixed = unit.fixed
    assert fixed is not None
    addresses = {name: s.address for name, s in unit.sections.items() if s.address is not None}
    image = link(unit, addresses=addresses, externals=fixed.externals, toc=fixed.toc)
    segments = [
        *image.segments,
        *(
            (address, words(branch(address, functions[name])))
            for name, address in fixed.externals.items()
            if name in functions
        ),
    ]
    code = {p for start, data in segments for p in range(start // PAGE, (start + len(data) - 1) // PAGE + 1)}
    for first, last in _runs(sorted(code)):
        # What is no part of the trampolines traps. One mapping for neighbours: an area may cross a page's end.
        engine.map(first * PAGE, (last + 1 - first) * PAGE, writable=False)
        engine.write(first * PAGE, words(TRAP) * ((last + 1 - first) * PAGE // 4))
    for address, data in segments:
        engine.write(address, data)
    return image


def _runs(pages: list[int]) -> list[tuple[int, int]]:
    """Return the first and last of each run of numbers that follow each other."""
    runs: list[tuple[int, int]] = []
    for page in pages:
        if runs and page == runs[-1][1] + 1:
            runs[-1] = (runs[-1][0], page)
        else:
            runs.append((page, page))
    return runs
