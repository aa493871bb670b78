"""What every report in JSON starts with."""

from __future__ import annotations

from typing import Any

from lpgen import __version__
from lpgen.kernel.generations import Kernel


def json_head(schema: str, command: str, kernel: Kernel, made_by: str) -> dict[str, Any]:
    """Return the format's name, and what the report is about: ``made_by`` is the unit's, ``command`` a command line."""
    return {
        "schema": schema,
        "lpgen": __version__,
        "command": command,
        "kernel": kernel.version,
        "generation": kernel.generation,
        "options": kernel.options,
        "offsets": kernel.offsets.label,
        "assembler": made_by,
    }
