#ifndef STUB_FTRACE_H
#define STUB_FTRACE_H

#include <asm/ptrace.h>

/* Call sites of the test: one, at this address. */
extern unsigned long stub_call_site;

static inline unsigned long ftrace_location_range(unsigned long start, unsigned long end)
{
	return start <= stub_call_site && stub_call_site <= end ? stub_call_site : 0;
}

/* What 6.13 and later name of these: the first field, the last one, and the size. */
struct ftrace_ops {
	void (*func)(void);
	char fill[200];
#ifdef CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS
	unsigned long direct_call;
#endif
};

struct ftrace_ool_stub {
	struct ftrace_ops *ftrace_op;
	unsigned int insn[4];
};

#endif
