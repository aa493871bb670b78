/* lpgen's stand-in for asm/ppc_asm.h: only what ftrace and livepatch entry code uses. */
#ifndef _LPGEN_ASM_PPC_ASM_H
#define _LPGEN_ASM_PPC_ASM_H
#include <asm/extable.h>

/* GNU as takes r0..r31 as symbols unless they carry a percent sign. */
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
#define fr0 0
#define fr1 1
#define fr2 2
#define fr3 3
#define fr4 4
#define fr5 5
#define fr6 6
#define fr7 7
#define fr8 8
#define fr9 9
#define fr10 10
#define fr11 11
#define fr12 12
#define fr13 13
#define fr14 14
#define fr15 15
#define fr16 16
#define fr17 17
#define fr18 18
#define fr19 19
#define fr20 20
#define fr21 21
#define fr22 22
#define fr23 23
#define fr24 24
#define fr25 25
#define fr26 26
#define fr27 27
#define fr28 28
#define fr29 29
#define fr30 30
#define fr31 31
#define v0 0
#define v1 1
#define v2 2
#define v3 3
#define v4 4
#define v5 5
#define v6 6
#define v7 7
#define v8 8
#define v9 9
#define v10 10
#define v11 11
#define v12 12
#define v13 13
#define v14 14
#define v15 15
#define v16 16
#define v17 17
#define v18 18
#define v19 19
#define v20 20
#define v21 21
#define v22 22
#define v23 23
#define v24 24
#define v25 25
#define v26 26
#define v27 27
#define v28 28
#define v29 29
#define v30 30
#define v31 31
#define vs0 0
#define vs1 1
#define vs2 2
#define vs3 3
#define vs4 4
#define vs5 5
#define vs6 6
#define vs7 7
#define vs8 8
#define vs9 9
#define vs10 10
#define vs11 11
#define vs12 12
#define vs13 13
#define vs14 14
#define vs15 15
#define vs16 16
#define vs17 17
#define vs18 18
#define vs19 19
#define vs20 20
#define vs21 21
#define vs22 22
#define vs23 23
#define vs24 24
#define vs25 25
#define vs26 26
#define vs27 27
#define vs28 28
#define vs29 29
#define vs30 30
#define vs31 31
#define vs32 32
#define vs33 33
#define vs34 34
#define vs35 35
#define vs36 36
#define vs37 37
#define vs38 38
#define vs39 39
#define vs40 40
#define vs41 41
#define vs42 42
#define vs43 43
#define vs44 44
#define vs45 45
#define vs46 46
#define vs47 47
#define vs48 48
#define vs49 49
#define vs50 50
#define vs51 51
#define vs52 52
#define vs53 53
#define vs54 54
#define vs55 55
#define vs56 56
#define vs57 57
#define vs58 58
#define vs59 59
#define vs60 60
#define vs61 61
#define vs62 62
#define vs63 63
#define cr0 0
#define cr1 1
#define cr2 2
#define cr3 3
#define cr4 4
#define cr5 5
#define cr6 6
#define cr7 7

/* ELFv2 frame: where a callee saves LR and the TOC in its caller's frame. */
#define LRSAVE 16
#define PPC_LR_STKOFF 16
#define STK_GOT 24
#define PPC_MIN_STKFRM 32
#define STACKFRAMESIZE 256

#define PPC_LL ld
#define PPC_STL std
#define PPC_STLU stdu
#define PPC_LCMPI cmpdi
#define PPC_LONG .8byte
#define PPC_LONG_ALIGN .balign 8
#define SZL 8
#define GLUE(a, b) a##b

#define _GLOBAL(name) .balign 4; .type name, @function; .globl name; name:
#define _ENTRY(name) .globl name; name:
#define _KPROBE(name) _GLOBAL(name)
#define _ASM_NOKPROBE_SYMBOL(name)
/* A global entry that computes r2 from r12, and a local entry 8 bytes on. */
#define _GLOBAL_TOC(name) _GLOBAL(name) 0: addis r2, r12, (.TOC. - 0b)@ha; addi r2, r2, (.TOC. - 0b)@l; .localentry name, . - name
#define ABI_ELF_V2 1
#define DOTSYM(a) a
#define XGLUE(a, b) GLUE(a, b)
#define CFUNC(name) name

/* op FIRST .. LAST, each at its place in pt_regs above \base. */
.macro LPGEN_GPRS op, first, last, base
	\op	\first, GPR0+8*(\first)(\base)
	.if (\first) < (\last)
	LPGEN_GPRS \op, \first+1, \last, \base
	.endif
.endm
#define SAVE_GPRS(first, last, base) LPGEN_GPRS std, first, last, base
#define REST_GPRS(first, last, base) LPGEN_GPRS ld, first, last, base
#define SAVE_GPR(n, base) SAVE_GPRS(n, n, base)
#define REST_GPR(n, base) REST_GPRS(n, n, base)
#define SAVE_2GPRS(n, base) SAVE_GPRS(n, n+1, base)
#define REST_2GPRS(n, base) REST_GPRS(n, n+1, base)
#define SAVE_4GPRS(n, base) SAVE_GPRS(n, n+3, base)
#define REST_4GPRS(n, base) REST_GPRS(n, n+3, base)
#define SAVE_8GPRS(n, base) SAVE_GPRS(n, n+7, base)
#define REST_8GPRS(n, base) REST_GPRS(n, n+7, base)
#define SAVE_10GPRS(n, base) SAVE_GPRS(n, n+9, base)
#define REST_10GPRS(n, base) REST_GPRS(n, n+9, base)
#define SAVE_NVGPRS(base) SAVE_GPRS(14, 31, base)
#define REST_NVGPRS(base) REST_GPRS(14, 31, base)

/* li FIRST, 0 .. li LAST, 0 */
.macro LPGEN_ZERO first, last
	li	\first, 0
	.if (\first) < (\last)
	LPGEN_ZERO \first+1, \last
	.endif
.endm
#define ZEROIZE_GPRS(first, last) LPGEN_ZERO first, last
#define ZEROIZE_GPR(n) ZEROIZE_GPRS(n, n)
#define ZEROIZE_NVGPRS() ZEROIZE_GPRS(14, 31)

#define LOAD_PACA_TOC() ld r2, PACATOC(r13)
#define LOAD_REG_ADDR(reg, name) addis reg, r2, name@toc@ha; addi reg, reg, name@toc@l
#define LOAD_REG_IMMEDIATE(reg, value) lis reg, (value)@highest; ori reg, reg, (value)@higher; sldi reg, reg, 32; oris reg, reg, (value)@high; ori reg, reg, (value)@l
#define LOAD_REG_IMMEDIATE_SYM(reg, tmp, name) lis tmp, (name)@highest; ori tmp, tmp, (name)@higher; lis reg, (name)@high; ori reg, reg, (name)@l; rldimi reg, tmp, 32, 0
#define LOAD_REG_ADDR_PIC(reg, name) bcl 20, 31, 0f; 0: mflr reg; addis reg, reg, (name - 0b)@ha; addi reg, reg, (name - 0b)@l
#define toreal(reg)
#define fromreal(reg)
#define MTMSRD(r) mtmsrd r
#endif
