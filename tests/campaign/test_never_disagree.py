"""Verify and prove never disagree: both are asked about every mutant of one generation, to their ends.

What the campaign says of the others is in the README; here is that its figures are those of a run.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lpgen.api import trampolines
from lpgen.campaign.mutation import Asked, Subject, campaign, id_of, run
from lpgen.campaign.outcome import Outcome, Score
from lpgen.campaign.store import Store
from lpgen.kernel.generations import kernel, spans, versions_of

VERSION = "4.7"
SHARDS = 8
README = Path(__file__).parents[2] / "README.md"


def _outcomes(version: str, asked: Asked, shard: tuple[int, int], path: Path) -> list[Outcome]:
    made = kernel(version)
    planned = campaign(Subject(made, trampolines(made)), asked)
    store = Store(path, dict(planned.about))
    try:
        run(planned, store, shard, 1, None, None)
        known = store.outcomes()
    finally:
        store.close()
    return [known[id_of(piece)] for chunk in planned.shard(*shard) for piece in chunk]


@pytest.mark.parametrize("shard", range(1, SHARDS + 1))
def test_every_mutant_is_asked_of_both(shard: int, tmp_path: Path) -> None:
    found = _outcomes(VERSION, Asked(thorough=True), (shard, SHARDS), tmp_path / "all.sqlite")
    said = [f"{o.id}: verify {o.verify} {o.statements}, prove {o.prove} {o.refuted}" for o in found]
    differ = [text for text, o in zip(said, found, strict=True) if o.only_verify or o.only_prove or o.contradicted]
    assert differ == []
    assert [o.id for o in found if o.state == "survived"] == []
    asked = [o for o in found if not (o.same or o.acceptance)]
    assert len(asked) > 100
    assert {(o.verify, o.prove) for o in asked} <= {("killed", "refuted"), ("passed", "proved")}


def _rows() -> dict[str, list[int]]:
    """The README's table: by kernel the number of mutants, and what became of them."""
    found = {}
    for line in README.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if re.fullmatch(r"G[0-9]+", cells[0]) and len(cells) == 8:
            found[cells[1]] = [int(cell.replace(",", "")) for cell in cells[2:]]
    return found


def test_the_readme_has_every_generation() -> None:
    firsts = [versions_of(generation)[0] for generation, _, _ in spans()]
    assert set(firsts) <= set(_rows())


@pytest.mark.parametrize("version", _rows())
def test_the_readme_counts_the_mutants_that_there_are(version: str) -> None:
    made = kernel(version)
    planned = campaign(Subject(made, trampolines(made)), Asked())
    mutants, *_ = _rows()[version]
    # What is left out of a template without a change of the code is none.
    assert mutants <= len(planned.ids) <= mutants + 40


@pytest.mark.parametrize("version", _rows())
def test_a_part_of_each_generations_campaign(version: str, tmp_path: Path) -> None:
    score = Score.of(_outcomes(version, Asked(), (3, 24), tmp_path / "part.sqlite"))
    assert score.survived == score.only_verify == score.only_prove == 0
    assert score.killed > 40
