#ifndef STUB_ASM_THREAD_INFO_H
#define STUB_ASM_THREAD_INFO_H
#ifdef CONFIG_PPC64
#define THREAD_SHIFT 14
#endif
#ifndef __ASSEMBLY__
#error "C is not for here"
#endif
#endif
