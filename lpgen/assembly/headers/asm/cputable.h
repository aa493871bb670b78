/* lpgen's stand-in for asm/cputable.h: only what ftrace and livepatch entry code uses. */
#ifndef _LPGEN_ASM_CPUTABLE_H
#define _LPGEN_ASM_CPUTABLE_H
#endif
