/* lpgen's stand-in for asm/reg.h: only what ftrace and livepatch entry code uses. */
#ifndef _LPGEN_ASM_REG_H
#define _LPGEN_ASM_REG_H
#define MSR_SF_LG 63
#define MSR_EE 0x8000
#define MSR_PR 0x4000
#define MSR_FP 0x2000
#define MSR_RI 2
#define MSR_LE 1
#define SPRN_XER 1
#define SPRN_LR 8
#define SPRN_CTR 9
#define SPRN_DSISR 18
#define SPRN_DAR 19
#define SPRN_SRR0 26
#define SPRN_SRR1 27
#define SPRN_VRSAVE 256
#define SPRN_SPRG0 272
#define SPRN_SPRG1 273
#define SPRN_SPRG2 274
#define SPRN_SPRG3 275
#define SPRN_CFAR 28
#define SPRN_PPR 896
#endif
