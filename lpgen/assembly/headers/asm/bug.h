/* lpgen's stand-in for asm/bug.h: only what ftrace and livepatch entry code uses. */
#ifndef _LPGEN_ASM_BUG_H
#define _LPGEN_ASM_BUG_H
#include <asm/asm-offsets.h>

/*
 * One __bug_table entry: the trapping instruction, the file name, the line and the flags, BUG_ENTRY_SIZE bytes in all.
 * 12 bytes is the table of relative pointers (32 bits each, from the field itself); anything larger holds addresses.
 */
.macro EMIT_BUG_ENTRY addr, file, line, flags
	.pushsection .rodata, "a"
5002:	.asciz "\file"
	.popsection
	.pushsection __bug_table, "aw"
5001:
	.if BUG_ENTRY_SIZE == 12
	.4byte \addr - ., 5002b - .
	.else
	.8byte \addr, 5002b
	.endif
	.short \line, \flags
	.org 5001b + BUG_ENTRY_SIZE
	.popsection
.endm
#endif
