"""Which call: the options of every command that runs one, and the case that they name."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lpgen.commands.options import Count
from lpgen.errors import LpgenError
from lpgen.kernel.generations import Kernel

if TYPE_CHECKING:
    from lpgen.assembly import Unit
    from lpgen.contract.suite import Item
    from lpgen.machine.cases import Case
    from lpgen.machine.plan import Interrupt, Plan

# Nine doublewords: one more than there are registers for.
DEFAULT_CALLER = "long f(long, long, long, long, long, long, long, long, long)"
_DRAWN = ("caller", "patched", "through", "interrupt_at", "seed")


def call_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that name one call: the command gets them as part of ``**options``."""
    for option in (
        click.option("--replay", metavar="FILE", help="The call in FILE, which `lpgen prove` wrote."),
        click.option(
            "--at", metavar="N:MODE", help="Interrupt --only's caller before its Nth instruction: frame, calls, switch."
        ),
        click.option("--only", type=Count(0), metavar="N", help="Caller N of `lpgen verify`."),
        click.option("--plan", metavar="TEXT", help="A plan, as the last line of a failure of `lpgen verify` has it."),
        click.option("--seed", type=Count(0), metavar="N", default=0, show_default=True, help="Which random values."),
        click.option(
            "--interrupt-at",
            metavar="N[:MODE]",
            help="Interrupt it before the Nth instruction of the trampolines. frame (default): the handler writes to"
            " its frames; calls: it makes a patched call; switch: another thread runs.",
        ),
        click.option(
            "--through",
            metavar="SYMBOL",
            help="Where B's call site leads: from 4.18 on ftrace_regs_caller (default) or ftrace_caller, before that"
            " ftrace_caller; from 6.6 on _mcount too.",
        ),
        click.option("--patched", is_flag=True, help="The tracer sets regs->nip = C: a livepatch."),
        click.option(
            "--caller",
            metavar="PROTOTYPE",
            help="B's prototype, and C's; behind an ellipsis what is passed for it: 'int f(int, ..., double)'.  "
            "[default: nine longs]",
        ),
    ):
        function = option(function)
    return function


def chosen_case(kernel: Kernel, unit: Unit, options: dict[str, Any]) -> Case:
    """Return the call that the options of ``call_options`` name. Raises LpgenError for what excludes itself."""
    given = [name for name in ("plan", "only", "replay") if options[name] is not None]
    drawn = [name for name in _DRAWN if options[name]]
    if len(given) > 1:
        raise LpgenError(f"--{given[0]} and --{given[1]} exclude each other", hint="leave one out")
    if options["at"] is not None and options["only"] is None:
        raise LpgenError("--at interrupts the caller of --only", hint="add --only N, or use --interrupt-at")
    # --only's caller is one of a run with a seed.
    refused = [name for name in drawn if given and not (name == "seed" and given == ["only"])]
    if refused:
        name = refused[0].replace("_", "-")
        raise LpgenError(f"--{given[0]} and --{name} exclude each other", hint="leave one out")
    from lpgen import api
    from lpgen.contract.suite import Suite

    if options["plan"] is not None:
        return api.plan_case(kernel, options["plan"])
    if options["replay"] is not None:
        from lpgen.contract.replay import read_replay

        if not options["replay"]:
            raise LpgenError("--replay names no file", hint="give a file that `lpgen prove` wrote")
        return api.replay_case(kernel, unit, read_replay(Path(options["replay"])))
    if options["only"] is not None:
        return Suite(kernel, unit, seed=options["seed"]).case(chosen_item(options["only"], options["at"]))
    return _drawn(kernel, options)


def again(options: dict[str, Any], case: Case) -> str:
    """Return what names ``case``, the one that ``options`` named, on a command line."""
    from lpgen.machine.plan_text import plan_text

    if options["replay"] is not None:
        return f"--replay {shlex.quote(options['replay'])}"
    if options["only"] is not None:
        # Some callers have values that no plan's text holds.
        words = ["--only", str(options["only"])]
        words += ["--at", options["at"]] if options["at"] is not None else []
        words += ["--seed", str(options["seed"])] if options["seed"] else []
        return shlex.join(words)
    return f"--plan {shlex.quote(plan_text(case.plan))}"


def check_interrupted(options: dict[str, Any], *, came: bool) -> None:
    """Raise LpgenError if the interrupt of --interrupt-at or --at never ``came``."""
    for name in ("interrupt_at", "at"):
        if options[name] and not came:
            said = f"--{name.replace('_', '-')} {options[name]}"
            raise LpgenError(f"{said}: the call executes fewer instructions", hint="give a lower boundary")


def chosen_item(number: int, at: str | None) -> Item:
    """Return the piece of work that --only and --at name. Raises LpgenError for an ``at`` that is none."""
    from lpgen.contract.suite import Item

    if at is None:
        return Item(number)
    boundary, mode = _boundary("--at", at, None)
    return Item(number, boundary, mode)


def _boundary(option: str, text: str, otherwise: str | None) -> tuple[int, str]:
    """Return the boundary and the mode in ``text``; without a mode it is ``otherwise``, None: it has to be there."""
    from lpgen.machine.plan import INTERRUPT_MODES

    number, colon, mode = text.partition(":")
    if not colon and otherwise is not None:
        mode = otherwise
    if not (number.isascii() and number.isdecimal() and int(number[:9]) > 0 and mode in INTERRUPT_MODES):
        form = "N:MODE" if otherwise is None else "N or N:MODE"
        raise LpgenError(
            f"{option} {text!r}: not a boundary", hint=f"write {form}, MODE one of {', '.join(INTERRUPT_MODES)}"
        )
    return int(number[:9]), mode


def _drawn(kernel: Kernel, options: dict[str, Any]) -> Case:
    """Return a call of --caller's prototype."""
    from lpgen import api
    from lpgen.callers.c_prototype import parse_prototype
    from lpgen.machine.plan import PATCH, Plan
    from lpgen.machine.plan_text import plan_text

    caller = DEFAULT_CALLER if options["caller"] is None else options["caller"]
    shape = parse_prototype(caller, what="--caller")
    if options["seed"] >= 1 << 64:
        raise LpgenError(f"--seed {options['seed']}: more than 64 bits", hint="give a smaller number")
    fields: dict[str, Any] = {"seed": options["seed"]}
    if options["patched"]:
        if "livepatch" not in kernel.features:
            raise LpgenError(f"--patched: kernel {kernel.version} has no livepatch with these options")
        fields["nip"] = PATCH
    fields |= _entry(kernel, options["through"])
    if options["interrupt_at"] is not None:
        fields["interrupt"] = _interrupt(kernel, options)
    plan: Plan = Plan(shape, **fields)
    case = api.plan_case(kernel, plan_text(plan))
    if options["patched"] and not case.plan.patched:
        # Up to 5.17 the lean entry gives the tracer no pt_regs (contract section 6, G4); _mcount calls none.
        raise LpgenError(
            f"--patched: {options['through']} of kernel {kernel.version} leads to no livepatch",
            hint="leave out --through or --patched",
        )
    return case


def _interrupt(kernel: Kernel, options: dict[str, Any]) -> Interrupt:
    from lpgen.machine.cases import interrupt_plan
    from lpgen.machine.plan import FRAME, Interrupt

    boundary, mode = _boundary("--interrupt-at", options["interrupt_at"], FRAME)
    return Interrupt(boundary, mode, interrupt_plan(kernel, mode, options["seed"]))


def _entry(kernel: Kernel, through: str | None) -> dict[str, bool]:
    """Return the fields of a plan whose call site leads to ``through``."""
    ways: dict[str, dict[str, bool]] = {}
    if "two_entries" in kernel.features:
        ways = {"ftrace_regs_caller": {}, "ftrace_caller": {"lean": True}}
    else:
        ways = {"ftrace_caller": {}}
    if "mcount" in kernel.features:
        ways["_mcount"] = {"early": True}
    if through is None:
        return {}
    if through not in ways:
        raise LpgenError(
            f"--through {through}: no call site of kernel {kernel.version} leads there",
            hint=f"there are {', '.join(ways)}" if len(ways) > 1 else f"there is only {next(iter(ways))}",
        )
    return ways[through]
