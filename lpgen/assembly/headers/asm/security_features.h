/* lpgen's stand-in for asm/security_features.h: only what ftrace and livepatch entry code uses. */
#ifndef _LPGEN_ASM_SECURITY_FEATURES_H
#define _LPGEN_ASM_SECURITY_FEATURES_H
#endif
