/*
 * lpgen's stand-in for asm/feature-fixups.h: only what ftrace and livepatch entry code uses.
 *
 * Text that the kernel replaces while it boots, when the processor (FTR, MMU_FTR) or the firmware (FW_FTR) is another
 * one. It stays as it is written, and that is what lpgen judges. What would replace it is in __ftr_alt_LABEL; where, in
 * a table as long as the kernel's, but without masks: lpgen has no table of processors.
 */
#ifndef _LPGEN_ASM_FEATURE_FIXUPS_H
#define _LPGEN_ASM_FEATURE_FIXUPS_H

#define _LPGEN_OTHER(label) label##2: .pushsection __ftr_alt_##label, "a"; .balign 4; label##3:
#define _LPGEN_NO_OTHER(label) _LPGEN_OTHER(label) label##4: .popsection;
#define _LPGEN_FIXUP(table, label) .pushsection table, "a"; .balign 8; label##5: .8byte 0, 0, label##1b - label##5b, label##2b - label##5b, label##3b - label##5b, label##4b - label##5b; .popsection

#define BEGIN_FTR_SECTION_NESTED(label) label##1:
#define BEGIN_FTR_SECTION BEGIN_FTR_SECTION_NESTED(97)
#define END_FTR_SECTION_NESTED(mask, value, label) _LPGEN_NO_OTHER(label) _LPGEN_FIXUP(__ftr_fixup, label)
#define END_FTR_SECTION_NESTED_IFSET(mask, label) END_FTR_SECTION_NESTED(mask, mask, label)
#define END_FTR_SECTION_NESTED_IFCLR(mask, label) END_FTR_SECTION_NESTED(mask, 0, label)
#define END_FTR_SECTION(mask, value) END_FTR_SECTION_NESTED(mask, value, 97)
#define END_FTR_SECTION_IFSET(mask) END_FTR_SECTION_NESTED(mask, mask, 97)
#define END_FTR_SECTION_IFCLR(mask) END_FTR_SECTION_NESTED(mask, 0, 97)
#define FTR_SECTION_ELSE_NESTED(label) _LPGEN_OTHER(label)
#define FTR_SECTION_ELSE _LPGEN_OTHER(97)
#define ALT_FTR_SECTION_END_NESTED(mask, value, label) label##4: .popsection; _LPGEN_FIXUP(__ftr_fixup, label)
#define ALT_FTR_SECTION_END_NESTED_IFSET(mask, label) ALT_FTR_SECTION_END_NESTED(mask, mask, label)
#define ALT_FTR_SECTION_END_NESTED_IFCLR(mask, label) ALT_FTR_SECTION_END_NESTED(mask, 0, label)
#define ALT_FTR_SECTION_END(mask, value) ALT_FTR_SECTION_END_NESTED(mask, value, 97)
#define ALT_FTR_SECTION_END_IFSET(mask) ALT_FTR_SECTION_END_NESTED(mask, mask, 97)
#define ALT_FTR_SECTION_END_IFCLR(mask) ALT_FTR_SECTION_END_NESTED(mask, 0, 97)

#define BEGIN_MMU_FTR_SECTION_NESTED(label) label##1:
#define BEGIN_MMU_FTR_SECTION BEGIN_MMU_FTR_SECTION_NESTED(97)
#define END_MMU_FTR_SECTION_NESTED(mask, value, label) _LPGEN_NO_OTHER(label) _LPGEN_FIXUP(__mmu_ftr_fixup, label)
#define END_MMU_FTR_SECTION_NESTED_IFSET(mask, label) END_MMU_FTR_SECTION_NESTED(mask, mask, label)
#define END_MMU_FTR_SECTION_NESTED_IFCLR(mask, label) END_MMU_FTR_SECTION_NESTED(mask, 0, label)
#define END_MMU_FTR_SECTION(mask, value) END_MMU_FTR_SECTION_NESTED(mask, value, 97)
#define END_MMU_FTR_SECTION_IFSET(mask) END_MMU_FTR_SECTION_NESTED(mask, mask, 97)
#define END_MMU_FTR_SECTION_IFCLR(mask) END_MMU_FTR_SECTION_NESTED(mask, 0, 97)
#define MMU_FTR_SECTION_ELSE_NESTED(label) _LPGEN_OTHER(label)
#define MMU_FTR_SECTION_ELSE _LPGEN_OTHER(97)
#define ALT_MMU_FTR_SECTION_END_NESTED(mask, value, label) label##4: .popsection; _LPGEN_FIXUP(__mmu_ftr_fixup, label)
#define ALT_MMU_FTR_SECTION_END_NESTED_IFSET(mask, label) ALT_MMU_FTR_SECTION_END_NESTED(mask, mask, label)
#define ALT_MMU_FTR_SECTION_END_NESTED_IFCLR(mask, label) ALT_MMU_FTR_SECTION_END_NESTED(mask, 0, label)
#define ALT_MMU_FTR_SECTION_END(mask, value) ALT_MMU_FTR_SECTION_END_NESTED(mask, value, 97)
#define ALT_MMU_FTR_SECTION_END_IFSET(mask) ALT_MMU_FTR_SECTION_END_NESTED(mask, mask, 97)
#define ALT_MMU_FTR_SECTION_END_IFCLR(mask) ALT_MMU_FTR_SECTION_END_NESTED(mask, 0, 97)

#define BEGIN_FW_FTR_SECTION_NESTED(label) label##1:
#define BEGIN_FW_FTR_SECTION BEGIN_FW_FTR_SECTION_NESTED(97)
#define END_FW_FTR_SECTION_NESTED(mask, value, label) _LPGEN_NO_OTHER(label) _LPGEN_FIXUP(__fw_ftr_fixup, label)
#define END_FW_FTR_SECTION_NESTED_IFSET(mask, label) END_FW_FTR_SECTION_NESTED(mask, mask, label)
#define END_FW_FTR_SECTION_NESTED_IFCLR(mask, label) END_FW_FTR_SECTION_NESTED(mask, 0, label)
#define END_FW_FTR_SECTION(mask, value) END_FW_FTR_SECTION_NESTED(mask, value, 97)
#define END_FW_FTR_SECTION_IFSET(mask) END_FW_FTR_SECTION_NESTED(mask, mask, 97)
#define END_FW_FTR_SECTION_IFCLR(mask) END_FW_FTR_SECTION_NESTED(mask, 0, 97)
#define FW_FTR_SECTION_ELSE_NESTED(label) _LPGEN_OTHER(label)
#define FW_FTR_SECTION_ELSE _LPGEN_OTHER(97)
#define ALT_FW_FTR_SECTION_END_NESTED(mask, value, label) label##4: .popsection; _LPGEN_FIXUP(__fw_ftr_fixup, label)
#define ALT_FW_FTR_SECTION_END_NESTED_IFSET(mask, label) ALT_FW_FTR_SECTION_END_NESTED(mask, mask, label)
#define ALT_FW_FTR_SECTION_END_NESTED_IFCLR(mask, label) ALT_FW_FTR_SECTION_END_NESTED(mask, 0, label)
#define ALT_FW_FTR_SECTION_END(mask, value) ALT_FW_FTR_SECTION_END_NESTED(mask, value, 97)
#define ALT_FW_FTR_SECTION_END_IFSET(mask) ALT_FW_FTR_SECTION_END_NESTED(mask, mask, 97)
#define ALT_FW_FTR_SECTION_END_IFCLR(mask) ALT_FW_FTR_SECTION_END_NESTED(mask, 0, 97)
#endif
