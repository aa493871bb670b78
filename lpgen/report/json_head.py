"""What every report in JSON starts with."""

from __future__ import annotations

from typing import Any

from lpgen import __version__
from lpgen.kernel.generations import Kernel


def json_head(schema: str, command: str, kernel: Kernel, made_by: str | None = None) -> dict[str, Any]:
    """Return the format's name, and what the report is about: ``command`` is a command line that makes it again.

    ``made_by`` is the unit's, None for a report on text that nothing was made of.
    """
    head = {
        "schema": schema,
        "lpgen": __version__,
        "command": command,
        "kernel": kernel.version,
        "generation": kernel.generation,
        "options": kernel.options,
        "offsets": kernel.offsets.label,
    }
    return head if made_by is None else head | {"assembler": made_by}
