"""Fetch a real kernel that Debian ships for ppc64el, take it apart and run lpgen on it.

python -m tests.real.debian [--suite NAME] [--package NAME] [--keep DIR]

Packages come by apt-get download, with lists and a cache of their own: nothing of the machine's own apt changes, and
nothing is installed. --suite names another suite of the same archive, --package one of several kernels.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
ARCHITECTURE = "ppc64el"
# Kernels with their code in the package: linux-binary since Debian 14, linux-image before.
IMAGE = r"^linux-(binary|image)-[0-9][^ ]*-powerpc64le(-64k)?$"
SECONDS = 600


class UnavailableError(Exception):
    """No kernel can be had here: no apt-get, or no network."""


@dataclass(frozen=True)
class RealKernel:
    """``vmlinux``; ``build``: the headers package's directory, with .config and asm-offsets.h; the package's name."""

    vmlinux: Path
    build: Path
    package: str


def _run(*command: str | Path, cwd: Path | None = None) -> str:
    try:
        done = subprocess.run(
            [str(word) for word in command], cwd=cwd, capture_output=True, text=True, timeout=SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise UnavailableError(f"{command[0]} took more than {SECONDS} s") from error
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["no message"]
        raise UnavailableError(f"{' '.join(map(str, command[:1]))}: {lines[-1]}")
    return done.stdout


def _archive() -> tuple[str, str]:
    """Return the Debian archive that this machine uses, and its suite."""
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        raise UnavailableError("this is no Debian: there is no apt-get")
    form = "$(REPO_URI) $(ORIGIN) $(CODENAME) $(COMPONENT)"
    for line in _run("apt-get", "indextargets", "--format", form, "Created-By: Packages").splitlines():
        uri, origin, suite, component = (line.split() + [""] * 4)[:4]
        if origin == "Debian" and component == "main" and "-" not in suite:
            return uri, suite
    raise UnavailableError("apt-get knows no Debian archive here: apt-get update")


def _age(name: str) -> tuple[list[int], bool]:
    """Sort the newest last, and of one version the one with the usual page size."""
    return [int(number) for number in re.findall(r"[0-9]+", name)], not name.endswith("-64k")


def fetch(folder: Path, *, suite: str | None = None, package: str | None = None) -> RealKernel:
    """Download a kernel and its headers into ``folder`` and unpack them. Raises UnavailableError."""
    uri, own = _archive()
    for name in ("lists/partial", "cache/archives/partial", "debs", "unpacked"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "sources.list").write_text(f"deb [arch={ARCHITECTURE} signed-by={KEYRING}] {uri} {suite or own} main\n")
    options = {
        "Dir::Etc::sourcelist": folder / "sources.list",
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::State::lists": folder / "lists",
        "Dir::State::status": "/dev/null",
        "Dir::Cache": folder / "cache",
        "APT::Architecture": ARCHITECTURE,
        "APT::Architectures::": ARCHITECTURE,
        "APT::Sandbox::User": "root",
        "Acquire::Retries": "3",
        "Acquire::Languages": "none",
    }
    flags = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
    try:
        _run("apt-get", *flags, "update")
    except UnavailableError:
        # A mirror in the middle of a sync fails in some lists; the one that matters may be there.
        if not any((folder / "lists").glob("*Packages*")):
            raise
    names = [line.split(" ")[0] for line in _run("apt-cache", *flags, "search", "--names-only", IMAGE).splitlines()]
    names = sorted((name for name in names if not name.endswith("-dbg")), key=_age, reverse=True)
    binaries = [name for name in names if name.startswith("linux-binary")]
    wanted = package or next(iter(binaries or names), None)
    if wanted is None:
        raise UnavailableError(f"{suite or own} has no kernel for {ARCHITECTURE}")
    release = re.sub(r"^linux-(binary|image)-", "", wanted)
    for name in (wanted, f"linux-headers-{release}"):
        _run("apt-get", *flags, "download", name, cwd=folder / "debs")
    for deb in (folder / "debs").glob("*.deb"):
        _run("dpkg-deb", "-x", deb, folder / "unpacked")
    found = [path for path in (folder / "unpacked").rglob("vmlinu?*") if path.stat().st_size > 16 << 20]
    kernels = [path for path in found if "headers" not in str(path.relative_to(folder))]
    builds = list((folder / "unpacked").glob(f"usr/src/linux-headers-{release}"))
    if not kernels or not builds:
        raise UnavailableError(f"{wanted} has no vmlinux, or no headers")
    return RealKernel(kernels[0], builds[0], wanted)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--suite", help="another suite of the archive, such as sid")
    parser.add_argument("--package", help="one kernel of several: linux-image-...")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="where to put it all, and leave it")
    given = parser.parse_args()
    folder = given.keep or Path(tempfile.mkdtemp(prefix="lpgen-real-"))
    folder.mkdir(parents=True, exist_ok=True)
    try:
        real = fetch(folder.resolve(), suite=given.suite, package=given.package)
        print(f"{real.package}: {real.vmlinux.name}, {real.vmlinux.stat().st_size >> 20} MiB\n")
        for words in (("offsets", "--vmlinux"), ("extract",), ("verify",)):
            print(f"$ lpgen {' '.join(words)} {real.vmlinux.name}", flush=True)
            started = time.monotonic()
            subprocess.run([sys.executable, "-m", "lpgen", *words, real.vmlinux.name], cwd=real.vmlinux.parent,
                           env=None, check=False)  # fmt: skip
            print(f"({time.monotonic() - started:.1f} s)\n", flush=True)
    except UnavailableError as error:
        print(f"no kernel: {error}", file=sys.stderr)
        return 2
    finally:
        if given.keep is None:
            shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
