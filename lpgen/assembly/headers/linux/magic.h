/* lpgen's stand-in for linux/magic.h: only what ftrace and livepatch entry code uses. */
#ifndef _LPGEN_LINUX_MAGIC_H
#define _LPGEN_LINUX_MAGIC_H
#define STACK_END_MAGIC 0x57AC6E9D
#endif
