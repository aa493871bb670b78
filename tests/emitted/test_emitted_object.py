"""`lpgen assemble --format obj` makes an object that GNU ld links with the rest of a kernel, without a word."""

from __future__ import annotations

from pathlib import Path

import emitted_build as build
import emitted_contract as contract
import pytest
from click.testing import CliRunner

from lpgen.assembly import write_object
from lpgen.cli import cli
from lpgen.kernel.options import setting_text

# The rest of the kernel: what the trampolines refer to, and a call site that refers to them. C puts function_trace_op
# in .data, reached through the TOC; the tracer is what ftrace would patch in.
REST = """\
struct ftrace_ops { long flags; };
static struct ftrace_ops ops = { 1 };
struct ftrace_ops *function_trace_op = &ops;
unsigned long seen;

unsigned long prepare_ftrace_return(unsigned long parent, unsigned long ip, unsigned long sp)
{
	return parent + (ip & 0) + (sp & 0);
}

int is_current_kprobe_addr(unsigned long addr)
{
	return seen == addr;
}

unsigned long ftrace_return_to_handler(unsigned long regs)
{
	return seen + regs;
}

void tracer(unsigned long ip, unsigned long parent_ip, struct ftrace_ops *op, void *regs)
{
	seen = ip + parent_ip + (op == function_trace_op) + (regs != 0);
}

extern void ftrace_caller(void), SYMBOLS;
void *const patched_by_ftrace[] = { ftrace_caller, tracer, SYMBOLS };
"""


@pytest.fixture(autouse=True)
def in_a_directory_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """__FILE__ is what a person calls the file."""
    monkeypatch.chdir(tmp_path)


def assembled(what: build.Emitted) -> Path:
    """The object, made by the two commands as a person would, in the current directory."""
    settings = ["--kernel", what.kernel.version]
    for name, value in {**what.kernel.options, **what.kernel.numbers}.items():
        settings += ["--config", setting_text(name, value)]
    source, target = what.file_name, "lpgen.o"
    for arguments in (
        ["emit", "--style", what.style, *settings, "--out", source],
        ["assemble", source, *settings, "--format", "obj", "--out", target],
    ):
        done = CliRunner().invoke(cli, arguments)
        assert done.exit_code == 0, done.output
    return Path(target)


def all_on_and_all_off(version: str, style: str = "kernel") -> tuple[build.Emitted, build.Emitted]:
    configs = build.configs(version)
    # With patchable function entries there is less, not more.
    assert all(value for name, value in configs[0].items() if name != contract.PATCHABLE)
    assert not any(value for name, value in configs[-1].items() if name not in (build.STUB_COUNT, contract.PATCHABLE))
    return build.emitted(version, configs[0], style), build.emitted(version, configs[-1], style)


@build.needs_gnu
@build.every_kernel
def test_the_object_links_with_the_rest(version: str, tmp_path: Path) -> None:
    for what in all_on_and_all_off(version):
        with build.named(what):
            link_with_the_rest(what, tmp_path)


def link_with_the_rest(what: build.Emitted, directory: Path) -> None:
    generation, version, config = what.kernel.generation, what.kernel.version, what.kernel.options
    others = contract.functions(generation, version, config) | contract.labels(generation, config)
    others |= contract.data(version, config).keys()
    symbols = ", ".join(f"{name}(void)" for name in sorted(others - {"ftrace_caller"}))
    rest = REST.replace("void ftrace_caller(void), SYMBOLS", f"void ftrace_caller(void), {symbols}")
    (directory / "rest.c").write_text(rest.replace("SYMBOLS", symbols.replace("(void)", "")))
    flags = ("-O2", "-ffreestanding", "-fno-pic", "-mcmodel=medium", "-msoft-float", "-Wall", "-Werror")
    build.run("gcc", "-c", *flags, "-o", "rest.o", "rest.c", cwd=directory)
    ours = assembled(what)
    # The command adds nothing of its own: what is compared with GNU as elsewhere is what a person gets.
    assert build.read(ours.read_bytes()) == build.read(write_object(what.unit()))
    ld = ("--fatal-warnings", "--no-undefined", "-e", "ftrace_caller", "-o", "linked", ours.absolute(), "rest.o")
    build.run("ld", *ld, cwd=directory)
    linked = build.read((directory / "linked").read_bytes())
    assert linked.symbols["ftrace_caller"][2:4] == ("global", "func")
    # The calls that ftrace patches reach ftrace_stub, and those of C code the local entry.
    for name in contract.call_labels(generation, config):
        assert branch_at(linked, name) == linked.symbols["ftrace_stub"][1], name
    calls = set(contract.undefined(generation, version, config)) - {"function_trace_op"}
    for name in calls:
        _, start, _, _, other, _ = linked.symbols[name]
        assert start + (((1 << (other >> 5)) >> 2) << 2) in branches(linked), name
    if contract.graph_hook(generation, config):
        assert branch_at(linked, "ftrace_graph_call") == linked.symbols["ftrace_graph_stub"][1]
    assert ("__bug_table" in linked.sections) is contract.has_livepatch(generation, config)


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


def branches(linked: build.Binary) -> set[int | None]:
    start, size = linked.addresses[".text"], len(linked.sections[".text"]) & ~3
    return {target(word_at(linked, at), at) for at in range(start, start + size, 4)}


@build.needs_gnu
@pytest.mark.parametrize("version", ["4.7", "5.1", build.NEWEST])
def test_the_standalone_text_is_assembled_in_the_same_way(version: str, tmp_path: Path) -> None:
    for what in all_on_and_all_off(version, "standalone"):
        with build.named(what):
            theirs = build.read(build.compile_gnu(what, tmp_path).read_bytes())
            build.assert_same_object(what.unit(), build.read(assembled(what).read_bytes()), theirs)
