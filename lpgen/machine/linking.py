"""The trampolines of a unit into an engine's memory: linked in, or, of a linked kernel, where that has them."""

from __future__ import annotations

from collections.abc import Mapping

from lpgen.assembly import Image, Section, Unit, link
from lpgen.assembly.flow import branch_target
from lpgen.assembly.reach import gathered, is_toc, needed
from lpgen.errors import LpgenError
from lpgen.kernel.generations import Kernel
from lpgen.machine.code import TRAP
from lpgen.machine.engine import PAGE, Engine, branch, words
from lpgen.machine.places import GROUND, MAX_DATA, MAX_TEXT, MAX_TOC, Ground

# Where the linear map may hold what a kernel allocates: beyond its image.
_LINEARS = (0xC000000100000000, 0xC000000200000000)
_LINEAR_BYTES = 0x4000000
_KERNEL = 0xC000000000000000
_MODULES = 0xD000000000010000
# How far from .text the functions are put, in bytes: within a branch's reach (32 MiB) from both its ends.
_NEAR, _FAR = 0x800000, 0x1700000
_REACH = 0x1F00000


def ground_of(unit: Unit) -> Ground:
    """Return where the parts of the world are to lie around ``unit``.

    Raises LpgenError when a linked kernel leaves no room near its trampolines.
    """
    fixed = unit.fixed
    if fixed is None:
        return GROUND
    taken = {page for start, size in _pieces(unit) for page in range(start // PAGE, (start + size) // PAGE + 1)}
    taken |= {address // PAGE for address in (fixed.toc, *fixed.externals.values(), *fixed.gates)}
    text = unit.sections[".text"].address
    assert text is not None
    if text < _KERNEL:
        raise LpgenError(f"{unit.name} is linked at {text:#x}, which is no kernel address", hint="give a vmlinux")
    last = _LINEAR_BYTES // PAGE
    linear = next((at for at in _LINEARS if not any(0 <= page - at // PAGE < last for page in taken)), None)
    tries = [(text + sign * distance) & ~(PAGE - 1) for distance in range(_NEAR, _FAR, PAGE) for sign in (1, -1)]
    functions = next((t for t in tries if t >= _KERNEL and t // PAGE not in taken and t & 0xFFFFFF >= 0x40000), None)
    if functions is None or linear is None:
        raise LpgenError(f"{unit.name}: no page near .text is free for the callers")
    return Ground(
        text=text,
        rodata=linear,
        more_data=linear + 0x1100000,
        functions=functions,
        monitor=linear + 0x100000,
        pacas=(linear + 0xF00000, linear + 0xF02000),
        toc=fixed.toc,
        function_trace_op=fixed.externals.get("function_trace_op", linear + 0x10228F8),
        ops=linear + 0x1030120,
        tasks=linear + 0x1050000,
        stacks=linear + 0x2000000,
        modules=_MODULES + (functions & 0xFF000000),
    )


def _pieces(unit: Unit) -> list[tuple[int, int]]:
    """Return address and size in bytes of everything of a linked kernel that is loaded."""
    assert unit.fixed is not None
    sections = [(s.address, s.size) for s in unit.sections.values() if s.address is not None]
    return sections + [(address, len(data)) for address, data in unit.fixed.data]


def own_data(image: Image, ground: Ground) -> list[tuple[int, bytes]]:
    """Return what the trampolines have in memory among the kernel's data, by address."""
    fixed = image.unit.fixed
    if fixed is None:
        return [segment for segment in image.segments if segment[0] // PAGE == ground.toc // PAGE]
    text = image.addresses[".text"]
    return [segment for segment in image.segments if segment[0] != text] + list(fixed.data)


def linked(unit: Unit, kernel: Kernel, ground: Ground, functions: Mapping[str, int]) -> Image:
    """Return the trampolines with their relocations resolved: of a linked kernel, where that has them.

    ``functions`` are the addresses of the kernel's C functions that trampolines call. Raises LpgenError for a unit
    without code, for one that is too large, and for one that refers to what the kernel does not have for it.
    """
    unit = gathered(unit)
    if ".text" not in unit.sections or not unit.sections[".text"].data:
        raise LpgenError(f"{unit.name} has no code", hint="the trampolines belong in .text")
    fixed = unit.fixed
    if fixed is not None:
        addresses = {name: s.address for name, s in unit.sections.items() if s.address is not None}
        return link(unit, addresses=addresses, externals=fixed.externals, toc=fixed.toc)
    size = len(unit.sections[".text"].data)
    if size > MAX_TEXT:
        raise LpgenError(f"{unit.name}: .text of {size} bytes is larger than the {MAX_TEXT} bytes set aside for it")
    externals = {"function_trace_op": ground.function_trace_op, **functions}
    unit, unknown = needed(unit, [symbol.name for symbol in kernel.symbols], externals)
    if unknown:
        first = {r.symbol: f"{r.symbol} ({r.place})" for r in reversed(unknown)}
        raise LpgenError(
            f"{unit.name} uses {', '.join(first[name] for name in sorted(first)[:5])}, which neither it nor kernel "
            f"{kernel.version} has for it"
        )
    addresses = {".text": ground.text, **_data_addresses(unit, ground)}
    return link(unit, addresses=addresses, externals=externals, toc=ground.toc)


def load(unit: Unit, kernel: Kernel, engine: Engine, ground: Ground, functions: Mapping[str, int]) -> Image:
    """Write the trampolines into the engine's memory, their relocations resolved, and return them linked.

    ``functions`` are the gates of the kernel's C functions that trampolines call. Raises what ``linked`` raises.
    """
    image = linked(unit, kernel, ground, functions)
    if image.unit.fixed is not None:
        return _load_fixed(image, engine, functions)
    mapped = (len(image.unit.sections[".text"].data) + PAGE - 1) // PAGE * PAGE + PAGE
    engine.map(ground.text, mapped, writable=False)
    engine.write(ground.text, words(TRAP) * (mapped // 4))
    placed = ((a, image.unit.sections[name].size) for name, a in image.addresses.items())
    above = [a + size - ground.more_data for a, size in placed if a >= ground.more_data]
    if above:
        engine.map(ground.more_data, (max(above) + PAGE - 1) // PAGE * PAGE, writable=False)
    for address, data in image.segments:
        if address // PAGE != ground.toc // PAGE:
            engine.write(address, data)
    return image


def _data_addresses(unit: Unit, ground: Ground) -> dict[str, int]:
    """Return where the data of the trampolines' own goes, by section: what is .toc within reach of the TOC pointer.

    Raises LpgenError for more data than there is room for.
    """
    data = [s for s in unit.sections.values() if "a" in s.flags and s.size and s.name != ".text"]
    tocs = [section for section in data if is_toc(section.name)]
    tocs = tocs if sum(_room(section) for section in tocs) <= MAX_TOC else []
    rest = [section for section in data if section not in tocs]
    size = sum(_room(section) for section in rest)
    if size > MAX_DATA:
        raise LpgenError(f"{unit.name}: the trampolines use {size} bytes of data; there is room for {MAX_DATA}")
    addresses: dict[str, int] = {}
    for first, sections in ((ground.toc - MAX_TOC, tocs), (ground.rodata if size <= PAGE else ground.more_data, rest)):
        at = first
        for section in sections:
            at += -at % section.align
            addresses[section.name] = at
            at += (section.size + 0xFF) & ~0xFF
    return addresses


def _room(section: Section) -> int:
    """Return how many bytes a section takes at most, alignment and the gap behind it included."""
    return section.size + 0xFF + section.align


def _load_fixed(image: Image, engine: Engine, functions: Mapping[str, int]) -> Image:
    """Load a linked kernel's trampolines where it has them; its C functions become branches to the gates."""
    fixed = image.unit.fixed
    assert fixed is not None
    gates = {at: name for at, name in fixed.gates.items() if name in functions}
    near = {at: name for at, name in gates.items() if abs(functions[name] - at) < _REACH}
    segments = [
        *image.segments,
        *((at, words(branch(at, functions[name]))) for at, name in near.items()),
    ]
    code = {p for start, data in segments for p in range(start // PAGE, (start + len(data) - 1) // PAGE + 1)}
    for first, last in _runs(sorted(code)):
        # What is no part of the trampolines traps. One mapping for neighbours: an area may cross a page's end.
        engine.map(first * PAGE, (last + 1 - first) * PAGE, writable=False)
        engine.write(first * PAGE, words(TRAP) * ((last + 1 - first) * PAGE // 4))
    for address, data in segments:
        engine.write(address, data)
    for at in gates.keys() - near.keys():
        _far_gate(engine, at, functions[gates[at]])
    return image


def _far_gate(engine: Engine, at: int, gate: int) -> None:
    """Make ``at``, which is too far for a branch to ``gate``, the same gate, with a way to the monitor of its own."""
    engine.map_page(at, writable=False)
    thunk = branch_target(int.from_bytes(engine.read(gate, 4), "little"), gate)
    assert thunk is not None
    number = int.from_bytes(engine.read(thunk + 4, 2), "little")
    base = at & -PAGE | (at + PAGE // 2) & (PAGE - 1) & ~0xFFF
    entry = engine.add_monitor_entry(base)
    engine.write(base + 0x800, engine.gate(base + 0x800, number, entry))
    engine.write(at, words(branch(at, base + 0x800)))


def _runs(pages: list[int]) -> list[tuple[int, int]]:
    """Return the first and last of each run of numbers that follow each other."""
    runs: list[tuple[int, int]] = []
    for page in pages:
        if runs and page == runs[-1][1] + 1:
            runs[-1] = (runs[-1][0], page)
        else:
            runs.append((page, page))
    return runs
