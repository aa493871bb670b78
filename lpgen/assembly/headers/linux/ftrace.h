/* lpgen's stand-in for linux/ftrace.h: only what ftrace and livepatch entry code uses. */
#ifndef _LPGEN_LINUX_FTRACE_H
#define _LPGEN_LINUX_FTRACE_H
#include <asm/ftrace.h>
#endif
