/* lpgen's stand-in for asm/cache.h: only what ftrace and livepatch entry code uses. */
#ifndef _LPGEN_ASM_CACHE_H
#define _LPGEN_ASM_CACHE_H
#endif
