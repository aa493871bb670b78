"""What Keystone gets wrong: each quirk pinned on the raw engine, and what lpgen makes of the same text.

A pin that fails means that a new release of Keystone behaves differently: look at the encoder again.
"""

from __future__ import annotations

import ast
import subprocess
import sys

import pytest

from lpgen.assembly import assemble, encoder
from lpgen.errors import LpgenError, Place

RAW = """
import sys, keystone
ks = keystone.Ks(keystone.KS_ARCH_PPC, keystone.KS_MODE_PPC64 | keystone.KS_MODE_LITTLE_ENDIAN)
if sys.argv[2:]:
    def resolve(name, value):
        value[0] = int(sys.argv[2])
        return name == b"sym"
    ks.sym_resolver = resolve
try:
    print("answer", repr(ks.asm(sys.stdin.read(), int(sys.argv[1]), True)[0]))
except keystone.KsError as error:
    print("answer", repr(str(error).rsplit("(", 1)[1].rstrip(")")))
"""


def raw(text: str, address: int = 0, *resolved: str) -> bytes | str | None:
    """Run bare Keystone: bytes, None, or the name of its error. ``resolved`` is the value of ``sym``, if it has one."""
    done = raw_child(text, 20, str(address), *resolved)
    answer = next(line for line in done.stdout.splitlines() if line.startswith("answer "))
    return ast.literal_eval(answer.removeprefix("answer "))  # type: ignore[no-any-return]


def raw_child(text: str, seconds: float, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Keystone in a process of its own: it can die, and a resolver stays behind in every later engine."""
    command = [sys.executable, "-c", RAW, *(arguments or ("0",))]
    return subprocess.run(command, input=text, capture_output=True, text=True, timeout=seconds, check=False)


def words(text: str, **options: object) -> list[int]:
    data = assemble(text, name="q.s", **options).sections[".text"].data  # type: ignore[arg-type]
    return [int.from_bytes(data[at : at + 4], "little") for at in range(0, len(data), 4)]


def refusal(text: str) -> LpgenError:
    with pytest.raises(LpgenError) as caught:
        assemble(text, name="q.s")
    return caught.value


@pytest.mark.parametrize("text", [".text", "f: .localentry f,.-f", ".abiversion 2"])
def test_directives_kill_keystone_and_never_reach_it(text: str) -> None:
    assert raw_child(text, 20).returncode < 0
    assert words(f"{text}\nnop") == [0x60000000]


def test_subi_becomes_addi() -> None:
    assert raw("subi r3,r4,8") == "KS_ERR_ASM_INVALIDOPERAND"
    assert raw("subic. 7,8,32768") == "KS_ERR_ASM_INVALIDOPERAND"
    assert words("subi 3,4,8; subi 3,4,-8; subis 5,6,1; subic. 7,8,32768") == [
        0x3864FFF8,
        0x38640008,
        0x3CA6FFFF,
        0x34E88000,
    ]
    assert refusal("nop\nsubi 3,4,32769").place == Place("q.s", 2)


@pytest.mark.parametrize(
    ("text", "ours"),
    [
        ("std r0,16(r1)", [0xF8010010]),
        ("# a comment", []),
        (".type f,@function", []),
        (".section .text", []),
        (".pushsection .data", []),
        ("b 1f\n1: nop", [0x48000004, 0x60000000]),
        ("f: .size f,.-f", []),
    ],
)
def test_keystone_says_nothing_and_does_nothing(text: str, ours: list[int], capfd: pytest.CaptureFixture[str]) -> None:
    assert not raw(text.split("\n")[0])
    assert words(text) == ours
    assert capfd.readouterr() == ("", "")


def test_register_names_outside_memory_operands() -> None:
    assert raw("addi r3,r4,1") == "KS_ERR_ASM_INVALIDOPERAND"
    assert words("addi r3,%r4,1; lfd f1,8(sp); lvx v2,0,r3; lxvd2x vs34,0,r3") == [
        0x38640001,
        0xC8210008,
        0x7C4018CE,
        0x7C401E99,
    ]


def test_numeric_labels() -> None:
    assert raw("1:\nb 1b") == "KS_ERR_ASM_LABEL_INVALID"
    assert words("1: nop\nb 1b\nb 1f\n1: blr") == [0x60000000, 0x4BFFFFFC, 0x48000004, 0x4E800020]


def test_data_directives() -> None:
    assert raw(".long 1") in (None, b"\1\0\0\0")
    assert words(".long 1") == [1]


@pytest.mark.parametrize("modifier", ["@toc@ha", "@ha", "@highest"])
def test_the_resolver_ignores_the_modifier(modifier: str) -> None:
    data = raw(f"lis 3,sym{modifier}", 0, str(0x1234ABCD))
    assert isinstance(data, bytes)
    assert data[:2] == b"\xcd\xab"  # the low half: silently wrong
    assert words("lis 3,0x1234abcd@ha; lis 3,0x1234abcd@highest") == [0x3C601235, 0x3C600000]
    (relocation,) = assemble(f"lis 3,sym{modifier}", name="q.s").sections[".text"].relocations
    assert relocation.symbol == "sym"
    assert relocation.type in ("R_PPC64_TOC16_HA", "R_PPC64_ADDR16_HA", "R_PPC64_ADDR16_HIGHEST")


@pytest.mark.parametrize("text", ["stq 4,0(3)", "lq 4,0(3)", "pld 3,0(4)", "paddi 3,4,1", "stxvx 34,0,3"])
def test_unknown_to_keystone_is_refused_with_its_line(text: str) -> None:
    assert raw(text) == "KS_ERR_ASM_MNEMONICFAIL"
    error = refusal(f"nop\n\n{text}")
    assert error.place == Place("q.s", 3)
    assert "unknown instruction" in error.reason


@pytest.mark.parametrize(
    ("text", "word"), [("hwsync", 0x7C0004AC), ("addpcis 3,4", 0x4C620004), ("lwarx 3,4,5,0", 0x7C642828)]
)
def test_unknown_to_keystone_but_confirmed_otherwise(text: str, word: int) -> None:
    assert isinstance(raw(text), str)
    assert words(text) == [word]


def test_an_invalid_statement_in_the_middle_is_found() -> None:
    error = refusal("nop\nli 3,1\nstd 3,6(1)\nli 4,99999")
    assert error.place == Place("q.s", 3)


@pytest.mark.parametrize(
    ("text", "right"),
    [("b -4", 0x4BFFFFFC), ("bdnz -8", 0x4200FFF8), ("bne- 1,-4", 0x40C6FFFC)],
)
def test_branches_at_an_address_go_wrong_in_keystone(text: str, right: int) -> None:
    data = raw(text, address=0x1000)
    assert data is None or isinstance(data, str) or int.from_bytes(data, "little") != right
    mnemonic, operand = text.split(" ")
    sign = operand.replace("-", ".-")
    assert words(f"nop; nop; {mnemonic} {sign}")[2] == right


@pytest.mark.parametrize("alias", ["clrrdi 12,1,14", "sldi 3,4,5", "slwi 3,4,5", "subi 3,4,5", "extldi 3,4,5,6"])
def test_a_branch_behind_an_expanded_alias_goes_wrong_in_keystone(alias: str) -> None:
    data = raw(f"nop\nnop\n{alias}\nbeq 16")
    assert isinstance(data, bytes)
    assert int.from_bytes(data[12:], "little") != 0x41820004  # it has forgotten the two nops
    assert words(f"nop; nop; {alias}; beq .+4")[3] == 0x41820004


def test_a_hang_outside_the_table_becomes_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoder, "CHILD_SECONDS", 1.0)
    monkeypatch.setattr(encoder, "_CHILD", "import time; time.sleep(60)")
    error = refusal("nop\nfrobnicate 3,4")
    assert error.place == Place("q.s", 2)
    assert "did not return" in error.reason


def test_a_crash_outside_the_table_becomes_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoder, "_CHILD", "import os; os.kill(os.getpid(), 11)")
    error = refusal("frobnicate 3,4")
    assert error.place == Place("q.s", 1)
    assert "died" in error.reason


def test_an_instruction_outside_the_table_is_checked_by_capstone() -> None:
    assert words("vaddfp 2,3,4") == words(".long 0x1043200a")


def test_a_wrong_word_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoder, "_known", {})
    monkeypatch.setattr(encoder, "_assemble", lambda text: b"\0\0\0\x60" * (text.count("\n") + 1))
    error = refusal("nop\nblr")
    assert error.place == Place("q.s", 2)
    assert "could not be confirmed" in error.reason


def test_a_missing_keystone_says_where_wheels_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keystone", None)
    monkeypatch.setattr(encoder, "_known", {})
    encoder._keystone.cache_clear()
    error = refusal("blr")
    encoder._keystone.cache_clear()
    assert "musl" not in str(error)
    assert "OpenStack" in str(error)
    assert "x86-64" in str(error)
