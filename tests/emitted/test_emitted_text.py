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
import pytest

import lpgen

Config = Mapping[str, bool]

# Contract section 6, G1, and where each symbol belongs.
ALWAYS = {"ftrace_caller", "ftrace_call", "ftrace_stub"}
GRAPH = {"ftrace_graph_call", "ftrace_graph_stub", "ftrace_graph_caller"}
LIVEPATCH = {"livepatch_handler"}
# Labels that ftrace patches, inside ftrace_caller: no functions.
PATCHED = {"ftrace_call", "ftrace_graph_call"}

# What a kernel has, besides its asm-offsets.h.
KERNEL_NAMES = {"LRSAVE", "STK_GOT", "THREAD_SHIFT", "STACK_END_MAGIC", "MCOUNT_INSN_SIZE"}
KERNEL_MACROS = {"EMIT_BUG_ENTRY", "_GLOBAL"}
KERNEL_SYMBOLS = {"function_trace_op", "prepare_ftrace_return"}
PREPROCESSOR = {"__FILE__", "__LINE__"}
REGISTERS = {f"r{n}" for n in range(32)}
# Of paca, whose layout is each build's own, the contract gives G1 just this one.
PACA_NAMES = {"PACATOC"}


def expected_symbols(config: Config) -> set[str]:
    graph = GRAPH if config["CONFIG_FUNCTION_GRAPH_TRACER"] else set()
    return ALWAYS | graph | (LIVEPATCH if config["CONFIG_LIVEPATCH"] else set())


def real_names() -> set[str]:
    """The names of the real headers, but for those of the paca: what both kernels have."""
    found = []
    for header in build.REAL_HEADERS:
        names = set(re.findall(r"(?m)^#define (\w+) ", header.read_text()))
        found.append({name for name in names if not name.startswith("PACA")} | (PACA_NAMES & names))
    assert len(found) == 2
    return set.intersection(*found)


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
        if line.startswith(("#include ", "#error ")):
            continue
        if entry := re.fullmatch(r"(_GLOBAL)\((\w+)\)", line):
            macros.add(entry[1])
            labels.add(entry[2])
            continue
        if label := re.match(r"(\w+):\s*", line):
            labels.add(label[1])
            line = line[label.end() :]
        head, _, rest = line.partition("\t") if "\t" in line else line.partition(" ")
        if head.isupper():
            macros.add(head)
        assert '"' not in rest, f"a string in {line!r}: teach this function"
        plain = re.sub(r"@\w+|\b\d+[bf]\b|\b0[xX][0-9a-fA-F]+\b|\b\d+\b", " ", rest)
        operands |= set(re.findall(r"[A-Za-z_.]\w*", plain))
    return operands, {name for name in labels if not name.isdigit()}, macros


@build.every_config
def test_the_kernel_style_uses_what_the_kernel_defines(config: Config) -> None:
    operands, labels, macros = identifiers(build.emitted(config, "kernel").text)
    known = real_names() | KERNEL_NAMES | KERNEL_SYMBOLS | PREPROCESSOR | REGISTERS | labels | set(config)
    assert operands - known == set()
    assert macros <= KERNEL_MACROS
    # A kernel's asm-offsets.h ends with GPR13.
    assert {name for name in operands if re.fullmatch(r"GPR\d+", name)} == {f"GPR{n}" for n in range(14)}
    assert labels == expected_symbols(config)


def test_an_unknown_name_would_be_seen() -> None:
    assert identifiers("1:\tld\tr3, GPR14+8*2(r1) /* X */\n_GLOBAL(f)\n\taddis r5, r2, sym@toc@ha\n\tbne-\t1b\n") == (
        {"r3", "GPR14", "r1", "r5", "r2", "sym"},
        {"f"},
        {"_GLOBAL"},
    )


@build.every_config
def test_each_header_that_is_included_is_used(config: Config) -> None:
    """And no name of a header is used without its #include."""
    text = build.emitted(config, "kernel").text
    included = set(re.findall(r"(?m)^#include <(.*)>$", text))
    always = {"asm/asm-offsets.h", "asm/ftrace.h", "asm/ppc_asm.h"}
    handler = {"linux/magic.h", "asm/bug.h", "asm/thread_info.h"} if config["CONFIG_LIVEPATCH"] else set()
    assert included == always | handler


@build.every_style
@build.every_config
def test_the_symbols_are_those_of_the_contract(config: Config, style: str) -> None:
    unit = build.emitted(config, style).unit()
    defined = {symbol.name: symbol for symbol in unit.symbols.values() if symbol.section == ".text"}
    assert {name for name, symbol in defined.items() if symbol.binding == "global"} == expected_symbols(config)
    assert {name for name, symbol in defined.items() if symbol.type != "func"} == PATCHED & expected_symbols(config)
    # No local entry: LR of a call from C code and a branch that ftrace patches arrive at the same place.
    assert {symbol.local_entry for symbol in defined.values()} == {0}
    undefined = {symbol.name for symbol in unit.symbols.values() if symbol.section is None}
    graph = {"prepare_ftrace_return"} if config["CONFIG_FUNCTION_GRAPH_TRACER"] else set()
    assert undefined == {"function_trace_op"} | graph


@build.every_style
@build.every_config
def test_the_kernels_own_table_of_symbols_agrees(config: Config, style: str) -> None:
    assert {symbol.name for symbol in build.emitted(config, style).kernel.symbols} == expected_symbols(config)


@build.every_style
@build.every_config
def test_each_entry_says_what_it_gets_and_what_may_change(config: Config, style: str) -> None:
    text = build.emitted(config, style).text
    described = (expected_symbols(config) - PATCHED) - {"ftrace_stub", "ftrace_graph_stub"}
    for name in described:
        sections = r'\.section\s"\.text"\n\t\.align\s2\n'
        entry = rf"_GLOBAL\({name}\)" if style == "kernel" else rf"{sections}\t\.globl\s{name}\n"
        found = re.search(rf"/\*\n \* {name}: ((?:(?!\*/).)*)\*/\n\s*{entry}", text, flags=re.DOTALL)
        assert found, f"{name} has no comment of its own right before it"
        for words in ("On entry", "On exit to B" if name != "livepatch_handler" else "On return to A", "MAY CHANGE"):
            assert words in found[1], f"{name} does not say '{words}'"
    assert re.search(r"/\* ftrace_stub: .* \*/\n", text)


@build.every_style
@build.every_config
def test_every_statement_that_is_named_is_one_of_the_contract(config: Config, style: str) -> None:
    # Behind the file's own header, which names a layout L1.
    text = build.emitted(config, style).text.split("*/\n", 2)[2]
    named = set(re.findall(r"\b[TXL]\d+\b", text))
    assert named <= {f"T{n}" for n in range(1, 6)} | {f"X{n}" for n in range(1, 4)} | {f"L{n}" for n in range(1, 8)}
    # L6 and L7 are about many calls: no line of the text is theirs alone.
    livepatch = {"X3", "L1", "L2", "L3", "L4", "L5"} if config["CONFIG_LIVEPATCH"] else set()
    assert named == {"T1", "T2", "T3", "T4", "T5", "X1", "X2"} | livepatch


@build.every_style
@build.every_config
def test_the_text_is_tidy(config: Config, style: str) -> None:
    text = build.emitted(config, style).text
    assert text.isascii()
    assert text.endswith("\n")
    assert not text.endswith("\n\n")
    assert not re.search(r"[ \t]+$|\n\n\n|\{\{|\{%|\r", text, flags=re.MULTILINE)
    # The banner is a command, to be pasted.
    widest = max((line for line in text.expandtabs(8).splitlines() if ": lpgen emit " not in line), key=len)
    assert len(widest) <= 120, widest


# With the asm-offsets.h of real builds


@build.every_real_header
@build.every_config
def test_the_kernel_style_is_the_same_text_for_other_offsets(config: Config, header: Path) -> None:
    """It names the offsets, so only what says where they came from may differ: banner and label."""
    ours = build.emitted(config, "kernel").text.splitlines()
    real = build.emitted(config, "kernel", real_header=header).text.splitlines()
    assert len(ours) == len(real)
    differing = [(old, new) for old, new in zip(ours, real, strict=True) if old != new]
    assert len(differing) == 2
    assert all(header.name in new for _, new in differing)
    assert differing[0][1] == f"{differing[0][0]} --offsets {header.name}"
    assert differing[1][1].endswith(f"; offsets: {header.name}")


@build.every_real_header
@build.every_config
def test_the_standalone_style_has_the_real_values(config: Config, header: Path) -> None:
    real = {name: int(value) for name, value in re.findall(r"(?m)^#define (\w+) (\d+)", header.read_text())}
    text = build.emitted(config, "standalone", real_header=header).text
    given = {name: int(value, 0) for name, value in re.findall(r"(?m)^\t\.set\t(\w+), (\w+)\s", text)}
    assert given.keys() >= KERNEL_NAMES
    offsets = {name: value for name, value in given.items() if name not in KERNEL_NAMES}
    assert offsets == {name: real[name] for name in offsets}
    operands, _, _ = identifiers(build.emitted(config, "kernel").text)
    assert operands & real.keys() <= offsets.keys()


@build.every_real_header
def test_the_real_headers_frame_is_what_the_code_opens(header: Path) -> None:
    """The second word is stdu r1,-SWITCH_FRAME_SIZE(r1), the third std r0,GPR0(r1), with that build's values."""
    real = {name: int(value) for name, value in re.findall(r"(?m)^#define (\w+) (\d+)", header.read_text())}
    data = build.emitted(build.CONFIGS[0], "kernel", real_header=header).unit().sections[".text"].data
    words = [int.from_bytes(data[at : at + 4], "little") for at in (4, 8)]
    assert words == [0xF8210001 | -real["SWITCH_FRAME_SIZE"] & 0xFFFC, 0xF8010000 | real["GPR0"]]


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
FORMATS = ("listing", "hex", "bin", "obj", "json")


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


@pytest.mark.parametrize("real", [False, True], ids=["own offsets", "real header"])
@build.every_style
def test_the_same_input_gives_the_same_bytes_and_no_path_or_date(style: str, real: bool, tmp_path: Path) -> None:
    made = []
    for depth, surroundings in enumerate(SURROUNDINGS, 1):
        directory = tmp_path.joinpath(*["deep"] * depth, "run")
        directory.mkdir(parents=True)
        given: list[str] = []
        if real:
            (directory / "asm-offsets.h").write_bytes(build.REAL_HEADERS[0].read_bytes())
            given = ["--offsets", str(directory / "asm-offsets.h")]
        commands = [
            ["emit", "--style", style, *given, "--out", "entry_64.S"],
            *(["assemble", "entry_64.S", "--format", form, *given, "--out", f"entry.{form}"] for form in FORMATS),
            *(["offsets", "--format", form, *given, "--out", f"offsets.{form}"] for form in ("header", "toml", "json")),
            ["emit", "--all", "--out-dir", "all", "--style", style, *given],
        ]
        made.append(outputs_in(directory, surroundings, commands))
    assert made[0] == made[1]
    assert made[0].keys() >= {"entry_64.S", "offsets.header", "all/livepatch.h", *(f"entry.{form}" for form in FORMATS)}
    for name, data in made[0].items():
        assert data, f"{name} is empty"
        assert str(tmp_path).encode() not in data, name
        if name not in ("entry.bin", "entry.obj"):
            assert not ABSOLUTE.search(data), (name, ABSOLUTE.search(data))
            assert not DATES.search(data), (name, DATES.search(data))


@pytest.mark.parametrize("text", [b"made in /tmp/x", b'"/usr/lib"', b"=/a"])
def test_an_absolute_path_would_be_seen(text: bytes) -> None:
    assert ABSOLUTE.search(text)


@pytest.mark.parametrize("text", [b"2026-01-31", b"at 12:34:56", b"Nov 23", b"1999/1/2"])
def test_a_date_would_be_seen(text: bytes) -> None:
    assert DATES.search(text)
