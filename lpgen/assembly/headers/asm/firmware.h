/* lpgen's stand-in for asm/firmware.h: only what ftrace and livepatch entry code uses. */
#ifndef _LPGEN_ASM_FIRMWARE_H
#define _LPGEN_ASM_FIRMWARE_H
#endif
