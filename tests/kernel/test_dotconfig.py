"""A kernel's .config: what is taken from it, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from lpgen.errors import LpgenError
from lpgen.kernel.dotconfig import SIZE_LIMIT, read_dotconfig
from lpgen.kernel.generations import kernel

REAL = """\
#
# Automatically generated file; DO NOT EDIT.
# Linux/powerpc 6.13.4 Kernel Configuration
#
CONFIG_CC_VERSION_TEXT="powerpc64le-linux-gnu-gcc (Debian 12.2.0-14) 12.2.0"
CONFIG_CC_IS_GCC=y
CONFIG_GCC_VERSION=120200
CONFIG_PPC64=y

#
# Processor support
#
CONFIG_CPU_LITTLE_ENDIAN=y
# CONFIG_CPU_BIG_ENDIAN is not set
CONFIG_NR_CPUS=2048
CONFIG_PHYSICAL_START=0x00000000
CONFIG_DEFAULT_HOSTNAME="(none)"
CONFIG_EXT4_FS=m
CONFIG_LIVEPATCH=y
CONFIG_LIVEPATCH_64=y
CONFIG_FUNCTION_TRACER=y
# CONFIG_FUNCTION_GRAPH_TRACER is not set
CONFIG_DYNAMIC_FTRACE_WITH_CALL_OPS=y
# CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS is not set
CONFIG_PPC_FTRACE_OUT_OF_LINE=y
CONFIG_PPC_FTRACE_OUT_OF_LINE_NUM_RESERVE=16384
# end of Processor support
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / ".config"


def test_a_real_one(config: Path) -> None:
    config.write_text(REAL)
    found = read_dotconfig(config)
    assert found == {
        "CONFIG_LIVEPATCH": True,
        "CONFIG_LIVEPATCH_64": True,
        "CONFIG_FUNCTION_GRAPH_TRACER": False,
        "CONFIG_DYNAMIC_FTRACE_WITH_CALL_OPS": True,
        "CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS": False,
        "CONFIG_PPC_FTRACE_OUT_OF_LINE": True,
        "CONFIG_PPC_FTRACE_OUT_OF_LINE_NUM_RESERVE": 16384,
        # Kconfig would have written it.
        "CONFIG_KPROBES_ON_FTRACE": False,
        "CONFIG_ARCH_USING_PATCHABLE_FUNCTION_ENTRY": False,
    }
    made = kernel("6.13", dotconfig=found)
    assert made.stub_count == 16384
    assert {name for name, on in made.options.items() if on} == {
        "CONFIG_LIVEPATCH_64",
        "CONFIG_PPC_FTRACE_OUT_OF_LINE",
        "CONFIG_DYNAMIC_FTRACE_WITH_CALL_OPS",
    }


def test_line_ends_and_blanks_do_not_matter(config: Path) -> None:
    config.write_text(REAL)
    plain = read_dotconfig(config)
    config.write_bytes(REAL.replace("\n", " \r\n").encode())
    assert read_dotconfig(config) == plain


def test_the_last_line_for_an_option_wins(config: Path) -> None:
    config.write_text("CONFIG_LIVEPATCH=y\n# CONFIG_LIVEPATCH is not set\n")
    assert read_dotconfig(config) == {"CONFIG_LIVEPATCH": False}


def test_a_comment_about_an_option_is_none(config: Path) -> None:
    config.write_text("CONFIG_PPC64=y\n# CONFIG_LIVEPATCH is not set by me\n#CONFIG_LIVEPATCH=y\n")
    assert read_dotconfig(config) == {}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", ": sets no option: it is no .config"),
        ("# a comment\n\n", ": sets no option: it is no .config"),
        ("CONFIG_PPC64=y\n_GLOBAL(ftrace_caller)\n", ":2: '_GLOBAL(ftrace_caller)' is not a line of a .config"),
        ("#define CONFIG_X 1\nint x;\n", ":2: 'int x;' is not a line of a .config"),
        ("#\n# Linux/x86 6.12.1 Kernel Configuration\n", ":2: is the .config of another architecture, x86"),
        (
            "CONFIG_PPC64=y\nCONFIG_CPU_BIG_ENDIAN=y\n",
            ":2: is the .config of a big-endian kernel: CONFIG_CPU_BIG_ENDIAN=y",
        ),
        ("CONFIG_PPC32=y\n", ":1: is the .config of a 32-bit kernel: CONFIG_PPC32=y"),
        ("CONFIG_LIVEPATCH=m\n", ":1: CONFIG_LIVEPATCH=m is neither y, n nor a number"),
        ("CONFIG_LIVEPATCH=7\n", ":1: CONFIG_LIVEPATCH=7: it is on or off"),
        (
            "\nCONFIG_PPC_FTRACE_OUT_OF_LINE_NUM_RESERVE=y\n",
            ":2: CONFIG_PPC_FTRACE_OUT_OF_LINE_NUM_RESERVE=y: it takes a number",
        ),
        (
            "# CONFIG_PPC_FTRACE_OUT_OF_LINE_NUM_RESERVE is not set\n",
            ":1: CONFIG_PPC_FTRACE_OUT_OF_LINE_NUM_RESERVE=n: it takes a number",
        ),
        (
            "CONFIG_PPC_FTRACE_OUT_OF_LINE_NUM_RESERVE=0\n",
            ":1: CONFIG_PPC_FTRACE_OUT_OF_LINE_NUM_RESERVE=0: it takes a number",
        ),
    ],
)
def test_what_is_refused(config: Path, text: str, says: str) -> None:
    config.write_text(text)
    with pytest.raises(LpgenError) as caught:
        read_dotconfig(config)
    assert str(caught.value).startswith(f"{config}{says}; ")
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("data", [b"\x7fELF\x02\0", b"CONFIG_X=y\n\xff\xfe"])
def test_a_binary_file(config: Path, data: bytes) -> None:
    config.write_bytes(data)
    with pytest.raises(LpgenError, match=r"\.config: is a binary file, not a \.config"):
        read_dotconfig(config)


def test_a_directory(tmp_path: Path) -> None:
    with pytest.raises(LpgenError, match="cannot be read: is a directory"):
        read_dotconfig(tmp_path)


def test_a_file_that_is_far_too_large(config: Path) -> None:
    config.write_bytes(b"CONFIG_X=y\n" * (SIZE_LIMIT // 11 + 1))
    with pytest.raises(LpgenError, match="is larger than 4 MiB"):
        read_dotconfig(config)


def test_a_whole_one_mentions_what_kconfig_worked_out(config: Path) -> None:
    """Without a line for it an option that has no prompt is off; in a fragment nothing is said of it."""
    lines = [line for line in REAL.splitlines() if "FTRACE_" not in line]
    config.write_text("\n".join(lines))
    whole = kernel("6.13", dotconfig=read_dotconfig(config))
    assert not {"out_of_line", "call_ops", "direct_calls"} & whole.features
    assert "livepatch" in whole.features
    assert "kprobe_test" not in kernel("4.13", dotconfig=read_dotconfig(config)).features
    config.write_text("\n".join(line for line in lines if not line.startswith("#")))
    part = kernel("6.13", dotconfig=read_dotconfig(config))
    assert {"out_of_line", "call_ops", "direct_calls"} <= part.features
