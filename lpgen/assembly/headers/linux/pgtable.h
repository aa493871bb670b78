/* lpgen's stand-in for linux/pgtable.h: only what ftrace and livepatch entry code uses. */
#ifndef _LPGEN_LINUX_PGTABLE_H
#define _LPGEN_LINUX_PGTABLE_H
#endif
