"""What is wrong in a text is refused with the person's own file and line, the reason, and nothing on the terminal."""

from __future__ import annotations

from pathlib import Path

import pytest

from lpgen.assembly import assemble
from lpgen.errors import LpgenError, Place

# text; line of the error; words of the message
CASES = [
    ("nop\nfoo 3,4", 2, "unknown instruction 'foo 3,4'"),
    ("nop\n\n.frob 3", 3, "unknown directive .frob"),
    ("nop\nadd 3,4", 2, "'add' takes 3 operands, not 2"),
    ("add 3,4,32", 1, "32 is out of range 0..31"),
    ("add 3,4,f5", 1, "general register is needed here, not a floating-point register"),
    ("addi 3,4,r5", 1, "number is needed here, not a register"),
    ("lfd r3,0(r1)", 1, "floating-point register is needed"),
    ("add 3,4,%r32", 1, "no such register: %r32"),
    ("nop; li 3,32768", 1, "32768 is out of range"),
    ("ori 3,3,-1", 1, "-1 is out of range"),
    ("ld 3,6(1)", 1, "displacement 6 is not a multiple of 4"),
    ("nop\nstdu 1,-33(1)", 2, "displacement -33 is not a multiple of 4"),
    ("lxv 3,8(4)", 1, "not a multiple of 16"),
    ("ld 3,40000(1)", 1, "40000 is out of range"),
    ("ld 3,4", 1, "no memory operand"),
    ("add 3,4,8(5)", 1, "memory operand, which does not fit"),
    ("ldu 3,8(3)", 1, "cannot load its own base"),
    ("stdu 3,8(0)", 1, "cannot be r0"),
    ("mtocrf 3,4", 1, "more than one bit"),
    ("bcctr 16,0", 1, "cannot decrement CTR"),
    ("bc 13,2,.", 1, "reserved bits"),
    ("insrdi 3,4,40,40", 1, "out of range"),
    ("b 1f", 1, "undefined label '1:'"),
    ("nop\nb 1b", 2, "no label 1: before this line"),
    ("b .Lgone", 1, "undefined label '.Lgone'"),
    ("a: nop\nnop\na: nop", 3, "'a' is already defined"),
    (".set a,1\na: nop", 2, "'a' is already defined"),
    (".equiv a,1\n.equiv a,2", 2, "'a' is already defined"),
    ("b .+2", 1, "not a multiple of 4"),
    ("beq 1f\n.space 32768\n1: nop", 1, "out of reach"),
    ("b 8", 1, "branch to the number 8"),
    (".byte 256", 1, "does not fit in 1 byte"),
    (".byte foo", 1, "no relocation of this kind"),
    (".quad a*2\na:", 1, "operator * needs numbers"),
    (".quad a+b", 1, "no relocation can express"),
    (".quad 1/0", 1, "division by zero"),
    (".quad 08", 1, "bad number"),
    (".quad 0x1ffffffffffffffff", 1, "64 bits"),
    (".quad 24UL", 1, "expected a number"),
    (".quad (1", 1, "missing ')'"),
    (".quad " + "(" * 3000, 1, "nested too deeply"),
    (".quad " + "-" * 30000 + "1", 1, "nested too deeply"),
    ("a = b\nb = a\n.quad a", 3, "nested too deeply"),
    ("li 3,(a@l)", 1, "inside parentheses"),
    ("li 3,a@l@foo", 1, "no relocation of this kind"),
    ("ld 3,a@ha(4)", 1, "no relocation of this kind"),
    ("lis 3,0x123456789@h", 1, "more than 32 bits"),
    (".space a\na:", 1, "a number is needed here, but a is not defined"),
    (".space -1", 1, "out of range"),
    (".space 1<<40", 1, "out of range"),
    ("nop\n.org 0", 2, ".org moves back"),
    (".byte 1\nnop", 2, "not a multiple of 4"),
    (".bss\nnop", 2, "holds no data"),
    (".bss\n.long 1", 2, "holds no data"),
    ('.section .x,"q"', 1, "is not supported"),
    ('.section .x,"a"\n.section .x,"aw"', 2, "section .x was 'a'"),
    (".text 1", 1, "subsections"),
    (".pushsection .data\n.popsection .long 2", 2, ".popsection takes 0 operands"),
    ("nop\n.size f, 4", 2, "'f' is not defined in this file"),
    (".align 4,", 1, "operand is missing"),
    (r'.ascii "\19"', 1, "bad octal escape"),
    (".popsection", 1, ".popsection without .pushsection"),
    (".type f,@gnu_indirect_function", 1, "is not supported"),
    (".localentry f,12\nf: nop", 1, "can be encoded"),
    (".abiversion 1", 1, "only ELFv2"),
    (".align 40", 1, "power of two"),
    (".balign -1", 1, "power of two"),
    (".section .x,a", 1, "need quotes"),
    (".balign 12", 1, "power of two"),
    ('.ascii "a', 1, "string is not closed"),
    (r'.ascii "\q"', 1, "unknown escape"),
    ("nop /* and\non", 1, "comment is not closed"),
    ("nop\n.macro x", 2, ".macro without .endm"),
    (".endm", 1, ".endm without its beginning"),
    ("nop\n.if 1\nnop", 2, ".if without .endif"),
    (".else", 1, ".else without .if"),
    (".endif", 1, ".endif without .if"),
    (".if undefd\n.endif", 1, "undefd is not defined"),
    (".rept 1000000000\nnop\n.endr", 1, "out of range"),
    (".macro r\nr\n.endm\nr", 4, "nested more than"),
    (".macro d\nd\nd\n.endm\nd", 5, "macros nested more than"),
    (".macro m a:req\n.endm\nm", 3, "needs a value for 'a'"),
    (".macro m a\n.endm\nm 1,2", 3, "takes 1 arguments"),
    ('.error "stop here"', 1, "stop here"),
    (".err", 1, ".err"),
    ("nop \x01", 1, "control character"),
    ("!", 1, "cannot read the statement"),
    ("li 3,1 2", 1, "cannot read '2'"),
    ("#ifdef A\nnop", 1, "Unterminated"),
    ("nop\n#endif", 2, "Misplaced #endif"),
    ("nop\n#error not this way", 2, "#error not this way"),
    ("\n#ifdef\n#endif", 2, "malformed preprocessor directive"),
    ("#define", 1, "malformed preprocessor directive"),
    ("#define F(a) a\nnop\nli 3,F(1", 3, "not closed"),
    ("#define F(a,b) a\nli 3,F(1)", 2, "requires 2 arguments"),
    ("#if FOO(1)\n#endif", 1, "unknown function 'FOO'"),
    ("#if 1 +\n#endif", 1, "cannot evaluate #if 1 +"),
    ("nop\n#include <no/such.h>", 2, "'no/such.h' not found"),
    ("#include", 1, "#include without"),
    ("#include nothing", 1, "malformed #include"),
    ("nop # /* open\nnop", 1, "inside a '#' comment"),
]


@pytest.mark.parametrize(("text", "line", "words"), CASES, ids=[text[:30] for text, _, _ in CASES])
def test_place_and_reason(text: str, line: int, words: str, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(LpgenError) as caught:
        assemble(text, name="dir/x.S")
    assert caught.value.place == Place("dir/x.S", line), caught.value
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_an_error_in_a_header_names_the_header(tmp_path: Path) -> None:
    (tmp_path / "in.h").write_text("nop\n\nli 3,99999\n")
    with pytest.raises(LpgenError) as caught:
        assemble('nop\n#include "in.h"\n', name="x.S", include_dirs=[tmp_path])
    assert caught.value.place == Place(str(tmp_path / "in.h"), 3)


def test_an_error_behind_a_header_names_the_own_line() -> None:
    with pytest.raises(LpgenError) as caught:
        assemble('#include "v.h"\n\n\nli 3,BIG\n', name="x.S", headers={"v.h": "#define BIG 99999\nnop\nnop\n"})
    assert caught.value.place == Place("x.S", 4)


def test_an_error_in_a_macro_names_the_call_and_the_macro() -> None:
    with pytest.raises(LpgenError) as caught:
        assemble(".macro m x\n\tnop\n\tli 3,\\x\n.endm\nnop\nm 99999\n", name="x.S")
    assert caught.value.place == Place("x.S", 6)
    assert "in macro m at x.S:3" in str(caught.value)


def test_an_error_in_a_multi_line_c_macro_names_its_use() -> None:
    text = "#define TWO(a) \\\n nop; \\\n li 3,a\n\nTWO(1)\nTWO(\n99999)\n"
    with pytest.raises(LpgenError) as caught:
        assemble(text, name="x.S")
    assert caught.value.place == Place("x.S", 6)


def test_an_error_names_the_template_line_too() -> None:
    with pytest.raises(LpgenError) as caught:
        assemble("nop\nli 3,99999\n", name="x.S", origins=[None, Place("t.j2", 7)])
    assert caught.value.place == Place("x.S", 2)
    assert "template t.j2:7" in str(caught.value)


def test_a_header_that_includes_itself() -> None:
    with pytest.raises(LpgenError, match="too deeply"):
        assemble('#include "a.h"\n', name="x.S", headers={"a.h": '#include "a.h"\n'})


def test_a_define_that_is_no_identifier() -> None:
    with pytest.raises(LpgenError, match="not a C identifier"):
        assemble("nop", name="x.S", defines={"1A": "1"})
