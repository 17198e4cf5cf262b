"""A short run of the rounds: each kind of fault on the newest server, a share of them on each of the others.

Seeds are fixed, so that the suite does the same each time; `make chaos` draws new ones.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.chaos.conftest import ArenaOf
from tests.chaos.injuries import KINDS
from tests.chaos.rounds import a_round, possible
from tests.conftest import versions


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Deal the kinds of faults out to the versions."""
    if "kind" in metafunc.fixturenames:
        chosen = list(_dealt(versions(metafunc.config)))
        metafunc.parametrize(
            ("version", "kind"), chosen, ids=[f"pg{version}-{kind}" for version, kind in chosen]
        )


def _dealt(tested: list[str]) -> Iterator[tuple[str, str]]:
    newest, *others = tested
    for place, kind in enumerate(KINDS):
        yield newest, kind
        if others:
            yield others[place % len(others)], kind


def test_each_row_arrives_exactly_once_whatever_happens(arenas: ArenaOf, version: str, kind: str) -> None:
    place = list(KINDS).index(kind) + int(version)
    case = possible()[place % len(possible())]

    struck = arenas(version).play(a_round(version, seed=place, case=case, kinds=[kind]))

    assert kind in [fault.kind for fault in struck]
