/* lpgen's stand-in for asm/page.h: only what ftrace and livepatch entry code uses. */
#ifndef _LPGEN_ASM_PAGE_H
#define _LPGEN_ASM_PAGE_H
#define PAGE_SHIFT 16
#define PAGE_SIZE (1 << PAGE_SHIFT)
#endif
