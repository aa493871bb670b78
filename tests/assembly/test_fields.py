"""From a word back to its fields: the table read the other way gives what it was made of."""

from __future__ import annotations

from random import Random

import pytest

from lpgen.assembly.fields import fields
from lpgen.assembly.isa import KINDS, Form, OperandError, Value, forms, mnemonics

# The same word has two names, or an operand fewer where that is 0.
TWICE = ("sync", "lwsync", "ptesync", "dcbt")
BASE = [f for mnemonic in mnemonics() for f in forms(mnemonic) if f.base is None and mnemonic not in TWICE]


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
    while read < 20:
        given = {name: _value(name, rng) for name in form.operands}
        try:
            word = form.encode(given)
        except OperandError:
            continue
        read += 1
        found = fields(word)
        assert found is not None
        assert found[0] == form.mnemonic
        values = iter(found[1])
        for name in form.operands:
            value, kind = given[name], KINDS[name]
            if kind.cls == "target" or (value == 0 and name in ("bh", "eh", "l1")):
                continue
            for wanted in value if isinstance(value, tuple) else (value,):
                field = next(values)
                # A shifted immediate is written signed or not: 0xffff and -1 are the same.
                same = wanted - (1 << 16) if name == "sis" and wanted > 0x7FFF else wanted
                assert (field.value, field.holds(wanted)) == (same, True)
                assert word & ~field.mask | field.bits(wanted) == word


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
