"""The instruction table against GNU as: every mnemonic, by example and at random."""

from __future__ import annotations

import random
import subprocess
from pathlib import Path

import assembly_gnu as gnu
import assembly_samples as samples
import pytest

from lpgen.assembly import assemble, isa

WORDS = Path(__file__).parent / "data" / "words.txt"
# GNU as knows these from -mpower9 on.
POWER9 = ("addpcis", "lnia", "lxv", "stxv")


def examples() -> list[tuple[str, int]]:
    rows = [line.rsplit(None, 1) for line in WORDS.read_text().splitlines() if line and not line.startswith("#")]
    return [(statement.strip(), int(word, 16)) for statement, word in rows]


def words_of(data: bytes) -> list[int]:
    return [int.from_bytes(data[at : at + 4], "little") for at in range(0, len(data), 4)]


def ours(statements: list[str]) -> list[int]:
    return words_of(assemble("\n".join(statements) + "\n", name="words").sections[".text"].data)


def theirs(statements: list[str], folder: Path) -> list[int]:
    """GNU as's words; each CPU's statements go in one batch."""
    newer = [statement.split()[0] in POWER9 for statement in statements]
    batches = {}
    for flag, option in ((True, "-mpower9"), (False, "-mpower8")):
        chosen = [s for s, is_newer in zip(statements, newer, strict=True) if is_newer == flag]
        text = "\n".join(chosen) + "\n"
        data = gnu.read(gnu.gas(text, folder, option)).sections[".text"] if chosen else b""
        batches[flag] = iter(words_of(data))
    return [next(batches[flag]) for flag in newer]


def test_the_examples_cover_every_form() -> None:
    seen = {(statement.split()[0], statement.count(",") + (" " in statement)) for statement, _ in examples()}
    wanted = {(name, len(form.operands)) for name in isa.mnemonics() for form in isa.forms(name)}
    assert wanted - seen == set()
    assert len(isa.mnemonics()) > 150


def test_every_example_has_its_word() -> None:
    statements = [statement for statement, _ in examples()]
    wrong = [
        f"{statement}: {word:08x}, not {expected:08x}"
        for (statement, expected), word in zip(examples(), ours(statements), strict=True)
        if word != expected
    ]
    assert wrong == []


@gnu.needs_gnu
def test_gnu_as_agrees_with_every_example(tmp_path: Path) -> None:
    words = theirs([statement for statement, _ in examples()], tmp_path)
    wrong = [s for (s, expected), word in zip(examples(), words, strict=True) if word != expected]
    assert wrong == []


@gnu.needs_gnu
@pytest.mark.parametrize("seed", [1, 2])
def test_random_statements_assemble_as_gnu_as_does(seed: int, tmp_path: Path) -> None:
    rng = random.Random(seed)
    forms = [form for name in isa.mnemonics() for form in isa.forms(name)]
    statements = [samples.statement(rng.choice(forms), rng)[0] for _ in range(2500)]
    wrong = [
        f"{statement}: {word:08x}, GNU as {expected:08x}"
        for statement, word, expected in zip(statements, ours(statements), theirs(statements, tmp_path), strict=True)
        if word != expected
    ]
    assert wrong == []


@gnu.needs_gnu
def test_what_the_table_refuses_gnu_as_refuses(tmp_path: Path) -> None:
    """Immediate ranges are those of GNU as, one step beyond either end (but for cmpldi's -1, which is no u16)."""
    accepted = []
    for name in (
        "addi",
        "addis",
        "li",
        "lis",
        "ori",
        "oris",
        "xoris",
        "andi.",
        "cmpldi",
        "cmpdi",
        "subi",
        "subis",
        "twi",
    ):
        form = isa.forms(name)[-1]
        slot = form.operands[-1]
        kind = isa.KINDS[slot]
        for value, inside in ((kind.low, True), (kind.high, True), (kind.low - 1, False), (kind.high + 1, False)):
            operands = ["3"] * (len(form.operands) - 1) + [str(value)]
            (tmp_path / "one.s").write_text(f"{name} {','.join(operands)}\n")
            done = subprocess.run(
                ["powerpc64le-linux-gnu-as", "-o", str(tmp_path / "o"), str(tmp_path / "one.s")],
                capture_output=True,
                check=False,
            )
            if (done.returncode == 0) != inside and (name, value) != ("cmpldi", -1):
                accepted.append(f"{name} {value}: the table says {inside}, GNU as {done.returncode == 0}")
    assert accepted == []
