/* lpgen's stand-in for asm/ptrace.h: only what ftrace and livepatch entry code uses. */
#ifndef _LPGEN_ASM_PTRACE_H
#define _LPGEN_ASM_PTRACE_H
#endif
