/* lpgen's stand-in for asm/exception-64s.h: only what ftrace and livepatch entry code uses. */
#ifndef _LPGEN_ASM_EXCEPTION_64S_H
#define _LPGEN_ASM_EXCEPTION_64S_H
#endif
