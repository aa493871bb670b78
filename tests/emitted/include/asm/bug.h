#ifndef STUB_ASM_BUG_H
#define STUB_ASM_BUG_H
#ifdef __ASSEMBLY__
#include <asm/asm-offsets.h>
#ifdef CONFIG_BUG

/* struct bug_entry with CONFIG_DEBUG_BUGVERBOSE; of 12 bytes with CONFIG_GENERIC_BUG_RELATIVE_POINTERS (6.1). */
	.macro	EMIT_BUG_ENTRY where, name, number, bits
	.section __bug_table, "aw"
4441:
#if BUG_ENTRY_SIZE == 12
	.long	\where - .
	.long	4442f - .
#else
	.quad	\where
	.quad	4442f
#endif
	.short	\number
	.short	\bits
	.org	4441b + BUG_ENTRY_SIZE
	.previous
	.section .rodata, "a"
4442:	.asciz	"\name"
	.previous
	.endm

#endif
#endif
#endif
