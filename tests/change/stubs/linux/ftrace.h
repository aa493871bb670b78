#include <asm/ptrace.h>

/* Call sites of the test: one, at this address. */
extern unsigned long stub_call_site;

static inline unsigned long ftrace_location_range(unsigned long start, unsigned long end)
{
	return start <= stub_call_site && stub_call_site <= end ? stub_call_site : 0;
}
