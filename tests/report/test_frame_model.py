"""What the diagram of the frames says: the facts of the kernel, each once, and where C's arguments are."""

from __future__ import annotations

import re

import pytest

from lpgen.errors import LpgenError
from lpgen.kernel.frames import HEADER_BYTES, LIVEPATCH, REGS, A, B
from lpgen.kernel.generations import kernel, required_names
from lpgen.kernel.offsets import Offsets
from lpgen.kernel.stores import entries
from lpgen.report.frame_caller import caller_of
from lpgen.report.frame_model import LOW_END, THREAD_INFO, Block, Diagram, Row, diagram, folded
from tests.report.frame_cases import DIAGRAMS, NINE, PROTOTYPES, VERSIONS, without_livepatch

each = pytest.mark.parametrize("drawn", DIAGRAMS.values(), ids=DIAGRAMS)


def block(drawn: Diagram, kind: str) -> Block:
    return next(block for block in (*drawn.blocks, *drawn.beside) if block.kind == kind)


def rows_by_name(of: Block) -> dict[str, Row]:
    return {row.name: row for row in of.rows}


def check_covered(of: Block) -> None:
    """The rows of a frame of known size are all of it, the highest first, each byte once."""
    end = of.size
    for row in of.rows:
        assert row.offset is not None
        assert row.size is not None
        assert row.offset + row.size == end
        end = row.offset
    assert end == 0


@each
@pytest.mark.parametrize("fold", [False, True])
def test_every_byte_of_a_frame_is_drawn_once(drawn: Diagram, fold: bool) -> None:
    for of in drawn.blocks:
        if of.kind in (B, REGS):
            check_covered(folded(of) if fold else of)


def test_a_row_that_is_missing_is_seen() -> None:
    of = block(DIAGRAMS["6.12"], REGS)
    with pytest.raises(AssertionError):
        check_covered(Block(of.kind, of.name, of.size, of.origin, of.rows[:5] + of.rows[6:]))


@each
def test_frames_lie_one_below_the_other(drawn: Diagram) -> None:
    far = 0
    for of in drawn.blocks:
        if of.kind in (B, REGS):
            far -= of.size or 0
            assert of.far == far
        if of.kind in (A, B, REGS):
            assert all(row.far == far + row.offset for row in of.rows if row.offset is not None)
    assert ("frame_for_b" in drawn.kernel.features) == any(of.kind == B for of in drawn.blocks)


@each
def test_each_constant_is_at_its_offset(drawn: Diagram) -> None:
    offsets = drawn.kernel.offsets
    rows = [row for row in block(drawn, REGS).rows if row.constant]
    for row in rows:
        base, _, number = row.constant.partition("+8*")
        assert row.offset == offsets[base] + 8 * int(number or 0)
    fields = {entry.value for entry in offsets.entries if entry.struct == "pt_regs"}
    assert fields | {offsets.gpr(n) for n in range(32)} == {row.offset for row in rows}
    assert {row.name for row in rows} >= {f"gpr[{n}]" for n in range(32)} | {"nip", "msr", "link", "orig_gpr3"}


@each
def test_what_is_stored_is_what_the_entries_store(drawn: Diagram) -> None:
    drawn_stores = {
        (symbol, of.kind, row.offset, value) for of in drawn.blocks for row in of.rows for symbol, value in row.stored
    }
    assert drawn_stores == {
        (entry.symbol, store.frame, store.offset, store.value)
        for entry in entries(drawn.kernel)
        for store in entry.stores
    }


@each
def test_folding_loses_nothing(drawn: Diagram) -> None:
    of = block(drawn, REGS)
    plain, rows = rows_by_name(of), folded(of).rows
    assert len(rows) < len(of.rows)
    seen = []
    for row in rows:
        match = re.fullmatch(r"gpr\[(\d+)(?:\.\.(\d+))?\]", row.name)
        if match is None:
            assert row in of.rows
            continue
        numbers = range(int(match[1]), int(match[2] or match[1]) + 1)
        seen += numbers
        assert row.offset == plain[f"gpr[{numbers[0]}]"].offset
        assert row.size == 8 * len(numbers)
        for number in numbers:
            one = plain[f"gpr[{number}]"]
            assert [symbol for symbol, _ in one.stored] == [symbol for symbol, _ in row.stored]
            assert len(numbers) == 1 or {value for _, value in one.stored} <= {f"r{number}"}
    assert sorted(seen) == list(range(32))


@pytest.mark.parametrize("version", VERSIONS)
def test_the_low_end(version: str) -> None:
    drawn = DIAGRAMS[version]
    on_stack = "thread_info_on_stack" in drawn.kernel.features
    magic, info = block(drawn, LOW_END), block(drawn, THREAD_INFO)
    assert (info in drawn.blocks) == on_stack
    assert magic.far == (256 if on_stack else 0)
    assert rows_by_name(info)["livepatch_sp"].offset == (24 if on_stack else 16)
    assert ("PACA_THREAD_INFO(r13) = 2312(r13)" in info.name) == (not on_stack)
    assert [(row.name, row.offset) for row in block(drawn, LIVEPATCH).rows] == [
        ("STACK_END_MAGIC", -8),
        ("return address", -16),
        ("r2", -24),
    ]
    start = next(row for of in drawn.blocks for row in of.rows if row.what == "livepatch_sp starts here")
    assert start.far == (magic.far or 0) + 8


def test_without_livepatch_there_is_no_livepatch_stack() -> None:
    for version in ("4.7", "6.12"):
        drawn = without_livepatch(version)
        assert LIVEPATCH not in [of.kind for of in drawn.blocks]
        assert any("=n: no livepatch stack" in note for note in drawn.notes)
        words = [of.name + of.r1 + of.above for of in (*drawn.blocks, *drawn.beside)]
        assert not [word for word in words if "livepatch_handler" in word or "livepatch_sp" in word]


def test_a_generic_frame_of_a_shows_where_the_ninth_argument_is() -> None:
    rows = rows_by_name(block(DIAGRAMS["4.7"], A))
    assert rows["C's 9th argument is here"].offset == 96
    assert [rows[f"home of r{n}"].offset for n in range(3, 11)] == list(range(32, 96, 8))


@pytest.mark.parametrize("prototype", PROTOTYPES.values(), ids=PROTOTYPES)
def test_each_argument_in_a_doubleword_is_named_there(prototype: str) -> None:
    caller = caller_of(prototype)
    placement = caller.shape.placement
    rows = [row for row in block(diagram(kernel("6.12"), caller), A).rows if (row.offset or 0) >= HEADER_BYTES]
    assert 8 * len(rows) == placement.parameter_save_area_size
    for number, pieces in enumerate(placement.arguments, 1):
        where = {
            row.offset for row in rows if re.search(rf"(?:^|: )a{number}(?:\[|$)", row.name) and row.what != "not used"
        }
        wanted = {32 + 8 * (piece.index - 3) for piece in pieces if piece.kind == "gpr"}
        for piece in pieces:
            if piece.kind == "mem":
                wanted |= {at & ~7 for at in range(piece.index, piece.index + piece.size)}
        assert where == (wanted if rows else set())


def test_the_arguments_beside() -> None:
    lines = [line.plain for line in caller_of(PROTOTYPES["variadic"]).lines(79)]
    assert lines[0] == "A calls int f(void *a1, ...)"
    assert "  C is variadic: it stores the registers behind its fixed arguments, up to r10," in lines
    assert [line.split() for line in lines[-5:]] == [
        ["a1", "r3", "void", "*"],
        ["a2", "r4", "int"],
        ["a3", "r5", "double"],
        ["a4", "r6,", "r7,", "r8", "struct", "s_20xu8_e"],
        ["result", "r3", "int"],
    ]
    assert "96(r1)" in "\n".join(line.plain for line in caller_of(NINE).lines(79))
    hidden = [line.plain for line in caller_of(PROTOTYPES["hidden"]).lines(79)]
    assert hidden[-1].split(maxsplit=1)[1].startswith("in memory, its address in r3")


def test_a_variadic_function_spills_up_to_r10() -> None:
    homes = caller_of("int f(const char *, ..., int)").homes
    assert homes[1] == ("home of r4: a2", "int: in r4")
    assert homes[2:] == [(f"home of r{n}", "spilled by C all the same") for n in range(5, 11)]
    assert ("home of r4", "not used") in caller_of(f"void f(long, double, {', '.join(['long'] * 8)})").homes


def test_a_text_that_is_no_prototype_is_refused() -> None:
    with pytest.raises(LpgenError, match=r"--caller, column \d+"):
        caller_of("int f(")


@pytest.mark.parametrize("version", VERSIONS)
def test_the_offsets_that_a_kernel_cannot_do_without_are_enough(version: str) -> None:
    made = kernel(version)
    names = required_names(made)
    few = Offsets((made.offsets.offset(name) for name in names), label="few")
    drawn = diagram(kernel(version, offsets=few))
    of = block(drawn, REGS)
    check_covered(of)
    check_covered(folded(of))
    assert {row.name for row in of.rows} >= {"gpr[0]", "gpr[31]", "nip", "link"}
    assert "softe" not in {row.name for row in of.rows}
