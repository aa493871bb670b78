/* lpgen's stand-in for asm/barrier.h: only what ftrace and livepatch entry code uses. */
#ifndef _LPGEN_ASM_BARRIER_H
#define _LPGEN_ASM_BARRIER_H
#endif
