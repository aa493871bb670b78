"""What a caller that is judged in the guest costs, against the same without comparing and with an emu_start each.

Run: PYTHONPATH=. python tests/bench/bench_guest.py [ROUNDS [KERNEL]]; with --scale: seconds and memory for 10^3 to 10^7
callers; with --jobs: two processes against one. Times are of the processor but for --jobs, in turns.
"""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

from alternating import PYTHON, ratio, run_one

from lpgen.api import trampolines
from lpgen.contract.suite import Suite, judge_trip
from lpgen.kernel.generations import kernel
from lpgen.machine.guest import Guest
from lpgen.machine.guest_callers import FIRST, PHASE, GuestPlan
from lpgen.machine.trip import Trip

SIZES = (1_000, 10_000, 100_000, 1_000_000, 10_000_000)
CALLS = 64


def in_turns(version: str, rounds: int) -> None:
    """Print the ratios between the ways to send the callers of one phase."""
    facts = kernel(version)
    unit = trampolines(facts)
    suite = Suite(facts, unit)
    conductor = suite.conductor(watch=False)

    def model(plan: GuestPlan, number: int) -> Trip | None:
        one = suite.case(number)
        return conductor.run(one.plan, values=one.values)

    guests = {
        name: Guest(facts, unit, 0, model, checks=checks) for name, checks in (("checked", True), ("bare", False))
    }
    cases = [suite.case(number) for number in range(FIRST, FIRST + PHASE, PHASE // CALLS)]

    def emu_start_each() -> None:
        for one in cases:
            conductor.run(one.plan, trace=False, values=one.values)

    def judged_each() -> None:
        for one in cases:
            assert not judge_trip(conductor.world, conductor.run(one.plan, trace=False, values=one.values))[1]

    def in_guest(guest: Guest) -> Callable[[], None]:
        def send() -> None:
            assert guest.run(FIRST, FIRST + PHASE) == []

        return send

    todo = {name: (in_guest(guest), PHASE) for name, guest in guests.items()}
    todo |= {"an emu_start each": (emu_start_each, CALLS), "each judged in full": (judged_each, CALLS)}
    times: dict[str, list[float]] = {name: [] for name in todo}
    for number in range(rounds + 1):
        for name, (send, callers) in todo.items():
            start = time.process_time()
            send()
            if number:
                times[name].append((time.process_time() - start) / callers)
    for name, seconds in times.items():
        took = statistics.median(seconds)
        print(f"{version:>5} {name:20} {1e6 * took:8.2f} us a caller, {ratio(times, name, 'checked'):7.2f} of checked")


def scale(sizes: tuple[int, ...]) -> None:
    """Print callers a second and peak memory, each size in a process of its own."""
    for callers in sizes:
        _, processor, kibibytes = run_one([__file__, "--guest", str(callers)])
        print(f"{callers:>10,} callers: {processor:7.2f} s of one core, {kibibytes / 1024:4.0f} MiB")


def only_guests(callers: int) -> None:
    """Send so many callers, all in the guest."""
    from lpgen.contract.guests import pieces

    facts = kernel("6.12")
    verdict = Suite(facts, trampolines(facts)).run(pieces(FIRST, FIRST + callers), full=False)
    assert verdict.holds
    assert verdict.in_guest == callers


def two_processes(rounds: int) -> None:
    """Print how much longer one process takes than two, and how much more of the processor two use."""
    commands = {n: [PYTHON, "-m", "lpgen", "verify", "--callers", "4000000", "--jobs", str(n)] for n in (1, 2)}
    wall: dict[int, list[float]] = {1: [], 2: []}
    processor: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(rounds):
        for jobs, words in commands.items():
            start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
            subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            wall[jobs].append(time.perf_counter() - start)
            processor[jobs].append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    took = statistics.median(a / b for a, b in zip(wall[1], wall[2], strict=True))
    used = statistics.median(b / a for a, b in zip(processor[1], processor[2], strict=True))
    print(f"one process takes {took:.2f} times as long as two; two use {used:.2f} times as much of the processor,")
    print(f"so that on two cores with nothing else to do it would be {2 / used:.2f} times")


def main() -> None:
    """Print what the command line asks for."""
    words = sys.argv[1:]
    if words[:1] == ["--guest"]:
        only_guests(int(words[1]))
    elif words[:1] == ["--scale"]:
        scale(tuple(map(int, words[1:])) or SIZES)
    elif words[:1] == ["--jobs"]:
        two_processes(int(words[1]) if len(words) > 1 else 3)
    else:
        in_turns(words[1] if len(words) > 1 else "6.12", int(words[0]) if words else 15)


if __name__ == "__main__":
    main()
