/* lpgen's stand-in for asm/paca.h: only what ftrace and livepatch entry code uses. */
#ifndef _LPGEN_ASM_PACA_H
#define _LPGEN_ASM_PACA_H
#endif
