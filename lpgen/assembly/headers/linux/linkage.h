/* lpgen's stand-in for linux/linkage.h: only what ftrace and livepatch entry code uses. */
#ifndef _LPGEN_LINUX_LINKAGE_H
#define _LPGEN_LINUX_LINKAGE_H
#define SYM_FUNC_START(name) .balign 4; .type name, @function; .globl name; name:
#define SYM_FUNC_START_LOCAL(name) .balign 4; .type name, @function; name:
#define SYM_FUNC_END(name) .size name, . - name
#define SYM_CODE_START(name) .balign 4; .globl name; name:
#define SYM_CODE_END(name) .size name, . - name
#define SYM_INNER_LABEL(name, linkage) linkage name; name:
#define SYM_L_GLOBAL(name) .globl name
#endif
