"""Options that several commands share, and what they mean."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from lpgen.errors import LpgenError
from lpgen.kernel.generations import DEFAULT_VERSION, Kernel, kernel
from lpgen.kernel.options import parse_setting

CONTEXT = {"help_option_names": ["-h", "--help"]}


class Count(click.IntRange):
    """A number from the given one on; click would say "'x' is not a valid integer range"."""

    name = "number"


def config_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add --config."""
    return click.option(
        "--config",
        metavar="CONFIG_X=y|n|FILE",
        multiple=True,
        help="Set a kernel option, or take all from a kernel's .config; may be repeated.",
    )(function)


def kernel_options(function: Callable[..., Any], *, default: str | None = DEFAULT_VERSION) -> Callable[..., Any]:
    """Add --kernel, --config and --offsets. Without a ``default`` the kernel's version is that of a tree."""
    told = "Kernel version." if default is not None else "Kernel version.  [default: that of the tree]"
    for option in (
        click.option(
            "--offsets",
            metavar="FILE",
            help="asm-offsets.h of a kernel build, or TOML as `lpgen offsets` writes it.  [default: lpgen's own]",
        ),
        config_option,
        click.option("--kernel", "version", default=default, show_default=default is not None, help=told),
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


def templates_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add --templates."""
    return click.option(
        "--templates", metavar="DIR", help="Templates of your own: each overrides or extends the shipped one."
    )(function)


def chosen_config(config: tuple[str, ...]) -> tuple[dict[str, bool | int], dict[str, bool | int] | None]:
    """Return the settings that --config names one by one, and what the .config files among them say (None: none).

    Later ones win over earlier ones. Raises LpgenError for what is neither a setting nor a .config.
    """
    wanted: dict[str, bool | int] = {}
    dotconfig: dict[str, bool | int] | None = None
    for setting in config:
        parsed = parse_setting(setting)
        if parsed is not None:
            wanted[parsed[0]] = parsed[1]
        elif setting and "=" not in setting and Path(setting).exists():
            from lpgen.kernel.dotconfig import read_dotconfig

            dotconfig = (dotconfig or {}) | read_dotconfig(Path(setting))
        else:
            raise LpgenError(
                f"--config {setting!r}: neither a setting nor a file",
                hint="write CONFIG_NAME=y or CONFIG_NAME=n, or name a kernel's .config",
            )
    return wanted, dotconfig


def chosen_kernel(version: str, config: tuple[str, ...], offsets: str | None) -> Kernel:
    """Return the kernel that the options name. Raises LpgenError for an option or a file that is wrong."""
    wanted, dotconfig = chosen_config(config)
    given = None
    if offsets is not None:
        if not offsets:
            raise LpgenError("--offsets names no file", hint="give a kernel build's asm-offsets.h, or TOML")
        from lpgen.kernel.offsets import read_offsets

        given = read_offsets(Path(offsets))
    return kernel(version, config=wanted, offsets=given, dotconfig=dotconfig)


def templates_dir(templates: str | None) -> Path | None:
    """Return the directory that --templates names."""
    if templates == "":
        raise LpgenError("--templates names no directory", hint="give the directory of your templates")
    return None if templates is None else Path(templates)
