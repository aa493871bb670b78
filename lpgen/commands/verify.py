"""lpgen verify: run the trampolines under synthetic callers and judge every contract statement."""

from __future__ import annotations

import json
import shlex
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

import click

from lpgen.commands.options import (
    CONTEXT,
    Count,
    chosen_kernel,
    kernel_options,
    style_option,
    templates_dir,
    templates_option,
)
from lpgen.errors import LpgenError
from lpgen.report.files import write_out
from lpgen.source.emit import FILE_NAME, emit_source

EPILOG = """\b
Examples:
  lpgen verify                                   what `lpgen emit` writes, about 600 callers
  lpgen verify --callers 20000 --seed 7
  lpgen verify --templates mine/                 with templates of your own
  lpgen verify --only 97                         one caller again, every instruction watched
\b
Exit codes: 0 every statement holds, 1 one is broken or was not exercised, 2 usage or input.
"""


@click.command(epilog=EPILOG, context_settings=CONTEXT)
@click.option(
    "--callers",
    type=Count(1),
    metavar="N",
    help="How many callers to send.  [default: about 600, as many as exercise every statement]",
)
@click.option("--seed", type=Count(0), metavar="N", default=0, show_default=True, help="Which random callers.")
@click.option("--only", type=Count(0), metavar="N", help="Send only caller N, watched at every instruction.")
@click.option("--json", "as_json", is_flag=True, help="Print the verdict as JSON.")
@kernel_options
@style_option
@templates_option
def command(
    callers: int | None,
    seed: int,
    only: int | None,
    as_json: bool,
    version: str,
    config: tuple[str, ...],
    offsets: str | None,
    style: str,
    templates: str | None,
) -> int:
    """Run the trampolines under synthetic callers and judge every contract statement.

    What runs is assembled from the very text that `lpgen emit` writes with the same options.
    """
    if only is not None and callers is not None:
        raise LpgenError("--only and --callers exclude each other", hint="leave one out")
    kernel = chosen_kernel(version, config, offsets)
    directory = templates_dir(templates)
    rendered = emit_source(kernel, style=style, templates_dir=directory)
    with _stoppable() as check_stop:
        from lpgen.assembly.kernel_text import assemble_source
        from lpgen.contract.suite import Suite, default_callers

        unit = assemble_source(kernel, rendered, name=FILE_NAME, isolated=directory is not None)
        suite = Suite(kernel, unit, seed=seed)
        if only is not None:
            verdict = suite.run([only], watch_all=True, full=False)
        else:
            enough = default_callers(kernel)
            count = callers or enough
            with _progress(count, as_json) as advance:

                def tick() -> None:
                    check_stop()
                    advance()

                verdict = suite.run(range(count), full=count >= enough, tick=tick)
    again = _again(seed, version, config, offsets, style, templates)
    if as_json:
        from lpgen.report.json_verdict import verdict_json

        write_out("-", json.dumps(verdict_json(verdict, again), indent=2) + "\n")
    else:
        from lpgen.report.terminal import print_verdict

        print_verdict(verdict, again)
    return 0 if verdict.holds else 1


def _again(
    seed: int,
    version: str,
    config: tuple[str, ...],
    offsets: str | None,
    style: str,
    templates: str | None,
) -> str:
    """Return the command line that makes the same calls, short of --only."""
    words = ["lpgen", "verify", "--kernel", version]
    for setting in config:
        words += ["--config", setting]
    if offsets is not None:
        words += ["--offsets", offsets]
    if style != "kernel":
        words += ["--style", style]
    if templates is not None:
        words += ["--templates", templates]
    if seed:
        words += ["--seed", str(seed)]
    return shlex.join(words)


@contextmanager
def _stoppable() -> Iterator[Callable[[], None]]:
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
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def _progress(count: int, quiet: bool) -> Iterator[Callable[[], None]]:
    """Show a progress bar on a terminal when there is enough to wait for."""
    if quiet or count < 3000 or not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    bar = Progress(
        "callers",
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    with bar:
        task = bar.add_task("callers", total=count)
        yield lambda: bar.advance(task)
