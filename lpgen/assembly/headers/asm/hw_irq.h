/* lpgen's stand-in for asm/hw_irq.h: only what ftrace and livepatch entry code uses. */
#ifndef _LPGEN_ASM_HW_IRQ_H
#define _LPGEN_ASM_HW_IRQ_H
#endif
