"""Kernels out of their build directories, laid out here as a build and as distributions' packages have them."""

from __future__ import annotations

from pathlib import Path

import pytest

from lpgen.errors import LpgenError
from lpgen.kernel.build import read_build
from lpgen.kernel.generations import kernel
from lpgen.kernel.offsets import read_offsets

VERSION_H = """#define LINUX_VERSION_CODE {code}
#define KERNEL_VERSION(a,b,c) (((a) << 16) + ((b) << 8) + ((c) > 255 ? 255 : (c)))
#define LINUX_VERSION_MAJOR {0}
#define LINUX_VERSION_PATCHLEVEL {1}
#define LINUX_VERSION_SUBLEVEL {2}
"""
OLD_VERSION_H = "#define LINUX_VERSION_CODE {code}\n#define KERNEL_VERSION(a,b,c) (((a) << 16) + ((b) << 8) + (c))\n"
MAKEFILE = "# SPDX\nVERSION = {0}\nPATCHLEVEL = {1}\nSUBLEVEL = {2}\nEXTRAVERSION =\nNAME = x\n"
CONFIG = """#
# Automatically generated file; DO NOT EDIT.
# Linux/powerpc {version} Kernel Configuration
#
CONFIG_LIVEPATCH=y
CONFIG_LIVEPATCH_64=y
"""


class Build:
    """A build directory in ``root`` of a 6.1 kernel, without anything that says which."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.put("include/generated/asm-offsets.h", kernel("6.1").offsets.header_text())

    def put(self, name: str, text: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def version_h(self, major: int, minor: int, point: int, form: str = VERSION_H) -> None:
        code = major << 16 | minor << 8 | min(point, 255)
        self.put("include/generated/uapi/linux/version.h", form.format(major, minor, point, code=code))


@pytest.fixture
def build(tmp_path: Path) -> Build:
    return Build(tmp_path / "linux-6.1")


def test_a_build(build: Build) -> None:
    build.version_h(6, 1, 150)
    build.put("include/config/kernel.release", "6.1.150-local\n")
    build.put(".config", CONFIG.format(version="6.1.150"))
    found = read_build(build.root)
    assert found.kernel.version == "6.1.150"
    assert found.kernel.options == {"CONFIG_LIVEPATCH_64": True}
    assert dict(found.kernel.offsets) == dict(kernel("6.1").offsets)
    assert found.kernel.offsets.offset("_NIP").source.startswith("asm-offsets.h:")
    assert found.kernel.offsets_file is None
    assert found.notes == (
        "kernel 6.1.150: include/generated/uapi/linux/version.h",
        "configuration: .config",
        f"offsets: {len(found.kernel.offsets)} from include/generated/asm-offsets.h",
    )


@pytest.mark.parametrize(
    ("files", "version"),
    [
        ({"include/config/kernel.release": "6.1.176\n"}, "6.1.176"),
        ({"include/generated/utsrelease.h": '#define UTS_RELEASE "6.1.20-x"\n'}, "6.1.20"),
        ({"Makefile": MAKEFILE.format(6, 1, 33)}, "6.1.33"),
        ({".config": CONFIG.format(version="6.1.12")}, "6.1.12"),
        ({"include/config/kernel.release": "6.1.0-rc3+\n"}, "6.1"),
        # Debian names its kernels by their ABI, and says the release elsewhere.
        ({"include/generated/utsrelease.h": '#define UTS_RELEASE "6.1.0-50-powerpc64le"\n',
          "include/config/kernel.release": "6.1.176\n"}, "6.1.176"),
        ({"include/generated/utsrelease.h": '#define UTS_RELEASE "6.1.0-50-powerpc64le"\n',
          ".config": CONFIG.format(version="6.1.176")}, "6.1.176"),
        # A Makefile that includes another one says nothing.
        ({"Makefile": "include ../Makefile\n", ".config": CONFIG.format(version="6.1.5")}, "6.1.5"),
        # A .config that came from elsewhere does not count where the build says more.
        ({"include/config/kernel.release": "6.1.20\n", ".config": CONFIG.format(version="5.10.9")}, "6.1.20"),
        ({"include/config/kernel.release": "6.1.0\n", ".config": CONFIG.format(version="5.10.9")}, "6.1"),
    ],
)  # fmt: skip
def test_version(build: Build, files: dict[str, str], version: str) -> None:
    for name, text in files.items():
        build.put(name, text)
    assert read_build(build.root).kernel.version == version
    assert read_build(build.root, version="6.1.7").kernel.version == "6.1.7"


@pytest.mark.parametrize("form", [VERSION_H, OLD_VERSION_H])
def test_point_releases_beyond_255(build: Build, form: str) -> None:
    """LINUX_VERSION_CODE has no room for them."""
    build.put("include/generated/asm-offsets.h", kernel("4.14.334").offsets.header_text())
    build.version_h(4, 14, 334, form)
    build.put("Makefile", MAKEFILE.format(4, 14, 334))
    found = read_build(build.root).kernel
    assert found.version == "4.14.334"
    assert "frame_for_b" in found.features
    build.put("include/config/kernel.release", "4.14.334-y\n")
    assert read_build(build.root).kernel.version == "4.14.334"


def test_what_a_person_gives_wins(build: Build, tmp_path: Path) -> None:
    build.version_h(6, 1, 150)
    build.put(".config", CONFIG.format(version="6.1.150"))
    found = read_build(build.root, config={"CONFIG_LIVEPATCH": False}).kernel
    assert found.options == {"CONFIG_LIVEPATCH_64": False}
    assert found.origin is not None
    assert found.origin.settings == {"CONFIG_LIVEPATCH_64": False}
    assert read_build(build.root, dotconfig={"CONFIG_LIVEPATCH": False}).kernel.options == found.options
    mine = tmp_path / "mine.h"
    mine.write_text(kernel("6.1").offsets.header_text().replace(" 2556 ", " 2600 "))
    found = read_build(build.root, offsets=read_offsets(mine)).kernel
    assert found.offsets["PACA_FTRACE_ENABLED"] == 2600
    assert found.offsets_file == "mine.h"
    (build.root / "include/generated/asm-offsets.h").unlink()
    assert read_build(build.root, offsets=read_offsets(mine)).kernel.offsets_file == "mine.h"


def test_no_dotconfig(build: Build) -> None:
    build.version_h(6, 1, 150)
    found = read_build(build.root)
    assert found.kernel.options == kernel("6.1").options
    assert "there is no .config in it: lpgen's default configuration; give one with --config" in found.notes


def test_what_is_no_build_directory(build: Build) -> None:
    with pytest.raises(LpgenError, match="does not say which kernel was built in it"):
        read_build(build.root)
    build.version_h(6, 1, 150)
    (build.root / "include/generated/asm-offsets.h").unlink()
    with pytest.raises(LpgenError, match=r"has no include/generated/asm-offsets.h; `make prepare` there makes it"):
        read_build(build.root)
    with pytest.raises(LpgenError, match="there is no such directory"):
        read_build(build.root / "x")
    with pytest.raises(LpgenError, match="is a file, not a directory"):
        read_build(build.root / "include/generated/uapi/linux/version.h")
    build.put("include/generated/asm-offsets.h", "#define GPR0 12\n")
    with pytest.raises(LpgenError, match=r"asm-offsets\.h:1: GPR0 is 12"):
        read_build(build.root)


def test_another_architecture(build: Build) -> None:
    build.version_h(6, 1, 150)
    build.put(".config", CONFIG.format(version="6.1.150").replace("powerpc", "arm64"))
    with pytest.raises(LpgenError, match="another architecture, arm64"):
        read_build(build.root)
