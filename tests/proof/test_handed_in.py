"""What others made is proved as what lpgen emits is: linked kernels, objects, assembly in other styles."""

from __future__ import annotations

from pathlib import Path

import pytest

from lpgen import api
from lpgen.assembly import Unit, write_object
from lpgen.kernel.generations import Kernel, kernel
from lpgen.proof.prover import Proof, Prover
from tests.contract.must_fail import ALL, Wrong
from tests.linked.linked_kernel import emitted, link_kernel, needs_gnu

OTHERS = Path(__file__).parents[1] / "contract" / "others"


def told(proof: Proof) -> dict[str, tuple[int, int]]:
    return {id_: (one.checks, len(one.refutations)) for id_, one in proof.statements.items()}


def linked(path: Path, wanted: Kernel, unit: Unit) -> Unit:
    return api.trampolines(wanted, source=link_kernel(path, wanted, unit))


@needs_gnu
@pytest.mark.parametrize("version", ["4.7", "4.18", "5.1", "6.1.45", "6.12", "6.18"])
def test_a_linked_kernel_has_the_proof_of_its_text(version: str, tmp_path: Path) -> None:
    wanted = kernel(version, config={"CONFIG_PPC_FTRACE_OUT_OF_LINE_NUM_RESERVE": 8} if version == "6.18" else {})
    text = emitted(wanted)
    assert told(Prover(wanted, linked(tmp_path, wanted, text)).run()) == told(Prover(wanted, text).run())


@needs_gnu
@pytest.mark.parametrize("wrong", [w for w in ALL if w.version == "4.7"][::6], ids=lambda wrong: wrong.name)
def test_a_wrong_one_is_refuted_when_it_is_linked(wrong: Wrong, tmp_path: Path) -> None:
    unit = wrong.unit()
    alone = Prover(wrong.kernel, unit).run()
    assert Prover(wrong.kernel, linked(tmp_path, wrong.kernel, unit)).run().refuted == alone.refuted


@pytest.mark.parametrize("version", ["4.7", "5.18", "6.18"])
def test_an_object_has_the_proof_of_its_text(version: str) -> None:
    wanted = kernel(version)
    text = emitted(wanted)
    again = api.trampolines(wanted, text=write_object(text))
    assert told(Prover(wanted, again).run()) == told(Prover(wanted, text).run())


@pytest.mark.parametrize("path", sorted(OTHERS.glob("*.S")), ids=lambda path: path.stem)
def test_trampolines_that_others_might_write(path: Path) -> None:
    wanted = kernel(path.stem.split("_")[-1])
    proof = Prover(wanted, api.trampolines(wanted, source=path)).run()
    assert proof.refuted == (), [(r.statement, r.where, r.what, r.seen) for r in proof.refutations]
    assert proof.undecided == ()


def test_thread_info_found_another_way() -> None:
    """An address that is no base and number as it is written is decided by the solver."""
    wanted = kernel("4.7")
    text = api.emit_source(wanted).text
    for comment in ("\t\t/* current_thread_info() */", ""):
        old = f"\tclrrdi\tr12, r1, THREAD_SHIFT{comment}\n"
        assert text.count(old) == 1
        text = text.replace(old, "\tclrldi\tr11, r1, 64-THREAD_SHIFT\n\tsub\tr12, r1, r11\n")
    assert Prover(wanted, api.trampolines(wanted, text=text)).run().holds
    wrong = text.replace("64-THREAD_SHIFT\n\tsub\tr12", "63-THREAD_SHIFT\n\tsub\tr12", 1)
    assert "X3" in Prover(wanted, api.trampolines(wanted, text=wrong)).run().refuted
