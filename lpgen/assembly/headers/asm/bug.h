/* lpgen's stand-in for asm/bug.h: only what ftrace and livepatch entry code uses. */
#ifndef _LPGEN_ASM_BUG_H
#define _LPGEN_ASM_BUG_H
#include <asm/asm-offsets.h>
#include <asm/extable.h>

/*
 * One __bug_table entry of BUG_ENTRY_SIZE bytes. With CONFIG_DEBUG_BUGVERBOSE: the trapping instruction, the file name,
 * line and flags, 24 bytes with addresses or 12 with 32-bit distances; without it: instruction and flags, 16 or 8.
 */
.macro EMIT_BUG_ENTRY addr, file, line, flags
	.pushsection .rodata, "a"
5002:	.asciz "\file"
	.popsection
	.pushsection __bug_table, "aw"
5001:
	.if BUG_ENTRY_SIZE == 24
	.8byte \addr, 5002b
	.short \line
	.elseif BUG_ENTRY_SIZE == 12
	.4byte \addr - 5001b, 5002b - 5001b - 4
	.short \line
	.elseif BUG_ENTRY_SIZE == 16
	.8byte \addr
	.else
	.4byte \addr - 5001b
	.endif
	.short \flags
	.org 5001b + BUG_ENTRY_SIZE
	.popsection
.endm

/* A warning's trap is one that execution goes on behind. */
.macro EMIT_WARN_ENTRY addr, file, line, flags
	EX_TABLE(\addr, \addr + 4)
	EMIT_BUG_ENTRY \addr, \file, \line, \flags
.endm
#endif
