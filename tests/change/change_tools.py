"""What the tests of the kernel change share: the emitted files on disk, the cross compiler, the kernel's sed script."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from lpgen.kernel.generations import Kernel, spans, versions_of
from lpgen.source.change import change_files

STUBS = Path(__file__).parent / "stubs"
BANNER = "lpgen 0.1.0: lpgen emit --kernel 4.7 --all"
# Every kernel at which lpgen's facts change, with its generation.
GENERATIONS = {version: generation for generation, *_ in spans() for version in versions_of(generation)}
GCC = "powerpc64le-linux-gnu-gcc"
QEMU = "qemu-ppc64le"


def need(tool: str) -> str:
    """Return the path of ``tool``, or skip the test and say so."""
    path = shutil.which(tool)
    if path is None:
        pytest.skip(f"{tool} is not installed")
    return path


def write_change(kernel: Kernel, directory: Path) -> dict[str, str]:
    """Write the change's files to ``directory`` and return them."""
    files = change_files(kernel, banner=BANNER)
    for name, text in files.items():
        (directory / name).write_text(text)
    return files


def compile_c(source: str, directory: Path, *options: str, out: str) -> Path:
    """Compile a file of stubs/ against the stub headers and the change in ``directory``, without a warning."""
    target = directory / out
    command = [need(GCC), "-std=gnu11", "-Wall", "-Wextra", "-Wno-unused-parameter", "-Werror", "-O2"]
    command += [f"-I{directory}", f"-I{STUBS}", *options, "-o", str(target), str(STUBS / source)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return target


def constants(assembly: str) -> list[tuple[str, int, str]]:
    """Return the (name, value, expression) of the ``->`` lines of a compiler's assembly output, as Kbuild does."""
    found = re.findall(r"(?m)^->(\S+) [$#]*(-?\d+) (.*)$", assembly)
    return [(name, int(value), expression) for name, value, expression in found]
