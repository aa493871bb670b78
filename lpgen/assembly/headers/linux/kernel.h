/* lpgen's stand-in for linux/kernel.h: only what ftrace and livepatch entry code uses. */
#ifndef _LPGEN_LINUX_KERNEL_H
#define _LPGEN_LINUX_KERNEL_H
#endif
