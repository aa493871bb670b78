/* lpgen's stand-in for asm/feature-fixups.h: only what ftrace and livepatch entry code uses. */
#ifndef _LPGEN_ASM_FEATURE_FIXUPS_H
#define _LPGEN_ASM_FEATURE_FIXUPS_H
#endif
