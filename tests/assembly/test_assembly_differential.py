"""Whole files through lpgen and through GNU as: the same bytes, the same relocations, the same symbols."""

from __future__ import annotations

from pathlib import Path

import assembly_gnu as gnu
import pytest

import lpgen.assembly
from lpgen.assembly import assemble, write_object

HEADERS = Path(lpgen.assembly.__file__).parent / "headers"

STANDALONE = {
    "branches": """
        .globl glob
        .weak weak
    start:
        b start; bl 1f; beq 1f ; bne- cr1, start
    1:  bdnz 1b
        bl glob; bl weak; bl outside; bne outside; beq+ outside; bl .Lnear
    glob: blr
    weak: blr
    .Lnear: b .; b .+8; b .-4; b start+4
    1: 2: beq 2b; bgt cr7,1b ; bctr ; bnelr- cr2
        ba 0x100; bla outside; bc 12,4*cr1+eq,1b; bt 4*6+1,2b; bdnzt eq,1b
        b other
        .section .text.other,"ax",@progbits
    other: b start; beq start+8
    """,
    "relocations": """
        .abiversion 2
        .globl f
        .type f, @function
    f:
    0:  addis 2,12,(.TOC.-0b)@ha
        addi 2,2,(.TOC.-0b)@l
        .localentry f, .-f
        addis 3,2,sym@toc@ha
        addi 3,3,sym@toc@l
        ld 4,sym@toc@l(3)
        lwz 5,sym+4@toc@l(3)
        ld 4,sym@toc(2)
        lwz 4,sym@toc(2)
        lis 6,sym@highest ; ori 6,6,sym@higher ; oris 6,6,sym@h ; ori 6,6,sym@l
        lis 6,sym@ha; addi 6,6,sym@l; lwz 7,sym@l(6); ld 7,sym@l(6); std 7,sym@l(6)
        lis 6,sym@highesta; ori 6,6,sym@highera; lis 6,sym@high; lis 6,sym@higha
        lis 6,local@ha; addi 6,6,local+8@l
        ld 7,sym@got(2); addis 7,2,sym@got@ha; ld 7,sym@got@l(7)
        li 3,sym; ld 3,sym(4); addis 3,2,local@toc@ha ; addi 3,3,local@toc@l
        bl f
        .size f, .-f
        .data
    local: .quad sym, local, f+4, .Lx-local, .Lx-., sym-., f-., local+8
        .long sym, sym-., .Lx-., .Lx-local, local-.
    .Lx: .short sym-.Lx, local-.Lx
        .quad .TOC.-.
    """,
    "data": r"""
        .data
        .byte 1,-1,255,'a','\n','b, 0x10, 010, 0b11
        .2byte 1,0xffff ; .short -1 ; .hword 5 ; .word 6 ; .4byte 1 ; .int 2 ; .long 0xdeadbeef, -2
        .quad 0x123456789abcdef0, -1 ; .llong 1 ; .8byte 0xffffffffffffffff
        .ascii "a\tb\\\"\101\x41;#/*"
        .asciz "x", "y" ; .string "z"
        .align 3
        .quad .
        .space 3 ; .skip 2,0xff ; .zero 4 ; .fill 2,2,0x1234 ; .fill 3 ; .fill 1,8,-1
        .p2align 4,0xcc ; .balign 32 ; .align 4,,1 ; .byte 9 ; .balign 16,,3
    here: .org here+40 ; .org .+8, 0xee
        .long here2-here
    here2:
        .section .rodata
        .asciz "r"
        .section .rodata.str1.8,"aMS",@progbits,1
        .asciz "merged"
        .section .note.x,"",@note
        .long 4
        .section .rodata1 ; .byte 1 ; .section .data.x,"a" ; .byte 1 ; .section .text.y,"x" ; nop
        .section rodata ; .byte 1 ; .section .rodata.str1.4,"MS",@progbits,1 ; .byte 1
        .section custom,"aw"
        .long 1
        .pushsection .data ; .byte 7 ; .popsection ; .long 2
        .previous
        .byte 1
        .bss
    z:  .space 16 ; .align 5 ; .space 1
    """,
    "alignment": """
        nop ; .align 4 ; nop
        .balign 32 ; nop
        .p2align 6 ; blr
        .align 5 ; nop ; nop ; nop ; .align 4
        .align 3 ; nop
        .balign 16,0 ; nop
        .byte 1 ; .align 2 ; nop
        .byte 1 ; .align 4 ; nop ; .short 2 ; .align 3 ; nop
        .long 5
    """,
    "expressions": """
        .set a, 5 ; b = 7 ; .equ c, a*b+1 ; .equiv d, (a<<4)|3
        .quad a+b*2, a-b, a*b%4, -7/2, -7%2, 1<<4, 0xf0>>4, -8>>1, 5&6, 5|8, 5^1, ~5, 6!3, !0, !5
        .quad 1+2|4, 1|2+4, 2*3+4, 2+3*4, (2+3)*4, 1<<2+1, 8-2-1, 10-4+2, -a, - -a, +a
        .quad 1==1, 1==2, 1<2, 2<=1, 3>2, 3>=4, 1!=2, 1<>1, 1&&2, 0||3, 0&&1, a==5&&b==7, 1<22+1, 3+1==4, 6&3==2
        .quad c, d, forward, forward*2
        .set forward, 99
        .set a, 6
        .quad a
        li 3,a ; li 3,-a ; li 3,(1<<3)+1 ; lis 3,0x57AC6E9D@h ; ori 3,3,0x57AC6E9D@l ; addi 3,3,0x18000@l
        lis 3,0x12348000@ha ; lis 3,0xdead0000@h ; lis 4,0x123456789abcdef0@highest ; ori 4,4,0x123456789abcdef0@higher
        oris 4,4,0x123456789abcdef0@high ; ld 3,8*4(1) ; std 3,-(8+8)(1) ; ld 3,(a+2)(1) ; lwz 3,(8)(1)
    s:  nop ; nop
    e:  li 3,e-s ; .quad e-s, (e-s)/4
        .if e-s == 8
        li 4,1
        .else
        li 4,2
        .endif
        .org s+32
        nop
    """,
    "macros": r"""
        .macro save reg, off=8, base:req
        std \reg, \off(\base)
        .endm
        .macro many first, rest:vararg
        li \first, 1
        .ifnb \rest
        many \rest
        .endif
        .endm
        .macro lab n
    lab\n: nop
    .Ll\@: b .Ll\@
        .ifc \n,2
        nop
        .endif
        .endm
        .macro text t
        .asciz "\t"
        .endm
        save 3, 16, 1
        save 4, base=1
        save off=24 , reg=5, base=9
        many 3,4,5
        lab 1
        lab 2
        .rept 3
        nop
        .endr
        .irp r,14,15,16
        std \r, 8*\r(1)
        .endr
        .irpc d,123
        li 3,\d
        .endr
        .ifdef nothere
        .error "no"
        .elseif 1
        li 3,77
        .endif
        .ifndef nothere
        li 3,78
        .endif
        .macro outer x
        .macro inner y
        li \x, \y
        .endm
        .rept 2
        nop
        .endr
        inner 5
        .endm
        outer 4
        .section .rodata
        text "a b"
        text plain
    """,
    "comments": """
        nop # a comment; with 'apostrophe and "quote
        # it's a whole line
        nop /* block */ ; nop
        /* several
           lines; nop
           it's */ nop
        .section .rodata ; .asciz "not # a ; comment /* here */"
    """,
    "symbols": """
        .globl g, h ; .hidden h ; .weak w
        .type g, @function ; .type o, @object ; .local l
    g:  nop
    h:  nop
    w:  nop
    l:  nop
        .size g, .-g
        .set abs, 42 ; .globl abs2 ; .set abs2, 43 ; alias = h ; .globl alias ; .set mid, g+4
        .data
    o:  .quad g, h, w, l, alias, mid
        .localentry g, 8
        .localentry l, 1
    """,
}


def compare(data: bytes, expected: bytes) -> None:
    ours, theirs = gnu.read(data), gnu.read(expected)
    assert ours.relocations == theirs.relocations
    assert {name: body.hex(" ", 4) for name, body in ours.sections.items()} == {
        name: body.hex(" ", 4) for name, body in theirs.sections.items()
    }
    assert ours.symbols == theirs.symbols


@gnu.needs_gnu
@pytest.mark.parametrize("name", STANDALONE)
def test_standalone_file_is_what_gnu_as_makes(name: str, tmp_path: Path) -> None:
    text = STANDALONE[name]
    unit = assemble(text, name=f"{name}.s")
    # GNU as does not know C's // and /* is its own, so the text can go to it unprocessed.
    compare(write_object(unit), gnu.gas(text, tmp_path))


KERNEL_STYLE = """\
/*
 * A file in the kernel's style: it's got "quotes" and 'apostrophes' in comments,
 * and a directive's word at the start of a line:
 * #include <nothing.h>
 */
#include <linux/magic.h>
#include <asm/asm-offsets.h>
#include <asm/bug.h>
#include <asm/export.h>
#include <asm/ppc_asm.h>
#include <asm/thread_info.h>
#include <asm/ptrace.h>
#include "own.h"

#define SAVE(n, base) std n,GPR0+8*(n)(base)
#define SAVE2(n, base) SAVE(n, base); SAVE(n + 1, base)
#define LONG_ONE(a, \\
 b) \\
	add	a, a, b ; \\
	subi	a, a, 1	/* three lines */
#if defined(CONFIG_PPC64) && !defined(CONFIG_NOT_THERE) && GPR0 == 112
# define IS64 1
#else
# error "never"
#endif
#ifdef CONFIG_LIVEPATCH
	.section ".text"
	.align 2
_GLOBAL(entry)
	/* don't */	std	r0, LRSAVE(r1)
	stdu	r1, -SWITCH_FRAME_SIZE(r1)	// it's C99
	SAVE2(10, 1)
	OWN_MACRO r14, 8
	LONG_ONE(r3,
	r4)
	lis	r12, STACK_END_MAGIC@h
	ori	r12, r12, STACK_END_MAGIC@l
	clrrdi	r11, r1, THREAD_SHIFT
1:	tdne	r11, r12
	EMIT_BUG_ENTRY 1b, __FILE__, __LINE__ - 1, 0
	LOAD_ADDR(r5, outside)
	bl	tracer
	nop
	bne-	cr1, 2f
	mtcrf	0xff, r7 ; blr
2:	bctr
	.size entry, . - entry
#elif IS64
	nop
#endif
_GLOBAL_TOC(other)
	addis	r3, r2, data@toc@ha
	ld	r3, data@toc@l(r3)
	lvx	v2, r3, r4 ; lxvd2x vs34, 0, r3 ; lfd fr1, 8(r3)
	crset	4*cr6+eq
	b	entry
EXPORT_SYMBOL(other)
"""
OWN_H = """\
.macro OWN_MACRO reg, offset
	std	\\reg, \\offset * 2(r1)	/* in a header */
.endm
#define LOAD_ADDR(reg, name) \\
	lis reg, name@highest; ori reg, reg, name@higher; sldi reg, reg, 32
"""


@gnu.needs_gnu
@pytest.mark.parametrize("entry", [12, 24])
def test_kernel_style_file_is_what_gcc_makes(entry: int, tmp_path: Path) -> None:
    offsets = f"#define GPR0 112\n#define SWITCH_FRAME_SIZE 464\n#define BUG_ENTRY_SIZE {entry}\n"
    (tmp_path / "inc" / "asm").mkdir(parents=True)
    (tmp_path / "inc" / "asm" / "asm-offsets.h").write_text(offsets)
    (tmp_path / "own.h").write_text(OWN_H)
    macros = ["-D__ASSEMBLY__", "-DCONFIG_PPC64", "-DCONFIG_LIVEPATCH"]
    theirs = gnu.gcc(KERNEL_STYLE, tmp_path, "file.S", *macros, "-Iinc", f"-I{HEADERS}")
    unit = assemble(
        KERNEL_STYLE,
        name="file.S",
        headers={"asm/asm-offsets.h": offsets, "own.h": OWN_H},
        defines={"CONFIG_LIVEPATCH": "1"},
    )
    compare(write_object(unit), theirs)


def test_the_same_text_gives_the_same_object_twice() -> None:
    text = STANDALONE["relocations"]
    assert write_object(assemble(text, name="a.s")) == write_object(assemble(text, name="b.s"))
