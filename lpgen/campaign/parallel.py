"""One run over several processes, with the verdict that one process would give.

The pieces of work go in chunks, in order, to processes that each have a suite of their own; the verdicts of the chunks
are merged in that same order. At most a few chunks a process are under way, so memory does not grow with their number.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from multiprocessing.connection import wait
from multiprocessing.context import BaseContext
from multiprocessing.synchronize import Event

from lpgen.assembly import Unit
from lpgen.contract.suite import Item, Suite
from lpgen.contract.verdict import Verdict
from lpgen.errors import LpgenError
from lpgen.kernel.generations import Kernel
from lpgen.machine.cases import Case

Work = Item | int | Case

# Pieces of work that a process gets at once: some 50 ms.
CHUNK = 32
# Chunks under way for each process: one that it works on, and some that wait, so that it never does.
AHEAD = 4
# Below so many pieces of work for each process it takes longer to start one than to do them here.
PAYS = 150


class _Stopped(Exception):
    """Raised in a worker between two pieces of work, once the run is to end."""


class _Worker:
    """What a worker process has: its suite, and the event that ends its work."""

    suite: Suite
    stop: Event
    full: bool
    watch_all: bool


def usable_cores() -> int:
    """Return how many cores this process may use."""
    counted = getattr(os, "process_cpu_count", None)
    return (counted() if counted is not None else len(os.sched_getaffinity(0))) or 1


def jobs_for(items: int, jobs: int | None = None) -> int:
    """Return how many processes ``items`` pieces of work get: ``jobs``, None for as many cores as it pays to use."""
    wanted = max(1, min(usable_cores(), items // PAYS)) if jobs is None else jobs
    return max(1, min(wanted, -(-items // CHUNK)))


def run(
    kernel: Kernel,
    unit: Unit,
    seed: int,
    items: Iterable[Work],
    jobs: int = 1,
    tick: Callable[[int], None] | None = None,
    *,
    full: bool = True,
    watch_all: bool = False,
    method: str | None = None,
) -> Verdict:
    """Run ``items`` in ``jobs`` processes and return the verdict: the same for every number of them.

    ``tick`` is called with the number of pieces of work that were done since the last time; what it raises ends the
    run, its processes too. With ``jobs`` 1 all is done in this process. ``full`` and ``watch_all`` are ``Suite.run``'s.
    ``method`` is how processes start (multiprocessing); None: by fork from a process of one thread, else by spawn.
    Raises LpgenError when the trampolines lack what every run needs, or when a process dies.
    """
    advance = tick or _nothing
    suite = Suite(kernel, unit, seed=seed)
    if jobs <= 1:
        return suite.run(items, full=full, watch_all=watch_all, tick=lambda: advance(1))
    # What is wrong with the unit is said here, not in a worker.
    suite.conductor(watch=False)
    context = _context(method)
    stop = context.Event()
    verdict = suite.empty_verdict(full=full)
    pool = ProcessPoolExecutor(
        jobs, mp_context=context, initializer=_start_worker, initargs=(kernel, unit, seed, stop, full, watch_all)
    )
    try:
        for size, part in _in_order(pool, chunks(items), jobs * AHEAD):
            verdict.merge(part)
            advance(size)
    except BrokenProcessPool as error:
        raise LpgenError(
            "a process of the run died before its work was done",
            hint="out of memory? Try --jobs 1; a script that calls lpgen needs `if __name__ == '__main__':`",
        ) from error
    finally:
        stop.set()
        # Second Ctrl-C or not: no process is left behind.
        pool.shutdown(wait=True, cancel_futures=True)
    return verdict


def chunks(items: Iterable[Work]) -> Iterator[list[Work]]:
    """Yield the pieces of work in lists of CHUNK."""
    source = iter(items)
    while chunk := list(islice(source, CHUNK)):
        yield chunk


def _in_order(pool: ProcessPoolExecutor, work: Iterator[list[Work]], window: int) -> Iterator[tuple[int, Verdict]]:
    """Yield size and verdict of each chunk in the order of ``work``, with ``window`` of them under way."""
    under_way: deque[tuple[int, Future[Verdict]]] = deque()

    def submit() -> None:
        for chunk in islice(work, window - len(under_way)):
            under_way.append((len(chunk), pool.submit(_do, chunk)))

    submit()
    while under_way:
        size, future = under_way.popleft()
        part = future.result()
        submit()
        yield size, part


def _context(method: str | None) -> BaseContext:
    if method is None:
        # A fork keeps one thread only: a lock that another one holds would be held for ever.
        forks = "fork" in multiprocessing.get_all_start_methods() and threading.active_count() == 1
        method = "fork" if forks else "spawn"
    return multiprocessing.get_context(method)


def _start_worker(kernel: Kernel, unit: Unit, seed: int, stop: Event, full: bool, watch_all: bool) -> None:
    # Ctrl-C reaches every process of the terminal's group: the one that was started says what happens.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _Worker.suite = Suite(kernel, unit, seed=seed)
    _Worker.stop = stop
    _Worker.full, _Worker.watch_all = full, watch_all


def _end_with_parent() -> None:
    """End this process as soon as the one that started it is gone, however that ended."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def _do(work: list[Work]) -> Verdict:
    return _Worker.suite.run(work, full=_Worker.full, watch_all=_Worker.watch_all, tick=_check)


def _check() -> None:
    if _Worker.stop.is_set():
        raise _Stopped


def _nothing(done: int) -> None:
    pass
