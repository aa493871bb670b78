"""Every instruction form that is modelled, as Ghidra's p-code and as terms, on the same values.

What differs is in DEVIATIONS, with the section of the Power ISA 3.0B that says why the terms are right. Each was also
decided by the emulator: tests/proof/test_semantics_unicorn.py has the same forms and none of these differences.
"""

from __future__ import annotations

from collections.abc import Iterator

import proof_words as words_of
import pytest
from proof_words import Bytes, Case, Numbers

from lpgen.proof.outcome import Outcome
from lpgen.proof.state import XER_BITS, Registers

pytest.importorskip("pypcode", reason="pip install 'lpgen[test]' (pypcode)")

import proof_pcode

ADDRESS = 0xC000000000300000

_SUMS_WITH_CARRY = ((8, 0), (12, 0), (13, 0), *((31, n) for n in (8, 10, 136, 138, 200, 202, 232, 234)))
_SHIFTS_WITH_CARRY = ((31, 792), (31, 794), (31, 824), (31, 826))
_OVERFLOWS = tuple((31, n) for n in sorted(words_of.SUMS))
_TO_XER = (31, 467)

# By part that differs, "gpr" any GPR: which instructions, by opcode, and why.
DEVIATIONS: dict[str, tuple[tuple[tuple[int, int], ...], str]] = {
    "ca32": (
        (*_SUMS_WITH_CARRY, *_SHIFTS_WITH_CARRY, _TO_XER),
        "book I, 3.2.2: the low half's carry; p-code has none",
    ),
    "ov32": ((*_OVERFLOWS, _TO_XER), "book I, 3.2.2: the overflow of the low half; p-code has none"),
    "so": ((_TO_XER,), "p-code has mtxer write a register that is not the one of which SO, OV and CA are read"),
    "ov": ((_TO_XER,), "as so"),
    "ca": ((_TO_XER,), "as so"),
    "low bits": (((19, 16), (19, 528)), "book I, 2.4: the target is LR[0:61] || 0b00, CTR[0:61] || 0b00"),
    "end": (((16, 0), (19, 16)), "book I, 2.4: with BO=0b0000z, 0b0001z the CR bit has to be 0; in p-code 1"),
    "gpr": (
        (
            # lhbrx, lwbrx: book I, 3.3.5, the bytes in the other order than lhz and lwz have them; in p-code not
            *((31, 790), (31, 534)),
            # rldic, rldimi, rldcr: book I, 3.3.14; p-code takes the mask for an address and loads what is there
            *((30, 2), (30, 3), (30, 9)),
            # setb: book I, 3.3.12, of the field BFA; in p-code always of CR0
            (31, 128),
        ),
        "see each",
    ),
    "cr": (((30, 2), (30, 3), (30, 9), (31, 826)), "CR0 of those results; in p-code sradi. leaves it"),
}
# What p-code leaves to an operation without a definition: ldbrx stdbrx, traps, barriers, caches.
OPAQUE = (
    *((31, 532), (31, 660), (31, 4), (31, 68), (2, 0), (3, 0)),
    *((19, 150), (31, 598), (31, 854), (31, 278), (31, 246), (31, 86), (31, 54), (31, 982)),
)


def parts(
    case: Case, after: proof_pcode.After, registers: Registers, outcome: Outcome, stores: tuple[Bytes, Bytes]
) -> Iterator[tuple[str, str]]:
    """Yield the parts that differ, with both values."""
    numbers, target = after.numbers, after.target
    taken = outcome.target.value if words_of.decided(outcome.branch) and outcome.target is not None else None
    if target != taken:
        is_low = target is not None and taken is not None and target & ~3 == taken
        yield "low bits" if is_low else "end", f"{target}, as terms: {taken}"
    named = [("gpr", number, term) for number, term in zip(numbers.gpr, registers.gpr, strict=True)]
    named += [("lr", numbers.lr, registers.lr), ("ctr", numbers.ctr, registers.ctr)]
    named += [("cr", numbers.cr, registers.cr_word())]
    named += [(name, numbers.xer >> bit & 1, registers.xer[name]) for name, bit in XER_BITS.items()]
    for name, number, term in named:
        mask, value = words_of.known(term)
        if (number ^ value) & mask:
            yield name, f"{number:#x}, as terms: {value:#x}"
    if stores[0].content != stores[1].content:
        yield "memory", f"{stores[0].writes}, as terms: {stores[1].writes}"


def compare(case: Case, numbers: Numbers) -> list[tuple[str, str]] | None:
    """Execute a case both ways. Return what differs, None if p-code does not say."""
    stores = Bytes(), Bytes()
    registers, outcome = words_of.run(case.word, ADDRESS, numbers, stores[1])
    try:
        after = proof_pcode.execute(case.word, ADDRESS, numbers, stores[0])
    except proof_pcode.OpaqueError:
        return None
    return list(parts(case, after, registers, outcome, stores))


def has_fault(word: int) -> bool:
    return bool(words_of.run(word, ADDRESS, next(words_of.inputs(word, 1)), Bytes())[1].fault)


def test_each_form_is_as_the_p_code_has_it() -> None:
    seen: dict[str, set[tuple[int, int]]] = {}
    opaque, wrong, runs = set(), {}, 0
    for case in (*words_of.table(), *words_of.emitted()):
        if not words_of.modelled(case.word) or has_fault(case.word):
            continue
        for numbers in words_of.inputs(case.word, 16 if words_of.opcode(case.word) == _TO_XER else 3):
            found = compare(case, numbers)
            if found is None:
                opaque.add(words_of.opcode(case.word))
                break
            runs += 1
            for part, text in found:
                seen.setdefault(part, set()).add(words_of.opcode(case.word))
                if words_of.opcode(case.word) not in DEVIATIONS.get(part, ((), ""))[0]:
                    wrong.setdefault(f"{case.name}: {part}", f"{case.word:#010x} on {numbers}: {text}")
    assert not wrong, "\n".join(f"{name}: {text}" for name, text in wrong.items())
    assert seen == {part: set(opcodes) for part, (opcodes, _) in DEVIATIONS.items()}, "a listed deviation is none"
    assert opaque == set(OPAQUE)
    assert runs > 3000
