"""A plan in words and as a document; whole plans are kept in tests/golden."""

from __future__ import annotations

import json

from syncengine import planner, registry
from syncengine.model.plan import Plan
from syncengine.model.report import COUNTERS
from tests.builders import a_column, a_source, a_table, a_task, an_index

ORDERS = a_table(a_column("id integer", not_null=True), "qty integer", indexes=(an_index("id"),))


def a_plan(spec: str = "conflict_keys: [id]", **table: object) -> Plan:
    task = a_task(
        spec,
        a_table(**{"columns": ORDERS.columns, "indexes": ORDERS.indexes, **table}),
        a_source("id", "qty"),
    )
    return planner.plan(task, registry.mode(task.spec.mode), registry.strategies(), connection="warehouse")


def test_plan_in_words():
    assert a_plan("conflict_keys: [id]\nexecution: {method: staged}").explain() == (
        "orders: upsert rows.csv into shop.orders by staged (cost 4.2k rows)\n"
        "  target   warehouse\n"
        "  because  id is covered by orders_id_key; about 1,000 rows, 2 columns; the source hands over CSV bytes\n"
        "  or else  rows: fits too, cost 6k rows\n"
        "  refused  copy: straight COPY cannot resolve conflicts (mode is upsert)\n"
        "  checked  shop.orders is a table with 2 columns\n"
        "  checked  2 columns are loaded: id, qty\n"
        "  checked  conflicts are arbitrated by orders_id_key (id)\n"
        "  checked  loader has the rights it needs\n"
        "  stage    a transaction for each chunk of the source, several at a time\n"
        "    - hold the run: no other process writes for it\n"
        "    - create syncengine.stage_run\n"
        "    - COPY 2 fields into staging\n"
        "    - analyze the staged keys\n"
        "    - note the chunk in the ledger\n"
        "  publish  one transaction, repeatable read\n"
        "    - hold the run: no other process writes for it\n"
        "    - index the keys: it proves that each comes once, or the next 3 steps look for duplicates\n"
        "    - find keys that come twice (id)\n"
        "    - no key with two different rows\n"
        "    - take duplicates out\n"
        "    - no row without a key\n"
        "    - classify: join with the target, keep what changes\n"
        "    - analyze the changes\n"
        "    - count the classes\n"
        "    - update the rows that change\n"
        "    - insert the new rows\n"
        "    - note in the ledger that the run is done\n"
        "  tidy     own transaction, whatever happened before\n"
        "    - drop syncengine.stage_run\n"
    )


def test_every_statement_stands_below_its_title():
    lines = a_plan().explain(sql=True).splitlines()

    titles = [place for place, line in enumerate(lines) if line.startswith("    -- ")]
    assert len(titles) == len(a_plan().steps)
    assert all(lines[place + 1].endswith(";") for place in titles)


def test_a_name_with_line_breaks_stays_inside_its_comment():
    text = a_plan("mode: insert", name="a\nDROP TABLE b; --").explain(sql=True)

    titles = [line for line in text.splitlines() if line.startswith("    -- COPY")]
    assert titles == ["    -- COPY 2 columns into shop.a DROP TABLE b; --"]


def test_document_has_the_statements_and_no_counters_yet():
    whole = json.loads(a_plan().to_json())

    (spec,) = whole["specs"]
    assert (whole["format"], whole["ok"], spec["strategy"], spec["error"]) == (1, True, "staged", None)
    assert {name: spec[name] for name in COUNTERS} == dict.fromkeys(COUNTERS)
    assert {"reasons", "steps", "checks", "warnings", "refused"} <= spec.keys()
    assert [step["sql"] for step in spec["steps"]] == [step.sql for step in a_plan().steps]
