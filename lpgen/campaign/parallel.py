"""One run over several processes, with the verdict that one process would give.

The pieces of work go in chunks, in order, to processes that each have a suite of their own; the verdicts of the chunks
are merged in that same order. At most a few chunks a process are under way, so memory does not grow with their number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing

from lpgen.assembly import Unit
from lpgen.campaign import pool
from lpgen.campaign.pool import AHEAD, usable_cores
from lpgen.contract.guests import Guests
from lpgen.contract.suite import Item, Suite
from lpgen.contract.verdict import Verdict
from lpgen.kernel.generations import Kernel
from lpgen.machine.cases import Case

__all__ = ["AHEAD", "CHUNK", "PAYS", "Work", "chunks", "jobs_for", "run", "usable_cores"]

Work = Item | int | Case | Guests

# Pieces of work that a process gets at once: some 50 ms.
CHUNK = 32
# Below so many pieces of work for each process it takes longer to start one than to do them here.
PAYS = 150


class _Worker:
    """What a worker process has: its suite, and what each run of it is to be."""

    suite: Suite
    full: bool
    watch_all: bool


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
        return suite.run(items, full=full, watch_all=watch_all, tick=advance)
    # What is wrong with the unit is said here, not in a worker.
    suite.conductor(watch=False)
    verdict = suite.empty_verdict(full=full)
    given = (kernel, unit, seed, full, watch_all)
    with closing(pool.in_order(chunks(items), _do, jobs, _start, given, method=method)) as parts:
        for part in parts:
            verdict.merge(part)
            advance(part.callers)
    return verdict


def chunks(items: Iterable[Work]) -> Iterator[list[Work]]:
    """Yield the pieces of work in lists of CHUNK, in order; many callers in one piece are a list of their own."""
    chunk: list[Work] = []
    for item in items:
        if isinstance(item, Guests):
            if chunk:
                yield chunk
            yield [item]
            chunk = []
            continue
        chunk.append(item)
        if len(chunk) == CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _start(kernel: Kernel, unit: Unit, seed: int, full: bool, watch_all: bool) -> None:
    _Worker.suite = Suite(kernel, unit, seed=seed)
    _Worker.full, _Worker.watch_all = full, watch_all


def _do(work: list[Work]) -> Verdict:
    return _Worker.suite.run(work, full=_Worker.full, watch_all=_Worker.watch_all, tick=lambda done: pool.check())


def _nothing(done: int) -> None:
    pass
