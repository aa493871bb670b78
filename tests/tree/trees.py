"""Synthetic kernel trees, in words and code of our own: what matters of a real one is its #if and its symbols."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from elftools.elf.elffile import ELFFile

ENTRY = "arch/powerpc/kernel/entry_64.S"

HEAD = """\
/*
 * Entry code of a kernel that does not exist.
 */
#include <linux/magic.h>
#include <asm/thread_info.h>
#include <asm/ppc_asm.h>
#include <asm/asm-offsets.h>
#include <asm/bug.h>
#include <asm/ftrace.h>

	.section	".text"
_GLOBAL(first_of_all)
	li	r3, 1		/* don't care */
	blr

"""
MCOUNT = """\
_GLOBAL(mcount)
_GLOBAL(_mcount)
	mflr	r12
	mtctr	r12
	mtlr	r0
	bctr

"""
OLD_CALLER = """\
_GLOBAL(ftrace_caller)
	/* the old ABI's */
	ld	r11, 0(r1)
.globl ftrace_call
ftrace_call:
	bl	ftrace_stub
	nop
#ifdef CONFIG_FUNCTION_GRAPH_TRACER
.globl ftrace_graph_call
ftrace_graph_call:
	b	ftrace_graph_stub
_GLOBAL(ftrace_graph_stub)
#endif
	addi	r1, r1, 112
"""
NEW_CALLER = """\
/*
 * The tree's own: saves everything.
 *   #ifdef in a comment is none
 */
_GLOBAL(ftrace_caller)
	std	r0, 16(r1)
#if defined(CONFIG_LIVEPATCH) && \\
	defined(CONFIG_PPC64)
	mr	r14, r7
#endif
.globl ftrace_call
ftrace_call:
	bl	ftrace_stub
	nop
#ifdef CONFIG_LIVEPATCH
	bne-	livepatch_handler
#endif
#ifdef CONFIG_FUNCTION_GRAPH_TRACER
	stdu	r1, -112(r1)
.globl ftrace_graph_call
ftrace_graph_call:
	b	ftrace_graph_stub
_GLOBAL(ftrace_graph_stub)
	addi	r1, r1, 112
#endif
	bctr
"""
STUB = """\
_GLOBAL(ftrace_stub)
	blr
"""
HANDLER = """\
#ifdef CONFIG_LIVEPATCH
/*
 * The tree's own handler.
 */
livepatch_handler:
	mflr	r0
	bctrl
1:	tdne	r0, r2
	EMIT_BUG_ENTRY 1b, __FILE__, __LINE__ - 1, 0
	blr
#endif /* CONFIG_LIVEPATCH */
"""
STATIC = """\
_GLOBAL(_mcount)
	b	ftrace_stub
#ifdef CONFIG_FUNCTION_GRAPH_TRACER
	b	ftrace_graph_caller
#endif
_GLOBAL(ftrace_stub)
	blr
"""
OLD_GRAPH = """\
_GLOBAL(ftrace_graph_caller)
	/* the old ABI's graph hook */
	ld	r4, 128(r1)
	blr
"""
NEW_GRAPH = """\
_GLOBAL(ftrace_graph_caller)
	/* the tree's own graph hook */
	std	r10, 104(r1)
	bctr
"""
RETURN = """\
_GLOBAL(return_to_handler)
	std	r4, -24(r1)
	blr
"""


def entry(*, shared_stub: bool = True, livepatch: bool = True, graph: bool = True, head: str = HEAD) -> str:
    """An entry_64.S: ``shared_stub``: ftrace_stub (and the handler) behind the #if of the ABIs, as in Linux."""
    old_stub = "" if shared_stub else STUB
    handler = HANDLER if livepatch else ""
    new = NEW_CALLER + ("" if shared_stub else f"\n{STUB}\n{handler}")
    behind = f"\n{STUB}\n{handler}" if shared_stub else ""
    hooks = f"""
#ifdef CONFIG_FUNCTION_GRAPH_TRACER
#ifndef CC_USING_MPROFILE_KERNEL
{OLD_GRAPH}
#else /* CC_USING_MPROFILE_KERNEL */
{NEW_GRAPH}
#endif /* CC_USING_MPROFILE_KERNEL */

{RETURN}#endif /* CONFIG_FUNCTION_GRAPH_TRACER */
"""
    return f"""\
{head}#ifdef CONFIG_FUNCTION_TRACER
#ifdef CONFIG_DYNAMIC_FTRACE
{MCOUNT}#ifndef CC_USING_MPROFILE_KERNEL
{OLD_CALLER}{old_stub}#else /* CC_USING_MPROFILE_KERNEL */
{new}#endif /* CC_USING_MPROFILE_KERNEL */
{behind}
#else
{STATIC}#endif /* CONFIG_DYNAMIC_FTRACE */
{hooks if graph else ""}#endif /* CONFIG_FUNCTION_TRACER */
"""


# The file of each kernel that lpgen's text is for.
FILES = {
    "4.7": ENTRY,
    "4.11": ENTRY,
    "4.12": "arch/powerpc/kernel/trace/ftrace_64_mprofile.S",
    "4.14.334": "arch/powerpc/kernel/trace/ftrace_64_mprofile.S",
    "4.18": "arch/powerpc/kernel/trace/ftrace_64_mprofile.S",
    "5.18": "arch/powerpc/kernel/trace/ftrace_mprofile.S",
    "6.1.45": "arch/powerpc/kernel/trace/ftrace_mprofile.S",
    "6.6": "arch/powerpc/kernel/trace/ftrace_entry.S",
    "6.12": "arch/powerpc/kernel/trace/ftrace_entry.S",
    "6.18": "arch/powerpc/kernel/trace/ftrace_entry.S",
}


def makefile(version: str) -> str:
    major, minor, point = (*version.split("."), "0")[:3]
    return (
        f"# SPDX-License-Identifier: GPL-2.0\nVERSION = {major}\nPATCHLEVEL = {minor}\nSUBLEVEL = {point}\n"
        "EXTRAVERSION = -rc1\nNAME = Nobody\n\nall:\n\t@true\n"
    )


def make_tree(where: Path, version: str = "4.7", text: str | None = None) -> Path:
    """Write a tree and return its file that lpgen's text goes to."""
    target = where / FILES[version]
    target.parent.mkdir(parents=True)
    (where / "Makefile").write_text(makefile(version))
    (where / "README").write_text("A kernel that does not exist.\n")
    if text is None:
        text = entry() if FILES[version] == ENTRY else "/* the tree's own */\n_GLOBAL(ftrace_caller)\n\tblr\n"
    target.write_bytes(text.encode())
    return target


def git(where: Path, *args: str, check: bool = True, stdin: bytes | None = None) -> str:
    done = subprocess.run(["git", "-C", str(where), *args], input=stdin, capture_output=True, timeout=60, check=False)
    assert not check or done.returncode == 0, done.stdout.decode() + done.stderr.decode()
    return done.stdout.decode()


def make_repository(where: Path, version: str = "4.7", text: str | None = None) -> Path:
    """The same as a git repository with one commit."""
    target = make_tree(where, version, text)
    git(where, "init", "-q", "-b", "main")
    git(where, "config", "user.name", "A. Person")
    git(where, "config", "user.email", "person@example.org")
    git(where, "add", "-A")
    git(where, "commit", "-q", "-m", "a tree")
    return target


STUB_HEADERS = Path(__file__).parents[1] / "emitted" / "include"
GCC = "powerpc64le-linux-gnu-gcc"


def assemble(file: Path, into: Path, defines: Iterable[str], offsets: str) -> Path:
    """Assemble a file of a kernel as its build does, against the stub headers."""
    (into / "generated").mkdir(parents=True, exist_ok=True)
    (into / "generated" / "asm-offsets.h").write_text(offsets)
    base = ("__ASSEMBLY__", "__KERNEL__", "CONFIG_PPC64", "CONFIG_BUG")
    out = into / "out.o"
    command = [GCC, "-c", "-mcpu=power8", "-mabi=elfv2", "-Wall", "-Werror", "-Wa,--fatal-warnings", "-nostdinc"]
    command += ["-I", str(STUB_HEADERS), "-I", str(into), *(f"-D{name}" for name in (*base, *defines))]
    done = subprocess.run(
        [*command, "-o", str(out), str(file)], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, ""), (sorted(defines), done.stderr)
    return out


def code_of(file: Path) -> tuple[bytes, dict[str, int]]:
    """Return the .text of an object and where its global symbols and labels are."""
    with file.open("rb") as stream:
        elf: Any = ELFFile(stream)
        symbols = elf.get_section_by_name(".symtab").iter_symbols()
        return elf.get_section_by_name(".text").data(), {
            symbol.name: symbol["st_value"] for symbol in symbols if symbol.name and symbol["st_shndx"] != "SHN_UNDEF"
        }
