/* lpgen's stand-in for linux/livepatch.h: only what ftrace and livepatch entry code uses. */
#ifndef _LPGEN_LINUX_LIVEPATCH_H
#define _LPGEN_LINUX_LIVEPATCH_H
#endif
