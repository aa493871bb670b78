"""The world refuses trampolines that ftrace could not use, in one line that says what and what to do."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from lpgen.assembly import Unit, assemble
from lpgen.assembly.kernel_text import defines, headers
from lpgen.errors import LpgenError
from lpgen.kernel.generations import Kernel, kernel
from lpgen.machine.engine import branch
from lpgen.machine.places import MAX_TEXT, Patched
from lpgen.machine.world import World
from lpgen.source.emit import emit_source

ALL = (
    "ftrace_caller, ftrace_call, ftrace_graph_call, ftrace_graph_stub, ftrace_stub, ftrace_graph_caller, "
    "livepatch_handler"
)
CALL = "\tbl\tftrace_stub\n\tnop\n"
GRAPH_CALL = "ftrace_graph_call:\n\tb\tftrace_graph_stub\n"


def made(kernel: Kernel, text: str) -> Unit:
    return assemble(text, name="mine.S", headers=headers(kernel), defines=defines(kernel), isolated=False)


def edited(kernel: Kernel, *edits: tuple[str, str]) -> Unit:
    """The emitted text with the edits made, assembled."""
    text = emit_source(kernel).text
    for find, replace in edits:
        assert text.count(find) == 1, find
        text = text.replace(find, replace)
    return made(kernel, text)


def refusal(kernel: Kernel, unit: Unit) -> str:
    with pytest.raises(LpgenError) as caught:
        World(kernel, unit)
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("livepatch", [True, False])
@pytest.mark.parametrize("graph", [True, False])
def test_what_is_emitted_is_accepted(livepatch: bool, graph: bool) -> None:
    config = {"CONFIG_LIVEPATCH": livepatch, "CONFIG_FUNCTION_GRAPH_TRACER": graph}
    wanted = kernel("4.7", config=config)
    world = World(wanted, edited(wanted))
    assert {symbol.name for symbol in wanted.symbols} <= world.image.symbols.keys()
    assert len(world.bug_entries()) == int(livepatch)


def test_no_ftrace_call() -> None:
    wanted = kernel("4.7")
    unit = edited(wanted, ("\t.globl\tftrace_call\nftrace_call:\n", ""))
    assert refusal(wanted, unit) == (f"mine.S does not define ftrace_call; kernel 4.7 with these options needs {ALL}")


def test_nothing_of_what_is_needed() -> None:
    wanted = kernel("4.7")
    assert refusal(wanted, made(wanted, "\tnop\n")) == (
        f"mine.S does not define {ALL}; kernel 4.7 with these options needs {ALL}"
    )


def test_less_than_the_options_ask_for() -> None:
    without = kernel("4.7", config={"CONFIG_FUNCTION_GRAPH_TRACER": False})
    assert refusal(kernel("4.7"), edited(without)) == (
        "mine.S does not define ftrace_graph_call, ftrace_graph_stub, ftrace_graph_caller; "
        f"kernel 4.7 with these options needs {ALL}"
    )
    # More than they ask for does no harm.
    World(without, edited(kernel("4.7")))


@pytest.mark.parametrize("instruction", ["nop", "b\tftrace_stub", "bl\tlivepatch_handler", "bl\tftrace_stub+4"])
def test_another_instruction_at_ftrace_call(instruction: str) -> None:
    wanted = kernel("4.7")
    unit = edited(wanted, (CALL, f"\t{instruction}\n\tnop\n"))
    call, stub = (unit.symbols[name].value for name in ("ftrace_call", "ftrace_stub"))
    right = branch(call, stub, link=True)
    holds = {
        "nop": 0x60000000,
        "b\tftrace_stub": right & ~1,
        "bl\tlivepatch_handler": branch(call, unit.symbols["livepatch_handler"].value, link=True),
        "bl\tftrace_stub+4": right + 4,
    }[instruction]
    assert refusal(wanted, unit) == (
        f"mine.S: ftrace_call holds {holds:08x}, ftrace patches only {right:08x} (bl ftrace_stub); "
        "put bl ftrace_stub there"
    )


def test_no_nop_behind_ftrace_call() -> None:
    wanted = kernel("4.7")
    unit = edited(wanted, (CALL, "\tbl\tftrace_stub\n\tori\tr1, r1, 0\n"))
    assert refusal(wanted, unit) == (
        "mine.S: ftrace_call+4 holds 60210000, ftrace patches only 60000000 (nop); put nop there"
    )


def test_another_instruction_at_ftrace_graph_call() -> None:
    wanted = kernel("4.7")
    unit = edited(wanted, (GRAPH_CALL, "ftrace_graph_call:\n\tnop\n"))
    assert refusal(wanted, unit) == (
        "mine.S: ftrace_graph_call holds 60000000, ftrace patches only 48000004 (b ftrace_graph_stub); "
        "put b ftrace_graph_stub there"
    )


def test_symbols_that_nobody_has() -> None:
    wanted = kernel("4.7")
    unit = edited(wanted, (CALL, f"{CALL}\tbl\tzeta\n\tbl\talpha\n\tbl\tzeta\n"))
    assert refusal(wanted, unit) == (
        "mine.S uses alpha (mine.S:130), zeta (mine.S:129), which neither it nor kernel 4.7 has for it"
    )


@pytest.mark.parametrize("text", ["\t.data\n\t.long 1\n", "/* nothing */\n", "\t.set a, 1\n"])
def test_no_code(text: str) -> None:
    wanted = kernel("4.7")
    assert refusal(wanted, made(wanted, text)) == "mine.S has no code; the trampolines belong in .text"


def test_too_much_code() -> None:
    wanted = kernel("4.7")
    assert refusal(wanted, made(wanted, f"\t.space {MAX_TEXT + 4}\n")) == (
        f"mine.S: .text of {MAX_TEXT + 4} bytes is larger than the {MAX_TEXT} bytes set aside for it"
    )


def test_patching_is_what_ftrace_does() -> None:
    """ftrace_call goes between the stub and the tracer, ftrace_graph_call between the stub and the hook."""
    wanted = kernel("4.7")
    world = World(wanted, edited(wanted))
    call, hook = world.symbol("ftrace_call"), world.symbol("ftrace_graph_call")
    ends: Mapping[tuple[bool, bool], tuple[int, int]] = {
        (tracer, graph): (
            branch(call, world.tracer if tracer else world.symbol("ftrace_stub"), link=True),
            branch(hook, world.symbol("ftrace_graph_caller" if graph else "ftrace_graph_stub")),
        )
        for tracer in (False, True)
        for graph in (False, True)
    }
    for tracer, graph in [(True, False), (True, True), (False, True), (False, False), (True, True), (False, False)]:
        world.patch(Patched(tracer, graph))
        seen = tuple(int.from_bytes(world.engine.read(at, 4), "little") for at in (call, hook))
        assert seen == ends[tracer, graph]


LATE = kernel("6.18", config={"CONFIG_PPC_FTRACE_OUT_OF_LINE_NUM_RESERVE": 100})
TRAMP = '\t.pushsection ".tramp.ftrace.text", "aw", @progbits\n'
INIT, STUBS = "ftrace_tramp_init:\n", "\t.globl\tftrace_ool_stub_text\n"
COUNT = "\t.long\tCONFIG_PPC_FTRACE_OUT_OF_LINE_NUM_RESERVE\n"
AREA = "\t.space\tCONFIG_PPC_FTRACE_OUT_OF_LINE_NUM_RESERVE * FTRACE_OOL_STUB_SIZE\n"


@pytest.mark.parametrize(
    ("find", "instead", "says"),
    [
        (TRAMP, TRAMP.replace('"aw"', '"a"'), "ftrace_tramp_text is not in .tramp.ftrace.text"),
        (TRAMP, '\t.pushsection ".data", "aw"\n', "ftrace_tramp_text is not in .tramp.ftrace.text"),
        (
            "ftrace_tramp_init:\n\t.space\t32\n",
            "ftrace_tramp_init:\n\t.space\t16\n",
            "ftrace_tramp_init has no 32 bytes",
        ),
        (COUNT, "\t.long\t99\n", "ftrace_ool_stub_text_count is 99, ftrace_ool_stub_text has 2400 bytes"),
        (AREA, "\t.space\t99 * FTRACE_OOL_STUB_SIZE\n", "ftrace_ool_stub_text has 2376 bytes"),
        (
            "\t.align\t3\n\t.globl\tftrace_ool",
            "\t.align\t3\n\t.long 0\n\t.globl\tftrace_ool",
            "is not 8-byte aligned in .text",
        ),
        ("\t.globl\tftrace_tramp_init\n", "", "ftrace_tramp_init is not global"),
        ("_GLOBAL(_mcount)", "_GLOBAL(mcount_)", "does not define _mcount"),
    ],
)
def test_what_ftrace_writes_to(find: str, instead: str, says: str) -> None:
    assert says in refusal(LATE, edited(LATE, (find, instead)))


def test_what_nothing_else_refers_to_may_be_local_or_missing() -> None:
    inner = ("_GLOBAL(ftrace_no_trace)\n", "gone:\n")
    text = emit_source(LATE).text.replace(*inner).replace("ftrace_no_trace\n", "gone\n")
    World(LATE, made(LATE, text.replace("_GLOBAL(livepatch_handler)", "livepatch_handler:")))


def test_more_call_sites_than_the_area_has_room_for() -> None:
    """The kernel's build makes room elsewhere; so does the world."""
    few = kernel("6.18", config={"CONFIG_PPC_FTRACE_OUT_OF_LINE_NUM_RESERVE": 1})
    world = World(few, edited(few))
    first, second = (world.functions_b[0, 0, entry].lr - 16 for entry in ("regs", "lean"))
    assert first == world.symbol("ftrace_ool_stub_text")
    assert not world.text[0] <= second < world.text[1] + 1024
    assert second % 8 == 0


def test_a_function_that_a_kernel_has_not() -> None:
    unit = edited(LATE, ("\tbl\tftrace_return_to_handler\n", "\tbl\tsomebody\n"))
    assert refusal(LATE, unit) == "mine.S uses somebody (mine.S:442), which neither it nor kernel 6.18 has for it"
    early = kernel("4.12")
    unit = edited(early, ("\tbl\tprepare_ftrace_return\n", "\tbl\tis_current_kprobe_addr\n"))
    assert "is_current_kprobe_addr (mine.S:217), which neither it nor kernel 4.12 has" in refusal(early, unit)
