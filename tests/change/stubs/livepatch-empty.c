/* A caller of asm/livepatch.h, as copy_thread() is one, in a kernel with or without livepatch. */
#include "livepatch.h"

union thread_union static_stack = { .thread_info = { KLP_INIT_THREAD_INFO(&static_stack.thread_info) .cpu = 1 } };

void new_thread(struct thread_info *ti);
void new_thread(struct thread_info *ti)
{
	klp_init_thread_info(ti);
}
