/*
 * Another way to write the trampolines of 6.8 to 6.12, for a verdict on what lpgen did not write: the lean entry keeps nip
 * in a nonvolatile register, the paca's flag is tested behind the saves and CR is saved behind that, ftrace_no_trace
 * and livepatch_handler are local, the handler stores the marker first, return_to_handler keeps B's r2 in r29 and the
 * results in the red zone.
 */
#include <linux/magic.h>
#include <asm/asm-offsets.h>
#include <asm/bug.h>
#include <asm/ppc_asm.h>

	.globl	ftrace_regs_caller
ftrace_regs_caller:
	stdu	r1, -32(r1)
	stdu	r1, -SWITCH_FRAME_SIZE(r1)
	std	r10, GPR0+8*10(r1)
	std	r9, GPR0+8*9(r1)
	std	r8, GPR0+8*8(r1)
	std	r7, GPR0+8*7(r1)
	std	r6, GPR0+8*6(r1)
	std	r5, GPR0+8*5(r1)
	std	r4, GPR0+8*4(r1)
	std	r3, GPR0+8*3(r1)
	std	r0, GPR0+8*0(r1)
	lbz	r9, PACA_FTRACE_ENABLED(r13)
	cmplwi	r9, 0
	beq-	ftrace_no_trace
	mflr	r10
	std	r0, SWITCH_FRAME_SIZE+48(r1)
	std	r0, _LINK(r1)
	std	r10, SWITCH_FRAME_SIZE+16(r1)
	std	r10, _NIP(r1)
	std	r2, GPR2(r1)
	std	r31, GPR0+8*31(r1)
	std	r30, GPR0+8*30(r1)
	std	r29, GPR0+8*29(r1)
	std	r28, GPR0+8*28(r1)
	std	r27, GPR0+8*27(r1)
	std	r26, GPR0+8*26(r1)
	std	r25, GPR0+8*25(r1)
	std	r24, GPR0+8*24(r1)
	std	r23, GPR0+8*23(r1)
	std	r22, GPR0+8*22(r1)
	std	r21, GPR0+8*21(r1)
	std	r20, GPR0+8*20(r1)
	std	r19, GPR0+8*19(r1)
	std	r18, GPR0+8*18(r1)
	std	r17, GPR0+8*17(r1)
	std	r16, GPR0+8*16(r1)
	std	r15, GPR0+8*15(r1)
	std	r14, GPR0+8*14(r1)
	std	r13, GPR0+8*13(r1)
	std	r12, GPR0+8*12(r1)
	std	r11, GPR0+8*11(r1)
	mfcr	r11
	std	r11, _CCR(r1)
	mfmsr	r11
	std	r11, _MSR(r1)
	mfxer	r11
	std	r11, _XER(r1)
	mfctr	r11
	std	r11, _CTR(r1)
	mr	r21, r10
	addi	r11, r1, SWITCH_FRAME_SIZE+32
	std	r11, GPR1(r1)
	std	r2, 24(r1)
	ld	r2, PACATOC(r13)
	addi	r6, r1, GPR0
	addis	r5, r2, function_trace_op@toc@ha
	ld	r5, function_trace_op@toc@l(r5)
	mr	r4, r0
	addi	r3, r10, -4
	.globl	ftrace_regs_call
ftrace_regs_call:
	bl	ftrace_stub
	ld	r0, _LINK(r1)
	ld	r12, _NIP(r1)
	ld	r2, 24(r1)
	cmpd	r12, r21
	mtlr	r0
	mtctr	r12
	ld	r31, GPR0+8*31(r1)
	ld	r30, GPR0+8*30(r1)
	ld	r29, GPR0+8*29(r1)
	ld	r28, GPR0+8*28(r1)
	ld	r27, GPR0+8*27(r1)
	ld	r26, GPR0+8*26(r1)
	ld	r25, GPR0+8*25(r1)
	ld	r24, GPR0+8*24(r1)
	ld	r23, GPR0+8*23(r1)
	ld	r22, GPR0+8*22(r1)
	ld	r21, GPR0+8*21(r1)
	ld	r20, GPR0+8*20(r1)
	ld	r19, GPR0+8*19(r1)
	ld	r18, GPR0+8*18(r1)
	ld	r17, GPR0+8*17(r1)
	ld	r16, GPR0+8*16(r1)
	ld	r15, GPR0+8*15(r1)
	ld	r14, GPR0+8*14(r1)
	ld	r11, GPR0+8*11(r1)
	ld	r10, GPR0+8*10(r1)
	ld	r9, GPR0+8*9(r1)
	ld	r8, GPR0+8*8(r1)
	ld	r7, GPR0+8*7(r1)
	ld	r6, GPR0+8*6(r1)
	ld	r5, GPR0+8*5(r1)
	ld	r4, GPR0+8*4(r1)
	ld	r3, GPR0+8*3(r1)
	addi	r1, r1, SWITCH_FRAME_SIZE+32
	bne-	livepatch_handler
	bctr

	.globl	ftrace_caller
ftrace_caller:
	stdu	r1, -32(r1)
	stdu	r1, -SWITCH_FRAME_SIZE(r1)
	std	r10, GPR0+8*10(r1)
	std	r9, GPR0+8*9(r1)
	std	r8, GPR0+8*8(r1)
	std	r7, GPR0+8*7(r1)
	std	r6, GPR0+8*6(r1)
	std	r5, GPR0+8*5(r1)
	std	r4, GPR0+8*4(r1)
	std	r3, GPR0+8*3(r1)
	std	r0, GPR0+8*0(r1)
	lbz	r9, PACA_FTRACE_ENABLED(r13)
	cmplwi	r9, 0
	beq-	ftrace_no_trace
	mflr	r10
	std	r0, SWITCH_FRAME_SIZE+48(r1)
	std	r0, _LINK(r1)
	std	r10, SWITCH_FRAME_SIZE+16(r1)
	std	r10, _NIP(r1)
	std	r20, GPR0+8*20(r1)
	li	r11, 0
	std	r11, _MSR(r1)
	mr	r20, r10
	addi	r11, r1, SWITCH_FRAME_SIZE+32
	std	r11, GPR1(r1)
	std	r2, 24(r1)
	ld	r2, PACATOC(r13)
	addi	r6, r1, GPR0
	addis	r5, r2, function_trace_op@toc@ha
	ld	r5, function_trace_op@toc@l(r5)
	mr	r4, r0
	addi	r3, r10, -4
	.globl	ftrace_call
ftrace_call:
	bl	ftrace_stub
	ld	r0, _LINK(r1)
	ld	r12, _NIP(r1)
	ld	r2, 24(r1)
	cmpd	r12, r20
	mtlr	r0
	mtctr	r12
	ld	r20, GPR0+8*20(r1)
	ld	r10, GPR0+8*10(r1)
	ld	r9, GPR0+8*9(r1)
	ld	r8, GPR0+8*8(r1)
	ld	r7, GPR0+8*7(r1)
	ld	r6, GPR0+8*6(r1)
	ld	r5, GPR0+8*5(r1)
	ld	r4, GPR0+8*4(r1)
	ld	r3, GPR0+8*3(r1)
	addi	r1, r1, SWITCH_FRAME_SIZE+32
	bne-	livepatch_handler
	bctr

ftrace_no_trace:
	mflr	r9
	mtlr	r0
	mtctr	r9
	ld	r9, GPR9(r1)
	addi	r1, r1, SWITCH_FRAME_SIZE+32
	bctr

	.globl	ftrace_stub
ftrace_stub:
	blr

livepatch_handler:
	ld	r11, PACA_THREAD_INFO(r13)
	ld	r12, TI_livepatch_sp(r11)
	addi	r12, r12, 24
	std	r12, TI_livepatch_sp(r11)
	lis	r0, STACK_END_MAGIC@h
	ori	r0, r0, STACK_END_MAGIC@l
	std	r0, -8(r12)
	mflr	r0
	std	r2, -24(r12)
	std	r0, -16(r12)
	mfctr	r12
	bctrl
	lis	r12, STACK_END_MAGIC@h
	ori	r12, r12, STACK_END_MAGIC@l
	ld	r2, PACA_THREAD_INFO(r13)
	ld	r11, TI_livepatch_sp(r2)
	ld	r0, -8(r11)
9:	tdne	r12, r0
	EMIT_BUG_ENTRY 9b, __FILE__, __LINE__, 0
	ld	r12, -16(r11)
	mtlr	r12
	ld	r12, -24(r11)
	addi	r11, r11, -24
	std	r11, TI_livepatch_sp(r2)
	mr	r2, r12
	blr

	.globl	mcount, _mcount
mcount:
_mcount:
	mflr	r12
	mtlr	r0
	mtctr	r12
	bctr

	.globl	return_to_handler
return_to_handler:
	std	r29, -40(r1)
	std	r3, -48(r1)
	std	r4, -56(r1)
	mr	r29, r2
	stdu	r1, -96(r1)
	ld	r2, PACATOC(r13)
	bl	ftrace_return_to_handler
	nop
	mtlr	r3
	addi	r1, r1, 96
	mr	r2, r29
	ld	r4, -56(r1)
	ld	r3, -48(r1)
	ld	r29, -40(r1)
	blr

	.pushsection ".tramp.ftrace.text", "aw", @progbits
	.globl	ftrace_tramp_text
ftrace_tramp_text:
	.space	32
	.popsection
	.pushsection ".tramp.ftrace.init", "aw", @progbits
	.globl	ftrace_tramp_init
ftrace_tramp_init:
	.space	32
	.popsection
