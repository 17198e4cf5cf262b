"""Text for people: reports, problems and valid specs; plans are in tests/golden."""

from __future__ import annotations

import pytest

from syncengine import registry
from syncengine.errors import BadRow, DependencyFailed, Location, OptionError, SpecError, SpecErrors
from syncengine.model import events as ev
from syncengine.model.report import Report
from syncengine.views.text import PLUGIN
from tests.builders import parsed

STARTED = ev.SpecStarted(
    name="orders", mode="upsert", strategy="staged", target="shop.orders", connection="db"
)
COMMITTED = [
    ev.UnitStarted(unit="publish", attempt=1),
    ev.RowsRead(unit="publish", rows=1_234_567, bytes=40),
    ev.RowsCounted(unit="publish", counter="duplicates", rows=4),
    ev.Classified(unit="publish", insert=1_200_000, update=500, unchanged=34_000, skipped=63),
    ev.RowsCounted(unit="publish", counter="inserted", rows=1_200_000),
    ev.RowsCounted(unit="publish", counter="updated", rows=500),
    ev.UnitCommitted(unit="publish", seconds=0.1),
]
ERROR = BadRow("column qty: no number", hint="mend it", location=Location("rows.csv", 3))


@pytest.mark.parametrize(
    ("events", "text"),
    [
        pytest.param(
            [*COMMITTED, ev.FileWritten(path="out.csv", rows=2), ev.SpecFinished(seconds=61.234)],
            "orders: upsert into shop.orders (db) by staged in 61.23 s\n"
            "  1,234,567 rows read = 1,200,000 inserted, 500 updated, 34,000 unchanged, 63 skipped, 4 duplicates\n"
            "  returned rows are in out.csv\n",
            id="done",
        ),
        pytest.param(
            [ev.SpecFailed(error=ERROR)],
            "orders: failed, shop.orders is as it was\n"
            "  rows.csv:3: column qty: no number [bad-row]\n"
            "    hint:   mend it\n",
            id="failed",
        ),
        pytest.param(
            [*COMMITTED, ev.SpecFailed(error=BadRow("can't write out.csv"))],
            "orders: failed, 1,200,500 rows of shop.orders are written\n  can't write out.csv [bad-row]\n",
            id="failed-after-the-commit",
        ),
        pytest.param(
            [ev.SpecFailed(error=DependencyFailed("the spec `a` failed, and this one depends on it"))],
            "orders: not run, shop.orders is as it was\n"
            "  the spec `a` failed, and this one depends on it [dependency-failed]\n",
            id="not-run",
        ),
    ],
)
def test_report(events: list[ev.Event], text: str):
    assert PLUGIN.reports("abc", [Report.of([STARTED, *events])]) == text


def test_problems_stand_one_below_the_other_with_place_code_detail_and_hint():
    error = SpecErrors(
        [
            SpecError(
                "no such key", detail="modus", hint="did you mean `mode`?", location=Location("s.yaml", 2, 1)
            ),
            OptionError("no connection"),
        ]
    )

    assert PLUGIN.problems("abc", error) == (
        "s.yaml:2:1: no such key [invalid-spec]\n"
        "  detail: modus\n"
        "  hint:   did you mean `mode`?\n"
        "no connection [invalid-option]\n"
    )


def test_valid_specs_are_named():
    assert PLUGIN.valid([parsed("mode: insert")]) == "s.yaml: orders is valid (insert into shop.orders)\n"


def test_views_are_found_by_their_names():
    assert {name: registry.view(name).name for name in registry.names("views")} == {
        "json": "json",
        "text": "text",
    }
