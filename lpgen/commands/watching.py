"""lpgen emit --watch: write and judge the text again whenever what it is made from is saved."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import click

from lpgen import resources
from lpgen.commands.waiting import stoppable
from lpgen.errors import LpgenError
from lpgen.kernel.generations import Kernel
from lpgen.report.files import write_atomic
from lpgen.source.emit import emit_source
from lpgen.source.packs import Templates, directory_of
from lpgen.source.render import Rendered

# Milliseconds. An editor's save is several steps: it is over when nothing more comes for QUIET; where others write all
# the time, WAIT is the longest. LOOK: how often is looked without any notice, which some file systems never give.
QUIET, WAIT, LOOK = 30, 200, 200
# Seconds that a file which an editor has moved away gets to come back.
GONE = 0.3
_SCRATCH = ("~", ".swp", ".tmp", ".bak", ".orig")
# While callers run, changes are looked for after so many.
CALLERS = 16

# Of each file that counts: what changes when it is written, or another takes its place.
Seen = Mapping[Path, tuple[int, ...]]


class _SavedAgainError(Exception):
    """What is being judged is no longer what would be emitted."""


@dataclass(frozen=True)
class Watched:
    """What is emitted and judged, and what it is made from.

    ``kernel`` chooses the kernel again, ``files`` are a person's files that it reads; ``templates`` is None for the
    shipped ones. ``command`` is the `lpgen verify` about the same trampolines.
    """

    kernel: Callable[[], Kernel]
    out: Path
    templates: Templates | None
    files: tuple[Path, ...]
    style: str
    ifdef: bool
    command: Callable[[], str]

    def directories(self) -> list[Path]:
        """Return the directories with templates. Raises LpgenError when those are of an installed lpgen."""
        shipped = resources.checkout_templates()
        found = [] if self.templates is None else [directory_of(self.templates)]
        if not found and shipped is None:
            raise LpgenError(
                "--watch: the shipped templates are an installed copy", hint="give --templates, with those you edit"
            )
        return found if shipped is None else [*found, shipped]

    def seen(self) -> Seen:
        """Return the files that the text is made from, as they are now."""
        found: dict[Path, tuple[int, ...]] = {}
        out = self.out.absolute()
        for path in (*self.files, *(path for top in self.directories() for path in _files(top))):
            try:
                status = path.stat()
            except OSError:
                # Gone since it was listed, or not there yet: not among those seen.
                continue
            if path.absolute() != out:
                found[path] = (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
        return found

    def places(self) -> list[Path]:
        """Return the directories in which changes show."""
        found = {path.parent for path in self.files}
        for top in self.directories():
            found.add(top if top.is_dir() else top.parent)
            found |= {path.parent for path in _files(top)}
        return sorted(path for path in found if path.is_dir())


def watch(watched: Watched) -> NoReturn:
    """Emit and judge, and do so again after each change, until Ctrl-C. Raises LpgenError for what cannot be watched."""
    watched.directories()
    with stoppable() as check:
        rounds = _Rounds(watched, check)
        seen: Seen = {}
        while True:
            seen = _settled(watched, seen, check)
            rounds.run(seen)
            # A round's two worlds hold each other, and memory of the emulator's.
            gc.collect()
            _wait(watched, seen, check)


class _Rounds:
    """The rounds of one watch: what the last one came to decides what the next one has to do."""

    def __init__(self, watched: Watched, check: Callable[[], None]) -> None:
        self.watched = watched
        self.check = check
        self.killers: list[int] = []
        # What was emitted, for which kernel, and the verdict if it is on all callers.
        self.text: str | None = None
        self.kernel: Kernel | None = None
        self.said = ""

    def run(self, seen: Seen) -> None:
        """Do one round; what is wrong with the input is printed, as one line."""
        started = time.monotonic()
        what = "not emitted"
        try:
            kernel, rendered = self._emitted()
            what = "not judged"
            if rendered.text == self.text and kernel == self.kernel:
                _say(f"the same text: {self.said}")
                return
            self.text = None
            self._judge(kernel, rendered, seen, started)
            self.text, self.kernel = rendered.text, kernel
        except (LpgenError, OSError) as error:
            if isinstance(error, BrokenPipeError):
                raise
            self.text = None
            self.check()
            _say(_coloured(f"{what}: {error}", bad=True))
        except _SavedAgainError:
            # The next round says what comes of it.
            self.text = None

    def _emitted(self) -> tuple[Kernel, Rendered]:
        watched = self.watched
        kernel = watched.kernel()
        rendered = emit_source(kernel, style=watched.style, templates_dir=watched.templates, ifdef=watched.ifdef)
        self.check()
        if not _has(watched.out, rendered.text):
            write_atomic(watched.out, rendered.text)
            click.echo(f"{watched.out}: {rendered.text.count(chr(10))} lines", err=True)
        return kernel, rendered

    def _judge(self, kernel: Kernel, rendered: Rendered, seen: Seen, started: float) -> None:
        from lpgen.assembly.kernel_text import assemble_source
        from lpgen.assembly.reach import judged
        from lpgen.campaign.rounds import killers_of, rounds
        from lpgen.contract.suite import default_callers
        from lpgen.report.result import Result
        from lpgen.report.watch_text import failure_text, round_line

        watched = self.watched
        unit = assemble_source(kernel, rendered, name=kernel.file_name, isolated=watched.templates is not None)
        unit = judged(unit, [symbol.name for symbol in kernel.symbols])
        total = default_callers(kernel)
        shown = set[str]()
        for verdict in rounds(kernel, unit, self.killers, self._ticks(seen)):
            line = round_line(verdict, total, time.monotonic() - started, ifdef=watched.ifdef)
            self.said = line
            _say(_coloured(line, bad=not verdict.holds))
            result = Result.of(verdict, unit, watched.command())
            for failure in verdict.failures:
                if failure.finding.statement not in shown:
                    shown.add(failure.finding.statement)
                    click.echo(failure_text(failure, result))
            if verdict.broken:
                self.killers = killers_of(verdict)

    def _ticks(self, seen: Seen) -> Callable[[], None]:
        """Return what ends a round: at Ctrl-C, and when something was saved."""
        count = 0

        def tick() -> None:
            nonlocal count
            self.check()
            count += 1
            if count % CALLERS == 0 and self.watched.seen() != seen:
                raise _SavedAgainError

        return tick


def _settled(watched: Watched, before: Seen, check: Callable[[], None]) -> Seen:
    """Return what is there now; a file that was there gets a moment to come back."""
    until = time.monotonic() + GONE
    while (gone := before.keys() - watched.seen().keys()) and time.monotonic() < until:
        check()
        time.sleep(QUIET / 1000)
    for path in sorted(gone):
        _say(f"{path} is gone")
    return watched.seen()


def _wait(watched: Watched, seen: Seen, check: Callable[[], None]) -> None:
    """Return once something differs from ``seen``."""
    from watchfiles import watch

    class Stop:
        def is_set(self) -> bool:
            check()
            return False

    while watched.seen() == seen:
        places = watched.places()
        try:
            for _ in watch(
                *places,
                watch_filter=None,
                debounce=WAIT,
                step=QUIET,
                stop_event=Stop(),
                rust_timeout=LOOK,
                yield_on_timeout=True,
                recursive=False,
            ):
                check()
                if watched.seen() != seen or watched.places() != places:
                    break
        except OSError:
            # One of the places has just gone, or the system gives no more notices: looking does as well.
            check()
            time.sleep(LOOK / 1000)


def _files(top: Path) -> Iterator[Path]:
    """Yield the files below a directory of templates, without those that editors keep beside what they save."""
    for directory, below, names in os.walk(top):
        below[:] = [name for name in below if not name.startswith((".", "__"))]
        for name in names:
            if not (name.startswith((".", "#")) or name.endswith(_SCRATCH) or name.isdecimal()):
                yield Path(directory, name)


def _has(path: Path, text: str) -> bool:
    try:
        return path.is_file() and path.read_bytes() == text.encode()
    except OSError:
        return False


def _say(line: str) -> None:
    click.echo(f"{time.strftime('%H:%M:%S')} {line}")


def _coloured(line: str, *, bad: bool) -> str:
    said, rest = line.split(":", 1)
    return f"{click.style(said, fg='red' if bad else 'green', bold=True)}:{rest}"
