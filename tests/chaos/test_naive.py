"""The rounds have teeth: a loader that notes its progress after the commit does not pass them."""

from __future__ import annotations

import pytest

from tests.chaos import naive
from tests.chaos.conftest import ArenaOf
from tests.chaos.injuries import Fault
from tests.chaos.judge import Violation
from tests.chaos.rounds import Round, a_round
from tests.conftest import newest

ROUNDS = 6
CASE = "add-chunks"


@pytest.mark.parametrize("kind", ["commit-lost-after", "kill-at-commit"])
def test_a_loader_that_notes_progress_after_the_commit_counts_rows_twice(
    arenas: ArenaOf, pytestconfig: pytest.Config, kind: str
) -> None:
    version = newest(pytestconfig)
    faults = (Fault(kind=kind, place=0.5, strength=0.5),)

    with pytest.raises(Violation, match="the table"):
        arenas(version).play(Round(version=version, case=CASE, seed=1, faults=faults), naive.command)


def test_chance_finds_it_as_well(arenas: ArenaOf, pytestconfig: pytest.Config) -> None:
    version = newest(pytestconfig)
    kinds = ["kill-at-commit", "commit-lost-after", "cut", "kill"]

    found = 0
    for seed in range(ROUNDS):
        try:
            arenas(version).play(a_round(version, seed, case=CASE, kinds=kinds), naive.command)
        except Violation:
            found += 1

    assert found


def test_undisturbed_it_does_what_it_should(arenas: ArenaOf, pytestconfig: pytest.Config) -> None:
    version = newest(pytestconfig)

    assert arenas(version).play(Round(version=version, case=CASE, seed=1, faults=()), naive.command) == []
