"""What the emitted text says: the names that it uses, the symbols that it gives, comments, the same bytes always."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import emitted_build as build
import emitted_contract as contract
import pytest

import lpgen

# What a kernel has, besides its asm-offsets.h.
KERNEL_NAMES = {"LRSAVE", "STK_GOT", "THREAD_SHIFT", "STACK_END_MAGIC", "MCOUNT_INSN_SIZE"}
KERNEL_MACROS = {"EMIT_BUG_ENTRY", "_GLOBAL", "EXPORT_SYMBOL"}
PREPROCESSOR = {"__FILE__", "__LINE__"}
REGISTERS = {f"r{n}" for n in range(32)} | {"cr1"}
# Sections, in quotes, and what their directives say of them.
SECTIONS = {".text", ".rodata", ".tramp.ftrace.text", ".tramp.ftrace.init", "aw", "a"}


def real_names() -> set[str]:
    """The names of the real headers: what both kernels have, but for those of the paca, which came one by one."""
    found = [set(re.findall(r"(?m)^#define (\w+) ", header.read_text())) for header in build.REAL_HEADERS]
    assert len(found) == 2
    return {name for name in set.intersection(*found) if not name.startswith("PACA")}


def code_lines(text: str) -> list[str]:
    """The lines without comments, blank ones left out."""
    bare = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
    return [line.strip() for line in bare.splitlines() if line.strip()]


def identifiers(text: str) -> tuple[set[str], set[str], set[str]]:
    """Of a kernel-style text: the names in operands, the labels, the macros; modifiers and numeric labels are none."""
    operands: set[str] = set()
    labels: set[str] = set()
    macros: set[str] = set()
    for line in code_lines(text):
        if line.startswith(("#include ", "#error ", "#if", "#else", "#endif")):
            continue
        if call := re.fullmatch(r"([A-Z_]+)\((\w+)\)", line):
            macros.add(call[1])
            (labels if call[1] == "_GLOBAL" else operands).add(call[2])
            continue
        if label := re.match(r"(\w+):\s*", line):
            labels.add(label[1])
            line = line[label.end() :]
        head, _, rest = line.partition("\t") if "\t" in line else line.partition(" ")
        if head.isupper():
            macros.add(head)
        operands |= set(re.findall(r'"([^"]*)"', rest))
        plain = re.sub(r'"[^"]*"|@\w+|\b\d+[bf]\b|\b0[xX][0-9a-fA-F]+\b|\b\d+\b', " ", rest)
        operands |= set(re.findall(r"[A-Za-z_.]\w*", plain)) - {"."}
    return operands, {name for name in labels if not name.isdigit()}, macros


def assert_known_names(what: build.Emitted, offset_names: set[str]) -> None:
    generation, version, config = what.kernel.generation, what.kernel.version, what.kernel.options
    operands, labels, macros = identifiers(what.text)
    data = contract.data(version, config)
    wanted = contract.functions(generation, version, config) | contract.labels(generation, config) | data.keys()
    assert labels == wanted, sorted(labels ^ wanted)
    theirs = contract.undefined(generation, version, config) | labels | {*what.kernel.numbers}
    known = KERNEL_NAMES | PREPROCESSOR | REGISTERS | SECTIONS | {"object"} | theirs
    if contract.at_least(version, "5.1"):
        known -= {"THREAD_SHIFT"}
    assert operands - known - offset_names == set()
    exported = {"EXPORT_SYMBOL"} if contract.mcount(version, config) else set()
    bug = {"EMIT_BUG_ENTRY"} if contract.has_livepatch(generation, config) else set()
    assert macros == {"_GLOBAL"} | bug | exported, sorted(macros)
    # A kernel's asm-offsets.h ends with GPR13.
    assert {name for name in operands if re.fullmatch(r"GPR\d+", name)} <= {f"GPR{n}" for n in range(14)}


@build.every_kernel
def test_the_kernel_style_uses_what_that_kernel_defines(version: str) -> None:
    for what in build.every_text(version, "kernel"):
        with build.named(what):
            assert_known_names(what, real_names() | contract.offset_names(version, what.kernel.options))


@build.every_real_header
def test_a_real_kernel_defines_what_its_text_uses(header: Path) -> None:
    """The header as it is, and no other name."""
    names = set(re.findall(r"(?m)^#define (\w+) ", header.read_text()))
    for what in build.every_text(build.real_version(header), "kernel", real_header=header):
        with build.named(what):
            assert_known_names(what, names)


def test_an_unknown_name_would_be_seen() -> None:
    text = "1:\tld\tr3, GPR14+8*2(r1) /* X */\n_GLOBAL(f)\n\taddis r5, r2, sym@toc@ha\n\tbne-\t1b\nEXPORT_SYMBOL(g)\n"
    operands, labels, macros = identifiers(text + '\t.pushsection ".mine", "awx", @progbits\n')
    assert operands == {"r3", "GPR14", "r1", "r5", "r2", "sym", "g", ".mine", "awx"}
    assert (labels, macros) == ({"f"}, {"_GLOBAL", "EXPORT_SYMBOL"})
    what = build.emitted(build.NEWEST, build.default(build.NEWEST))
    names = real_names() | contract.offset_names(build.NEWEST, what.kernel.options)
    assert_known_names(what, names)
    for name in ("FTRACE_OPS_FUNC", "PACATOC", "GPR13", "_NIP"):
        with pytest.raises(AssertionError, match=name):
            assert_known_names(what, names - {name})


@build.every_kernel
def test_each_header_that_is_included_is_used(version: str) -> None:
    """And no name of a header is used without its #include."""
    for what in build.every_text(version, "kernel"):
        with build.named(what):
            included = re.findall(r"(?m)^#include <(.*)>$", what.text)
            expected = {"asm/asm-offsets.h", "asm/ftrace.h", "asm/ppc_asm.h"}
            if contract.has_livepatch(what.kernel.generation, what.kernel.options):
                expected |= {"linux/magic.h", "asm/bug.h"}
                if not contract.at_least(version, "5.1"):
                    expected.add("asm/thread_info.h")
            if contract.mcount(version, what.kernel.options):
                expected.add("linux/export.h")
            assert sorted(included) == sorted(expected), sorted({*included} ^ expected)


# What each comment has to say. ftrace_graph_stub stands in the middle of a function.
ENTRIES = {"ftrace_caller", "ftrace_regs_caller", "ftrace_graph_caller", "livepatch_handler", "return_to_handler"}
ONE_LINERS = {"ftrace_stub", "ftrace_no_trace", "ftrace_stub_direct_tramp"}
SAY = {"ftrace_graph_stub": (), "mcount": ("MAY CHANGE",), "_mcount": ("MAY CHANGE",)}
SAY |= dict.fromkeys(ONE_LINERS, ())
SAY |= dict.fromkeys(ENTRIES, ("On entry", "On exit to ", "MAY CHANGE"))
SAY |= {"livepatch_handler": ("On entry", "On return to A", "MAY CHANGE")}


@build.every_kernel
def test_each_entry_says_what_it_gets_and_what_may_change(version: str) -> None:
    for what in build.every_text(version):
        with build.named(what):
            functions = contract.functions(what.kernel.generation, version, what.kernel.options)
            assert functions <= SAY.keys()
            for name in functions - {"ftrace_graph_stub", "mcount"}:
                opened = r'\n\t\.section\s"\.text"\n\t\.align\s2\n\t\.globl\s'
                entry = rf"\n_GLOBAL\({name}\)" if what.style == "kernel" else rf"{opened}{name}\n"
                if name == "_mcount":
                    entry = rf"\n_GLOBAL\(mcount\){entry}" if what.style == "kernel" else rf"{opened}mcount\n"
                found = re.search(rf"/\*(?:\n \*)? {name}: ((?:(?!\*/).)*)\*/{entry}", what.text, flags=re.DOTALL)
                assert found, f"{name} has no comment of its own right before it"
                for words in SAY[name]:
                    assert words in found[1], f"{name} does not say '{words}'"


STATEMENTS = {f"T{n}" for n in range(1, 6)} | {"X1", "X2", "X3"} | {f"L{n}" for n in range(1, 8)}


def statements(text: str) -> set[str]:
    """What the comments name, behind the file's own header, which has a layout L1 and says T1 to L7."""
    _, _, rest = text.partition('"lpgen verify" judges.\n')
    assert rest
    return set(re.findall(r"\b[TXL]\d+\b", rest))


@build.every_kernel
def test_every_statement_that_is_named_is_one_of_the_contract(version: str) -> None:
    for what in build.every_text(version):
        with build.named(what):
            # L6 and L7 are about many calls: no line of the text is theirs alone.
            livepatch = {"X3", "L1", "L2", "L3", "L4", "L5"}
            there = contract.has_livepatch(what.kernel.generation, what.kernel.options)
            named = statements(what.text)
            assert named <= STATEMENTS, sorted(named - STATEMENTS)
            wanted = {"T1", "T2", "T3", "T4", "T5", "X1", "X2"} | (livepatch if there else set())
            assert named == wanted, sorted(named ^ wanted)


# Columns of a line; the standalone style says behind each offset what C calls it, however long that is.
WIDTH = 100


def assert_tidy(text: str) -> None:
    assert text.isascii()
    assert text.endswith("\n")
    assert not text.endswith("\n\n")
    untidy = re.search(r"[ \t]+$|\n\n\n|\{\{|\{%|\r|^ +\S(?<!\*)", text, flags=re.MULTILINE)
    assert not untidy, text[max(0, untidy.start() - 80) : untidy.end() + 40]
    # The banner is a command, to be pasted.
    lines = [line for line in text.splitlines() if ": lpgen emit " not in line and not line.startswith("\t.set\t")]
    widest = max((line.expandtabs(8) for line in lines), key=len)
    assert len(widest) <= WIDTH, widest


@build.every_kernel
def test_the_text_is_tidy(version: str) -> None:
    texts = [*build.every_text(version), build.emitted(version, build.default(version), ifdef=True)]
    for what in texts:
        with build.named(what):
            assert_tidy(what.text)


@pytest.mark.parametrize(
    "text", ["a\n\n", "a", "\u00e4\n", "a \n", "a\t\nb\n", "a\n\n\nb\n", "{{ x }}\n", "x" * (WIDTH + 1) + "\n"]
)
def test_an_untidy_text_would_be_seen(text: str) -> None:
    with pytest.raises(AssertionError):
        assert_tidy(text)


# With the asm-offsets.h of real builds


@build.every_real_header
def test_the_kernel_style_is_the_same_text_for_other_offsets(header: Path) -> None:
    """It names the offsets, so only what says where they came from may differ: banner and label."""
    version = build.real_version(header)
    for config in build.configs(version):
        what = build.emitted(version, config)
        with build.named(what):
            ours = what.text.splitlines()
            real = build.emitted(version, config, real_header=header).text.splitlines()
            assert len(ours) == len(real)
            differing = [(old, new) for old, new in zip(ours, real, strict=True) if old != new]
            assert len(differing) == 2
            assert all(header.name in new for _, new in differing)
            assert differing[0][1] == f"{differing[0][0]} --offsets {header.name}"
            assert differing[1][1].endswith(f"; offsets: {header.name}")


@build.every_real_header
def test_the_standalone_style_has_the_real_values(header: Path) -> None:
    real = {name: int(value) for name, value in re.findall(r"(?m)^#define (\w+) (\d+)", header.read_text())}
    version = build.real_version(header)
    for config in build.configs(version):
        what = build.emitted(version, config, "standalone", real_header=header)
        with build.named(what):
            given = {name: int(value, 0) for name, value in re.findall(r"(?m)^\t\.set\t(\w+), (\w+)\s", what.text)}
            # The stack is not asked for its thread_info any more.
            assert given.keys() >= KERNEL_NAMES - {"THREAD_SHIFT"}
            offsets = {name: value for name, value in given.items() if name not in KERNEL_NAMES}
            assert offsets == {name: real[name] for name in offsets}
            operands, _, _ = identifiers(build.emitted(version, config).text)
            assert operands & real.keys() <= offsets.keys()


@build.every_real_header
def test_the_real_headers_frame_is_what_the_code_opens(header: Path) -> None:
    """The first stdu but that of B's frame is stdu r1,-SWITCH_FRAME_SIZE(r1), with that build's value."""
    real = {name: int(value) for name, value in re.findall(r"(?m)^#define (\w+) (\d+)", header.read_text())}
    version = build.real_version(header)
    data = build.emitted(version, build.default(version), real_header=header).unit().sections[".text"].data
    words = [int.from_bytes(data[at : at + 4], "little") for at in range(0, 16, 4)]
    stdu = 0xF8210001
    assert words == [
        0xF8010010,  # std r0,16(r1)
        stdu | -32 & 0xFFFC,
        stdu | -real["SWITCH_FRAME_SIZE"] & 0xFFFC,
        0xF9810000 | real["GPR12"],
    ]


# Determinism: out of processes that differ in everything that should not matter

SCRIPT = """\
import json, sys
from lpgen.cli import run
for arguments in json.loads(sys.argv[1]):
    if run(arguments):
        sys.exit(f"lpgen {' '.join(arguments)}")
"""
SURROUNDINGS = (
    {"PYTHONHASHSEED": "1", "TZ": "UTC", "LC_ALL": "C"},
    {"PYTHONHASHSEED": "2", "TZ": "Asia/Tokyo", "LC_ALL": "C.UTF-8"},
)
FORMATS = ("listing", "hex", "obj", "json")


def outputs_in(directory: Path, surroundings: Mapping[str, str], commands: Sequence[Sequence[str]]) -> dict[str, bytes]:
    """Run lpgen's commands in a directory, in a process of their own: what they wrote there, by name."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(Path(lpgen.__file__).parent.parent),
        "HOME": str(directory),
        **surroundings,
    }
    python = [sys.executable, "-c", SCRIPT, json.dumps(commands)]
    done = subprocess.run(
        python, cwd=directory, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


MONTHS = "Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec"
# An absolute path: a slash that begins a word, and a name behind it. "a/b" and "/*" are none.
ABSOLUTE = re.compile(rb"""(?:^|[\s"'=(<])/(?!\*)[\w.]+""", re.MULTILINE)
DATES = re.compile(rb"\b(?:19|20)\d\d[-/]\d\d?[-/]\d\d?\b|\b\d\d:\d\d:\d\d\b|\b(?:%s) +\d{1,2}\b" % MONTHS.encode())


@pytest.mark.parametrize(
    ("version", "style", "header"),
    [
        ("4.7", "kernel", None),
        (build.NEWEST, "kernel", None),
        (build.real_version(build.REAL_HEADERS[0]), "standalone", build.REAL_HEADERS[0]),
    ],
    ids=lambda value: value.name if isinstance(value, Path) else str(value),
)
def test_the_same_input_gives_the_same_bytes_and_no_path_or_date(
    version: str, style: str, header: Path | None, tmp_path: Path
) -> None:
    made = []
    for depth, surroundings in enumerate(SURROUNDINGS, 1):
        directory = tmp_path.joinpath(*["deep"] * depth, "run")
        directory.mkdir(parents=True)
        given = ["--kernel", version]
        if header is not None:
            (directory / "asm-offsets.h").write_bytes(header.read_bytes())
            given += ["--offsets", str(directory / "asm-offsets.h")]
        few = ["--config", f"{build.STUB_COUNT}=16"] if build.STUB_COUNT in build.default(version) else []
        ifdef = ["--ifdef"] if style == "kernel" else []
        commands = [
            ["emit", "--style", style, *given, *few, "--out", "entry.S"],
            ["emit", "--style", style, *given, *ifdef, "--out", "ifdef.S"],
            *(["assemble", "entry.S", "--format", form, *given, *few, "--out", f"entry.{form}"] for form in FORMATS),
            ["offsets", "--format", "header", *given, "--out", "offsets.header"],
            ["offsets", "--format", "json", *given, "--out", "offsets.json"],
            ["emit", "--all", "--out-dir", "all", "--style", style, *given],
        ]
        made.append(outputs_in(directory, surroundings, commands))
    assert made[0] == made[1]
    assert made[0].keys() >= {"entry.S", "ifdef.S", "offsets.header", *(f"entry.{form}" for form in FORMATS)}
    assert made[0].keys() >= {"all/asm-offsets.c", f"all/{build.emitted(version, {}).file_name}"}
    for name, data in made[0].items():
        assert data, f"{name} is empty"
        assert str(tmp_path).encode() not in data, name
        if name != "entry.obj":
            assert not ABSOLUTE.search(data), (name, ABSOLUTE.search(data))
            assert not DATES.search(data), (name, DATES.search(data))


@pytest.mark.parametrize("text", [b"made in /tmp/x", b'"/usr/lib"', b"=/a"])
def test_an_absolute_path_would_be_seen(text: bytes) -> None:
    assert ABSOLUTE.search(text)


@pytest.mark.parametrize("text", [b"2026-01-31", b"at 12:34:56", b"Nov 23", b"1999/1/2"])
def test_a_date_would_be_seen(text: bytes) -> None:
    assert DATES.search(text)
