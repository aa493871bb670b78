"""What is asked of the stack on every way through the trampolines: stores, and A's return address."""

from __future__ import annotations

from collections.abc import Sequence

from lpgen.proof.checker import Checker
from lpgen.proof.ground import R1, RETURN
from lpgen.proof.path import Path
from lpgen.proof.reading import show
from lpgen.proof.term import FALSE, TRUE, Term, base_and_offset


def stack_stores(path: Path, checker: Checker) -> None:
    """Ask that what was stored below A's frame came to lie inside the new frames (T5)."""
    checker.count("T5")
    for store in path.stores:
        if store.offset < path.lowest:
            checker.report(
                path,
                "T5",
                store.pc,
                f"store of {store.size} bytes",
                "inside the new frames or at 16(A's frame)",
                f"{store.offset}(A's frame)",
            )
    path.stores.clear()


def frame_below(path: Path, checker: Checker, statement: str, r1: int) -> None:
    """Ask for a back chain from the frame at offset ``r1`` that leads to A's frame or below it."""
    above = path.memory.load("stack", r1, 8)
    base, offset = base_and_offset(above)
    holds = TRUE if base is R1 and r1 < offset <= 0 else FALSE
    checker.true(path, statement, "back chain", holds, "an address up to A's frame", show(above))


def return_slot(path: Path, checker: Checker, statement: str, allowed: Sequence[Term]) -> None:
    """Ask for 16(A's frame): one of ``allowed``, A's return address or what was there."""
    seen = path.memory.load("stack", 16, 8)
    if any(seen is one for one in allowed):
        checker.count(statement)
        return
    checker.equal(path, statement, "16(A's frame)", RETURN, seen)
