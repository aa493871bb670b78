#ifndef STUB_THREAD_INFO_H
#define STUB_THREAD_INFO_H

#define THREAD_SIZE 16384

struct thread_info {
	struct task_struct *task;
	int cpu;
	int preempt_count;
	unsigned long local_flags;
#ifdef CONFIG_LIVEPATCH
	unsigned long *livepatch_sp;
#endif
	unsigned long flags __attribute__((aligned(128)));
};

union thread_union {
	struct thread_info thread_info;
	unsigned long stack[THREAD_SIZE / sizeof(unsigned long)];
} __attribute__((aligned(THREAD_SIZE)));

#endif
