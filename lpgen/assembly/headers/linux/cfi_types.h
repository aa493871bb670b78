/* lpgen's stand-in for linux/cfi_types.h: only what ftrace and livepatch entry code uses. */
#ifndef _LPGEN_LINUX_CFI_TYPES_H
#define _LPGEN_LINUX_CFI_TYPES_H
#endif
