"""JSON for machines: exactly the keys of docs/spec.md §6."""

from __future__ import annotations

import json
from typing import Any

import pytest

from syncengine import planner, registry
from syncengine.errors import BadRow, Location, SpecError, SpecErrors, SyncError
from syncengine.model import events as ev
from syncengine.model.report import COUNTERS, Report
from syncengine.views.json import PLUGIN
from tests.builders import a_table, a_task, an_index, parsed

KEYS = {"name", "mode", "strategy", *COUNTERS, "bytes_read", "seconds", "resumed", "error"}
ERROR = BadRow("bad", detail="x is no number", hint="mend it", location=Location("rows.csv", 3))
STARTED = ev.SpecStarted(
    name="orders", mode="upsert", strategy="staged", target="shop.orders", connection="db"
)
DONE = Report.of(
    [
        STARTED,
        ev.UnitStarted(unit="publish", attempt=1),
        ev.RowsRead(unit="publish", rows=3, bytes=40),
        ev.Classified(unit="publish", insert=1, update=0, unchanged=2, skipped=0),
        ev.RowsCounted(unit="publish", counter="inserted", rows=1),
        ev.UnitCommitted(unit="publish", seconds=0.1),
        ev.SpecFinished(seconds=1.23456),
    ]
)
FAILED = Report.of([STARTED, ev.SpecFailed(error=ERROR)])


def of_reports(*reports: Report) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(PLUGIN.reports("abc", reports))
    return document


def test_report_has_the_keys_of_the_contract():
    document = of_reports(DONE)

    assert {"format": 1, "run_id": "abc", "ok": True}.items() <= document.items()
    (spec,) = document["specs"]
    assert spec.keys() >= KEYS
    assert (spec["name"], spec["mode"], spec["strategy"], spec["error"]) == (
        "orders",
        "upsert",
        "staged",
        None,
    )
    assert [spec[name] for name in COUNTERS] == [3, 1, 0, 2, 0, 0, 0, 0]
    assert (spec["bytes_read"], spec["seconds"], spec["resumed"]) == (40, 1.235, False)


def test_failure_has_its_error_and_counts_nothing():
    document = of_reports(DONE, FAILED)

    assert document["ok"] is False
    spec = document["specs"][1]
    assert {spec[name] for name in COUNTERS} == {0}
    assert spec["error"] == {
        "code": "bad-row",
        "message": "bad",
        "detail": "x is no number",
        "hint": "mend it",
        "location": {"file": "rows.csv", "line": 3, "column": 0},
    }


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(
            SpecErrors([SpecError("a", location=Location("s.yaml", 1, 2)), SpecError("b")]), id="several"
        ),
        pytest.param(SpecError("a", location=Location("s.yaml", 1, 2)), id="one"),
    ],
)
def test_problems_are_one_entry_each(error: SyncError):
    document = json.loads(PLUGIN.problems("abc", error))

    assert (document["format"], document["run_id"], document["ok"]) == (1, "abc", False)
    assert [spec["error"]["message"] for spec in document["specs"]] == [one.message for one in error.each()]
    assert document["specs"][0]["name"] == "s.yaml"
    assert all(spec.keys() == KEYS for spec in document["specs"])


def test_error_without_a_place_has_null_for_it():
    (spec,) = json.loads(PLUGIN.problems("", SpecError("a")))["specs"]

    assert spec["error"] == {
        "code": "invalid-spec",
        "message": "a",
        "detail": None,
        "hint": None,
        "location": None,
    }


def test_plans_and_what_could_not_be_planned_stand_in_one_list():
    task = a_task("conflict_keys: [id]", a_table("id integer", "name", indexes=(an_index("id"),)))
    plan = planner.plan(task, registry.mode("upsert"), registry.strategies(), connection="db")

    document = json.loads(PLUGIN.plans([plan], [("other", ERROR)], sql=False))

    assert document["ok"] is False
    first, second = document["specs"]
    assert first.keys() >= {"name", "strategy", "reasons", "steps", "checks", "error", *COUNTERS}
    assert all(step["sql"] for step in first["steps"])
    assert {first[name] for name in COUNTERS} == {None}
    assert (second["name"], second["error"]["code"]) == ("other", "bad-row")


def test_valid_specs_are_listed():
    document = json.loads(PLUGIN.valid([parsed("mode: insert")]))

    assert document == {
        "format": 1,
        "ok": True,
        "specs": [
            {"name": "orders", "file": "s.yaml", "mode": "insert", "target": "shop.orders", "error": None}
        ],
    }


def test_no_specs_are_fine():
    assert of_reports() == {"format": 1, "run_id": "abc", "ok": True, "specs": []}


def test_text_is_not_escaped_to_ascii():
    assert "größe" in PLUGIN.problems("", SpecError("größe"))
