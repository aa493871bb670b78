/* With STUB_RELATIVE_BUG (6.1) distances instead of addresses. */
struct bug_entry {
#ifdef STUB_RELATIVE_BUG
	signed int bug_addr_disp;
	signed int file_disp;
#else
	unsigned long bug_addr;
	const char *file;
#endif
	unsigned short line;
	unsigned short flags;
};
