"""The one look: styles by what they mean, a line of styled text, and how it gets to a terminal.

A colour says how something came out: good is green, bad bold red, a warning yellow; a heading is bold. In a trace it
says what changed: registers, memory, the livepatch stack. It takes no library, so that a command that prints a line or
a table need not load one.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from typing import TextIO

HEADING, GOOD, BAD, WARNING, FAINT = "heading", "good", "bad", "warning", "faint"
# Of a trace: a function that is not under test comes in, or goes on; what an instruction changed, or loaded.
FUNCTION, RETURNED, REGISTER, MEMORY, LIVEPATCH, LOADED = "function", "returned", "register", "memory", "lp", "loaded"

# ECMA-48, SGR.
_SGR = {HEADING: "1", GOOD: "32", BAD: "1;31", WARNING: "33", FAINT: "2"}
_SGR |= {FUNCTION: "1;35", RETURNED: "35", REGISTER: "36", MEMORY: "33", LIVEPATCH: "32", LOADED: "94"}


class Text:
    """One line: parts of text, each in a style or in none ("").

    What would move the cursor or change the terminal is shown as "?": a line may quote a file that was made to do that.
    """

    __slots__ = ("parts",)

    def __init__(self, text: str = "", style: str = "") -> None:
        self.parts: list[tuple[str, str]] = [(_printable(text), style)]

    @classmethod
    def assemble(cls, *parts: str | tuple[str, str]) -> Text:
        """Return the line that is made of ``parts``: text, or a pair of text and style."""
        line = cls()
        pairs = [(part, "") if isinstance(part, str) else part for part in parts]
        line.parts = [(_printable(text), style) for text, style in pairs]
        return line

    def append(self, text: str, style: str = "") -> None:
        """Put ``text`` at the end of the line."""
        self.parts.append((_printable(text), style))

    @property
    def columns(self) -> int:
        """How many columns it takes, blanks at its end included."""
        return sum(len(text) for text, _ in self.parts)

    @property
    def plain(self) -> str:
        """The text alone, without blanks at its end."""
        return "".join(text for text, _ in self.parts).rstrip()

    def painted(self) -> str:
        """Return the text with the escape sequences of its styles, without blanks at its end."""
        left = len(self.plain)
        shown = []
        for text, style in self.parts:
            text, left = text[:left], left - len(text[:left])
            shown.append(f"\x1b[{_SGR[style]}m{text}\x1b[0m" if style and text else text)
        return "".join(shown)


def is_dumb() -> bool:
    """Say whether the terminal knows no escape sequences."""
    return os.environ.get("TERM", "").lower() in ("dumb", "unknown")


def colours(stream: TextIO) -> bool:
    """Say whether ``stream`` is to get colours: a terminal that can show them, where the person did not say otherwise.

    NO_COLOR (https://no-color.org) and TERM=dumb win over FORCE_COLOR (https://force-color.org), which wins over
    whether it is a terminal; an empty FORCE_COLOR says that it is none, as for rich.
    """
    if os.environ.get("NO_COLOR") or is_dumb():
        return False
    forced = os.environ.get("FORCE_COLOR")
    return stream.isatty() if forced is None else forced != ""


def shown(lines: Iterable[Text], stream: TextIO | None = None) -> str:
    """Return the lines as ``stream`` (None: standard output) is to get them: with colours or plain."""
    if colours(sys.stdout if stream is None else stream):
        return "".join(f"{line.painted()}\n" for line in lines)
    return plain(lines)


def plain(lines: Iterable[Text]) -> str:
    """Return the lines without colours."""
    return "".join(f"{line.plain}\n" for line in lines)


def say(text: str, style: str = "") -> None:
    """Print one line on standard error, beside what a command reports."""
    _on_stderr(Text(text, style))


def say_error(line: str) -> None:
    """Print the line of an error on standard error: in front of its first colon it names the command."""
    command, colon, rest = line.partition(":")
    _on_stderr(Text.assemble((command + colon, BAD), rest))


def _on_stderr(line: Text) -> None:
    if sys.stderr is not None:  # it is when the shell closed it: lpgen ... 2>&-
        sys.stderr.write(shown([line], sys.stderr))


def _printable(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else "?" for char in text.expandtabs())
