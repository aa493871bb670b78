/* lpgen's stand-in for asm/context_tracking.h: only what ftrace and livepatch entry code uses. */
#ifndef _LPGEN_ASM_CONTEXT_TRACKING_H
#define _LPGEN_ASM_CONTEXT_TRACKING_H
#endif
