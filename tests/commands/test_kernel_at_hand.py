"""--vmlinux and --build: what every command makes of a kernel at hand, and the commands that it prints."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import lpgen as library
from lpgen.kernel.chosen import choose
from lpgen.source.origin import template_lines
from tests.commands.tools import Here, environment
from tests.elf.kernel_files import Recipe, SmallKernel, needs_gnu

VERSION = "6.1.100"
DOTCONFIG = """#
# Automatically generated file; DO NOT EDIT.
# Linux/powerpc 6.1.100 Kernel Configuration
#
# CONFIG_LIVEPATCH is not set
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> SmallKernel:
    directory = tmp_path_factory.mktemp("at_hand")
    return SmallKernel(directory / "some where", Recipe(version=VERSION, config={"CONFIG_LIVEPATCH_64": False}))


@pytest.fixture
def at_hand(built: SmallKernel, lpgen: Here) -> Here:
    """lpgen beside vmlinux and a build directory linux of the same kernel, without livepatch."""
    shutil.copy(built.vmlinux, "vmlinux")
    generated = Path("linux/include/generated")
    generated.mkdir(parents=True)
    shutil.copy(built.directory / "asm-offsets.h", generated)
    Path("linux/.config").write_text(DOTCONFIG)
    Path("linux/include/config").mkdir()
    Path("linux/include/config/kernel.release").write_text(f"{VERSION}\n")
    return lpgen


def banner(text: str) -> list[str]:
    """The words of the command in a text's banner."""
    match = re.search(r"lpgen \S+: lpgen (.*?)(?: \*/)?$", text, re.MULTILINE)
    assert match is not None
    return shlex.split(match[1])


def code(text: str) -> str:
    """An emitted text of style standalone without its head."""
    return text[text.index("\t.set\t") :]


SOURCES = [("--vmlinux", "vmlinux"), ("--build", "linux")]


@needs_gnu
@pytest.mark.parametrize("source", SOURCES, ids=" ".join)
@pytest.mark.parametrize("more", [[], ["--ifdef"], ["--config", "CONFIG_LIVEPATCH=y"], ["--style", "standalone"]])
def test_emit(at_hand: Here, source: tuple[str, str], more: list[str]) -> None:
    ran = at_hand("emit", "--out", "-", *source, *more)
    if source[0] == "--build" and "--config" in more:
        # The asm-offsets.h of a build without an option lacks what it needs.
        assert "missing: TI_livepatch_sp" in ran.error_line
        return
    assert ran.code == 0
    head = ran.out[: ran.out.index("*/", ran.out.index("lpgen emit"))]
    assert f"lpgen emit {' '.join(source)}" in head
    assert f"Kernel {VERSION} (generation G7" in head
    assert all(line.startswith(f"{source[1]}: ") for line in ran.err.splitlines())
    again = at_hand(*banner(ran.out), "--out", "-")
    assert (again.code, again.out) == (0, ran.out)
    if "--style" in more:
        enabled = choose(vmlinux="vmlinux").offsets["PACA_FTRACE_ENABLED"]
        assert re.search(rf"\.set\s+PACA_FTRACE_ENABLED, {enabled}\b", ran.out)


@needs_gnu
def test_emit_is_what_its_version_offsets_and_options_make(at_hand: Here) -> None:
    """The same as with --kernel, --offsets and --config, but for the head of the file."""
    offsets = "linux/include/generated/asm-offsets.h"
    style = ("--style", "standalone", "--out", "-")
    config = ("--config", "CONFIG_LIVEPATCH=n")
    plain = at_hand("emit", "--kernel", VERSION, "--offsets", offsets, *config, *style).out
    for source in SOURCES:
        assert code(at_hand("emit", *source, *style).out) == code(plain)
    assert code(at_hand("emit", "--kernel", VERSION, *config, *style).out) != code(plain)


@needs_gnu
@pytest.mark.parametrize("source", SOURCES, ids=" ".join)
def test_the_banner_has_no_directories(at_hand: Here, source: tuple[str, str]) -> None:
    Path("deep/er").mkdir(parents=True)
    moved = Path("deep/er") / source[1]
    shutil.move(source[1], moved)
    text = at_hand("emit", "--out", "-", source[0], str(moved)).out
    assert banner(text) == ["emit", *source]
    assert "deep" not in text
    shutil.move(moved, source[1])
    assert at_hand("emit", "--out", "-", *source).out == text


@needs_gnu
def test_emit_all_and_diff(at_hand: Here) -> None:
    assert at_hand("emit", "--vmlinux", "vmlinux", "--all").code == 0
    text = Path("out/ftrace_mprofile.S").read_text()
    assert banner(text) == ["emit", "--vmlinux", "vmlinux"]
    header = Path("out/asm-offsets.h").read_text()
    assert banner(header) == ["emit", "--vmlinux", "vmlinux", "--all"]
    again = at_hand("emit", "--vmlinux", "vmlinux", "--diff", "out/ftrace_mprofile.S")
    assert (again.code, again.out) == (0, "")


@needs_gnu
@pytest.mark.parametrize("source", SOURCES, ids=" ".join)
def test_offsets(at_hand: Here, built: SmallKernel, source: tuple[str, str]) -> None:
    truth = dict(built.truth)
    document = json.loads(at_hand("offsets", *source, "--format", "json").out)
    assert {entry["name"]: entry["value"] for entry in document["offsets"]} == truth
    assert document["kernel"] == VERSION
    nip = next(entry for entry in document["offsets"] if entry["name"] == "_NIP")
    assert nip["source"] == ("DWARF of vmlinux: pt_regs.nip" if source[0] == "--vmlinux" else nip["source"])
    assert (nip["struct"], nip["field"]) == ("pt_regs", "nip")
    for form in ("header", "toml"):
        text = at_hand("offsets", *source, "--format", form).out
        assert banner(text) == ["offsets", *source, "--format", form]
        Path("back").write_text(text)
        back = json.loads(at_hand("offsets", "--kernel", VERSION, "--offsets", "back", "--config", "CONFIG_LIVEPATCH=n",
                                  "--format", "json").out)  # fmt: skip
        assert {entry["name"]: entry["value"] for entry in back["offsets"]} == truth
        assert at_hand(*banner(text)).out == text
    table = at_hand("offsets", *source)
    assert table.out.startswith(f"kernel {VERSION}, generation G7; offsets: ")
    assert "PACA_FTRACE_ENABLED" in table.out


@needs_gnu
def test_notes_go_to_stderr(at_hand: Here) -> None:
    assert at_hand("offsets", "--vmlinux", "vmlinux").err.splitlines() == [
        f"vmlinux: kernel {VERSION}, its uname being {VERSION}",
        "vmlinux: configuration, from its symbols: CONFIG_LIVEPATCH_64=n",
        "vmlinux: offsets: 35 from its DWARF",
    ]
    assert at_hand("offsets", "--build", "linux").err.splitlines() == [
        f"linux: kernel {VERSION}: include/config/kernel.release",
        "linux: configuration: .config",
        "linux: offsets: 35 from include/generated/asm-offsets.h",
    ]
    assert at_hand("offsets").err == ""


@needs_gnu
@pytest.mark.parametrize("source", SOURCES, ids=" ".join)
def test_verify_and_the_command_that_it_prints(at_hand: Here, source: tuple[str, str]) -> None:
    """A mistake in an emitted file is found, its template line is known, and the last line of the failure works."""
    ran = at_hand("verify", *source, "--callers", "80", "--jobs", "1")
    assert "\nkernel 6.1.100, generation G7; offsets: " in ran.out
    assert "broken" not in ran.out
    text = at_hand("emit", "--out", "-", *source).out
    assert template_lines(text, kernel=choose(**{source[0].removeprefix("--"): source[1]})) is not None
    assert template_lines(text) is None
    Path("bad.S").write_text(text.replace("\tld\tr2, PACATOC(r13)", "\tnop\t"))
    ran = at_hand("verify", "bad.S", *source, "--callers", "80", "--jobs", "1")
    assert ran.code == 1
    match = re.search(r"^ +again +(lpgen verify .*)$", ran.out, re.MULTILINE)
    assert match is not None
    words = shlex.split(match[1])
    assert words[:5] == ["lpgen", "verify", "bad.S", *source]
    assert "--kernel" not in words
    assert at_hand(*words[1:]).code == 1


@needs_gnu
def test_assemble_and_cost(at_hand: Here) -> None:
    at_hand("emit", "--vmlinux", "vmlinux", "--out", "f.S")
    listing = at_hand("assemble", "f.S", "--vmlinux", "vmlinux")
    assert listing.code == 0
    assert "templates/ftrace_caller.S.j2" in listing.out
    assert at_hand("assemble", "f.S", "--kernel", VERSION, "--format", "hex").out != listing.out
    cost = at_hand("cost", "--build", "linux")
    assert cost.code == 0
    assert cost.out.startswith(f"kernel {VERSION}, generation G7; offsets: asm-offsets.h\n")


@needs_gnu
def test_the_library(at_hand: Here, built: SmallKernel) -> None:
    for given in ({"vmlinux": "vmlinux"}, {"build": Path("linux")}):
        result = library.verify(callers=60, **given)  # type: ignore[arg-type]
        assert not result.broken
        assert result.kernel.options == built.kernel.options
    assert library.verify("6.1.120", vmlinux="vmlinux", callers=20).kernel.version == "6.1.120"


@needs_gnu
def test_the_pytest_fixture(at_hand: Here) -> None:
    """The setting lpgen_kernel, 4.7 by default, is not for a kernel that says which it is."""
    text = """
def test_it(lpgen_verify):
    assert lpgen_verify(vmlinux="vmlinux").kernel.version == "6.1.100"
    assert lpgen_verify("6.1.90", build="linux").kernel.version == "6.1.90"
"""
    Path("test_it.py").write_text(text)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-o", "lpgen_callers=30", "test_it.py"]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@needs_gnu
@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["--vmlinux", "vmlinux", "--build", "linux"], "--vmlinux and --build exclude each other; leave one out"),
        (["--vmlinux", ""], "--vmlinux names no file; give a kernel's vmlinux"),
        (["--build", ""], "--build names no directory; give the one that a kernel was built in"),
        (["--vmlinux", "linux"], "linux: is a directory, not a file; give a 64-bit little-endian PowerPC ELF file"),
        (["--vmlinux", "none"], "none: there is no such file"),
        (["--vmlinux", "linux/.config"], "linux/.config: is not an ELF file"),
        (["--build", "vmlinux"], "vmlinux: is a file, not a directory"),
        (["--build", "none"], "none: there is no such directory"),
        (["--build", "linux/include"], "linux/include: does not say which kernel was built in it"),
        (["--vmlinux", "vmlinux", "--kernel", "4.6"], "kernel 4.6 has no livepatch on ppc64le"),
        (["--vmlinux", "vmlinux", "--kernel", ""], "'' is not a kernel version"),
        (["--build", "linux", "--kernel", ""], "'' is not a kernel version"),
        (["--vmlinux", "vmlinux", "--config", "CONFIG_X=y"], "CONFIG_X is not an option of generation G7"),
    ],
)
@pytest.mark.parametrize("command", ["emit", "offsets", "verify"])
def test_one_line(at_hand: Here, command: str, args: list[str], says: str) -> None:
    before = at_hand.tree()
    assert says in at_hand(command, *args).error_line
    assert at_hand.tree() == before


@needs_gnu
def test_explicit_options_win(at_hand: Here) -> None:
    text = at_hand("emit", "--vmlinux", "vmlinux", "--kernel", "6.12", "--out", "-").out
    assert "Kernel 6.12 (generation G9" in text
    assert banner(text) == ["emit", "--vmlinux", "vmlinux", "--kernel", "6.12"]
    offsets = Path("mine.h")
    mine = at_hand("offsets", "--build", "linux", "--format", "header").out.replace("PACATOC 16", "PACATOC 24")
    offsets.write_text(mine)
    text = at_hand("emit", "--build", "linux", "--offsets", "mine.h", "--out", "-", "--style", "standalone").out
    assert re.search(r"PACATOC, 24\b", text)
    assert banner(text) == ["emit", "--build", "linux", "--style", "standalone", "--offsets", "mine.h"]


def loaded_by(*args: str, cwd: Path) -> set[str]:
    code = f"import sys\nfrom lpgen.cli import run\nrun({list(args)!r})\nprint(*sys.modules, file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=cwd, env=environment(), capture_output=True, text=True, check=True
    )
    return {name.partition(".")[0] for name in done.stderr.split()}


@needs_gnu
def test_elftools_is_loaded_for_a_vmlinux_alone(at_hand: Here) -> None:
    for args in (("emit", "--out", "-"), ("offsets",), ("emit", "--build", "linux", "--out", "-")):
        assert "elftools" not in loaded_by(*args, cwd=at_hand.directory)
    assert "elftools" in loaded_by("offsets", "--vmlinux", "vmlinux", cwd=at_hand.directory)
