"""How long lpgen takes to start, beside libraries that it needs. Run: python tests/bench/bench_startup.py [ROUNDS]"""

from __future__ import annotations

import statistics
import sys

from alternating import alternate, ratio

COMMANDS = {
    "import click": ["-c", "import click"],
    "lpgen --help": ["-m", "lpgen", "--help"],
    "import click, jinja2": ["-c", "import click, jinja2"],
    "lpgen emit": ["-m", "lpgen", "emit", "--out", "entry_64.S"],
    "lpgen emit --all": ["-m", "lpgen", "emit", "--all"],
}
PAIRS = [("lpgen --help", "import click"), ("lpgen emit", "import click, jinja2")]


def main() -> None:
    """Print the median time of each command and the ratios; the number of rounds may be given."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    times = alternate(COMMANDS, rounds)
    for name, seconds in times.items():
        print(f"{name:22} {statistics.median(seconds) * 1000:6.1f} ms")
    for name, base in PAIRS:
        print(f"{name} / {base}: {ratio(times, name, base):.2f}")


if __name__ == "__main__":
    main()
