/* lpgen's stand-in for linux/stringify.h: only what ftrace and livepatch entry code uses. */
#ifndef _LPGEN_LINUX_STRINGIFY_H
#define _LPGEN_LINUX_STRINGIFY_H
#endif
