"""Damaged kernels, in a process of their own (tests/linked/fuzz.py); LPGEN_FUZZ=10000 sends more of them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.linked.linked_kernel import emitted, link_kernel, needs_gnu
from tests.linked.test_linked import small

ROOT = Path(__file__).parent.parent.parent
COUNT = int(os.environ.get("LPGEN_FUZZ", "600"))
GIB_IN_KIB = 1 << 20


@needs_gnu
@pytest.mark.parametrize("version", ["4.7", "6.12", "6.18"])
def test_damaged_kernels(version: str, tmp_path: Path) -> None:
    wanted = small(version)
    link_kernel(tmp_path, wanted, emitted(wanted), distance=0x3000).rename(tmp_path / "whole.elf")
    done = subprocess.run(
        [sys.executable, "-m", "tests.linked.fuzz", str(tmp_path), str(COUNT // 3), "1"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=3600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    *wrong, last = done.stdout.splitlines()
    assert wrong == []
    refused, taken, peak = map(int, last.split())
    # What is mutated is both: what shows, and what does not matter.
    assert refused > COUNT // 30
    assert taken > COUNT // 30
    assert refused + taken == COUNT // 3
    assert peak < GIB_IN_KIB


PROBE = """\
import sys
from lpgen.api import verify
from tests.linked.fuzz import peak
result = verify(source=sys.argv[1], callers=20, shrink=False)
print(result.kernel.version, peak())
"""


@needs_gnu
def test_a_big_kernel_takes_no_more_memory_than_a_small_one(tmp_path: Path) -> None:
    """The big one has 500 MB of debug data, in a file with a hole."""
    wanted = small("6.12")
    path = link_kernel(tmp_path, wanted, emitted(wanted))

    def peak() -> int:
        command = [sys.executable, "-c", PROBE, str(path)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=True)
        version, kib = done.stdout.split()
        assert version == wanted.version
        return int(kib)

    small_peak = peak()
    data = bytearray(path.read_bytes())
    table = int.from_bytes(data[40:48], "little")
    names = int.from_bytes(data[62:64], "little")
    # The section of section names stands last: what was not loaded before it, the symbol table, becomes huge instead.
    count = int.from_bytes(data[60:62], "little")
    big = 500 << 20
    row = data[table : table + 64]
    row[4:8] = (1).to_bytes(4, "little")
    row[24:32] = len(data).to_bytes(8, "little")
    row[32:40] = big.to_bytes(8, "little")
    row[48:56] = (1).to_bytes(8, "little")
    assert names == count - 1
    moved = data[table : table + 64 * count] + row
    data[40:48] = (len(data) + big).to_bytes(8, "little")
    data[60:62] = (count + 1).to_bytes(2, "little")
    with path.open("wb") as file:
        file.write(data)
        file.seek(len(data) + big)
        file.write(moved)
    assert path.stat().st_size > big
    assert peak() < small_peak + (20 << 10)
