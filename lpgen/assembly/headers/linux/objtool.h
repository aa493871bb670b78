/* lpgen's stand-in for linux/objtool.h: only what ftrace and livepatch entry code uses. */
#ifndef _LPGEN_LINUX_OBJTOOL_H
#define _LPGEN_LINUX_OBJTOOL_H
#endif
