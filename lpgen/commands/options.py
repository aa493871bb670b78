"""Options that several commands share, and what they mean."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lpgen.errors import LpgenError
from lpgen.kernel.chosen import choose
from lpgen.kernel.generations import DEFAULT_VERSION, Kernel
from lpgen.kernel.options import parse_setting
from lpgen.report.files import write_out
from lpgen.report.json_files import kernel_notes
from lpgen.report.style import say

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from lpgen.kernel.dotconfig import DotConfig
    from lpgen.source.packs import Templates

CONTEXT = {"help_option_names": ["-h", "--help"]}


class Count(click.IntRange):
    """A number from the given one on; click would say "'x' is not a valid integer range"."""

    name = "number"


def json_option(what: str = "Print JSON.") -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return what adds --json, the argument ``as_json``; ``what`` is its help."""
    return click.option("--json", "as_json", is_flag=True, help=f"{what.removesuffix('.')}: see lpgen schema.")


def chosen_format(form: str | None, as_json: bool, default: str) -> str:
    """Return the format that --format and --json name. Raises LpgenError when they name two."""
    if as_json and form not in (None, "json"):
        raise LpgenError(f"--json and --format {form} exclude each other", hint="leave one out")
    return "json" if as_json else form or default


def print_json(document: Mapping[str, Any]) -> None:
    """Print a report as JSON."""
    import json

    write_out("-", json.dumps(document, indent=2) + "\n")


def config_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add --config."""
    return click.option(
        "--config",
        metavar="CONFIG_X=y|n|FILE",
        multiple=True,
        help="Set a kernel option, or take all from a kernel's .config; may be repeated.",
    )(function)


def kernel_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add --kernel, --config, --offsets, --vmlinux and --build."""
    for option in (
        click.option(
            "--build",
            metavar="DIR",
            help="The kernel that was built in DIR: its version, .config and asm-offsets.h.",
        ),
        click.option(
            "--vmlinux",
            metavar="FILE",
            help="The kernel that FILE is: its version, its options, its offsets by DWARF, BTF or its instructions.",
        ),
    ):
        function = option(function)
    return text_options(
        function, click.option("--kernel", "version", help=f"Kernel version.  [default: {DEFAULT_VERSION}]")
    )


def text_options(function: Callable[..., Any], version: Callable[..., Any]) -> Callable[..., Any]:
    """Add --config, --offsets and ``version``, the option --kernel."""
    for option in (
        click.option(
            "--offsets",
            metavar="FILE",
            help="asm-offsets.h of a kernel build, or TOML as `lpgen offsets` writes it.  [default: lpgen's own]",
        ),
        config_option,
        version,
    ):
        function = option(function)
    return function


def style_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add --style."""
    return click.option(
        "--style",
        type=click.Choice(["kernel", "standalone"]),
        default="kernel",
        show_default=True,
        help="For a kernel tree, or for plain GNU as.",
    )(function)


def _packs(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete what --templates takes: a directory, by the shell, or an installed pack."""
    from click.shell_completion import CompletionItem

    from lpgen.source.packs import offered

    names = [CompletionItem(pack.name) for pack in offered() if pack.name and pack.name.startswith(incomplete)]
    return [*names, CompletionItem(incomplete, type="dir")]


def templates_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add --templates."""
    return click.option(
        "--templates",
        metavar="DIR|PACK",
        help="Templates of your own, or of an installed pack: each overrides or extends the shipped one.",
        shell_complete=_packs,
    )(function)


def build_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add --assembler, --cpp, -I and -D."""
    for option in (
        click.option("-D", "defines", metavar="NAME[=VALUE]", multiple=True, help="Define a C macro for FILE."),
        click.option("-I", "include_dirs", metavar="DIR", multiple=True, help="Search DIR for FILE's #include."),
        click.option("--cpp", is_flag=True, help="Preprocess FILE with gcc, not with lpgen's own preprocessor."),
        click.option(
            "--assembler",
            type=click.Choice(["auto", "lpgen", "gnu"]),
            default="auto",
            show_default=True,
            help="What assembles FILE; auto: GNU as what lpgen's own does not know.",
        ),
    ):
        function = option(function)
    return function


def macros(settings: tuple[str, ...]) -> dict[str, str]:
    """Return the C macros that -D options define: one without a value is 1."""
    found = {}
    for setting in settings:
        name, equals, value = setting.partition("=")
        found[name] = value if equals else "1"
    return found


def needs_file(file: str | None, given: Mapping[str, object]) -> None:
    """Raise LpgenError when one of the options ``given``, which are for a FILE, is set and there is none."""
    for name, value in given.items():
        if value and file is None:
            raise LpgenError(f"{name} is for a FILE", hint="give a FILE, or leave it out")


def entry_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add --entry."""
    return click.option(
        "--entry",
        "entry",
        metavar="NAME=SYMBOL",
        multiple=True,
        help="In FILE the kernel's NAME (as ftrace_caller) is called SYMBOL; may be repeated.",
    )(function)


def chosen_entries(entry: tuple[str, ...], file: str | None) -> dict[str, str]:
    """Return what --entry says: the file's symbol by the kernel's name. Raises LpgenError for what says nothing."""
    if entry and file is None:
        raise LpgenError("--entry names symbols in a FILE", hint="give a FILE, or leave it out")
    found: dict[str, str] = {}
    for setting in entry:
        name, equals, symbol = setting.partition("=")
        if not (name and equals and symbol):
            raise LpgenError(f"--entry {setting!r} is no pair of names", hint="write NAME=SYMBOL")
        if found.setdefault(name, symbol) != symbol:
            raise LpgenError(f"--entry {name} is given twice", hint="leave one out")
    return found


def chosen_config(config: tuple[str, ...]) -> tuple[dict[str, bool | int], DotConfig | None]:
    """Return the settings that --config names one by one, and what the .config files among them say (None: none).

    Later ones win over earlier ones. Raises LpgenError for what is neither a setting nor a .config.
    """
    wanted: dict[str, bool | int] = {}
    dotconfig: DotConfig | None = None
    for setting in config:
        parsed = parse_setting(setting)
        if parsed is not None:
            wanted[parsed[0]] = parsed[1]
        elif setting and "=" not in setting and Path(setting).exists():
            from lpgen.kernel.dotconfig import read_dotconfig

            read = read_dotconfig(Path(setting))
            dotconfig = read if dotconfig is None else dotconfig.then(read)
        else:
            raise LpgenError(
                f"--config {setting!r}: neither a setting nor a file",
                hint="write CONFIG_NAME=y or CONFIG_NAME=n, or name a kernel's .config",
            )
    return wanted, dotconfig


def chosen_kernel(
    version: str | None,
    config: tuple[str, ...],
    offsets: str | None,
    vmlinux: str | None = None,
    build: str | None = None,
    subject: str | None = None,
) -> Kernel:
    """Return the kernel that the options name, or that the file ``subject``, which is to be judged, is itself.

    Raises LpgenError for an option or a file that is wrong.
    """
    wanted, dotconfig = chosen_config(config)
    return choose(
        version, config=wanted, dotconfig=dotconfig, offsets=offsets, vmlinux=vmlinux, build=build, subject=subject
    )


def say_notes(kernel: Kernel) -> None:
    """Print on stderr what was found where, when the kernel was read from files."""
    for file, note in kernel_notes(kernel):
        say(f"{file}: {note}")


def templates_dir(templates: str | None) -> Templates | None:
    """Return the directory or the installed pack that --templates names. Raises LpgenError for what is neither."""
    if templates == "":
        raise LpgenError("--templates names no directory", hint="give the directory of your templates")
    if templates is None:
        return None
    from lpgen.source.packs import find_templates

    return find_templates(templates)
