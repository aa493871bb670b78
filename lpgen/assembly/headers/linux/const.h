/* lpgen's stand-in for linux/const.h: only what ftrace and livepatch entry code uses. */
#ifndef _LPGEN_LINUX_CONST_H
#define _LPGEN_LINUX_CONST_H
#define _AC(x, y) x
#define _UL(x) x
#define UL(x) x
#define _BITUL(x) (1 << (x))
#endif
