"""What a kernel's .config defines for the preprocessor, and what a person's -D may say beside it."""

from __future__ import annotations

from pathlib import Path

import pytest

from lpgen.api import assemble_text
from lpgen.assembly import How, assemble
from lpgen.assembly.kernel_text import defines
from lpgen.errors import LpgenError
from lpgen.kernel.chosen import choose
from lpgen.kernel.dotconfig import parse_dotconfig, read_dotconfig
from lpgen.kernel.generations import kernel
from lpgen.source.emit import emit_source
from tests.emitted.emitted_build import needs_gnu

CONFIG = """\
CONFIG_LIVEPATCH=y
CONFIG_FUNCTION_TRACER=y
CONFIG_NET_FOO=m
CONFIG_HZ=250
CONFIG_BASE=0xc000000000000000
CONFIG_LOCALVERSION="-mine"
# CONFIG_BUG is not set
CONFIG_SMP=n
"""
WHOLE = "#\n# Automatically generated file; DO NOT EDIT.\n"
WAYS = [
    pytest.param(How("lpgen"), id="own"),
    pytest.param(How("lpgen", cpp=True), id="cpp", marks=needs_gnu),
]


def test_every_option_of_a_dotconfig_is_a_macro() -> None:
    made = defines(kernel("6.1", dotconfig=parse_dotconfig(CONFIG, ".config")))
    wanted = {"CONFIG_LIVEPATCH": "1", "CONFIG_FUNCTION_TRACER": "1", "CONFIG_NET_FOO_MODULE": "1", "CONFIG_HZ": "250"}
    wanted |= {"CONFIG_BASE": "0xc000000000000000", "CONFIG_LOCALVERSION": '"-mine"'}
    assert {name: made.get(name) for name in wanted} == wanted
    assert made.keys().isdisjoint(("CONFIG_BUG", "CONFIG_SMP", "CONFIG_NET_FOO"))
    assert made["CONFIG_GENERIC_BUG"] == "1"  # it is not the whole .config


def test_what_a_whole_dotconfig_does_not_mention_is_off() -> None:
    made = defines(kernel("6.1", dotconfig=parse_dotconfig(WHOLE + CONFIG, ".config")))
    assert "CONFIG_GENERIC_BUG" not in made
    assert made["CONFIG_HZ"] == "250"


def test_a_later_dotconfig_and_a_setting_win(tmp_path: Path) -> None:
    first = parse_dotconfig(CONFIG, "a")
    second = parse_dotconfig("CONFIG_HZ=100\nCONFIG_NET_FOO=y\n", "b")
    made = defines(kernel("6.1", config={"CONFIG_LIVEPATCH": False}, dotconfig=first.then(second)))
    assert (made["CONFIG_HZ"], made["CONFIG_NET_FOO"]) == ("100", "1")
    assert made.keys().isdisjoint(("CONFIG_NET_FOO_MODULE", "CONFIG_LIVEPATCH", "CONFIG_LIVEPATCH_64"))
    (tmp_path / "include/generated").mkdir(parents=True)
    (tmp_path / ".config").write_text(CONFIG)
    (tmp_path / "include/generated/asm-offsets.h").write_text(kernel("6.1").offsets.header_text())
    built = choose("6.1", build=tmp_path, dotconfig=read_dotconfig(_file(tmp_path, "CONFIG_HZ=100\n")))
    made = defines(built)
    assert (made["CONFIG_HZ"], made["CONFIG_LOCALVERSION"]) == ("100", '"-mine"')


def _file(folder: Path, text: str) -> Path:
    (folder / "more").write_text(text)
    return folder / "more"


def test_without_a_dotconfig_a_kernel_has_what_livepatch_needs() -> None:
    for version, patchable in (("4.7", False), ("6.1", False), ("6.13", True)):
        made = kernel(version, config={"CONFIG_ARCH_USING_PATCHABLE_FUNCTION_ENTRY": True} if patchable else {})
        macros = defines(made)
        for name in ("FUNCTION_TRACER", "DYNAMIC_FTRACE", "BUG", "GENERIC_BUG", "DEBUG_BUGVERBOSE", "SMP"):
            assert macros[f"CONFIG_{name}"] == "1"
        assert macros["CONFIG_THREAD_SHIFT"] == "14"
        assert macros["CONFIG_LIVEPATCH"] == "1"
        relative = made.offsets["BUG_ENTRY_SIZE"] == 12
        assert ("CONFIG_GENERIC_BUG_RELATIVE_POINTERS" in macros) == relative
        assert ("CONFIG_MPROFILE_KERNEL" in macros) != patchable
        assert ("CONFIG_ARCH_USING_PATCHABLE_FUNCTION_ENTRY" in macros) == patchable


@pytest.mark.parametrize("how", WAYS)
def test_headers_that_ask_for_options(how: How, tmp_path: Path) -> None:
    """The text of a kernel is the same with headers that hide behind options what it uses, as the kernel's do."""
    (tmp_path / "asm").mkdir()
    (tmp_path / "asm/ftrace.h").write_text("#ifdef CONFIG_FUNCTION_TRACER\n#define MCOUNT_INSN_SIZE 4\n#endif\n")
    (tmp_path / "asm/bug.h").write_text(
        "#ifdef CONFIG_BUG\n#ifdef CONFIG_DEBUG_BUGVERBOSE\n"
        '.macro EMIT_BUG_ENTRY addr, file, line, flags\n.pushsection __bug_table, "aw"\n'
        "1: .4byte \\addr - ., 5f - .\n.short \\line, \\flags\n.popsection\n"
        '.pushsection .rodata, "a"\n5: .asciz "\\file"\n.popsection\n.endm\n'
        "#else\n#error not verbose\n#endif\n#else\n#error no BUG\n#endif\n"
    )
    made = kernel("6.1")
    text = '#include <asm/ftrace.h>\n#include <asm/bug.h>\n1: twi 31, 0, 0\nEMIT_BUG_ENTRY 1b, "f", 1, 0\n'
    text += ".long MCOUNT_INSN_SIZE\n"
    unit = assemble_text(made, text, "t.S", How(how.assembler, how.cpp, (str(tmp_path),)))
    assert unit.sections["__bug_table"].size == 12
    whole = assemble_text(made, emit_source(made).text, "t.S", how)
    assert whole.sections[".text"].size > 100


def test_minus_d_wins_and_contradicts_no_option() -> None:
    made = kernel("6.1", config={"CONFIG_LIVEPATCH": False})
    assert defines(made, {"CONFIG_BUG": "7", "MINE": "x"})["CONFIG_BUG"] == "7"
    for given in ({"CONFIG_LIVEPATCH": "1"}, {"CONFIG_LIVEPATCH_64": "1"}):
        with pytest.raises(LpgenError, match=r"contradicts CONFIG_LIVEPATCH(_64)?=n"):
            defines(made, given)
    assert defines(kernel("6.1"), {"CONFIG_LIVEPATCH": "1"})["CONFIG_LIVEPATCH"] == "1"
    with pytest.raises(LpgenError, match=r"contradicts CONFIG_LIVEPATCH(_64)?=y"):
        defines(kernel("6.1"), {"CONFIG_LIVEPATCH": "0"})
    with pytest.raises(LpgenError, match=r"=32768; set CONFIG_PPC_FTRACE_OUT_OF_LINE_NUM_RESERVE with --config"):
        defines(kernel("6.13"), {"CONFIG_PPC_FTRACE_OUT_OF_LINE_NUM_RESERVE": "5"})


@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize(
    ("question", "of"),
    [("IS_ENABLED", "YM"), ("IS_BUILTIN", "Y"), ("IS_MODULE", "M"), ("IS_REACHABLE", "Y")],
)
def test_questions_of_kconfig(question: str, of: str, how: How) -> None:
    given = {"CONFIG_Y": "1", "CONFIG_M_MODULE": "1", "CONFIG_W": '"x"'}
    for option in ("Y", "M", "N"):
        text = f"#if {question}(CONFIG_{option})\n.byte 1\n#else\n.byte 0\n#endif\n.byte {question}(CONFIG_{option})\n"
        text += f"#if !{question}(CONFIG_{option}) || 0\n.byte 0\n#else\n.byte 1\n#endif\n"
        made = assemble(text, name="t.S", defines=given, cpp=how.cpp)
        assert made.sections[".text"].data == bytes([option in of]) * 3


@pytest.mark.parametrize("how", WAYS)
def test_macros_that_can_and_cannot_be_defined(how: How) -> None:
    made = assemble(".byte F(2), G\n", name="t.S", defines={"F(x)": "x+1", "G": "7"}, cpp=how.cpp)
    assert made.sections[".text"].data == bytes([3, 7])
    for name, value in (("1x", "1"), ("", "1"), ("a b", "1"), ("F(", "1"), ("G", "1\n#error"), ("x\n", "")):
        with pytest.raises(LpgenError, match="cannot define"):
            assemble("nop\n", name="t.S", defines={name: value}, cpp=how.cpp)


@needs_gnu
def test_a_whole_dotconfig_is_not_too_long_for_gcc() -> None:
    given = {f"CONFIG_SOME_OPTION_{number}": "1" for number in range(6000)}
    assert assemble("nop\n", name="t.S", defines=given, cpp=True).sections[".text"].size == 4


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("IS_FOO(CONFIG_X)", "cannot evaluate #if IS_FOO(CONFIG_X): unknown function 'IS_FOO'"),
        ("1 +", "cannot evaluate #if 1 +"),
        ("1/0", "cannot evaluate #if 1/0: division by zero"),
        ('X == "a"', 'cannot evaluate #if X == "a"'),
    ],
)
def test_what_an_if_cannot_be_is_said_without_python(expression: str, said: str) -> None:
    with pytest.raises(LpgenError) as error:
        assemble(f"#if {expression}\n#endif\n", name="t.S")
    assert str(error.value) == f"t.S:1: preprocessor: {said}"
