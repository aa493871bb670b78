"""Every instruction form that is modelled, executed by Unicorn and as terms, on the same values.

What differs between the two is in DEVIATIONS, with the section of the Power ISA that decides.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

import proof_words as words_of
import pytest
from proof_words import ALL, Bytes, Case, Numbers

from lpgen.machine import scan
from lpgen.machine.engine import KERNEL_MSR, PAGE, Engine, words
from lpgen.machine.state import State
from lpgen.machine.stop import Stop
from lpgen.proof.reading import variables
from lpgen.proof.semantics import Outcome
from lpgen.proof.state import Registers

MONITOR = 0xC000000000000000
GATES = MONITOR + 0x100000
CODE = MONITOR + 0x300000
GATE = 7
CODE_BYTES, SLOT = 0x1000, 16
# Farther apart than a conditional branch goes.
SPACING = 0x20000


# What the emulator does otherwise: of which instruction, in which register, in which bits, and what the ISA says.
DEVIATIONS = {
    ("mtspr", "xer"): (
        0xFFFFFFFF << 32,
        "Unicorn drops what is written to XER's upper half. Those bits are reserved (book I, 3.2.2): a reserved bit "
        "reads as what was last written or as 0 (book I, 1.3.3): terms keep it.",
    ),
}
Source = Callable[[], Iterable[Case]]


class Machine:
    """An engine that runs one instruction at a time, each at a place of its own."""

    def __init__(self, regions: Iterable[tuple[int, int]]) -> None:
        self.engine = Engine(MONITOR)
        self.engine.map(GATES, PAGE)
        self.engine.add_monitor_entry(GATES)
        self._initial = {}
        for start, end in regions:
            self.engine.map(start, end - start)
            self._initial[start] = bytes(map(Bytes.byte, range(start, end)))
            self.engine.write(start, self._initial[start])
        self._places: dict[int, int] = {}
        self._free = self._slots()

    def _slots(self) -> Iterator[int]:
        for page in itertools.count():
            start = CODE + SPACING * page
            self.engine.map(start, CODE_BYTES)
            yield from range(start, start + CODE_BYTES - SLOT, SLOT)

    def place(self, word: int) -> int:
        """Return the address at which ``word`` is, with a gate behind it."""
        if word not in self._places:
            at = self._places[word] = next(self._free)
            self.engine.write(at, words(word) + self.engine.gate(at + 4, GATE, GATES))
        return self._places[word]

    def run(self, word: int, numbers: Numbers) -> Stop:
        at = self.place(word)
        return self.engine.resume(
            State(
                numbers.gpr.copy(),
                numbers.lr,
                numbers.ctr,
                numbers.xer,
                numbers.cr,
                at,
                numbers.msr,
                [0] * 32,
                bytes(512),
            )
        )

    def memory_differs(self, writes: list[tuple[int, bytes]]) -> str:
        """Return where memory is not what these writes make of it; then it is again as it was at first."""
        found = ""
        for start, initial in self._initial.items():
            expected = bytearray(initial)
            for address, data in writes:
                if start <= address < start + len(initial):
                    expected[address - start : address - start + len(data)] = data
            now = self.engine.read(start, len(initial))
            if now != expected:
                at = next(n for n in range(len(now)) if now[n] != expected[n])
                found = f"{now[at]:#x} at {start + at:#x}, as terms: {expected[at]:#x}"
            if now != initial:
                self.engine.write(start, initial)
        return found


def name_of(word: int) -> str:
    """Return the name that DEVIATIONS has a word under."""
    return "mtspr" if word >> 26 == 31 and word >> 1 & 0x3FF == 467 else ""


@pytest.fixture(scope="module")
def machine() -> Machine:
    return Machine(words_of.REGIONS)


@pytest.fixture(scope="module")
def empty_machine() -> Machine:
    """Without memory, so that a branch leads to a fault that names its target."""
    return Machine(())


def end_of(stop: Stop, at: int) -> str:
    """Return how an instruction at ``at`` ended."""
    if stop.kind == "gate":
        return "next"
    if stop.kind == "fault" and stop.what == "fetch from unmapped":
        return f"at {stop.address:#x}"
    assert stop.pc == at, stop
    return f"{stop.kind} {stop.what}".strip()


def expected_end(outcome: Outcome) -> str:
    if outcome.fault:
        return f"fault {outcome.fault}"
    if words_of.decided(outcome.trap):
        return "trap"
    if words_of.decided(outcome.branch):
        assert outcome.target is not None
        assert outcome.target.value is not None
        return f"at {outcome.target.value:#x}"
    return "next"


def differences(case: Case, stop: Stop, at: int, registers: Registers, outcome: Outcome) -> Iterator[tuple[str, str]]:
    """Yield what differs by name, with both values: of registers those bits that are not undefined."""
    if (ends := end_of(stop, at)) != (expected := expected_end(outcome)):
        yield "end", f"{ends}, as terms: {expected}"
    state = stop.state
    terms = {f"r{n}": (state.gpr[n], term) for n, term in enumerate(registers.gpr)}
    terms |= {"lr": (state.lr, registers.lr), "ctr": (state.ctr, registers.ctr)}
    terms |= {"cr": (state.cr, registers.cr_word()), "xer": (state.xer, registers.xer_word())}
    for name, (number, term) in terms.items():
        if term.value == number:
            continue
        assert {str(one.args[0]) for one in variables(term)} <= {f"{words_of.unknown(case.word)}@{at:#x}"}
        mask, value = words_of.known(term)
        if differ := (number ^ value) & mask:
            listed = DEVIATIONS.get((name_of(case.word), name), (0, ""))[0]
            part = name if differ & ~listed else f"{name} as listed"
            yield part, f"{number:#x}, as terms: {value:#x}" + (f" in {mask:#x}" if mask != ALL else "")


def compare(machine: Machine, cases: Iterable[Case], count: int, *, every_pair: bool = False) -> dict[str, str]:
    """Execute each case both ways. Return what differed, once for each name and part."""
    found: dict[str, str] = {}
    runs = 0
    for case in cases:
        for numbers in words_of.inputs(case.word, count, every_pair=every_pair):
            numbers.msr = KERNEL_MSR
            memory = Bytes()
            at = machine.place(case.word)
            registers, outcome = words_of.run(case.word, at, numbers, memory)
            if outcome.privileged:
                # It would change the machine that the test runs on; see test_what_is_privileged.
                break
            stop = machine.run(case.word, numbers)
            runs += 1
            for part, text in differences(case, stop, at, registers, outcome):
                found.setdefault(f"{case.name}: {part}", f"{case.word:#010x} on {numbers}: {text}")
            if words_of.accesses_memory(case.word) and (text := machine.memory_differs(memory.writes)):
                found.setdefault(f"{case.name}: memory", f"{case.word:#010x} on {numbers}: {text}")
            if outcome.fault:
                break
    assert runs
    return found


def check(found: dict[str, str]) -> None:
    wrong = {name: text for name, text in found.items() if not name.endswith("as listed")}
    assert not wrong, "\n".join(f"{name}: {text}" for name, text in wrong.items())


def modelled(cases: Iterable[Case], *, branches: bool) -> list[Case]:
    return [case for case in cases if words_of.is_branch(case.word) == branches and words_of.modelled(case.word)]


def test_each_row_is_modelled_or_listed() -> None:
    """What is not modelled is known by name, so that it cannot become more unseen."""
    listed = {mnemonic for names in words_of.UNMODELLED.values() for mnemonic in names}
    refused = {case.name.split()[0] for case in words_of.table() if not words_of.modelled(case.word)}
    partly = {case.name.split()[0] for case in words_of.table() if words_of.modelled(case.word)} & refused
    assert (refused, partly) == (listed, set())


def test_each_branch_is_as_the_emulator_has_it(empty_machine: Machine) -> None:
    check(compare(empty_machine, modelled(words_of.table(8), branches=True), 24))


def test_each_row_is_as_the_emulator_has_it(machine: Machine) -> None:
    check(compare(machine, modelled(words_of.table(), branches=False), 6))


def test_each_row_is_as_the_emulator_has_it_on_corner_values(machine: Machine) -> None:
    found = compare(machine, modelled(words_of.table(1), branches=False), 0, every_pair=True)
    check(found)
    seen = {name.removesuffix(" as listed") for name in found if name.endswith("as listed")}
    assert seen == {f"{name}: {part}" for name, part in DEVIATIONS}, "a deviation that is listed is none"


@pytest.mark.parametrize("source", [words_of.emitted, words_of.samples], ids=["emitted", "samples"])
def test_real_words_are_as_the_emulator_has_them(source: Source, machine: Machine, empty_machine: Machine) -> None:
    cases = list(source())
    check(compare(empty_machine, modelled(cases, branches=True), 3))
    check(compare(machine, modelled(cases, branches=False), 4))


def any_words() -> Iterator[Case]:
    """Yield words of random fields, every extended opcode among them: what a decoder takes that should be none."""
    rng = random.Random(5)
    for number in range(4096):
        opcode = 31 if number < 2048 else 19 if number < 3072 else rng.getrandbits(6)
        extended = number & 1023 if number < 3072 else rng.getrandbits(10)
        word = opcode << 26 | rng.getrandbits(15) << 11 | extended << 1 | rng.getrandbits(1)
        yield Case(f"word {number}", word)


def test_random_words_are_as_the_emulator_has_them(machine: Machine) -> None:
    cases = modelled(any_words(), branches=False)
    assert len(cases) > 500
    check(compare(machine, cases, 2))


def test_all_that_is_emitted_is_modelled() -> None:
    assert len(words_of.emitted()) > 250
    assert [case for case in words_of.emitted() if not words_of.modelled(case.word)] == []


def test_what_is_privileged() -> None:
    """The same words as lpgen/machine/scan.py finds, with the same text, and no other register changes."""
    found = set()
    for case in (*words_of.table(), *words_of.emitted(), *words_of.samples()):
        if not words_of.modelled(case.word):
            continue
        numbers = next(words_of.inputs(case.word, 1))
        registers, outcome = words_of.run(case.word, CODE, numbers, Bytes())
        assert outcome.privileged == scan.privileged(words(case.word), CODE).get(CODE, ""), case
        if outcome.privileged:
            assert replace(registers, msr=numbers.registers().msr) == numbers.registers()
            assert outcome == Outcome(privileged=outcome.privileged)
            found.add(outcome.privileged)
    assert {"MSR", "SPR 3"} <= found
