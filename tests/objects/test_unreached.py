"""What no entry point is seen to lead to: it may be nothing, but what runs or was written by hand is never dropped."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lpgen.api import trampolines, verify
from lpgen.assembly import How
from lpgen.contract.suite import Suite
from lpgen.errors import LpgenError
from lpgen.kernel.generations import kernel
from lpgen.machine.world import World
from lpgen.source.emit import emit_source
from tests.emitted.emitted_build import needs_gnu
from tests.objects import objects

KERNEL = kernel("4.7")
TEXT = emit_source(KERNEL, style="standalone").text
HANDLER = re.compile(r"^livepatch_handler:\n", re.MULTILINE)
# The way to what comes next is a sum: no branch, relocation or address in data shows it.
HIDDEN = """livepatch_handler:
	mflr	r0
	bcl	20,31,1f
1:	mflr	r12
	addi	r12,r12,hidden-1b
	mtlr	r12
	blr
	.long	0
hidden:	{first}
	mtlr	r0
"""
LOAD, CALL = "addis r11,r2,nosuch_symbol@toc@ha", "bl nosuch_func"


def hidden(first: str) -> str:
    text, count = HANDLER.subn(lambda _: HIDDEN.format(first=first), TEXT)
    assert count == 1
    return text


@needs_gnu
@pytest.mark.parametrize(("first", "name"), [(LOAD, "nosuch_symbol"), (CALL, "nosuch_func")])
def test_an_object_that_runs_what_could_not_be_linked(first: str, name: str, tmp_path: Path) -> None:
    path = objects.gcc(hidden(first), tmp_path, name="hidden.S")
    for jobs in (1, 2):
        with pytest.raises(LpgenError) as caught:
            verify("4.7", source=path, jobs=jobs)
        assert str(caught.value).startswith(
            f"{path}: hidden: {path} executes hidden, which uses {name}: that is not there, or only where no entry "
            "point is seen to lead; "
        )


@needs_gnu
def test_an_object_that_runs_what_is_there(tmp_path: Path) -> None:
    """A sum leads to it, but all that it refers to is known: it is judged, and its instructions count."""
    path = objects.gcc(hidden("nop"), tmp_path, name="hidden.S")
    unit = trampolines(KERNEL, source=path)
    verdict = Suite(KERNEL, unit).run(range(0, 500, 3), full=False)
    plain = trampolines(KERNEL, text=TEXT).sections[".text"]
    covered = verdict.coverage.summary(unit.sections[".text"])
    assert covered.instructions > len(plain.lines)


@needs_gnu
@pytest.mark.parametrize("assembler", ["lpgen", "gnu"])
@pytest.mark.parametrize(("first", "name"), [(LOAD, "nosuch_symbol"), (CALL, "nosuch_func")])
def test_text_with_an_undefined_symbol(assembler: str, first: str, name: str) -> None:
    """Wherever it is: in what runs unseen, in a function of its own, in data between the code."""
    end = '\t.section ".text"\n'
    for text in (hidden(first), f"{TEXT}{end}helper:\t{first}\n\tblr\n", f"{TEXT}{end}\t.quad {name}\n"):
        line = next(n for n, one in enumerate(text.splitlines(), 1) if name in one)
        where = f"<text>:{line}" if ".quad" not in text.splitlines()[line - 1] or assembler == "lpgen" else "<text>"
        with pytest.raises(LpgenError, match=re.escape(f"uses {name} ({where}")):
            verify("4.7", text=text, assembler=assembler)  # type: ignore[arg-type]


@needs_gnu
@pytest.mark.parametrize("assembler", ["lpgen", "gnu"])
def test_statements_of_a_text_that_nothing_leads_to(assembler: str) -> None:
    dead = '\t.section ".text"\nb9:\tnop\n\tli\tr3, 1\n\tblr\n\t.balign 64\n\t.long 0x12345678\nd9:\tblr\n'
    result = verify("4.7", text=TEXT + dead, assembler=assembler, callers=100)  # type: ignore[arg-type]
    assert result.assembler.startswith("lpgen" if assembler == "lpgen" else "GNU")
    missed = list(result.names_of(result.covered.missed))
    assert {"b9 to b9+0x8", "d9"} <= set(missed), missed


@needs_gnu
def test_one_slot_of_a_table_of_addresses(tmp_path: Path) -> None:
    """`ld -r` of the entry code with C code of -mcmodel=large: one .toc has the slots of both."""
    load = "\taddis\tr5, r2, function_trace_op@toc@ha\n\tld\tr5, function_trace_op@toc@l(r5)\n"
    slot = "\taddis\tr5, r2, .Lops@toc@ha\n\tld\tr5, .Lops@toc@l(r5)\n\tld\tr5, 0(r5)\n"
    assert load in TEXT
    own = TEXT.replace(load, slot) + '\t.section ".toc", "aw"\n.Lops:\t.quad function_trace_op\n'
    c = objects.gcc(
        "extern int elsewhere, other(int); int f(int a) { return other(a) + elsewhere; }",
        tmp_path,
        "-O2",
        "-mcmodel=large",
        name="c.c",
    )
    entry = objects.gcc(own, tmp_path, name="entry.S")
    for order in ((c, entry), (entry, c)):
        objects.run("ld", "-r", "-o", str(tmp_path / "both.o"), *map(str, order))
        unit = trampolines(KERNEL, source=tmp_path / "both.o")
        assert Suite(KERNEL, unit).run(range(0, 500, 3), full=False).broken == []
    # A table that code takes the address of is used as a whole.
    table = own.replace("\tld\tr5, .Lops@toc@l(r5)\n", "\taddi\tr5, r5, .Lops@toc@l\n\tld\tr5, 0(r5)\n")
    assert table != own
    path = objects.gcc(table + "\t.quad nosuch\n", tmp_path, name="table.S")
    with pytest.raises(LpgenError, match="uses nosuch"):
        World(KERNEL, trampolines(KERNEL, source=path))


@needs_gnu
@pytest.mark.parametrize("style", ["kernel", "standalone"])
@pytest.mark.parametrize("version", ["4.7", "5.4", "6.12"])
def test_gnu_as_counts_the_statements_that_lpgen_counts(version: str, style: str) -> None:
    made = kernel(version)
    text = emit_source(made, style=style).text
    own = trampolines(made, text=text, how=How("lpgen")).sections[".text"]
    gnu = trampolines(made, text=text, how=How("gnu")).sections[".text"]
    assert own.counted is None
    assert sorted(gnu.counted or ()) == [line.offset for line in own.lines]
