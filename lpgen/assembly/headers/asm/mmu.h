/* lpgen's stand-in for asm/mmu.h: only what ftrace and livepatch entry code uses. */
#ifndef _LPGEN_ASM_MMU_H
#define _LPGEN_ASM_MMU_H
#endif
