#ifndef STUB_PTRACE_H
#define STUB_PTRACE_H

/* STUB_LAYOUT: 1 to 4, the layouts of section 6 of the contract. */
#ifndef STUB_LAYOUT
#define STUB_LAYOUT 1
#endif

struct pt_regs {
	unsigned long gpr[32];
	unsigned long nip, msr, orig_gpr3, ctr, link, xer, ccr, softe, trap, dar, dsisr, result;
#if STUB_LAYOUT >= 2
	unsigned long ppr, fill;
#endif
#if STUB_LAYOUT >= 3
	unsigned long amr, iamr;
#endif
};

#if STUB_LAYOUT >= 4
#define STACK_INT_FRAME_REGS 48
#define STACK_SWITCH_FRAME_SIZE (sizeof(struct pt_regs) + STACK_INT_FRAME_REGS)
#define STACK_INT_FRAME_SIZE (STACK_SWITCH_FRAME_SIZE + 288)
#else
#define STACK_FRAME_OVERHEAD 112
#define STACK_INT_FRAME_SIZE (sizeof(struct pt_regs) + STACK_FRAME_OVERHEAD + 288)
#endif

#endif
