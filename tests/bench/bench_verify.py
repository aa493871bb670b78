"""How long `lpgen verify` takes on one core, and its memory. Run: python tests/bench/bench_verify.py [CALLERS ...]"""

from __future__ import annotations

import sys

from alternating import run_one

CALLERS = ("500", "2000", "8000")


def main() -> None:
    """Print seconds and peak memory for each number of callers; the first run warms the caches and is not shown."""
    run_one(["-m", "lpgen", "verify", "--callers", "1"])
    for callers in sys.argv[1:] or CALLERS:
        seconds, processor, kibibytes = run_one(["-m", "lpgen", "verify", "--callers", callers])
        print(f"{callers:>6} callers: {seconds:6.2f} s, {processor:6.2f} s of one core, {kibibytes / 1024:4.0f} MiB")


if __name__ == "__main__":
    main()
