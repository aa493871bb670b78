/* lpgen's stand-in for asm/synch.h: only what ftrace and livepatch entry code uses. */
#ifndef _LPGEN_ASM_SYNCH_H
#define _LPGEN_ASM_SYNCH_H
#endif
