/* lpgen's stand-in for linux/errno.h: only what ftrace and livepatch entry code uses. */
#ifndef _LPGEN_LINUX_ERRNO_H
#define _LPGEN_LINUX_ERRNO_H
#define EPERM 1
#define ENOENT 2
#define ENOMEM 12
#define EFAULT 14
#define EINVAL 22
#define ENOSYS 38
#endif
