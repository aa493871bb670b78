/* lpgen's stand-in for asm/types.h: only what ftrace and livepatch entry code uses. */
#ifndef _LPGEN_ASM_TYPES_H
#define _LPGEN_ASM_TYPES_H
#endif
