"""`returning`: the rows a run wrote, or met, in a file that appears whole and only after the commit."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import syncengine
from tests.runs import counts, places, refused, sync
from tests.servers import Database

METHODS = ["staged", "rows"]
TABLE = """
CREATE TABLE t (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, k text UNIQUE, v text, d text DEFAULT 'default');
INSERT INTO t (k, v) VALUES ('same', '1'), ('other', '2'), ('apart', '3')"""
ROWS = [{"k": "same", "v": "1"}, {"k": "other", "v": "new"}, {"k": "added", "v": "4"}]


@pytest.fixture
def db(emptied: Database, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Database:
    monkeypatch.chdir(tmp_path)
    return emptied


def returned(path: str = "out.csv") -> list[dict[str, Any]]:
    """Read the file back; NULL is None in both formats."""
    text = Path(path).read_text(encoding="utf-8")
    if path.endswith(".jsonl"):
        return [json.loads(line) for line in text.splitlines()]
    return list(csv.DictReader(text.splitlines()))


def ask(*columns: str, to: str = "out.csv", **more: Any) -> dict[str, Any]:
    return {"returning": {"columns": list(columns), "to": to, **more}}


def by_op(rows: list[dict[str, Any]], column: str) -> dict[str, str]:
    return {row[column]: row["_op"] for row in rows}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("mode", "rows", "expected"),
    [
        pytest.param("upsert", "written", {"other": "update", "added": "insert"}, id="upsert"),
        pytest.param(
            "upsert", "all", {"same": "unchanged", "other": "update", "added": "insert"}, id="upsert-all"
        ),
        pytest.param("ignore", "written", {"added": "insert"}, id="ignore"),
        pytest.param(
            "ignore", "all", {"same": "unchanged", "other": "skipped", "added": "insert"}, id="ignore-all"
        ),
        pytest.param("update", "written", {"other": "update"}, id="update"),
        pytest.param("update", "all", {"same": "unchanged", "other": "update"}, id="update-all"),
    ],
)
def test_rows_come_out_with_what_was_done_to_them(
    db: Database, mode: str, rows: str, expected: dict[str, str], method: str
):
    db.execute(TABLE)

    sync(
        db,
        ROWS,
        mode=mode,
        conflict_keys=["k"],
        execution={"method": method},
        **ask("id", "k", "d", rows=rows),
    )

    found = returned()
    assert by_op(found, "k") == expected
    assert {row["id"]: row["k"] for row in found} == {
        str(number): key for number, key in db.execute("SELECT id, k FROM t") if key in expected
    }
    assert {row["d"] for row in found} == {"default"}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("rows", ["written", "all"])
def test_insert_gives_the_generated_ids(db: Database, rows: str, method: str):
    db.execute("CREATE TABLE t (id int GENERATED ALWAYS AS IDENTITY (START 5), v text)")

    report = sync(
        db, [{"v": "a"}, {"v": "b"}], mode="insert", execution={"method": method}, **ask("id", "v", rows=rows)
    )

    assert sorted((row["id"], row["v"], row["_op"]) for row in returned()) == [
        ("5", "a", "insert"),
        ("6", "b", "insert"),
    ]
    assert report.files == (str(Path("out.csv").resolve()),)


@pytest.mark.parametrize("method", METHODS)
def test_the_guard_skips_rows_that_come_out_all_the_same(db: Database, method: str):
    db.execute(TABLE)

    sync(
        db,
        ROWS,
        conflict_keys=["k"],
        where="target.v > '2'",
        execution={"method": method},
        **ask("k", "v", rows="all"),
    )

    assert by_op(returned(), "k") == {"same": "unchanged", "other": "skipped", "added": "insert"}
    assert {row["v"] for row in returned()} == {"1", "2", "4"}


def test_values_are_those_that_triggers_left(db: Database):
    db.execute(TABLE)
    db.execute(
        "CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN NEW.v := upper(NEW.v) || '!';"
        "RETURN NEW; END$$;"
        "CREATE TRIGGER shout BEFORE INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION shout()"
    )

    sync(db, [{"k": "same", "v": "x"}, {"k": "added", "v": "y"}], conflict_keys=["k"], **ask("k", "v"))

    assert sorted((row["k"], row["v"]) for row in returned()) == [("added", "Y!"), ("same", "X!")]


def test_rows_that_a_trigger_drops_do_not_come_out(db: Database):
    db.execute("CREATE TABLE t (id int PRIMARY KEY, v text)")
    db.execute(
        "CREATE FUNCTION drop_odd() RETURNS trigger LANGUAGE plpgsql AS"
        " $$BEGIN IF NEW.id % 2 = 1 THEN RETURN NULL; END IF; RETURN NEW; END$$;"
        "CREATE TRIGGER odd BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION drop_odd()"
    )

    report = sync(db, [{"id": n, "v": "x"} for n in range(4)], conflict_keys=["id"], **ask("id", rows="all"))

    assert counts(report) == {"inserted": 2, "skipped": 2}
    assert by_op(returned(), "id") == {"0": "insert", "2": "insert"}


def test_each_row_comes_out_once_where_the_source_repeats_it(db: Database):
    db.execute(TABLE)

    report = sync(db, [*ROWS, ROWS[0], ROWS[2]], conflict_keys=["k"], **ask("k", rows="all"))

    assert counts(report) == {"inserted": 1, "updated": 1, "unchanged": 1, "duplicates": 2}
    assert sorted(row["k"] for row in returned()) == ["added", "other", "same"]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("rows", ["written", "all"])
def test_rows_with_null_keys_come_out_each_time_they_are_inserted(db: Database, rows: str, method: str):
    db.execute("CREATE TABLE t (id int GENERATED ALWAYS AS IDENTITY, k text UNIQUE, v text)")
    spec = {"conflict_keys": ["k"], "null_keys": "insert", "execution": {"method": method}}
    source = [{"k": None, "v": "a"}, {"k": "x", "v": "b"}]
    sync(db, source, **spec, **ask("id", "k", rows=rows))
    assert [row["_op"] for row in returned()] == ["insert", "insert"]

    sync(db, source, **spec, **ask("id", "k", rows=rows))

    second = sorted((row["k"], row["_op"]) for row in returned())
    assert second == [("", "insert")] + [("x", "unchanged")] * (rows == "all")


@pytest.mark.parametrize("method", METHODS)
def test_rows_are_found_by_an_expression_key(db: Database, method: str):
    db.execute("CREATE TABLE t (id int GENERATED ALWAYS AS IDENTITY, email text, v text)")
    db.execute(
        "CREATE UNIQUE INDEX ON t (lower(email)); INSERT INTO t (email, v) VALUES ('Ada@x', '1'), ('Bob@x', '1')"
    )
    source = [{"email": "ADA@x", "v": "2"}, {"email": "Bob@x", "v": "1"}, {"email": "new@x", "v": "1"}]

    spec = {"conflict_keys": ["lower(email)"], "update_columns": ["v"], "execution": {"method": method}}
    sync(db, source, **spec, **ask("id", "email", rows="all"))

    assert sorted((row["id"], row["email"], row["_op"]) for row in returned()) == [
        ("1", "Ada@x", "update"),
        ("2", "Bob@x", "unchanged"),
        ("3", "new@x", "insert"),
    ]


@pytest.mark.parametrize("method", METHODS)
def test_rows_are_found_by_a_partial_index(db: Database, method: str):
    db.execute(
        "CREATE TABLE t (id int GENERATED ALWAYS AS IDENTITY, k text, gone boolean DEFAULT false, v text)"
    )
    db.execute("CREATE UNIQUE INDEX ON t (k) WHERE NOT gone")
    db.execute("INSERT INTO t (k, gone, v) VALUES ('a', true, 'old'), ('a', false, '1'), ('b', false, '1')")
    source = [
        {"k": "a", "gone": False, "v": "2"},
        {"k": "b", "gone": False, "v": "1"},
        {"k": "c", "gone": True, "v": "1"},
    ]

    spec = {
        "conflict_keys": ["k"],
        "conflict_where": "NOT gone",
        "null_keys": "insert",
        "execution": {"method": method},
    }
    sync(db, source, **spec, **ask("id", "k", rows="all"))

    assert sorted((row["id"], row["_op"]) for row in returned()) == [
        ("2", "update"),
        ("3", "unchanged"),
        ("4", "insert"),
    ]


def test_rows_of_an_update_without_index_come_out(db: Database):
    db.execute("CREATE TABLE t (k int, v text); INSERT INTO t VALUES (1, 'a'), (2, 'b')")

    sync(
        db,
        [{"k": 1, "v": "x"}, {"k": 2, "v": "b"}, {"k": 3, "v": "c"}],
        mode="update",
        conflict_keys=["k"],
        **ask("k", "v", rows="all"),
    )

    assert returned() == [{"k": "1", "v": "x", "_op": "update"}, {"k": "2", "v": "b", "_op": "unchanged"}]


def test_rows_of_a_partitioned_table_come_out(db: Database):
    db.execute(
        "CREATE TABLE t (k int, v text, d int DEFAULT 7, PRIMARY KEY (k)) PARTITION BY HASH (k);"
        "CREATE TABLE t0 PARTITION OF t FOR VALUES WITH (MODULUS 2, REMAINDER 0);"
        "CREATE TABLE t1 PARTITION OF t FOR VALUES WITH (MODULUS 2, REMAINDER 1);"
        "INSERT INTO t VALUES (1, 'a'), (2, 'b')"
    )

    sync(db, [{"k": n, "v": "b"} for n in (1, 2, 3)], conflict_keys=["k"], **ask("k", "d", rows="all"))

    assert returned() == [
        {"k": "1", "d": "7", "_op": "update"},
        {"k": "2", "d": "7", "_op": "unchanged"},
        {"k": "3", "d": "7", "_op": "insert"},
    ]


def test_csv_is_as_copy_writes_it_and_json_keeps_types(db: Database):
    db.execute(
        "CREATE TABLE t (k int PRIMARY KEY, v text, doc jsonb, n numeric, tags text[], b bytea, at timestamptz)"
    )
    source = [
        {
            "k": 1,
            "v": 'a "b",\nc',
            "doc": {"x": [1, None]},
            "n": "1.10",
            "tags": ["x", "y z"],
            "b": b"\x00",
            "at": "2024-01-01 12:00+02",
        },
        {"k": 2, "v": "", "doc": None, "n": None, "tags": None, "b": None, "at": None},
    ]
    columns = ["k", "v", "doc", "n", "tags", "b", "at"]

    sync(db, source, conflict_keys=["k"], **ask(*columns))
    sync(db, source, conflict_keys=["k"], touch_unchanged=True, **ask(*columns, to="out.jsonl"))

    assert Path("out.csv").read_text(encoding="utf-8") == (
        "k,v,doc,n,tags,b,at,_op\n"
        '1,"a ""b"",\nc","{""x"": [1, null]}",1.10,"{x,""y z""}",\\x00,2024-01-01 10:00:00+00,insert\n'
        '2,"",,,,,,insert\n'
    )
    assert returned("out.jsonl") == [
        {
            "k": 1,
            "v": 'a "b",\nc',
            "doc": {"x": [1, None]},
            "n": 1.1,
            "tags": ["x", "y z"],
            "b": "\\x00",
            "at": "2024-01-01T10:00:00+00:00",
            "_op": "update",
        },
        {"k": 2, "v": "", "doc": None, "n": None, "tags": None, "b": None, "at": None, "_op": "update"},
    ]


@pytest.mark.parametrize("to", ["out.csv", "out.jsonl"])
def test_columns_come_in_the_stated_order_with_the_operation_last(db: Database, to: str):
    db.execute(TABLE)

    sync(db, ROWS, conflict_keys=["k"], **ask("v", "id", "k", to=to))

    assert list(returned(to)[0]) == ["v", "id", "k", "_op"]


@pytest.mark.parametrize("to", ["out.csv", "out.jsonl"])
def test_odd_column_names_come_out_as_they_are(db: Database, to: str):
    names = ["E-Mail", "select", 'say "hi"', "100%", "a,b", "ä", "{}", "x" * 63]
    quoted = ", ".join('"' + name.replace('"', '""') + '" text' for name in names)
    db.execute(f"CREATE TABLE t (id int PRIMARY KEY, {quoted})")

    sync(db, [{"id": 1, **dict.fromkeys(names, "v")}], conflict_keys=["id"], **ask(*names, "ID", to=to))

    assert returned(to) == [
        {**dict.fromkeys(names, "v"), "id": "1" if to == "out.csv" else 1, "_op": "insert"}
    ]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("rows", ["written", "all"])
def test_columns_called_like_ours_do_not_collide(db: Database, rows: str, method: str):
    db.execute(
        "CREATE TABLE t (_op int PRIMARY KEY, _tid text, _table text, _set_0 text, _rn text, written text)"
    )
    source = [{"_op": 1, "_tid": "a", "_table": "b", "_set_0": "c", "_rn": "d", "written": "e"}]

    sync(
        db,
        source,
        conflict_keys=["_op"],
        duplicates="last",
        execution={"method": method},
        update_columns=["*", {"_tid": "excluded._tid || '!'"}],
        **ask("_op", "_tid", "_rn", "written", rows=rows),
    )

    assert returned() == [{"_op": "1", "_tid": "a", "_rn": "d", "written": "e", "__op": "insert"}]


@pytest.mark.parametrize("to", ["out.csv", "out.jsonl"])
def test_a_run_that_writes_nothing_leaves_an_empty_file(db: Database, to: str):
    db.execute(TABLE)
    Path(to).write_text("what the run before left")

    sync(db, [ROWS[0]], conflict_keys=["k"], **ask("k", to=to))

    assert Path(to).read_text(encoding="utf-8") == ("k,_op\n" if to == "out.csv" else "")


def test_a_file_that_is_there_is_replaced_whole(db: Database):
    db.execute(TABLE)
    Path("out.csv").write_text("x" * 10_000)

    sync(db, ROWS, conflict_keys=["k"], **ask("k"))

    assert len(returned()) == 2
    assert [path.name for path in Path.cwd().iterdir()] == ["out.csv"]


@pytest.mark.parametrize("method", METHODS)
def test_the_file_appears_after_the_commit(db: Database, method: str):
    db.execute(TABLE)
    seen: list[tuple[str, bool]] = []

    def look(event: object) -> None:
        seen.append((type(event).__name__, Path("out.csv").exists()))

    sync_with = {
        "name": "t",
        "target": "t",
        "conflict_keys": ["k"],
        "execution": {"method": method},
        **ask("k"),
    }
    syncengine.run(sync_with, source=ROWS, connection=db.url, emit=look)

    assert ("FileWritten", True) in seen
    assert all(not there for name, there in seen[: seen.index(("FileWritten", True))])


@pytest.mark.parametrize("method", METHODS)
def test_a_run_that_fails_leaves_no_file_and_the_old_one_as_it_was(db: Database, method: str):
    db.execute(TABLE)
    db.execute("CREATE UNIQUE INDEX ON t (v)")
    Path("out.csv").write_text("old")
    before = places(db)
    source = [{"k": "same", "v": "3"}, {"k": "added", "v": "4"}]

    error = refused(db, source, conflict_keys=["k"], execution={"method": method}, **ask("k"))

    assert error.code == "database-error"
    assert places(db) == before
    assert [(path.name, path.read_text()) for path in Path.cwd().iterdir()] == [("out.csv", "old")]


def test_a_commit_that_fails_leaves_no_file(db: Database):
    db.execute("CREATE TABLE p (id int PRIMARY KEY)")
    db.execute("CREATE TABLE t (k int PRIMARY KEY, p int REFERENCES p DEFERRABLE INITIALLY DEFERRED)")

    error = refused(db, [{"k": 1, "p": 9}], conflict_keys=["k"], **ask("k"))

    assert "foreign key" in str(error)
    assert list(Path.cwd().iterdir()) == []
    assert db.one("SELECT count(*) FROM t") == 0


def test_a_source_that_breaks_off_leaves_no_file(db: Database):
    db.execute(TABLE)

    def rows() -> Iterator[dict[str, str]]:
        yield from ({"k": str(n), "v": "x"} for n in range(2000))
        raise RuntimeError("gone")

    refused(db, rows(), conflict_keys=["k"], **ask("k"))

    assert list(Path.cwd().iterdir()) == []


def test_a_missing_folder_is_made(db: Database):
    db.execute(TABLE)

    sync(db, ROWS, conflict_keys=["k"], **ask("k", to="out/deep/ids.csv"))

    assert len(returned("out/deep/ids.csv")) == 2


def test_a_folder_in_the_files_place_is_an_error_before_anything_is_written(db: Database):
    db.execute(TABLE)
    Path("out.csv").mkdir()
    before = places(db)

    error = refused(db, ROWS, conflict_keys=["k"], **ask("k"))

    assert "out.csv" in str(error)
    assert places(db) == before
    assert [path.name for path in Path.cwd().iterdir()] == ["out.csv"]


def test_a_path_outside_the_project_is_refused(db: Database):
    db.execute(TABLE)

    error = refused(db, ROWS, conflict_keys=["k"], **ask("k", to="../out.csv"))

    assert (error.code, error.exit_code) == ("invalid-spec", 3)
    assert "leads out of the project" in str(error)


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        pytest.param(["nmae"], "has no column 'nmae'", id="unknown"),
        pytest.param(["k", "K"], "twice", id="twice-folded"),
    ],
)
def test_columns_that_cannot_be_returned_are_refused(db: Database, columns: list[str], says: str):
    db.execute(TABLE)

    error = refused(db, ROWS, conflict_keys=["k"], **ask(*columns))

    assert error.exit_code == 3
    assert says in str(error)


def test_a_repeated_attempt_returns_its_rows_once(db: Database):
    db.execute(TABLE)
    seen: list[str] = []

    def disturb(event: object) -> None:
        seen.append(type(event).__name__)
        if seen.count("Classified") == 1 and seen[-1] == "Classified":
            db.execute("UPDATE t SET v = 'theirs' WHERE k = 'other'")

    spec = {"name": "t", "target": "t", "conflict_keys": ["k"], **ask("k")}
    report = syncengine.run(spec, source=ROWS, connection=db.url, emit=disturb)

    assert report.retries == 1
    assert by_op(returned(), "k") == {"other": "update", "added": "insert"}
    assert [path.name for path in Path.cwd().iterdir()] == ["out.csv"]


def test_a_created_table_returns_its_rows(db: Database):
    sync(
        db, [{"k": 1, "v": "a"}], target={"table": "t", "create": True}, conflict_keys=["k"], **ask("k", "v")
    )

    assert returned() == [{"k": "1", "v": "a", "_op": "insert"}]


def test_copy_gives_way_where_rows_are_to_be_returned(db: Database):
    db.execute("CREATE TABLE t (v text)")

    report = sync(db, [{"v": "a"}], **ask("v"))

    assert report.strategy != "copy"
    assert len(returned()) == 1
