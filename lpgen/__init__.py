"""lpgen: generate, assemble and run the ppc64le ftrace entry and livepatch trampolines.

``verify``, ``prove``, ``Result``, ``Verdict`` and ``LpgenError`` are lpgen's Python interface (lpgen.api); they are
loaded when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lpgen.api import LpgenError, Result, Verdict, prove, verify

__version__ = "0.1.0"
__all__ = ["LpgenError", "Result", "Verdict", "__version__", "prove", "verify"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'lpgen' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module("lpgen.api"), name)


def __dir__() -> list[str]:
    return [*__all__, *globals()]
