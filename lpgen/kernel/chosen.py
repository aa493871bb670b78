"""The kernel that a person asks for: by its version, its vmlinux or its build directory."""

from __future__ import annotations

from pathlib import Path

from lpgen.errors import LpgenError
from lpgen.kernel.generations import DEFAULT_VERSION, Kernel
from lpgen.kernel.generations import kernel as kernel_facts
from lpgen.kernel.options import Config


def is_linked(file: str | Path | None) -> bool:
    """Tell whether ``file`` is a linked ELF file, as a vmlinux is: then it says itself which kernel it is.

    Raises LpgenError for an ELF file that is damaged, or none for ppc64le.
    """
    from lpgen.elf.file import is_elf, open_elf

    if file is None or not is_elf(Path(file)):
        return False
    with open_elf(Path(file)) as elf:
        return elf.kind == "executable"


def choose(
    version: str | None = None,
    *,
    config: Config | None = None,
    dotconfig: Config | None = None,
    offsets: str | Path | None = None,
    vmlinux: str | Path | None = None,
    build: str | Path | None = None,
    subject: str | Path | None = None,
) -> Kernel:
    """Return the kernel ``version``, or the one that the file ``vmlinux`` is, or that was built in ``build``.

    ``version`` (None: what was read, or DEFAULT_VERSION), ``config`` (single options), ``dotconfig`` (what a .config
    says) and ``offsets`` (a file) win over what is read. ``subject`` is the file that is to be judged: a linked one
    says itself which kernel it is, where neither ``vmlinux`` nor ``build`` does. Raises LpgenError for what is wrong
    with any of them.
    """
    if vmlinux is not None and build is not None:
        raise LpgenError("--vmlinux and --build exclude each other", hint="leave one out")
    for option, value, what in (
        ("--offsets", offsets, "file: give a kernel build's asm-offsets.h, or TOML"),
        ("--vmlinux", vmlinux, "file: give a kernel's vmlinux"),
        ("--build", build, "directory: give the one that a kernel was built in"),
    ):
        if value == "":
            noun, _, hint = what.partition(": ")
            raise LpgenError(f"{option} names no {noun}", hint=hint)
    if vmlinux is None and build is None and is_linked(subject):
        vmlinux = subject
    given = None
    if offsets is not None:
        from lpgen.kernel.offsets import read_offsets

        given = read_offsets(Path(offsets))
    if vmlinux is not None:
        from lpgen.kernel.vmlinux import read_vmlinux

        read = read_vmlinux(Path(vmlinux), version=version, config=config, dotconfig=dotconfig, offsets=given)
        return read.kernel
    if build is not None:
        from lpgen.kernel.build import read_build

        return read_build(Path(build), version=version, config=config, dotconfig=dotconfig, offsets=given).kernel
    chosen = DEFAULT_VERSION if version is None else version
    return kernel_facts(chosen, config=config, offsets=given, dotconfig=dotconfig)
