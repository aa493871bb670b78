"""Work over several processes: results in order, prompt endings, and nobody left behind."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from multiprocessing.connection import wait
from multiprocessing.context import BaseContext
from multiprocessing.synchronize import Event
from typing import Any, TypeVar

from lpgen.errors import LpgenError

# Pieces of work under way for each process: one that it works on, and some that wait, so that it never does.
AHEAD = 4

Work = TypeVar("Work")
Result = TypeVar("Result")


class _Stopped(Exception):
    """Raised in a worker between two pieces of work, once the run is to end."""


class _Process:
    stop: Event


def usable_cores() -> int:
    """Return how many cores this process may use."""
    counted = getattr(os, "process_cpu_count", None)
    return (counted() if counted is not None else len(os.sched_getaffinity(0))) or 1


def check() -> None:
    """End the work of this process if the run is to end: for workers, between two of their steps."""
    if _Process.stop.is_set():
        raise _Stopped


def in_order(
    work: Iterable[Work],
    do: Callable[[Work], Result],
    jobs: int,
    start: Callable[..., None],
    given: tuple[Any, ...],
    *,
    method: str | None = None,
) -> Generator[Result, None, None]:
    """Yield ``do``'s result for each piece of ``work``, in order, from ``jobs`` processes.

    Each process calls ``start(*given)`` first. At most AHEAD pieces for each are under way. Whatever ends the iteration
    (close it) ends the processes too. ``method`` is how they start (multiprocessing); None: by fork from a process of
    one thread, else by spawn. Raises LpgenError when a process dies.
    """
    context = _context(method)
    stop = context.Event()
    pool = ProcessPoolExecutor(jobs, mp_context=context, initializer=_start, initargs=(stop, start, given))
    source = iter(work)
    under_way: deque[Future[Result]] = deque()

    def submit() -> None:
        for piece in islice(source, jobs * AHEAD - len(under_way)):
            under_way.append(pool.submit(do, piece))

    try:
        submit()
        while under_way:
            result = under_way.popleft().result()
            submit()
            yield result
    except BrokenProcessPool as error:
        raise LpgenError(
            "a process of the run died before its work was done",
            hint="out of memory? Try --jobs 1; a script that calls lpgen needs `if __name__ == '__main__':`",
        ) from error
    finally:
        stop.set()
        # Second Ctrl-C or not: no process is left behind.
        pool.shutdown(wait=True, cancel_futures=True)


def _context(method: str | None) -> BaseContext:
    if method is None:
        # A fork keeps one thread only: a lock that another one holds would be held for ever.
        forks = "fork" in multiprocessing.get_all_start_methods() and threading.active_count() == 1
        method = "fork" if forks else "spawn"
    return multiprocessing.get_context(method)


def _start(stop: Event, start: Callable[..., None], given: tuple[Any, ...]) -> None:
    # Ctrl-C reaches every process of the terminal's group: the one that was started says what happens.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _Process.stop = stop
    start(*given)


def _end_with_parent() -> None:
    """End this process as soon as the one that started it is gone, however that ended."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
