"""docs/spec.md §2, `update_columns`, and §11, rule 2: the rules by name, and the columns that decide a change."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import syncengine
from syncengine.errors import LimitExceeded
from tests.modecases import METHODS, Case, Record, by_id, judge
from tests.runs import counts, sync
from tests.servers import Database


@pytest.fixture
def db(emptied: Database) -> Database:
    return emptied


def named(cases: dict[str, tuple[str, str, str | None, object, str | None]]) -> Any:
    return pytest.mark.parametrize(
        ("type_name", "rule", "stored", "incoming", "result"),
        [pytest.param(*case, id=name) for name, case in cases.items()],
    )


# What is stored and comes in, and the text of what is stored then.
RULES: dict[str, tuple[str, str, str | None, object, str | None]] = {
    "coalesce-takes-a-value": ("int", "coalesce", "1", 2, "2"),
    "coalesce-keeps-for-null": ("int", "coalesce", "1", None, "1"),
    "coalesce-over-null": ("int", "coalesce", None, 2, "2"),
    "coalesce-of-nulls": ("int", "coalesce", None, None, None),
    "coalesce-of-json": ("json", "coalesce", '{"a":1}', None, '{"a":1}'),
    "coalesce-takes-an-empty-text": ("text", "coalesce", "a", "", ""),
    "greatest-takes-the-greater": ("int", "greatest", "1", 2, "2"),
    "greatest-keeps-the-greater": ("int", "greatest", "3", 2, "3"),
    "greatest-keeps-for-null": ("int", "greatest", "1", None, "1"),
    "greatest-over-null": ("int", "greatest", None, -5, "-5"),
    "greatest-of-nulls": ("int", "greatest", None, None, None),
    "greatest-of-times": (
        "timestamptz",
        "greatest",
        "2024-01-01 00:00+00",
        "2024-01-01 00:00+01",
        "2024-01-01 00:00:00+00",
    ),
    "greatest-of-numbers-not-texts": ("numeric", "greatest", "9", "10", "10"),
    "greatest-of-texts": ("text", "greatest", "9", "10", "9"),
    "greatest-of-arrays": ("int[]", "greatest", "{1,2}", [1, 3], "{1,3}"),
    "least-takes-the-less": ("int", "least", "3", 2, "2"),
    "least-keeps-the-less": ("int", "least", "1", 2, "1"),
    "least-keeps-for-null": ("int", "least", "1", None, "1"),
    "least-over-null": ("date", "least", None, "2024-02-01", "2024-02-01"),
    "least-of-nulls": ("int", "least", None, None, None),
    "sum-of-integers": ("int", "sum", "1", 2, "3"),
    "sum-of-numerics-keeps-digits": ("numeric", "sum", "1.10", "2.200", "3.300"),
    "sum-is-rounded-as-an-assignment-does": ("numeric(8,1)", "sum", "1.2", "0.3", "1.5"),
    "sum-of-floats": ("float8", "sum", "0.5", 0.25, "0.75"),
    "sum-of-money": ("numeric(12,2)", "sum", "10.00", "-3.50", "6.50"),
    "sum-of-intervals": ("interval", "sum", "1 day", "2 hours", "1 day 02:00:00"),
    "sum-keeps-for-null": ("int", "sum", "1", None, "1"),
    "sum-over-null": ("int", "sum", None, 2, "2"),
    "sum-of-nulls": ("int", "sum", None, None, None),
    "append-to-a-text": ("text", "append", "a", "b", "ab"),
    "append-to-a-varchar": ("varchar(4)", "append", "a", "b", "ab"),
    "append-nothing": ("text", "append", "a", None, "a"),
    "append-to-null": ("text", "append", None, "b", "b"),
    "append-to-an-array": ("int[]", "append", "{1,2}", [2, 3], "{1,2,2,3}"),
    "append-to-an-array-of-texts": ("text[]", "append", "{a}", ["b,c", None], '{a,"b,c",NULL}'),
    "append-to-a-json-array": ("jsonb", "append", "[1]", [2], "[1, 2]"),
    "append-an-object-to-a-json-array": ("jsonb", "append", "[1]", {"a": 2}, '[1, {"a": 2}]'),
    "append-bytes": ("bytea", "append", "\\x01", "\\x02", "\\x0102"),
    "jsonb-merge-of-objects": (
        "jsonb",
        "jsonb_merge",
        '{"a": 1, "b": 2}',
        {"b": 3, "c": 4},
        '{"a": 1, "b": 3, "c": 4}',
    ),
    "jsonb-merge-is-shallow": ("jsonb", "jsonb_merge", '{"a": {"x": 1}}', {"a": {"y": 2}}, '{"a": {"y": 2}}'),
    "jsonb-merge-keeps-for-null": ("jsonb", "jsonb_merge", '{"a": 1}', None, '{"a": 1}'),
    "jsonb-merge-over-null": ("jsonb", "jsonb_merge", None, {"a": 1}, '{"a": 1}'),
    "jsonb-merge-of-a-null-member": ("jsonb", "jsonb_merge", '{"a": 1}', {"a": None}, '{"a": null}'),
    "jsonb-merge-an-array-over-an-object": ("jsonb", "jsonb_merge", '{"a": 1}', [1], "[1]"),
    "jsonb-merge-an-array-over-an-array": ("jsonb", "jsonb_merge", "[1]", [2], "[2]"),
    "jsonb-merge-an-object-over-an-array": ("jsonb", "jsonb_merge", "[1]", {"a": 1}, '{"a": 1}'),
    "keep": ("int", "keep", "1", 2, "1"),
    "keep-null": ("int", "keep", None, 2, None),
}


@named(RULES)
def test_a_rule_gives(
    db: Database,
    type_name: str,
    rule: str,
    stored: str | None,
    incoming: object,
    result: str | None,
):
    db.execute(f"CREATE TABLE t (id int PRIMARY KEY, v {type_name})")
    db.execute("INSERT INTO t VALUES (1, %s)", [stored])
    spec = {"conflict_keys": ["id"], "update_columns": {"v": rule}}

    report = sync(db, [{"id": 1, "v": incoming}, {"id": 2, "v": incoming}], **spec)

    changed = "unchanged" if result == db_text(db, type_name, stored) else "updated"
    if rule == "keep":
        changed = "skipped"
    assert counts(report) == {changed: 1, "inserted": 1}
    assert db.execute("SELECT v::text FROM t WHERE id = 1") == [(result,)]
    # A new row has what comes in.
    assert (
        db.one(
            f"SELECT v::text IS NOT DISTINCT FROM (SELECT v::text FROM (VALUES (%s::{type_name})) AS x (v))"
            " FROM t WHERE id = 2",
            [as_text(incoming, type_name)],
        )
        is True
    )


def db_text(db: Database, type_name: str, value: str | None) -> object:
    return db.one(f"SELECT %s::{type_name}::text", [value])


def as_text(value: object, type_name: str) -> object:
    return json.dumps(value) if "json" in type_name and value is not None else value


# Once is as good as twice: these may run as often as they like.
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("rule", "type_name", "stored", "incoming"),
    [
        pytest.param("coalesce", "int", "1", 2, id="coalesce"),
        pytest.param("greatest", "int", "1", 2, id="greatest"),
        pytest.param("least", "int", "3", 2, id="least"),
        pytest.param("jsonb_merge", "jsonb", '{"a": 1}', {"b": 2}, id="jsonb_merge"),
        pytest.param("jsonb_merge", "jsonb", "[1]", [2], id="jsonb_merge-of-arrays"),
    ],
)
def test_rules_that_do_not_add_up_change_nothing_the_second_time(
    db: Database, rule: str, type_name: str, stored: str, incoming: object, method: str
):
    db.execute(f"CREATE TABLE t (id int PRIMARY KEY, v {type_name})")
    db.execute("INSERT INTO t VALUES (1, %s)", [stored])
    spec = {"conflict_keys": ["id"], "update_columns": {"v": rule}, "execution": {"method": method}}

    books = [counts(sync(db, [{"id": 1, "v": incoming}], **spec)) for _ in range(2)]

    assert books == [{"updated": 1}, {"unchanged": 1}]
    # It was classified again, not passed over as published: the ledger is for what adds up.
    assert db.one("SELECT count(*) FROM syncengine.published") == 0


WRONG: dict[str, tuple[str, str]] = {
    "sum-of-texts": ("text", "sum"),
    "sum-of-booleans": ("boolean", "sum"),
    "sum-of-dates": ("date", "sum"),
    "sum-of-arrays": ("int[]", "sum"),
    "sum-of-jsonb": ("jsonb", "sum"),
    "append-to-a-number": ("int", "append"),
    "append-to-a-date": ("date", "append"),
    "append-to-json": ("json", "append"),
    "jsonb-merge-of-texts": ("text", "jsonb_merge"),
    "jsonb-merge-of-json": ("json", "jsonb_merge"),
    "jsonb-merge-of-arrays": ("int[]", "jsonb_merge"),
    "greatest-of-json": ("json", "greatest"),
    "least-of-points": ("point", "least"),
}


@pytest.mark.parametrize(("type_name", "rule"), WRONG.values(), ids=WRONG)
def test_a_rule_that_does_not_fit_its_type_is_refused_with_its_line(
    db: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, type_name: str, rule: str
):
    monkeypatch.chdir(tmp_path)
    db.execute(f"CREATE TABLE t (id int PRIMARY KEY, v {type_name}, w int)")
    Path("t.csv").write_text("id,v,w\n")
    Path("t.yaml").write_text(
        f"source: t.csv\ntarget: t\nconflict_keys: [id]\nupdate_columns:\n  - w\n  - {{v: {rule}}}\n"
    )

    for call in (syncengine.plan, syncengine.run):
        with pytest.raises(syncengine.SyncError) as failure:
            call("t.yaml", connection=db.url)
        assert failure.value.exit_code == 3
        assert failure.value.location is not None
        assert failure.value.location.line == 6
        assert rule in str(failure.value)


PLAIN = (
    "CREATE TABLE t (id int PRIMARY KEY, v text, n int, at timestamptz);"
    "INSERT INTO t VALUES (1, 'a', 1), (2, 'b', 2)"
)


def row(key: int, v: str | None, n: int | None) -> Record:
    return {"id": key, "v": v, "n": n}


LOOK = "SELECT id, v, n FROM t ORDER BY 1"
CASES: dict[str, Case] = {
    "a-later-item-overrides-an-earlier-one": Case(
        ddl=PLAIN,
        spec={"update_columns": ["*", {"n": "greatest"}]},
        rows=[row(1, "x", 0), row(2, "b", 3)],
        books={"updated": 2},
        look=LOOK,
        left=[(1, "x", 1), (2, "b", 3)],
    ),
    "a-star-after-a-rule-overrides-it": Case(
        ddl=PLAIN,
        spec={"update_columns": [{"n": "greatest"}, "*"]},
        rows=[row(1, "x", 0)],
        books={"updated": 1},
        look=LOOK,
        left=[(1, "x", 0), (2, "b", 2)],
    ),
    "keep-after-a-star-takes-a-column-out": Case(
        ddl=PLAIN,
        spec={"update_columns": ["*", {"n": "keep"}]},
        rows=[row(1, "x", 9), row(2, "b", 9)],
        books={"updated": 1, "unchanged": 1},
        look=LOOK,
        left=[(1, "x", 1), (2, "b", 2)],
    ),
    "a-mapping-may-stand-for-the-list": Case(
        ddl=PLAIN,
        spec={"update_columns": {"v": "coalesce", "n": "least"}},
        rows=[row(1, None, 5), row(2, "y", 1)],
        books={"unchanged": 1, "updated": 1},
        look=LOOK,
        left=[(1, "a", 1), (2, "y", 1)],
    ),
    "rule-2-columns-that-are-not-assigned-do-not-count": Case(
        ddl=PLAIN,
        spec={"update_columns": ["v"]},
        rows=[row(1, "a", 9), row(2, "x", 9)],
        books={"unchanged": 1, "updated": 1},
        look=LOOK,
        left=[(1, "a", 1), (2, "x", 2)],
    ),
    "rule-2-the-time-is-written-but-not-compared": Case(
        ddl=PLAIN,
        spec={"update_columns": ["v", {"at": "now()"}]},
        rows=[row(1, "a", 9), row(2, "x", 9)],
        books={"unchanged": 1, "updated": 1},
        look="SELECT id, v, at IS NOT NULL FROM t ORDER BY 1",
        left=[(1, "a", False), (2, "x", True)],
    ),
    "rule-2-only-the-time-is-assigned-so-loaded-columns-count": Case(
        ddl=PLAIN,
        spec={"update_columns": [{"at": "now()"}]},
        rows=[row(1, "a", 1), row(2, "b", 9)],
        books={"unchanged": 1, "updated": 1},
        look="SELECT id, n, at IS NOT NULL FROM t ORDER BY 1",
        left=[(1, 1, False), (2, 2, True)],
        again={"unchanged": 1, "updated": 1},
        rewrites=True,
    ),
    "rule-2-nothing-is-assigned-so-loaded-columns-count": Case(
        ddl=PLAIN,
        spec={"update_columns": []},
        rows=[row(1, "a", 1), row(2, "b", 9), row(3, "c", 3)],
        books={"unchanged": 1, "skipped": 1, "inserted": 1},
        look=LOOK,
        left=[(1, "a", 1), (2, "b", 2), (3, "c", 3)],
        again={"unchanged": 2, "skipped": 1},
    ),
    "rule-2-ignore-tells-rows-that-differ": Case(
        ddl=PLAIN,
        spec={"mode": "ignore"},
        rows=[row(1, "a", 1), row(2, "b", 9), row(3, "c", 3)],
        books={"unchanged": 1, "skipped": 1, "inserted": 1},
        look=LOOK,
        left=[(1, "a", 1), (2, "b", 2), (3, "c", 3)],
        again={"unchanged": 2, "skipped": 1},
    ),
    "rule-1-update-skips-new-keys": Case(
        ddl=PLAIN,
        spec={"mode": "update"},
        rows=[row(1, "a", 1), row(2, "x", 2), row(3, "c", 3)],
        books={"unchanged": 1, "updated": 1, "skipped": 1},
        look=LOOK,
        left=[(1, "a", 1), (2, "x", 2)],
        again={"unchanged": 2, "skipped": 1},
    ),
    "rule-1-unchanged-goes-before-the-guard": Case(
        ddl=PLAIN,
        spec={"where": "false"},
        rows=[row(1, "a", 1), row(2, "x", 2)],
        books={"unchanged": 1, "skipped": 1},
        look=LOOK,
        left=[(1, "a", 1), (2, "b", 2)],
        again={"unchanged": 1, "skipped": 1},
    ),
    "rule-1-a-guard-that-is-null-skips": Case(
        ddl=PLAIN + ";UPDATE t SET n = NULL WHERE id = 1",
        spec={"where": "target.n < excluded.n"},
        rows=[row(1, "x", 5), row(2, "y", 5)],
        books={"skipped": 1, "updated": 1},
        look=LOOK,
        left=[(1, "a", None), (2, "y", 5)],
        again={"skipped": 1, "unchanged": 1},
    ),
    "rule-1-touched-rows-are-updated": Case(
        ddl=PLAIN,
        spec={"touch_unchanged": True, "where": "excluded.id = 1"},
        rows=[row(1, "a", 1), row(2, "b", 2)],
        books={"updated": 1, "unchanged": 1},
        look=LOOK,
        left=[(1, "a", 1), (2, "b", 2)],
        again={"updated": 1, "unchanged": 1},
        rewrites=True,
    ),
    "rule-1-identical-records-are-duplicates-without-error": Case(
        ddl=PLAIN,
        rows=[row(1, "x", 1), row(1, "x", 1), row(3, "c", 3), row(3, "c", 3)],
        books={"updated": 1, "inserted": 1, "duplicates": 2},
        look=LOOK,
        left=[(1, "x", 1), (2, "b", 2), (3, "c", 3)],
        again={"unchanged": 2, "duplicates": 2},
    ),
    "all-key-tables-behave-as-ignore": Case(
        ddl="CREATE TABLE t (id int, v int, PRIMARY KEY (id, v)); INSERT INTO t VALUES (1, 1)",
        spec={"conflict_keys": ["id", "v"]},
        rows=[{"id": 1, "v": 1}, {"id": 1, "v": 2}],
        books={"unchanged": 1, "inserted": 1},
        left=[(1, 1), (1, 2)],
    ),
    "all-key-tables-have-nothing-to-update": Case(
        ddl="CREATE TABLE t (id int, v int, PRIMARY KEY (id, v)); INSERT INTO t VALUES (1, 1)",
        spec={"conflict_keys": ["id", "v"], "mode": "update"},
        rows=[{"id": 1, "v": 1}, {"id": 1, "v": 2}],
        books={"unchanged": 1, "skipped": 1},
        left=[(1, 1)],
        again={"unchanged": 1, "skipped": 1},
    ),
    "rule-9-update-needs-no-index": Case(
        ddl="CREATE TABLE t (id int, v text); INSERT INTO t VALUES (1, 'a'), (2, 'b'), (2, 'c')",
        spec={"mode": "update"},
        rows=[{"id": 1, "v": "x"}],
        books={"updated": 1},
        look="SELECT * FROM t ORDER BY 1, 2",
        left=[(1, "x"), (2, "b"), (2, "c")],
    ),
}


@pytest.mark.parametrize("method", METHODS)
@by_id(CASES)
def test_updates_leave_and_count(db: Database, case: Case, method: str):
    judge(db, case, method, conflict_keys=["id"])


def test_rule_9_update_refuses_a_key_of_two_stored_rows(db: Database):
    db.execute("CREATE TABLE t (id int, v text); INSERT INTO t VALUES (2, 'b'), (2, 'c')")

    with pytest.raises(syncengine.SyncError) as failure:
        sync(db, [{"id": 2, "v": "x"}], mode="update", conflict_keys=["id"])

    assert failure.value.code == "ambiguous-key"
    assert db.execute("SELECT v FROM t ORDER BY 1") == [("b",), ("c",)]


@pytest.mark.parametrize("method", ["staged", "rows", "copy"])
@pytest.mark.parametrize(
    ("limits", "passes"),
    [
        pytest.param({"max_inserts": 3}, True, id="as-many"),
        pytest.param({"max_inserts": 2}, False, id="one-less"),
        pytest.param({"max_inserts": "60%"}, True, id="a-share-of-what-was-there"),
        pytest.param({"max_inserts": "59%"}, False, id="a-share-that-is-too-small"),
        pytest.param({"min_rows": 4}, False, id="too-few"),
    ],
)
def test_insert_keeps_to_its_limits(db: Database, limits: dict[str, Any], passes: bool, method: str):
    db.execute("CREATE TABLE t (id int); INSERT INTO t SELECT generate_series(1, 5)")
    rows = [{"id": n} for n in (6, 7, 8)]
    spec: dict[str, Any] = {"mode": "insert", "limits": limits, "execution": {"method": method}}

    if passes:
        report = sync(db, rows, **spec)
        assert (counts(report), report.rows_read) == ({"inserted": 3}, 3)
    else:
        with pytest.raises(LimitExceeded):
            sync(db, rows, **spec)
    assert db.one("SELECT count(*) FROM t") == (8 if passes else 5)
