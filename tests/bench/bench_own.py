"""How long `lpgen verify` takes for each thing that FILE can be, against the text that lpgen emits.

Run: PYTHONPATH=. python tests/bench/bench_own.py [ROUNDS [VMLINUX]]
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from alternating import alternate, ratio

from lpgen.assembly import write_object
from lpgen.kernel.generations import kernel
from lpgen.source.emit import emit_source
from tests.linked.linked_kernel import emitted, link_kernel

VERSION = "6.12"


def main() -> None:
    """Print medians of ratios over alternating runs; a VMLINUX is measured with verify, offsets and extract."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    wanted = kernel(VERSION)
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        (folder / "entry.S").write_text(emit_source(wanted).text)
        (folder / "object.o").write_bytes(write_object(emitted(wanted)))
        vmlinux = link_kernel(folder, wanted, emitted(wanted))
        judge = ["-m", "lpgen", "verify", "--kernel", VERSION]
        commands = {
            "emitted": judge,
            "text": [*judge, str(folder / "entry.S")],
            "text, gcc -E": [*judge, "--cpp", str(folder / "entry.S")],
            "text, GNU as": [*judge, "--assembler", "gnu", str(folder / "entry.S")],
            "object": [*judge, str(folder / "object.o")],
            "linked": [*judge, str(vmlinux)],
        }
        if len(sys.argv) > 2:
            real = str(Path(sys.argv[2]).resolve())
            # verify exits with 1 when a statement is broken: one caller is enough to measure what comes before.
            commands["real: one caller"] = ["-m", "lpgen", "verify", real, "--only", "0"]
            commands["real: offsets"] = ["-m", "lpgen", "offsets", "--vmlinux", real]
            commands["real: extract"] = ["-m", "lpgen", "extract", real]
        times = alternate(commands, rounds)
    for name, seconds in times.items():
        print(f"{name:18} {min(seconds):6.2f} s, {ratio(times, name, 'emitted'):5.2f} of emitted")


if __name__ == "__main__":
    main()
