#ifndef STUB_THREAD_INFO_H
#define STUB_THREAD_INFO_H

#define THREAD_SIZE 16384

#ifdef STUB_THREAD_INFO_IN_TASK
struct thread_info {
	int preempt_count;
	unsigned int cpu;
	unsigned long local_flags;
#if defined(CONFIG_LIVEPATCH) || defined(CONFIG_LIVEPATCH_64)
	unsigned long *livepatch_sp;
#endif
	unsigned long flags __attribute__((aligned(128)));
};

struct task_struct {
	struct thread_info thread_info;
};
#else
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
#endif

union thread_union {
	struct thread_info thread_info;
	unsigned long stack[THREAD_SIZE / sizeof(unsigned long)];
} __attribute__((aligned(THREAD_SIZE)));

#endif
