/* SPDX-License-Identifier: GPL-2.0 */
/*
 * lpgen 0.1.0: lpgen emit --kernel 6.8
 *
 * ftrace entry and livepatch trampolines, ppc64le, ELFv2.
 * Kernel 6.8 (generation G9, layout L4); offsets: layout L4, default paca
 * CONFIG_ARCH_USING_PATCHABLE_FUNCTION_ENTRY=n
 * CONFIG_FUNCTION_GRAPH_TRACER=y
 * CONFIG_LIVEPATCH_64=y
 *
 * Replaces the whole of arch/powerpc/kernel/trace/ftrace_entry.S.
 *
 *   A --bl--> B --bl--> ftrace_caller or ftrace_regs_caller
 *                           | bl--> tracer(ip, parent_ip, ops, regs)
 *                           |         may set regs->nip
 *      nip in B's body <----+
 *                           + nip changed: livepatch_handler --bctrl--> C
 *                                          A <--blr-- livepatch_handler <--blr--+
 *
 * T1 to L7 in the comments name the statements that "lpgen verify" judges.
 */
#include <linux/magic.h>
#include <linux/export.h>
#include <asm/asm-offsets.h>
#include <asm/bug.h>
#include <asm/ftrace.h>
#include <asm/ppc_asm.h>

#if !defined(__powerpc64__) || _CALL_ELF != 2
#error "ppc64, ELFv2 only: the kernel's own file serves other ABIs too"
#endif
#ifdef CONFIG_PPC_KERNEL_PCREL
#error "a pc-relative kernel has no TOC in its paca"
#endif

#ifdef CONFIG_ARCH_USING_PATCHABLE_FUNCTION_ENTRY
#error "made for CONFIG_ARCH_USING_PATCHABLE_FUNCTION_ENTRY=n"
#endif
#ifndef CONFIG_FUNCTION_GRAPH_TRACER
#error "made for CONFIG_FUNCTION_GRAPH_TRACER=y"
#endif
#ifndef CONFIG_LIVEPATCH_64
#error "made for CONFIG_LIVEPATCH_64=y"
#endif

/*
 * ftrace_regs_caller: call the tracer with B's registers, then go on at regs->nip: in
 * B or, when the tracer changed it, through livepatch_handler in C.
 *
 *   void tracer(unsigned long ip, unsigned long parent_ip,
 *               struct ftrace_ops *ops, struct pt_regs *regs);
 *
 * On entry:
 *   LR   the instruction behind the call site's bl, in B       -> regs->nip
 *   r0   return address into A                                 -> regs->link
 *   r1   A's frame; B has none yet
 *   r2   B's TOC; entered at its local entry, B has it from A
 *   r3-r10, f1-f13, v2-v13  B's arguments; r11 static chain; r13 paca
 *
 * On exit to B (X1): CTR = nip, LR = r0 = regs->link, r12 = nip; r1, r2, r13
 *   and every FPR and VR as on entry; r3-r10, r14-r31 as regs has them (X2).
 * MAY CHANGE on the way to B: r0 and LR (by an edit of regs->link), r11, r12, CTR,
 *   CR0, CR1, CR5-CR7, XER; memory: the new frames and 16(A's frame) (T5).
 * With tracing off in the paca no tracer is called: on in B with all as on entry but
 *   for r12, CTR and CR0.
 *
 * Assumes: the tracer keeps r1, r14 and CR2-CR4 (ELFv2 2.2.1) and uses no FPR and
 *   no VR (the kernel is built with -msoft-float); r13 is this cpu's paca.
 *
 * The frame, from r1 up; above it one of 32 bytes for B, whose LR save holds nip (T4):
 *     0  back chain             16  LR save (the tracer's)
 *    24  r2 of B (T2)         GPR0  struct pt_regs
 */
_GLOBAL(ftrace_regs_caller)
	/* T4: with A's return address in A's frame the back chain is complete */
	std	r0, LRSAVE(r1)
	stdu	r1, -32(r1)			/* T4: a frame for B */
	stdu	r1, -SWITCH_FRAME_SIZE(r1)

	/* T3: what the tests below use is saved first */
	std	r12, GPR12(r1)
	mfcr	r12
	std	r12, _CCR(r1)
	lbz	r12, PACA_FTRACE_ENABLED(r13)
	cmpwi	r12, 0
	beq-	1f
	std	r11, GPR11(r1)

	/* T3; orig_gpr3, softe, trap, dar, dsisr and result are not written */
	std	r0, GPR0(r1)
	std	r2, GPR2(r1)
	std	r2, STK_GOT(r1)
	std	r3, GPR3(r1)
	std	r4, GPR4(r1)
	std	r5, GPR5(r1)
	std	r6, GPR6(r1)
	std	r7, GPR7(r1)
	std	r8, GPR8(r1)
	std	r9, GPR9(r1)
	std	r10, GPR10(r1)
	std	r13, GPR13(r1)
	std	r14, GPR0+8*14(r1)
	std	r15, GPR0+8*15(r1)
	std	r16, GPR0+8*16(r1)
	std	r17, GPR0+8*17(r1)
	std	r18, GPR0+8*18(r1)
	std	r19, GPR0+8*19(r1)
	std	r20, GPR0+8*20(r1)
	std	r21, GPR0+8*21(r1)
	std	r22, GPR0+8*22(r1)
	std	r23, GPR0+8*23(r1)
	std	r24, GPR0+8*24(r1)
	std	r25, GPR0+8*25(r1)
	std	r26, GPR0+8*26(r1)
	std	r27, GPR0+8*27(r1)
	std	r28, GPR0+8*28(r1)
	std	r29, GPR0+8*29(r1)
	std	r30, GPR0+8*30(r1)
	std	r31, GPR0+8*31(r1)

	/* r14 is saved and comes back from pt_regs (X2): nip can stay in it meanwhile */
	mflr	r14
	mfctr	r7
	mfxer	r8
	mfmsr	r10
	addi	r11, r1, SWITCH_FRAME_SIZE+32
	std	r14, SWITCH_FRAME_SIZE+LRSAVE(r1)	/* T4: B's frame */
	ld	r2, PACATOC(r13)		/* T2 */
	std	r11, GPR1(r1)
	std	r14, _NIP(r1)
	std	r0, _LINK(r1)
	std	r7, _CTR(r1)
	std	r8, _XER(r1)
	std	r10, _MSR(r1)

	/* T1 */
	addi	r3, r14, -MCOUNT_INSN_SIZE	/* ip: the call site's bl */
	mr	r4, r0				/* parent_ip: return address into A */
	addis	r5, r2, function_trace_op@toc@ha
	ld	r5, function_trace_op@toc@l(r5)
	addi	r6, r1, GPR0			/* pt_regs starts with gpr[0] */

	/* ftrace patches this bl when tracing is switched on */
	.globl	ftrace_regs_call
ftrace_regs_call:
	bl	ftrace_stub

	/* X1: what the tracer left in nip and link is where B goes on and returns to */
	ld	r12, _NIP(r1)
	ld	r0, _LINK(r1)
	mtctr	r12
	mtlr	r0
	cmpd	r12, r14			/* for the bne below: nothing there sets CR0 */

	/*
	 * X2. r1 and r13 are not reloaded: r1 is known, and the thread may be on
	 * another cpu, with another paca, than when pt_regs was filled.
	 */
	ld	r2, STK_GOT(r1)
	ld	r3, GPR3(r1)
	ld	r4, GPR4(r1)
	ld	r5, GPR5(r1)
	ld	r6, GPR6(r1)
	ld	r7, GPR7(r1)
	ld	r8, GPR8(r1)
	ld	r9, GPR9(r1)
	ld	r10, GPR10(r1)
	ld	r14, GPR0+8*14(r1)
	ld	r15, GPR0+8*15(r1)
	ld	r16, GPR0+8*16(r1)
	ld	r17, GPR0+8*17(r1)
	ld	r18, GPR0+8*18(r1)
	ld	r19, GPR0+8*19(r1)
	ld	r20, GPR0+8*20(r1)
	ld	r21, GPR0+8*21(r1)
	ld	r22, GPR0+8*22(r1)
	ld	r23, GPR0+8*23(r1)
	ld	r24, GPR0+8*24(r1)
	ld	r25, GPR0+8*25(r1)
	ld	r26, GPR0+8*26(r1)
	ld	r27, GPR0+8*27(r1)
	ld	r28, GPR0+8*28(r1)
	ld	r29, GPR0+8*29(r1)
	ld	r30, GPR0+8*30(r1)
	ld	r31, GPR0+8*31(r1)
	addi	r1, r1, SWITCH_FRAME_SIZE+32

	/* X3: CTR = new nip, LR = return address into A, r1 = A's frame */
	bne-	livepatch_handler
	bctr

	/* tracing is off */
1:
	addi	r1, r1, SWITCH_FRAME_SIZE+32
	b	ftrace_no_trace

/*
 * ftrace_caller: what ftrace_regs_caller does, for a tracer that asks for no more than
 * a partial pt_regs: gpr[0], gpr[1], gpr[3..10], nip and link, and 0 for msr, which says
 * so (T3).
 *
 * On entry, and with tracing off: as ftrace_regs_caller.
 * On exit to B (X1): CTR = nip, LR = r0 = regs->link; r1, r2, r13-r31 and every FPR
 *   and VR as on entry; r3-r10 as regs has them.
 * MAY CHANGE on the way to B: r0 and LR (by an edit of regs->link), r11, r12, CTR,
 *   CR0, CR1, CR5-CR7, XER; memory: the new frames and 16(A's frame) (T5).
 *
 * Assumes: as ftrace_regs_caller, but for r14.
 *
 * The frame is that of ftrace_regs_caller.
 */
_GLOBAL(ftrace_caller)
	lbz	r12, PACA_FTRACE_ENABLED(r13)
	cmpwi	r12, 0
	beq-	ftrace_no_trace

	/* T4: with A's return address in A's frame the back chain is complete */
	std	r0, LRSAVE(r1)
	stdu	r1, -32(r1)			/* T4: a frame for B */
	stdu	r1, -SWITCH_FRAME_SIZE(r1)
	std	r2, STK_GOT(r1)
	std	r0, GPR0(r1)
	std	r3, GPR3(r1)
	std	r4, GPR4(r1)
	std	r5, GPR5(r1)
	std	r6, GPR6(r1)
	std	r7, GPR7(r1)
	std	r8, GPR8(r1)
	std	r9, GPR9(r1)
	std	r10, GPR10(r1)
	mflr	r12
	ld	r2, PACATOC(r13)		/* T2 */
	std	r12, _NIP(r1)
	std	r12, SWITCH_FRAME_SIZE+LRSAVE(r1)	/* T4: B's frame */
	addi	r7, r1, SWITCH_FRAME_SIZE+32
	li	r8, 0
	std	r0, _LINK(r1)
	std	r7, GPR1(r1)
	std	r8, _MSR(r1)

	/* T1 */
	addi	r3, r12, -MCOUNT_INSN_SIZE	/* ip: the call site's bl */
	mr	r4, r0				/* parent_ip: return address into A */
	addis	r5, r2, function_trace_op@toc@ha
	ld	r5, function_trace_op@toc@l(r5)
	addi	r6, r1, GPR0			/* pt_regs starts with gpr[0] */

	/* ftrace patches this bl when tracing is switched on */
	.globl	ftrace_call
ftrace_call:
	bl	ftrace_stub

	/* X1: what the tracer left in nip and link is where B goes on and returns to */
	ld	r12, _NIP(r1)
	ld	r11, SWITCH_FRAME_SIZE+LRSAVE(r1)	/* old nip */
	ld	r0, _LINK(r1)
	cmpd	r12, r11			/* for the bne below: nothing there sets CR0 */
	mtctr	r12
	mtlr	r0
	ld	r2, STK_GOT(r1)
	ld	r3, GPR3(r1)
	ld	r4, GPR4(r1)
	ld	r5, GPR5(r1)
	ld	r6, GPR6(r1)
	ld	r7, GPR7(r1)
	ld	r8, GPR8(r1)
	ld	r9, GPR9(r1)
	ld	r10, GPR10(r1)
	addi	r1, r1, SWITCH_FRAME_SIZE+32

	/* X3: CTR = new nip, LR = return address into A, r1 = A's frame */
	bne-	livepatch_handler
	bctr

/* ftrace_no_trace: tracing is off: on in B, as the headers above say */
_GLOBAL(ftrace_no_trace)
	mflr	r12
	mtctr	r12
	mtlr	r0
	bctr

/* ftrace_stub: the tracer while there is none */
_GLOBAL(ftrace_stub)
	blr

/*
 * livepatch_handler: call C in B's place, with r2 and LR kept around it.
 *
 * A called B with a local call, so A neither saved its TOC nor expects another
 * one back. No stack frame may be pushed (L1): when C takes more than 8 argument
 * doublewords, or is variadic, it finds them relative to r1, in A's frame. So
 * r2 and LR go to the livepatch stack, which grows up from the bottom of this
 * thread's stack memory; thread_info.livepatch_sp is its top.
 *
 * On entry:
 *   CTR  C's global entry point (the new nip)
 *   LR   return address into A
 *   r1   A's frame; r2 the TOC to give back to A; all of B's arguments
 *
 * C is entered with r12 = CTR = its global entry point, LR in here (L3).
 * On return to A: r2 and LR as on entry, C's results untouched (L4, L5).
 * MAY CHANGE: r0, r11, r12, r2 (once C returned), CTR, LR, CR0; memory:
 *   livepatch_sp and the 24 bytes below the raised livepatch_sp.
 *
 * Assumes: the paca's task is the one that runs, and its livepatch_sp was set up
 *   (livepatch.h); C gives r1 back.
 *
 * The frame on the livepatch stack, down from the raised livepatch_sp (L2):
 *    -8  STACK_END_MAGIC     -16  return address into A     -24  r2
 *
 * livepatch_sp is raised before the frame is filled and lowered after it was
 * read back: at no instruction is anything live above it, where an interrupt
 * may build frames of its own (L2).
 */
_GLOBAL(livepatch_handler)
	ld	r12, PACA_THREAD_INFO(r13)	/* current_thread_info() */
	mflr	r0
	ld	r11, TI_livepatch_sp(r12)
	addi	r11, r11, 24
	std	r11, TI_livepatch_sp(r12)
	lis	r12, STACK_END_MAGIC@h
	std	r0, -16(r11)
	ori	r12, r12, STACK_END_MAGIC@l
	std	r2, -24(r11)
	std	r12, -8(r11)
	mfctr	r12
	bctrl

	/* r1 is A's frame again; r3, r4 and what else holds results is not ours */
	ld	r12, PACA_THREAD_INFO(r13)	/* of the cpu that it is on now */
	lis	r2, STACK_END_MAGIC@h
	ld	r11, TI_livepatch_sp(r12)
	ori	r2, r2, STACK_END_MAGIC@l
	ld	r0, -8(r11)

	/* L4: somebody wrote over the livepatch stack: stop before it is popped */
1:	tdne	r0, r2
	EMIT_BUG_ENTRY 1b, __FILE__, __LINE__, 0

	ld	r0, -16(r11)
	ld	r2, -24(r11)
	addi	r11, r11, -24
	mtlr	r0
	std	r11, TI_livepatch_sp(r12)
	blr

/*
 * _mcount: where a call site of -mprofile-kernel leads that ftrace has not patched. Back
 * at once, with LR = r0 = return address into A. MAY CHANGE: r12, CTR.
 */
_GLOBAL(mcount)
_GLOBAL(_mcount)
EXPORT_SYMBOL(_mcount)
	mflr	r12
	mtctr	r12
	mtlr	r0
	bctr

/*
 * return_to_handler: where the graph tracer makes B return to.
 *
 *   unsigned long ftrace_return_to_handler(unsigned long frame_pointer);
 *
 * returns where B was to return to; the frame pointer is not used on powerpc.
 *
 * On entry: as on B's return to A: r1 A's frame, r3, r4, f1-f8, v2-v9 B's results.
 * On exit to A: LR = that address; r1, r2, r13-r31 and every FPR and VR as on entry;
 *   r3, r4 as on entry.
 * MAY CHANGE: r0, r5-r12, CTR, XER, CR0, CR1, CR5-CR7; memory: the new frame.
 *
 * Assumes: ftrace_return_to_handler uses no FPR and no VR (-msoft-float).
 */
_GLOBAL(return_to_handler)
	/* a callee of one integer has no parameter save area (ELFv2 2.2.3.1): 32 on is ours */
	stdu	r1, -48(r1)
	std	r2, STK_GOT(r1)
	std	r3, 32(r1)
	std	r4, 40(r1)
	ld	r2, PACATOC(r13)
	bl	ftrace_return_to_handler
	nop

	mtlr	r3
	ld	r2, STK_GOT(r1)
	ld	r3, 32(r1)
	ld	r4, 40(r1)
	addi	r1, r1, 48
	blr

/* ftrace writes a trampoline here: call sites that are too far away branch to it */
	.pushsection ".tramp.ftrace.text", "aw", @progbits
	.align	2
	.globl	ftrace_tramp_text
ftrace_tramp_text:
	.space	32
	.popsection
	.pushsection ".tramp.ftrace.init", "aw", @progbits
	.align	2
	.globl	ftrace_tramp_init
ftrace_tramp_init:
	.space	32
	.popsection
