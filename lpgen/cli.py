"""The command group. A command's module is imported only when it is called: `lpgen --help` loads nothing but click."""

from __future__ import annotations

import errno
import gc
import os
import sys
from importlib import import_module
from typing import Any

import click

from lpgen import __version__
from lpgen.errors import LpgenError
from lpgen.report.style import say_error

# Name and one line of help, so that `lpgen --help` needs no command's module.
COMMANDS = {
    "emit": "Write the drop-in trampoline assembly for a kernel.",
    "install": "Put the assembly in place in a kernel's source tree, and take it out again.",
    "patch": "Write the same change to a kernel's source tree as a patch for git am.",
    "verify": "Run the trampolines under synthetic callers and judge every contract statement.",
    "trace": "Show one call step by step: each instruction, and what it changed by name.",
    "report": "Write one HTML page: verdict, calls step by step, code, cost, proof, mutants.",
    "prove": "Prove every contract statement for all inputs, or show where one does not hold.",
    "mutate": "Change the trampolines' code in thousands of ways: is each mutant seen, or proved equivalent?",
    "assemble": "Assemble ppc64le kernel-style text: binary, hex, listing, JSON or object.",
    "extract": "Write a kernel's own trampolines as assembly that makes the same bytes.",
    "kernels": "List the kernels, or say what holds for one.",
    "diff": "Show what changed between two kernels: contract, offsets, code.",
    "offsets": "Show or convert the asm-offsets constants.",
    "frame": "Show the stack frames and the livepatch frame as a diagram.",
    "cost": "Count instructions, loads and stores on each way through the trampolines.",
    "schema": "List the formats of what --json prints, or print one as JSON Schema.",
    "new": "Start a pack of templates of your own: a small Python project.",
    "doctor": "Check that the engines work on this machine.",
}


# What a shell gives a command that SIGINT or SIGPIPE ended.
INTERRUPTED = 130
BROKEN_PIPE = 141


class _EndedFromOutside(Exception):
    """A signal or a closed pipe ended the run: its cause says which."""


class _Lazy(click.Group):
    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (KeyboardInterrupt, BrokenPipeError) as error:
            # Before click sees it: it would write an empty line, or exit with 1, which means a broken statement.
            raise _EndedFromOutside from error

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"lpgen.commands.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-") and not ctx.resilient_parsing:
            from difflib import get_close_matches

            near = get_close_matches(args[0], COMMANDS, 1)
            hint = f"did you mean {near[0]!r}?" if near else "see lpgen --help"
            raise LpgenError(f"no such command {args[0]!r}", hint=hint)
        return super().resolve_command(ctx, args)


EPILOG = """\b
Exit codes: 0 it holds, 1 a contract statement is broken, 2 usage or input.
Completion: eval "$(_LPGEN_COMPLETE=bash_source lpgen)"   (zsh_source, fish_source)
\b
Example:
  lpgen emit --out entry_64.S && lpgen verify
"""


@click.group(cls=_Lazy, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="lpgen")
def cli() -> None:
    """Generate, assemble and run the ppc64le ftrace entry and livepatch trampolines of the Linux kernel."""


def main(argv: list[str] | None = None) -> None:
    """Run the command line; exit with 0 (holds), 1 (a statement is broken) or 2 (usage or input)."""
    # A short run with few cycles among its objects: hunting for them during it, and once more among all that the
    # modules hold at its end, takes a tenth of `lpgen emit`.
    gc.set_threshold(100_000)
    code = run(argv)
    if code == BROKEN_PIPE:
        # Python would flush into the closed pipe on its way out, and complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    gc.freeze()
    sys.exit(code)


def run(argv: list[str] | None = None) -> int:
    """Run the command line and return its exit code; every error that a person can cause is one line on stderr."""
    try:
        result: Any = cli.main(args=argv, prog_name="lpgen", standalone_mode=False)
    except LpgenError as error:
        say_error(f"lpgen: {error}")
        return error.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return 2
    except click.ClickException as error:
        say_error(_usage_line(error))
        return 2
    except _EndedFromOutside as error:
        if isinstance(error.__cause__, BrokenPipeError):
            # The reader has what it wanted (`lpgen emit --out - | head`).
            return BROKEN_PIPE
        return _stopped()
    except (click.Abort, KeyboardInterrupt):
        return _stopped()
    except OSError as error:
        if error.errno != errno.ENOSPC or error.filename is not None:
            raise
        say_error("lpgen: the output cannot be written: no space left on device")
        return 2
    return result if isinstance(result, int) else 0


def _stopped() -> int:
    say_error("lpgen: stopped")
    return INTERRUPTED


def _usage_line(error: click.ClickException) -> str:
    """Return the one line for an error that click found: the command, the reason, where to read on."""
    path = "lpgen"
    if isinstance(error, click.UsageError) and error.ctx is not None:
        path = error.ctx.command_path
    line = f"{path}: {' '.join(error.format_message().split())}"
    return line if "Did you mean" in line else f"{line.removesuffix('.')}; see {path} --help"


if __name__ == "__main__":
    main()
