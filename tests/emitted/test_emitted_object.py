"""`lpgen assemble --format obj` makes an object that GNU ld links with the rest of a kernel, without a word."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path

import emitted_build as build
from click.testing import CliRunner

from lpgen.cli import cli

Config = Mapping[str, bool]

# The rest of the kernel: what the trampolines refer to, and a call site that refers to them. C puts function_trace_op
# in .data, reached through the TOC; the tracer is what ftrace would patch in.
SECOND = """\
struct ftrace_ops { long flags; };
static struct ftrace_ops ops = { 1 };
struct ftrace_ops *function_trace_op = &ops;
unsigned long seen;

unsigned long prepare_ftrace_return(unsigned long parent, unsigned long ip)
{
	return parent + (ip & 0);
}

void tracer(unsigned long ip, unsigned long parent_ip, struct ftrace_ops *op, void *regs)
{
	seen = ip + parent_ip + (op == function_trace_op) + (regs != 0);
}

extern void ftrace_caller(void), ftrace_call(void);
void *const patched_by_ftrace[] = { ftrace_caller, ftrace_call, tracer };
"""


def assembled(config: Config, style: str, directory: Path) -> Path:
    """The object, made by the two commands as a person would."""
    settings = [word for name, on in config.items() for word in ("--config", f"{name}={'y' if on else 'n'}")]
    source, target = directory / "entry_64.S", directory / "entry_64.o"
    for arguments in (
        ["emit", "--style", style, *settings, "--out", str(source)],
        ["assemble", str(source), *settings, "--format", "obj", "--out", str(target)],
    ):
        done = CliRunner().invoke(cli, arguments)
        assert done.exit_code == 0, done.output
    return target


@build.needs_gnu
@build.every_style
@build.every_config
def test_the_object_links_with_the_rest(config: Config, style: str, tmp_path: Path) -> None:
    ours = assembled(config, style, tmp_path)
    (tmp_path / "rest.c").write_text(SECOND)
    flags = ("-O2", "-ffreestanding", "-fno-pic", "-mcmodel=medium", "-msoft-float", "-Wall", "-Werror")
    build.run("gcc", "-c", *flags, "-o", "rest.o", "rest.c", cwd=tmp_path)
    build.run(
        "ld", "--fatal-warnings", "--no-undefined", "-e", "ftrace_caller", "-o", "linked", ours, "rest.o", cwd=tmp_path
    )
    linked = build.read((tmp_path / "linked").read_bytes())
    assert linked.symbols["ftrace_caller"][2:4] == ("global", "func")
    # ftrace_call reaches ftrace_stub, and the graph hook prepare_ftrace_return at its local entry.
    assert branch_at(linked, "ftrace_call") == linked.symbols["ftrace_stub"][1]
    if config["CONFIG_FUNCTION_GRAPH_TRACER"]:
        assert branch_at(linked, "ftrace_graph_call") == linked.symbols["ftrace_graph_stub"][1]
        _, start, _, _, other = linked.symbols["prepare_ftrace_return"]
        assert start + (((1 << (other >> 5)) >> 2) << 2) in calls_from(linked, "ftrace_graph_caller")
    if config["CONFIG_LIVEPATCH"]:
        (trap,) = struct.unpack_from("<Q", linked.sections["__bug_table"])
        start = linked.symbols["livepatch_handler"][1]
        assert start < trap < start + 0x100


def word_at(linked: build.Binary, address: int) -> int:
    at = address - linked.addresses[".text"]
    return int.from_bytes(linked.sections[".text"][at : at + 4], "little")


def target(word: int, address: int) -> int | None:
    """Where a b or bl goes."""
    if word >> 26 != 18:
        return None
    distance = word & 0x3FFFFFC
    return address + distance - (distance << 1 & 0x4000000)


def branch_at(linked: build.Binary, name: str) -> int | None:
    address = linked.symbols[name][1]
    return target(word_at(linked, address), address)


def calls_from(linked: build.Binary, name: str) -> set[int | None]:
    start = linked.symbols[name][1]
    return {target(word_at(linked, at), at) for at in range(start, start + 0x80, 4)}


@build.needs_gnu
@build.every_config
def test_the_object_is_the_one_that_the_units_writer_makes(config: Config, tmp_path: Path) -> None:
    """The command adds nothing of its own: what is compared with GNU as elsewhere is what a person gets."""
    what = build.emitted(config, "kernel")
    theirs = build.read(build.compile_gnu(what, tmp_path).read_bytes())
    ours = build.read(assembled(config, "kernel", tmp_path).read_bytes())
    assert ours.sections[".text"] == theirs.sections[".text"]
    assert [r for r in ours.relocations if r.section == ".text"] == [
        r for r in theirs.relocations if r.section == ".text"
    ]
    assert ours.symbols == theirs.symbols
