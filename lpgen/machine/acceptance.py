"""Is a unit one that the kernel's C code can link to, and that ftrace can write to?"""

from __future__ import annotations

from collections.abc import Callable

from lpgen.assembly import Image, Unit
from lpgen.assembly.read_linked import TRAMP_BYTES
from lpgen.errors import LpgenError
from lpgen.kernel.generations import Kernel
from lpgen.machine.code import NOP
from lpgen.machine.engine import Engine, branch, words


def check_entry_points(kernel: Kernel, image: Image) -> None:
    """Check that all that the kernel's C code refers to is there, and what ftrace writes to. Raises LpgenError."""
    unit, wanted = image.unit, kernel.symbols
    # What a linked kernel's C code refers to, it was linked to.
    free = [] if unit.fixed is not None else wanted
    local = [s.name for s in free if not s.inner and s.name in unit.symbols and unit.symbols[s.name].binding == "local"]
    if local:
        raise LpgenError(
            f"{unit.name}: {', '.join(local)} is not global: the kernel's C code could not link to it",
            hint="add .globl",
        )
    missing = [s.name for s in wanted if s.name not in image.symbols and (not s.inner or s.name == "livepatch_handler")]
    if missing:
        raise LpgenError(
            f"{unit.name} does not define {', '.join(missing)}",
            hint=f"kernel {kernel.version} with these options needs " + ", ".join(s.name for s in wanted),
        )
    for name in (s.name for s in wanted if s.kind in ("function", "label") and s.name in unit.symbols):
        symbol = unit.symbols[name]
        if symbol.section != ".text" or symbol.value % 4:
            raise LpgenError(f"{unit.name}: {name} is no address of an instruction in .text")
    _check_areas(kernel, unit)


def _check_areas(kernel: Kernel, unit: Unit) -> None:
    """Check what ftrace writes to: where it is, its size, and the number of stubs that C code reads."""
    for part in ("text", "init") if "tramp_areas" in kernel.features else ():
        symbol = unit.symbols[f"ftrace_tramp_{part}"]
        section = unit.sections.get(symbol.section or "")
        wanted = f".tramp.ftrace.{part}"
        if unit.fixed is None and (section is None or section.name != wanted or set(section.flags) != set("aw")):
            raise LpgenError(f"{unit.name}: {symbol.name} is not in {wanted}", hint=f'.section {wanted}, "aw"')
        if symbol.value % 4:
            raise LpgenError(f"{unit.name}: {symbol.name} is not 4-byte aligned", hint=".balign 4")
        if section is None or section.size - symbol.value < TRAMP_BYTES:
            raise LpgenError(f"{unit.name}: {symbol.name} has no {TRAMP_BYTES} bytes", hint=f".space {TRAMP_BYTES}")
    if "out_of_line" not in kernel.features:
        return
    area, count = unit.symbols["ftrace_ool_stub_text"], unit.symbols["ftrace_ool_stub_text_count"]
    if area.section != ".text" or area.value % 8:
        raise LpgenError(f"{unit.name}: {area.name} is not 8-byte aligned in .text", hint=".balign 8")
    section = unit.sections.get(count.section or "")
    data = section.data[count.value : count.value + 4] if section is not None else b""
    if len(data) < 4:
        raise LpgenError(f"{unit.name}: {count.name} is no 32 bits of data", hint=".long")
    room = unit.sections[".text"].part_end(area.value) - area.value
    said = int.from_bytes(data, "little")
    if said != kernel.stub_count or said * kernel.offsets["FTRACE_OOL_STUB_SIZE"] > room:
        raise LpgenError(
            f"{unit.name}: {count.name} is {said}, {area.name} has {room} bytes, and "
            f"CONFIG_PPC_FTRACE_OUT_OF_LINE_NUM_RESERVE is {kernel.stub_count}"
        )


# Address, and the bytes there before and after ftrace patched it.
Patch = tuple[int, bytes, bytes]
# Returns the word at an address.
Fetch = Callable[[int], int]


def patch_points(kernel: Kernel, image: Image, engine: Engine, tracer: int) -> dict[str, list[Patch]]:
    """Return what ftrace patches for a tracer and for the graph tracer.

    Checks that it would find what it expects, as it refuses to patch anything else. Raises LpgenError.
    """
    check_patch_points(kernel, image, lambda address: int.from_bytes(engine.read(address, 4), "little"))
    symbols = image.symbols
    patches: dict[str, list[Patch]] = {"tracer": [], "graph": []}
    for name in (s.name for s in kernel.symbols if s.name in ("ftrace_call", "ftrace_regs_call")):
        call = symbols[name]
        patches["tracer"].append((call, engine.read(call, 4), words(branch(call, tracer, link=True))))
    if "graph_hook" in kernel.features:
        hook = symbols["ftrace_graph_call"]
        to = branch(hook, symbols["ftrace_graph_caller"])
        patches["graph"].append((hook, engine.read(hook, 4), words(to)))
    return patches


def check_patch_points(kernel: Kernel, image: Image, fetch: Fetch) -> None:
    """Check that ftrace would find what it expects, as it refuses to patch anything else. Raises LpgenError."""

    def expect(address: int, word: int, where: str, text: str) -> None:
        seen = fetch(address)
        if seen != word:
            raise LpgenError(
                f"{image.unit.name}: {where} holds {seen:08x}, ftrace patches only {word:08x} ({text})",
                hint=f"put {text} there",
            )

    symbols = image.symbols
    for name in (s.name for s in kernel.symbols if s.name in ("ftrace_call", "ftrace_regs_call")):
        call = symbols[name]
        expect(call, branch(call, symbols["ftrace_stub"], link=True), name, "bl ftrace_stub")
        if "call_with_nop" in kernel.features:
            expect(call + 4, NOP, f"{name}+4", "nop")
    if "graph_hook" in kernel.features:
        hook = symbols["ftrace_graph_call"]
        expect(hook, branch(hook, symbols["ftrace_graph_stub"]), "ftrace_graph_call", "b ftrace_graph_stub")
