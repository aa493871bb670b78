/* The default paca (lpgen/kernel/data/paca_default.toml): the fields that are named, and what lies between them. */
struct paca_struct {
	void *lppaca_ptr;
	unsigned short paca_index;
	unsigned short lock_token;
	unsigned long kernel_toc;
	char fill[2312 - 24];
	struct task_struct *__current;
	char more[2556 - 2320];
	unsigned char ftrace_enabled;
};
