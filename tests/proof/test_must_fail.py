"""Every wrong trampoline is refuted, and a refutation is a call that breaks the same statement in the emulator."""

from __future__ import annotations

import pytest

from lpgen.api import judge_replay, prove_unit
from lpgen.contract.replay import parse_replay, replay_text
from lpgen.proof.assumptions import assumptions
from lpgen.proof.prover import Prover
from lpgen.report.proof_text import proof_text
from tests.contract.must_fail import ALL, KERNEL, Wrong

# What the proof sees of it is a consequence of what verify sees: the statement that fails first on every path.
OTHER_STATEMENT = {"handler_shares_thread_info": "X3"}
# Refuted, and yet no call of the emulated world shows it, with the reason.
NOT_SHOWN = {
    # A sibling call through the handler's own address, for every return address.
    "handler_tail_jumps": {"L4"},
    # MSR[EE] is off at the entry; in the emulator it is on.
    "caller_calls_with_interrupts_off": {"X1", "X3", "S8"},
    # livepatch_sp is not lowered but set: seen in nested calls only, where that is L6's.
    "handler_resets_livepatch_sp": {"L4"},
    # What lies in front of the stub's ops is never such that the tracer is left out.
    "ops_of_another_slot": {"X1"},
    # C, or the direct trampoline, at the very address that the wrong nip has.
    "ool_nip_always_backwards": {"X3", "S7"},
    "ool_nip_is_the_stub": {"X3", "S7"},
    "ool_nip_unsigned": {"X3", "S7"},
}


@pytest.mark.parametrize("wrong", ALL, ids=lambda wrong: wrong.name)
def test_refuted_and_replayed(wrong: Wrong) -> None:
    unit = wrong.unit()
    result = prove_unit(wrong.kernel, unit)
    wanted = {OTHER_STATEMENT[wrong.name]} if wrong.name in OTHER_STATEMENT else set(wrong.breaks)
    assert wanted & set(result.refuted), f"{wrong.why}: refuted {result.refuted}"
    shown = {id_: one.replay for id_, one in result.shown.items()}
    assert list(shown) == list(result.refuted)
    assert {id_ for id_, replay in shown.items() if replay is None} <= NOT_SHOWN.get(wrong.name, set())
    assert wanted & {id_ for id_, replay in shown.items() if replay is not None}
    for id_, replay in shown.items():
        if replay is None:
            continue
        # As a file, and in worlds of its own.
        read = parse_replay(replay_text(replay), "x.json")
        assert read == replay
        verdict = judge_replay(wrong.kernel, unit, read)
        assert id_ in verdict.broken, f"{id_} by {read.plan}, {list(read.values.words())}: {verdict.broken}"


def test_the_unedited_text_is_proved() -> None:
    assert Prover(KERNEL, Wrong("unedited", (), "", "", ()).unit()).run().holds


def test_the_report_says_what_is_assumed() -> None:
    wrong = next(w for w in ALL if w.name == "caller_compares_words")
    result = prove_unit(wrong.kernel, wrong.unit())
    text = proof_text(result)
    assert "REFUTED: X3" in text
    said = " ".join(text.split())
    for one in assumptions(wrong.kernel):
        assert one.text in said
        assert f"guard: {one.guard}" in said
