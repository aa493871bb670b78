/* The kernel's way to get a constant out of the compiler: a line "->NAME value expression" in its assembly output. */
#define DEFINE(sym, val) asm volatile("\n->" #sym " %0 " #val : : "i"(val))
