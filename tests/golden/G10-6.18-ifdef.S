/* SPDX-License-Identifier: GPL-2.0 */
/*
 * lpgen 0.1.0: lpgen emit --kernel 6.18 --ifdef
 *
 * ftrace entry and livepatch trampolines, ppc64le, ELFv2.
 * Kernel 6.18 (generation G10, layout L4); offsets: layout L4, default paca
 * For every setting of CONFIG_ARCH_USING_PATCHABLE_FUNCTION_ENTRY,
 * CONFIG_DYNAMIC_FTRACE_WITH_CALL_OPS,
 * CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS, CONFIG_FUNCTION_GRAPH_TRACER,
 * CONFIG_LIVEPATCH_64, CONFIG_PPC_FTRACE_OUT_OF_LINE.
 *
 * Replaces the whole of arch/powerpc/kernel/trace/ftrace_entry.S.
 *
 *   A --bl--> B --b--> stub --bl--> ftrace_caller or ftrace_regs_caller
 *   A --bl--> B --bl--> ftrace_caller or ftrace_regs_caller, not out of line
 *                           | bl--> tracer(ip, parent_ip, ops, regs)
 *                           |         may set regs->nip
 *      nip in B's body <----+
 *                           + nip changed: livepatch_handler --bctrl--> C
 *                                          A <--blr-- livepatch_handler <--blr--+
 *
 * T1 to L7 in the comments name the statements that "lpgen verify" judges.
 */
#ifdef CONFIG_LIVEPATCH_64
#include <linux/magic.h>
#endif
#ifndef CONFIG_ARCH_USING_PATCHABLE_FUNCTION_ENTRY
#include <linux/export.h>
#endif
#include <asm/asm-offsets.h>
#ifdef CONFIG_LIVEPATCH_64
#include <asm/bug.h>
#endif
#include <asm/ftrace.h>
#include <asm/ppc_asm.h>

#if !defined(__powerpc64__) || _CALL_ELF != 2
#error "ppc64, ELFv2 only: the kernel's own file serves other ABIs too"
#endif
#ifdef CONFIG_PPC_KERNEL_PCREL
#error "a pc-relative kernel has no TOC in its paca"
#endif

/*
 * ftrace_regs_caller: call the tracer with B's registers, then go on at regs->nip: in
 * B or, when the tracer changed it, through livepatch_handler in C.
 *
 *   void tracer(unsigned long ip, unsigned long parent_ip,
 *               struct ftrace_ops *ops, struct pt_regs *regs);
 *
 * On entry:
 *   LR   the instruction behind the call site's bl, in B       -> regs->nip;
 *        out of line: the stub's mtlr, with a branch to nip behind it
 *   r0   return address into A                                 -> regs->link
 *   r1   A's frame; B has none yet
 *   r2   B's TOC; entered at its local entry, B has it from A
 *   r3-r10, f1-f13, v2-v13  B's arguments; r11 static chain; r13 paca
 *
 * On exit to B (X1): CTR = nip, LR = r0 = regs->link; out of line LR = the stub's
 *   mtlr, r0 = regs->link. r12 = nip; r1, r2, r13 and every FPR and VR as on entry;
 *   r3-r10, r14-r31 as regs has them (X2).
 * MAY CHANGE on the way to B: r0 and LR (by an edit of regs->link), r11, r12, CTR,
 *   CR0, CR1, CR5-CR7, XER; memory: the new frames and 16(A's frame) (T5).
 * With tracing off in the paca no tracer is called: on in B with all as on entry but
 *   for r12, CTR and CR0.
 * With ops->direct_call on entry, or regs->orig_gpr3 behind the tracer and nip not
 *   changed, B is left to that direct trampoline: it is jumped to with LR and r0 as on
 *   the way to B.
 *
 * Assumes: the tracer keeps r1, r14, r15 and CR2-CR4 (ELFv2 2.2.1) and uses no FPR
 *   and no VR (the kernel is built with -msoft-float); r13 is this cpu's paca.
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
#ifdef CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS
	mflr	r11
#ifdef CONFIG_DYNAMIC_FTRACE_WITH_CALL_OPS
	ld	r12, -16(r11)			/* ops: the stub's first doubleword */
#else
	ld	r12, PACATOC(r13)
	addis	r12, r12, function_trace_op@toc@ha
	ld	r12, function_trace_op@toc@l(r12)
#endif
	ld	r12, FTRACE_OPS_DIRECT_CALL(r12)
	cmpdi	r12, 0
	bne-	2f
#endif

	/* T3; softe, trap, dar, dsisr, result are not written, orig_gpr3 only with direct calls */
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
#ifdef CONFIG_PPC_FTRACE_OUT_OF_LINE
	mflr	r15				/* the same for the way back to the stub */
	lwz	r14, 4(r15)			/* b nip: opcode 18, 26 bits of displacement */
	xoris	r14, r14, 0x4a00		/* opcode off, sign bit flipped */
	addis	r14, r14, -0x200		/* and extended */
	add	r14, r14, r15
	addi	r14, r14, MCOUNT_INSN_SIZE
#else
	mflr	r14
#endif
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
	addi	r3, r14, -MCOUNT_INSN_SIZE	/* ip: the call site */
	mr	r4, r0				/* parent_ip: return address into A */
#ifdef CONFIG_DYNAMIC_FTRACE_WITH_CALL_OPS
	ld	r5, -16(r15)			/* ops: the stub's first doubleword */
#else
	addis	r5, r2, function_trace_op@toc@ha
	ld	r5, function_trace_op@toc@l(r5)
#endif
	addi	r6, r1, GPR0			/* pt_regs starts with gpr[0] */
#ifdef CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS
	li	r7, 0				/* no direct trampoline: none named yet */
	std	r7, ORIG_GPR3(r1)
#endif

#ifdef CONFIG_DYNAMIC_FTRACE_WITH_CALL_OPS
	ld	r12, FTRACE_OPS_FUNC(r5)	/* the tracer's global entry point */
	mtctr	r12
	bctrl
#else
	/* ftrace patches this bl when tracing is switched on */
	.globl	ftrace_regs_call
ftrace_regs_call:
	bl	ftrace_stub
#endif

	/* X1: what the tracer left in nip and link is where B goes on and returns to */
	ld	r12, _NIP(r1)
	ld	r0, _LINK(r1)
#ifdef CONFIG_PPC_FTRACE_OUT_OF_LINE
	mtlr	r15
	cmpd	r12, r14			/* for the branch below: nothing there sets CR0 */
#else
	mtctr	r12
	mtlr	r0
#ifdef CONFIG_LIVEPATCH_64
	cmpd	r12, r14			/* for the bne below: nothing there sets CR0 */
#endif
#endif
#ifdef CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS
	ld	r11, ORIG_GPR3(r1)
	cmpdi	cr1, r11, 0			/* for the second bne below */
	mtctr	r11
#endif

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
#ifdef CONFIG_PPC_FTRACE_OUT_OF_LINE
#ifdef CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS
	bne-	3f
	bnectr-	cr1				/* the direct trampoline that the tracer named */
	blr
3:
#else
	beqlr+
#endif
#ifdef CONFIG_LIVEPATCH_64
	/* X3: LR = new nip, r0 = return address into A, r1 = A's frame */
	mtlr	r12
	b	livepatch_handler
#else
	/* on at the new nip: CTR = nip, LR = r0 = return address into A */
	mtctr	r12
	mtlr	r0
	bctr
#endif
#else
#ifdef CONFIG_LIVEPATCH_64

	/* X3: CTR = new nip, LR = return address into A, r1 = A's frame */
	bne-	livepatch_handler
#endif
	bctr
#endif

	/* tracing is off */
1:
	addi	r1, r1, SWITCH_FRAME_SIZE+32
	b	ftrace_no_trace
#ifdef CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS

	/* ops->direct_call: all as on entry but for r11, r12 = CTR = its address, and CR0 */
2:
	mtctr	r12
	addi	r1, r1, SWITCH_FRAME_SIZE+32
	bctr
#endif

/*
 * ftrace_caller: what ftrace_regs_caller does, for a tracer that asks for no more than
 * a partial pt_regs: gpr[0], gpr[1], gpr[3..10], nip and link, and 0 for msr, which says
 * so (T3).
 *
 * On entry, and with tracing off or a direct trampoline: as ftrace_regs_caller.
 * On exit to B (X1): CTR = nip, LR = r0 = regs->link; out of line LR = the stub's
 *   mtlr, r0 = regs->link. r1, r2, r13-r31 and every FPR and VR as on entry; r3-r10
 *   as regs has them.
 * MAY CHANGE on the way to B: r0 and LR (by an edit of regs->link), r11, r12, CTR,
 *   CR0, CR1, CR5-CR7, XER; memory: the new frames and 16(A's frame) (T5).
 *
 * Assumes: as ftrace_regs_caller, but for r14 and r15.
 *
 * The frame is that of ftrace_regs_caller.
 * The doubleword at 32 is ours too: a callee of four integer parameters has no parameter
 * save area (ELFv2 2.2.3.1).
 */
_GLOBAL(ftrace_caller)
	lbz	r12, PACA_FTRACE_ENABLED(r13)
	cmpwi	r12, 0
	beq-	ftrace_no_trace
#ifdef CONFIG_PPC_FTRACE_OUT_OF_LINE
	mflr	r11
#endif
#ifdef CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS
#ifdef CONFIG_DYNAMIC_FTRACE_WITH_CALL_OPS
	ld	r12, -16(r11)			/* ops: the stub's first doubleword */
#else
	ld	r12, PACATOC(r13)
	addis	r12, r12, function_trace_op@toc@ha
	ld	r12, function_trace_op@toc@l(r12)
#endif
	ld	r12, FTRACE_OPS_DIRECT_CALL(r12)
	cmpdi	r12, 0
	mtctr	r12
	bnectr-					/* r11, r12, CTR, CR0 changed */
#endif

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
#ifdef CONFIG_PPC_FTRACE_OUT_OF_LINE
	lwz	r12, 4(r11)			/* b nip: opcode 18, 26 bits of displacement */
	std	r11, 32(r1)			/* for the way back to the stub */
	xoris	r12, r12, 0x4a00		/* opcode off, sign bit flipped */
	addis	r12, r12, -0x200		/* and extended */
	add	r12, r12, r11
	addi	r12, r12, MCOUNT_INSN_SIZE
#else
	mflr	r12
#endif
	ld	r2, PACATOC(r13)		/* T2 */
	std	r12, _NIP(r1)
	std	r12, SWITCH_FRAME_SIZE+LRSAVE(r1)	/* T4: B's frame */
	addi	r7, r1, SWITCH_FRAME_SIZE+32
	li	r8, 0
	std	r0, _LINK(r1)
	std	r7, GPR1(r1)
	std	r8, _MSR(r1)

	/* T1 */
	addi	r3, r12, -MCOUNT_INSN_SIZE	/* ip: the call site */
	mr	r4, r0				/* parent_ip: return address into A */
#ifdef CONFIG_DYNAMIC_FTRACE_WITH_CALL_OPS
	ld	r5, -16(r11)			/* ops: the stub's first doubleword */
#else
	addis	r5, r2, function_trace_op@toc@ha
	ld	r5, function_trace_op@toc@l(r5)
#endif
	addi	r6, r1, GPR0			/* pt_regs starts with gpr[0] */
#ifdef CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS
	li	r7, 0				/* no direct trampoline: none named yet */
	std	r7, ORIG_GPR3(r1)
#endif

#ifdef CONFIG_DYNAMIC_FTRACE_WITH_CALL_OPS
	ld	r12, FTRACE_OPS_FUNC(r5)	/* the tracer's global entry point */
	mtctr	r12
	bctrl
#else
	/* ftrace patches this bl when tracing is switched on */
	.globl	ftrace_call
ftrace_call:
	bl	ftrace_stub
#endif

	/* X1: what the tracer left in nip and link is where B goes on and returns to */
	ld	r12, _NIP(r1)
#ifdef CONFIG_PPC_FTRACE_OUT_OF_LINE
	ld	r11, SWITCH_FRAME_SIZE+LRSAVE(r1)	/* old nip */
	ld	r0, _LINK(r1)
	cmpd	r12, r11			/* for the branch below: nothing there sets CR0 */
	ld	r11, 32(r1)
	mtlr	r11
#else
#ifdef CONFIG_LIVEPATCH_64
	ld	r11, SWITCH_FRAME_SIZE+LRSAVE(r1)	/* old nip */
#endif
	ld	r0, _LINK(r1)
#ifdef CONFIG_LIVEPATCH_64
	cmpd	r12, r11			/* for the bne below: nothing there sets CR0 */
#endif
	mtctr	r12
	mtlr	r0
#endif
#ifdef CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS
	ld	r11, ORIG_GPR3(r1)
	cmpdi	cr1, r11, 0			/* for the second bne below */
	mtctr	r11
#endif
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
#ifdef CONFIG_PPC_FTRACE_OUT_OF_LINE
#ifdef CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS
	bne-	3f
	bnectr-	cr1				/* the direct trampoline that the tracer named */
	blr
3:
#else
	beqlr+
#endif
#ifdef CONFIG_LIVEPATCH_64
	/* X3: LR = new nip, r0 = return address into A, r1 = A's frame */
	mtlr	r12
	b	livepatch_handler
#else
	/* on at the new nip: CTR = nip, LR = r0 = return address into A */
	mtctr	r12
	mtlr	r0
	bctr
#endif
#else
#ifdef CONFIG_LIVEPATCH_64

	/* X3: CTR = new nip, LR = return address into A, r1 = A's frame */
	bne-	livepatch_handler
#endif
	bctr
#endif

/* ftrace_no_trace: tracing is off: on in B, as the headers above say */
_GLOBAL(ftrace_no_trace)
#ifdef CONFIG_PPC_FTRACE_OUT_OF_LINE
	blr
#else
	mflr	r12
	mtctr	r12
	mtlr	r0
	bctr
#endif

/* ftrace_stub: the tracer while there is none */
_GLOBAL(ftrace_stub)
	blr
#ifdef CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS

/* ftrace_stub_direct_tramp: the direct trampoline while there is none */
_GLOBAL(ftrace_stub_direct_tramp)
	blr
#endif

#ifdef CONFIG_LIVEPATCH_64
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
 *   CTR  C's global entry point (the new nip); out of line LR
 *   LR   return address into A; out of line r0
 *   r1   A's frame; r2 the TOC to give back to A; all of B's arguments
 *
 * C is entered with r12 = CTR = its global entry point, LR in here (L3).
 * On return to A: r2 as on entry, LR the return address, C's results untouched (L4, L5).
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
#ifndef CONFIG_PPC_FTRACE_OUT_OF_LINE
	mflr	r0
#endif
	ld	r11, TI_livepatch_sp(r12)
	addi	r11, r11, 24
	std	r11, TI_livepatch_sp(r12)
	lis	r12, STACK_END_MAGIC@h
	std	r0, -16(r11)
	ori	r12, r12, STACK_END_MAGIC@l
	std	r2, -24(r11)
	std	r12, -8(r11)
#ifdef CONFIG_PPC_FTRACE_OUT_OF_LINE
	mflr	r12
	mtctr	r12
#else
	mfctr	r12
#endif
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
#endif

#ifndef CONFIG_ARCH_USING_PATCHABLE_FUNCTION_ENTRY
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
#endif

#ifdef CONFIG_FUNCTION_GRAPH_TRACER
/*
 * return_to_handler: where the graph tracer makes B return to.
 *
 *   unsigned long ftrace_return_to_handler(struct ftrace_regs *fregs);
 *
 * returns where B was to return to; B's results are in the pt_regs of fregs, for it to
 * see and to change.
 *
 * On entry: as on B's return to A: r1 A's frame, r3, r4, f1-f8, v2-v9 B's results.
 * On exit to A: LR = that address; r1, r2, r13-r31 and every FPR and VR as on entry;
 *   r3, r4 as on entry, or as the tracer changed them.
 * MAY CHANGE: r0, r5-r12, CTR, XER, CR0, CR1, CR5-CR7; memory: the new frame.
 *
 * Assumes: ftrace_return_to_handler uses no FPR and no VR (-msoft-float).
 */
_GLOBAL(return_to_handler)
	stdu	r1, -SWITCH_FRAME_SIZE(r1)
	std	r2, STK_GOT(r1)
	std	r3, GPR3(r1)
	std	r4, GPR4(r1)
	addi	r5, r1, SWITCH_FRAME_SIZE
	li	r6, 0				/* a partial pt_regs: the results and r1 */
	std	r5, GPR1(r1)
	std	r6, _MSR(r1)
	ld	r2, PACATOC(r13)
	addi	r3, r1, GPR0
	bl	ftrace_return_to_handler
	nop

	mtlr	r3
	ld	r2, STK_GOT(r1)
	ld	r3, GPR3(r1)
	ld	r4, GPR4(r1)
	addi	r1, r1, SWITCH_FRAME_SIZE
	blr
#endif

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
#ifdef CONFIG_PPC_FTRACE_OUT_OF_LINE

/*
 * The out-of-line stubs, which ftrace writes. In the kernel's text, so that a branch
 * from each call site reaches them. One, from its first byte:
 *
 *     .quad ops;  mflr r0;  bl ftrace_caller or ftrace_regs_caller;  mtlr r0;  b nip
 */
	.pushsection ".rodata", "a"
	.align	2
	.globl	ftrace_ool_stub_text_count
	.type	ftrace_ool_stub_text_count, @object
ftrace_ool_stub_text_count:
	.long	CONFIG_PPC_FTRACE_OUT_OF_LINE_NUM_RESERVE
	.size	ftrace_ool_stub_text_count, 4
	.popsection

	.align	3
	.globl	ftrace_ool_stub_text
ftrace_ool_stub_text:
	.space	CONFIG_PPC_FTRACE_OUT_OF_LINE_NUM_RESERVE * FTRACE_OOL_STUB_SIZE
	.size	ftrace_ool_stub_text, . - ftrace_ool_stub_text
#endif
