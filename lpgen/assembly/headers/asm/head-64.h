/* lpgen's stand-in for asm/head-64.h: only what ftrace and livepatch entry code uses. */
#ifndef _LPGEN_ASM_HEAD_64_H
#define _LPGEN_ASM_HEAD_64_H
#endif
