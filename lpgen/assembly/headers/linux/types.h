/* lpgen's stand-in for linux/types.h: only what ftrace and livepatch entry code uses. */
#ifndef _LPGEN_LINUX_TYPES_H
#define _LPGEN_LINUX_TYPES_H
#endif
