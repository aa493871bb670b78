"""Statements S8m and S8r for all inputs: _mcount and return_to_handler."""

from __future__ import annotations

from lpgen.proof.calls import ADDRESS_ZEROS, CR_KEPT, any_registers, called
from lpgen.proof.checker import Checker
from lpgen.proof.explore import Explorer, came_to
from lpgen.proof.frames import frame_below, return_slot, stack_stores
from lpgen.proof.ground import ENTRY_LR, R1, RETURN, TOC, World
from lpgen.proof.path import DeadEnd, Path
from lpgen.proof.reading import show
from lpgen.proof.scenario import ROUTES
from lpgen.proof.term import FALSE, TRUE, Term, base_and_offset, var

KEPT_BY_MCOUNT = (*range(1, 12), *range(14, 32))


def mcount(world: World, checker: Checker, symbol: str) -> None:
    """Follow _mcount or mcount back to its call site."""
    entry = any_registers("entry")
    entry.gpr[0], entry.gpr[1], entry.lr = RETURN, R1, ENTRY_LR
    path = checker.begin(entry.copy(), symbol, "mcount")
    checker.case = "the call site is not patched yet"
    explorer = Explorer(world, checker)
    for one, event in explorer.events(path):
        stack_stores(one, checker)
        checker.where = "in B"
        registers = one.registers
        if not explorer.reaches(one, event, ENTRY_LR):
            checker.where = "on the way"
            checker.broken(one, "S8m", event.address, "where it went", ROUTES["body"], came_to(event))
            continue
        for number in KEPT_BY_MCOUNT:
            checker.equal(one, "S8m", f"r{number}", entry.gpr[number], registers.gpr[number])
        checker.equal(one, "S8m", "r13 (the paca)", one.paca, registers.gpr[13])
        checker.equal(one, "S8m", "r0", RETURN, registers.gpr[0])
        checker.equal(one, "S8m", "LR", RETURN, registers.lr)
        checker.equal(one, "S8m", "CR", entry.cr_word(), registers.cr_word())
        checker.equal(one, "S8m", "XER", entry.xer_word(), registers.xer_word())
        checker.equal(one, "S8m", "MSR", entry.msr, registers.msr)
        return_slot(one, checker, "S8m", (RETURN, world.slot_before))


def return_to_handler(world: World, checker: Checker) -> None:
    """Follow return_to_handler from B's return to A."""
    left = any_registers("left")
    left.gpr[1] = R1
    path = checker.begin(left.copy(), "return_to_handler", "unhook")
    checker.case = "B returns to return_to_handler"
    explorer = Explorer(world, checker)
    for one, event in explorer.events(path):
        stack_stores(one, checker)
        checker.where = "at the call to ftrace_return_to_handler"
        if event.kind != "unhook":
            checker.where = "on the way"
            checker.broken(one, "S8r", event.address, "where it went", "ftrace_return_to_handler", came_to(event))
            continue
        registers = one.registers
        checker.equal(one, "S8r", "MSR", left.msr, registers.msr)
        checker.equal(one, "S8r", "r2", TOC, registers.gpr[2])
        base, r1 = base_and_offset(registers.gpr[1])
        results: dict[int, Term] = {3: left.gpr[3], 4: left.gpr[4]}
        if base is R1:
            frame_below(one, checker, "S8r", r1)
        regs = _pt_regs(world, checker, one, r1, results) if "return_regs" in world.features else None
        try:
            called(one, "unhook")
        except DeadEnd as end:
            checker.where = "on the way"
            checker.broken(one, "S8r", end.pc, "where it went", "A, behind its call", end.what)
            continue
        one.registers.gpr[3] = returns = var(64, "unhook.returns", ADDRESS_ZEROS)
        if regs is not None:
            for number in results:
                results[number] = var(64, f"unhook.gpr{number}")
                one.memory.store("stack", regs + 8 * number, 8, results[number])
        for back, end_event in explorer.events(one):
            stack_stores(back, checker)
            checker.where = "back in A"
            registers = back.registers
            if not explorer.reaches(back, end_event, returns):
                checker.where = "on the way"
                seen = came_to(end_event)
                checker.broken(back, "S8r", end_event.address, "where it went", "A, behind its call", seen)
                continue
            for number in (1, 2, *range(14, 32)):
                checker.equal(back, "S8r", f"r{number}", left.gpr[number], registers.gpr[number])
            for number, wanted in results.items():
                checker.equal(back, "S8r", f"r{number}, B's result", wanted, registers.gpr[number])
            checker.equal(back, "S8r", "r13 (the paca)", back.paca, registers.gpr[13])
            for bit in CR_KEPT:
                checker.equal(back, "S8r", f"CR bit {bit}", left.cr[bit], registers.cr[bit])
            checker.equal(back, "S8r", "MSR", left.msr, registers.msr)


def _pt_regs(world: World, checker: Checker, path: Path, r1: int, results: dict[int, Term]) -> int | None:
    """Ask for the pt_regs that ftrace_return_to_handler gets from 6.18 on; return its offset from A's frame."""
    seen = path.registers.gpr[3]
    base, regs = base_and_offset(seen)
    size, first = world.offsets["SWITCH_FRAME_SIZE"], world.offsets["GPR0"]
    inside = base is R1 and r1 + 32 <= regs and regs + size - first <= 0 and not regs & 7
    wanted = "an address in the new frame"
    if not checker.true(path, "S8r", "r3 (pt_regs)", TRUE if inside else FALSE, wanted, show(seen)):
        return None
    for number, value in results.items():
        slot = path.memory.load("stack", regs + 8 * number, 8)
        checker.equal(path, "S8r", f"pt_regs.gpr[{number}]", value, slot)
    return regs
