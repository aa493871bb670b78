/* lpgen's stand-in for linux/init.h: only what ftrace and livepatch entry code uses. */
#ifndef _LPGEN_LINUX_INIT_H
#define _LPGEN_LINUX_INIT_H
#define __INIT .section ".init.text", "ax"
#define __FINIT .previous
#define __HEAD .section ".head.text", "ax"
#define __REF .section ".ref.text", "ax"
#endif
