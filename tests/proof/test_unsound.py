"""Wrong trampolines that a proof must not pass: each is emitted text with one edit, and the statement it breaks."""

from __future__ import annotations

from functools import cache

import pytest

from lpgen import api
from lpgen.errors import LpgenError
from lpgen.kernel.chosen import choose
from lpgen.report.proof_result import ProofResult
from lpgen.source.emit import emit_source


@cache
def emitted(version: str) -> str:
    return emit_source(choose(version)).text


def edited(version: str, old: str, new: str, after: str = "") -> str:
    """Return what is emitted for a kernel, with the first ``old`` behind ``after`` replaced."""
    text = emitted(version)
    at = text.index(old, text.index(after))
    return text[:at] + new + text[at + len(old) :]


def proved(version: str, text: str) -> ProofResult:
    kernel = choose(version)
    return api.prove_unit(kernel, api.trampolines(kernel, text=text), replays=False)


def behind(version: str, label: str, code: str) -> str:
    """Return what is emitted for a kernel, with ``code`` put in behind ``label``."""
    return edited(version, label, label + code)


@pytest.mark.parametrize(
    ("version", "old", "new", "says"),
    [
        ("6.8", "ftrace_call:\n\tbl\tftrace_stub", "ftrace_call:\n\tnop", "ftrace_call holds 60000000"),
        ("4.18", "ftrace_graph_call:\n\tb\tftrace_graph_stub", "ftrace_graph_call:\n\tnop", "ftrace_graph_call holds"),
        (
            "4.18",
            "ftrace_call:\n\tbl\tftrace_stub\n\tnop",
            "ftrace_call:\n\tbl\tftrace_stub\n\tmr\tr3, r3",
            r"\+4 holds",
        ),
        ("6.8", "\t.globl\tftrace_call\n", "", "ftrace_call is not global"),
        ("6.18", ".long\tCONFIG_PPC_FTRACE_OUT_OF_LINE_NUM_RESERVE", ".long\t1", "ftrace_ool_stub_text_count is 1"),
        ("6.18", ".space\t32", ".space\t16", "has no 32 bytes"),
    ],
)
def test_what_ftrace_cannot_patch_is_refused(version: str, old: str, new: str, says: str) -> None:
    with pytest.raises(LpgenError, match=says):
        proved(version, edited(version, old, new))


REGS, LEAN = "_GLOBAL(ftrace_regs_caller)\n", "_GLOBAL(ftrace_caller)\n"
HANDLER, HOOK = "_GLOBAL(livepatch_handler)\n", "_GLOBAL(return_to_handler)\n"
MCOUNT = "EXPORT_SYMBOL(_mcount)\n"
NOWHERE = "\tbne-\tftrace_stub\n"
ASK = "\tbl\tis_current_kprobe_addr\n\tnop\n"
_T1 = "\tld\tr0, _LINK(r1)\n\taddi\tr3, r14, -4\n\tmr\tr4, r0\n\taddis\tr5, r2, function_trace_op@toc@ha\n"
T1_AGAIN = _T1 + "\tld\tr5, function_trace_op@toc@l(r5)\n"


def test_the_graph_hook_left_out_on_one_of_the_ways() -> None:
    """The lean entry has it: S8 is asked there."""
    assert "S8" in proved("4.18", edited("4.18", "\tb\tftrace_graph_call\n", "\tbctr\n")).refuted


def test_the_graph_hook_left_out_for_some_values() -> None:
    end = "\taddi\tr1, r1, SWITCH_FRAME_SIZE\n\t.globl\tftrace_graph_call"
    wrong = end.replace("\t.globl", "\tcmpdi\tr3, 77\n\tbeqctr\n\t.globl")
    assert "S8" in proved("4.18", edited("4.18", end, wrong)).refuted


@pytest.mark.parametrize(
    ("label", "code", "statement"),
    [
        (MCOUNT, "\tstd\tr3, 16(r1)\n", "S8m"),
        (MCOUNT, "\tstd\tr3, -8(r1)\n", "T5"),
        (HOOK, "\tstd\tr3, -200(r1)\n", "T5"),
        # Above livepatch_sp, in thread_info and below r1 a value may be another one a moment later.
        (
            HANDLER,
            "\tld\tr12, PACA_THREAD_INFO(r13)\n\tld\tr11, 0(r12)\n\tld\tr12, 0(r12)\n\tcmpd\tr11, r12\n" + NOWHERE,
            "X3",
        ),
        (
            HANDLER,
            "\tld\tr12, PACA_THREAD_INFO(r13)\n\tld\tr12, TI_livepatch_sp(r12)\n\tld\tr11, 32(r12)\n"
            "\tld\tr12, 32(r12)\n\tcmpd\tr11, r12\n" + NOWHERE,
            "X3",
        ),
        (
            LEAN,
            "\tstdu\tr1, -512(r1)\n\tld\tr11, 64(r1)\n\taddi\tr1, r1, 512\n\tstdu\tr1, -512(r1)\n"
            "\tld\tr12, 64(r1)\n\taddi\tr1, r1, 512\n\tcmpd\tr11, r12\n" + NOWHERE,
            "X1",
        ),
        # XER is none of what the handler may use.
        (HANDLER, "\taddic\tr11, r1, -1\n", "L1"),
        # The tracer is called once more.
        (HOOK, "\tb\tftrace_call\n", "S8r"),
    ],
)
def test_code_put_in(label: str, code: str, statement: str) -> None:
    assert statement in proved("6.8", behind("6.8", label, code)).refuted


def test_a_store_above_the_lowered_livepatch_sp() -> None:
    lower = "\tstd\tr11, TI_livepatch_sp(r12)\n\tblr"
    wrong = lower.replace("\tblr", "\tstd\tr0, 8(r11)\n\tblr")
    assert proved("6.8", edited("6.8", lower, wrong)).refuted == ("L2",)


@pytest.mark.parametrize(
    ("code", "statement"),
    [
        ("\tld\tr2, STK_GOT(r1)\n" + ASK + "\tld\tr2, PACATOC(r13)\n", "T2"),
        (ASK + "\tmr\tr14, r3\n" + ASK + "\tcmpd\tr14, r3\n" + NOWHERE + "\tld\tr14, _NIP(r1)\n", "T1"),
    ],
)
def test_is_current_kprobe_addr_where_nobody_asks_for_it(code: str, statement: str) -> None:
    """It may be called, as kernel C code is called, and need not answer the same again."""
    after = "\taddi\tr6, r1, GPR0"
    assert proved("6.8", edited("6.8", after, ASK + T1_AGAIN + after)).holds
    assert statement in proved("6.8", edited("6.8", after, code + T1_AGAIN + after)).refuted


def test_a_frame_pushed_by_stdux_is_as_good_as_by_stdu() -> None:
    push = "\tstdu\tr1, -SWITCH_FRAME_SIZE(r1)"
    other = "\tli\tr11, -SWITCH_FRAME_SIZE\n\tstdux\tr1, r1, r11"
    assert proved("6.8", edited("6.8", push, other, LEAN)).holds


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("\tldarx\tr12, 0, r1\n", "no instruction that is modelled"),
        ("\tmtctr\tr3\n7:\tbdnz\t7b\n", "a loop that ends when values say so"),
        (
            "\tmflr\tr12\n\tbl\t7f\n\tmr\tr9, r11\n\tbl\t7f\n\tmtlr\tr12\n\tb\t8f\n7:\tmfspr\tr11, 273\n\tblr\n8:\n",
            "runs twice",
        ),
    ],
)
def test_what_no_proof_can_follow_is_an_error(code: str, says: str) -> None:
    with pytest.raises(LpgenError, match=says):
        proved("6.8", behind("6.8", LEAN, code))


def test_tracing_is_off_and_a_direct_trampoline_set() -> None:
    """The contract says both: B's body, as what is emitted has it, or the direct trampoline, as Linux 7.2 has it."""
    label = "_GLOBAL(ftrace_no_trace)\n"
    direct = "\tmflr\tr11\n\tld\tr12, -16(r11)\n\tld\tr12, FTRACE_OPS_DIRECT_CALL(r12)\n\tcmpdi\tr12, 0\n\tmtctr\tr12\n"
    assert proved("6.18", behind("6.18", label, direct + "\tbnectr-\n")).holds
    assert "X1" in proved("6.18", behind("6.18", label, direct + "\tbctr\n")).refuted


def test_the_r2_of_b_is_where_return_to_handler_likes_it() -> None:
    """24(frame) is T2's at the tracer, not at ftrace_return_to_handler."""
    text = edited("6.8", "\tstd\tr2, STK_GOT(r1)\n", "\tstd\tr2, 16+32(r1)\n", HOOK)
    at = text.index(HOOK)
    text = text[:at] + text[at:].replace("ld\tr2, STK_GOT(r1)", "ld\tr2, 16+32(r1)").replace("-48(r1)", "-64(r1)")
    assert proved("6.8", text.replace("addi\tr1, r1, 48", "addi\tr1, r1, 64")).holds


@pytest.mark.parametrize(
    ("code", "statement"),
    [
        ("\tstd\tr3, 16(r1)\n", "X1"),
        # To nip itself, where no stub sets LR.
        (
            "\tmflr\tr11\n\tlwz\tr12, 4(r11)\n\txoris\tr12, r12, 0x4a00\n\taddis\tr12, r12, -0x200\n"
            "\tadd\tr12, r12, r11\n\taddi\tr12, r12, 4\n\tmtctr\tr12\n\tbctr\n",
            "X1",
        ),
    ],
)
def test_ftrace_stub_direct_tramp(code: str, statement: str) -> None:
    assert statement in proved("6.18", behind("6.18", "_GLOBAL(ftrace_stub_direct_tramp)\n", code)).refuted


def test_a_tracer_that_is_ftrace_stub_need_not_be_called() -> None:
    """As well as to call it, ops->func may be compared with it first."""
    address = "".join(
        f"\t{how}\n"
        for how in (
            "lis\tr0, ftrace_stub@highest",
            "ori\tr0, r0, ftrace_stub@higher",
            "sldi\tr0, r0, 32",
            "oris\tr0, r0, ftrace_stub@high",
            "ori\tr0, r0, ftrace_stub@l",
        )
    )
    func, behind_it = "\tld\tr12, FTRACE_OPS_FUNC(r5)", "\n\t/* X1: what the tracer left in nip and link"
    text = edited("6.18", func, address + func + "\n\tcmpd\tr12, r0\n\tbeq\t6f\n", LEAN)
    at = text.index(behind_it, text.index(LEAN))
    assert proved("6.18", text[:at] + "6:\n" + text[at:]).holds
    assert "T1" in proved("6.18", (text[:at] + "6:\n" + text[at:]).replace("beq\t6f", "bge\t6f")).refuted


@pytest.mark.parametrize(
    ("version", "area", "statement"), [("6.8", "ftrace_tramp_text", "T1"), ("6.18", "ftrace_ool_stub_text", "T1")]
)
def test_what_ftrace_writes_is_not_what_was_assembled(version: str, area: str, statement: str) -> None:
    load = "".join(
        f"\t{how}\n"
        for how in (
            f"lis\tr12, {area}@highest",
            f"ori\tr12, r12, {area}@higher",
            "sldi\tr12, r12, 32",
            f"oris\tr12, r12, {area}@high",
            f"ori\tr12, r12, {area}@l",
            "lwz\tr12, 8(r12)",
            "cmpwi\tr12, 0",
        )
    )
    assert statement in proved(version, behind(version, LEAN, load + NOWHERE)).refuted
