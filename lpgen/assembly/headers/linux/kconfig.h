/* lpgen's stand-in for linux/kconfig.h: only what ftrace and livepatch entry code uses. */
#ifndef _LPGEN_LINUX_KCONFIG_H
#define _LPGEN_LINUX_KCONFIG_H
#endif
