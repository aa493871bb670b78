#ifndef STUB_LINUX_EXPORT_H
#define STUB_LINUX_EXPORT_H
#ifdef __ASSEMBLY__

/* Writes down the name and, as the kernel's, goes back to where it came from. */
#define EXPORT_SYMBOL(name) \
	.section "stub_exports", ""; \
	.asciz #name; \
	.previous

#endif
#endif
