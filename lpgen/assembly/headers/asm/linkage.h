/* lpgen's stand-in for asm/linkage.h: only what ftrace and livepatch entry code uses. */
#ifndef _LPGEN_ASM_LINKAGE_H
#define _LPGEN_ASM_LINKAGE_H
#include <linux/linkage.h>
#endif
