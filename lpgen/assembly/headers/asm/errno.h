/* lpgen's stand-in for asm/errno.h: only what ftrace and livepatch entry code uses. */
#ifndef _LPGEN_ASM_ERRNO_H
#define _LPGEN_ASM_ERRNO_H
#include <linux/errno.h>
#endif
