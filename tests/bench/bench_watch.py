"""`lpgen emit --watch`: seconds from the save of a template to the first verdict, and to that on all callers.

    python tests/bench/bench_watch.py [ROUNDS]

One core is enough. The template is saved over in place, each time with another comment, so that the text changes.
"""

from __future__ import annotations

import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from alternating import PYTHON, ROOT

KERNELS = ("4.7", "6.12", "6.18")
TEMPLATE = "livepatch_handler.S.j2"


def _resident(pid: int) -> int:
    """Return the resident memory of a process, in MiB."""
    (line,) = re.findall(r"^VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return int(line) // 1024


def _processor(pid: int) -> float:
    """Return the processor time of a process, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _measure(kernel: str, rounds: int) -> tuple[list[float], list[float], list[float], int, int]:
    """Return of each round the seconds to the first verdict, those of processor time, and those to the last verdict.

    Then the memory before and after.
    """
    with tempfile.TemporaryDirectory() as directory:
        own = Path(directory, "own")
        own.mkdir()
        text = (ROOT / "templates" / TEMPLATE).read_text()
        (own / TEMPLATE).write_text(text)
        child = subprocess.Popen(
            [PYTHON, "-m", "lpgen", "emit", "--watch", "--kernel", kernel, "--templates", "own", "--out", "out.S"],
            cwd=directory,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert child.stdout is not None

        def until(start: str) -> None:
            for line in child.stdout or ():
                if line.split(" ", 1)[1].startswith(start):
                    return
            sys.exit(f"{kernel}: the program ended")

        until("holds: ")
        before = _resident(child.pid)
        first, busy, last = [], [], []
        for number in range(rounds):
            used = _processor(child.pid)
            start = time.perf_counter()
            (own / TEMPLATE).write_text(text.replace("{% block pop %}\n", f"{{% block pop %}}\n\t/* {number} */\n"))
            until("holds so far: all ")
            first.append(time.perf_counter() - start)
            busy.append(_processor(child.pid) - used)
            until("holds: all ")
            last.append(time.perf_counter() - start)
        after = _resident(child.pid)
        child.send_signal(signal.SIGINT)
        child.communicate()
        if child.returncode != 130:
            sys.exit(f"{kernel}: exit code {child.returncode}")
    return first, busy, last, before, after


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    print(f"{'kernel':8}{'first verdict':>15}{'longest':>10}{'processor':>11}{'all callers':>13}{'longest':>10}   MiB")
    for kernel in KERNELS:
        first, busy, last, before, after = _measure(kernel, rounds)
        middle = statistics.median
        print(
            f"{kernel:8}{middle(first):13.2f} s{max(first):8.2f} s{middle(busy):9.2f} s"
            f"{middle(last):11.2f} s{max(last):8.2f} s   {before} to {after}"
        )


if __name__ == "__main__":
    main()
