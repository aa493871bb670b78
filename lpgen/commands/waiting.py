"""What a command does while it works for long: heed Ctrl-C at the right moment, show how far it is."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from lpgen.errors import LpgenError
from lpgen.report.style import is_dumb


@contextmanager
def stoppable() -> Iterator[Callable[[], None]]:
    """Yield a function that raises KeyboardInterrupt once Ctrl-C was pressed.

    Raised in a hook that the emulator calls, or while an engine loads, it would be lost. So it waits for the end of
    the caller that is under way; pressed again it does not wait.
    """
    pressed = False

    def note(number: int, frame: FrameType | None) -> None:
        nonlocal pressed
        if pressed:
            raise KeyboardInterrupt
        pressed = True

    def check() -> None:
        if pressed:
            raise KeyboardInterrupt

    before = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, note)
    try:
        yield check
        check()
    except LpgenError:
        # It may come of a tool that Ctrl-C ended, too.
        check()
        raise
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def progress(
    what: str, *, quiet: bool, enough: int = 0
) -> Iterator[tuple[Callable[[int], None], Callable[[int], None]]]:
    """Yield what is told how much there is to do, and what is told how much more is done.

    They show a progress bar of ``what``, unless ``quiet``, on a terminal when there is ``enough`` to wait for; it comes
    with the first piece that is done, so that processes are started before its thread.
    """
    total = 0
    bar = None
    task = None

    def started(count: int) -> None:
        nonlocal total
        total = count

    def advance(done: int) -> None:
        nonlocal bar, task
        if quiet or total < enough or not sys.stderr.isatty() or is_dumb():
            return
        if bar is None:
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

            bar = Progress(
                what,
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                # A colour says how something came out: see lpgen.report.style.
                console=Console(stderr=True, no_color=True),
                transient=True,
            )
            task = bar.add_task(what, total=total)
            bar.start()
        if task is not None:
            bar.advance(task, done)

    try:
        yield started, advance
    finally:
        if bar is not None:
            bar.stop()
