/* Stands for arch/powerpc/kernel/asm-offsets.c: what lpgen wrote goes where that file has its entries. */
#include <stddef.h>
#include <linux/bug.h>
#include <linux/ftrace.h>
#include <linux/kbuild.h>
#include <linux/sched.h>
#include <asm/paca.h>
#include <asm/ptrace.h>

int main(void)
{
#include "asm-offsets.c"
	return 0;
}
