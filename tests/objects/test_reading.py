"""What is in an object besides the entry code: other functions, many sections of one name, data, debug information."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lpgen.api import trampolines, verify
from lpgen.assembly import Unit, assemble
from lpgen.assembly.reach import reached
from lpgen.contract.suite import Suite
from lpgen.errors import LpgenError
from lpgen.kernel.generations import kernel
from lpgen.machine.cases import special_cases
from lpgen.machine.world import World
from lpgen.source.emit import emit_source
from tests.commands.tools import Here
from tests.emitted.emitted_build import needs_gnu
from tests.objects import objects

KERNEL = kernel("6.12")
TEXT = emit_source(KERNEL, style="standalone").text
LOAD = "\taddis\tr5, r2, function_trace_op@toc@ha\n\tld\tr5, function_trace_op@toc@l(r5)\n"

C = """
extern int elsewhere(int); extern int outside; static int counts[4]; int common;
__attribute__((section(".text.hot"))) int hot(int a) { return elsewhere(a) + counts[a & 3]; }
int cold(int a) { counts[1] = a; return hot(a) * outside + common; }
double number(void) { return 1.5; }
const char *text(void) { return "text"; }
int many(int a) { switch (a) { case 1: return 7; case 2: return 9; case 3: return hot(1); case 4: return 3;
  case 5: return 11; case 6: return cold(2); default: return 0; } }
inline __attribute__((weak)) int shared(int a) { return a + 1; }
int (*pointer)(int) = cold;
"""


def run(unit: Unit, step: int = 3) -> tuple[list[str], int, int]:
    verdict = Suite(KERNEL, unit).run(range(0, special_cases(KERNEL), step), full=False)
    covered = verdict.coverage.summary(unit.sections[".text"])
    return verdict.broken, covered.instructions, len(covered.missed)


def split(text: str, name: str, section: str) -> str:
    """Put the function ``name`` and what follows it into another section."""
    at = text.rindex('\t.section ".text"', 0, text.index(f"\t.globl\t{name}\n"))
    return text[:at] + f'\t.section "{section}", "ax", @progbits' + text[at + len('\t.section ".text"') :]


@needs_gnu
def test_the_handler_in_a_section_of_its_own(tmp_path: Path) -> None:
    text = split(TEXT, "livepatch_handler", ".text.livepatch")
    unit = trampolines(KERNEL, source=objects.gcc(text, tmp_path, name="a.S"))
    assert unit.sections[".text"].parts
    assert run(unit) == run(trampolines(KERNEL, text=TEXT)) == ([], 191, 0)
    assert run(trampolines(KERNEL, text=text)) == ([], 191, 0), "as text"


@needs_gnu
@pytest.mark.parametrize("model", ["medium", "large", "small"])
@pytest.mark.parametrize("sections", ["-ffunction-sections", "-fno-function-sections"])
def test_with_functions_that_are_not_for_us(model: str, sections: str, tmp_path: Path) -> None:
    """As kbuild links files: `ld -r`; C code calls what is nowhere, has a .toc, .eh_frame, tables, COMDAT, common."""
    options = ["-O2", "-mprofile-kernel", "-pg", "-fcommon", "-g", f"-mcmodel={model}", sections]
    c = objects.gcc(C, tmp_path, *options, name="c.c")
    entry = objects.gcc(TEXT, tmp_path, "-g", name="entry.S")
    both = tmp_path / "both.o"
    objects.run("ld", "-r", "-o", str(both), str(c), str(entry))
    unit = trampolines(KERNEL, source=both)
    assert {"elsewhere", "outside"} <= {s.name for s in unit.symbols.values() if s.section is None}
    assert run(unit) == ([], 191, 0)


@needs_gnu
@pytest.mark.parametrize("near", [True, False])
def test_ops_through_the_toc(near: bool, tmp_path: Path) -> None:
    """What gcc -mcmodel=large makes of an access to another file's variable: its address stands in .toc."""
    load = "\tld\tr5, .Lops@toc(r2)\n" if near else "\taddis\tr5, r2, .Lops@toc@ha\n\tld\tr5, .Lops@toc@l(r5)\n"
    text = TEXT.replace(LOAD, load + "\tld\tr5, 0(r5)\n")
    assert text.count(".Lops") == 2 * (1 if near else 2)
    text += '\t.section ".toc", "aw"\n\t.quad 0\n.Lops:\t.quad function_trace_op\n'
    unit = trampolines(KERNEL, source=objects.gcc(text, tmp_path, name="toc.S"))
    assert run(unit)[0] == []


@needs_gnu
def test_an_undefined_symbol_that_is_used(tmp_path: Path) -> None:
    text = TEXT.replace(LOAD, "\tbl\thelper\n" + LOAD) + '\t.section .text.c, "ax"\nhelper: bl elsewhere\n\tblr\n'
    path = objects.gcc(text, tmp_path, name="used.S")
    with pytest.raises(LpgenError) as caught:
        World(KERNEL, trampolines(KERNEL, source=path))
    assert str(caught.value) == (f"{path} uses elsewhere ({path}: helper), which neither it nor kernel 6.12 has for it")
    line = text[: text.index("helper: bl")].count("\n") + 1
    with pytest.raises(LpgenError, match=re.escape(f"uses elsewhere (<text>:{line})")):
        World(KERNEL, trampolines(KERNEL, text=text))
    unused = TEXT + '\t.section .text.c, "ax"\nhelper: bl elsewhere\n\tblr\n'
    World(KERNEL, trampolines(KERNEL, source=objects.gcc(unused, tmp_path, name="unused.S")))


@needs_gnu
def test_sections_of_one_name_and_a_lot_of_them(tmp_path: Path) -> None:
    groups = "".join(
        f'\t.section .text.one,"axG",@progbits,g{n},comdat\n\t.weak w{n}\nw{n}: li 3,{n}\n\tblr\n' for n in range(3)
    )
    many = "".join(f'\t.section .d{n},"aw"\nd{n}: .quad d{n}\n' for n in range(65_400))
    text = f'{TEXT}{groups}{many}\t.section .text.last,"ax"\nlast:\tb d65399\n'
    unit = objects.read(objects.gcc(text, tmp_path, name="many.S").read_bytes())
    assert sum(name.startswith(".text.one") for name in unit.sections) == 3
    assert {unit.symbols[f"w{n}"].section for n in range(3)} == {s for s in unit.sections if s.startswith(".text.one")}
    assert unit.symbols["d65399"].section == ".d65399", "its section's number takes SHN_XINDEX"
    assert unit.sections[".text.last"].relocations[0].symbol in ("d65399", ".d65399")
    World(KERNEL, trampolines(KERNEL, source=tmp_path / "many.o"))


@needs_gnu
def test_symbols(tmp_path: Path) -> None:
    text = """
        .file "name.c"
        .globl f, a, c, h ; .weak w ; .hidden h
        .set a, 0x1234 ; .comm c, 24, 16 ; .comm e, 8, 8 ; .lcomm l, 8
        .type f, @function
f:      addis 2,12,(.TOC.-f)@ha ; addi 2,2,(.TOC.-f)@l ; .localentry f,.-f
        bl w ; nop
        lis 3,a@h ; lis 3,c@h ; lis 3,e@h
h:      blr
        .size f, .-f
        .section bss, "aw" ; .quad 1
"""
    unit = objects.read(objects.gas(text, tmp_path).read_bytes())
    found = {s.name: (s.section, s.value, s.binding, s.type, s.size, s.local_entry) for s in unit.symbols.values()}
    assert found["f"] == (".text", 0, "global", "func", 32, 8)
    assert found["h"] == (".text", 28, "global", "notype", 0, 0)
    assert unit.symbols["h"].other & 3 == 2, "hidden"
    assert found["a"] == ("*ABS*", 0x1234, "global", "notype", 0, 0)
    assert found["w"] == (None, 0, "weak", "notype", 0, 0)
    assert {found[name][0] for name in "ce"} == {"COMMON"}
    assert sorted((found[name][1], found[name][4]) for name in "ce") in ([(0, 24), (24, 8)], [(0, 8), (16, 24)])
    assert "name.c" not in found
    assert unit.sections["COMMON"].kind == "nobits"


@needs_gnu
def test_entry_by_another_name(here: Here, tmp_path: Path) -> None:
    text = re.sub(r"\blivepatch_handler\b", "my_handler", TEXT)
    # An old one under the kernel's name, which nobody shall take for the one that is judged.
    text += "\t.globl livepatch_handler\nlivepatch_handler:\n\ttrap\n"
    path = objects.gcc(text, tmp_path, name="own.S")
    assert run(trampolines(KERNEL, source=path))[0] != []
    assert run(trampolines(KERNEL, source=path, entries={"livepatch_handler": "my_handler"}))[0] == []
    ran = here("verify", "own.S", "--kernel", "6.12", "--entry", "livepatch_handler=my_handlr")
    assert ran.error_line == (
        "lpgen: own.S does not define my_handlr, which is to be livepatch_handler; "
        "is it my_handler or return_to_handler or livepatch_handler?"
    )
    ran = here("verify", "own.S", "--kernel", "6.12", "--entry", "handler=my_handler")
    assert ran.error_line.startswith("lpgen: kernel 6.12 has no handler; its symbols are ftrace_regs_caller, ")
    for wrong in ("x", "=x", "x="):
        assert "write NAME=SYMBOL" in here("verify", "own.S", "--entry", wrong).error_line
    assert "--entry names symbols in a FILE" in here("verify", "--entry", "a=b").error_line
    result = verify(
        "6.12", source="own.S", entries={"livepatch_handler": "my_handler"}, include_dirs=["."], defines={"A": "1"}
    )
    assert result.command == ("lpgen verify own.S --kernel 6.12 --entry livepatch_handler=my_handler -I . -D A=1")
    assert result.holds


@needs_gnu
def test_the_command_takes_objects(here: Here, tmp_path: Path) -> None:
    objects.gcc(TEXT.replace("\tstd\tr2, -24(r11)\n", "\tstd\tr12, -24(r11)\n"), tmp_path, name="wrong.S")
    ran = here("verify", "wrong.o", "--kernel", "6.12", "--callers", "200", "--no-shrink")
    assert ran.code == 1
    assert "wrong.o: an object as it is" in ran.out
    assert re.search(r"instruction  livepatch_handler\+0x\w+: \w+", ran.out)
    assert "wrong.o: livepatch_handler" in ran.out
    assert "again        lpgen verify wrong.o --kernel 6.12 --only" in ran.out
    assert '"assembler": "object"' in here("verify", "wrong.o", "--kernel", "6.12", "--only", "3", "--json").out
    assert "(=)" in here("cost", "wrong.o", "--kernel", "6.12").out
    assert re.search(r"^ +\w+  48000001  bl ftrace_stub +wrong.o: ftrace_call$", here("assemble", "wrong.o").out, re.M)
    assert here("assemble", "wrong.o", "--format", "hex").out == here("assemble", "wrong.S", "--format", "hex").out
    assert "is an object already" in here("assemble", "wrong.o", "--format", "obj", "--out", "x.o").error_line


@pytest.mark.parametrize(
    ("text", "instructions", "sections"),
    [
        ("f: b 1f; li 3,1; 1: blr; li 3,2", {0, 8}, set()),
        ("f: bl 1f; blr; 1: beqlr; trap; rfid; nop", {0, 4, 8, 12, 16}, set()),
        ("f: bdnz f; bctr; nop", {0, 4}, set()),
        ("f: bctrl; beqctr; bclr 20,0; nop", {0, 4, 8}, set()),
        ("f: bl g; blr; nop; g: nop; blr", {0, 4, 12, 16}, set()),
        ("f: blr; .quad 0; .globl g; g: blr", {0}, set()),
        # A table of addresses: a jump through it may lead to each of them.
        (
            'f: lis 3,t@h; bctr; nop; g: blr; nop; .section .t,"a"; t: .quad g; .section .u,"a"; .quad f+8',
            {0, 4, 12},
            {".t"},
        ),
    ],
)
def test_what_an_entry_point_leads_to(text: str, instructions: set[int], sections: set[str]) -> None:
    found = reached(assemble(text, name="x.s"), ["f"])
    assert (found.instructions, found.sections) == (instructions, sections)
