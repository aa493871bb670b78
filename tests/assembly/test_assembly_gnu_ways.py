"""What GNU as does and is easily done otherwise: lpgen's own assembler does the same, or leaves it to GNU as."""

from __future__ import annotations

from pathlib import Path

import assembly_gnu as gnu
import pytest

from lpgen.assembly import assemble, write_object
from lpgen.assembly.model import UnknownError
from lpgen.errors import LpgenError

SAME = {
    "a use before a symbol is set twice": "li 3,late; .set late,4; li 3,late; .set late,8; li 3,late",
    "a symbol set to a later one": ".set off,late*8; ld 3,off(1); .set late,2; .set late,3; ld 3,off(1)",
    "a sum with a later one": ".equ A,B+1; .equ B,3; li 3,A; .equ B,4; li 3,A; .byte B,0,0,0",
    "a later one of a later one": "li 3,A; .equ A,B; .equ B,3; .equ B,4; li 3,A",
    "places": "b x; .set x,.; nop; .set x,.; b x; .long x-y; y: .set z,x; .set x,y; b z; b x",
    "macro names": """.macro LD r,x; trap; .endm
        ld 3,8(1); Ld 3,8(1); .purgem lD
        ld 3,8(1)
        .macro Some_Name; nop; .endm
        SOME_NAME""",
    "dollar": "b $+8; b $; x$: b x$; .long $-x$; $y: b $y",
    "hints": "bnelr+; bge- 1,.+8; bdnz+ .+8; bdnzlr-; beq+ .+4; bdz- .+8",
    "mftb": "mftb 3; mftbu 4",
    "padding": "nop; .balign 64; nop; .balign 16; nop; .balign 8; nop; .p2align 3",
}


@gnu.needs_gnu
@pytest.mark.parametrize("text", SAME.values(), ids=SAME.keys())
def test_own_and_gnu_make_the_same(text: str, tmp_path: Path) -> None:
    wanted = gnu.read(gnu.gas(text + "\n", tmp_path, "-mregnames"))
    for assembler in ("lpgen", "gnu"):
        made = gnu.read(write_object(assemble(text + "\n", name="t.s", assembler=assembler)))  # type: ignore[arg-type]
        assert made.sections == wanted.sections
        assert made.relocations == wanted.relocations


def test_macros_that_differ_in_case_alone() -> None:
    with pytest.raises(LpgenError, match="macro 'FOO' is already defined"):
        assemble(".macro foo; nop; .endm\n.macro FOO; nop; .endm\n", name="t.s")


EXTENSIONS = [
    '.asciz "x" "y"',
    r'.ascii "\e"',
    r'.ascii "\08"',
    ".byte 300",
    ".byte -200",
    ".short 70000",
    ".long 0x1ffffffff",
    ".long -1 >> 28",
    ".quad 0x1ffffffffffffffff",
    "lwz 3,0xffff8000(4)",
    "li 3,0xffffffff",
    "lis 3,0xffff8000",
    "lis 3,0x1ffffffff@h",
    "cmpldi 3,-1",
    "nop; .align 17",
    ".long 1, ,2",
    ".long 1,",
    "1: beq 4*cr1,1b",
]


@gnu.needs_gnu
@pytest.mark.parametrize("text", EXTENSIONS)
def test_what_gnu_as_alone_takes_is_left_to_it(text: str, tmp_path: Path) -> None:
    with pytest.raises(UnknownError):
        assemble(text + "\n", name="t.s")
    made = assemble(text + "\n", name="t.s", assembler="auto")
    assert made.made_by.startswith("GNU as")
    wanted = gnu.read(gnu.gas(text + "\n", tmp_path, "-mregnames")).sections[".text"]
    assert made.sections[".text"].data[: len(wanted)] == wanted


MISTAKES = ["b 7f", "b .Lnowhere", "addi 3,3,70000", "ld 3,6(1)", ".balign 3", ".align -1", "m: b m; m: nop"]


@pytest.mark.parametrize("text", MISTAKES)
def test_a_mistake_is_not_tried_again(text: str) -> None:
    with pytest.raises(LpgenError) as error:
        assemble(text + "\n", name="t.s")
    assert not isinstance(error.value, UnknownError)


def test_a_comma_behind_the_last_argument_of_a_macro() -> None:
    head = ".macro m a,b; li \\a,\\b; .endm\n"
    assert assemble(head + "m 3,4,\n", name="t.s").sections[".text"].data.hex() == "04006038"
    with pytest.raises(LpgenError, match="takes 2 arguments, not 3"):
        assemble(head + "m 3,4,5\n", name="t.s")


QUOTES = {
    "a parameter in apostrophes": """.macro m x
        .ifc '\\x','a'
        li 3,1
        .else
        li 3,'\\x'
        .endif
        .endm
        m a; m b; .ifc a,'a'; trap; .endif; .byte '\\0', '\\\\', '\\e', 0""",
    "prose that is left out": """
        #if 0
        it isn't \\o/, it's 'é, and the pages' end
        #endif
        li 3,'a'; li 3,'b; li 3,'\\n'""",
}


@gnu.needs_gnu
@pytest.mark.parametrize("text", QUOTES.values(), ids=QUOTES.keys())
def test_apostrophes(text: str, tmp_path: Path) -> None:
    wanted = gnu.read(gnu.gcc(text + "\n", tmp_path, "t.S", "-Wa,-mregnames")).sections[".text"]
    for assembler in ("lpgen", "gnu"):
        for cpp in (False, True):
            made = assemble(text + "\n", name="t.S", assembler=assembler, cpp=cpp)  # type: ignore[arg-type]
            assert made.sections[".text"].data == wanted


MARKED = """\
#line 7
nop
# 1 "own.S"
# 1 "<command-line>"
# 40 "dir/own \\"x\\".S"
nop
 # 5 things in a comment
nop
#line 9 "end.S"
/*
# 50 "not.S"
*/ nop
"""


@gnu.needs_gnu
@pytest.mark.parametrize("assembler", ["lpgen", "gnu"])
@pytest.mark.parametrize("cpp", [False, True])
def test_line_markers_say_the_places(assembler: str, cpp: bool) -> None:
    text = MARKED if not cpp else MARKED.replace(" # 5 things in a comment", "")
    unit = assemble(text, name="t.s", assembler=assembler, cpp=cpp)  # type: ignore[arg-type]
    places = [str(line.place) for line in unit.sections[".text"].lines]
    assert places == ["t.s:7", 'dir/own "x".S:40', 'dir/own "x".S:42', "end.S:11"]
    with pytest.raises(LpgenError, match=r"^end.S:12: "):
        assemble(text + "nonsense\n", name="t.s", assembler=assembler, cpp=cpp)  # type: ignore[arg-type]
