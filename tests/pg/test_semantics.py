"""docs/spec.md §11, rules 1 to 4 and 14: classes, comparing, concurrent writers, applying, the search_path."""

from __future__ import annotations

import threading
from typing import Any

import psycopg
import pytest

import syncengine
from syncengine.model import events as ev
from tests.servers import Database

STRATEGIES = ["staged", "rows"]


def sync(db: Database, rows: list[dict[str, Any]], **spec: Any) -> syncengine.Report:
    """Sync literal rows into table t."""
    whole = {"name": "t", "target": "t", **spec}
    return syncengine.run(whole, source=rows, connection=db.url)


def places(db: Database) -> list[tuple[object, ...]]:
    return db.execute("SELECT ctid::text, xmin::text, t.*::text FROM t ORDER BY 1")


@pytest.mark.parametrize("method", STRATEGIES)
def test_a_second_run_writes_nothing(db: Database, method: str) -> None:
    db.execute("CREATE TABLE t (id int PRIMARY KEY, name text)")
    rows = [{"id": number, "name": f"n{number}"} for number in range(50)]
    sync(db, rows, conflict_keys=["id"], execution={"method": method})
    before = places(db)

    report = sync(db, rows, conflict_keys=["id"], execution={"method": method})

    assert (report.unchanged, report.updated, report.inserted) == (50, 0, 0)
    assert places(db) == before


# Rule 2: what `=` takes for equal but is not identical must be written; what is identical must not.
@pytest.mark.parametrize(
    ("type_name", "stored", "incoming"),
    [
        pytest.param("numeric", "1.0", "1.00", id="numeric-scale"),
        pytest.param("interval", "1 mon", "30 days", id="interval-units"),
        pytest.param("box", "(0,0),(1,1)", "(0,0),(2,0.5)", id="box-of-equal-area"),
        pytest.param("float8", "0", "-0", id="minus-zero"),
        pytest.param("json", '{"a":1}', '{"a": 1}', id="json-has-no-equality"),
        pytest.param("point", "(0,0)", "(0,1e-9)", id="point-has-no-equality"),
        pytest.param("jsonb", '{"a":1.0}', '{"a":1.00}', id="jsonb-number-scale"),
        pytest.param("numeric[]", "{1.0}", "{1.00}", id="array-elements"),
        pytest.param("text", "a", "A", id="text"),
        pytest.param("int", "1", "2", id="integer"),
        pytest.param("timestamptz", "2024-01-01 00:00+00", "2024-01-01 00:00:00.000001+00", id="microsecond"),
    ],
)
def test_values_that_differ_in_any_way_are_updated_and_then_unchanged(
    db: Database, type_name: str, stored: str, incoming: str
) -> None:
    db.execute(f"CREATE TABLE t (id int PRIMARY KEY, v {type_name})")
    db.execute(f"INSERT INTO t VALUES (1, '{stored}')")

    first = sync(db, [{"id": 1, "v": incoming}], conflict_keys=["id"])
    second = sync(db, [{"id": 1, "v": incoming}], conflict_keys=["id"])

    assert (first.updated, second.unchanged) == (1, 1)
    assert db.one("SELECT v::text FROM t") == db.one(f"SELECT '{incoming}'::{type_name}::text")


def test_a_case_insensitive_type_is_compared_by_its_letters(db: Database) -> None:
    db.execute(
        "CREATE SCHEMA ext; CREATE EXTENSION citext SCHEMA ext; CREATE TABLE t (k ext.citext PRIMARY KEY, v ext.citext)"
    )
    db.execute("INSERT INTO t VALUES ('Key', 'Value')")

    report = sync(db, [{"k": "KEY", "v": "VALUE"}, {"k": "other", "v": "x"}], conflict_keys=["k"])

    assert (report.updated, report.inserted) == (1, 1)
    assert db.execute("SELECT k::text, v::text FROM t ORDER BY 1") == [("Key", "VALUE"), ("other", "x")]


def test_the_time_of_the_run_is_written_but_not_compared(db: Database) -> None:
    db.execute("CREATE TABLE t (id int PRIMARY KEY, v text, seen timestamptz)")
    spec: dict[str, Any] = {"conflict_keys": ["id"], "update_columns": ["*", {"seen": "now()"}]}
    sync(db, [{"id": 1, "v": "a"}], **spec)

    same = sync(db, [{"id": 1, "v": "a"}], **spec)
    changed = sync(db, [{"id": 1, "v": "b"}], **spec)

    assert (same.unchanged, changed.updated) == (1, 1)
    assert db.one("SELECT seen IS NOT NULL FROM t") is True


def test_a_loaded_time_is_not_compared_either(db: Database) -> None:
    db.execute("CREATE TABLE t (id int PRIMARY KEY, v text, loaded_at timestamptz)")
    spec: dict[str, Any] = {"conflict_keys": ["id"], "columns": {"loaded_at": {"expression": "now()"}}}
    sync(db, [{"id": 1, "v": "a"}], **spec)
    first = db.one("SELECT loaded_at FROM t")

    report = sync(db, [{"id": 1, "v": "a"}], **spec)

    assert report.unchanged == 1
    assert db.one("SELECT loaded_at FROM t") == first


def test_if_only_the_time_is_assigned_the_loaded_columns_decide(db: Database) -> None:
    db.execute("CREATE TABLE t (id int PRIMARY KEY, v text, seen timestamptz)")
    db.execute("INSERT INTO t VALUES (1, 'a'), (2, 'b')")
    spec: dict[str, Any] = {"conflict_keys": ["id"], "update_columns": [{"seen": "now()"}]}

    report = sync(db, [{"id": 1, "v": "a"}, {"id": 2, "v": "x"}], **spec)

    assert (report.unchanged, report.updated) == (1, 1)
    assert db.execute("SELECT id, v FROM t WHERE seen IS NOT NULL") == [(2, "b")]


def test_no_update_columns_leave_existing_rows_alone(db: Database) -> None:
    db.execute("CREATE TABLE t (id int PRIMARY KEY, v text)")
    db.execute("INSERT INTO t VALUES (1, 'a'), (2, 'b')")

    rows = [{"id": 1, "v": "a"}, {"id": 2, "v": "x"}, {"id": 3, "v": "c"}]
    report = sync(db, rows, conflict_keys=["id"], update_columns=[])

    assert (report.inserted, report.unchanged, report.skipped) == (1, 1, 1)
    assert db.execute("SELECT * FROM t ORDER BY id") == [(1, "a"), (2, "b"), (3, "c")]


def test_a_table_of_keys_only_takes_new_ones(db: Database) -> None:
    db.execute("CREATE TABLE t (a int, b int, PRIMARY KEY (a, b))")
    db.execute("INSERT INTO t VALUES (1, 1)")

    report = sync(db, [{"a": 1, "b": 1}, {"a": 1, "b": 2}], conflict_keys=["b", "a"])

    assert (report.inserted, report.unchanged) == (1, 1)


# Rule 4.
def test_a_subset_of_columns_updates_rows_whose_other_columns_must_not_be_null(db: Database) -> None:
    db.execute("CREATE TABLE t (id int PRIMARY KEY, must text NOT NULL, v text)")
    db.execute("INSERT INTO t VALUES (1, 'there', 'old')")

    report = sync(db, [{"id": 1, "v": "new"}], conflict_keys=["id"])

    assert report.updated == 1
    assert db.execute("SELECT * FROM t") == [(1, "there", "new")]


def test_an_update_burns_no_sequence_value(db: Database) -> None:
    db.execute("CREATE TABLE t (n int GENERATED ALWAYS AS IDENTITY, k text PRIMARY KEY, v text)")
    sync(db, [{"k": "a", "v": "1"}], conflict_keys=["k"])
    for value in ("2", "3", "4"):
        sync(db, [{"k": "a", "v": value}], conflict_keys=["k"])

    sync(db, [{"k": "b", "v": "1"}], conflict_keys=["k"])

    assert db.execute("SELECT n, k FROM t ORDER BY n") == [(1, "a"), (2, "b")]


def test_columns_that_are_not_loaded_get_their_default_and_then_keep_their_value(db: Database) -> None:
    db.execute("CREATE TABLE t (id int PRIMARY KEY, v text, d text DEFAULT 'default')")
    sync(db, [{"id": 1, "v": "a"}], conflict_keys=["id"])
    db.execute("UPDATE t SET d = 'kept'")

    sync(db, [{"id": 1, "v": "b"}, {"id": 2, "v": "c"}], conflict_keys=["id"])

    assert db.execute("SELECT * FROM t ORDER BY id") == [(1, "b", "kept"), (2, "c", "default")]


@pytest.mark.parametrize("mode", ["insert", "upsert"])
def test_a_row_that_a_trigger_drops_counts_as_skipped(db: Database, mode: str) -> None:
    db.execute("CREATE TABLE t (id int PRIMARY KEY, v text)")
    db.execute(
        "CREATE FUNCTION drop_odd() RETURNS trigger LANGUAGE plpgsql AS"
        " $$BEGIN IF NEW.id % 2 = 1 THEN RETURN NULL; END IF; RETURN NEW; END$$"
    )
    db.execute("CREATE TRIGGER odd BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION drop_odd()")
    keys = {"conflict_keys": ["id"]} if mode == "upsert" else {}

    report = sync(db, [{"id": n, "v": "x"} for n in range(10)], mode=mode, **keys)

    assert (report.inserted, report.skipped, report.rows_read) == (5, 5, 10)


def test_triggers_run_under_the_roles_own_path(db: Database) -> None:
    db.execute(
        "CREATE SCHEMA app; CREATE TABLE app.log (id int); CREATE TABLE app.t (id int PRIMARY KEY, v text)"
    )
    db.execute(
        "CREATE FUNCTION app.note() RETURNS trigger LANGUAGE plpgsql AS"
        " $$BEGIN INSERT INTO log VALUES (NEW.id); RETURN NEW; END$$"
    )
    db.execute("CREATE TRIGGER note AFTER INSERT OR UPDATE ON app.t FOR EACH ROW EXECUTE FUNCTION app.note()")
    db.execute(f'ALTER DATABASE "{db.one("SELECT current_database()")}" SET search_path = app')

    sync(db, [{"id": 1, "v": "a"}], conflict_keys=["id"])
    sync(db, [{"id": 1, "v": "b"}], conflict_keys=["id"])

    assert db.execute("SELECT id FROM app.log") == [(1,), (1,)]


# Rule 14.
def test_operators_and_functions_on_the_roles_path_are_not_used(db: Database) -> None:
    db.execute("CREATE SCHEMA evil; CREATE TABLE t (k varchar PRIMARY KEY, v text)")
    db.execute("CREATE FUNCTION evil.eq(varchar, varchar) RETURNS boolean LANGUAGE sql AS 'SELECT true'")
    db.execute("CREATE OPERATOR evil.= (LEFTARG = varchar, RIGHTARG = varchar, FUNCTION = evil.eq)")
    db.execute("CREATE FUNCTION evil.lower(text) RETURNS text LANGUAGE sql AS $$SELECT 'evil'$$")
    db.execute(
        f'ALTER DATABASE "{db.one("SELECT current_database()")}" SET search_path = evil, pg_catalog, public'
    )
    spec: dict[str, Any] = {"conflict_keys": ["k"], "columns": {"v": {"expression": "lower(source.v)"}}}

    report = sync(db, [{"k": "a", "v": "A"}, {"k": "b", "v": "B"}], target="public.t", **spec)
    again = sync(db, [{"k": "a", "v": "C"}, {"k": "c", "v": "D"}], target="public.t", **spec)

    assert (report.inserted, again.updated, again.inserted) == (2, 1, 1)
    assert db.execute('SELECT k::text, v FROM public.t ORDER BY k COLLATE "C"') == [
        ("a", "c"),
        ("b", "b"),
        ("c", "d"),
    ]


# Rule 3.
def test_a_writer_that_comes_between_starts_the_classification_again(db: Database) -> None:
    db.execute("CREATE TABLE t (id int PRIMARY KEY, v text, hits int DEFAULT 0)")
    db.execute("INSERT INTO t SELECT n, 'old' FROM generate_series(1, 20) AS n")
    seen: list[str] = []

    def disturb(event: object) -> None:
        name = type(event).__name__
        seen.append(name)
        if name == "Classified" and seen.count("Classified") == 1:
            db.execute("UPDATE t SET v = 'theirs', hits = hits + 1 WHERE id = 7")

    spec = {"name": "t", "target": "t", "conflict_keys": ["id"], "where": "target.v <> 'theirs'"}
    rows = [{"id": n, "v": "new"} for n in range(1, 21)]
    report = syncengine.run(spec, source=rows, connection=db.url, emit=disturb)

    assert report.retries == 1
    assert (report.updated, report.skipped) == (19, 1)
    assert db.execute("SELECT v, hits FROM t WHERE id = 7") == [("theirs", 1)]


def test_a_new_key_that_another_writer_inserts_first_is_updated_then(db: Database) -> None:
    db.execute("CREATE TABLE t (id int PRIMARY KEY, v text)")
    seen: list[str] = []

    def disturb(event: object) -> None:
        seen.append(type(event).__name__)
        if seen.count("Classified") == 1 and seen[-1] == "Classified":
            db.execute("INSERT INTO t VALUES (2, 'theirs')")

    rows = [{"id": n, "v": "new"} for n in (1, 2, 3)]
    spec = {"name": "t", "target": "t", "conflict_keys": ["id"]}
    report = syncengine.run(spec, source=rows, connection=db.url, emit=disturb)

    assert (report.inserted, report.updated, report.retries) == (2, 1, 1)
    assert db.execute("SELECT * FROM t ORDER BY id") == [(1, "new"), (2, "new"), (3, "new")]


@pytest.mark.parametrize("method", STRATEGIES)
def test_under_constant_contention_the_last_attempt_is_read_committed(db: Database, method: str) -> None:
    db.execute("CREATE TABLE t (id int PRIMARY KEY, v text, hits int DEFAULT 0)")
    db.execute("INSERT INTO t SELECT n, 'old' FROM generate_series(1, 3) AS n")
    touched = 0

    def disturb(event: object) -> None:
        nonlocal touched
        if type(event).__name__ == "StepStarted" and event.step.startswith("classify"):  # type: ignore[attr-defined]  # an event
            with psycopg.connect(db.direct, autocommit=True) as other:
                other.execute("SET lock_timeout = '300ms'")
                try:
                    other.execute("UPDATE t SET hits = hits + 1 WHERE id = 1")
                    touched += 1
                except psycopg.errors.LockNotAvailable:
                    pass  # the last attempt holds the row's lock by now

    spec = {
        "name": "t",
        "target": "t",
        "conflict_keys": ["id"],
        "update_columns": [{"hits": "target.hits + 100"}],
        "execution": {"retries": 2, "method": method},
    }

    def always_disturb(event: object) -> None:
        # The snapshot is taken by the first statement: a writer after that conflicts with the update.
        disturb(event)

    report = syncengine.run(spec, source=[{"id": 1, "v": "x"}], connection=db.url, emit=always_disturb)

    assert (report.retries, report.updated) == (2, 1)
    assert touched == 2
    assert db.execute("SELECT hits FROM t WHERE id = 1") == [(102,)]


def test_a_row_that_comes_and_changes_during_the_last_attempt_is_not_passed_over(db: Database) -> None:
    """Its place is known from when it came, and it is not there any more."""
    db.execute("CREATE TABLE t (id int PRIMARY KEY, v text)")
    db.execute("INSERT INTO t VALUES (1, 'old')")

    attempt = 0

    def disturb(event: ev.Event) -> None:
        nonlocal attempt
        match event:
            case ev.UnitStarted(unit="publish"):
                attempt = event.attempt
            case ev.StepStarted() if event.step.startswith("classify"):
                theirs = "UPDATE t SET v = 'later' WHERE id = 1", "INSERT INTO t VALUES (2, 'theirs')"
                db.execute(theirs[attempt - 1])
            case ev.StepFinished() if event.step.startswith("classify") and attempt == 2:
                db.execute("UPDATE t SET v = 'theirs again' WHERE id = 2")

    spec = {
        "name": "t",
        "target": "t",
        "conflict_keys": ["id"],
        "execution": {"retries": 1, "method": "staged"},
    }
    with pytest.raises(syncengine.Conflict, match="made and changed 1 of the rows"):
        syncengine.run(spec, source=[{"id": n, "v": "new"} for n in (1, 2)], connection=db.url, emit=disturb)

    assert db.execute("SELECT * FROM t ORDER BY id") == [(1, "later"), (2, "theirs again")]


def test_two_runs_at_once_end_as_if_one_came_after_the_other(db: Database) -> None:
    db.execute("CREATE TABLE t (id int PRIMARY KEY, v text)")
    rows = [{"id": n, "v": str(n)} for n in range(2000)]
    reports: list[syncengine.Report] = []
    spec = {"name": "t", "target": "t", "conflict_keys": ["id"], "execution": {"method": "staged"}}

    def run(source: list[dict[str, Any]]) -> None:
        reports.append(syncengine.run(spec, source=source, connection=db.url))

    threads = [threading.Thread(target=run, args=(source,)) for source in (rows, rows[::-1])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(report.inserted for report in reports) == [0, 2000]
    assert sum(report.unchanged for report in reports) == 2000
    assert db.one("SELECT count(*) FROM t") == 2000


def test_a_locked_table_fails_after_the_lock_timeout_and_leaves_nothing(db: Database) -> None:
    db.execute("CREATE TABLE t (id int PRIMARY KEY, v text)")
    with db.connect() as other, other.transaction():
        other.execute("LOCK TABLE t")
        with pytest.raises(syncengine.Conflict) as failure:
            sync(
                db,
                [{"id": 1, "v": "a"}],
                conflict_keys=["id"],
                execution={"lock_timeout": "100ms", "method": "staged"},
            )

    assert failure.value.sqlstate == "55P03"
    assert db.one("SELECT count(*) FROM t") == 0
    assert db.one("SELECT count(*) FROM pg_class WHERE relname LIKE 'stage%'") == 0


@pytest.mark.parametrize("method", STRATEGIES)
def test_a_partial_index_over_a_column_that_is_not_loaded_takes_its_default(
    db: Database, method: str
) -> None:
    db.execute("CREATE TABLE t (k text, v text, deleted_at date)")
    db.execute("CREATE UNIQUE INDEX live ON t (k) WHERE deleted_at IS NULL")
    db.execute("INSERT INTO t VALUES ('a', 'old', NULL), ('b', 'gone', '2024-01-01')")
    spec: dict[str, Any] = {
        "conflict_keys": ["k"],
        "conflict_where": "deleted_at IS NULL",
        "execution": {"method": method},
    }

    rows = [{"k": "a", "v": "new"}, {"k": "b", "v": "new"}]
    first = sync(db, rows, **spec)
    second = sync(db, rows, **spec)

    assert (first.updated, first.inserted, second.unchanged) == (1, 1, 2)
    assert db.execute("SELECT k, v FROM t WHERE deleted_at IS NULL ORDER BY k") == [
        ("a", "new"),
        ("b", "new"),
    ]


def test_operators_of_extension_types_are_found_wherever_they_live(db: Database) -> None:
    db.execute("CREATE SCHEMA ext; CREATE EXTENSION citext SCHEMA ext; CREATE EXTENSION hstore SCHEMA ext")
    db.execute("CREATE TABLE t (id int PRIMARY KEY, mail ext.citext, v text, h ext.hstore)")
    db.execute("INSERT INTO t VALUES (1, 'A@X', 'old', 'k=>1'), (2, 'B@X', 'old', 'k=>2')")
    spec: dict[str, Any] = {
        "conflict_keys": ["id"],
        "update_columns": ["v", {"h": "target.h || excluded.h"}],
        "where": "target.mail = excluded.mail AND excluded.h -> 'k' = '9'",
    }

    rows = [
        {"id": 1, "mail": "a@x", "v": "new", "h": "k=>9"},
        {"id": 2, "mail": "b@x", "v": "new", "h": "k=>8"},
    ]
    report = sync(db, rows, **spec)

    assert (report.updated, report.skipped) == (1, 1)
    assert db.execute("SELECT id, v, h::text FROM t ORDER BY id") == [
        (1, "new", '"k"=>"9"'),
        (2, "old", '"k"=>"2"'),
    ]


def test_syntax_that_cannot_name_an_operators_schema_is_refused(db: Database) -> None:
    db.execute("CREATE EXTENSION citext; CREATE TABLE t (id int PRIMARY KEY, mail citext)")

    with pytest.raises(syncengine.SpecError, match="operator =") as failure:
        sync(db, [{"id": 1, "mail": "a"}], conflict_keys=["id"], where="target.mail IN ('a', 'b')")

    assert failure.value.hint is not None
    assert "ANY" in failure.value.hint
