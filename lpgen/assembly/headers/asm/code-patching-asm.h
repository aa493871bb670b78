/* lpgen's stand-in for asm/code-patching-asm.h: only what ftrace and livepatch entry code uses. */
#ifndef _LPGEN_ASM_CODE_PATCHING_ASM_H
#define _LPGEN_ASM_CODE_PATCHING_ASM_H
#endif
