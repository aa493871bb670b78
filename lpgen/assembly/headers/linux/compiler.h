/* lpgen's stand-in for linux/compiler.h: only what ftrace and livepatch entry code uses. */
#ifndef _LPGEN_LINUX_COMPILER_H
#define _LPGEN_LINUX_COMPILER_H
#endif
