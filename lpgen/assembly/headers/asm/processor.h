/* lpgen's stand-in for asm/processor.h: only what ftrace and livepatch entry code uses. */
#ifndef _LPGEN_ASM_PROCESSOR_H
#define _LPGEN_ASM_PROCESSOR_H
#endif
