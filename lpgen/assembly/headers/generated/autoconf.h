/* lpgen's stand-in for generated/autoconf.h: only what ftrace and livepatch entry code uses. */
#ifndef _LPGEN_GENERATED_AUTOCONF_H
#define _LPGEN_GENERATED_AUTOCONF_H
#endif
