"""A table that is changed between plan and write: the run answers as the statement by hand would, or writes nothing."""

from __future__ import annotations

from dataclasses import dataclass

import psycopg
import pytest

import syncengine
from syncengine.errors import SyncError
from syncengine.model.events import Event, StepStarted
from tests.servers import Database

TABLE = "CREATE TABLE t (id int CONSTRAINT t_key UNIQUE, name text); INSERT INTO t VALUES (1, 'one')"
STATEMENT = (
    "INSERT INTO t (id, name) VALUES (1, '10'), (2, '20') ON CONFLICT (id) DO UPDATE SET name = excluded.name"
)

WORKS = {
    "wider-column": "ALTER TABLE t ALTER id TYPE bigint",
    "another-column": "ALTER TABLE t ADD note text DEFAULT 'x'",
    "another-table": "ALTER TABLE t RENAME TO old; CREATE TABLE t (name text, id int PRIMARY KEY)",
    "column-again-at-another-place": "ALTER TABLE t DROP name; ALTER TABLE t ADD name text",
    "another-index": "ALTER TABLE t DROP CONSTRAINT t_key; CREATE UNIQUE INDEX ON t (id)",
    "trigger": "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS"
    " $$BEGIN NEW.name := 'x'; RETURN NEW; END$$;"
    "CREATE TRIGGER f BEFORE INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION f()",
}
FAILS = {
    "no-table": "DROP TABLE t",
    "no-column": "ALTER TABLE t DROP name",
    "no-key-column": "ALTER TABLE t DROP id",
    "column-of-another-name": "ALTER TABLE t RENAME name TO title",
    "no-unique-index": "ALTER TABLE t DROP CONSTRAINT t_key",
    "deferrable": "ALTER TABLE t DROP CONSTRAINT t_key, ADD UNIQUE (id) DEFERRABLE",
    "not-null": "ALTER TABLE t ADD at date; UPDATE t SET at = now(); ALTER TABLE t ALTER at SET NOT NULL",
    "shorter-column": "ALTER TABLE t ALTER name TYPE varchar(1) USING left(name, 1)",
    "generated": "ALTER TABLE t DROP name, ADD name text GENERATED ALWAYS AS ('x') STORED",
    "check": "ALTER TABLE t ADD CHECK (name <> '20')",
    "view": "ALTER TABLE t RENAME TO b; CREATE VIEW t AS SELECT x.* FROM b AS x JOIN b AS y USING (id)",
}
SOURCE = [{"id": 1, "name": "10"}, {"id": 2, "name": "20"}]


@dataclass
class Change:
    """A listener to a run that changes the table once, before the rows in staging are looked at."""

    db: Database
    ddl: str
    done: bool = False

    def __call__(self, event: Event) -> None:
        if self.done or not (isinstance(event, StepStarted) and event.step.startswith("index the keys")):
            return
        self.done = True
        with self.db.connect() as other:
            other.execute("SET lock_timeout = '5s'")
            other.execute(self.ddl.encode())


def run(db: Database, ddl: str, method: str) -> syncengine.Report:
    db.execute(TABLE)
    spec = {"name": "t", "target": "t", "conflict_keys": ["id"], "execution": {"method": method}}
    change = Change(db, ddl)
    try:
        return syncengine.run(spec, source=SOURCE, connection=db.url, emit=change)
    finally:
        assert change.done


def answer(db: Database, ddl: str) -> tuple[str | None, list[tuple[object, ...]]]:
    """Return the SQLSTATE of the statement after the change, or the rows that it leaves; then both are undone."""
    try:
        with db.conn.transaction(force_rollback=True):
            db.execute(f"{TABLE}; {ddl}; {STATEMENT}")
            return None, rows_of(db)
    except psycopg.Error as error:
        return error.sqlstate, []


def rows_of(db: Database) -> list[tuple[object, ...]]:
    return db.execute('SELECT t::text FROM t ORDER BY t::text COLLATE "C"')


@pytest.mark.parametrize("method", ["staged", "rows"])
@pytest.mark.parametrize("ddl", WORKS.values(), ids=WORKS)
def test_a_change_that_the_statement_bears_is_borne(emptied: Database, ddl: str, method: str) -> None:
    expected = answer(emptied, ddl)

    report = run(emptied, ddl, method)

    assert report.counts.closed
    assert (None, rows_of(emptied)) == expected


@pytest.mark.parametrize("method", ["staged", "rows"])
@pytest.mark.parametrize("ddl", FAILS.values(), ids=FAILS)
def test_a_change_that_the_statement_does_not_bear_is_the_servers_error(
    emptied: Database, ddl: str, method: str
) -> None:
    sqlstate, _ = answer(emptied, ddl)

    with pytest.raises(SyncError) as caught:
        run(emptied, ddl, method)

    assert caught.value.exit_code == 1
    assert sqlstate is not None
    # Rows of a view have no places, by which the table's were to be found.
    assert caught.value.sqlstate == ("42703" if "VIEW" in ddl else sqlstate)
    if "DROP TABLE" not in ddl:
        assert emptied.one(f"SELECT count(*) FROM {'b' if 'VIEW' in ddl else 't'}") == 1
