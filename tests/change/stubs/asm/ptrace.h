#ifndef STUB_PTRACE_H
#define STUB_PTRACE_H

struct pt_regs {
	unsigned long gpr[32];
	unsigned long nip, msr, orig_gpr3, ctr, link, xer, ccr, softe, trap, dar, dsisr, result;
};

#define STACK_FRAME_OVERHEAD 112
#define STACK_INT_FRAME_SIZE (sizeof(struct pt_regs) + STACK_FRAME_OVERHEAD + 288)

#endif
