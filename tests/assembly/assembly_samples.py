"""Random valid statements out of the instruction table, in the spelling that GNU as takes without -mregnames."""

from __future__ import annotations

import random

from lpgen.assembly import isa


def operand(name: str, rng: random.Random) -> isa.Value:
    kind = isa.KINDS[name]
    if kind.cls == "mem":
        return rng.randrange(kind.low, kind.high + 1, kind.step), rng.randrange(1, 32)
    if kind.cls == "target":
        return 0
    if name == "fxm1":
        return 1 << rng.randrange(8)
    if name == "bo":
        return rng.choice(sorted(isa.VALID_BO))
    if name == "spr":
        return rng.choice((1, 8, 9, 18, 19, 22, 26, 27, 272, 273, 274, 275, 256, 815))
    if rng.random() < 0.2:
        return rng.choice((kind.low, kind.high))
    return rng.randrange(kind.low, kind.high + 1)


def statement(form: isa.Form, rng: random.Random) -> tuple[str, dict[str, isa.Value]]:
    """Return (text, operand values) for one statement that the form takes; branch targets are ``.``."""
    while True:
        values = {name: operand(name, rng) for name in form.operands}
        try:
            form.encode(values)
        except isa.OperandError:
            continue
        words = []
        for name, value in values.items():
            if isinstance(value, tuple):
                words.append(f"{value[0]}({value[1]})")
            elif name in ("li", "bd"):
                words.append(".")
            else:
                words.append(str(value))
        return f"{form.mnemonic} {','.join(words)}".rstrip(), values
