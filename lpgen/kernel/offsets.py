"""The constants of asm-offsets.h: lpgen's own facts for each layout, and everything else about offsets in one place."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import Any

from lpgen.errors import LpgenError
from lpgen.kernel.checks import check_kernel_offsets, check_offsets, check_values
from lpgen.kernel.model import Ignored, Offset, Offsets
from lpgen.kernel.reading import read_offsets
from lpgen.kernel.versions import in_span, parse_version
from lpgen.resources import read_data

__all__ = [
    "LAYOUTS",
    "Ignored",
    "Offset",
    "Offsets",
    "check_kernel_offsets",
    "check_offsets",
    "check_values",
    "default_offsets",
    "layout_macros",
    "layout_span",
    "read_offsets",
]

LAYOUTS = ("L1", "L2", "L3", "L4")


@cache
def default_offsets(layout: str = "L1", version: str | None = None) -> Offsets:
    """Return lpgen's own constants for ``layout`` (L1 to L4, contract section 6) in the kernel ``version``.

    The frame comes from the layout. paca offsets depend on a kernel's configuration: they are a documented default
    (kernel/data/paca_default.toml). ``version`` chooses among constants that change within a layout, such as
    TI_livepatch_sp (24 up to 5.0, 16 from 5.1); None means the first kernel of the layout. Raises LpgenError for a
    layout or a version that is not known.
    """
    frame = _layout(layout)
    wanted = parse_version(frame["first"] if version is None else version)
    entries = [_entry(name, facts) for name, facts in frame["offsets"].items()]
    for file in ("paca_default", "build_default"):
        for name, spans in _data(file)["offsets"].items():
            entries += [_entry(name, facts) for facts in spans if in_span(wanted, facts["first"], facts.get("last"))]
    return Offsets(entries, label=f"layout {layout}, default paca")


def layout_span(layout: str) -> tuple[str, str | None]:
    """Return the first and the last kernel of ``layout`` (None: no end). Raises LpgenError for an unknown one."""
    frame = _layout(layout)
    return frame["first"], frame.get("last")


def layout_macros(layout: str) -> Mapping[str, str]:
    """Return the C macros in the expressions of ``layout``'s constants: name to expression."""
    return MappingProxyType(_layout(layout).get("macros", {}))


def _layout(layout: str) -> dict[str, Any]:
    if layout not in LAYOUTS:
        raise LpgenError(f"{layout!r} is not a layout", hint=f"the layouts are {', '.join(LAYOUTS)}")
    return _data(f"layout_{layout.lower()}")


@cache
def _data(name: str) -> dict[str, Any]:
    return tomllib.loads(read_data(f"kernel/data/{name}.toml"))


def _entry(name: str, facts: dict[str, Any]) -> Offset:
    return Offset(name, facts["value"], facts["struct"], facts["field"], facts["source"], facts.get("base", ""))
