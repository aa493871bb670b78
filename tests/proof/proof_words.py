"""Words to execute, the values to execute them on, and registers and memory that hold numbers."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from lpgen.assembly import isa
from lpgen.assembly.kernel_text import assemble_source
from lpgen.kernel.generations import Kernel, every_config, kernel, spans, versions_of
from lpgen.proof import accesses
from lpgen.proof.reading import evaluate, variables
from lpgen.proof.semantics import NotModelledError, Outcome, execute
from lpgen.proof.state import XER_BITS, Registers
from lpgen.proof.term import Term, const
from lpgen.source.emit import emit_source

ALL = (1 << 64) - 1
CORNERS = tuple(n & ALL for n in (0, 1, -1, 1 << 31, (1 << 31) - 1, 1 << 63, (1 << 63) - 1, -(1 << 31)))
SAMPLES = Path(__file__).parent.parent / "assembly" / "data" / "words.txt"

# Memory that exists, as (start, end): around a base register, and around 0 for addresses without one.
DATA = 0xC000000000200000
REGIONS = ((0, 0x9000), (DATA, DATA + 0x20000), (ALL + 1 - 0x8000, ALL + 1))
MEMORY_31 = frozenset(accesses.EXTENDED) - {246, 278}

# Rows of the instruction table that are not modelled, and why that is no loss: entry code has no use for them.
UNMODELLED = {
    "reservations": ["lbarx", "lharx", "lwarx", "ldarx", "stbcx.", "sthcx.", "stwcx.", "stdcx."],
    "quotients": [f"div{kind}{dot}" for kind in ("w", "wu", "d", "du", "we", "weu", "de", "deu") for dot in ("", ".")],
    "CR0 is undefined after it": ["mulhw.", "mulhwu."],
    "a bit chosen by each byte": ["bpermd"],
    "it clears a block of a size that is the machine's": ["dcbz"],
    "translation, other modes": [
        *("rfid", "hrfid", "nap", "tlbsync"),
        *("slbie", "slbia", "slbmte", "slbmfee", "slbmfev"),
    ],
}

# Modelled, but in no row: opcodes to or into a row's word.
OVERFLOW = 0x400
OVERFLOWS = [
    mnemonic + dot
    for mnemonic in ("add", "addc", "adde", "addme", "addze", "subf", "subfc", "subfe", "subfme", "subfze", "neg")
    for dot in ("", ".")
] + ["mullw", "mullw.", "mulld", "mulld."]
# Words of their own: setb, mftb, a branch whose ignored BO bits are set, traps on anything, sync in each L.
MORE = {
    "setb": [31 << 26 | rt << 21 | bfa << 18 | 128 << 1 for rt, bfa in ((3, 0), (31, 7), (0, 2))],
    "mftb": [31 << 26 | 3 << 21 | 12 << 16 | 8 << 11 | 371 << 1, 31 << 26 | 4 << 21 | 13 << 16 | 8 << 11 | 371 << 1],
    "bc": [16 << 26 | bo << 21 | 6 << 16 | 0x4000 for bo in (1, 3, 9, 11, 21, 22, 23, 28, 29, 30, 31)],
    "bclr": [19 << 26 | bo << 21 | 2 << 16 | 16 << 1 for bo in (1, 3, 9, 11, 21, 22, 23, 28, 29, 30, 31)],
    "td": [31 << 26 | to << 21 | 4 << 16 | 5 << 11 | 68 << 1 for to in range(32)],
    "sync": [31 << 26 | level << 21 | 598 << 1 for level in (0, 1, 2)],
    "mfspr": [31 << 26 | 3 << 21 | spr << 16 | 339 << 1 for spr in (1, 8, 9)],
    "mtspr": [31 << 26 | 3 << 21 | spr << 16 | 467 << 1 for spr in (1, 8, 9, 3)],
    "illegal": [0],
}


@dataclass(frozen=True)
class Case:
    """One word; ``name`` says what it is and where it is from."""

    name: str
    word: int


def _operand(name: str, rng: random.Random) -> isa.Value:
    kind = isa.KINDS[name]
    if kind.cls == "mem":
        return rng.choice((0, kind.low, kind.high // kind.step * kind.step, 8 * kind.step)), rng.randrange(1, 32)
    if kind.cls == "target":
        return 0
    if name == "fxm1":
        return 1 << rng.randrange(8)
    if name == "bo":
        return rng.choice(sorted(isa.VALID_BO))
    if name == "spr":
        return rng.choice((1, 8, 9, *SPRS))
    if rng.random() < 0.2:
        return rng.choice((kind.low, kind.high))
    return rng.randrange(kind.low, kind.high + 1)


SPRS = (3, 19, 26, 256, 259, 268, 272, 275, 287)
# Distances of branches: the largest ones, none of them into what the emulator's own code is in.
_NEAR, _FAR = (0x7FFC, -0x8000, 0x4000, -0x4004), (0x1FFFFFC, -0x2000000, 0x1234560, -0x1765434)


def _words(form: isa.Form, rng: random.Random) -> Iterator[int]:
    """Yield words that a form encodes: random ones, with r0 as base, with one register for all."""
    for attempt in itertools.count():
        values = {name: _operand(name, rng) for name in form.operands}
        if attempt % 3 == 1:
            number = rng.randrange(1, 32)
            values |= dict.fromkeys(values.keys() & {"rt", "rs", "ra", "rb"}, number)
        if attempt % 3 == 2:
            for name, value in values.items():
                if isinstance(value, tuple):
                    values[name] = value[0], 0
                elif name == "ra0":
                    values[name] = 0
        try:
            word = form.encode(values)
        except isa.OperandError:
            continue
        if set(form.operands) & {"bd", "bda"}:
            word |= rng.choice(_NEAR) & 0xFFFC
        elif set(form.operands) & {"li", "lia"}:
            word |= rng.choice(_FAR) & 0x3FFFFFC
        yield word


def rows() -> Iterator[isa.Form]:
    """Yield the rows of the instruction table that are no aliases."""
    for mnemonic in isa.mnemonics():
        for form in isa.forms(mnemonic):
            if form.base is None:
                yield form


@cache
def table(count: int = 3) -> tuple[Case, ...]:
    """Return ``count`` words for each row of the table, and for each form that has no row."""
    found = []
    for form in rows():
        name = f"{form.mnemonic} {','.join(form.operands)}"
        words = [0] * count
        for n, word in zip(range(count), _words(form, random.Random(name)), strict=False):
            words[n] = word
        found += [Case(name, word) for word in dict.fromkeys(words)]
        if form.mnemonic in OVERFLOWS:
            found += [Case(f"{name} with OE", word | OVERFLOW) for word in dict.fromkeys(words)]
    return (*found, *(Case(name, word) for name, words in MORE.items() for word in words))


def samples() -> Iterator[Case]:
    """Yield the statements and words of tests/assembly/data, which GNU as wrote."""
    for line in SAMPLES.read_text().splitlines():
        if line and not line.startswith("#"):
            text, word = line.rsplit(None, 1)
            yield Case(text, elsewhere(int(word, 16)))


def _kernels() -> Iterator[Kernel]:
    """Yield every kernel at which the facts change, and of each generation those with one option changed besides."""
    seen = set()
    for generation, *_ in spans():
        for version in versions_of(generation):
            yield (default := kernel(version))
            if generation in seen:
                continue
            seen.add(generation)
            for config in every_config(version):
                if sum(config[name] != on for name, on in default.options.items()) == 1:
                    yield kernel(version, config=config)


def elsewhere(word: int) -> int:
    """Return a branch whose target a relocation is to give as one to a place that the tests leave free."""
    if word >> 26 == 18:
        return word & ~0x3FFFFFC | 0x1234560
    return word & ~0xFFFC | 0x4000 if word >> 26 == 16 else word


@cache
def emitted() -> tuple[Case, ...]:
    """Return each word in what is emitted for any kernel."""
    words: dict[int, str] = {}
    for facts in _kernels():
        unit = assemble_source(facts, emit_source(facts), name="emitted.S", isolated=False)
        for section in unit.sections.values():
            if "x" in section.flags:
                for line in section.lines:
                    word = int.from_bytes(section.data[line.offset : line.offset + 4], "little")
                    words.setdefault(elsewhere(word), f"{facts.version}+{line.offset:#x}")
    return tuple(Case(name, word) for word, name in words.items())


def modelled(word: int) -> bool:
    try:
        execute(word, DATA, numbers(random.Random(0)).registers(), Bytes())
    except NotModelledError:
        return False
    return True


@dataclass
class Numbers:
    """All registers as numbers."""

    gpr: list[int]
    lr: int
    ctr: int
    xer: int
    cr: int
    msr: int

    def registers(self) -> Registers:
        """Return them as constant terms."""
        zero = const(64, 0)
        made = Registers([const(64, n) for n in self.gpr], zero, zero, const(64, self.msr), [], {}, zero)
        made.lr, made.ctr = const(64, self.lr), const(64, self.ctr)
        made.cr = [const(1, self.cr >> 31 - bit) for bit in range(32)]
        made.xer = {name: const(1, self.xer >> bit) for name, bit in XER_BITS.items()}
        made.xer_rest = const(64, self.xer & ~sum(1 << bit for bit in XER_BITS.values()))
        return made

    def copy(self) -> Numbers:
        return Numbers(self.gpr.copy(), self.lr, self.ctr, self.xer, self.cr, self.msr)


def known(term: Term) -> tuple[int, int]:
    """Return which bits of a term are no undefined ones, and the number that it is with those 0."""
    if term.value is not None:
        return (1 << term.width) - 1, term.value
    low = evaluate(term, {})
    high = evaluate(term, {str(one.args[0]): ALL for one in variables(term)})
    return ~(low ^ high) & ((1 << term.width) - 1), low


@dataclass
class Bytes:
    """Memory whose addresses are numbers, on top of what ``read`` gives; ``writes`` are the stores, in order."""

    content: dict[int, int] = field(default_factory=dict)
    writes: list[tuple[int, bytes]] = field(default_factory=list)
    reads: list[tuple[int, int]] = field(default_factory=list)

    @staticmethod
    def byte(address: int) -> int:
        """Return a byte as it was at first: any function of its address will do."""
        return (address * 0x9E3779B97F4A7C15 >> 40) & 255

    def load(self, address: Term, size: int) -> Term:
        assert address.value is not None
        self.reads.append((address.value, size))
        places = [(address.value + n) & ALL for n in range(size)]
        return const(8 * size, int.from_bytes([self.content.get(p, self.byte(p)) for p in places], "little"))

    def store(self, address: Term, size: int, value: Term) -> None:
        assert address.value is not None
        assert value.value is not None
        assert value.width == 8 * size
        data = value.value.to_bytes(size, "little")
        self.writes.append((address.value, data))
        self.content |= {(address.value + n) & ALL: byte for n, byte in enumerate(data)}


def numbers(rng: random.Random) -> Numbers:
    """Return registers of random, small and corner values."""
    wide, small = [rng.getrandbits(64) for _ in range(8)], [rng.getrandbits(7) for _ in range(4)]
    gpr = rng.choices((*CORNERS, *wide, *small, *(rng.getrandbits(32) for _ in range(4))), k=32)
    xer = sum(rng.getrandbits(1) << bit for bit in XER_BITS.values()) | rng.choice((0, 0x55))
    ctr = rng.choice((0, 1, 2, ALL, 1 << 32, rng.getrandbits(64)))
    return Numbers(gpr, rng.getrandbits(64), ctr, xer, rng.getrandbits(32), 0)


def unknown(word: int) -> str:
    """Return what the variables in the result of a word may be called: undefined bits, SPRs that are not known."""
    extended = word >> 1 & 0x3FF if word >> 26 == 31 else 0
    spr = word >> 16 & 31 | (word >> 11 & 31) << 5
    # Book I, 3.3.17 (mfocrf) and 3.3.9 (mulhwu, mulhw).
    return {19: "mfocrf", 11: "mulhw", 75: "mulhw", 339: f"spr{spr}", 371: f"spr{spr}"}.get(extended, "")


def opcode(word: int) -> tuple[int, int]:
    """Return what says which instruction a word is: the primary opcode, the extended one without OE and the like."""
    primary, extended = word >> 26, word >> 1 & 0x3FF
    if primary == 30:
        kind = word >> 2 & 7
        return primary, kind if kind < 4 else word >> 1 & 15
    if primary in (58, 62):
        return primary, word & 3
    if primary == 31:
        if extended & 31 == 15:
            return primary, 15
        if extended >> 1 == 413:
            return primary, 826
        # Sums and products have OE in their highest bit.
        return primary, extended & ~512 if extended & 31 in (8, 10, 9, 11) and extended & 511 in SUMS else extended
    return primary, extended if primary == 19 else 0


SUMS = frozenset((8, 10, 40, 104, 136, 138, 200, 202, 232, 234, 266, 233, 235))


def is_branch(word: int) -> bool:
    return word >> 26 in (16, 18) or (word >> 26 == 19 and word >> 1 & 0x3FF in (16, 528))


def accesses_memory(word: int) -> bool:
    opcode = word >> 26
    return opcode in accesses.PRIMARY or (opcode == 31 and word >> 1 & 0x3FF in MEMORY_31)


def _aim(word: int, state: Numbers, rng: random.Random) -> None:
    """Set the base registers of a load or store so that its address exists."""
    ra, rb = word >> 16 & 31, word >> 11 & 31
    where = DATA + 0x10000 + rng.randrange(-64, 64)
    if word >> 26 != 31:
        state.gpr[ra] = where if ra else state.gpr[ra]
    elif not ra:
        state.gpr[rb] = where
    elif ra == rb:
        state.gpr[ra] = (where & ~1) // 2
    else:
        state.gpr[ra] = (where - state.gpr[rb]) & ALL


def inputs(word: int, count: int, *, every_pair: bool = False) -> Iterator[Numbers]:
    """Yield registers to execute a word on: if asked for each pair of corner values as operands, ``count`` others."""
    rng = random.Random(word)
    base = numbers(rng)
    sides = [word >> shift & 31 for shift in (21, 16, 11)]
    pairs = len(CORNERS) ** 2 if every_pair else 0
    for n in range(pairs + count):
        state = base.copy() if n < pairs else numbers(rng)
        if n < pairs:
            x, y = divmod(n, len(CORNERS))
            # RS with RB, and RA with RB, each take every pair.
            for register, number in zip(sides, (x, x + 3 * y, y), strict=True):
                state.gpr[register] = CORNERS[number % len(CORNERS)]
        if accesses_memory(word):
            _aim(word, state, rng)
        if word >> 26 == 19 and word >> 1 & 0x3FF == 528:
            state.ctr = rng.getrandbits(64)
        yield state


def run(word: int, address: int, state: Numbers, memory: Bytes) -> tuple[Registers, Outcome]:
    """Execute a word on numbers."""
    registers = state.registers()
    return registers, execute(word, address, registers, memory)


def decided(term: Term | None) -> bool:
    """Return what a condition is, on numbers."""
    if term is None:
        return False
    assert term.value is not None
    return bool(term.value)
