"""From a word back to its fields: the table read the other way gives what it was made of."""

from __future__ import annotations

from random import Random

import pytest

from lpgen.assembly.fields import fields
from lpgen.assembly.isa import KINDS, Form, OperandError, Value, forms, mnemonics

BASE = [form for mnemonic in mnemonics() for form in forms(mnemonic) if form.base is None]


def _value(name: str, rng: Random) -> Value:
    kind = KINDS[name]
    number = rng.randint(kind.low // kind.step, kind.high // kind.step) * kind.step
    if name == "fxm1":
        return 1 << rng.randrange(8)
    if name == "bo":
        return 12
    return (number, rng.randint(1, 31)) if kind.cls == "mem" else number


@pytest.mark.parametrize("form", BASE, ids=lambda form: " ".join((form.mnemonic, ",".join(form.operands))).strip())
def test_fields_of_every_form(form: Form) -> None:
    rng = Random(form.mnemonic)
    read = 0
    for _ in range(20):
        given = {name: _value(name, rng) for name in form.operands}
        try:
            word = form.encode(given)
        except OperandError:
            continue
        found = fields(word)
        assert found is not None
        # Another form of the mnemonic leaves out what is 0.
        assert found[0] == form.mnemonic
        values = iter(found[1])
        for name in form.operands:
            value, kind = given[name], KINDS[name]
            if kind.cls == "target" or (value == 0 and name in ("bh", "eh", "l1")):
                continue
            for wanted in value if isinstance(value, tuple) else (value,):
                field = next(values)
                assert (field.value, field.holds(wanted)) == (wanted, True)
                assert word & ~field.mask | field.bits(wanted) == word
            read += 1
    assert read


@pytest.mark.parametrize(
    "word",
    [
        0x00000000,
        0xE9600019 & ~(31 << 16),  # ldu with base r0
        0xE96B0019,  # ldu r11,24(r11)
        0xF800FFE1,  # stdu r0,-32(0)
        0x4FE00421,  # bcctr with reserved bits in BO
        0x4E000420,  # bcctr that would decrement CTR
        0x7C0007FF,
    ],
)
def test_what_is_no_instruction_has_no_fields(word: int) -> None:
    assert fields(word) is None
