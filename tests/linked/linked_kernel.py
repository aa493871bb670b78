"""Kernels to test with: emitted trampolines, linked by GNU ld with as much of a kernel around them as they refer to."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from lpgen.assembly import Unit, write_object
from lpgen.assembly.kernel_text import assemble_source
from lpgen.kernel.generations import Kernel
from lpgen.source.emit import emit_source

PREFIX = "powerpc64le-linux-gnu-"
needs_gnu = pytest.mark.skipif(
    any(shutil.which(PREFIX + tool) is None for tool in ("as", "ld")),
    reason="apt-get install binutils-powerpc64le-linux-gnu",
)

# C functions have two entry points; the data is far from the TOC pointer. Nothing here is executed.
AROUND = """\
	.abiversion 2
	.section ".head.text", "ax"
	.globl	_stext
_stext:
	.space	0x100
	.section ".text.c", "ax"
	.irp	name, prepare_ftrace_return, ftrace_return_to_handler, is_current_kprobe_addr
	.globl	\\name
	.type	\\name, @function
\\name:
	addis	2, 12, .TOC.-\\name@ha
	addi	2, 2, .TOC.-\\name@l
	.localentry \\name, .-\\name
	trap
	.size	\\name, .-\\name
	.endr
	.section ".rodata", "a"
	.globl	linux_banner
	.type	linux_banner, @object
linux_banner:
	.asciz	"Linux version {version} (me@here) (gcc, ld) #1 SMP"
	.size	linux_banner, .-linux_banner
	.section ".data", "aw"
	.space	{distance}
	.globl	function_trace_op
	.type	function_trace_op, @object
function_trace_op:
	.quad	0
	.globl	mcount
	.section ".mystery", "aw"
	.type	mcount_data, @object
mcount_data:
	.quad	mcount_data
	.section ".got", "aw"
	.quad	0
"""
SCRIPT = """\
SECTIONS {{
	. = {start:#x};
	.head.text : {{ *(.head.text) }}
	.text {text:#x} : {{ {pad} *(.text) *(.tramp.ftrace.text) . = . + {between}; *(.text.*) }}
	.rodata : {{ *(.rodata) *(.rodata.*) }}
	.got ALIGN(256) : {{ *(.got) *(.toc) }}
	.init.text ALIGN(0x10000) : {{ *(.tramp.ftrace.init) }}
	.data : {{ *(.data) *(.mystery) }}
	__bug_table : {{ __start___bug_table = .; BYTE(0) . = . + {entry} - 1; *(__bug_table) __stop___bug_table = .; }}
}}
"""
TEXT = 0xC000000000008000
# Not on a page's edge, as in a real kernel.
PAD = ". = . + 0x66e4;"


def run(*command: str | Path, cwd: Path | None = None) -> str:
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, timeout=120, check=False, cwd=cwd)
    assert done.returncode == 0, done.stderr
    return done.stdout


def emitted(kernel: Kernel, text: str | None = None) -> Unit:
    """The emitted text of a kernel, or another one, assembled by lpgen."""
    rendered = emit_source(kernel)
    if text is None:
        return assemble_source(kernel, rendered, name=kernel.file_name, isolated=False)
    from lpgen.api import assemble_text

    return assemble_text(kernel, text, kernel.file_name)


def link_kernel(
    folder: Path, kernel: Kernel, unit: Unit, *, distance: int = 0x158000, text: int = TEXT, between: int = 0
) -> Path:
    """A vmlinux of ``kernel`` with the trampolines of ``unit``; ``distance`` to function_trace_op in bytes.

    ``text`` is where its .text is, ``between`` how many bytes lie between the trampolines and the C functions.
    """
    (folder / "entry.o").write_bytes(write_object(unit))
    (folder / "around.S").write_text(AROUND.format(version=kernel.version, distance=distance))
    script = SCRIPT.format(
        start=text & ~0xFFFF, text=text, pad=PAD, between=between, entry=kernel.offsets.get("BUG_ENTRY_SIZE", 12)
    )
    (folder / "vmlinux.lds").write_text(script)
    run(PREFIX + "as", "-o", folder / "around.o", folder / "around.S")
    target = folder / "vmlinux"
    run(
        PREFIX + "ld", "-o", target, "-T", folder / "vmlinux.lds", "-e", "_stext", "--no-warn-rwx-segments",
        folder / "entry.o", folder / "around.o",
    )  # fmt: skip
    return target
