"""lpgen doctor: really assemble and execute here, and say what is there and what is missing."""

from __future__ import annotations

import platform
import shutil
import subprocess
from collections.abc import Iterator
from importlib import metadata
from typing import Any

import click

from lpgen import __version__
from lpgen.commands.options import CONTEXT, json_option, print_json
from lpgen.errors import LpgenError
from lpgen.report.columns import Cell, columns
from lpgen.report.files import write_out
from lpgen.report.style import BAD, GOOD, HEADING, WARNING, Text, shown
from lpgen.report.wrap import row_width
from lpgen.source.packs import Offered, offered

SCHEMA = "lpgen.doctor/1"

EPILOG = """\b
Example:
  lpgen doctor
\b
Exit codes: 0 lpgen works here, 1 an engine does not do what lpgen needs.
"""

PACKAGES = (
    *("keystone-engine", "unicorn", "capstone", "jinja2", "click", "rich", "pcpp", "pyelftools", "pycparser"),
    *("unidiff", "watchfiles"),
)
# Of the extra [prove]: what is lost without it.
OPTIONAL = {"z3-solver": "lpgen prove, no lpgen mutate --with prove"}
ENGINES = {"Keystone": "lpgen.assembly.selftest", "Unicorn": "lpgen.machine.selftest"}
# Each tool, what is lost without it, and the Debian package.
TOOLS = (
    (
        "powerpc64le-linux-gnu-as",
        "verify of text that lpgen's assembler does not know; tests",
        "binutils-powerpc64le-linux-gnu",
    ),
    ("powerpc64le-linux-gnu-gcc", "verify --cpp; tests against the compiler", "gcc-powerpc64le-linux-gnu"),
    ("gdb-multiarch", "debugger for lpgen trace --gdb", "gdb-multiarch"),
    ("qemu-ppc64le", "tests that run compiled programs", "qemu-user"),
    ("chromium", "tests of report's page", "chromium"),
    ("chromedriver", "tests of report's page", "chromium-driver"),
)


@click.command(epilog=EPILOG, context_settings=CONTEXT)
@json_option()
def command(as_json: bool) -> int:
    """Check that the engines work on this machine, name versions and what is missing."""
    found = _found()
    if as_json:
        print_json(found)
    else:
        write_out("-", shown(_lines(found, row_width())))
    return 0 if found["works"] else 1


def _found() -> dict[str, Any]:
    """Return what is there and what works, as JSON-able data."""
    packages = [{"name": name, "needed": True, "version": _package(name), "use": ""} for name in PACKAGES]
    packages += [
        {"name": name, "needed": False, "version": _package(name), "use": use} for name, use in OPTIONAL.items()
    ]
    engines = [_engine(name, module) for name, module in ENGINES.items()]
    there = all(package["version"] is not None for package in packages if package["needed"])
    return {
        "schema": SCHEMA,
        "lpgen": __version__,
        "python": platform.python_version(),
        "system": platform.system(),
        "machine": platform.machine(),
        "works": there and all(engine["works"] for engine in engines),
        "packages": packages,
        "engines": engines,
        "tools": [
            {"name": tool, "version": _version(shutil.which(tool)), "use": use, "package": package}
            for tool, use, package in TOOLS
        ],
        "packs": [_pack(pack) for pack in offered()],
    }


def _pack(pack: Offered) -> dict[str, Any]:
    said = {"name": pack.name, "distribution": pack.distribution}
    try:
        return {**said, "directory": str(pack.resolved().directory), "error": None}
    except LpgenError as error:
        return {**said, "directory": None, "error": str(error)}


def _package(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _engine(name: str, module: str) -> dict[str, Any]:
    from importlib import import_module

    try:
        checks = [
            {"what": what, "holds": holds, "seen": "" if holds else seen}
            for what, holds, seen in import_module(module).selftest()
        ]
    except (LpgenError, ImportError) as error:
        return {"name": name, "works": False, "error": str(error), "checks": []}
    return {"name": name, "works": all(check["holds"] for check in checks), "error": None, "checks": checks}


def _version(path: str | None) -> str | None:
    if path is None:
        return None
    try:
        first = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"does not run: {error}"
    return first.stdout.split("\n")[0].strip()


def _lines(found: dict[str, Any], width: int | None) -> Iterator[Text]:
    yield Text(f"lpgen {__version__}, Python {found['python']}, {found['system']} {found['machine']}")
    yield Text("Packages", HEADING)
    yield from columns([_package_row(package) for package in found["packages"]], width, "  ")
    for engine in found["engines"]:
        yield Text(engine["name"], HEADING)
        rows: list[tuple[Cell, Cell]] = [
            (
                ("ok", GOOD) if check["holds"] else ("BROKEN", BAD),
                ": ".join(filter(None, (check["what"], check["seen"]))),
            )
            for check in engine["checks"]
        ]
        if engine["error"] is not None:
            rows.append((("BROKEN", BAD), engine["error"]))
        yield from columns(rows, width, "  ")
    yield Text("Optional tools", HEADING)
    yield from columns([_tool_row(tool) for tool in found["tools"]], width, "  ")
    if found["packs"]:
        yield Text("Template packs", HEADING)
        yield from columns([_pack_row(pack) for pack in found["packs"]], width, "  ")
    yield Text("lpgen works here", GOOD) if found["works"] else Text("lpgen does NOT work here", BAD)


def _package_row(package: dict[str, Any]) -> tuple[Cell, Cell]:
    name, version = package["name"], package["version"]
    if version is not None:
        return name, version
    if package["needed"]:
        return name, (f"MISSING: pip install {name}", BAD)
    return name, (f"not found: no {package['use']} (pip install {name})", WARNING)


def _pack_row(pack: dict[str, Any]) -> tuple[Cell, Cell, Cell]:
    broken = (f"BROKEN: {pack['error']}", BAD)
    return pack["name"], pack["distribution"], broken if pack["error"] is not None else pack["directory"]


def _tool_row(tool: dict[str, Any]) -> tuple[Cell, Cell]:
    if tool["version"] is not None:
        return tool["name"], tool["version"]
    return tool["name"], (f"not found: no {tool['use']} (Debian: apt-get install {tool['package']})", WARNING)
