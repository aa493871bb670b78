"""The diagrams that the tests of lpgen frame look at."""

from __future__ import annotations

from lpgen.kernel.generations import kernel, spans, versions_of
from lpgen.report.frame_caller import caller_of
from lpgen.report.frame_model import Diagram, diagram

VERSIONS = [*(version for generation, *_ in spans() for version in versions_of(generation)), "6.12"]
NINE = "int f(long, long, long, long, long, long, long, long, long)"
PROTOTYPES = {
    "registers": "void f(int, double, vector int)",
    "nine": NINE,
    "variadic": "int f(const char *, ..., int, double, struct { char m[20]; })",
    "hidden": "struct big { long m[4]; } f(struct { float x, y; } a, char b)",
    "far": f"double f({', '.join(['double'] * 14)})",
}


def without_livepatch(version: str) -> Diagram:
    return diagram(kernel(version, config={"CONFIG_LIVEPATCH": False}))


def every_diagram() -> dict[str, Diagram]:
    found = {version: diagram(kernel(version)) for version in VERSIONS}
    found |= {f"6.12 {name}": diagram(kernel("6.12"), caller_of(text)) for name, text in PROTOTYPES.items()}
    found |= {f"{version} without livepatch": without_livepatch(version) for version in ("4.7", "6.12")}
    return found


DIAGRAMS = every_diagram()
