/* lpgen's stand-in for asm/unistd.h: only what ftrace and livepatch entry code uses. */
#ifndef _LPGEN_ASM_UNISTD_H
#define _LPGEN_ASM_UNISTD_H
#endif
