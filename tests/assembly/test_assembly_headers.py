"""The headers that ship with lpgen, and macros that no header defines."""

from __future__ import annotations

import pytest

from lpgen.api import assemble_text
from lpgen.assembly import How
from lpgen.errors import LpgenError
from lpgen.kernel.generations import kernel
from tests.emitted.emitted_build import needs_gnu

HEAD = "#include <asm/ppc_asm.h>\n#include <asm/bug.h>\n#include <asm/thread_info.h>\n"


@needs_gnu
@pytest.mark.parametrize(
    ("macro", "plain"),
    [
        ("CURRENT_THREAD_INFO(r12, r1)", "clrrdi 12,1,14"),
        ("ZEROIZE_GPRS(3, 5)", "li 3,0; li 4,0; li 5,0"),
        ("ZEROIZE_GPR(7)", "li 7,0"),
        ("ZEROIZE_NVGPRS()", "; ".join(f"li {n},0" for n in range(14, 32))),
        ("1: nop; EX_TABLE(1b, 2f); 2: nop", '1: nop; .section __ex_table,"a"; .long 1b-.,2f-.; .text; 2: nop'),
        (
            'trap; 1: EMIT_WARN_ENTRY 1b, "f", 5, 1; nop',
            'trap; 1: EMIT_BUG_ENTRY 1b, "f", 5, 1; .section __ex_table,"a"; .long 1b-.,1b+4-.; .text; nop',
        ),
        (
            "LOAD_REG_IMMEDIATE_SYM(r3, r4, x)",
            "lis 4,x@highest; ori 4,4,x@higher; lis 3,x@high; ori 3,3,x@l; rldimi 3,4,32,0",
        ),
        ("x: nop; LOAD_REG_ADDR_PIC(r3, x)", "x: nop; bcl 20,31,.+4; mflr 3; addis 3,3,0; addi 3,3,-8"),
    ],
)
@pytest.mark.parametrize("how", [How("lpgen"), How("gnu", cpp=True)], ids=["lpgen", "gnu"])
def test_macros_of_an_entry_file(macro: str, plain: str, how: How) -> None:
    made, wanted = (assemble_text(kernel("5.10"), f"{HEAD}{text}\n", "t.S", how) for text in (macro, plain))
    for name, section in wanted.sections.items():
        assert made.sections[name].data == section.data, name
        theirs = [(r.offset, r.type, r.symbol, r.addend) for r in section.relocations]
        assert [(r.offset, r.type, r.symbol, r.addend) for r in made.sections[name].relocations] == theirs


@pytest.mark.parametrize("line", ["GET_IT(r12, r1)", "EXPORT_SYMBOL(x)", "x: IT (a)", "IT()", "got(3)", "nop; IT(1) x"])
def test_a_macro_that_no_header_defines(line: str) -> None:
    with pytest.raises(LpgenError, match=r"t.S:1: \w+ is not defined as a macro; give the header .* with -I"):
        assemble_text(kernel("5.10"), f"{line}\n", "t.S", How("lpgen"))
