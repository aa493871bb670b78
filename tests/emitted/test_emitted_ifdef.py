"""One text for every configuration (--ifdef): with a configuration's macros it is what was emitted for that one."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import emitted_build as build
import pytest

from lpgen.assembly import Unit, write_object
from lpgen.kernel.generations import every_config

# In a bug entry: address and name, line, flags. The line is one of the text that it stands in.
LINES = {24: slice(16, 18), 12: slice(8, 10)}


def both(version: str) -> Iterator[tuple[build.Emitted, build.Emitted]]:
    """For each configuration: the text with #ifdef, and the one that was made for it."""
    for config in build.configs(version):
        yield build.emitted(version, config, ifdef=True), build.emitted(version, config)


def without_lines(sections: Mapping[str, bytes]) -> dict[str, bytes]:
    """The sections, with no line in the bug entry."""
    found = dict(sections)
    if "__bug_table" in found:
        entry = bytearray(found["__bug_table"])
        assert entry[LINES[len(entry)]] != bytes(2)
        entry[LINES[len(entry)]] = bytes(2)
        found["__bug_table"] = bytes(entry)
    return found


def assert_same(unit: Unit, ifdef: build.Binary, fixed: build.Binary) -> None:
    """Compare the objects of both texts; ``unit`` is of the one with #ifdef."""
    told = "(with #ifdef, which is called lpgen here, and without, called GNU)"
    assert sorted(ifdef.sections) == sorted(fixed.sections)
    mine, other = without_lines(ifdef.sections), without_lines(fixed.sections)
    for name in sorted(other, key=lambda name: (name != ".text", name)):
        difference = build.first_difference(unit, name, mine[name], other[name])
        assert difference is None, f"{told} {difference}"
    difference = build.first_relocation_difference(unit, ifdef.relocations, fixed.relocations)
    assert difference is None, f"{told} {difference}"
    assert ifdef.symbols == fixed.symbols
    assert ifdef.kinds == fixed.kinds
    assert ifdef.exports == fixed.exports


def gnu(what: build.Emitted, directory: Path, text: str | None = None) -> build.Binary:
    return build.read(build.compile_gnu(what, directory, text=text).read_bytes())


@build.needs_gnu
@build.every_kernel
def test_it_is_the_text_for_each_configuration_by_lpgen_and_by_gnu_as(version: str, tmp_path: Path) -> None:
    for ifdef, fixed in both(version):
        with build.named(fixed):
            unit, theirs = ifdef.unit(), gnu(ifdef, tmp_path)
            assert_same(unit, theirs, gnu(fixed, tmp_path))
            build.assert_same_object(unit, build.read(write_object(unit)), theirs)


@build.every_kernel
def test_there_is_one_text_for_all(version: str) -> None:
    assert len({ifdef.text for ifdef, _ in both(version)}) == 1
    made = len({fixed.text for _, fixed in both(version)})
    assert made == len(list(every_config(version))) > 1


@build.every_kernel
def test_it_asks_for_the_options_of_that_kernel_and_no_other(version: str) -> None:
    what = build.emitted(version, build.default(version), ifdef=True)
    asked = set(re.findall(r"\bCONFIG_\w+", "\n".join(re.findall(r"(?m)^#\s*(?:if|elif).*$", what.text))))
    # A file that is the kernel's for other ABIs too, which this one is not for.
    guards = {"CONFIG_PPC_KERNEL_PCREL"} if "partial_regs" in what.kernel.features else set()
    assert asked == set(what.kernel.options) | guards
    assert what.text.count("#error") == 2 * len(guards)


@build.needs_gnu
@pytest.mark.parametrize(
    ("line", "instead"),
    [
        ("#ifdef CONFIG_LIVEPATCH\n\n\t/* X3", "#ifdef CONFIG_FUNCTION_GRAPH_TRACER\n\n\t/* X3"),
        ("\tcmpd\tr12, r14", "\tcmpw\tr12, r14"),
    ],
    ids=["the wrong option", "another instruction"],
)
def test_a_difference_would_be_seen(line: str, instead: str, tmp_path: Path) -> None:
    config = build.default("4.7") | {"CONFIG_FUNCTION_GRAPH_TRACER": False}
    ifdef, fixed = build.emitted("4.7", config, ifdef=True), build.emitted("4.7", config)
    unit, theirs = ifdef.unit(), gnu(fixed, tmp_path)
    assert_same(unit, gnu(ifdef, tmp_path), theirs)
    assert line in ifdef.text
    with pytest.raises(AssertionError, match=r"\.text\+0x[0-9a-f]+: lpgen .*GNU "):
        assert_same(unit, gnu(ifdef, tmp_path, ifdef.text.replace(line, instead)), theirs)
