/* lpgen's stand-in for asm/thread_info.h: only what ftrace and livepatch entry code uses. */
#ifndef _LPGEN_ASM_THREAD_INFO_H
#define _LPGEN_ASM_THREAD_INFO_H
#define THREAD_SHIFT 14
#define THREAD_SIZE (1 << THREAD_SHIFT)
/* Up to 5.0: thread_info is at the low end of the stack. */
#define CURRENT_THREAD_INFO(dest, sp) clrrdi dest, sp, THREAD_SHIFT
#endif
