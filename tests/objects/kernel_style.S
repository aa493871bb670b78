/* Ways in which the kernel writes its assembly; assembled by lpgen and by GNU as, preprocessed by pcpp and by gcc. */
#include <linux/linkage.h>
#include <linux/export.h>
#include <asm/ppc_asm.h>
#include <asm/asm-offsets.h>
#include <asm/ftrace.h>
#include <asm/bug.h>
#include <asm/reg.h>
#include <asm/feature-fixups.h>
#include <asm/cputable.h>
#include <asm/thread_info.h>
#include <linux/magic.h>

.macro	save_one reg, off=8
	.if \off > 4
	std	\reg, \off(r1)
	.else
	stw	\reg, \off(r1)
	.endif
.endm

_GLOBAL_TOC(some_func)
	save_one r3
	save_one reg=r4, off=4   # a comment
1:	cmpdi	r3, 0            // another
	beq	1f
	b	1b
1:
BEGIN_FTR_SECTION
	nop
END_FTR_SECTION_IFSET(CPU_FTR_ARCH_207S)
BEGIN_FTR_SECTION
	mfspr r5, SPRN_PPR
FTR_SECTION_ELSE
	li r5, 0
ALT_FTR_SECTION_END_IFSET(CPU_FTR_HAS_PPR)
BEGIN_FTR_SECTION_NESTED(97)
	nop
END_FTR_SECTION_NESTED(CPU_FTR_A2, CPU_FTR_A2, 97)
BEGIN_MMU_FTR_SECTION
	nop
END_MMU_FTR_SECTION_IFCLR(MMU_FTR_TYPE_RADIX)
BEGIN_FW_FTR_SECTION
	nop
END_FW_FTR_SECTION_IFSET(FW_FEATURE_LPAR)
2:	tdnei r3, 0
	EMIT_BUG_ENTRY 2b, __FILE__, __LINE__, 0
	blr
EXPORT_SYMBOL(some_func)
_ASM_NOKPROBE_SYMBOL(some_func)

SYM_FUNC_START(a_func)
	blr
SYM_FUNC_END(a_func)
SYM_CODE_START(b_func)
	blr
SYM_INNER_LABEL(b_inner, SYM_L_GLOBAL)
	blr
SYM_CODE_END(b_func)
SYM_FUNC_START_LOCAL(c_func)
	blr
SYM_FUNC_END(c_func)
SYM_FUNC_START_WEAK(w_func)
	blr
SYM_FUNC_END(w_func)
SYM_FUNC_ALIAS(alias_func, a_func)
SYM_DATA_START(d1)
	.quad 1
SYM_DATA_END(d1)
SYM_DATA(d2, .quad 2)
SYM_CODE_START_LOCAL(l_func)
	blr
SYM_CODE_END(l_func)
_GLOBAL(x_func)
	LOAD_REG_ADDR(r5, some_func)
	LOAD_REG_IMMEDIATE(r6, 0x12345678)
	SAVE_GPR(3, r1)
	SAVE_GPRS(4, 10, r1)
	REST_GPR(3, r1)
	REST_GPRS(4, 10, r1)
	SAVE_NVGPRS(r1)
	REST_NVGPRS(r1)
	PPC_LL r0, PPC_LR_STKOFF(r1)
	MTMSRD(r3) 
	sync; isync
	lwsync
	mfmsr r3
	mfspr r3, SPRN_SRR0
	bctrl
	bl CFUNC(a_func)
	blr
