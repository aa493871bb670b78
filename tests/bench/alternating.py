"""Timing programs against each other: run in turns, so that what else the machine does meets each alike."""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
PYTHON = sys.executable


def _environment(cache: str) -> dict[str, str]:
    # With compiled modules for both sides, as an installed lpgen has them.
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return env | {"PYTHONPATH": str(ROOT), "PYTHONPYCACHEPREFIX": cache}


def alternate(commands: Mapping[str, Sequence[str]], rounds: int) -> dict[str, list[float]]:
    """Return the seconds of each command in each round, after one round that is not counted."""
    times: dict[str, list[float]] = {name: [] for name in commands}
    with tempfile.TemporaryDirectory() as directory:
        env = _environment(f"{directory}/pycache")
        for number in range(rounds + 1):
            for name, words in commands.items():
                start = time.perf_counter()
                subprocess.run([PYTHON, *words], cwd=directory, env=env, check=True, capture_output=True)
                if number:
                    times[name].append(time.perf_counter() - start)
    return times


def ratio(times: Mapping[str, Sequence[float]], name: str, base: str) -> float:
    """Return how much longer ``name`` takes than ``base``: the median over the rounds."""
    return statistics.median(a / b for a, b in zip(times[name], times[base], strict=True))


def run_one(words: Sequence[str]) -> tuple[float, float, int]:
    """Run a command on one core; return its seconds, its seconds of processor time and its peak memory in KiB."""
    with tempfile.TemporaryDirectory() as directory:
        start = time.perf_counter()
        child = subprocess.Popen(
            [PYTHON, *words],
            cwd=directory,
            env=_environment(f"{directory}/pycache"),
            stdout=subprocess.DEVNULL,
            preexec_fn=_one_core,
        )
        _, status, usage = os.wait4(child.pid, 0)
        seconds = time.perf_counter() - start
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        sys.exit(f"{' '.join(words)}: exit code {child.returncode}")
    return seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss


def _one_core() -> None:
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
