/* lpgen's stand-in for asm/irqflags.h: only what ftrace and livepatch entry code uses. */
#ifndef _LPGEN_ASM_IRQFLAGS_H
#define _LPGEN_ASM_IRQFLAGS_H
#endif
