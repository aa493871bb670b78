"""A run over several processes: the same verdict as in one, prompt endings, and no process left behind."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import pytest

from lpgen.assembly import assemble
from lpgen.campaign import parallel
from lpgen.contract.suite import Item, Suite
from lpgen.errors import LpgenError
from lpgen.machine.cases import special_cases
from lpgen.report.json_verdict import verdict_json
from lpgen.report.result import Result
from tests.commands.tools import LPGEN, environment
from tests.contract.must_fail import ALL, KERNEL, Wrong

GOOD = Wrong("good", (), "", "", ())
NAMES = ("handler_pushes_a_frame", "handler_lowers_for_a_moment", "handler_shares_thread_info")
SUBJECTS = [GOOD, *(w for w in ALL if w.name in NAMES)]
UNIT = GOOD.unit()


def _items() -> list[Item | int]:
    special = special_cases(KERNEL)
    calls = [Item(0, n, "frame") for n in range(1, 30)] + [Item(special // 2, n, "calls") for n in range(80, 110)]
    return [*range(0, special, 3), *calls, *range(special, special + 120)]


@pytest.mark.parametrize("wrong", SUBJECTS, ids=lambda wrong: wrong.name)
def test_the_verdict_does_not_depend_on_the_number_of_processes(wrong: Wrong) -> None:
    unit = wrong.unit()
    items = _items()
    alone = Suite(KERNEL, unit, seed=9).run(items)
    assert bool(alone.broken) is bool(wrong.breaks)
    documents = set()
    for jobs, method in ((1, None), (2, "fork"), (3, "fork"), (2, "spawn")):
        verdict = parallel.run(KERNEL, unit, 9, items, jobs, method=method)
        assert verdict == alone, (jobs, method)
        documents.add(str(verdict_json(Result.of(verdict, unit, "lpgen verify"))))
    assert len(documents) == 1


def test_ticks_count_every_piece_of_work() -> None:
    for jobs in (1, 2):
        done: list[int] = []
        parallel.run(KERNEL, UNIT, 0, range(100), jobs, done.append, full=False)
        assert sum(done) == 100
        assert len(done) > 2


def test_work_is_taken_as_it_is_needed() -> None:
    taken = 0

    def endless() -> Iterator[int]:
        nonlocal taken
        for number in chain(range(10**9)):
            taken += 1
            yield number

    class Enough(Exception):
        pass

    def tick(done: int) -> None:
        raise Enough

    with pytest.raises(Enough):
        parallel.run(KERNEL, UNIT, 0, endless(), 2, tick)
    assert taken <= parallel.CHUNK * (2 * parallel.AHEAD + 2)
    assert multiprocessing.active_children() == []


class _Deadly:
    """Ends the process that receives it."""

    def __reduce__(self) -> tuple[object, tuple[int]]:
        return os._exit, (9,)


def test_a_process_that_dies_is_an_error() -> None:
    items: list[object] = [*range(40), _Deadly()]
    with pytest.raises(LpgenError, match="a process of the run died"):
        parallel.run(KERNEL, UNIT, 0, items, 2)  # type: ignore[arg-type]
    assert multiprocessing.active_children() == []


def test_what_is_wrong_with_the_unit_is_said_at_once() -> None:
    unit = assemble("nop\n", name="mine.S")
    with pytest.raises(LpgenError, match="does not define"):
        parallel.run(KERNEL, unit, 0, range(10**9), 2)


def test_processes_where_they_pay() -> None:
    cores = parallel.usable_cores()
    assert parallel.jobs_for(parallel.PAYS) == 1
    assert parallel.jobs_for(10**6) == cores
    assert parallel.jobs_for(10**6, 7) == 7
    assert parallel.jobs_for(parallel.CHUNK * 2, 7) == 2
    assert parallel.jobs_for(0, 7) == 1


def _started(tmp_path: Path) -> subprocess.Popen[str]:
    command = [*LPGEN, "verify", "--callers", "10000000", "--jobs", "2"]
    program = subprocess.Popen(
        command,
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 60
    while len(_group(program.pid)) < 3 and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.5)
    return program


def _group(number: int) -> list[int]:
    """Return the running processes of a process group."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                state, _, group = (entry / "stat").read_text().rpartition(")")[2].split()[:3]
            except OSError:
                continue
            if int(group) == number and state != "Z":
                found.append(int(entry.name))
    return found


def _all_end(group: int, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while _group(group):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def test_ctrl_c_ends_every_process_at_once(tmp_path: Path) -> None:
    program = _started(tmp_path)
    pressed = time.monotonic()
    os.killpg(program.pid, signal.SIGINT)
    out, err = program.communicate(timeout=60)
    assert time.monotonic() - pressed < 20
    assert (program.returncode, out, err) == (130, "", "lpgen: stopped\n")
    assert _all_end(program.pid, 5)


def test_workers_end_with_a_parent_that_was_killed(tmp_path: Path) -> None:
    program = _started(tmp_path)
    os.kill(program.pid, signal.SIGKILL)
    program.communicate(timeout=60)
    assert _all_end(program.pid, 20)
