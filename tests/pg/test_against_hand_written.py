"""What stands in a table's way, told by the plan or the run as the server tells it of the statement written by hand.

Where we are stricter than the server, `promise` says so: it takes the statement, and loses or hides something.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import psycopg
import pytest

import syncengine
from syncengine.errors import SyncError
from tests.features import needs
from tests.runs import refused, sync
from tests.servers import Database

pytestmark = pytest.mark.every_server

TABLE = "CREATE TABLE t (id int PRIMARY KEY, name text)"
ROWS: list[dict[str, object]] = [{"id": 1, "name": "uno"}, {"id": 3, "name": "three"}]
BY_ID = "ON CONFLICT (id) DO UPDATE SET name = excluded.name"
INSERT = "INSERT INTO t (id, name) VALUES (1, 'uno'), (3, 'three')"
ONE = "; INSERT INTO t VALUES (1, 'one')"


@dataclass(frozen=True, kw_only=True)
class Fault:
    """`server` is the SQLSTATE of the statement, `plan` and `run` the error's code; None: it works.

    A run is tried only where there is a plan.
    """

    ddl: str
    statement: str = f"{INSERT} {BY_ID}"
    spec: dict[str, object] = field(default_factory=lambda: {"conflict_keys": ["id"]})
    rows: list[dict[str, object]] = field(default_factory=lambda: ROWS)
    server: str | None = None
    plan: str | None = None
    run: str | None = None
    promise: str = ""


def inserts(ddl: str, **rest: object) -> Fault:
    return Fault(ddl=ddl, statement=INSERT, spec={"mode": "insert"}, **rest)  # type: ignore[arg-type]


def trigger(timing: str, body: str) -> str:
    return (
        f"CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN {body} END$$;"
        f"CREATE TRIGGER x {timing} ON t FOR EACH ROW EXECUTE FUNCTION f()"
    )


KEYS = {
    "deferrable-constraint": Fault(
        ddl="CREATE TABLE t (id int UNIQUE DEFERRABLE, name text)", server="55000", plan="no-arbiter-index"
    ),
    "deferrable-constraint-by-name": Fault(
        ddl="CREATE TABLE t (id int CONSTRAINT x UNIQUE DEFERRABLE, name text)",
        statement=f"{INSERT} ON CONFLICT ON CONSTRAINT x DO UPDATE SET name = excluded.name",
        spec={"conflict_constraint": "x"},
        server="55000",
        plan="no-arbiter-index",
    ),
    "deferrable-constraint-of-other-columns": Fault(ddl=f"{TABLE}; ALTER TABLE t ADD UNIQUE (name) DEFERRABLE {ONE}"),
    "no-unique-index": Fault(
        ddl="CREATE TABLE t (id int, name text); CREATE INDEX ON t (id)", server="42P10", plan="no-arbiter-index"
    ),
    "wider-index": Fault(
        ddl="CREATE TABLE t (id int, name text, UNIQUE (id, name))", server="42P10", plan="no-arbiter-index"
    ),
    "partial-index": Fault(
        ddl="CREATE TABLE t (id int, name text); CREATE UNIQUE INDEX ON t (id) WHERE name <> ''",
        server="42P10",
        plan="no-arbiter-index",
    ),
    "partial-index-with-its-predicate": Fault(
        ddl=f"CREATE TABLE t (id int, name text); CREATE UNIQUE INDEX ON t (id) WHERE name <> '' {ONE}",
        statement=f"{INSERT} ON CONFLICT (id) WHERE name <> '' DO UPDATE SET name = excluded.name",
        spec={"conflict_keys": ["id"], "conflict_where": "name <> ''"},
    ),
    "expression-index": Fault(
        ddl="CREATE TABLE t (id int, name text); CREATE UNIQUE INDEX ON t (abs(id))",
        server="42P10",
        plan="no-arbiter-index",
    ),
    "expression-index-by-its-expression": Fault(
        ddl="CREATE TABLE t (id int, name text); CREATE UNIQUE INDEX ON t (abs(id)); INSERT INTO t VALUES (-1, 'one')",
        statement=f"{INSERT} ON CONFLICT (abs(id)) DO UPDATE SET name = excluded.name",
        spec={"conflict_keys": ["abs(id)"], "update_columns": ["name"]},
    ),
    "invalid-index": Fault(
        ddl="CREATE TABLE t (id int, name text); CREATE UNIQUE INDEX x ON t (id);"
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'x'::regclass",
        server="42P10",
        plan="no-arbiter-index",
    ),
    "exclusion-constraint": Fault(
        ddl="CREATE TABLE t (id int, name text, EXCLUDE (id WITH =))", server="42P10", plan="no-arbiter-index"
    ),
    "partitioned-without-the-partition-key": Fault(
        ddl="CREATE TABLE t (id int, name text, PRIMARY KEY (id, name)) PARTITION BY LIST (name);"
        "CREATE TABLE t_1 PARTITION OF t DEFAULT",
        server="42P10",
        plan="no-arbiter-index",
    ),
    "partitioned": Fault(
        ddl=f"{TABLE} PARTITION BY HASH (id);"
        f"CREATE TABLE t_1 PARTITION OF t FOR VALUES WITH (MODULUS 1, REMAINDER 0) {ONE}"
    ),
    "inheritance-without-an-index-of-its-own": Fault(
        ddl="CREATE TABLE parent (id int PRIMARY KEY, name text); CREATE TABLE t () INHERITS (parent)",
        server="42P10",
        plan="no-arbiter-index",
    ),
    "null-in-a-key": Fault(
        ddl="CREATE TABLE t (id int UNIQUE, name text); INSERT INTO t VALUES (NULL, 'none')",
        statement=f"INSERT INTO t VALUES (NULL, 'null') {BY_ID}",
        rows=[{"id": None, "name": "null"}],
        run="null-keys",
        promise="by hand each run inserts the row again",
    ),
    "null-in-a-key-that-tells-nulls-apart-no-more": Fault(
        ddl="CREATE TABLE t (id int UNIQUE NULLS NOT DISTINCT, name text); INSERT INTO t VALUES (NULL, 'none')",
        statement=f"INSERT INTO t VALUES (NULL, 'null') {BY_ID}",
        rows=[{"id": None, "name": "null"}],
    ),
    "key-twice-in-the-source": Fault(
        ddl=TABLE,
        statement=f"INSERT INTO t VALUES (1, 'a'), (1, 'b') {BY_ID}",
        rows=[{"id": 1, "name": "a"}, {"id": 1, "name": "b"}],
        server="21000",
        run="duplicate-keys",
    ),
}  # fmt: skip
COLUMNS = {
    "generated": Fault(
        ddl="CREATE TABLE t (id int PRIMARY KEY, name text GENERATED ALWAYS AS ('n' || id::bpchar) STORED)",
        server="428C9",
        plan="target-unfit",
    ),
    "generated-virtual": Fault(
        ddl="CREATE TABLE t (id int PRIMARY KEY, name text GENERATED ALWAYS AS ('n') VIRTUAL)",
        server="428C9",
        plan="target-unfit",
    ),
    "generated-in-an-insert": inserts(
        "CREATE TABLE t (id int, name text GENERATED ALWAYS AS ('n') STORED)",
        server="428C9",
        plan="target-unfit",
    ),
    "generated-not-loaded": Fault(
        ddl="CREATE TABLE t (id int PRIMARY KEY, name text, twice int GENERATED ALWAYS AS (id * 2) STORED);"
        "INSERT INTO t VALUES (1, 'one')"
    ),
    "identity-always": Fault(
        ddl="CREATE TABLE t (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text)",
        server="428C9",
        plan="target-unfit",
    ),
    "identity-always-in-an-insert": inserts(
        "CREATE TABLE t (id int GENERATED ALWAYS AS IDENTITY, name text)", server="428C9", plan="target-unfit"
    ),
    "identity-always-not-loaded": Fault(
        ddl="CREATE TABLE t (no int GENERATED ALWAYS AS IDENTITY (MINVALUE 0 MAXVALUE 1 CYCLE),"
        " id int PRIMARY KEY, name text)"
    ),
    "identity-by-default": Fault(
        ddl=f"CREATE TABLE t (id int GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, name text) {ONE}"
    ),
    "not-null-without-a-default": inserts(
        "CREATE TABLE t (id int, name text, at date NOT NULL)", server="23502", plan="target-unfit"
    ),
    "not-null-of-a-domain": inserts(
        "CREATE DOMAIN d AS text NOT NULL; CREATE TABLE t (id int, name text, note d)",
        server="23502",
        run="bad-row",
    ),
    "dropped": Fault(
        ddl=f"CREATE TABLE t (x int, id int PRIMARY KEY, y int, name text); ALTER TABLE t DROP x, DROP y {ONE}"
    ),
    "missing": Fault(ddl="CREATE TABLE t (id int PRIMARY KEY)", server="42703", plan="invalid-spec"),
    "name-cut-off-by-the-server": Fault(
        ddl=f"CREATE TABLE t (id int PRIMARY KEY, {'n' * 63} text)",
        statement=f"INSERT INTO t (id, {'n' * 64}) VALUES (1, 'uno')",
        spec={"conflict_keys": ["id"], "columns": {"n" * 64: "name"}},
        plan="invalid-spec",
        promise="by hand another column than the named one is written",
    ),
    "of-another-type": Fault(
        ddl="CREATE TABLE t (id int PRIMARY KEY, name date)", server="22007", run="bad-row"
    ),
    "too-short": Fault(ddl="CREATE TABLE t (id int PRIMARY KEY, name varchar(3))", server="22001", run="bad-row"),
    "out-of-range": Fault(
        ddl="CREATE TABLE t (id smallint PRIMARY KEY, name text)",
        statement=f"INSERT INTO t VALUES (70000, 'x') {BY_ID}",
        rows=[{"id": 70000, "name": "x"}],
        server="22003",
        run="bad-row",
    ),
}  # fmt: skip
RELATIONS = {
    "view": Fault(
        ddl="CREATE TABLE base (id int PRIMARY KEY, name text); INSERT INTO base VALUES (1, 'one');"
        "CREATE VIEW t AS SELECT * FROM base"
    ),
    "view-of-a-join": inserts(
        f"{TABLE}; ALTER TABLE t RENAME TO b; CREATE VIEW t AS SELECT x.* FROM b AS x JOIN b AS y USING (id)",
        server="55000",
        plan="target-unfit",
    ),
    "view-with-a-computed-column": Fault(
        ddl="CREATE TABLE b (id int PRIMARY KEY); CREATE VIEW t AS SELECT id, 'n' || id AS name FROM b",
        server="0A000",
        plan="target-unfit",
    ),
    "view-with-triggers": Fault(
        ddl=f"{TABLE}; ALTER TABLE t RENAME TO b; CREATE VIEW t AS SELECT * FROM b;"
        + trigger("INSTEAD OF INSERT OR UPDATE", "RETURN NEW;"),
        server="42P10",
        plan="no-arbiter-index",
    ),
    "view-with-triggers-for-inserts": inserts(
        f"{TABLE}; ALTER TABLE t RENAME TO b; CREATE VIEW t AS SELECT id, upper(name) AS name FROM b;"
        + trigger("INSTEAD OF INSERT", "INSERT INTO b VALUES (NEW.id, NEW.name); RETURN NEW;")
    ),
    "view-with-check-option": Fault(
        ddl=f"{TABLE}; ALTER TABLE t RENAME TO b;"
        "CREATE VIEW t AS SELECT * FROM b WHERE id < 3 WITH CHECK OPTION",
        server="44000",
        run="bad-row",
    ),
    "materialized-view": inserts(
        f"{TABLE}; ALTER TABLE t RENAME TO b; CREATE MATERIALIZED VIEW t AS SELECT * FROM b",
        server="42809",
        plan="target-unfit",
    ),
    "sequence": inserts("CREATE SEQUENCE t", server="42703", plan="target-unfit"),
    "index": inserts(
        "CREATE TABLE b (id int, name text); CREATE INDEX t ON b (id)", server="42809", plan="target-unfit"
    ),
    "composite-type": inserts("CREATE TYPE t AS (id int, name text)", server="42809", plan="target-unfit"),
    "missing": inserts("SELECT", server="42P01", plan="target-unfit"),
    "foreign-table": Fault(
        ddl="CREATE EXTENSION file_fdw SCHEMA public; CREATE SERVER s FOREIGN DATA WRAPPER file_fdw;"
        "CREATE FOREIGN TABLE t (id int, name text) SERVER s OPTIONS (filename '/dev/null')",
        server="42P10",
        plan="target-unfit",
    ),
    "foreign-table-that-takes-no-rows": inserts(
        "CREATE EXTENSION file_fdw SCHEMA public; CREATE SERVER s FOREIGN DATA WRAPPER file_fdw;"
        "CREATE FOREIGN TABLE t (id int, name text) SERVER s OPTIONS (filename '/dev/null')",
        server="0A000",
        plan="target-unfit",
    ),
    "rule": Fault(
        ddl=f"{TABLE}; CREATE RULE quiet AS ON INSERT TO t DO INSTEAD NOTHING",
        plan="target-unfit",
        promise="by hand nothing is written, without a word",
    ),
    "rule-that-swallows-an-insert": inserts(
        f"{TABLE}; CREATE RULE quiet AS ON INSERT TO t DO INSTEAD NOTHING",
        plan="target-unfit",
        promise="by hand nothing is written, without a word",
    ),
    "rule-on-deletes": Fault(
        ddl=f"{TABLE}; CREATE RULE quiet AS ON DELETE TO t DO INSTEAD NOTHING {ONE}",
        plan="target-unfit",
        promise="rules change what statements do",
    ),
    "no-partition": Fault(
        ddl=f"{TABLE} PARTITION BY RANGE (id); CREATE TABLE t_1 PARTITION OF t FOR VALUES FROM (0) TO (3)",
        server="23514",
        run="bad-row",
    ),
}  # fmt: skip
CONSTRAINTS = {
    "check": Fault(
        ddl="CREATE TABLE t (id int PRIMARY KEY, name text CHECK (length(name) < 5))", server="23514", run="bad-row"
    ),
    "foreign-key": Fault(
        ddl=f"CREATE TABLE o (id int PRIMARY KEY); {TABLE}; ALTER TABLE t ADD FOREIGN KEY (id) REFERENCES o",
        server="23503",
        run="bad-row",
    ),
    "deferred-foreign-key": Fault(
        ddl=f"CREATE TABLE o (id int PRIMARY KEY); {TABLE};"
        "ALTER TABLE t ADD FOREIGN KEY (id) REFERENCES o DEFERRABLE INITIALLY DEFERRED",
        server="23503",
        run="bad-row",
    ),
    "another-unique-index": Fault(
        ddl=f"{TABLE}; CREATE UNIQUE INDEX ON t (name); INSERT INTO t VALUES (9, 'three')",
        server="23505",
        run="database-error",
    ),
    "exclusion": Fault(
        ddl=f"{TABLE}; ALTER TABLE t ADD EXCLUDE (name WITH =); INSERT INTO t VALUES (9, 'three')",
        server="23P01",
        run="database-error",
    ),
    "trigger-that-raises": Fault(
        ddl=f"{TABLE}; {trigger('BEFORE INSERT', 'RAISE EXCEPTION USING MESSAGE = NEW.name;')}",
        server="P0001",
        run="database-error",
    ),
    "trigger-that-changes": Fault(
        ddl=f"{TABLE} {ONE}; {trigger('BEFORE INSERT OR UPDATE', 'NEW.name := upper(NEW.name); RETURN NEW;')}"
    ),
    "trigger-that-drops": Fault(
        ddl=f"{TABLE} {ONE}; {trigger('BEFORE INSERT', 'IF NEW.id = 3 THEN RETURN NULL; END IF; RETURN NEW;')}"
    ),
    "trigger-that-is-disabled": Fault(
        ddl=f"{TABLE} {ONE}; {trigger('BEFORE INSERT', 'RETURN NULL;')}; ALTER TABLE t DISABLE TRIGGER x"
    ),
}  # fmt: skip
GROUPS = {"key": KEYS, "column": COLUMNS, "relation": RELATIONS, "constraint": CONSTRAINTS}
FAULTS = [
    pytest.param(fault, id=f"{group}-{name}", marks=needs(fault.ddl))
    for group, faults in GROUPS.items()
    for name, fault in faults.items()
]


@pytest.fixture
def db(emptied: Database) -> Iterator[Database]:
    """Hand out the module's database; what is no schema's is dropped afterwards."""
    yield emptied
    emptied.execute("DROP SERVER IF EXISTS s CASCADE; DROP EXTENSION IF EXISTS file_fdw")


def answer(db: Database, statement: str) -> tuple[str | None, list[tuple[object, ...]]]:
    """Return the SQLSTATE of a statement, None if it works, and the table's rows after it; then it is undone."""
    try:
        with db.conn.transaction(force_rollback=True):
            db.execute(statement)
            db.execute("SET CONSTRAINTS ALL IMMEDIATE")
            return None, rows_of(db)
    except psycopg.Error as error:
        return error.sqlstate, []


def rows_of(db: Database) -> list[tuple[object, ...]]:
    return db.execute('SELECT t::text FROM t ORDER BY t::text COLLATE "C"')


def planned(db: Database, fault: Fault) -> str | None:
    """Return the code of the error that planning ends with."""
    try:
        syncengine.plan({"name": "t", "target": "t", **fault.spec}, source=fault.rows, connection=db.url)
    except SyncError as error:
        return error.each()[0].code
    return None


@pytest.mark.parametrize("fault", FAULTS)
def test_the_plan_answers_as_the_server_does(db: Database, fault: Fault) -> None:
    db.execute(fault.ddl)

    sqlstate, rows = answer(db, fault.statement)
    plan = planned(db, fault)

    assert (sqlstate, plan) == (fault.server, fault.plan)
    assert bool(fault.promise) == (sqlstate is None and bool(fault.plan or fault.run))
    if plan is None and fault.run is None:
        sync(db, fault.rows, **fault.spec)
        assert rows_of(db) == rows


RUNS = [
    pytest.param(fault, id=f"{group}-{name}", marks=needs(fault.ddl))
    for group, faults in GROUPS.items()
    for name, fault in faults.items()
    if fault.run
]


@pytest.mark.parametrize("method", ["staged", "rows"])
@pytest.mark.parametrize("fault", RUNS)
def test_the_run_ends_with_the_servers_error_and_writes_nothing(
    db: Database, fault: Fault, method: str
) -> None:
    db.execute(fault.ddl)
    before = rows_of(db)

    error = refused(db, fault.rows, **fault.spec, execution={"method": method})

    assert error.code == fault.run
    assert error.sqlstate in (fault.server, None)
    assert rows_of(db) == before
