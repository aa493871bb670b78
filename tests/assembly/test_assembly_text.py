"""Reading: comments, the preprocessor, provenance of lines, speed, and nonsense as input."""

from __future__ import annotations

import contextlib
import random
import string
import subprocess
import sys
from pathlib import Path

import pytest

import lpgen.assembly
from lpgen.assembly import Unit, assemble
from lpgen.assembly.comments import clean
from lpgen.assembly.selftest import selftest
from lpgen.errors import LpgenError, Place


def places(unit: Unit) -> list[tuple[str, str]]:
    return [(line.text, str(line.place)) for line in unit.sections[".text"].lines]


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("a /* x */ b\nc", ["a   b", "c"]),
        ("a /* x\n y */ b\nc", ["a   b", "", "c"]),
        ("/* x\n y */ b\nc", ["", "  b", "c"]),
        ("a // it's\nb", ["a ", "b"]),
        ("a # it's; /* x */\nb", ["a ", "b"]),
        ("# it's a comment\nb", ["", "b"]),
        ("#define X /* a\nb */ 3\nc", ["#define X   3", "", "c"]),
        ("#define X 1 \\\n 2\nc", ["#define X 1  2", "", "c"]),
        ('.ascii "# /* // \\" x" # y', ['.ascii "# /* // \\" x" ']),
        (".byte 'a, 'b', '\\n", [".byte 97, 98, 10"]),
        ("a\r\nb\fc", ["a", "b c"]),
    ],
)
def test_comments_go_and_lines_stay(text: str, lines: list[str]) -> None:
    assert clean(text, "x") == lines


def test_lines_come_from_where_they_were_written() -> None:
    text = """\
/* banner
 */
#include <asm/ppc_asm.h>
#include "code.h"
#define TWO(x) li r3,x; \\
	li r4,x

	.macro M v
	li	r5, \\v
	.endm
TWO(1)
#if 0
	nonsense
#endif
#ifdef CONFIG_X
	M 2
#endif
	.rept 2
	nop
	.endr
"""
    unit = assemble(text, name="a.S", headers={"code.h": "\n\tmr r6, r7\n"}, defines={"CONFIG_X": "1"})
    assert places(unit) == [
        ("mr %r6, %r7", "code.h:2"),
        ("li %r3,1", "a.S:11"),
        ("li %r4,1", "a.S:11"),
        ("li %r5, 2", "a.S:16"),
        ("nop", "a.S:19"),
        ("nop", "a.S:19"),
    ]


def test_templates_reach_the_lines() -> None:
    origins = [Place("t.j2", 1), None, Place("u.j2", 9)]
    unit = assemble("nop\nnop\nnop\n", name="a.S", origins=origins)
    assert [line.template for line in unit.sections[".text"].lines] == origins


def test_line_and_file_macros() -> None:
    unit = assemble("#define HERE .long __LINE__; .asciz __FILE__\n\nHERE\n", name="dir/a.S")
    assert unit.sections[".text"].data == (3).to_bytes(4, "little") + b"dir/a.S\0"


def test_is_enabled_in_an_if() -> None:
    text = "#if IS_ENABLED(CONFIG_A) && !IS_ENABLED(CONFIG_B)\nnop\n#endif\n"
    assert len(assemble(text, name="a.S", defines={"CONFIG_A": "1"}).sections[".text"].data) == 4
    assert len(assemble(text, name="a.S").sections[".text"].data) == 0


def test_include_beside_the_file_and_in_directories(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "beside.h").write_text("#define A 1\n#include <deep.h>\n")
    (tmp_path / "sub" / "deep.h").write_text("#define B 2\n")
    name = str(tmp_path / "x.S")
    Path(name).write_text("")
    unit = assemble('#include "beside.h"\n.byte A, B\n', name=name, include_dirs=[tmp_path / "sub"])
    assert unit.sections[".text"].data == b"\1\2"


def test_headers_given_come_before_the_shipped_ones() -> None:
    unit = assemble(
        "#include <linux/magic.h>\n.byte STACK_END_MAGIC\n",
        name="a.S",
        headers={"linux/magic.h": "#define STACK_END_MAGIC 5\n"},
    )
    assert unit.sections[".text"].data == b"\5"


def test_every_shipped_header_can_be_included() -> None:
    folder = Path(lpgen.assembly.__file__).parent / "headers"
    names = [str(path.relative_to(folder)) for path in sorted(folder.rglob("*.h"))]
    assert len(names) > 40
    text = "".join(f"#include <{name}>\n" for name in names) + "mflr r0\n"
    unit = assemble(text, name="a.S", headers={"asm/asm-offsets.h": "#define BUG_ENTRY_SIZE 24\n"})
    assert places(unit) == [("mflr %r0", f"a.S:{len(names) + 1}")]


def test_no_directive_no_preprocessor() -> None:
    """pcpp, capstone and unicorn are not loaded for plain text; keystone not before something is assembled."""
    code = (
        "import sys; from lpgen.assembly import assemble; assert 'keystone' not in sys.modules\n"
        "assemble('nop\\nli 3,1\\n', name='x.s')\n"
        "print([m for m in ('pcpp', 'capstone', 'unicorn', 'elftools') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_selftest_holds() -> None:
    results = selftest()
    assert [what for what, holds, _ in results if not holds] == []
    assert len(results) == 3


def test_nonsense_is_refused_and_never_more(capfd: pytest.CaptureFixture[str]) -> None:
    """Whatever the text, the only exception is LpgenError."""
    rng = random.Random(6)
    pieces = [
        "li",
        "3",
        ",",
        "(",
        ")",
        "1",
        "-",
        "+",
        "@l",
        "#if",
        "#define A",
        "A",
        ".macro m",
        ".endm",
        "m",
        ".rept 2",
    ]
    pieces += [
        ".endr",
        "1:",
        "1b",
        "\\x",
        '"a"',
        '"',
        ".set",
        "=",
        "a",
        ".byte",
        ";",
        "\n",
        "/*",
        "*/",
        "//",
        "'",
        "%r3",
    ]
    pieces += [".if", ".endif", ".else", ".section", ".text", ".org", ".", ".align", "ld", "r3", ",8(r1)", "b", ".size"]
    pieces += [
        "#include",
        "<asm/ppc_asm.h>",
        "#endif",
        "#else",
        "\\\n",
        ".irp",
        ".type",
        "@",
        "#",
        "##",
        ":",
        "\t",
        "%",
    ]
    for _ in range(3000):
        text = " ".join(rng.choice(pieces) for _ in range(rng.randrange(1, 14)))
        if rng.random() < 0.2:
            text += "".join(rng.choice(string.printable) for _ in range(5))
        with contextlib.suppress(LpgenError):
            assemble(text, name="x.S", isolated=False)
    assert capfd.readouterr() == ("", "")
