/* lpgen's stand-in for linux/export.h: only what ftrace and livepatch entry code uses. */
#ifndef _LPGEN_LINUX_EXPORT_H
#define _LPGEN_LINUX_EXPORT_H
#include <asm/export.h>
#endif
