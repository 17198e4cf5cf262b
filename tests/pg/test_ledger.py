"""The ledger: made and brought up to date by the runs themselves, and true about what they did."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest
from psycopg.conninfo import make_conninfo
from psycopg.sql import SQL, Identifier

import syncengine
from syncengine.again import kept_rows
from syncengine.errors import SyncError
from tests.servers import Database

FIRST_VERSION = """
CREATE SCHEMA syncengine;
CREATE TABLE syncengine.runs (run text NOT NULL, spec text NOT NULL, target text NOT NULL, relation oid NOT NULL,
    ledger oid NOT NULL, fingerprint text NOT NULL, published_at timestamptz NOT NULL DEFAULT transaction_timestamp(),
    PRIMARY KEY (spec, target, fingerprint));
INSERT INTO syncengine.runs VALUES ('r', 's', 't', 1, 2, 'f')"""
ROWS = [{"id": 1, "n": 1}, {"id": 2, "n": 2}]


@pytest.fixture
def db(emptied: Database) -> Database:
    emptied.execute("CREATE TABLE t (id int PRIMARY KEY, n int CHECK (n < 100))")
    return emptied


def run(db: Database, rows: list[dict[str, Any]] | None = None, **keys: Any) -> syncengine.Report:
    spec = {"name": "t", "target": "t", "conflict_keys": ["id"], **keys}
    return syncengine.run(spec, source=ROWS if rows is None else rows, connection=db.url)


def tables(db: Database, schema: str = "syncengine") -> list[object]:
    query = "SELECT relname::text FROM pg_class WHERE relnamespace = %s::regnamespace AND relkind = 'r' ORDER BY 1"
    return [name for (name,) in db.execute(query, [f'"{schema}"'])]


WHOLE = ["chunks", "leases", "published", "quarantine", "runs", "watermarks"]


@pytest.mark.every_server
def test_the_first_run_makes_it(db: Database):
    run(db)

    assert tables(db) == WHOLE
    assert db.execute("SELECT spec, target, state, rows_read, inserted, mode FROM syncengine.runs") == [
        ("t", "public.t", "done", 2, 2, "upsert")
    ]


@pytest.mark.every_server
def test_a_ledger_of_the_first_version_is_brought_up_to_date_and_keeps_what_it_knows(db: Database):
    db.execute(FIRST_VERSION)

    run(db)

    assert tables(db) == WHOLE
    assert db.execute("SELECT run, fingerprint FROM syncengine.published") == [("r", "f")]
    assert db.one("SELECT count(*) FROM syncengine.runs") == 1


@pytest.mark.parametrize("before", ["", FIRST_VERSION], ids=["from-nothing", "from-the-first-version"])
def test_many_runs_at_once_make_it_together(db: Database, before: str):
    db.execute(before or "SELECT")
    for number in range(8):
        db.execute(f"CREATE TABLE t{number} (id int PRIMARY KEY, n int)")
    reports: list[syncengine.Report] = []

    def one(number: int) -> None:
        reports.append(run(db, name=f"t{number}", target=f"t{number}"))

    threads = [threading.Thread(target=one, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert [report.inserted for report in reports] == [2] * 8
    assert tables(db) == WHOLE


def test_a_failed_run_is_noted_with_its_error(db: Database):
    with pytest.raises(SyncError):
        run(db, [{"id": 1, "n": 100}])

    ((state, error),) = db.execute("SELECT state, error FROM syncengine.runs")
    assert isinstance(error, dict)
    assert (state, error["code"]) == ("failed", "bad-row")


def test_approved_limits_are_noted(db: Database):
    spec = {"name": "t", "target": "t", "conflict_keys": ["id"], "limits": {"max_inserts": 1}}
    syncengine.run(spec, source=ROWS, connection=db.url, approve={"max_inserts": 2})

    assert db.one("SELECT approved FROM syncengine.runs") == {"max_inserts": "2"}


@pytest.mark.parametrize("schema", ["Odd %s %(x)s", 'with "quotes"', "plain"])
def test_the_schema_may_have_any_name(
    db: Database, schema: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    Path("syncengine.yaml").write_text(json.dumps({"ledger_schema": schema}))
    Path("t.csv").write_text("id,n\n1,1\n2,2\n3,3\n")
    for more in (
        {},
        {"execution": {"transaction": "chunk", "chunk_rows": 1}},
        {"execution": {"method": "staged"}},
    ):
        spec = {"name": "t", "source": "t.csv", "target": "t", "conflict_keys": ["id"], **more}
        assert syncengine.run(spec, connection=db.url).ok
    db.execute("ALTER TABLE t ADD CHECK (n < 9)")
    Path("t.csv").write_text("id,n\n1,1\nx,2\n3,9\n")
    for transaction in ("all", "chunk"):
        whole = {"bad_rows": "quarantine", "execution": {"transaction": transaction}}
        spec = {"name": transaction, "source": "t.csv", "target": "t", "conflict_keys": ["id"], **whole}
        assert syncengine.run(spec, connection=db.url).quarantined == 2
    assert [row.line for row in kept_rows(db.conn, schema, spec="all")] == [3, 4]

    named = SQL("SELECT count(*) FROM {} WHERE state = 'done'").format(Identifier(schema, "runs"))
    assert db.conn.execute(named).fetchone() == (5,)
    assert [name for name in tables(db, schema.replace('"', '""')) if str(name).startswith("stage")] == []


def test_nothing_secret_gets_into_it(db: Database, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TOKEN_OF_MINE", "hunter2-of-mine")
    spec = {
        "target": "t",
        "conflict_keys": ["id"],
        "columns": {"n": {"expression": "length('${secret:TOKEN_OF_MINE}')"}},
        "ignore_fields": "*",
    }
    run(db, **spec)

    for table in tables(db):
        text = db.execute(f"SELECT string_agg(x::text, ' ') FROM syncengine.{table} AS x")
        assert "hunter2" not in str(text)


def test_what_is_no_staging_of_a_known_run_is_left_alone(db: Database):
    run(db)
    db.execute(
        "CREATE TABLE syncengine.stage_0123456789ab_0 (id int); CREATE TABLE syncengine.stage_mine (id int)"
    )

    run(db)

    assert tables(db) == sorted([*WHOLE, "stage_0123456789ab_0", "stage_mine"])


@pytest.mark.parametrize(
    "what", ["SCHEMA syncengine", "TABLE syncengine.runs", "TABLE syncengine.quarantine"]
)
def test_what_a_stranger_owns_is_not_written_to(db: Database, what: str):
    run(db)
    role, stranger = f"loader_{db.name}", f"stranger_{db.name}"
    db.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'sesame-seed'; CREATE ROLE {stranger}")
    try:
        db.execute(
            f"GRANT ALL ON SCHEMA syncengine TO {role}; GRANT ALL ON ALL TABLES IN SCHEMA syncengine TO {role}"
        )
        db.execute(f"GRANT ALL ON t TO {role}; GRANT USAGE ON SCHEMA public TO {role}")
        url = make_conninfo(db.url, user=role, password="sesame-seed")
        spec = {"name": "t", "target": "t", "conflict_keys": ["id"]}
        assert syncengine.run(spec, source=ROWS, connection=url).unchanged == 2
        db.execute(f"ALTER {what} OWNER TO {stranger}")
        db.execute(
            f"GRANT ALL ON SCHEMA syncengine TO {role}; GRANT ALL ON ALL TABLES IN SCHEMA syncengine TO {role}"
        )

        with pytest.raises(SyncError) as refused:
            syncengine.run(spec, source=ROWS, connection=url)

        assert (refused.value.code, refused.value.exit_code) == ("target-unfit", 3)
        assert stranger in refused.value.message
    finally:
        db.execute(f"DROP OWNED BY {role}, {stranger} CASCADE; DROP ROLE {role}, {stranger}")
