"""What each check of the proof is for: a trampoline that is wrong in no more than what this check asks for."""

from __future__ import annotations

import pytest
from test_unsound import ASK, HANDLER, HOOK, LEAN, MCOUNT, T1_AGAIN, behind, edited, proved

NO_TRACE, DIRECT_TRAMP = "_GLOBAL(ftrace_no_trace)\n", "_GLOBAL(ftrace_stub_direct_tramp)\n"
GRAPH = "_GLOBAL(ftrace_graph_caller)\n"
INTERRUPTS_OFF = "\tli\tr12, 0\n\tmtmsrd\tr12, 1\n"
INFO = "\tld\tr12, PACA_THREAD_INFO(r13)\n"
OLD_SP = INFO + "\tld\tr11, TI_livepatch_sp(r12)\n"
RAISED = "\tstd\tr11, TI_livepatch_sp(r12)\n"
LOWERED, RAISED_AGAIN = "\taddi\tr11, r11, -24\n" + RAISED, "\taddi\tr11, r11, 24\n" + RAISED
TO_C, TRAMP = "\tmfctr\tr12\n\tbctrl\n", "\tmtctr\tr12\n\taddi\tr1, r1, SWITCH_FRAME_SIZE+32\n\tbctr\n"
TO_TRACER = "\taddi\tr6, r1, GPR0"
TO_HANDLER = "\tbne-\tlivepatch_handler\n"
OOL_TO_HANDLER = "\tmtlr\tr12\n\tb\tlivepatch_handler\n"

PUT_IN = [
    # ftrace_caller
    ("6.8", LEAN, "\tld\tr12, 0(r2)\n", "T2"),
    ("6.8", "ftrace_call:\n\tbl\tftrace_stub\n", "\tli\tr7, 0\n\tmtmsrd\tr7, 1\n", "X1"),
    ("6.8", "ftrace_call:\n\tbl\tftrace_stub\n", "\tcrxor\t14, 14, 14\n", "X1"),
    ("6.8", "ftrace_call:\n\tbl\tftrace_stub\n", "\tcrxor\t18, 18, 18\n", "X1"),
    # The tracer, a module's, has another TOC.
    (
        "6.18",
        "FTRACE_OPS_FUNC(r5)\t/* the tracer's global entry point */\n\tmtctr\tr12\n\tbctrl\n",
        "\tld\tr11, 0(r2)\n",
        "X1",
    ),
    ("6.8", NO_TRACE, "\tcrxor\t6, 6, 6\n", "X1"),
    ("6.8", NO_TRACE, "\taddic\tr12, r1, -1\n", "X1"),
    ("6.18", DIRECT_TRAMP, "\tli\tr12, 0\n\tmtctr\tr12\n\tbctr\n", "S7"),
    ("6.18", DIRECT_TRAMP, "\tli\tr10, 0\n", "X1"),
    # livepatch_handler
    ("6.8", HANDLER, "\taddi\tr1, r1, -16\n\taddi\tr1, r1, 16\n", "L1"),
    ("6.8", HANDLER, OLD_SP + "\tstd\tr1, TI_livepatch_sp(r12)\n" + RAISED, "L2"),
    ("6.8", HANDLER, OLD_SP + "\tstd\tr0, -8(r11)\n", "L6"),
    ("6.8", "\tbctrl\n", "\tli\tr4, 0\n", "L5"),
    ("6.8", HANDLER, "\tstd\tr0, 0(r10)\n", "L7"),
    ("6.8", HANDLER, INFO + "\tstd\tr0, 0(r12)\n", "L2"),
    ("6.8", HANDLER, "\tli\tr10, 0\n", "X3"),
    # At every single instruction
    ("6.8", HANDLER, "\tmr\tr12, r2\n\tli\tr2, 0\n\tmr\tr2, r12\n", "L1"),
    ("6.8", HANDLER, "\tmfcr\tr12\n\tcrxor\t6, 6, 6\n\tmtcrf\t64, r12\n", "L1"),
    ("6.8", HANDLER, "\tmfcr\tr12\n\tcrxor\t22, 22, 22\n\tmtcrf\t4, r12\n", "L1"),
    ("6.8", HANDLER, "\tstd\tr0, -512(r1)\n", "L1"),
    # C has another TOC.
    ("6.8", "\tbctrl\n", OLD_SP + "\tstd\tr2, -24(r11)\n", "L5"),
    # Memory that is not theirs
    ("6.8", LEAN, "\tld\tr12, -512(r1)\n", "T5"),
    ("6.8", LEAN, "\tld\tr12, 0x7000(r1)\n", "T1"),
    ("6.8", LEAN, INFO + "\tstd\tr0, 0(r12)\n", "T5"),
    ("6.8", LEAN, INFO + "\tld\tr12, TI_livepatch_sp(r12)\n\tstd\tr0, 0(r12)\n", "T5"),
    # _mcount
    ("6.8", MCOUNT, "\tli\tr13, 0\n", "S8m"),
    ("6.8", MCOUNT, "\tcmpdi\tr12, 0\n", "S8m"),
    ("6.8", MCOUNT, "\taddic\tr12, r1, 1\n", "S8m"),
    ("6.8", MCOUNT, INTERRUPTS_OFF, "S8m"),
    # return_to_handler
    ("6.8", HOOK, "\tcrxor\t8, 8, 8\n", "S8r"),
    ("6.8", "\tbl\tftrace_return_to_handler\n", INTERRUPTS_OFF, "S8r"),
    ("6.8", "\tbl\tftrace_return_to_handler\n", "\tli\tr13, 0\n", "S8r"),
]


@pytest.mark.parametrize(("version", "label", "code", "statement"), PUT_IN)
def test_code_put_in(version: str, label: str, code: str, statement: str) -> None:
    assert statement in proved(version, behind(version, label, code)).refuted


REPLACED = [
    # ftrace_caller
    ("6.8", LEAN, "\tmr\tr4, r0", "\tmr\tr4, r3", "T1"),
    ("6.8", LEAN, "\taddi\tr6, r1, GPR0", "\taddi\tr6, r1, 24", "T1"),
    ("6.8", LEAN, "\tstd\tr12, _NIP(r1)\n", "", "T3"),
    ("6.8", LEAN, "\tstd\tr0, _LINK(r1)\n", "", "T3"),
    ("6.8", "", "\tstd\tr13, GPR13(r1)", "\tstd\tr14, GPR13(r1)", "T3"),
    ("4.7", "", "\tstdu\tr1, -SWITCH_FRAME_SIZE(r1)", "\tstdu\tr1, -SWITCH_FRAME_SIZE-8(r1)", "T4"),
    # A frame that is not in the back chain.
    (
        "6.8",
        LEAN,
        "\tstd\tr2, STK_GOT(r1)\n",
        "\tstd\tr2, STK_GOT(r1)\n\taddi\tr11, r1, SWITCH_FRAME_SIZE+32\n\tstd\tr11, 0(r1)\n",
        "T4",
    ),
    # The graph hook
    ("4.18", GRAPH, "\tmr\tr3, r0\n", "\tmr\tr3, r12\n", "S8"),
    ("4.18", GRAPH, "\tstdu\tr1, -112(r1)", "\taddi\tr1, r1, -112", "S8"),
    ("4.18", GRAPH, "\tmtlr\tr0\n", "", "S8"),
    ("4.18", GRAPH, "\tbctr\n", "\tli\tr0, 0\n\tbctr\n", "S8"),
    # ops->direct_call
    ("6.18", "", TRAMP, "\tmtlr\tr0\n" + TRAMP, "S7"),
    ("6.18", "", TRAMP, "\tli\tr0, 0\n" + TRAMP, "S7"),
    ("6.18", "", TRAMP, "\tstd\tr3, SWITCH_FRAME_SIZE+48(r1)\n" + TRAMP, "S7"),
    # A call from a frame without back chain
    ("6.8", "", TO_TRACER, "\tli\tr11, 0\n\tstd\tr11, 0(r1)\n" + ASK + T1_AGAIN + TO_TRACER, "T5"),
    # livepatch_handler
    # The thread goes on on another cpu behind the first instruction.
    ("6.8", HANDLER, "\tld\tr12, PACA_THREAD_INFO(r13)", "\tmr\tr12, r13\n\tld\tr12, PACA_THREAD_INFO(r12)", "X3"),
    ("6.8", HANDLER, RAISED, "", "L2"),
    ("6.8", TO_C, RAISED, "", "L6"),
    ("6.8", "", TO_C, INFO + RAISED_AGAIN + TO_C, "L2"),
    # An interrupt comes while it is lowered.
    ("6.8", "", TO_C, INFO + LOWERED + RAISED_AGAIN + TO_C, "L2"),
    ("6.8", HANDLER, "\tstd\tr2, -24(r11)\n", "", "L2"),
    ("6.8", HANDLER, "\tstd\tr0, -16(r11)\n", "", "L2"),
    ("6.8", "", TO_C, "\tmfctr\tr12\n\tmtlr\tr12\n\tli\tr11, 0\n\tmtctr\tr11\n\tblrl\n", "L3"),
    ("6.8", "", TO_C, "\tmfctr\tr12\n\tmtlr\tr0\n\tbctr\n", "L3"),
    ("6.8", HANDLER, "\tld\tr2, -24(r11)\n", "", "L4"),
    ("6.8", HANDLER, "\tld\tr2, -24(r11)\n", "", "L5"),
    # _mcount
    ("6.8", MCOUNT, "\tmtctr\tr12\n", "\tmtctr\tr0\n", "S8m"),
    ("6.8", MCOUNT, "\tbctr\n", "\tli\tr0, 0\n\tbctr\n", "S8m"),
    # return_to_handler
    ("6.8", HOOK, "\tstdu\tr1, -48(r1)", "\taddi\tr1, r1, -48", "S8r"),
    ("6.8", HOOK, "\tbl\tftrace_return", "\tmtlr\tr3\n\tb\tftrace_return", "S8r"),
    ("6.8", HOOK, "\tmtlr\tr3\n", "", "S8r"),
    ("6.18", HOOK, "\tstd\tr4, GPR4(r1)\n", "", "S8r"),
]


@pytest.mark.parametrize(("version", "after", "old", "new", "statement"), REPLACED)
def test_code_replaced(version: str, after: str, old: str, new: str, statement: str) -> None:
    assert statement in proved(version, edited(version, old, new, after)).refuted


@pytest.mark.parametrize(
    ("version", "jump", "other_jump", "take", "other_take"),
    [
        # What livepatch_handler finds in LR, CTR or r0 is X3's, even where it could do without.
        (
            "6.8",
            TO_HANDLER,
            "\tbeq-\t9f\n\tli\tr11, 0\n\tmtctr\tr11\n" + "\tb\tlivepatch_handler\n9:\n",
            "",
            "\tmtctr\tr12\n",
        ),
        (
            "6.8",
            TO_HANDLER,
            "\tbeq-\t9f\n\tli\tr11, 0\n\tmtlr\tr11\n" + "\tb\tlivepatch_handler\n9:\n",
            "",
            "\tmtlr\tr0\n",
        ),
        ("6.18", OOL_TO_HANDLER, "\tmtctr\tr0\n\tli\tr0, 0\n" + OOL_TO_HANDLER, "", "\tmfctr\tr0\n"),
        ("6.18", OOL_TO_HANDLER, "\tb\tlivepatch_handler\n", "", "\tmtlr\tr12\n"),
    ],
)
def test_what_livepatch_handler_finds(version: str, jump: str, other_jump: str, take: str, other_take: str) -> None:
    text = behind(version, HANDLER, other_take).replace(jump, other_jump)
    assert proved(version, text).refuted == ("X3",)


def test_livepatch_sp_is_lowered_and_raised_again_before_the_trap() -> None:
    load, trap = "\tld\tr0, -8(r11)\n", "1:\ttdne\tr0, r2\n\tEMIT_BUG_ENTRY 1b, __FILE__, __LINE__, 0\n"
    text = edited("6.8", load, load + "\tcmpd\tr0, r2\n", HANDLER)
    pops = "\tld\tr0, -16(r11)\n\tld\tr2, -24(r11)\n" + LOWERED
    again = "\tbeq+\t2f\n" + RAISED_AGAIN + trap.replace("tdne\tr0, r2", "trap")
    at = text.index(trap)
    rest = text[text.index("\n/*\n * _mcount", at) :]
    assert proved("6.8", text[:at] + pops + again + "2:\tmtlr\tr0\n\tblr\n" + rest).refuted == ("L4",)


def test_interrupts_are_off_at_ftrace_return_to_handler_alone() -> None:
    off = "\tmfmsr\tr12\n\tstd\tr12, 48(r1)\n" + INTERRUPTS_OFF
    on = "\tld\tr12, 48(r1)\n\tmtmsrd\tr12, 1\n"
    text = edited("6.8", "\tstdu\tr1, -48(r1)\n", "\tstdu\tr1, -64(r1)\n" + off, HOOK)
    text = text.replace("\taddi\tr1, r1, 48\n", on + "\taddi\tr1, r1, 64\n")
    assert "S8r" in proved("6.8", text).refuted


OLD_NIP = "\tld\tr11, SWITCH_FRAME_SIZE+LRSAVE(r1)\t/* old nip */\n"


@pytest.mark.parametrize(
    ("before", "behind_it"),
    [
        # Kept where the tracer does not keep it: old nip ...
        ("\tmr\tr11, r12\n", ""),
        ("\tmr\tr0, r12\n", "\tmr\tr11, r0\n"),
        ("\tmtctr\tr12\n", "\tmfctr\tr11\n"),
        ("\tstd\tr12, -16(r1)\n", "\tld\tr11, -16(r1)\n"),
        ("\tstd\tr12, 16(r1)\n", "\tld\tr11, 16(r1)\n"),
        ("\tstw\tr12, 8(r1)\n", OLD_NIP + "\tlwz\tr10, 8(r1)\n\tcmpw\tr10, r11\n\tbne-\tftrace_stub\n"),
        # ... or what is known of a register.
        ("", OLD_NIP + "\tmflr\tr10\n\taddi\tr10, r10, 24\n\tmtctr\tr10\n\tbctr\n"),
        ("\tli\tr11, 0\n\tmtxer\tr11\n", "\tmfxer\tr11\n\tcmpdi\tr11, 0\n\tbne-\tftrace_stub\n" + OLD_NIP),
        ("\tcrxor\t6, 6, 6\n", "\tbeq-\tcr1, ftrace_stub\n" + OLD_NIP),
        ("\tcrxor\t22, 22, 22\n", "\tbeq-\tcr5, ftrace_stub\n" + OLD_NIP),
    ],
)
def test_what_the_tracer_does_not_keep(before: str, behind_it: str) -> None:
    at = "\taddi\tr6, r1, GPR0\t\t\t/* pt_regs starts with gpr[0] */\n"
    text = edited("6.8", at, at + before, LEAN).replace(OLD_NIP, behind_it)
    assert "X1" in proved("6.8", text).refuted


def test_c_may_write_to_its_parameter_save_area() -> None:
    seen = "\tld\tr11, 40(r1)\n\tcmpdi\tr11, 0\n"
    call = "\tmfctr\tr12\n" + seen + "\tbne-\t7f\n\tbctrl\n"
    again = seen + "\tbne-\tftrace_stub\n\tb\t8f\n7:\tbctrl\n8:\n"
    assert "L4" in proved("6.8", edited("6.8", TO_C, call + again)).refuted
