/* lpgen's stand-in for asm/kprobes.h: only what ftrace and livepatch entry code uses. */
#ifndef _LPGEN_ASM_KPROBES_H
#define _LPGEN_ASM_KPROBES_H
#endif
