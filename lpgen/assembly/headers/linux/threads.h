/* lpgen's stand-in for linux/threads.h: only what ftrace and livepatch entry code uses. */
#ifndef _LPGEN_LINUX_THREADS_H
#define _LPGEN_LINUX_THREADS_H
#endif
