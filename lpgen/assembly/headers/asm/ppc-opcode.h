/* lpgen's stand-in for asm/ppc-opcode.h: only what ftrace and livepatch entry code uses. */
#ifndef _LPGEN_ASM_PPC_OPCODE_H
#define _LPGEN_ASM_PPC_OPCODE_H
#endif
