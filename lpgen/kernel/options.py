"""The kernel options that change the text (kernel/data/options.toml), and settings of them."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from lpgen.errors import LpgenError
from lpgen.resources import read_data

# CONFIG_NAME to on or off, or to its number.
Config = Mapping[str, bool | int]
# A count of stubs of 24 bytes that leaves most of a branch's reach to the kernel's own text: 6 of 32 MiB.
_NUMBERS = range(1, (1 << 18) + 1)


@dataclass(frozen=True)
class Option:
    """An option that changes the text (options.toml): ``what`` it changes, lpgen's default and Kconfig's.

    ``default`` is what lpgen takes, ``kconfig`` what a .config that does not mention it means; both hold only while
    everything in ``needs`` and ``follows`` is on. ``alias`` is the option that it goes by in other generations.
    ``prompt`` is False for one that Kconfig works out itself: a whole .config mentions it only where it is on.
    ``symbols``, ``without`` and ``datum`` say how a kernel's symbols show it.
    """

    name: str
    what: str
    default: bool | int
    kconfig: bool | int
    needs: tuple[str, ...] = ()
    follows: tuple[str, ...] = ()
    alias: str = ""
    prompt: bool = True
    symbols: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    datum: str = ""

    @property
    def is_number(self) -> bool:
        """Whether its value is a number, and not on or off."""
        return not isinstance(self.default, bool)


@cache
def known_options() -> Mapping[str, Option]:
    """Return the options that lpgen knows, of all generations, in the order of options.toml."""
    table = tomllib.loads(read_data("kernel/data/options.toml"))
    return {
        name: Option(
            name,
            facts["what"],
            facts["default"],
            facts.get("kconfig", facts["default"]),
            tuple(facts.get("needs", ())),
            tuple(facts.get("follows", ())),
            facts.get("alias", ""),
            facts.get("prompt", True),
            tuple(facts.get("symbols", ())),
            tuple(facts.get("without", ())),
            facts.get("datum", ""),
        )
        for name, facts in table.items()
    }


def check_setting(name: str, value: bool | int) -> None:
    """Check that a known option can have ``value``. Raises LpgenError when it cannot."""
    if known_options()[name].is_number:
        if isinstance(value, bool) or value not in _NUMBERS:
            raise LpgenError(
                f"{setting_text(name, value)}: it takes a number",
                hint=f"give one from {_NUMBERS.start} to {_NUMBERS.stop - 1}",
            )
    elif value not in (0, 1):
        raise LpgenError(f"{setting_text(name, value)}: it is on or off", hint=f"write {name}=y or {name}=n")


def parse_setting(text: str) -> tuple[str, bool | int] | None:
    """Return name and value of a setting as --config takes it: CONFIG_NAME=y, =n or a number; None for other text."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        return None
    if value in ("y", "n"):
        return name, value == "y"
    return (name, int(value)) if value.isascii() and value.isdecimal() and len(value) < 10 else None


def setting_text(name: str, value: bool | int) -> str:
    """Return a setting as --config takes it."""
    if isinstance(value, bool):
        return f"{name}={'y' if value else 'n'}"
    return f"{name}={value}"
