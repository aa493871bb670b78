/* lpgen's stand-in for asm/kup.h: only what ftrace and livepatch entry code uses. */
#ifndef _LPGEN_ASM_KUP_H
#define _LPGEN_ASM_KUP_H
#endif
