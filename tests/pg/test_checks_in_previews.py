"""Checks in `plan --diff`: they see the target as the run would leave it, whatever the mode and its spelling."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import syncengine
from tests.servers import Database

STORED = """
CREATE TABLE {name} (
    id int {unique}, v text DEFAULT 'v0', n int DEFAULT 7, gone boolean NOT NULL DEFAULT false,
    twice int GENERATED ALWAYS AS (n * 2) STORED
);
INSERT INTO {name} (id, v, n) VALUES (1, 'same', 1), (2, 'other', 2), (3, 'gone', 3), (4, 'kept', 4)"""
ROWS = [{"id": 1, "v": "same"}, {"id": 2, "v": "new"}, {"id": 4, "v": "kept"}, {"id": 9, "v": "added"}]
# `u` holds what a run made of the same rows.
SAME = """
SELECT NOT EXISTS (
    (SELECT {columns} FROM t EXCEPT ALL SELECT {columns} FROM u)
    UNION ALL (SELECT {columns} FROM u EXCEPT ALL SELECT {columns} FROM t)
)"""
WIDE = {"limits": {"max_deletes": "100%"}}
KEYED: dict[str, Any] = {"conflict_keys": ["id"]}


@pytest.fixture
def db(emptied: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Database:
    monkeypatch.chdir(tmp_path)
    return emptied


def verdict(db: Database, rows: object, sql: str, **spec: Any) -> str:
    """Return what a preview makes of a check: holds, fails, or not checked."""
    whole = {"name": "t", "target": "t", "checks": [{"name": "c", "sql": sql}], **spec}
    found = syncengine.plan(whole, source=rows, connection=db.url, diff=True).preview
    assert found is not None
    if found.unchecked:
        return "not checked"
    if found.error is not None:
        assert found.error.code == "check-failed"
    return "holds" if found.error is None else "fails"


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param({"mode": "insert"}, id="insert"),
        pytest.param({"mode": "ignore", **KEYED}, id="ignore"),
        pytest.param({"mode": "upsert", **KEYED}, id="upsert"),
        pytest.param({"where": "false", **KEYED}, id="upsert-with-a-guard"),
        pytest.param(
            {"update_columns": ["*", {"n": "target.n + 1"}], **KEYED}, id="upsert-with-an-expression"
        ),
        pytest.param({"update_columns": {"v": "append"}, **KEYED}, id="append"),
        pytest.param({"mode": "update", **KEYED}, id="update"),
        pytest.param({"mode": "mirror", **KEYED, **WIDE}, id="mirror"),
        pytest.param(
            {"mode": "mirror", "delete": {"scope": "target.id > 3"}, **KEYED}, id="mirror-within-a-scope"
        ),
        pytest.param({"mode": "mirror", "delete": {"soft": {"gone": "true"}}, **KEYED}, id="soft-mirror"),
        pytest.param(
            {"mode": "mirror", "delete": {"soft": {"gone": "true"}, "live": "false"}, **KEYED},
            id="soft-with-live",
        ),
        pytest.param({"mode": "replace", **KEYED}, id="replace"),
        pytest.param({"mode": "replace"}, id="replace-without-a-key"),
    ],
)
def test_a_check_sees_what_the_run_leaves(db: Database, spec: dict[str, Any]):
    # Where rows are updated generated columns are not known before.
    columns = "id, v, n, gone"
    unique = "UNIQUE" if spec.get("conflict_keys") else ""
    for name in ("t", "u"):
        db.execute(STORED.format(name=name, unique=unique))
    syncengine.run({"name": "u", "target": "u", **spec}, source=ROWS, connection=db.url)

    assert verdict(db, ROWS, SAME.format(columns=columns), **spec) == "holds"
    assert verdict(db, ROWS, "SELECT NOT (" + SAME.format(columns=columns) + ")", **spec) == "fails"
    # The stored rows themselves are as they were, so the same check on them fails wherever the run writes.
    assert db.one(SAME.format(columns=columns)) is False


def test_a_check_sees_versions(db: Database):
    for name in ("t", "u"):
        db.execute(
            f"CREATE TABLE {name} (id int, v text, valid_from date, valid_to date, now boolean, since date)"
        )
        db.execute(
            f"INSERT INTO {name} VALUES (1, 'same', '2020-01-01', NULL, true, '2020-01-01'),"
            " (2, 'other', '2020-01-01', NULL, true, '2020-01-01'), (3, 'gone', '2020-01-01', NULL, true, NULL),"
            " (4, 'corrected', '2021-01-01', NULL, true, NULL)"
        )
    rows = [
        {"id": 1, "v": "same", "since": "2020-01-01"},
        {"id": 2, "v": "new", "since": "2021-01-01"},
        {"id": 4, "v": "right", "since": "2021-01-01"},
        {"id": 9, "v": "added", "since": "2021-01-01"},
    ]
    spec: dict[str, Any] = {
        "mode": "history",
        "history": {"valid_from": {"valid_from": "excluded.since"}, "current": "now", "track": ["v"]},
        **KEYED,
    }
    syncengine.run({"name": "u", "target": "u", **spec}, source=rows, connection=db.url)

    assert (
        verdict(db, rows, SAME.format(columns="id, v, valid_from, valid_to, now, since"), **spec) == "holds"
    )


def test_a_check_sees_partial_rows(db: Database):
    for name in ("t", "u"):
        db.execute(STORED.format(name=name, unique="UNIQUE"))
    records = [{"id": 1, "n": 5}, {"id": 2, "v": None}, {"id": 9, "v": "x"}, {"id": 8, "n": None}]
    Path("t.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    spec = {"source": {"path": "t.jsonl", "absent": "keep"}, **KEYED}
    syncengine.run({"name": "u", "target": "u", **spec}, connection=db.url)

    assert verdict(db, None, SAME.format(columns="id, v, n, gone"), **spec) == "holds"


# After the upsert of ROWS: ids 1, 2, 3, 4, 9.
@pytest.mark.parametrize(
    "sql",
    [
        "SELECT count(*) = 5 FROM t",
        "SELECT count(*) = 5 FROM public.t",
        'SELECT count(*) = 5 FROM "public"."t"',
        "SELECT count(*) = 5 FROM t AS x",
        "SELECT count(t.*) = 5 FROM t",
        "SELECT bool_or(t.v = 'new') FROM t",
        "SELECT bool_or(t::text LIKE '%new%') FROM t",
        "SELECT count(*) = 5 FROM (SELECT DISTINCT id FROM t) AS ids",
        "SELECT (SELECT count(*) FROM t) = 5",
        "SELECT EXISTS (SELECT FROM t WHERE id = 9)",
        "SELECT 9 IN (SELECT id FROM t)",
        "SELECT count(*) = 5 FROM t JOIN t AS other USING (id)",
        "SELECT count(*) = 25 FROM t, t AS other",
        "WITH n AS (SELECT * FROM t) SELECT count(*) = 5 FROM n",
        "SELECT count(*) = 10 FROM (SELECT id FROM t UNION ALL SELECT id FROM t) AS ids",
        "SELECT count(*) = 5 FROM t LEFT JOIN LATERAL (SELECT 1 FROM t AS o WHERE o.id = t.id) AS l ON true",
        "SELECT array_agg(id ORDER BY id) = '{1,2,3,4,9}' FROM t",
        "SELECT count(*) FILTER (WHERE v = 'added') = 1 FROM t GROUP BY ()",
        "SELECT max(id) = 9 FROM t",
        "SELECT count(*) OVER (ORDER BY id) = 5 FROM t ORDER BY id DESC LIMIT 1",
        "SELECT count(*) = 0 FROM other.t",
        "SELECT count(*) = 5 FROM ONLY t",
        "SELECT 'FROM t' <> 't' AND count(*) = 5 FROM t",
        "VALUES ((SELECT count(*) = 5 FROM t))",
    ],
)
def test_however_a_check_names_the_target(db: Database, sql: str):
    db.execute(STORED.format(name="t", unique="UNIQUE"))
    db.execute("CREATE SCHEMA other; CREATE TABLE other.t (id int)")

    assert verdict(db, ROWS, sql, **KEYED) == "holds"
    syncengine.run(
        {"name": "t", "target": "t", "checks": [{"sql": sql}], **KEYED}, source=ROWS, connection=db.url
    )


# What a view can't tell is not guessed at.
@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        pytest.param("SELECT counted() = 5", "fails", id="through-a-function-the-stored-rows-are-seen"),
        pytest.param("SELECT count(*) = 5 FROM v", "fails", id="through-a-view-the-stored-rows-are-seen"),
    ],
)
def test_what_reads_the_table_by_itself_sees_the_stored_rows(db: Database, sql: str, expected: str):
    db.execute(STORED.format(name="t", unique="UNIQUE"))
    db.execute(
        "CREATE VIEW v AS SELECT * FROM t;"
        "CREATE FUNCTION counted() RETURNS bigint LANGUAGE sql STABLE AS 'SELECT count(*) FROM public.t'"
    )

    assert verdict(db, ROWS, sql, **KEYED) == expected


@pytest.mark.parametrize(
    "sql",
    [
        pytest.param("SELECT count(*) = 5 FROM t TABLESAMPLE system (100)", id="sampled"),
        pytest.param("SELECT bool_and(tableoid = 't'::regclass) FROM t", id="system-columns"),
        pytest.param("SELECT bool_or(public.t.v = 'new') FROM public.t", id="columns-with-the-schema"),
    ],
)
def test_what_only_a_table_has_is_left_to_the_run(db: Database, sql: str):
    db.execute(STORED.format(name="t", unique="UNIQUE"))

    assert verdict(db, ROWS, sql, **KEYED) in ("not checked", "holds")


def test_tables_with_odd_names_are_checked(db: Database):
    db.execute(
        'CREATE SCHEMA "my shop"; CREATE TABLE "my shop"."T ""x""" (id int PRIMARY KEY, "select" text)'
    )
    sql = 'SELECT count(*) = 1 FROM "my shop"."T ""x""" WHERE "select" = \'a\''
    target = '"my shop"."T ""x"""'

    assert verdict(db, [{"id": 1, "select": "a"}], sql, target=target, **KEYED) == "holds"
    assert verdict(db, [{"id": 1, "select": "b"}], sql, target=target, **KEYED) == "fails"


def test_a_table_to_be_created_is_checked(db: Database):
    target = {"table": "fresh", "create": True}

    assert verdict(db, ROWS, "SELECT count(*) = 4 FROM fresh", target=target, **KEYED) == "holds"
    assert verdict(db, ROWS, "SELECT count(*) = 0 FROM fresh", target=target, **KEYED) == "fails"
