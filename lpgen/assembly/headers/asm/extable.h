/* lpgen's stand-in for asm/extable.h: only what ftrace and livepatch entry code uses. */
#ifndef _LPGEN_ASM_EXTABLE_H
#define _LPGEN_ASM_EXTABLE_H
/* Where to go on when the instruction at fault traps: two 32-bit distances. */
#define EX_TABLE(fault, target) .pushsection __ex_table, "a"; .balign 4; .long (fault) - ., (target) - .; .popsection
#endif
