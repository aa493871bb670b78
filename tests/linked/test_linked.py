"""A linked kernel's trampolines, at their own addresses, get the verdict of their text; and the text out of them."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path

import pytest

from lpgen.api import judge, verify
from lpgen.assembly import Unit, assemble, link
from lpgen.assembly.extract import extract
from lpgen.assembly.read_linked import read_linked
from lpgen.contract.verdict import Verdict
from lpgen.elf.file import open_elf
from lpgen.errors import LpgenError
from lpgen.kernel.generations import Kernel, kernel, spans, versions_of
from lpgen.kernel.vmlinux import kernel_of_vmlinux
from lpgen.source.emit import emit_source
from tests.contract.must_fail import ALL, Wrong
from tests.linked.linked_kernel import PREFIX, emitted, link_kernel, needs_gnu, run

VERSIONS = [version for generation, *_ in spans() for version in versions_of(generation)]
NUMBER = "CONFIG_PPC_FTRACE_OUT_OF_LINE_NUM_RESERVE"
CALLERS = 150
pytestmark = needs_gnu


def small(version: str, **config: bool) -> Kernel:
    """A kernel with few out-of-line stubs."""
    few = {NUMBER: 16} if NUMBER in kernel(version).numbers else {}
    return kernel(version, config={**few, **config})


def unit_of(path: Path, wanted: Kernel, entries: Mapping[str, str] | None = None) -> Unit:
    with open_elf(path) as elf:
        return read_linked(elf, wanted, entries)


def told(verdict: Verdict) -> dict[str, tuple[int, int, int]]:
    return {id_: (s.callers, s.checks, s.broken) for id_, s in verdict.statements.items()}


@pytest.mark.parametrize("version", VERSIONS)
def test_the_same_verdict_as_the_text(version: str, tmp_path: Path) -> None:
    wanted = small(version)
    text = emitted(wanted)
    linked = unit_of(link_kernel(tmp_path, wanted, text), wanted)
    verdict, expected = (judge(wanted, unit, callers=CALLERS) for unit in (linked, text))
    assert verdict.failures == []
    assert told(verdict) == told(expected)
    # Every instruction of the text was found by following the code, and nothing else.
    assert len(linked.sections[".text"].lines) == len(text.sections[".text"].lines)


@pytest.mark.parametrize("version", VERSIONS)
def test_the_extracted_text_makes_the_same_bytes(version: str, tmp_path: Path) -> None:
    wanted = small(version)
    path = link_kernel(tmp_path, wanted, emitted(wanted))
    linked = unit_of(path, wanted)
    text = extract(linked, wanted, "a head")
    # Every instruction is one, none a bare word.
    words = [line for line in text.splitlines() if "\t.long\t0x" in line and not line.endswith("not reached */")]
    assert [line for line in words if ";" in line] == []
    (tmp_path / "again.S").write_text(text)
    assert linked.fixed is not None
    options = [f"--section-start={name}={section.address:#x}" for name, section in linked.sections.items()]
    options += ["--defsym", f".TOC.={linked.fixed.toc:#x}"]
    for name, address in linked.fixed.externals.items():
        options += ["--defsym", f"{name}={address:#x}"]
    run(PREFIX + "as", "-o", tmp_path / "again.o", tmp_path / "again.S")
    run(PREFIX + "ld", "-o", tmp_path / "again", "-e", "0", "--no-warn-rwx-segments", *options, tmp_path / "again.o")
    with open_elf(path) as before, open_elf(tmp_path / "again") as after:
        for section in linked.sections.values():
            assert section.address is not None
            size = section.size
            assert after.memory(section.address, size) == before.memory(section.address, size), section.name


@pytest.mark.parametrize("version", ["4.7", "4.18", "6.1.45", "6.12", "6.18"])
def test_the_extracted_text_gets_the_same_verdict(version: str, tmp_path: Path) -> None:
    wanted = small(version)
    text = emitted(wanted)
    linked = unit_of(link_kernel(tmp_path, wanted, text), wanted)
    again = assemble(extract(linked, wanted, "a head"), name="again.S")
    assert told(judge(wanted, again, callers=CALLERS)) == told(judge(wanted, text, callers=CALLERS))


@pytest.mark.parametrize("version", ["4.7", "5.4.300", "6.1.45", "6.12", "6.18"])
def test_a_wrong_instruction_is_found_in_the_linked_kernel(version: str, tmp_path: Path) -> None:
    """The load of the kernel's TOC becomes a nop in the file itself."""
    wanted = small(version)
    path = link_kernel(tmp_path, wanted, emitted(wanted))
    load = struct.pack("<I", 0xE84D0000 | wanted.offsets["PACATOC"])
    data = path.read_bytes()
    assert load in data
    path.write_bytes(data.replace(load, struct.pack("<I", 0x60000000)))
    verdict = judge(wanted, unit_of(path, wanted), callers=CALLERS)
    assert "T2" in {failure.finding.statement for failure in verdict.failures}
    found = next(f for f in verdict.failures if f.finding.statement == "T2")
    assert found.place.startswith(str(path)), found.place


def test_its_own_addresses(tmp_path: Path) -> None:
    wanted = small("6.12")
    path = link_kernel(tmp_path, wanted, emitted(wanted))
    linked = unit_of(path, wanted)
    with open_elf(path) as elf:
        symbols = elf.symbols(["ftrace_caller", "function_trace_op", ".TOC.", "ftrace_return_to_handler"])
    text = linked.sections[".text"]
    assert text.address is not None
    assert text.address + linked.symbols["ftrace_caller"].value == symbols["ftrace_caller"][0].value
    assert linked.fixed is not None
    assert linked.fixed.toc == symbols[".TOC."][0].value
    assert linked.fixed.externals["function_trace_op"] == symbols["function_trace_op"][0].value
    # A call goes to the local entry point, behind the two instructions that make r2.
    assert linked.fixed.externals["ftrace_return_to_handler"] == symbols["ftrace_return_to_handler"][0].value + 8
    image = link(linked, addresses={n: s.address or 0 for n, s in linked.sections.items()}, toc=linked.fixed.toc)
    assert image.segments[0][0] == text.address


def test_another_symbol_is_the_entry_point(tmp_path: Path) -> None:
    wanted = small("4.7")
    text = emit_source(wanted).text.replace("livepatch_handler", "my_handler")
    path = link_kernel(tmp_path, wanted, emitted(wanted, text))
    with pytest.raises(LpgenError, match="does not define livepatch_handler"):
        judge(wanted, unit_of(path, wanted), callers=1)
    found = unit_of(path, wanted, {"livepatch_handler": "my_handler"})
    assert not judge(wanted, found, callers=CALLERS).failures
    with pytest.raises(LpgenError, match="has no symbol nobody to be livepatch_handler"):
        unit_of(path, wanted, {"livepatch_handler": "nobody"})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("ftrace_caller", "other_caller"), "has no ftrace_caller"),
        (("bl\tftrace_stub", "bl\t_stext"), r"ftrace_call calls _stext, which kernel 4\.7 has no part for"),
    ],
)
def test_what_is_no_trampoline(change: tuple[str, str], message: str, tmp_path: Path) -> None:
    wanted = small("4.7")
    path = link_kernel(tmp_path, wanted, emitted(wanted, emit_source(wanted).text.replace(*change)))
    with pytest.raises(LpgenError, match=message):
        unit_of(path, wanted)


def test_stripped_and_debug_only(tmp_path: Path) -> None:
    wanted = small("6.12")
    path = link_kernel(tmp_path, wanted, emitted(wanted))
    run(PREFIX + "strip", "-o", tmp_path / "stripped", path)
    with pytest.raises(LpgenError, match="has no symbol table"):
        unit_of(tmp_path / "stripped", wanted)
    run(PREFIX + "objcopy", "--only-keep-debug", path, tmp_path / "debug")
    with pytest.raises(LpgenError, match="holds debug data only"):
        unit_of(tmp_path / "debug", wanted)


# Some of all, and those whose wrong constant a reader could take for a fact of the kernel.
NAMED = ("caller_breaks_back_chain", "caller_frame_misaligned", "caller_ignores_link", "caller_saves_ccr_off_by_8")
LINKABLE = [wrong for wrong in ALL if wrong.interrupts is None and wrong.name != "handler_stray_store"]
SAMPLE = [w for n, w in enumerate(LINKABLE) if n % 12 == 0 or w.name in NAMED]


@pytest.mark.parametrize("wrong", SAMPLE, ids=lambda wrong: wrong.name)
def test_a_wrong_trampoline_breaks_the_same_statements_as_its_text(wrong: Wrong, tmp_path: Path) -> None:
    """Of a kernel without debug data, read as a person has it: version and offsets by the file itself."""
    wanted, text = wrong.kernel, wrong.unit()
    vmlinux = link_kernel(tmp_path, wanted, text)
    with open_elf(vmlinux) as elf:
        found = kernel_of_vmlinux(elf, config={**wanted.options, **wanted.numbers}).kernel
        linked = read_linked(elf, found)
    expected, verdict = judge(wanted, text, shrink=False), judge(found, linked, shrink=False)
    assert verdict.broken == expected.broken
    assert set(verdict.broken) >= set(wrong.breaks) & set(expected.broken)
    assert verdict.broken


def test_what_only_the_code_says_is_said_to_be_unjudged(tmp_path: Path) -> None:
    wanted = small("6.12")
    path = link_kernel(tmp_path, wanted, emitted(wanted))
    result = verify(source=path, callers=30)
    assert set(result.taken) == {"PACATOC", "PACA_FTRACE_ENABLED", "PACA_THREAD_INFO"}
    assert "not judged: PACATOC, " in str(result)
    assert verify("6.12", callers=30).taken == ()


def test_wrong_constants_that_the_version_fixes_are_found(tmp_path: Path) -> None:
    wanted = small("6.12")
    text = emit_source(wanted).text.replace("TI_livepatch_sp", "24")
    path = link_kernel(tmp_path, wanted, emitted(wanted, text))
    assert "X3" in verify(source=path, callers=CALLERS, shrink=False).broken


@pytest.mark.parametrize("text", [0xC0000000FFFF8000, 0xC000000100008000, 0xC000000002008000])
def test_linked_elsewhere(text: int, tmp_path: Path) -> None:
    wanted = small("6.12")
    path = link_kernel(tmp_path, wanted, emitted(wanted), text=text)
    assert verify(source=path, callers=40).broken == []


def test_no_kernel_address(tmp_path: Path) -> None:
    wanted = small("6.12")
    path = link_kernel(tmp_path, wanted, emitted(wanted), text=0x10008000)
    with pytest.raises(LpgenError, match="which is no kernel address"):
        verify(source=path, callers=1)


@pytest.mark.parametrize("version", ["5.4.300", "6.12"])
def test_a_linkers_stub_to_a_far_function(version: str, tmp_path: Path) -> None:
    """The C functions are more than 32 MB away."""
    wanted = small(version)
    path = link_kernel(tmp_path, wanted, emitted(wanted), between=0x2800000)
    assert ".plt_branch." in run(PREFIX + "nm", path)
    assert verify(source=path, callers=CALLERS).broken == []
