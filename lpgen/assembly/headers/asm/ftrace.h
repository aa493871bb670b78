/* lpgen's stand-in for asm/ftrace.h: only what ftrace and livepatch entry code uses. */
#ifndef _LPGEN_ASM_FTRACE_H
#define _LPGEN_ASM_FTRACE_H
#define MCOUNT_INSN_SIZE 4
#endif
