/* lpgen's stand-in for asm/tm.h: only what ftrace and livepatch entry code uses. */
#ifndef _LPGEN_ASM_TM_H
#define _LPGEN_ASM_TM_H
#endif
