"""Files of offsets: real ones are read as they are, and every broken one is refused with its line and what to do."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lpgen.errors import LpgenError
from lpgen.kernel.checks import check_offsets
from lpgen.kernel.generations import kernel, required_names
from lpgen.kernel.offsets import default_offsets, read_offsets
from lpgen.kernel.reading import SIZE_LIMIT, parse_expression

DATA = Path(__file__).parent / "data"
REAL = sorted(DATA.glob("asm-offsets-*.h"))
REQUIRED = required_names(kernel())

TRUE_VALUE = "take the value from the kernel's own asm-offsets.h"
WANTED = "give a kernel build's asm-offsets.h or the TOML that `lpgen offsets --format toml` writes"


def fail(file: Path) -> str:
    """Load ``file`` as a command does and return the error's line, the file's name in place of its path."""
    with pytest.raises(LpgenError) as caught:
        check_offsets(read_offsets(file), REQUIRED)
    text = str(caught.value)
    assert "\n" not in text
    assert text.startswith(str(file))
    return text.replace(str(file), file.name)


def header(tmp_path: Path, **changes: str) -> tuple[Path, dict[str, int]]:
    """Write lpgen's own header with values replaced; return the file and the line of each name."""
    text = default_offsets().header_text()
    for name, value in changes.items():
        text, count = re.subn(rf"(?m)^#define {name} \S+", f"#define {name} {value}", text)
        assert count == 1
    file = tmp_path / "f.h"
    file.write_text(text)
    return file, {line.split()[1]: n for n, line in enumerate(text.splitlines(), 1)}


# --- files that are right -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("file", REAL, ids=lambda path: path.name)
def test_a_real_header_is_read_as_it_is(file: Path) -> None:
    offsets = read_offsets(file)
    check_offsets(offsets, REQUIRED)
    assert offsets.label == file.name
    assert offsets.file == str(file)
    assert len(offsets.ignored) > 70
    lines = file.read_text().split("\n")
    for entry in offsets.entries:
        assert entry.place is not None
        assert entry.place.line is not None
        assert entry.define == lines[entry.place.line - 1]
        assert entry.source == f"{file.name}:{entry.place.line}"
    assert offsets.offset("PACA_THREAD_INFO").expression == (
        "offsetof(struct paca_struct, __current) + offsetof(struct task_struct, thread_info)"
    )


def test_an_older_header(tmp_path: Path) -> None:
    file = tmp_path / "old.h"
    file.write_text(
        "#ifndef __ASM_OFFSETS_H__\r\n#define __ASM_OFFSETS_H__\r\n"
        "#define GPR0 112\t/* STACK_FRAME_OVERHEAD+offsetof(struct pt_regs, gpr[0])\t# */\r\n"
        "#define GPR1 0x78\t/* STACK_FRAME_OVERHEAD+offsetof(struct pt_regs, gpr[1])\t# */\r\n"
        "# define PACATOC 16 // offsetof(struct paca_struct, kernel_toc)\r\n"
        "#define BUG_ENTRY_SIZE 24\r\n"
        "#define SOMETHING_ELSE -1 /* an error number */\r\n"
        '#define STRING "text"\r\n'
        "#endif\r\n"
    )
    offsets = read_offsets(file)
    assert dict(offsets) == {"GPR0": 112, "GPR1": 120, "PACATOC": 16, "BUG_ENTRY_SIZE": 24}
    gpr0 = offsets.offset("GPR0")
    assert (gpr0.base, gpr0.struct, gpr0.field) == ("STACK_FRAME_OVERHEAD", "pt_regs", "gpr[0]")
    assert offsets.offset("PACATOC").struct == "paca_struct"
    # A line that does not say what it is: lpgen's own facts do.
    assert offsets.offset("BUG_ENTRY_SIZE").expression == "sizeof(struct bug_entry)"
    assert [other.name for other in offsets.ignored] == ["SOMETHING_ELSE", "STRING"]


@pytest.mark.parametrize(
    ("expression", "parts"),
    [
        ("offsetof(struct a, b)", ("", "a", "b")),
        ("BASE + offsetof(struct a, b[2].c)", ("BASE", "a", "b[2].c")),
        ("BASE+offsetof(struct a,b)\t#", ("BASE", "a", "b")),
        ("sizeof(struct a)", ("", "", "sizeof(struct a)")),
        ("offsetof(struct a, b) + offsetof(struct c, d)", ("", "", "offsetof(struct a, b) + offsetof(struct c, d)")),
        ("", ("", "", "")),
    ],
)
def test_expressions_are_taken_apart(expression: str, parts: tuple[str, str, str]) -> None:
    assert parse_expression(expression) == parts


def test_toml_can_be_short(tmp_path: Path) -> None:
    file = tmp_path / "short.toml"
    file.write_text('# define the one that differs\n[offsets]\nPACATOC = 0x18\nGPR0 = {value = 112, source = "me"}\n')
    offsets = read_offsets(file)
    assert dict(offsets) == {"PACATOC": 24, "GPR0": 112}
    assert (offsets.offset("PACATOC").source, offsets.offset("PACATOC").field) == ("short.toml:3", "kernel_toc")
    assert (offsets.offset("GPR0").source, str(offsets.offset("GPR0").place)) == ("me", f"{file}:4")


@pytest.mark.parametrize(("name", "form"), [("header.toml", "header"), ("facts.h", "toml")])
def test_the_content_decides_not_the_suffix(name: str, form: str, tmp_path: Path) -> None:
    ours = default_offsets()
    file = tmp_path / name
    file.write_text(ours.header_text() if form == "header" else ours.toml_text())
    assert dict(read_offsets(file)) == dict(ours)


def test_the_same_value_twice_is_no_contradiction(tmp_path: Path) -> None:
    file = tmp_path / "f.h"
    file.write_text("#define PACATOC 16\n#define PACATOC 0x10\n")
    assert dict(read_offsets(file)) == {"PACATOC": 16}


def test_aliases_share_a_slot(tmp_path: Path) -> None:
    file, _ = header(tmp_path)
    file.write_text(file.read_text() + "#define _DEAR 440\n#define _ESR 448\n")
    assert read_offsets(file)["_ESR"] == 448


def test_a_byte_needs_no_alignment(tmp_path: Path) -> None:
    file = tmp_path / "f.h"
    file.write_text("#define PACA_FTRACE_ENABLED 2555\n")
    assert read_offsets(file)["PACA_FTRACE_ENABLED"] == 2555


def test_a_strange_file_name_does_not_reach_a_comment(tmp_path: Path) -> None:
    file = tmp_path / "a\nb.h"
    file.write_text("#define PACATOC 16\n")
    offsets = read_offsets(file)
    assert (offsets.label, offsets.offset("PACATOC").source) == ("a?b.h", "a?b.h:1")


# --- values that cannot be right ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value", "reason", "hint"),
    [
        ("PACATOC", "18", "PACATOC is 18, not a multiple of 4: ld and std (DS form) cannot reach it", TRUE_VALUE),
        ("_NIP", "370", "_NIP is 370, not a multiple of 4: ld and std (DS form) cannot reach it", TRUE_VALUE),
        (
            "TI_livepatch_sp",
            "25",
            "TI_livepatch_sp is 25, not a multiple of 4: ld and std (DS form) cannot reach it",
            TRUE_VALUE,
        ),
        (
            "PACATOC",
            "32768",
            "PACATOC is 32768, outside the 16-bit signed range -32768..32767 of a displacement",
            TRUE_VALUE,
        ),
        (
            "PACATOC",
            "-32772",
            "PACATOC is -32772, outside the 16-bit signed range -32768..32767 of a displacement",
            TRUE_VALUE,
        ),
        ("PACATOC", "-8", "PACATOC is -8, but neither an offset nor a size is negative", TRUE_VALUE),
        ("BUG_ENTRY_SIZE", "0", "BUG_ENTRY_SIZE is 0, but it is a size", TRUE_VALUE),
        ("SWITCH_FRAME_SIZE", "0", "SWITCH_FRAME_SIZE is 0, but it is a size", TRUE_VALUE),
        (
            "SWITCH_FRAME_SIZE",
            "472",
            "SWITCH_FRAME_SIZE is 472, not a multiple of 16: r1 would lose its alignment (ELFv2)",
            TRUE_VALUE,
        ),
        (
            "INT_FRAME_SIZE",
            "760",
            "INT_FRAME_SIZE is 760, not a multiple of 16: r1 would lose its alignment (ELFv2)",
            TRUE_VALUE,
        ),
        (
            "INT_FRAME_SIZE",
            "768",
            "INT_FRAME_SIZE is 768, but SWITCH_FRAME_SIZE and the red zone make 464 + 288 = 752",
            "take both from the same kernel's asm-offsets.h",
        ),
        ("GPR7", "176", "GPR7 is 176, but GPR0 + 8 * 7 is 168: the registers follow each other", TRUE_VALUE),
        ("_NIP", "24", "_NIP is 24, inside the frame's own header of 32 bytes (ELFv2)", TRUE_VALUE),
        ("RESULT", "464", "RESULT is 464, but the frame ends at SWITCH_FRAME_SIZE = 464", TRUE_VALUE),
        ("RESULT", "460", "RESULT is 460, but the frame ends at SWITCH_FRAME_SIZE = 464", TRUE_VALUE),
        ("_MSR", "368", "_MSR is 368, on top of _NIP at 368: a slot has 8 bytes", TRUE_VALUE),
        ("_MSR", "372", "_MSR is 372, on top of _NIP at 368: a slot has 8 bytes", TRUE_VALUE),
        ("_NIP", "272", "_NIP is 272, on top of GPR20 at 272: a slot has 8 bytes", TRUE_VALUE),
        ("_CTR", "128", "_CTR is 128, on top of GPR2 at 128: a slot has 8 bytes", TRUE_VALUE),
    ],
)
@pytest.mark.parametrize("form", ["header", "toml"])
def test_a_value_that_cannot_be_right(form: str, name: str, value: str, reason: str, hint: str, tmp_path: Path) -> None:
    file, lines = header(tmp_path, **{name: value})
    line = lines[name]
    if form == "toml":
        text, count = re.subn(
            rf"(?m)^(\[offsets\.{name}\]\nvalue = )\S+", rf"\g<1>{value}", default_offsets().toml_text()
        )
        assert count == 1
        file = tmp_path / "f.toml"
        file.write_text(text)
        line = text.split("\n").index(f"[offsets.{name}]") + 2
    assert fail(file) == f"{file.name}:{line}: {reason}; {hint}"


def test_r31_must_be_inside_the_frame(tmp_path: Path) -> None:
    file = tmp_path / "f.h"
    file.write_text("#define SWITCH_FRAME_SIZE 352\n\n#define GPR0 112\n")
    assert fail(file) == (
        f"f.h:3: GPR0 is 112, so r31 is at 360, but the frame ends at SWITCH_FRAME_SIZE = 352; {TRUE_VALUE}"
    )


def test_an_alias_must_be_on_its_own_slot(tmp_path: Path) -> None:
    file, lines = header(tmp_path)
    file.write_text(file.read_text() + "#define _DEAR 448\n")
    assert fail(file) == (
        f"f.h:{len(lines) + 1}: _DEAR is 448, on top of _DSISR at 448: a slot has 8 bytes; {TRUE_VALUE}"
    )


# --- names ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("file", REAL, ids=lambda path: path.name)
@pytest.mark.parametrize("name", REQUIRED)
def test_a_missing_name_is_missed(file: Path, name: str, tmp_path: Path) -> None:
    """None of the other names of a real header is taken for a misspelling."""
    broken = tmp_path / "f.h"
    broken.write_text(re.sub(rf"(?m)^#define {name} .*\n", "", file.read_text()))
    assert fail(broken).startswith(f"f.h: missing: {name}; add it, or use the whole asm-offsets.h of a kernel build")


def test_many_missing_names_are_one_line(tmp_path: Path) -> None:
    file = tmp_path / "f.h"
    file.write_text("#define PACATOC 16\n")
    assert fail(file) == (
        "f.h: missing: SWITCH_FRAME_SIZE, INT_FRAME_SIZE, GPR0, GPR1, GPR2 and 19 more; "
        "add them, or use the whole asm-offsets.h of a kernel build"
    )


@pytest.mark.parametrize(
    ("name", "typo"),
    [("PACATOC", "PACATCO"), ("TI_livepatch_sp", "TI_LIVEPATCH_SP"), ("_NIP", "_NPI"), ("_CCR", "CCR")],
)
def test_a_misspelt_name_in_a_header(name: str, typo: str, tmp_path: Path) -> None:
    file = tmp_path / "f.h"
    real = REAL[0].read_text()
    file.write_text(real.replace(f"#define {name} ", f"#define {typo} "))
    line = next(n for n, text in enumerate(real.split("\n"), 1) if text.startswith(f"#define {name} "))
    assert fail(file) == (f"f.h:{line}: {typo} is not a name lpgen knows, and {name} is missing; did you mean {name}?")


@pytest.mark.parametrize(
    ("name", "hint"), [("PACATCO", "did you mean PACATOC?"), ("XYZZY", "`lpgen offsets` lists the names")]
)
def test_an_unknown_name_in_toml(name: str, hint: str, tmp_path: Path) -> None:
    file = tmp_path / "f.toml"
    file.write_text(default_offsets().toml_text() + f"\n[offsets.{name}]\nvalue = 8\n")
    line = file.read_text().split("\n").index(f"[offsets.{name}]") + 1
    assert fail(file) == f"f.toml:{line}: {name} is not a name lpgen knows; {hint}"


# --- text that cannot be read ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("#define A 1\n#define PACATOC\n", "f.h:2: PACATOC: has no value; {number}"),
        ("#define PACATOC 0x1g\n", "f.h:1: PACATOC: '0x1g' is not a number; {number}"),
        ("#define PACATOC 010\n", "f.h:1: PACATOC: '010' is not a number; {number}"),
        ("#define PACATOC 1_6\n", "f.h:1: PACATOC: '1_6' is not a number; {number}"),
        ("#define PACATOC (8 + 8)\n", "f.h:1: PACATOC: '(8 + 8)' is not a number; {number}"),
        ("#define PACATOC 1" + "0" * 5000 + "\n", "f.h:1: PACATOC: '1" + "0" * 39 + "' is not a number; {number}"),
        (
            "#define PACATOC 16\n\n#define PACATOC 24\n",
            "f.h:3: PACATOC is 24 here and 16 in line 1; keep the right one",
        ),
        (
            "#define A 1\n<<<<<<< HEAD\n",
            "f.h:2: '<<<<<<< HEAD' is neither a #define nor a comment; the file may be cut short",
        ),
        (
            "#define A 1\n#if defined(B)\n#define PACATOC 8\n#endif\n",
            "f.h:2: #if is not followed here: which lines count is not known; "
            "use the asm-offsets.h of a kernel build, which has #define lines only",
        ),
        (
            "#define PACATOC 8\n#undef PACATOC\n",
            "f.h:2: #undef is not followed here: which lines count is not known; "
            "use the asm-offsets.h of a kernel build, which has #define lines only",
        ),
        (
            "#define A 1\n/* open\n#define PACATOC 16\n",
            "f.h:2: the comment that starts here never ends; close it with */",
        ),
    ],
)
def test_a_broken_header(text: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "f.h"
    file.write_text(text)
    assert fail(file) == message.replace("{number}", "write #define PACATOC and a decimal or 0x number of bytes")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("version = 2\n[offsets]\n", "f.toml:1: version 2 of the format is not known; this lpgen reads version 1"),
        ("version = 1\nlabel = 'x'\n", f"f.toml: there is no [offsets] table; {WANTED}"),
        ("offsets = 3\n", f"f.toml: there is no [offsets] table; {WANTED}"),
        ("[offsets]\nGPR0 = 112\n[other]\n", "f.toml:3: other does not belong here; names go under [offsets.NAME]"),
        ("[offsets]\n\nPACATOC = '16'\n", "f.toml:3: PACATOC: '16' is not a whole number; {number}"),
        ("[offsets]\nPACATOC = true\n", "f.toml:2: PACATOC: True is not a whole number; {number}"),
        ("[offsets.PACATOC]\nstruct = 'x'\n", "f.toml:1: PACATOC: has no value; {number}"),
        ("[offsets.PACATOC]\nstruct = 'x'\nvalue = 1.5\n", "f.toml:3: PACATOC: 1.5 is not a whole number; {number}"),
        (
            "[offsets.PACATOC]\nvalue = 16\nvlaue = 16\n",
            "f.toml:3: PACATOC: vlaue = 16 is not understood; "
            "an entry has value, struct, field, source and base; all but value are strings",
        ),
        (
            "[offsets.PACATOC]\nvalue = 16\nfield = 'x */ evil'\n",
            "f.toml:3: PACATOC: field = 'x */ evil' is not a plain line of text; "
            "it goes into a comment: one line, no */",
        ),
    ],
)
def test_broken_toml(text: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "f.toml"
    file.write_text(text)
    assert fail(file) == message.replace("{number}", "write value = and a decimal or 0x number of bytes")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[offsets.PACATOC]\nvalue = 16\n[offsets.PACATOC]\nvalue = 24\n", 3),
        ("[offsets.PACATOC]\nvalue = 16\nvalue = 24\n", 3),
        ("[offsets]\nPACATOC = \n", 2),
        ("[offsets]\nPACATOC = 010\n", 2),
        ("[offsets]\nPACATOC = [1,\n\n", 2),
    ],
)
def test_text_that_is_not_toml(text: str, line: int, tmp_path: Path) -> None:
    file = tmp_path / "f.toml"
    file.write_text(text)
    message = fail(file)
    assert message.startswith(f"f.toml:{line}: not valid TOML: ")
    assert message.endswith(f"; {WANTED}")


@pytest.mark.parametrize("value", ["9" * 5000, "[" * 20_000], ids=["digits", "arrays"])
def test_toml_that_python_gives_up_on(value: str, tmp_path: Path) -> None:
    file = tmp_path / "f.toml"
    file.write_text(f"[offsets]\nPACATOC = {value}\n")
    assert fail(file).startswith("f.toml: not valid TOML: ")


@pytest.mark.parametrize(
    "piece",
    ["/*", "\n", " ", "#define A 1\n", "#define PACATOC 1" + " " * 99, "/**/", "//", "a ", "[", "#ifndef A\n"],
)
def test_a_large_file_takes_no_longer_than_its_size(piece: str, tmp_path: Path) -> None:
    """A pattern that goes over the text again and again would not come back."""
    file = tmp_path / "f"
    file.write_text("#define PACATOC" + piece * (SIZE_LIMIT // len(piece) - 20) + "x")
    fail(file)


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_whatever_is_in_a_file_it_is_read_or_refused(data: st.DataObject) -> None:
    """Pieces of real files, cut and put together at random: an answer or one clear line, never another exception."""
    ours = default_offsets()
    source = data.draw(st.sampled_from([ours.header_text(), ours.toml_text(), REAL[0].read_text()]))
    start = data.draw(st.integers(0, len(source)))
    end = data.draw(st.integers(start, min(start + 400, len(source))))
    odd = data.draw(
        st.one_of(st.text(max_size=20), st.sampled_from(["/*", "*/", "[", "offsets", "=", "\n", "0x", "#"]))
    )
    with TemporaryDirectory() as directory:
        file = Path(directory) / "f"
        file.write_text(source[:start] + odd + source[end:], encoding="utf-8", errors="replace", newline="")
        line = str(file)
        try:
            check_offsets(read_offsets(file), REQUIRED)
        except LpgenError as error:
            line = str(error)
    assert line.startswith(str(file))
    assert len(line.splitlines()) == 1


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "is empty"),
        (b" \n\t\n", "is empty"),
        (b"\x7fELF\x02\x01\x01\x00\x00", "is a binary file, not text"),
        (b"#define PACATOC 16\n\xff\xfe\n", "is a binary file, not text"),
        (b"#define PACATOC 16\n" + b"x" * SIZE_LIMIT, "is larger than 1 MiB"),
        (b"just some words\n", "neither a C header with #define lines nor TOML"),
        (b"/* only a comment: #define PACATOC 16 */\n", "neither a C header with #define lines nor TOML"),
    ],
)
def test_a_file_that_is_something_else(data: bytes, reason: str, tmp_path: Path) -> None:
    file = tmp_path / "f"
    file.write_bytes(data)
    assert fail(file) == f"f: {reason}; {WANTED}"


def test_a_directory(tmp_path: Path) -> None:
    assert fail(tmp_path) == f"{tmp_path.name}: is a directory, not a file with offsets; {WANTED}"


def test_no_such_file(tmp_path: Path) -> None:
    assert fail(tmp_path / "f.h") == f"f.h: there is no such file; {WANTED}"


def test_a_file_without_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the system says is passed on; simulated, since root may read every file."""
    file = tmp_path / "f.h"

    def refuse(self: Path, mode: str) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(Path, "open", refuse)
    assert fail(file) == f"f.h: cannot be read: Permission denied; {WANTED}"


def test_a_file_that_cannot_be_opened(tmp_path: Path) -> None:
    assert "cannot be read: " in fail(tmp_path / ("x" * 300))
