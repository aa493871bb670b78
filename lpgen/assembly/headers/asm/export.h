/* lpgen's stand-in for asm/export.h: only what ftrace and livepatch entry code uses. */
#ifndef _LPGEN_ASM_EXPORT_H
#define _LPGEN_ASM_EXPORT_H
#define EXPORT_SYMBOL(name)
#define EXPORT_SYMBOL_GPL(name)
#endif
