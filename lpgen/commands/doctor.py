"""lpgen doctor: really assemble and execute here, and say what is there and what is missing."""

from __future__ import annotations

import platform
import shutil
import subprocess
from importlib import metadata

import click

from lpgen import __version__
from lpgen.commands.options import CONTEXT
from lpgen.errors import LpgenError

EPILOG = """\b
Example:
  lpgen doctor
\b
Exit codes: 0 lpgen works here, 1 an engine does not do what lpgen needs.
"""

PACKAGES = ("keystone-engine", "unicorn", "capstone", "jinja2", "click", "rich", "pcpp", "pyelftools")
# Of the extra [prove].
OPTIONAL = "z3-solver"
# Each tool, what is lost without it, and the Debian package.
TOOLS = (
    (
        "powerpc64le-linux-gnu-as",
        "verify of text that lpgen's assembler does not know; tests",
        "binutils-powerpc64le-linux-gnu",
    ),
    ("powerpc64le-linux-gnu-gcc", "verify --cpp; tests against the compiler", "gcc-powerpc64le-linux-gnu"),
    ("qemu-ppc64le", "tests that run compiled programs", "qemu-user"),
    ("chromium", "tests of report's page", "chromium"),
    ("chromedriver", "tests of report's page", "chromium-driver"),
)


@click.command(epilog=EPILOG, context_settings=CONTEXT)
def command() -> int:
    """Check that the engines work on this machine, name versions and what is missing."""
    click.echo(f"lpgen {__version__}, Python {platform.python_version()}, {platform.system()} {platform.machine()}")
    good = True
    for package in PACKAGES:
        try:
            click.echo(f"  {package} {metadata.version(package)}")
        except metadata.PackageNotFoundError:
            good = False
            click.echo(f"  {package} MISSING: pip install {package}")
    try:
        click.echo(f"  {OPTIONAL} {metadata.version(OPTIONAL)}")
    except metadata.PackageNotFoundError:
        click.echo(f"  {OPTIONAL} not found: no lpgen prove, no lpgen mutate --with prove (pip install z3-solver)")
    good &= _engine("Keystone", "lpgen.assembly.selftest")
    good &= _engine("Unicorn", "lpgen.machine.selftest")
    click.echo("Optional tools")
    for tool, use, package in TOOLS:
        path = shutil.which(tool)
        if path is None:
            click.echo(f"  {tool} not found: no {use} (Debian: apt-get install {package})")
        else:
            click.echo(f"  {tool} {_version(path)}")
    click.echo("lpgen works here" if good else "lpgen does NOT work here")
    return 0 if good else 1


def _engine(name: str, module: str) -> bool:
    from importlib import import_module

    click.echo(name)
    try:
        results = import_module(module).selftest()
    except (LpgenError, ImportError) as error:
        click.echo(f"  BROKEN  {error}")
        return False
    for what, holds, seen in results:
        click.echo(f"  {'ok' if holds else 'BROKEN'}  {what}{'' if holds else f': {seen}'}")
    return all(holds for _, holds, _ in results)


def _version(path: str) -> str:
    try:
        first = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"does not run: {error}"
    return first.stdout.split("\n")[0].strip()
