"""How long `lpgen prove` takes against `lpgen verify` of the same kernel, and a proof against a mutant's.

Run: PYTHONPATH=. python tests/bench/bench_prove.py [ROUNDS]
"""

from __future__ import annotations

import statistics
import sys
import time

from alternating import alternate, ratio

from lpgen.api import trampolines
from lpgen.kernel.generations import kernel
from lpgen.proof.prover import Prover

VERSIONS = ("4.7", "5.18", "6.18")


def main() -> None:
    """Print medians of ratios over alternating runs."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    for version in VERSIONS:
        commands = {name: ["-m", "lpgen", name, "--kernel", version] for name in ("verify", "prove")}
        times = alternate(commands, rounds)
        said = f"{version:5} prove {min(times['prove']):5.2f} s, {ratio(times, 'prove', 'verify'):4.2f} of verify"
        made = kernel(version)
        unit = trampolines(made)
        first, again = [], []
        for _ in range(rounds):
            prover = Prover(made, unit)
            for kept in (first, again):
                start = time.perf_counter()
                prover.run()
                kept.append(time.perf_counter() - start)
        print(
            f"{said}; in one process a first proof {statistics.median(first) * 1000:4.0f} ms, "
            f"one of known questions {statistics.median(again) * 1000:4.0f} ms"
        )


if __name__ == "__main__":
    main()
