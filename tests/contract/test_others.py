"""Trampolines that lpgen did not write: right ones, written in another way, are not refuted; their limit is told."""

from __future__ import annotations

from pathlib import Path

import lpgen
from lpgen.contract.limits import LIMITS

OTHER = Path(__file__).parent / "others" / "another_6.12.S"


def test_another_way_to_write_it_holds() -> None:
    result = lpgen.verify("6.12", source=OTHER)
    assert result.holds, str(result)
    assert not result.covered.missed
    # CR is saved behind the test of the flag: said, and no failure.
    came, seen = result.limits["ccr"]
    assert came == seen > 0
    assert LIMITS["ccr"] in " ".join(str(result).split())


def test_what_its_differences_hide_is_still_seen() -> None:
    """CR0 may be the flag's test's, the rest of CR may not."""
    text = OTHER.read_text()
    for wrong in ("\tmtcrf\t0x40, r9\n\tmfcr\tr11\n", "\tmfcr\tr11\n\txoris\tr11, r11, 0x8000\n"):
        broken = text.replace("\tmfcr\tr11\n", wrong)
        assert broken != text
        assert "T3" in lpgen.verify("6.12", text=broken, callers=100, shrink=False).broken


def test_r20_lost_on_the_way_to_c() -> None:
    """A kept register that comes back on the unpatched way out only."""
    text = OTHER.read_text()
    lean = text.index("ftrace_caller:\n")
    load = "\tld\tr20, GPR0+8*20(r1)\n"
    assert text.count(load, lean) == 1
    broken = text[:lean] + text[lean:].replace(load, f"\tbne-\t7f\n{load}7:\n")
    assert lpgen.verify("6.12", text=broken, shrink=False).broken == ["X3", "L5"]
