#ifndef STUB_ASM_PPC_ASM_H
#define STUB_ASM_PPC_ASM_H
#ifdef __ASSEMBLY__

#define r0 %r0
#define r1 %r1
#define r2 %r2
#define r3 %r3
#define r4 %r4
#define r5 %r5
#define r6 %r6
#define r7 %r7
#define r8 %r8
#define r9 %r9
#define r10 %r10
#define r11 %r11
#define r12 %r12
#define r13 %r13
#define r14 %r14
#define r15 %r15
#define r16 %r16
#define r17 %r17
#define r18 %r18
#define r19 %r19
#define r20 %r20
#define r21 %r21
#define r22 %r22
#define r23 %r23
#define r24 %r24
#define r25 %r25
#define r26 %r26
#define r27 %r27
#define r28 %r28
#define r29 %r29
#define r30 %r30
#define r31 %r31

#if defined(CONFIG_PPC64) && defined(_CALL_ELF) && _CALL_ELF == 2
#define LRSAVE 16
#define STK_GOT 24

/*
 * A function that has one entry point: r2 is its caller's business. Early kernels say which section it goes to, late
 * ones leave it where it stands.
 */
#ifdef STUB_GLOBAL_STAYS_IN_ITS_SECTION
#define STUB_TEXT
#else
#define STUB_TEXT .section ".text";
#endif
#define _GLOBAL(name) \
	STUB_TEXT \
	.align 2; \
	.type name, @function; \
	.globl name; \
name:
#endif

#endif
#endif
