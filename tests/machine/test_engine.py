"""The emulated processor: registers in and out, gates, boundaries, steps, and every way in which a run can end."""

from __future__ import annotations

import dataclasses
import random

import pytest

from lpgen.assembly import assemble
from lpgen.machine.engine import MAX_BLOCKS, MONITOR_MSR, MSR_EE, MSR_FP, MSR_SF, MSR_VEC, PAGE, Engine, branch, words
from lpgen.machine.state import BLOCK_BYTES, State
from lpgen.machine.stop import Step, Stop

KERNEL, MODULE = 0xC000000000000000, 0xD000000000010000
GATES = KERNEL + 0x100000
CODE = GATES + 0x1000
DATA, READ_ONLY, UNMAPPED = KERNEL + 0x200000, KERNEL + 0x300000, KERNEL + 0xDEAD0000
GATE = 7


def code(text: str) -> bytes:
    """Instructions separated by semicolons, as bytes; registers are bare numbers."""
    return assemble(text.replace(";", "\n") + "\n", name="test.s", isolated=False).sections[".text"].data


def machine(text: str, *, watch: bool = False, at: int = CODE) -> Engine:
    """An engine with ``text`` at ``at``, then gate GATE; a page of data, one that the guest may not write."""
    engine = Engine(KERNEL)
    for address in (GATES, DATA):
        engine.map(address, PAGE)
    engine.map(READ_ONLY, PAGE, writable=False)
    engine.add_monitor_entry(GATES)
    body = code(text)
    engine.write(at, body + engine.gate(at + len(body), GATE, GATES))
    if watch:
        engine.watch([(at, at + len(body))])
    return engine


def some_state(seed: int = 1) -> State:
    """Every register with a value of its own; r1, r2, r4: writable, read-only and unmapped memory."""
    rng = random.Random(seed)
    gpr = [rng.getrandbits(64) for _ in range(32)]
    gpr[1], gpr[2], gpr[4] = DATA, READ_ONLY, UNMAPPED
    fpr = [rng.getrandbits(64) for _ in range(32)]
    lr, ctr = rng.getrandbits(64), rng.getrandbits(64)
    return State(gpr, lr, ctr, 0, rng.getrandbits(32), CODE, MONITOR_MSR, fpr, rng.randbytes(512))


def resume_until(engine: Engine, state: State, boundary: int) -> Stop:
    """Run from ``state`` to the ``boundary``-th watched instruction, or to where it ends before that."""
    engine.interrupt_at(boundary)
    stop = engine.resume(state)
    engine.interrupt_at(0)
    return stop


def expected(state: State, **changes: int) -> State:
    """What comes out at a gate when nothing but ``changes`` happened: pc is not known there."""
    return dataclasses.replace(state, pc=0, **changes)  # type: ignore[arg-type]


# State


def test_a_block_holds_what_was_packed() -> None:
    state = some_state()
    packed = state.pack()
    assert len(packed) == BLOCK_BYTES
    assert State.unpack(packed) == (state, 0)
    copied = state.copy()
    copied.gpr[3] ^= 1
    copied.fpr[3] ^= 1
    assert State.unpack(packed)[0] == state


@pytest.mark.parametrize("seed", range(5))
def test_every_register_goes_in_and_comes_out(seed: int) -> None:
    state = some_state(seed)
    stop = machine("nop").resume(state)
    assert (stop.kind, stop.gate) == ("gate", GATE)
    assert stop.state == expected(state)


@pytest.mark.parametrize("seed", range(3))
def test_a_number_in_each_register_arrives_in_that_register(seed: int) -> None:
    """The round trip alone would not see two registers swapped on both ways: let the guest move a few."""
    state = some_state(seed)
    stop = machine(
        "mr 7, 3; mflr 8; mfctr 9; mfcr 10; mfmsr 11; fmr 5, 6; vor 8, 9, 9; vor 30, 31, 31; "
        "mtlr 12; mtctr 14; mr 0, 31"
    ).resume(state)
    now = stop.state
    assert (now.gpr[7], now.gpr[8], now.gpr[9], now.gpr[10]) == (state.gpr[3], state.lr, state.ctr, state.cr)
    assert now.gpr[11] == state.msr
    assert now.fpr[5] == state.fpr[6]
    assert (now.vector(8), now.vector(30)) == (state.vector(9), state.vector(31))
    assert (now.lr, now.ctr, now.gpr[0]) == (state.gpr[12], state.gpr[14], state.gpr[31])


@pytest.mark.parametrize("xer", [0, 0x80000000, 0x40000000, 0x20000000, 0xE0000000, 0x7F, 0xE000007F])
def test_xer_goes_in_and_comes_out(xer: int) -> None:
    state = dataclasses.replace(some_state(), xer=xer)
    stop = machine("mfxer 5").resume(state)
    assert (stop.state.xer, stop.state.gpr[5]) == (xer, xer)


def test_xer_that_the_guest_sets_comes_out() -> None:
    """SO, OV and CA, with their 32-bit copies of ISA 3.0; Unicorn's own reg_read does not see them."""
    state = some_state()
    state.gpr[3], state.gpr[5] = (1 << 64) - 1, 1 << 63
    stop = machine("addic 6, 3, 1; .long 0x7ce52e14").resume(state)  # addo 7,5,5
    assert stop.state.xer & 0xE0000000 == 0xE0000000
    assert stop.state.gpr[6:8] == [0, 0]


@pytest.mark.parametrize("field", range(8))
def test_each_field_of_cr_is_where_it_belongs(field: int) -> None:
    state = dataclasses.replace(some_state(), cr=0)
    stop = machine(f"cmpd {field}, 3, 3").resume(state)
    assert stop.state.cr == 0x2 << 4 * (7 - field)


@pytest.mark.parametrize("on", [False, True])
def test_msr_goes_in_and_comes_out(on: bool) -> None:
    state = dataclasses.replace(some_state(), msr=MONITOR_MSR if on else MONITOR_MSR & ~MSR_EE)
    stop = machine("mfmsr 5").resume(state)
    assert (stop.state.msr, stop.state.gpr[5]) == (state.msr, state.msr)


# Memory


def test_memory_is_little_endian_and_starts_as_zeros() -> None:
    engine = machine("std 3, 8(1); lwz 5, 8(1); lbz 6, 15(1)")
    assert engine.read(DATA, PAGE) == bytes(PAGE)
    state = some_state()
    state.gpr[3] = 0x1122334455667788
    now = engine.resume(state).state
    assert engine.read(DATA + 8, 8) == bytes.fromhex("8877665544332211")
    assert (now.gpr[5], now.gpr[6]) == (0x55667788, 0x11)
    assert engine.read_u64(DATA + 8) == 0x1122334455667788
    engine.write_u64(DATA + 8, 0xFEDCBA9876543210)
    assert engine.read_u64(DATA + 8) == 0xFEDCBA9876543210


def test_python_writes_where_the_guest_may_not() -> None:
    engine = machine("ld 5, 0(2)")
    engine.write_u64(READ_ONLY, 42)
    assert engine.resume(some_state()).state.gpr[5] == 42


def test_write_code_takes_effect_after_the_old_code_ran() -> None:
    engine = machine("li 3, 1; b .+4; li 5, 2")
    assert engine.resume(some_state()).state.gpr[3] == 1
    for value in (2, 3):
        engine.write_code(CODE, code(f"li 3, {value}"))
        assert engine.resume(some_state()).state.gpr[3] == value
    # In the last block as well, and for more than one instruction.
    engine.write_code(CODE + 4, code("li 6, 66; li 5, 55"))
    now = engine.resume(some_state()).state
    assert (now.gpr[3], now.gpr[5], now.gpr[6]) == (3, 55, 66)


def test_write_code_takes_effect_under_watch() -> None:
    engine = machine("bl .+8; nop; nop", watch=True)
    assert engine.resume(some_state()).state.lr == CODE + 4
    engine.write_code(CODE, code("li 3, 9"))
    steps: list[Step] = []
    engine.trace(steps)
    assert engine.resume(some_state()).state.gpr[3] == 9
    assert [step.pc for step in steps] == [CODE, CODE + 4, CODE + 8]


# Gates


@pytest.mark.parametrize("number", [0, 1, 255, 0x7FFF])
def test_a_gate_gives_its_number(number: int) -> None:
    engine = machine("nop")
    at = CODE + 0x100
    engine.write(at, engine.gate(at, number, GATES))
    state = dataclasses.replace(some_state(), pc=at)
    stop = engine.resume(state)
    assert (stop.kind, stop.gate) == ("gate", number)
    assert stop.state == expected(state)


def test_a_gate_far_away_has_an_entry_of_its_own() -> None:
    """Modules are 2^60 bytes from kernel text: no branch reaches the entry there."""
    engine = machine("mtctr 3; bctr")
    engine.map(MODULE, PAGE)
    engine.add_monitor_entry(MODULE)
    at = MODULE + 0x8000
    engine.write(at, engine.gate(at, 3, MODULE))
    state = some_state()
    state.gpr[3] = at
    stop = engine.resume(state)
    assert (stop.kind, stop.gate) == ("gate", 3)
    assert stop.state == expected(state, ctr=at)
    with pytest.raises(ValueError, match="does not reach"):
        engine.gate(at, 3, GATES)


@pytest.mark.parametrize(
    ("at", "to", "word"),
    [
        (CODE, CODE, 0x48000000),
        (CODE, CODE + 8, 0x48000008),
        (CODE, CODE - 4, 0x4BFFFFFC),
        (CODE, CODE + (1 << 25) - 4, 0x49FFFFFC),
        (CODE, CODE - (1 << 25), 0x4A000000),
    ],
)
def test_branch_words(at: int, to: int, word: int) -> None:
    assert branch(at, to) == word
    assert branch(at, to, link=True) == word | 1
    assert words(word) == word.to_bytes(4, "little")


@pytest.mark.parametrize("to", [CODE + (1 << 25), CODE - (1 << 25) - 4, CODE + 2])
def test_a_branch_that_does_not_reach_is_refused(to: int) -> None:
    with pytest.raises(ValueError, match="does not reach"):
        branch(CODE, to)


def test_many_runs_on_one_engine_do_not_disturb_each_other() -> None:
    engine = machine("addi 3, 3, 1; trap; nop")
    good = machine("addi 3, 3, 1")
    for seed in range(3):
        state = some_state(seed)
        assert engine.resume(state).kind == "trap"
        # The run goes on behind the trap when it is asked to, with all that it had.
        after = engine.resume(dataclasses.replace(state, pc=CODE + 8))
        assert (after.kind, after.state) == ("gate", expected(state))
        assert good.resume(state).state.gpr[3] == (state.gpr[3] + 1) % (1 << 64)


# Boundaries

LOOP = "li 5, 4; mtctr 5; addi 3, 3, 7; std 3, 0(1); addic 6, 3, -1; vor 3, 4, 5; fmr 1, 2; bdnz .-20; mtlr 3"


@pytest.mark.parametrize("watch", [False, True])
def test_watching_changes_nothing(watch: bool) -> None:
    assert machine(LOOP, watch=watch).resume(some_state()) == machine(LOOP).resume(some_state())


def test_stopped_at_any_boundary_and_continued_it_ends_the_same() -> None:
    whole = machine(LOOP).resume(some_state())
    engine = machine(LOOP, watch=True)
    seen = []
    for n in range(1, 100):
        stop = resume_until(engine, some_state(), n)
        if stop.kind == "gate":
            assert stop == whole
            break
        assert stop.kind == "boundary"
        assert stop.state.pc == stop.pc
        seen.append(stop.pc - CODE)
        assert engine.resume(stop.state) == whole
    assert seen == [0, 4, *(list(range(8, 32, 4)) * 4), 32]


def test_a_boundary_is_before_its_instruction() -> None:
    engine = machine("addi 3, 3, 1; addi 3, 3, 1; mfxer 5; addi 3, 3, 1", watch=True)
    state = dataclasses.replace(some_state(), xer=0xE0000000)
    for n in range(1, 4):
        stop = resume_until(engine, state, n)
        added = stop.state.gpr[3] - state.gpr[3]
        assert (stop.pc, added) == (CODE + 4 * (n - 1), min(n - 1, 2))
        gpr = [*state.gpr[:3], stop.state.gpr[3], *state.gpr[4:]]
        assert stop.state == dataclasses.replace(state, pc=stop.pc, gpr=gpr)


def test_from_boundary_to_boundary() -> None:
    """Single steps through the whole loop: each run begins at the instruction that the last stopped before."""
    whole = machine(LOOP).resume(some_state())
    engine = machine(LOOP, watch=True)
    stop, count = resume_until(engine, some_state(), 1), 0
    while stop.kind == "boundary":
        stop = resume_until(engine, stop.state, 2)
        count += 1
    assert stop == whole
    assert count == 2 + 4 * 6 + 1


def test_the_countdown_goes_on_over_gates_until_it_is_called_off() -> None:
    engine = machine("nop; nop", watch=True)
    engine.interrupt_at(4)
    stops = [engine.resume(some_state()) for _ in range(4)]
    assert [stop.kind for stop in stops] == ["gate", "boundary", "gate", "gate"]
    assert stops[1].pc == CODE + 4
    engine.interrupt_at(3)
    assert engine.resume(some_state()).kind == "gate"
    engine.interrupt_at(0)
    assert [engine.resume(some_state()).kind for _ in range(3)] == ["gate"] * 3


def test_a_boundary_leaves_no_step_of_the_instruction_it_is_before() -> None:
    engine = machine("std 3, 0(1); std 3, 8(1)", watch=True)
    steps: list[Step] = []
    engine.trace(steps)
    stop = resume_until(engine, some_state(), 2)
    assert [(step.kind, step.pc) for step in steps] == [("insn", CODE), ("store", CODE)]
    engine.resume(stop.state)
    assert [(step.kind, step.pc) for step in steps[2:]] == [("insn", CODE + 4), ("store", CODE + 4)]


def test_only_watched_instructions_count() -> None:
    engine = machine("nop; nop; nop; nop")
    engine.watch([(CODE + 4, CODE + 8), (CODE + 12, CODE + 16)])
    stops = [resume_until(engine, some_state(), n) for n in (1, 2, 3)]
    assert [(stop.kind, stop.pc) for stop in stops] == [("boundary", CODE + 4), ("boundary", CODE + 12), ("gate", 0)]


# Steps


def test_the_trace_has_each_instruction_and_access() -> None:
    engine = machine("std 3, 8(1); lwz 5, 8(1); stb 3, 1(1); b .+8; nop; stdu 1, -32(1); lhz 6, 42(1)", watch=True)
    steps: list[Step] = []
    engine.trace(steps)
    state = some_state()
    state.gpr[1] = DATA + 0x100
    engine.resume(state)
    value = state.gpr[3]
    at, data = CODE, DATA + 0x100
    assert [(s.kind, s.pc, s.address, s.size, s.value) for s in steps] == [
        ("insn", at, 0, 0, 0),
        ("store", at, data + 8, 8, value),
        ("insn", at + 4, 0, 0, 0),
        ("load", at + 4, data + 8, 4, 0),
        ("insn", at + 8, 0, 0, 0),
        ("store", at + 8, data + 1, 1, value & 0xFF),
        ("insn", at + 12, 0, 0, 0),
        ("insn", at + 20, 0, 0, 0),
        ("store", at + 20, data - 32, 8, data),
        ("insn", at + 24, 0, 0, 0),
        ("load", at + 24, data - 32 + 42, 2, 0),
    ]


def test_a_step_has_the_registers_before_it() -> None:
    engine = machine("li 3, 1; mtlr 3; li 3, 2; mtctr 3; cmpd 3, 3; nop", watch=True)
    steps: list[Step] = []
    engine.trace(steps)
    state = dataclasses.replace(some_state(), cr=0)
    engine.resume(state)
    assert [step.gpr[3] for step in steps] == [state.gpr[3], 1, 1, 2, 2, 2]
    assert [step.lr for step in steps] == [state.lr, state.lr, 1, 1, 1, 1]
    assert [step.ctr for step in steps] == [state.ctr] * 4 + [2, 2]
    assert [step.cr for step in steps] == [0] * 5 + [0x20000000]
    assert all(step.gpr[:3] == tuple(state.gpr[:3]) for step in steps)


def test_the_monitor_and_unwatched_code_leave_no_step() -> None:
    engine = machine("std 3, 0(1); nop; std 3, 8(1)")
    engine.watch([(CODE + 4, CODE + 8)])
    steps: list[Step] = []
    engine.trace(steps)
    engine.resume(some_state())
    assert [(step.kind, step.pc) for step in steps] == [("insn", CODE + 4)]


def test_a_trace_ends_when_told() -> None:
    engine = machine("nop", watch=True)
    steps: list[Step] = []
    engine.trace(steps)
    engine.resume(some_state())
    engine.trace(None)
    engine.resume(some_state())
    assert len(steps) == 1


# Other ends


@pytest.mark.parametrize("watch", [False, True])
@pytest.mark.parametrize(
    ("text", "kind", "offset", "what", "address"),
    [
        ("nop; trap; li 3, 9", "trap", 4, "", 0),
        ("nop; tdne 3, 5; li 3, 9", "trap", 4, "", 0),
        ("nop; twi 31, 0, 0; li 3, 9", "trap", 4, "", 0),
        ("nop; sc; li 3, 9", "fault", 4, "system call", 0),
        ("nop; .long 0; li 3, 9", "fault", 4, "illegal instruction", 0),
        ("nop; nop; std 3, 8(4); li 3, 9", "fault", 8, "store to unmapped", UNMAPPED + 8),
        ("nop; nop; lbz 5, 1(4); li 3, 9", "fault", 8, "load from unmapped", UNMAPPED + 1),
        ("nop; stdu 3, 16(2); li 3, 9", "fault", 4, "store to read-only", READ_ONLY + 16),
    ],
)
def test_what_ends_a_run_is_said_with_its_place(
    text: str, kind: str, offset: int, what: str, address: int, watch: bool
) -> None:
    state = some_state()
    stop = machine(text, watch=watch).resume(state)
    assert (stop.kind, stop.pc, stop.what, stop.address) == (kind, CODE + offset, what, address)
    # Nothing behind it ran, and an update form did not update.
    assert stop.state.gpr == state.gpr
    assert (stop.state.pc, stop.state.lr, stop.state.ctr, stop.state.cr) == (stop.pc, state.lr, state.ctr, state.cr)


def test_a_trap_that_does_not_trap_goes_on() -> None:
    stop = machine("tdne 3, 3; tdeq 3, 5; li 3, 9").resume(some_state())
    assert (stop.kind, stop.state.gpr[3]) == ("gate", 9)


def test_read_only_memory_is_unchanged_by_a_store() -> None:
    engine = machine("std 3, 0(2)")
    engine.write(READ_ONLY, b"original")
    assert engine.resume(some_state()).kind == "fault"
    assert engine.read(READ_ONLY, 8) == b"original"


@pytest.mark.parametrize("watch", [False, True])
def test_a_branch_into_nothing_is_a_fault_there(watch: bool) -> None:
    stop = machine("mtctr 4; bctr", watch=watch).resume(some_state())
    assert (stop.kind, stop.pc, stop.what, stop.address) == ("fault", UNMAPPED, "fetch from unmapped", UNMAPPED)


@pytest.mark.parametrize(("bit", "text"), [(MSR_FP, "lfd 1, 0(1)"), (MSR_VEC, "vor 1, 2, 3")])
def test_a_facility_that_is_off_is_a_fault(bit: int, text: str) -> None:
    """The monitor itself needs both, so the guest turns it off."""
    state = some_state()
    state.gpr[5] = MONITOR_MSR & ~bit
    stop = machine(f"mtmsrd 5; isync; {text}; li 3, 9").resume(state)
    assert (stop.kind, stop.pc) == ("fault", CODE + 8)
    assert stop.what.endswith(" unavailable")


@pytest.mark.parametrize("watch", [False, True])
@pytest.mark.parametrize("text", ["b .", "addi 3, 3, 1; b .-4", "bl .+4; mflr 5; bl .-8", "cmpd 3, 3; beq .-4"])
def test_what_does_not_end_is_stopped(text: str, watch: bool) -> None:
    stop = machine(text, watch=watch).resume(some_state())
    assert stop.kind == "runaway"
    assert CODE <= stop.pc < CODE + 16


def test_a_long_way_that_ends_is_not_stopped() -> None:
    stop = machine(f"li 5, {MAX_BLOCKS - 100}; mtctr 5; addi 3, 3, 1; bdnz .-4").resume(some_state())
    assert (stop.kind, stop.state.gpr[3] - some_state().gpr[3]) == ("gate", MAX_BLOCKS - 100)


def test_after_any_end_the_engine_runs_again() -> None:
    for text in ("trap", "sc", "std 3, 0(4)", "std 3, 0(2)", "b .", "mtctr 4; bctr"):
        engine = machine(f"{text}; nop")
        assert engine.resume(some_state()).kind != "gate"
        at = CODE + 0x200
        engine.write(at, code("li 3, 5") + engine.gate(at + 4, GATE, GATES))
        stop = engine.resume(dataclasses.replace(some_state(), pc=at))
        assert (stop.kind, stop.state.gpr[3]) == ("gate", 5)


def test_32_bit_mode_is_not_what_runs() -> None:
    assert MONITOR_MSR & MSR_SF
    stop = machine("rldicr 5, 3, 32, 31; addi 5, 5, -1").resume(some_state())
    assert stop.state.gpr[5] == ((some_state().gpr[3] << 32) - 1) % (1 << 64)
