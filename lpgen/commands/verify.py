"""lpgen verify: run the trampolines under synthetic callers and judge every contract statement."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from lpgen.commands.calls import chosen_item
from lpgen.commands.options import CONTEXT, Count, json_option, print_json, say_notes
from lpgen.commands.subject import Chosen, subject_options
from lpgen.commands.waiting import progress, stoppable
from lpgen.errors import LpgenError

# So many callers take a few seconds.
_ENOUGH_TO_WAIT = 3000

EPILOG = """\b
Examples:
  lpgen verify                                   what `lpgen emit` writes, about 600 callers
  lpgen verify --callers 100000 --interrupts
  lpgen verify my_entry.S                        assembly of your own; - is standard input
  lpgen verify ftrace_entry.o --kernel 6.12      an object of your kernel's build
  lpgen verify --templates mine/                 templates of your own
  lpgen verify --only 97                         one caller again, every instruction watched
  lpgen verify --plan 'long f(long*9) seed=3 nip=patch'
  lpgen verify --replay X3.json                  what `lpgen prove` found, in the emulator
\b
Exit codes: 0 every statement holds, 1 one is broken or was not exercised, 2 usage or input.
"""


@click.command(epilog=EPILOG, context_settings=CONTEXT)
@click.option(
    "--callers",
    type=Count(1),
    metavar="N",
    help="How many callers to send; those beyond 4,000 are judged in the guest.  "
    "[default: about 600, as many as exercise every statement]",
)
@click.option("--seed", type=Count(0), metavar="N", default=0, show_default=True, help="Which random callers.")
@click.option("--interrupts", is_flag=True, help="Besides, interrupt at every instruction, in every mode.")
@click.option("--jobs", type=Count(1), metavar="N", help="How many processes.  [default: every core, where it pays]")
@click.option("--only", type=Count(0), metavar="N", help="Send only caller N, watched at every instruction.")
@click.option(
    "--at", metavar="N:MODE", help="Interrupt --only's caller before its Nth instruction: frame, calls, switch."
)
@click.option("--plan", metavar="TEXT", help="Send only this caller: a plan as a failure's last line has it.")
@click.option(
    "--replay",
    metavar="FILE",
    help="Send only the caller in FILE, a counterexample that `lpgen prove` wrote. The exit code is never 0.",
)
@click.option("--no-shrink", is_flag=True, help="Show the first failing caller, not the smallest.")
@click.option("--kinds", is_flag=True, help="Show how many callers of each kind exercised each statement.")
@json_option("Print the verdict as JSON.")
@subject_options
def command(
    file: str | None,
    callers: int | None,
    seed: int,
    interrupts: bool,
    jobs: int | None,
    only: int | None,
    at: str | None,
    plan: str | None,
    replay: str | None,
    no_shrink: bool,
    kinds: bool,
    as_json: bool,
    **options: Any,
) -> int:
    """Run trampolines under synthetic callers and judge every contract statement.

    What runs is FILE: assembly, which is assembled with the asm-offsets.h and options of the kernel, or a relocatable
    object; or else the very text that `lpgen emit` writes with the same options.
    """
    many = {"--callers": callers is not None, "--interrupts": interrupts}
    _one_of(
        {"--only": only is not None, **many, "--plan": plan is not None, "--replay": replay is not None},
        together=tuple(many),
    )
    if replay == "":
        raise LpgenError("--replay names no file", hint="give a file that `lpgen prove` wrote")
    if at is not None and only is None:
        raise LpgenError("--at interrupts the caller of --only", hint="add --only N")
    chosen = Chosen.of(file, options)
    kernel = chosen.kernel
    with stoppable() as check_stop:
        from lpgen import api
        from lpgen.contract.replay import read_replay
        from lpgen.contract.suite import Suite
        from lpgen.report.result import Result

        found = None if replay is None else read_replay(Path(replay))
        unit = chosen.unit()
        if found is not None:
            verdict = api.judge_replay(kernel, unit, found)
        elif only is not None or plan is not None:
            one = chosen_item(only, at) if only is not None else api.plan_case(kernel, plan or "")
            verdict = Suite(kernel, unit, seed=seed).run([one], watch_all=True, full=False)
            if at is not None and not verdict.interrupted:
                raise LpgenError(f"--at {at}: the call executes fewer instructions", hint="give a lower boundary")
        else:
            with progress("callers", quiet=as_json, enough=_ENOUGH_TO_WAIT) as (started, advance):

                def tick(done: int) -> None:
                    check_stop()
                    advance(done)

                def begin(count: int) -> Callable[[int], None]:
                    started(count)
                    return tick

                verdict = api.judge(
                    kernel,
                    unit,
                    seed=seed,
                    callers=callers,
                    interrupts=interrupts,
                    jobs=jobs,
                    shrink=not no_shrink,
                    started=begin,
                    check=check_stop,
                )
    result = Result.of(verdict, unit, chosen.command(unit, seed), every_boundary=interrupts, replay=found)
    if as_json:
        from lpgen.report.json_verdict import verdict_json

        print_json(verdict_json(result))
    else:
        from lpgen.report.terminal import print_verdict

        print_verdict(result, kinds=kinds)
    say_notes(kernel)
    # A replay that breaks nothing is no good news: a proof and the emulator disagree.
    return 0 if result.holds and found is None else 1


def _one_of(given: dict[str, bool], together: tuple[str, ...] = ()) -> None:
    names = [name for name, is_given in given.items() if is_given]
    if len(names) > 1 and not set(names) <= set(together):
        raise LpgenError(f"{' and '.join(names)} exclude each other", hint="leave one out")
