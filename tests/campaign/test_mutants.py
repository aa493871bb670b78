"""Every kind of mutation gives the instructions that it says, and each mutant is one."""

from __future__ import annotations

import pytest

from lpgen import api
from lpgen.assembly import Unit, assemble
from lpgen.assembly.encoder import decode
from lpgen.assembly.fields import fields
from lpgen.campaign.mutants import KINDS, NOP, Mutant, mutants
from lpgen.kernel.generations import kernel

VERSIONS = ("4.7", "4.18", "5.1", "5.18", "6.5", "6.13", "6.18")


def _unit(text: str) -> Unit:
    return assemble(f"#include <asm/ppc_asm.h>\n\t.text\n{text}\n", name="mutants.S")


def _text(unit: Unit) -> bytes:
    return unit.sections[".text"].data


def _mutants(unit: Unit) -> list[Mutant]:
    return mutants(unit, _text(unit), lambda at: f"f+{at:#x}")


def _words(text: str) -> list[int]:
    data = _text(_unit(text))
    return [int.from_bytes(data[at : at + 4], "little") for at in range(0, len(data), 4)]


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        (
            "std r2, -24(r11)",
            {
                "displacement": [
                    "std r2, -16(r11)",
                    "std r2, -32(r11)",
                    "std r2, -20(r11)",
                    "std r2, -28(r11)",
                ],
            },
        ),
        (
            "lbz r12, 2(r13)",
            {
                "displacement": [
                    "lbz r12, 10(r13)",
                    "lbz r12, -6(r13)",
                    "lbz r12, 6(r13)",
                    "lbz r12, -2(r13)",
                ],
            },
        ),
        ("std r2, 24(r1)", {"base": ["std r2, 24(r2)", "std r2, 24(r13)"]}),
        ("ld r0, 16(r11)", {"base": ["ld r0, 16(r12)"]}),
        ("ld r12, 16(r13)", {"base": ["ld r12, 16(r14)", "ld r12, 16(r1)"]}),
        ("mr r4, r0", {"register": ["mr r5, r0", "mr r3, r0", "mr r4, r1", "mr r4, r12", "mr r0, r4"]}),
        ("mflr r14", {"register": ["mflr r15", "mfctr r14"]}),
        ("mtctr r12", {"register": ["mtlr r12", "mtctr r13", "mtctr r11"]}),
        ("mfxer r8", {"register": ["mfxer r9", "mfxer r7", "mfctr r8"]}),
        ("tdne r0, r2", {"register": ["tdne r1, r2", "tdne r12, r2", "tdne r0, r3", "tdne r0, r12", "tdne r2, r0"]}),
        ("ld r11, 24(r12)", {"width": ["lwz r11, 24(r12)"]}),
        ("lwz r14, 4(r15)", {"width": ["ld r14, 4(r15)"]}),
        ("lwz r14, 2(r15)", {"width": []}),
        ("std r11, 24(r12)", {"width": ["stw r11, 24(r12)"]}),
        ("stw r11, 24(r12)", {"width": ["std r11, 24(r12)"]}),
        ("lbz r12, 8(r13)", {"width": ["lwz r12, 8(r13)", "lhz r12, 8(r13)"]}),
        ("stdu r1, -32(r1)", {"width": ["stwu r1, -32(r1)", "std r1, -32(r1)"]}),
        ("cmpd r12, r14", {"width": ["cmpw r12, r14"]}),
        (
            "cmpwi r12, 0",
            {
                "width": [
                    "cmpdi r12, 0",
                ],
                "constant": [
                    "cmpwi r12, 1",
                    "cmpwi r12, -1",
                    "cmpwi r12, 8",
                    "cmpwi r12, -8",
                ],
            },
        ),
        ("cmpld cr1, r3, r4", {"width": ["cmplw cr1, r3, r4"]}),
        ("tdne r0, r2", {"width": ["twne r0, r2"], "condition": ["tdeq r0, r2", "td 31, r0, r2"]}),
        (
            "addi r11, r11, 24",
            {
                "constant": [
                    "addi r11, r11, 25",
                    "addi r11, r11, 23",
                    "addi r11, r11, 32",
                    "addi r11, r11, 16",
                    "addi r11, r11, -24",
                ],
            },
        ),
        ("li r6, 0", {"constant": ["li r6, 1", "li r6, -1", "li r6, 8", "li r6, -8"]}),
        (
            "ori r2, r2, 0x6e9d",
            {
                "constant": [
                    "ori r2, r2, 0x6e9e",
                    "ori r2, r2, 0x6e9c",
                    "ori r2, r2, 0x6ea5",
                    "ori r2, r2, 0x6e95",
                    "ori r2, r2, 0xee9d",
                ],
            },
        ),
        ("clrrdi r12, r1, 14", {"constant": ["clrrdi r12, r1, 13", "clrrdi r12, r1, 15", "rldicr r12, r1, 1, 49"]}),
        ("blr", {"link": ["blrl"], "through": ["bctr"]}),
        ("bctrl", {"link": ["bctr"], "through": ["blrl"]}),
        ("bnectr- cr1", {"condition": ["beqctr- cr1", "bnsctr- cr1", "bnectr- cr2", "bctr"]}),
        ("nop", {kind: [] for kind in KINDS}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_mutants_of_a_statement(statement: str, expected: dict[str, list[str]]) -> None:
    unit = _unit(statement)
    made: dict[str, list[int]] = {}
    for mutant in _mutants(unit):
        assert set(mutant.words(_text(unit))) == {0}
        made.setdefault(mutant.kind, []).append(mutant.words(_text(unit))[0])
    assert made.get("delete", []) == ([] if statement == "nop" else [NOP])
    for kind, statements in expected.items():
        assert sorted(made.get(kind, [])) == sorted(word for text in statements for word in _words(text)), kind


def test_branches_lead_to_labels_and_instructions_nearby() -> None:
    text = "a:\n nop\n nop\nb:\n bne- c\n bl b\n nop\nc:\n nop\nd:\n nop"
    unit = _unit(text)
    found: dict[int, dict[str, list[int]]] = {}
    for mutant in _mutants(unit):
        if mutant.kind != "swap":
            found.setdefault(mutant.offset, {}).setdefault(mutant.kind, []).append(
                mutant.words(_text(unit))[mutant.offset]
            )
    assert sorted(found) == [8, 12]

    def at(offset: int, statement: str) -> int:
        return _words(text.replace({8: " bne- c", 12: " bl b"}[offset], f" {statement}"))[offset // 4]

    assert found[8]["condition"] == [at(8, "beq- c"), at(8, "bns- c"), at(8, "bne- cr1, c"), at(8, "bc 20, 0, c")]
    assert found[8]["link"] == [at(8, "bnel- c")]
    # c, the instructions beside it, of which the next is d, and the label before it.
    assert found[8]["target"] == [at(8, "bne- d"), at(8, "bne- c-4"), at(8, "bne- b")]
    assert found[12]["link"] == [at(12, "b b")]
    assert found[12]["target"] == [at(12, "bl b+4"), at(12, "bl b-4"), at(12, "bl c"), at(12, "bl a")]
    assert "condition" not in found[12]


def test_swapped_branches_still_go_where_they_went() -> None:
    unit = _unit("a:\n mr r3, r4\n b a\n mr r5, r6\n bne- d\nd: blr")
    text = _text(unit)
    swaps = {mutant.offset: mutant.words(text) for mutant in _mutants(unit) if mutant.kind == "swap"}
    one = _words("a:\n b a\n mr r3, r4")
    assert swaps[0] == {0: one[0], 4: one[1]}
    other = _words("a:\n mr r3, r4\n mr r5, r6\n b a")
    assert swaps[4] == {4: other[1], 8: other[2]}
    last = _words("a:\n nop\n nop\n nop\nd:\n blr\n bne- d+4")
    assert swaps[12] == {12: last[3], 16: last[4]}


def test_what_a_relocation_puts_in_does_not_decide_what_a_mutant_is() -> None:
    """The same mutants can be made of the same code at other addresses."""
    here, there = _unit("addi r3, r3, 8\n ld r4, 16(r5)"), _unit("addi r3, r3, 800\n ld r4, 1600(r5)")
    expected = {
        "constant +8": ("addi r3, r3, 808", 0),
        "displacement -4": ("ld r4, 1596(r5)", 4),
        "base r5 to r6": ("ld r4, 1600(r6)", 4),
    }
    by_what = {mutant.id.split(" ", 1)[1]: mutant for mutant in _mutants(here)}
    for what, (statement, offset) in expected.items():
        assert by_what[what].words(_text(there)) == {offset: _words(statement)[0]}


@pytest.mark.parametrize("version", VERSIONS)
def test_every_mutant_is_another_one_and_an_instruction(version: str) -> None:
    unit = api.trampolines(kernel(version))
    section = unit.sections[".text"]
    made = _mutants(unit)
    assert len({mutant.id for mutant in made}) == len(made) > 1500
    assert {mutant.kind for mutant in made} == set(KINDS)
    all_words = [tuple(sorted(mutant.words(section.data).items())) for mutant in made]
    assert len(set(all_words)) == len(all_words)
    lines = {line.offset for line in section.lines}
    for words in all_words:
        assert {at for at, _ in words} <= lines
        assert any(int.from_bytes(section.data[at : at + 4], "little") != word for at, word in words)
        assert all(decode(word) is not None and fields(word) is not None for _, word in words)
    # Every instruction but the nops is deleted once.
    nops = {at for at in lines if section.data[at : at + 4] == NOP.to_bytes(4, "little")}
    assert {mutant.offset for mutant in made if mutant.kind == "delete"} == lines - nops


def test_only_what_a_run_should_execute_is_mutated() -> None:
    unit = _unit("mr r3, r4\n mr r5, r6\n blr")
    unit.sections[".text"].counted = frozenset({4})
    assert {mutant.offset for mutant in _mutants(unit)} == {4}
    assert "swap" not in {mutant.kind for mutant in _mutants(unit)}
