"""Instructions on registers whose values are not known, and words that are refused."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import pytest

from lpgen.assembly import assemble
from lpgen.proof import term as t
from lpgen.proof.semantics import NotModelledError, Outcome, execute
from lpgen.proof.state import XER_BITS, Registers
from lpgen.proof.term import Term

AT = 0xC000000000300000


@dataclass
class Log:
    """Memory that gives a variable for each load, and keeps stores."""

    stores: list[tuple[Term, int, Term]] = field(default_factory=list)

    def load(self, address: Term, size: int) -> Term:
        return t.var(8 * size, f"memory{size}[{address}]")

    def store(self, address: Term, size: int, value: Term) -> None:
        self.stores.append((address, size, value))


def unknown() -> Registers:
    """Registers of which nothing is known."""
    gpr = [_given(64, f"r{n}") for n in range(32)]
    cr = [_given(1, f"cr{n}") for n in range(32)]
    xer = {name: _given(1, name) for name in XER_BITS}
    rest = t.both(_given(64, "xer"), t.const(64, ~sum(1 << bit for bit in XER_BITS.values())))
    return Registers(gpr, LR, CTR, _given(64, "msr"), cr, xer, rest)


def _given(width: int, name: str) -> Term:
    return t.var(width, f"given {name}")


LR, CTR = _given(64, "lr"), _given(64, "ctr")


def run(text: str, memory: Log | None = None) -> tuple[Registers, list[Outcome]]:
    """Execute instructions one behind the other, separated by semicolons."""
    code = assemble(text.replace(";", "\n") + "\n", name="test.s", isolated=False).sections[".text"].data
    registers, outcomes = unknown(), []
    for at in range(0, len(code), 4):
        word = int.from_bytes(code[at : at + 4], "little")
        outcomes.append(execute(word, AT + at, registers, memory or Log()))
    return registers, outcomes


def changed(registers: Registers) -> set[str]:
    """Return the names of the registers that are not what they were."""
    first = unknown()
    found = {f"r{n}" for n, (a, b) in enumerate(zip(registers.gpr, first.gpr, strict=True)) if a is not b}
    found |= {f"cr{n // 4}" for n, (a, b) in enumerate(zip(registers.cr, first.cr, strict=True)) if a is not b}
    found |= {name for name in XER_BITS if registers.xer[name] is not first.xer[name]}
    names = ("lr", "ctr", "msr", "xer_rest")
    return found | {name for name in names if getattr(registers, name) is not getattr(first, name)}


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("addi 13, 13, 8", {"r13"}),
        ("ld 13, 8(13)", {"r13"}),
        ("mr 13, 1; mr 1, 3", {"r13", "r1"}),
        ("std 13, 8(13)", set()),
        ("stdu 1, -32(1)", {"r1"}),
        ("ldu 3, 8(4)", {"r3", "r4"}),
        ("add. 3, 4, 5", {"r3", "cr0"}),
        ("addi 0, 0, 5", {"r0"}),
        ("addc 3, 4, 5", {"r3", "ca", "ca32"}),
        ("cmpd 3, 4", {"cr0"}),
        ("cmplwi 7, 3, 4", {"cr7"}),
        ("mcrf 2, 5", {"cr2"}),
        ("cror 31, 1, 2", {"cr7"}),
        ("mtcrf 0x81, 3", {"cr0", "cr7"}),
        ("mtlr 3; mtctr 4", {"lr", "ctr"}),
        ("mtxer 3", {*XER_BITS, "xer_rest"}),
        ("bl .+8", {"lr"}),
        ("bdnz .+8", {"ctr"}),
        ("bctrl", {"lr"}),
        ("blr", set()),
        ("mfmsr 3", {"r3"}),
        ("nop; isync; lwsync; dcbt 0, 3; icbi 0, 3; tw 4, 3, 4", set()),
        ("srawi. 3, 4, 3", {"r3", "cr0", "ca", "ca32"}),
        ("mtmsrd 3, 1", {"msr"}),
        ("mtspr 275, 3", set()),
        ("lfd 1, 8(3); vor 1, 2, 3", set()),
    ],
)
def test_what_changes(text: str, names: set[str]) -> None:
    assert changed(run(text)[0]) == names


def test_outcomes() -> None:
    registers = unknown()
    to_lr, to_ctr = (t.concat(t.extract(one, 63, 2), t.const(2, 0)) for one in (LR, CTR))
    r3, r4 = registers.gpr[3], registers.gpr[4]
    eq = registers.cr[2]
    counted = t.plus(CTR, -1)
    expected = {
        "blr": Outcome(t.TRUE, to_lr),
        "bctrl": Outcome(t.TRUE, to_ctr, links=True),
        "blrl": Outcome(t.TRUE, to_lr, links=True),
        "beqlr": Outcome(eq, to_lr),
        "bnectr": Outcome(t.invert(eq), to_ctr),
        "bdnz .+16": Outcome(t.invert(t.equal(counted, t.const(64, 0))), t.const(64, AT + 16)),
        "bdzt 2, .-16": Outcome(t.both(t.equal(counted, t.const(64, 0)), eq), t.const(64, AT - 16)),
        "bl .-8": Outcome(t.TRUE, t.const(64, AT - 8), links=True),
        "ba 0x100": Outcome(t.TRUE, t.const(64, 0x100)),
        "tdne 3, 4": Outcome(trap=t.invert(t.equal(r3, r4))),
        "tdi 4, 3, -1": Outcome(trap=t.equal(r3, t.const(64, -1))),
        "twge 3, 4": Outcome(trap=t.invert(t.less_signed(t.extract(r3, 31, 0), t.extract(r4, 31, 0)))),
        "tdlge 3, 4": Outcome(trap=t.invert(t.less(r3, r4))),
        "tdllt 3, 4": Outcome(trap=t.less(r3, r4)),
        "td 17, 3, 4": Outcome(trap=t.either(t.less_signed(r3, r4), t.less(r4, r3))),
        "trap": Outcome(trap=t.TRUE),
        "tw 31, 3, 4": Outcome(trap=t.TRUE),
        "tdgt 3, 3": Outcome(),
        "tdge 3, 3": Outcome(trap=t.TRUE),
        "td 0, 3, 4": Outcome(),
        "mtmsrd 3": Outcome(privileged="MSR"),
        "mtmsr 3": Outcome(privileged="MSR"),
        "mtspr 275, 3": Outcome(privileged="SPR 275"),
        "mtspr 256, 3": Outcome(privileged="SPR 256"),
        "mtlr 3": Outcome(),
        "sc": Outcome(fault="system call"),
        ".long 0": Outcome(fault="illegal instruction"),
        "lfd 1, 8(3)": Outcome(fault="FP unavailable"),
        "lvx 1, 0, 3": Outcome(fault="VEC unavailable"),
        "xxlor 1, 2, 3": Outcome(fault="VSX unavailable"),
        "mfvsrd 3, 1": Outcome(fault="FP unavailable"),
        "mfvsrd 3, 33": Outcome(fault="VEC unavailable"),
    }
    assert {text: run(text)[1] for text in expected} == {text: [outcome] for text, outcome in expected.items()}


def test_registers_saved_and_restored_are_the_same_objects() -> None:
    """What entry code does around a call: nothing of it is left to the solver."""
    registers, _ = run("mfcr 3; mfxer 4; mflr 5; mfctr 6; li 7, 0; mtcr 7; mtxer 7; mtcr 3; mtxer 4; mtlr 5; mtctr 6")
    assert changed(registers) == {"r3", "r4", "r5", "r6", "r7"}


def test_addresses_and_values_of_accesses() -> None:
    memory = Log()
    registers, _ = run("stdu 1, -48(1); std 3, 16(1); stw 4, 8(1); sthbrx 5, 0, 6; stdx 3, 1, 7", memory)
    r = unknown().gpr
    frame = t.plus(r[1], -48)
    swapped = t.concat(t.extract(r[5], 7, 0), t.extract(r[5], 15, 8))
    assert memory.stores == [
        (frame, 8, r[1]),
        (t.plus(r[1], -32), 8, r[3]),
        (t.plus(r[1], -40), 4, t.extract(r[4], 31, 0)),
        (r[6], 2, swapped),
        (t.add(frame, r[7]), 8, r[3]),
    ]
    assert registers.gpr[1] is frame


def test_what_the_isa_leaves_open_is_a_variable_of_its_own() -> None:
    registers, _ = run("mfspr 3, 268; mfspr 4, 268; mulhw 5, 6, 7; mfocrf 8, 64")
    at = [f"@{AT + 4 * n:#x}" for n in range(4)]
    assert registers.gpr[3] is t.var(64, f"spr268{at[0]}")
    assert registers.gpr[4] is t.var(64, f"spr268{at[1]}")
    assert t.extract(registers.gpr[5], 63, 32) is t.var(32, f"mulhw{at[2]}")
    assert t.extract(registers.gpr[8], 27, 24) is t.concat(*unknown().cr[4:8])
    rest = t.var(64, f"mfocrf{at[3]}")
    assert (t.extract(registers.gpr[8], 63, 28), t.extract(registers.gpr[8], 23, 0)) == (
        t.extract(rest, 63, 28),
        t.extract(rest, 23, 0),
    )


def x_form(extended: int, rt: int = 3, ra: int = 4, rb: int = 5, rc: int = 0) -> int:
    return 31 << 26 | rt << 21 | ra << 16 | rb << 11 | extended << 1 | rc


REFUSED = {
    "ldu of its own base": 58 << 26 | 3 << 21 | 3 << 16 | 1,
    "lwzu of r0": 33 << 26 | 3 << 21,
    "lbzux of its own base": x_form(119, 3, 3),
    "stdu of r0": 62 << 26 | 3 << 21 | 1,
    "stwux of r0": x_form(183, 3, 0),
    "stq": 62 << 26 | 4 << 21 | 3 << 16 | 2,
    "reserved store": 62 << 26 | 3 << 21 | 3 << 16 | 3,
    "reserved load": 58 << 26 | 3 << 21 | 3 << 16 | 3,
    "lq": 56 << 26 | 4 << 21 | 3 << 16,
    "lmw": 46 << 26 | 3 << 21 | 3 << 16,
    "lwarx": x_form(20),
    "stdcx.": x_form(214, rc=1),
    "ldx with Rc": x_form(21, rc=1),
    "bdnzctr": 19 << 26 | 16 << 21 | 528 << 1,
    "bctar": 19 << 26 | 20 << 21 | 560 << 1,
    "a reserved hint of beq": 16 << 26 | 13 << 21 | 2 << 16 | 8,
    "a reserved hint of bne": 16 << 26 | 5 << 21 | 2 << 16 | 8,
    "a reserved hint of bdnz": 16 << 26 | 17 << 21 | 8,
    "a reserved hint of bdz": 16 << 26 | 19 << 21 | 8,
    "blr with reserved bits": 19 << 26 | 20 << 21 | 1 << 13 | 16 << 1,
    "mtocrf of two fields": x_form(144) | 1 << 20 | 3 << 12,
    "mfocrf of none": x_form(19, 3, 16, 0),
    "mfcr with a field": x_form(19, 3, 0, 2),
    "an SPR that is not known": x_form(339, 3, 31, 20),
    "mftb of another SPR": x_form(371, 3, 8, 0),
    "isync with reserved bits": 19 << 26 | 1 << 21 | 150 << 1,
    "sync 3": x_form(598, 3, 0, 0),
    "cmp with a reserved bit": x_form(0, 2),
    "neg with RB": x_form(104),
    "rld of no kind": 30 << 26 | 5 << 2,
    "mulhw.": x_form(75, rc=1),
    "divd": x_form(489),
    "dcbz": x_form(1014, 0),
    "scv": 17 << 26 | 1,
    "rfid": 19 << 26 | 18 << 1,
    "no instruction, of opcode 0": 1,
    "a prefix": 1 << 26,
    "no FP instruction": 63 << 26 | 1 << 1,
    "fadd with reserved bits": 63 << 26 | 1 << 6 | 21 << 1,
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_modelled_is_refused_with_its_word(name: str) -> None:
    registers = unknown()
    with pytest.raises(NotModelledError, match=f"{REFUSED[name]:#010x}"):
        execute(REFUSED[name], AT, registers, Log())
    assert changed(registers) == set()


def test_any_word_is_executed_or_refused() -> None:
    rng = random.Random(1)
    refused = 0
    for number in range(5_000):
        # The extended opcodes of 31 get as many words as all else.
        word = rng.getrandbits(32) if number % 2 else 31 << 26 | rng.getrandbits(26)
        registers = unknown()
        try:
            outcome = execute(word, AT, registers, Log())
        except NotModelledError:
            refused += 1
            assert changed(registers) == set()
        else:
            assert (outcome.branch is None) == (outcome.target is None)
    assert 1_000 < refused < 4_000


def test_mtmsrd_with_l_sets_ee_and_ri_alone() -> None:
    """Book III, 5.4.1: the other bits of MSR stay; without L all of it is set, as far as the proof looks."""
    for text, mask in (("mtmsrd 3, 1", 0x8002), ("mtmsrd 3", (1 << 64) - 1)):
        after = run(text)[0]
        start = unknown()
        wanted = t.either(t.both(start.msr, t.const(64, ~mask)), t.both(start.gpr[3], t.const(64, mask)))
        assert after.msr is wanted
