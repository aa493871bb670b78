/* lpgen's stand-in for asm/pgtable.h: only what ftrace and livepatch entry code uses. */
#ifndef _LPGEN_ASM_PGTABLE_H
#define _LPGEN_ASM_PGTABLE_H
#endif
