"""Rows of the tables by which modes are tested: what is there, what comes in, what must be left and counted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.features import needs
from tests.runs import counts, places, refused, sync
from tests.servers import Database

METHODS = ["staged", "rows"]
Row = tuple[object, ...]
Record = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Case:
    """A run into table t; the same run again must write nothing, and count all rows as unchanged or as `again` says."""

    ddl: str
    rows: list[Record]
    books: Mapping[str, int]
    left: list[Row]
    spec: Mapping[str, Any] = field(default_factory=dict)
    look: str = "SELECT * FROM t ORDER BY 1"
    again: Mapping[str, int] | None = None
    rewrites: bool = False


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """A run into table t that must end with an error, and leave all tables as they were."""

    ddl: str
    rows: list[Record]
    code: str
    exit_code: int
    says: str
    spec: Mapping[str, Any] = field(default_factory=dict)
    watch: tuple[str, ...] = ("t",)


def judge(db: Database, case: Case, method: str, **base: Any) -> None:
    """Run a case by a strategy, twice, and hold books and table against what it says."""
    db.execute(case.ddl)
    spec = _spec(base, case.spec, method)

    report = sync(db, case.rows, **spec)

    assert counts(report) == dict(case.books)
    assert report.rows_read == len(case.rows)
    assert db.execute(case.look) == case.left
    before = places(db)
    second = sync(db, case.rows, **spec)
    expected = {"unchanged": len(case.rows)} if case.again is None else dict(case.again)
    assert counts(second) == {name: count for name, count in expected.items() if count}
    assert case.rewrites or places(db) == before


def judge_refusal(db: Database, refusal: Refusal, method: str, **base: Any) -> None:
    """Run what must be refused, and look that nothing changed."""
    db.execute(refusal.ddl)
    before = [places(db, table) for table in refusal.watch]

    error = refused(db, refusal.rows, **_spec(base, refusal.spec, method))

    assert (error.code, error.exit_code) == (refusal.code, refusal.exit_code), str(error)
    assert refusal.says in str(error)
    assert [places(db, table) for table in refusal.watch] == before


def _spec(base: Mapping[str, Any], own: Mapping[str, Any], method: str) -> dict[str, Any]:
    rest = {
        key: value
        for key, value in base.items()
        if key != "conflict_keys" or "conflict_constraint" not in own
    }
    return {**rest, **own, "execution": {"method": method}}


def refusals(table: Mapping[str, Refusal]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Parametrize a test over `case` and `method`; what a plan refuses, no strategy gets to see."""
    return pytest.mark.parametrize(
        ("case", "method"),
        [
            pytest.param(case, method, id=f"{name}-{method}", marks=needs(case.ddl))
            for name, case in table.items()
            for method in (METHODS if case.exit_code != 3 else METHODS[:1])
        ],
    )


def by_id(table: Mapping[str, Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Parametrize a test over `case`, each named by its rule."""
    cases = [
        pytest.param(case, id=name, marks=needs(getattr(case, "ddl", ""))) for name, case in table.items()
    ]
    return pytest.mark.parametrize("case", cases)
