/* lpgen's stand-in for asm/interrupt.h: only what ftrace and livepatch entry code uses. */
#ifndef _LPGEN_ASM_INTERRUPT_H
#define _LPGEN_ASM_INTERRUPT_H
#endif
