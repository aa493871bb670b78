"""A kernel that Debian ships, as it is: its offsets, its trampolines as text, its verdict, and what the README says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from lpgen.api import report, verify
from lpgen.assembly.extract import extract
from lpgen.assembly.read_linked import read_linked
from lpgen.elf.file import open_elf
from lpgen.kernel.build import read_build
from lpgen.kernel.vmlinux import read_vmlinux
from tests.linked.linked_kernel import PREFIX, needs_gnu, run
from tests.real.debian import RealKernel, UnavailableError, fetch

ROOT = Path(__file__).parent.parent.parent
pytestmark = pytest.mark.network


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> RealKernel:
    try:
        return fetch(tmp_path_factory.mktemp("real"))
    except UnavailableError as error:
        pytest.skip(f"no real kernel: {error}")


def test_version_and_configuration_are_those_of_its_build(real: RealKernel) -> None:
    found, built = read_vmlinux(real.vmlinux).kernel, read_build(real.build).kernel
    assert found.generation == built.generation
    assert found.options == built.options
    # The headers' own version is the uname, which may hide the stable release.
    assert found.version.split(".")[:2] == built.version.split(".")[:2]


def test_offsets_are_those_of_its_build(real: RealKernel) -> None:
    found, built = read_vmlinux(real.vmlinux).kernel, read_build(real.build).kernel
    same = {name: (found.offsets[name], built.offsets[name]) for name in found.offsets if name in built.offsets}
    assert len(same) > 25
    assert {name: pair for name, pair in same.items() if pair[0] != pair[1]} == {}


@needs_gnu
def test_extracted_text_makes_the_same_bytes(real: RealKernel, tmp_path: Path) -> None:
    wanted = read_vmlinux(real.vmlinux).kernel
    with open_elf(real.vmlinux) as elf:
        unit = read_linked(elf, wanted)
    text = extract(unit, wanted, "a head")
    (tmp_path / "FILE.S").write_text(text)
    # The very commands of its first comment.
    head = text.partition("*/\n\t")[0]
    commands = re.findall(r"^ \*   (powerpc64le-linux-gnu-.*?[^\\])$", head, re.MULTILINE | re.DOTALL)
    assert len(commands) == 2
    for command in commands:
        run(*command.replace(" *", "").replace("\\\n", " ").split(), cwd=tmp_path)
    with open_elf(real.vmlinux) as before, open_elf(tmp_path / "FILE") as after:
        for section in unit.sections.values():
            assert section.address is not None
            assert after.memory(section.address, section.size) == before.memory(section.address, section.size)
    assert PREFIX in head


def test_verdict(real: RealKernel) -> None:
    """What a real kernel breaks was looked at by hand: README, "A real kernel"."""
    result = verify(source=real.vmlinux)
    assert result.covered.missed == ()
    assert result.covered.one_way == ()
    assert result.broken == ["X1"]
    for failure in result.failures:
        assert failure.finding.what == "r13"
        assert "wander" in failure.case.name or failure.case.plan.wander
        assert failure.instruction.startswith("ld r13, ")


def test_the_readme_shows_it(real: RealKernel) -> None:
    text = (ROOT / "README.md").read_text()
    shown = re.search(r"^\$ lpgen verify (vmlinux-\S+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert shown is not None
    if shown[1] != real.vmlinux.name:
        pytest.skip(f"the README shows {shown[1]}, the archive has {real.vmlinux.name} now")
    done = subprocess.run(
        [sys.executable, "-m", "lpgen", "verify", real.vmlinux.name],
        cwd=real.vmlinux.parent, env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stdout == shown[2]


def test_the_report_is_what_str_gives(real: RealKernel) -> None:
    result = verify(source=real.vmlinux, callers=1, shrink=False)
    assert report(result) == str(result)
