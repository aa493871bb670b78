"""What the functions that are called leave behind: everything that ELFv2 lets them change is any value."""

from __future__ import annotations

from lpgen.proof.ground import HIGHEST, R1, World
from lpgen.proof.path import DeadEnd, Path
from lpgen.proof.state import Registers
from lpgen.proof.term import Term, base_and_offset, concat, const, extract, var, zext

# ELFv2 2.2.1; CR2 to CR4, and the others, as bit numbers of CR.
VOLATILE_GPRS = (0, *range(3, 13))
CR_KEPT = range(8, 20)
VOLATILE_CR = (*range(8), *range(20, 32))
EDITED = (*range(3, 11), *range(14, 32))
# Instruction addresses end in two zeros.
ADDRESS_ZEROS = 2


def any_registers(who: str) -> Registers:
    """Return registers of any values, named after ``who`` ("entry.r3")."""
    made = Registers(
        [var(64, f"{who}.r{n}") for n in range(32)],
        var(64, f"{who}.lr", ADDRESS_ZEROS),
        var(64, f"{who}.ctr"),
        var(64, f"{who}.msr"),
        [],
        {},
        const(64, 0),
    )
    made.set_cr_word(var(32, f"{who}.cr"))
    set_any_xer(made, who)
    return made


def set_any_xer(registers: Registers, who: str) -> None:
    """Set XER to any value that its defined bits allow (Power ISA 3.0B, book I, 3.2.2)."""
    word = var(32, f"{who}.xer")
    flags = concat(extract(word, 31, 29), const(9, 0), extract(word, 19, 18), const(11, 0), extract(word, 6, 0))
    registers.set_xer_word(zext(flags, 64))


def called(path: Path, who: str) -> None:
    """Let the function ``who`` run, called from where the path is, and return behind its call.

    Raises DeadEnd where LR is no address in the trampolines.
    """
    registers = path.registers
    back = registers.lr.value
    base, r1 = base_and_offset(registers.gpr[1])
    if back is None or back not in path.world.words:
        raise DeadEnd(path.trace[-1], f"{who} returns to {registers.lr}")
    for number in VOLATILE_GPRS:
        registers.gpr[number] = var(64, f"{who}.r{number}")
    registers.ctr = var(64, f"{who}.ctr")
    registers.lr = var(64, f"{who}.lr", ADDRESS_ZEROS)
    word = var(32, f"{who}.cr")
    for bit in VOLATILE_CR:
        registers.cr[bit] = extract(word, 31 - bit, 31 - bit)
    set_any_xer(registers, who)
    memory = path.memory
    if base is R1:
        memory.forget("stack", path.world.regions["stack"].first, r1)
        # CR save and LR save of its caller's frame (ELFv2 2.2.2).
        memory.forget("stack", r1 + 8, r1 + 12)
        memory.forget("stack", r1 + 16, r1 + 24)
        path.deepest = r1
    memory.forget("livepatch", path.top, 0x800)
    path.highest = path.top
    path.pc = back


def tracer_writes(path: Path, world: World, regs: int, *, lean: bool) -> None:
    """Let the tracer change pt_regs at offset ``regs`` from A's frame: nip, link, what else takes effect."""
    offsets, base = world.offsets, world.offsets["GPR0"]

    def write(name: str, field: str, zeros: int = 0) -> Term:
        value = var(64, f"tracer.{name}", zeros)
        path.memory.store("stack", regs + offsets[field] - base, 8, value)
        return value

    path.facts["nip"] = write("nip", "_NIP", ADDRESS_ZEROS)
    path.facts["link"] = write("link", "_LINK", ADDRESS_ZEROS)
    if "direct_calls" in world.features:
        path.facts["orig_gpr3"] = write("orig_gpr3", "ORIG_GPR3", ADDRESS_ZEROS)
    if not lean:
        for number in EDITED:
            value = var(64, f"tracer.gpr{number}")
            path.memory.store("stack", regs + 8 * number, 8, value)
            path.facts[f"gpr{number}"] = value


def c_writes(path: Path) -> None:
    """Let C, or B's body, use what a called function may write to in A's frame: the parameter save area."""
    path.memory.forget("stack", 32, HIGHEST)
