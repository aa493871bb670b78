/* The head of the default paca (lpgen/kernel/data/paca_default.toml). */
struct paca_struct {
	void *lppaca_ptr;
	unsigned short paca_index;
	unsigned short lock_token;
	unsigned long kernel_toc;
};
