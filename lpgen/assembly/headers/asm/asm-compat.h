/* lpgen's stand-in for asm/asm-compat.h: only what ftrace and livepatch entry code uses. */
#ifndef _LPGEN_ASM_ASM_COMPAT_H
#define _LPGEN_ASM_ASM_COMPAT_H
#include <asm/ppc_asm.h>
#endif
