/* lpgen's stand-in for asm/livepatch.h: only what ftrace and livepatch entry code uses. */
#ifndef _LPGEN_ASM_LIVEPATCH_H
#define _LPGEN_ASM_LIVEPATCH_H
#endif
