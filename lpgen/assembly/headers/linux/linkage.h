/* lpgen's stand-in for linux/linkage.h: only what ftrace and livepatch entry code uses. */
#ifndef _LPGEN_LINUX_LINKAGE_H
#define _LPGEN_LINUX_LINKAGE_H

#define SYM_L_GLOBAL(name) .globl name
#define SYM_L_WEAK(name) .weak name
#define SYM_L_LOCAL(name)
#define SYM_T_FUNC @function
#define SYM_T_OBJECT @object
#define SYM_T_NONE @notype
#define SYM_A_ALIGN .balign 4
#define SYM_A_NONE
#define __ALIGN .balign 4

/* A symbol: where it begins, how it is bound and aligned; what it was when it ends. */
#define SYM_START(name, linkage, align...) linkage(name); align; name:
#define SYM_END(name, kind) .type name, kind; .size name, . - name
#define SYM_ENTRY(name, linkage, align...) linkage(name); align; name:
#define SYM_INNER_LABEL(name, linkage) linkage(name); name:
#define SYM_INNER_LABEL_ALIGN(name, linkage) linkage(name); .balign 4; name:

#define SYM_FUNC_START(name) .balign 4; .type name, @function; .globl name; name:
#define SYM_FUNC_START_NOALIGN(name) .type name, @function; .globl name; name:
#define SYM_FUNC_START_LOCAL(name) .balign 4; .type name, @function; name:
#define SYM_FUNC_START_WEAK(name) .balign 4; .type name, @function; .weak name; name:
#define SYM_FUNC_END(name) .size name, . - name
#define SYM_FUNC_ALIAS(name, other) .globl name; .set name, other
#define SYM_FUNC_ALIAS_LOCAL(name, other) .set name, other
#define SYM_FUNC_ALIAS_WEAK(name, other) .weak name; .set name, other

#define SYM_CODE_START(name) .balign 4; .globl name; name:
#define SYM_CODE_START_NOALIGN(name) .globl name; name:
#define SYM_CODE_START_LOCAL(name) .balign 4; name:
#define SYM_CODE_END(name) .size name, . - name

#define SYM_DATA_START(name) .globl name; name:
#define SYM_DATA_START_LOCAL(name) name:
#define SYM_DATA_END(name) .type name, @object; .size name, . - name
#define SYM_DATA(name, data...) .globl name; name: data; .type name, @object; .size name, . - name
#define SYM_DATA_LOCAL(name, data...) name: data; .type name, @object; .size name, . - name

#define ENTRY(name) .globl name; .balign 4; name:
#define GLOBAL(name) .globl name; name:
#define WEAK(name) .weak name; name:
#define END(name) .size name, . - name
#define ENDPROC(name) .type name, @function; .size name, . - name
#endif
