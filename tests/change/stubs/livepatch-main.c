/*
 * Sets up the stacks of a kernel as 4.7 does, through lpgen's asm/livepatch.h, and prints for each where its magic and
 * its livepatch_sp are, in bytes from the stack's base.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include "livepatch.h"

unsigned long stub_call_site;

static union thread_union init_stack = {
	.thread_info = {
		.cpu = 7,
		KLP_INIT_THREAD_INFO(&init_stack.thread_info)
		.preempt_count = 3,
	},
};
static union thread_union task_stack, child_stack, hardirq_stack, softirq_stack, emergency_stack;

static void set_task_stack_end_magic(struct thread_info *ti)
{
	*(unsigned long *)(ti + 1) = STACK_END_MAGIC;
}

static void show(const char *name, union thread_union *stack)
{
	char *base = (char *)stack;
	char *sp = (char *)stack->thread_info.livepatch_sp;
	long magic = -1, words = 0;

	for (size_t i = 0; i < THREAD_SIZE / sizeof(long); i++)
		if (stack->stack[i] == STACK_END_MAGIC) {
			magic = (long)(i * sizeof(long));
			words++;
		}
	printf("%s aligned=%d magic=%ld words=%ld sp=%ld\n", name, (uintptr_t)base % THREAD_SIZE == 0, magic, words,
	       (long)(sp - base));
}

int main(void)
{
	union thread_union *boot[] = { &task_stack, &hardirq_stack, &softirq_stack, &emergency_stack };
	struct pt_regs regs;

	printf("thread_info size=%zu livepatch_sp=%zu\n", sizeof(struct thread_info),
	       offsetof(struct thread_info, livepatch_sp));

	/* The init task: static, and start_kernel() writes the magic. */
	set_task_stack_end_magic(&init_stack.thread_info);
	show("init", &init_stack);
	printf("init cpu=%d preempt_count=%d\n", init_stack.thread_info.cpu, init_stack.thread_info.preempt_count);

	for (size_t i = 0; i < sizeof(boot) / sizeof(boot[0]); i++)
		klp_init_thread_info(&boot[i]->thread_info);
	show("task", &task_stack);
	show("hardirq", &hardirq_stack);
	show("softirq", &softirq_stack);
	show("emergency", &emergency_stack);

	/* fork(): the parent is in two patched calls; the child begins with a copy of its thread_info. */
	task_stack.thread_info.livepatch_sp += 6;
	child_stack.thread_info = task_stack.thread_info;
	set_task_stack_end_magic(&child_stack.thread_info);
	klp_init_thread_info(&child_stack.thread_info);
	show("child", &child_stack);
	show("parent", &task_stack);

	memset(&regs, 0x5a, sizeof(regs));
	klp_arch_set_pc(&regs, 0xc000000000001234UL);
	printf("set_pc nip=%lx", regs.nip);
	regs.nip = regs.msr;
	for (size_t i = 0; i < sizeof(regs); i++)
		if (((unsigned char *)&regs)[i] != 0x5a)
			printf(" changed=%zu", i);
	printf("\ncompiler=%d\n", klp_check_compiler_support());

	for (long offset = -4; offset <= 20; offset += 4) {
		stub_call_site = 0x1000 + offset;
		printf("site %ld %d\n", offset, klp_get_ftrace_location(0x1000) == stub_call_site);
	}
	return 0;
}
