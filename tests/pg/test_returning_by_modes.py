"""`returning` in every mode: which rows come out, what `_op` calls them, and which values they hold."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from tests.runs import counts, refused, sync
from tests.servers import Database

METHODS = ["staged", "rows"]
TABLE = """
CREATE TABLE t (k text{unique}, v text, gone boolean NOT NULL DEFAULT false, d text DEFAULT 'd');
INSERT INTO t (k, v) VALUES ('same', '1'), ('other', '2'), ('apart', '3')"""
SOURCE = [{"k": "same", "v": "1"}, {"k": "other", "v": "new"}, {"k": "added", "v": "4"}]
WIDE = {"limits": {"max_deletes": "100%", "min_rows": 0}}


@pytest.fixture
def db(emptied: Database, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Database:
    monkeypatch.chdir(tmp_path)
    return emptied


def returned(path: str) -> list[dict[str, Any]]:
    """Read the file back, NULL and booleans alike from both formats."""
    text = Path(path).read_text(encoding="utf-8")
    if path.endswith(".jsonl"):
        return [json.loads(line) for line in text.splitlines()]
    words = {"": None, "t": True, "f": False}
    return [
        {name: words.get(value, value) for name, value in row.items()}
        for row in csv.DictReader(text.splitlines())
    ]


def ask(*columns: str, to: str = "out.jsonl", rows: str = "written") -> dict[str, Any]:
    return {"returning": {"columns": list(columns), "to": to, "rows": rows}}


KEPT = {"same": "unchanged"}
# (mode, keys of the spec, table without its unique index?, written, beside them with rows: all)
MODES = [
    pytest.param("insert", {}, ["fresh"], {"fresh": "insert"}, {}, id="insert"),
    pytest.param("ignore", {}, None, {"added": "insert"}, {**KEPT, "other": "skipped"}, id="ignore"),
    pytest.param("upsert", {}, None, {"added": "insert", "other": "update"}, KEPT, id="upsert"),
    pytest.param(
        "upsert",
        {"where": "target.v > '2'"},
        None,
        {"added": "insert"},
        {**KEPT, "other": "skipped"},
        id="upsert-with-a-guard",
    ),
    pytest.param(
        "upsert",
        {"touch_unchanged": True},
        None,
        {"added": "insert", "other": "update", "same": "update"},
        {},
        id="upsert-that-touches",
    ),
    pytest.param("update", {}, None, {"other": "update"}, KEPT, id="update"),
    pytest.param(
        "mirror", {}, None, {"added": "insert", "other": "update", "apart": "delete"}, KEPT, id="mirror"
    ),
    pytest.param(
        "mirror",
        {"delete": {"scope": "target.v < '3'"}},
        None,
        {"added": "insert", "other": "update"},
        KEPT,
        id="mirror-within-a-scope",
    ),
    pytest.param(
        "mirror",
        {"delete": {"soft": {"gone": "true"}}},
        None,
        {"added": "insert", "other": "update", "apart": "delete"},
        KEPT,
        id="mirror-that-deletes-softly",
    ),
    pytest.param(
        "mirror",
        {"where": "false"},
        None,
        {"added": "insert", "apart": "delete"},
        {**KEPT, "other": "skipped"},
        id="mirror-with-a-guard",
    ),
    pytest.param(
        "replace", {}, None, {"added": "insert", "other": "update", "apart": "delete"}, KEPT, id="replace"
    ),
]


@pytest.mark.parametrize(
    ("method", "to", "rows"), [("staged", "out.csv", "all"), ("rows", "out.jsonl", "written")]
)
@pytest.mark.parametrize(("mode", "keys", "fresh", "written", "beside"), MODES)
def test_each_mode_hands_out_what_it_did(
    db: Database,
    mode: str,
    keys: dict[str, Any],
    fresh: list[str] | None,
    written: dict[str, str],
    beside: dict[str, str],
    method: str,
    rows: str,
    to: str,
):
    db.execute(TABLE.format(unique=" UNIQUE"))
    source = SOURCE if fresh is None else [{"k": name, "v": "5"} for name in fresh]
    spec: dict[str, Any] = {"mode": mode, "execution": {"method": method}, **WIDE, **keys}
    spec |= {"conflict_keys": ["k"]} if mode != "insert" else {}
    stored = dict(db.execute("SELECT k, v FROM t"))

    report = sync(db, source, **spec, **ask("k", "v", "gone", "d", to=to, rows=rows))

    found = returned(to)
    expected = written | (beside if rows == "all" else {})
    assert {row["k"]: row["_op"] for row in found} == expected
    assert len(found) == len(expected)
    assert sorted(counts(report).values()) == sorted(_counted(written, beside, source))
    now = {key: (value, gone) for key, value, gone in db.execute("SELECT k, v, gone FROM t")}
    for row in found:
        # A row that was deleted comes out as it was, all others as they are now.
        assert (row["v"], row["gone"]) == now.get(row["k"], (stored.get(row["k"]), False))
        assert row["d"] == "d"


def _counted(written: dict[str, str], beside: dict[str, str], source: list[dict[str, Any]]) -> list[int]:
    ops = [*written.values(), *beside.values()]
    # What `update` leaves out for want of a stored row is skipped, and has no row to return.
    lost = len([row for row in source if row["k"] not in {**written, **beside}])
    classes = {op: ops.count(op) for op in ops}
    if lost:
        classes["skipped"] = classes.get("skipped", 0) + lost
    return list(classes.values())


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("rows", ["written", "all"])
def test_replace_without_a_key_hands_out_rows_by_their_contents(db: Database, method: str, rows: str):
    db.execute(TABLE.format(unique=""))
    db.execute("INSERT INTO t (k, v) VALUES ('same', '1'), (NULL, NULL)")

    report = sync(
        db,
        [*SOURCE, {"k": "added", "v": "4"}],
        mode="replace",
        execution={"method": method},
        **ask("k", "v", rows=rows),
    )

    found = sorted((row["_op"], row["k"] or "", row["v"] or "") for row in returned("out.jsonl"))
    written = [
        ("delete", "", ""),
        ("delete", "apart", "3"),
        ("delete", "other", "2"),
        ("delete", "same", "1"),
        ("insert", "added", "4"),
        ("insert", "added", "4"),
        ("insert", "other", "new"),
    ]
    assert found == written + ([("unchanged", "same", "1")] if rows == "all" else [])
    assert counts(report) == {"inserted": 3, "unchanged": 1, "deleted": 4}


VERSIONS = """
CREATE TABLE h (n int GENERATED ALWAYS AS IDENTITY, k text, v text, valid_from timestamptz, valid_to timestamptz,
  current boolean)"""


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("rows", ["written", "all"])
def test_history_hands_out_new_versions_and_closed_ones(db: Database, method: str, rows: str):
    db.execute(VERSIONS)
    spec: dict[str, Any] = {
        "target": "h",
        "mode": "history",
        "conflict_keys": ["k"],
        "history": {"current": "current"},
    }
    first = [{"k": "same", "v": "1"}, {"k": "other", "v": "2"}, {"k": "apart", "v": "3"}]
    sync(db, first, **spec)

    report = sync(
        db,
        SOURCE,
        execution={"method": method},
        **spec,
        **ask("n", "k", "v", "current", "valid_to", rows=rows),
    )

    assert counts(report) == {"inserted": 1, "updated": 1, "unchanged": 1, "deleted": 1}
    found = {row["k"]: row for row in returned("out.jsonl")}
    ops = {"added": "insert", "other": "update", "apart": "delete"} | (
        {"same": "unchanged"} if rows == "all" else {}
    )
    assert {key: row["_op"] for key, row in found.items()} == ops
    assert len(returned("out.jsonl")) == len(ops)
    assert (found["other"]["v"], found["other"]["current"]) == ("new", True)
    assert (found["apart"]["v"], found["apart"]["current"]) == ("3", False)
    assert found["apart"]["valid_to"] is not None
    stored = dict(db.execute("SELECT n, k FROM h"))
    assert {row["n"]: row["k"] for row in found.values()}.items() <= stored.items()


def test_history_hands_out_late_versions_as_skipped_and_corrected_ones_as_updates(db: Database):
    db.execute("CREATE TABLE h (k text, v text, since date, valid_from date, valid_to date)")
    spec: dict[str, Any] = {
        "target": "h",
        "mode": "history",
        "conflict_keys": ["k"],
        "history": {"valid_from": {"valid_from": "excluded.since"}, "track": ["v"]},
    }
    sync(db, [{"k": key, "v": "1", "since": "2024-02-01"} for key in ("late", "same day", "next")], **spec)
    source = [
        {"k": "late", "v": "2", "since": "2024-01-01"},
        {"k": "same day", "v": "2", "since": "2024-02-01"},
        {"k": "next", "v": "2", "since": "2024-03-01"},
    ]

    report = sync(db, source, **spec, **ask("k", "v", rows="all"))

    assert counts(report) == {"updated": 2, "skipped": 1}
    assert sorted((row["k"], row["v"], row["_op"]) for row in returned("out.jsonl")) == [
        ("late", "1", "skipped"),
        ("next", "2", "update"),
        ("same day", "2", "update"),
    ]


def test_a_row_that_returns_is_an_update(db: Database):
    db.execute(TABLE.format(unique=" UNIQUE"))
    db.execute("UPDATE t SET gone = true WHERE k = 'same'")
    spec = {"mode": "mirror", "conflict_keys": ["k"], "delete": {"soft": {"gone": "true"}}, **WIDE}

    sync(db, [{"k": "same", "v": "1"}], **spec, **ask("k", "gone"))

    found = {row["k"]: (row["_op"], row["gone"]) for row in returned("out.jsonl")}
    assert found == {"same": ("update", False), "other": ("delete", True), "apart": ("delete", True)}


def test_rows_that_were_softly_deleted_before_do_not_come_out(db: Database):
    db.execute(TABLE.format(unique=" UNIQUE"))
    db.execute("UPDATE t SET gone = true WHERE k <> 'same'")
    spec = {"mode": "mirror", "conflict_keys": ["k"], "delete": {"soft": {"gone": "true"}}, **WIDE}

    sync(db, [{"k": "same", "v": "1"}], **spec, **ask("k", rows="all"))

    assert [(row["k"], row["_op"]) for row in returned("out.jsonl")] == [("same", "unchanged")]


def test_without_changes_all_rows_come_out_of_mirror_and_none_of_written(db: Database):
    db.execute(TABLE.format(unique=" UNIQUE"))
    source = [{"k": key, "v": value} for key, value in db.execute("SELECT k, v FROM t")]

    sync(db, source, mode="mirror", conflict_keys=["k"], **ask("k"))
    assert returned("out.jsonl") == []

    sync(db, source, mode="mirror", conflict_keys=["k"], **ask("k", rows="all"))
    assert {row["_op"] for row in returned("out.jsonl")} == {"unchanged"}
    assert len(returned("out.jsonl")) == 3


@pytest.mark.parametrize("mode", ["mirror", "replace"])
def test_rows_of_partitions_that_are_deleted_come_out(db: Database, mode: str):
    db.execute(
        "CREATE TABLE t (k text PRIMARY KEY, v text) PARTITION BY LIST (k);"
        "CREATE TABLE t_a PARTITION OF t FOR VALUES IN ('a', 'b'); CREATE TABLE t_rest PARTITION OF t DEFAULT;"
        "INSERT INTO t VALUES ('a', '1'), ('b', '1'), ('c', '1'), ('d', '1')"
    )

    sync(
        db,
        [{"k": "a", "v": "2"}, {"k": "c", "v": "1"}, {"k": "e", "v": "1"}],
        mode=mode,
        conflict_keys=["k"],
        **ask("k", "v", rows="all"),
    )

    assert sorted((row["k"], row["v"], row["_op"]) for row in returned("out.jsonl")) == [
        ("a", "2", "update"),
        ("b", "1", "delete"),
        ("c", "1", "unchanged"),
        ("d", "1", "delete"),
        ("e", "1", "insert"),
    ]


def test_the_file_is_in_the_order_of_the_keys(db: Database):
    db.execute("CREATE TABLE t (id int PRIMARY KEY, v text)")
    db.execute("INSERT INTO t SELECT n, 'old' FROM generate_series(1, 30) AS n")
    source = [{"id": number, "v": "new" if number % 3 else "old"} for number in range(40, 5, -1)]

    sync(db, source, mode="mirror", conflict_keys=["id"], **ask("id", rows="all"))

    ids = [row["id"] for row in returned("out.jsonl")]
    assert ids == sorted(ids)
    assert len(ids) == 40


def test_a_run_that_a_check_stops_leaves_no_file(db: Database):
    db.execute(TABLE.format(unique=" UNIQUE"))
    for guard in ({"checks": [{"sql": "SELECT false"}]}, {"limits": {"max_inserts": 0}}):
        refused(db, SOURCE, conflict_keys=["k"], **guard, **ask("k"))
        assert list(Path().iterdir()) == []


# `absent: keep` of JSON lines: fields that a record lacks leave the stored value, and on insert take the default.
PARTIAL = """
CREATE TABLE p (id int PRIMARY KEY, a text, b text DEFAULT 'b0', c int NOT NULL DEFAULT 7,
                at timestamptz DEFAULT now());
INSERT INTO p VALUES (1, 'a1', 'b1', 1, NULL), (2, 'a2', 'b2', 2, NULL), (3, 'a3', 'b3', 3, NULL)"""


def partial(lines: list[dict[str, Any]]) -> dict[str, Any]:
    Path("p.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return {"source": {"path": "p.jsonl", "absent": "keep"}, "target": "p", "conflict_keys": ["id"]}


def stored(db: Database) -> list[tuple[object, ...]]:
    return db.execute("SELECT id, a, b, c FROM p ORDER BY id")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("record", "row", "count"),
    [
        pytest.param({"id": 1, "a": "x"}, (1, "x", "b1", 1), "updated", id="one-field"),
        pytest.param({"id": 1, "a": None}, (1, None, "b1", 1), "updated", id="a-stated-null-is-no-lack"),
        pytest.param({"id": 1, "b": "b1"}, (1, "a1", "b1", 1), "unchanged", id="the-stored-value"),
        pytest.param({"id": 1}, (1, "a1", "b1", 1), "unchanged", id="the-key-alone"),
        pytest.param({"id": 9, "a": "x"}, (9, "x", "b0", 7), "inserted", id="a-new-row-has-defaults"),
        pytest.param(
            {"id": 9, "b": None, "c": 5}, (9, None, None, 5), "inserted", id="a-new-row-with-a-null"
        ),
    ],
)
def test_a_field_that_a_record_lacks_leaves_the_stored_value(
    db: Database, record: dict[str, Any], row: tuple[object, ...], count: str, method: str
):
    db.execute(PARTIAL)
    whole = {"id": 2, "a": "a2", "b": "b2", "c": 2}
    spec = partial([whole, record])

    report = sync(db, None, **spec, execution={"method": method})

    expected = {"unchanged": 1}
    expected[count] = expected.get(count, 0) + 1
    assert counts(report) == expected
    assert row in stored(db)
    assert counts(sync(db, None, **spec, execution={"method": method})) == {"unchanged": 2}


def test_without_keep_a_missing_field_is_null(db: Database):
    db.execute(PARTIAL)
    spec = partial([{"id": 1, "a": "x", "b": "y", "c": 1}, {"id": 2, "c": 2}]) | {"source": "p.jsonl"}

    sync(db, None, **spec)

    assert stored(db)[:2] == [(1, "x", "y", 1), (2, None, None, 2)]


@pytest.mark.parametrize("mode", ["ignore", "upsert", "update", "mirror"])
def test_partial_rows_in_every_mode(db: Database, mode: str):
    db.execute(PARTIAL)
    spec = partial(
        [{"id": 1, "a": "x"}, {"id": 2, "a": "a2", "b": "y", "c": 2}, {"id": 3}, {"id": 4, "c": 4}]
    )

    sync(db, None, **spec, mode=mode)

    changed = mode != "ignore"
    expected: list[tuple[object, ...]] = [
        (1, "x" if changed else "a1", "b1", 1),
        (2, "a2", "y" if changed else "b2", 2),
        (3, "a3", "b3", 3),
    ]
    assert stored(db) == expected + ([] if mode == "update" else [(4, None, "b0", 4)])


def test_inserted_rows_take_the_defaults_of_the_fields_they_lack(db: Database):
    db.execute(PARTIAL)
    spec = partial([{"id": 4, "a": "x", "b": "y", "c": 1}, {"id": 5, "b": None}])
    spec.pop("conflict_keys")

    assert counts(sync(db, None, **spec, mode="insert")) == {"inserted": 2}

    assert stored(db)[3:] == [(4, "x", "y", 1), (5, None, None, 7)]


@pytest.mark.parametrize("mode", ["replace", "history"])
def test_where_no_stored_value_can_stay_keep_is_refused(db: Database, mode: str):
    db.execute(PARTIAL)

    error = refused(db, None, **partial([{"id": 1, "a": "x"}]), mode=mode)

    assert error.exit_code == 3
    assert "`absent: keep` has no effect" in error.message


def test_partial_rows_come_out_as_they_are_stored(db: Database):
    db.execute(PARTIAL)
    spec = partial([{"id": 1, "a": "x"}, {"id": 4, "c": 4}, {"id": 3, "b": "b3"}])

    sync(db, None, **spec, **ask("id", "a", "b", "c", rows="all"))

    assert [tuple(row.values()) for row in returned("out.jsonl")] == [
        (1, "x", "b1", 1, "update"),
        (3, "a3", "b3", 3, "unchanged"),
        (4, None, "b0", 4, "insert"),
    ]


@pytest.mark.parametrize(
    ("rule", "record", "row"),
    [
        pytest.param({"c": "sum"}, {"id": 1}, (1, "a1", "b1", 1), id="a-sum-of-nothing"),
        pytest.param({"c": "sum"}, {"id": 1, "c": 5}, (1, "a1", "b1", 6), id="a-sum"),
        pytest.param({"a": "append"}, {"id": 1}, (1, "a1", "b1", 1), id="nothing-to-append"),
        pytest.param({"a": "coalesce"}, {"id": 1, "a": None}, (1, "a1", "b1", 1), id="coalesce"),
        pytest.param({"c": "greatest"}, {"id": 1}, (1, "a1", "b1", 1), id="the-greatest-of-one"),
        pytest.param({"a": "upper(excluded.a)"}, {"id": 1, "a": "x"}, (1, "X", "b1", 1), id="an-expression"),
    ],
)
def test_rules_over_fields_that_a_record_lacks(
    db: Database, rule: dict[str, str], record: dict[str, Any], row: tuple[object, ...]
):
    db.execute(PARTIAL)
    # A record with all fields shows them, for a source has no other header.
    spec = partial([{"id": 50, "a": "x", "b": "x", "c": 0}, record])

    sync(db, None, **spec, update_columns=["*", rule])

    assert stored(db)[0] == row


def test_repeated_records_with_different_fields_are_different(db: Database):
    db.execute(PARTIAL)
    spec = partial([{"id": 1, "a": None, "b": "x", "c": 1}, {"id": 1, "b": "x", "c": 1}])

    assert refused(db, None, **spec).code == "duplicate-keys"
    assert counts(sync(db, None, **spec, duplicates="last")) == {"updated": 1, "duplicates": 1}
    assert stored(db)[0] == (1, "a1", "x", 1)
