"""Kernels out of their own files: small ones that are built here, against what they were built from."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest

from lpgen.elf.file import ElfFile, open_elf
from lpgen.errors import LpgenError
from lpgen.kernel.banner import release_of
from lpgen.kernel.code import decode, text_of
from lpgen.kernel.generations import Kernel, kernel
from lpgen.kernel.offsets import read_offsets
from lpgen.kernel.vmlinux import Found, kernel_of_vmlinux, read_vmlinux
from tests.elf.kernel_files import FEW_STUBS, STUBS, Recipe, SmallKernel, btf_of, needs_gnu
from tests.emitted.emitted_build import VERSIONS

NEWEST = "6.18"
PLAIN = "--strip-debug"


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., SmallKernel]:
    made: dict[str, SmallKernel] = {}

    def build(version: str = "6.1.100", **what: object) -> SmallKernel:
        key = f"{version} {what}"
        if key not in made:
            recipe = Recipe(version=version, **what)  # type: ignore[arg-type]
            made[key] = SmallKernel(tmp_path_factory.mktemp("kernel"), recipe)
        return made[key]

    return build


def same(found: Found, built: SmallKernel, *but: str) -> None:
    """What was found is what was built, and no offset is another, ``but`` for some."""
    assert found.kernel.version == built.kernel.version
    assert found.kernel.options == built.kernel.options
    assert found.kernel.numbers == built.kernel.numbers
    assert found.kernel.features == built.kernel.features
    wrong = {name: value for name, value in found.kernel.offsets.items() if built.truth.get(name) != value}
    assert not wrong.keys() - set(but), wrong


def said(found: Found) -> str:
    return "\n".join(found.notes)


@needs_gnu
@pytest.mark.parametrize("version", VERSIONS)
def test_every_kernel_by_dwarf_and_by_its_instructions(small: Callable[..., SmallKernel], version: str) -> None:
    built = small(version, paca_pad=1200, ops_pad=24)
    found = read_vmlinux(built.vmlinux)
    same(found, built)
    assert set(found.kernel.offsets) == set(built.truth)
    assert "from its DWARF" in said(found)
    assert all(entry.source.startswith("DWARF of vmlinux: ") for entry in found.kernel.offsets.entries)
    plain = read_vmlinux(built.copy("plain", PLAIN))
    same(plain, built)
    assert "no DWARF and no BTF in it" in said(plain)
    assert "contradiction" not in said(plain) + said(found)
    read = {e.name for e in plain.kernel.offsets.entries if e.source.startswith("plain: ")}
    # Only what lpgen has no fact of: the rest would be judged by itself.
    configured = {"PACATOC", "PACA_FTRACE_ENABLED", "PACA_THREAD_INFO", "FTRACE_OPS_DIRECT_CALL"}
    assert read == configured & set(built.truth)
    assert plain.kernel.origin is not None
    assert set(plain.kernel.origin.shown) == read


@needs_gnu
@pytest.mark.parametrize("version", ["4.7", "5.4.265", "6.1.45", "6.12", NEWEST])
def test_btf(small: Callable[..., SmallKernel], version: str) -> None:
    built = small(version, paca_pad=1200, ops_pad=24)
    base = {"base": built.truth["GPR0"]}
    (built.directory / "btf").write_bytes(btf_of(built.truth, base))
    path = built.copy("with_btf", PLAIN, f"--add-section=.BTF={built.directory / 'btf'}")
    found = read_vmlinux(path)
    same(found, built)
    assert set(found.kernel.offsets) == set(built.truth)
    assert "from its BTF" in said(found)
    assert found.kernel.offsets.offset("_NIP").source == "BTF of with_btf: pt_regs.nip"
    assert found.kernel.offsets.label == "with_btf, BTF"


@needs_gnu
@pytest.mark.parametrize("debug", [("-g", "-gdwarf-4"), ("-g", "-gdwarf-5", "-gdwarf64")], ids=" ".join)
def test_older_and_wider_dwarf(small: Callable[..., SmallKernel], debug: tuple[str, ...]) -> None:
    built = small(debug=debug)
    same(read_vmlinux(built.vmlinux), built)


@needs_gnu
def test_compressed(small: Callable[..., SmallKernel]) -> None:
    built = small()
    found = read_vmlinux(built.copy("compressed", "--compress-debug-sections=zlib"))
    same(found, built)
    assert "from its DWARF" in said(found)


@needs_gnu
def test_a_separate_debug_file(small: Callable[..., SmallKernel]) -> None:
    built = small()
    debug = built.copy("vmlinux.debug", "--only-keep-debug")
    with pytest.raises(LpgenError, match="has no linux_banner: it holds debug data alone; say with --kernel"):
        read_vmlinux(debug)
    found = read_vmlinux(debug, version="6.1.100")
    same(found, built)
    assert "from its DWARF" in said(found)
    linked = built.copy("linked", PLAIN, f"--add-gnu-debuglink={debug}")
    assert "they are in vmlinux.debug, which --vmlinux takes too" in said(read_vmlinux(linked))


# Configuration


@needs_gnu
@pytest.mark.parametrize(
    ("version", "config"),
    [
        ("4.7", {"CONFIG_LIVEPATCH": False}),
        ("4.13", {"CONFIG_KPROBES_ON_FTRACE": False, "CONFIG_FUNCTION_GRAPH_TRACER": False}),
        ("6.1.100", {"CONFIG_LIVEPATCH_64": False}),
        ("6.12", {"CONFIG_FUNCTION_GRAPH_TRACER": False}),
        (NEWEST, {"CONFIG_PPC_FTRACE_OUT_OF_LINE": False}),
        (NEWEST, {"CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS": False}),
        (NEWEST, {"CONFIG_DYNAMIC_FTRACE_WITH_CALL_OPS": False}),
        (NEWEST, {"CONFIG_DYNAMIC_FTRACE_WITH_CALL_OPS": False, "CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS": True}),
        (NEWEST, {STUBS: 77}),
    ],
)
def test_configuration_by_symbols(
    small: Callable[..., SmallKernel], version: str, config: dict[str, bool | int]
) -> None:
    # is_current_kprobe_addr stands for kprobes here, so that it is there in any kernel that has its option.
    built = small(version, config=config, kprobes=config.get("CONFIG_KPROBES_ON_FTRACE", True))
    if config.get("CONFIG_PPC_FTRACE_OUT_OF_LINE") is False:
        built.kernel.numbers[STUBS] = kernel(version).numbers[STUBS]
    for path in (built.vmlinux, built.copy("plain", PLAIN)):
        found = read_vmlinux(path)
        # Without call ops the code does not read it.
        same(found, built, *["FTRACE_OPS_DIRECT_CALL", "FTRACE_OPS_FUNC"] * (path.name == "plain"))
        assert "configuration, from its symbols: " in said(found)


DOTCONFIG = """#
# Automatically generated file; DO NOT EDIT.
# Linux/powerpc 6.1.100 Kernel Configuration
#
CONFIG_LIVEPATCH=y
CONFIG_LIVEPATCH_64=y
CONFIG_FUNCTION_GRAPH_TRACER=y
"""


@needs_gnu
def test_the_dotconfig_inside_wins_over_symbols_and_loses_to_a_person(small: Callable[..., SmallKernel]) -> None:
    text = DOTCONFIG.replace("CONFIG_LIVEPATCH_64=y\n", "").replace(
        "CONFIG_LIVEPATCH=y", "# CONFIG_LIVEPATCH is not set"
    )
    built = small(ikconfig=text)
    found = read_vmlinux(built.vmlinux)
    assert found.kernel.options == {"CONFIG_LIVEPATCH_64": False}
    assert "configuration, from the .config inside it (IKCONFIG): CONFIG_LIVEPATCH_64=n" in said(found)
    for given in ({"config": {"CONFIG_LIVEPATCH": True}}, {"dotconfig": {"CONFIG_LIVEPATCH": True}}):
        found = read_vmlinux(built.vmlinux, **given)
        assert found.kernel.options == {"CONFIG_LIVEPATCH_64": True}
        assert found.kernel.origin is not None
        assert found.kernel.origin.settings == {"CONFIG_LIVEPATCH_64": True}


@needs_gnu
@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("cut", r"\(IKCONFIG\) has no end"),
        ("garbage", r"\(IKCONFIG\) cannot be decompressed"),
        ("bomb", r"\(IKCONFIG\) is larger than 4 MiB"),
        ("binary", r"vmlinux \(IKCONFIG\):1: .* is not a line of a .config"),
    ],
)
def test_a_dotconfig_inside_that_is_none(small: Callable[..., SmallKernel], name: str, says: str) -> None:
    import gzip

    built = small(ikconfig=DOTCONFIG + "CONFIG_MORE=y\n" * 4000)
    data = bytearray(built.vmlinux.read_bytes())
    first = data.index(b"IKCFG_ST") + 8
    end = data.index(b"IKCFG_ED")
    put = {
        "cut": data[first : end - 4],
        "garbage": data[first : first + 10] + bytes(30),
        "binary": gzip.compress(b"\x01\x02", mtime=0),
        "bomb": data[first:end],
    }[name]
    data[first : end + 8] = (put + b"IKCFG_ED").ljust(end + 8 - first, b"\0")
    if name == "bomb":
        # 5 MB of one letter make 5 KB.
        data = bytearray(small(ikconfig="# " + "x" * (5 << 20)).vmlinux.read_bytes())
    with pytest.raises(LpgenError, match=says):
        kernel_of_vmlinux(ElfFile(io.BytesIO(data), "vmlinux"))


@needs_gnu
def test_a_persons_dotconfig_means_both_names_of_an_option(small: Callable[..., SmallKernel]) -> None:
    built = small(config={"CONFIG_LIVEPATCH_64": False})
    assert read_vmlinux(built.vmlinux).kernel.options == {"CONFIG_LIVEPATCH_64": False}
    found = read_vmlinux(built.vmlinux, dotconfig={"CONFIG_LIVEPATCH": True})
    assert found.kernel.options == {"CONFIG_LIVEPATCH_64": True}


@needs_gnu
def test_what_an_option_needs_is_not_there(small: Callable[..., SmallKernel]) -> None:
    """No call of a tracer is in the symbols: call ops, if there were stubs."""
    built = small(NEWEST, config={"CONFIG_PPC_FTRACE_OUT_OF_LINE": False})
    path = built.copy("without", "--strip-symbol=ftrace_call", "--strip-symbol=ftrace_regs_call")
    assert read_vmlinux(path).kernel.options == built.kernel.options


@needs_gnu
def test_no_symbols_show_no_configuration(small: Callable[..., SmallKernel]) -> None:
    built = small()
    found = read_vmlinux(built.copy("stripped", "--strip-all"))
    assert "its symbols do not show its configuration (--config takes its .config)" in said(found)
    # Nor where its functions are.
    assert "0 offsets from its instructions" in said(found)
    assert "PACATOC, PACA_FTRACE_ENABLED, PACA_THREAD_INFO, BUG_ENTRY_SIZE: another kernel's, a guess" in said(found)
    given = read_vmlinux(built.copy("stripped", "--strip-all"), dotconfig={"CONFIG_LIVEPATCH": False})
    assert given.kernel.options == {"CONFIG_LIVEPATCH_64": False}
    assert "configuration" not in said(given)


# Version


DEBIAN = ("6.1.0-50-powerpc64le", "#1 SMP Debian 6.1.176-1 (2026-07-02)", "6.1.176", True)
UBUNTU = ("5.15.0-91-generic", "#101-Ubuntu SMP Tue Nov 14 (Ubuntu 5.15.0-91.101-generic 5.15.131)", "5.15.131", True)


@pytest.mark.parametrize(
    ("uname", "tail", "version", "stable"),
    [
        DEBIAN,
        UBUNTU,
        ("6.12.95+deb12-powerpc64le", "#1 SMP Debian 6.12.95-1~bpo12+1 (2026-07-05)", "6.12.95", True),
        ("5.14.0-362.8.1.el9_3.ppc64le", "#1 SMP PREEMPT_DYNAMIC Tue Oct 3", "5.14", False),
        ("5.14.21-150500.55.7-default", "#1 SMP PREEMPT_DYNAMIC (5.14.9)", "5.14.21", True),
        ("6.13.0-rc1+", "#3 SMP", "6.13", False),
        ("4.7.0", "#1 SMP", "4.7", False),
        # A compiler of the same number as the kernel is no release of it.
        ("5.4.0-26-generic", "#30-Ubuntu SMP Mon Apr 20", "5.4", False),
    ],
)
def test_banners(uname: str, tail: str, version: str, stable: bool) -> None:
    text = f"Linux version {uname} (buildd@bos02) (gcc version 5.4.10 (Ubuntu 5.4.10-1), GNU ld 6.1.9) {tail}\n"
    release = release_of(text, ElfFileStub())
    assert (release.version, release.uname, release.stable) == (version, uname, stable)


class ElfFileStub(ElfFile):
    def __init__(self) -> None:
        from lpgen.errors import Place

        self.place = Place("vmlinux")


def test_a_banner_without_a_version() -> None:
    with pytest.raises(LpgenError, match="names no version; name the kernel with --kernel"):
        release_of("Linux version x.y", ElfFileStub())


@needs_gnu
def test_which_kernel_it_is(small: Callable[..., SmallKernel]) -> None:
    uname, tail, version, _ = DEBIAN
    built = small(version, uname=uname, tail=tail)
    found = read_vmlinux(built.vmlinux)
    same(found, built)
    assert f"kernel {version}, the stable release that its banner names; its uname is {uname}" in said(found)
    # Without its symbol the banner is found by its text.
    stripped = read_vmlinux(built.copy("stripped", "--strip-all"))
    assert stripped.kernel.version == version
    assert read_vmlinux(built.vmlinux, version="6.1.170").kernel.version == "6.1.170"
    nameless = small(banner=False)
    with pytest.raises(LpgenError, match="has no linux_banner: it is no whole kernel; say with --kernel which"):
        read_vmlinux(nameless.vmlinux)
    same(read_vmlinux(nameless.vmlinux, version="6.1.100"), nameless)


@needs_gnu
@pytest.mark.parametrize("later", ["7.2.13", "9.1"])
def test_kernels_of_the_future_have_the_last_generations_facts(small: Callable[..., SmallKernel], later: str) -> None:
    built = small(later)
    found = read_vmlinux(built.vmlinux)
    same(found, built)
    assert found.kernel.generation == kernel(NEWEST).generation


@needs_gnu
@pytest.mark.parametrize(
    ("version", "uname", "has"),
    [
        ("6.1.100", "6.1.0-rh1", True),
        ("6.1", "6.1.0-rh1", False),
        ("6.1", "6.1.100", False),
        ("4.14.334", "4.14.0-x", True),
        ("5.10.205", "5.10.0-x", True),
        # A series that never got it upstream.
        ("5.10.205", "5.9.0-x", True),
    ],
)
def test_the_code_decides_on_a_back_port(
    small: Callable[..., SmallKernel], version: str, uname: str, has: bool
) -> None:
    built = small(version, uname=uname)
    found = read_vmlinux(built.vmlinux)
    assert ("frame_for_b" in found.kernel.features) is has
    note = f"frame_for_b is {'' if has else 'not '}there, as ftrace_"
    plain = kernel(found.kernel.version)
    assert (note in said(found)) is (("frame_for_b" in plain.features) is not has)


@needs_gnu
def test_contradictions_are_said(small: Callable[..., SmallKernel]) -> None:
    """The debug data of another build, and a kernel whose frame is not its version's."""
    built, other = small("6.12"), small("6.12", paca_pad=600)
    sections = built.directory / "sections"
    sections.mkdir(exist_ok=True)
    names = (".debug_info", ".debug_abbrev", ".debug_str")
    dumped = [f"--dump-section={name}={sections / name}" for name in names]
    other.copy("unused", *dumped)
    path = built.copy("mixed", PLAIN, *(f"--add-section={name}={sections / name}" for name in names))
    found = read_vmlinux(path)
    assert "contradiction: PACA_FTRACE_ENABLED is " in said(found)
    assert " in its DWARF, but ftrace_regs_caller+" in said(found)
    grown = small("6.12", grown=2)
    found = read_vmlinux(grown.vmlinux)
    assert found.kernel.offsets["SWITCH_FRAME_SIZE"] == 448
    assert "contradiction: SWITCH_FRAME_SIZE is 448, but 432 in layout L4" in said(found)
    # What its instructions say of it is what is judged.
    found = read_vmlinux(grown.copy("plain", PLAIN))
    assert found.kernel.offsets["SWITCH_FRAME_SIZE"] == 432
    assert "contradiction: SWITCH_FRAME_SIZE is 432 in kernel 6.12, but ftrace_regs_caller+0x8: stdu r1,-448" in said(
        found
    )


@needs_gnu
def test_the_kernels_text_may_doubt_the_toc(small: Callable[..., SmallKernel]) -> None:
    more = 'void others(void) { asm volatile("%s"); }\n'
    plain = small(more=more % ("ld 2, 16(13);" * 4))
    found = read_vmlinux(plain.copy("plain", PLAIN))
    assert "contradiction" not in said(found)
    assert found.kernel.offsets.offset("PACATOC").source.endswith(
        ": ld r2,16(r13), as in 6 of the 6 such loads of .text"
    )
    doubted = small(more=more % ("ld 2, 40(13);" * 7))
    found = read_vmlinux(doubted.copy("plain", PLAIN))
    assert found.kernel.offsets["PACATOC"] == 16
    assert "contradiction: PACATOC is 16 at ftrace_regs_caller+" in said(found)
    assert "but 40 in 7 of the 9 such loads of .text" in said(found)


@needs_gnu
def test_what_a_person_gives_wins(small: Callable[..., SmallKernel], tmp_path: Path) -> None:
    built = small()
    header = tmp_path / "mine.h"
    mine = {name: 800 if name == "PACA_FTRACE_ENABLED" else value for name, value in built.truth.items()}
    header.write_text("".join(f"#define {name} {value}\n" for name, value in mine.items()))
    found = read_vmlinux(built.vmlinux, offsets=read_offsets(header))
    assert dict(found.kernel.offsets) == mine
    assert found.kernel.offsets_file == "mine.h"
    assert read_vmlinux(built.vmlinux).kernel.offsets_file is None


@needs_gnu
def test_what_the_types_lack(small: Callable[..., SmallKernel]) -> None:
    built = small(config={"CONFIG_LIVEPATCH_64": False})
    found = read_vmlinux(built.vmlinux, config={"CONFIG_LIVEPATCH_64": True})
    assert "its DWARF has no TI_livepatch_sp: lpgen's own is taken" in said(found)
    assert "TI_livepatch_sp" not in read_vmlinux(built.vmlinux).kernel.offsets


@needs_gnu
def test_an_object_is_no_kernel(small: Callable[..., SmallKernel]) -> None:
    with pytest.raises(LpgenError, match="is an object, not a linked kernel"):
        read_vmlinux(small().directory / "entry.o")


@needs_gnu
def test_the_door_for_verify(small: Callable[..., SmallKernel]) -> None:
    built = small(NEWEST, config={STUBS: FEW_STUBS})
    with open_elf(built.vmlinux) as elf:
        found = kernel_of_vmlinux(elf)
    same(found, built)
    assert isinstance(found.kernel, Kernel)
    assert found.kernel.stub_count == FEW_STUBS


@pytest.mark.parametrize(
    ("word", "text"),
    [
        (0xE84D0010, "ld r2,16(r13)"),
        (0xF821FFE1, "stdu r1,-32(r1)"),
        (0xF8010010, "std r0,16(r1)"),
        (0x886D0A14, "lbz r3,2580(r13)"),
        (0x816C0004, "lwz r11,4(r12)"),
        (0x7CE802A6, "mflr r7"),
        (0x7D2903A6, "mtctr r9"),
        (0x7D4102A6, "mfxer r10"),
        (0x7CE00026, "mfcr r7"),
        (0x7D0000A6, "mfmsr r8"),
        (0x39000000, "li r8,0"),
        (0x390101D0, "addi r8,r1,464"),
        (0x2C230000, "cmpdi r3,0"),
        (0x2CA30000, "cmpdi r3,0"),
        (0x782C04A4, "rldicr r12,r1"),
        (0x4E800421, "bctrl"),
    ],
)
def test_decoding(word: int, text: str) -> None:
    assert text_of(decode(word)) == text


@pytest.mark.parametrize("word", [0, 0x4E800020, 0x60000000, 0xE84D0012, 0x2C030000, 0x7C0802A7 ^ 1 << 11])
def test_what_is_not_decoded(word: int) -> None:
    assert decode(word) == ()
