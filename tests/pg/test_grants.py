"""`syncengine grants`: a role that has nothing can do all that its specs ask for with these statements, and no less."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from psycopg.conninfo import make_conninfo

import syncengine
from syncengine.errors import SyncError
from tests.builders import a_spec, untouched
from tests.calls import Call, caller
from tests.modecases import METHODS
from tests.runs import counts
from tests.servers import Database

PASSWORD = "s3cr3t"
TABLE = """
CREATE SCHEMA shop;
CREATE TABLE shop.t (n serial, id int PRIMARY KEY, v text, hits int DEFAULT 0, note text, gone boolean DEFAULT false);
INSERT INTO shop.t (id, v) VALUES (1, 'a'), (2, 'b'), (3, 'c')"""
VERSIONS = """
CREATE SCHEMA shop;
CREATE TABLE shop.t (id int, v text, valid_from timestamptz, valid_to timestamptz, current boolean);
INSERT INTO shop.t SELECT n, chr(96 + n), '2020-01-01', NULL, true FROM generate_series(1, 3) AS n"""
KINDS = f"""
{TABLE};
CREATE SCHEMA lists;
CREATE TABLE lists.kinds (id int PRIMARY KEY, code text, secret text);
INSERT INTO lists.kinds VALUES (7, 'a'), (8, 'x'), (9, 'd');
ALTER TABLE shop.t ADD kind int"""
ROWS = "id,v\n1,a\n2,x\n4,d\n"
BOOKS = {"unchanged": 1, "updated": 1, "inserted": 1}


@dataclass(frozen=True, kw_only=True)
class Case:
    """A spec, what its run must count, and how many of its statements there may be."""

    spec: dict[str, Any]
    books: dict[str, int] = field(default_factory=lambda: dict(BOOKS))
    ddl: str = TABLE
    rows: str = ROWS


KEYED = {"conflict_keys": ["id"]}
GONE = {**BOOKS, "deleted": 1}
CASES: dict[str, Case] = {
    "insert": Case(spec={"mode": "insert"}, rows="id,v\n4,d\n5,e\n", books={"inserted": 2}),
    "insert-returning": Case(
        spec={"mode": "insert", "returning": {"columns": ["n", "id"], "to": "out.csv"}},
        rows="id,v\n4,d\n5,e\n",
        books={"inserted": 2},
    ),
    "insert-with-a-share": Case(
        spec={"mode": "insert", "limits": {"max_inserts": "100%"}}, rows="id,v\n4,d\n", books={"inserted": 1}
    ),
    "ignore": Case(spec={"mode": "ignore", **KEYED}, books={"unchanged": 1, "skipped": 1, "inserted": 1}),
    "upsert": Case(spec={"mode": "upsert", **KEYED}),
    "upsert-returning-all": Case(
        spec={
            "mode": "upsert",
            **KEYED,
            "returning": {"columns": ["n", "note"], "to": "out.csv", "rows": "all"},
        }
    ),
    "upsert-guarded": Case(spec={"mode": "upsert", **KEYED, "where": "target.note IS NULL"}),
    "upsert-by-expression": Case(
        ddl=f"{TABLE}; ALTER TABLE shop.t DROP CONSTRAINT t_pkey; CREATE UNIQUE INDEX ON shop.t (abs(id))",
        spec={"mode": "upsert", "conflict_keys": ["abs(id)"]},
    ),
    "upsert-leaving-rows-alone": Case(
        spec={"mode": "upsert", **KEYED, "update_columns": []},
        books={"unchanged": 1, "skipped": 1, "inserted": 1},
    ),
    "upsert-with-checks": Case(
        spec={
            "mode": "upsert",
            **KEYED,
            "checks": [
                {
                    "name": "few",
                    "sql": "WITH old AS (SELECT note FROM shop.t)"
                    " SELECT (SELECT count(*) FROM old) < 10 AND EXISTS (SELECT secret FROM lists.kinds)",
                }
            ],
        },
        ddl=KINDS,
    ),
    "accumulating": Case(
        spec={"mode": "upsert", **KEYED, "update_columns": ["v", {"hits": "target.hits + 1"}]},
        books={"updated": 2, "inserted": 1},
    ),
    "lookup": Case(
        spec={
            "mode": "upsert",
            **KEYED,
            "lookups": {"kind": {"table": "lists.kinds", "match": {"code": "source.v"}}},
        },
        ddl=KINDS,
        books={"updated": 2, "inserted": 1},
    ),
    "update": Case(spec={"mode": "update", **KEYED}, books={"unchanged": 1, "updated": 1, "skipped": 1}),
    "mirror": Case(spec={"mode": "mirror", **KEYED}, books=GONE),
    "mirror-softly": Case(
        spec={"mode": "mirror", **KEYED, "delete": {"soft": {"gone": "true"}, "live": False}}, books=GONE
    ),
    "mirror-with-children": Case(
        spec={"mode": "mirror", **KEYED},
        ddl=f"{TABLE}; CREATE SCHEMA other;"
        "CREATE TABLE other.child (t int REFERENCES shop.t ON DELETE CASCADE)",
        books=GONE,
    ),
    "replace": Case(spec={"mode": "replace", **KEYED}, books=GONE),
    "replace-without-a-key": Case(
        spec={"mode": "replace", "columns": {"n": {"expression": "source.id::int"}}},
        books={"unchanged": 1, "inserted": 2, "deleted": 2},
    ),
    "history": Case(
        spec={"mode": "history", **KEYED, "history": {"current": "current"}}, ddl=VERSIONS, books=GONE
    ),
    "create": Case(
        spec={"mode": "upsert", **KEYED, "target": {"table": "shop.new", "create": True}},
        books={"inserted": 3},
    ),
    "type-of-another-schema": Case(
        spec={"mode": "upsert", **KEYED},
        ddl=f"{TABLE}; CREATE SCHEMA types; CREATE TYPE types.mood AS ENUM ('a', 'b', 'c', 'd', 'x');"
        "ALTER TABLE shop.t ALTER v TYPE types.mood USING v::types.mood",
    ),
}

# A preview makes the table that a run would make.
STORED = {name: case for name, case in CASES.items() if name != "create"}
ASKED = [
    "upsert",
    "upsert-by-expression",
    "upsert-with-checks",
    "mirror-with-children",
    "lookup",
    "create",
    "type-of-another-schema",
]
READING = ("SELECT", "USAGE", "CONNECT", "TEMPORARY")


@pytest.fixture
def guest(emptied: Database) -> Iterator[str]:
    """Make a role that may do nothing, not even connect, and whose name needs quotes."""
    name = f"Guest {emptied.name}"
    emptied.execute(f"CREATE ROLE \"{name}\" LOGIN PASSWORD '{PASSWORD}'")
    emptied.execute(
        f"REVOKE ALL ON DATABASE {emptied.name} FROM public; REVOKE ALL ON SCHEMA public FROM public"
    )
    yield name
    emptied.execute(f'DROP OWNED BY "{name}"; DROP ROLE "{name}"')


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    return caller(capsys)


def written(folder: Path, case: Case, **keys: Any) -> Path:
    (folder / "rows.csv").write_text(case.rows)
    return a_spec(folder, **{"target": "shop.t", **case.spec, **keys})


def as_guest(db: Database, guest: str) -> str:
    return make_conninfo(db.url, user=guest, password=PASSWORD)


def asked(call: Call, db: Database, spec: Path, guest: str) -> list[dict[str, Any]]:
    """Return the grants as JSON, asked for by the owner."""
    found = call("grants", spec, "--role", guest, "--connection", db.url, "--format", "json")
    assert found.code == 0, found.err
    grants: list[dict[str, Any]] = found.document["grants"]
    return grants


@pytest.mark.every_server
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_the_statements_are_enough(
    call: Call, emptied: Database, guest: str, tmp_path: Path, case: Case, method: str
):
    emptied.execute(case.ddl)
    spec = written(
        tmp_path, case, **({} if "create" in str(case.spec) else {"execution": {"method": method}})
    )
    said = call("grants", spec, "--role", guest, "--connection", emptied.url)
    assert (said.code, said.err.count("Traceback")) == (0, 0), said.err
    assert "-- granted already" not in said.out

    emptied.execute(said.out)

    preview = syncengine.plan(spec, connection=as_guest(emptied, guest), diff=True).preview
    report = syncengine.run(spec, connection=as_guest(emptied, guest))
    assert counts(report) == case.books
    assert preview is not None
    assert preview.counts == report.counts
    again = call("grants", spec, "--connection", as_guest(emptied, guest), "--format", "json")
    assert (again.code, again.document["lacking"]) == (0, 0)


def left_out(db: Database, guest: str, spec: Path, statements: list[str]) -> dict[str, str]:
    """Return the error code of a run for each statement that is taken back; none may touch a table."""
    found = {}
    for statement in statements:
        db.execute(statement.replace("GRANT", "REVOKE").replace(" TO ", " FROM "))
        with untouched(db), pytest.raises(SyncError) as caught:
            syncengine.run(spec, connection=as_guest(db, guest))
        db.execute(statement)
        found[statement] = caught.value.code
    return found


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_no_right_to_a_table_can_be_left_out(
    call: Call, emptied: Database, guest: str, tmp_path: Path, case: Case
):
    emptied.execute(case.ddl)
    spec = written(tmp_path, case)
    statements = [grant["statement"] for grant in asked(call, emptied, spec, guest)]
    emptied.execute("".join(statements))

    codes = left_out(emptied, guest, spec, [text for text in statements if "ON DATABASE" not in text])

    assert set(codes.values()) == {"missing-privilege"}
    assert counts(syncengine.run(spec, connection=as_guest(emptied, guest))) == case.books


@pytest.mark.every_server
def test_no_statement_of_an_upsert_can_be_left_out(call: Call, emptied: Database, guest: str, tmp_path: Path):
    case = CASES["accumulating"]
    emptied.execute(case.ddl)
    spec = written(tmp_path, case)
    statements = [grant["statement"] for grant in asked(call, emptied, spec, guest)]
    emptied.execute("".join(statements))

    codes = left_out(emptied, guest, spec, statements)

    assert {text.partition(" TO ")[0]: code for text, code in codes.items()} == {
        f"GRANT CONNECT ON DATABASE {emptied.name}": "connection-failed",
        f"GRANT TEMPORARY ON DATABASE {emptied.name}": "no-strategy-fits",
        f"GRANT CREATE ON DATABASE {emptied.name}": "missing-privilege",
        "GRANT USAGE ON SCHEMA shop": "missing-privilege",
        "GRANT SELECT (hits, id, v) ON shop.t": "missing-privilege",
        "GRANT INSERT (id, v) ON shop.t": "missing-privilege",
        "GRANT UPDATE (v, hits) ON shop.t": "missing-privilege",
        "GRANT USAGE ON SEQUENCE shop.t_n_seq": "missing-privilege",
    }


@pytest.mark.parametrize("case", STORED.values(), ids=STORED)
def test_the_rights_to_read_are_enough_for_a_preview(
    call: Call, emptied: Database, guest: str, tmp_path: Path, case: Case
):
    emptied.execute(case.ddl)
    spec = written(tmp_path, case)
    needed = asked(call, emptied, spec, guest)
    reading = [grant for grant in needed if grant["privilege"] in READING and grant["on"] != "sequence"]
    emptied.execute("".join(grant["statement"] for grant in reading))

    preview = syncengine.plan(spec, connection=as_guest(emptied, guest), diff=True).preview

    emptied.execute("".join(grant["statement"] for grant in needed))
    report = syncengine.run(spec, connection=as_guest(emptied, guest))
    assert counts(report) == case.books
    assert preview is not None
    assert preview.counts == report.counts


# What is said.


def test_what_lacks_comes_first_and_what_is_granted_after_it(
    call: Call, emptied: Database, guest: str, tmp_path: Path
):
    emptied.execute(f'{TABLE}; GRANT SELECT, INSERT (id) ON shop.t TO "{guest}"')

    said = call(
        "grants", written(tmp_path, CASES["upsert"]), "--role", guest, "--connection", emptied.url, "-q"
    )

    assert said.err == ""
    assert said.out == (
        f"-- {guest} in database {emptied.name} (--connection)\n"
        "-- lacking\n"
        f'GRANT CONNECT ON DATABASE {emptied.name} TO "{guest}";\n'
        f'GRANT TEMPORARY ON DATABASE {emptied.name} TO "{guest}";\n'
        f'GRANT CREATE ON DATABASE {emptied.name} TO "{guest}";\n'
        f'-- or: CREATE SCHEMA syncengine AUTHORIZATION "{guest}";\n'
        f'GRANT USAGE ON SCHEMA shop TO "{guest}";\n'
        f'GRANT INSERT (v) ON shop.t TO "{guest}";\n'
        f'GRANT UPDATE (v) ON shop.t TO "{guest}";\n'
        f'GRANT USAGE ON SEQUENCE shop.t_n_seq TO "{guest}";\n'
        "-- granted already\n"
        f'GRANT SELECT (id, v) ON shop.t TO "{guest}";\n'
        f'GRANT INSERT (id) ON shop.t TO "{guest}";\n'
    )


@pytest.mark.parametrize("name", ASKED)
def test_the_role_itself_may_ask_whatever_it_lacks(
    call: Call, emptied: Database, guest: str, tmp_path: Path, name: str
):
    emptied.execute(f'{CASES[name].ddl}; GRANT CONNECT ON DATABASE {emptied.name} TO "{guest}"')
    spec = written(tmp_path, CASES[name])

    own = call("grants", spec, "--connection", as_guest(emptied, guest), "--format", "json")

    assert own.code == 0, own.err
    assert own.document["role"] == guest
    assert own.document["grants"] == asked(call, emptied, spec, guest)
    assert own.document["lacking"] == len(own.document["grants"]) - 1


def test_a_superuser_lacks_nothing(call: Call, emptied: Database, tmp_path: Path):
    emptied.execute(TABLE)

    found = call(
        "grants", written(tmp_path, CASES["mirror"]), "--connection", emptied.url, "--format", "json"
    )

    assert (found.code, found.document["ok"], found.document["lacking"]) == (0, True, 0)
    assert {grant["held"] for grant in found.document["grants"]} == {True}


def test_the_schema_made_in_place_of_the_right_to_make_schemas_does_as_well(
    call: Call, emptied: Database, guest: str, tmp_path: Path
):
    case = CASES["accumulating"]
    emptied.execute(case.ddl)
    spec = written(tmp_path, case)
    for grant in asked(call, emptied, spec, guest):
        emptied.execute(grant["instead"] or grant["statement"])

    assert counts(syncengine.run(spec, connection=as_guest(emptied, guest))) == case.books


def test_tables_of_the_engine_that_another_role_made_are_among_them(
    call: Call, emptied: Database, guest: str, tmp_path: Path
):
    case = CASES["accumulating"]
    emptied.execute(case.ddl)
    spec = written(tmp_path, case)
    syncengine.run(spec, connection=emptied.url)

    emptied.execute("".join(grant["statement"] for grant in asked(call, emptied, spec, guest)))

    on_ledger = {grant["privilege"] for grant in asked(call, emptied, spec, guest) if grant["name"] == "runs"}
    assert on_ledger == {"SELECT", "INSERT", "UPDATE", "DELETE"}
    assert syncengine.run(spec, connection=as_guest(emptied, guest)).published_before


def test_specs_share_their_statements(call: Call, emptied: Database, guest: str, tmp_path: Path):
    emptied.execute(TABLE)
    emptied.execute("CREATE TABLE shop.u (id int PRIMARY KEY, v text)")
    (tmp_path / "rows.csv").write_text(ROWS)
    keys = "source: rows.csv\nconflict_keys: [id]\n"
    (tmp_path / "specs.yaml").write_text(
        f"name: one\ntarget: shop.t\n{keys}---\nname: two\ntarget: shop.t\nmode: mirror\n{keys}"
        f"---\nname: three\ntarget: shop.u\n{keys}"
    )

    found = {
        (grant["privilege"], grant["name"]): (grant["columns"], grant["specs"])
        for grant in asked(call, emptied, tmp_path / "specs.yaml", guest)
    }

    assert found["USAGE", "shop"] == (None, ["one", "two", "three"])
    assert found["SELECT", "t"] == (None, ["two", "one"])
    assert found["INSERT", "t"] == (["id", "v"], ["one", "two"])
    assert found["DELETE", "t"] == (None, ["two"])
    assert found["SELECT", "u"] == (["id", "v"], ["three"])


def test_what_no_statement_gives_is_noted(call: Call, emptied: Database, guest: str, tmp_path: Path):
    emptied.execute(
        f"{TABLE}; ALTER TABLE shop.t ENABLE ROW LEVEL SECURITY;"
        "CREATE FUNCTION shop.f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';"
        "CREATE TRIGGER stamp BEFORE INSERT ON shop.t FOR EACH ROW EXECUTE FUNCTION shop.f()"
    )
    spec = written(tmp_path, CASES["upsert"], after=["SELECT 1"])

    said = call("grants", spec, "--role", guest, "--connection", emptied.url)

    assert f'ALTER ROLE "{guest}" BYPASSRLS;' in said.out
    assert "-- note: trigger stamp of shop.t" in said.out
    assert "statements under before and after" in said.out
    emptied.execute(said.out)


REFUSED = {
    "role": (("--role", "nobody_here"), "there is no role 'nobody_here'"),
    "selection": (("--select", "other"), "selects nothing"),
}


@pytest.mark.parametrize(("options", "says"), REFUSED.values(), ids=REFUSED)
def test_what_can_not_be_told_is_refused(
    call: Call, emptied: Database, tmp_path: Path, options: tuple[str, ...], says: str
):
    emptied.execute(TABLE)

    said = call("grants", written(tmp_path, CASES["upsert"]), "--connection", emptied.url, *options)

    assert (said.code, said.out) == (3, "")
    assert says in said.err


def test_specs_of_two_databases_are_refused(
    call: Call, emptied: Database, newdb: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    for name, db in (("A", emptied), ("B", newdb)):
        db.execute(TABLE)
        monkeypatch.setenv(name, db.url)
    (tmp_path / "rows.csv").write_text(ROWS)
    (tmp_path / "syncengine.yaml").write_text("connections: {a: '${A}', b: '${B}'}\n")
    keys = "source: rows.csv\nconflict_keys: [id]\n"
    (tmp_path / "specs.yaml").write_text(
        "---\n".join(f"name: {name}\ntarget: {{connection: {name}, table: shop.t}}\n{keys}" for name in "ab")
    )

    both = call("grants", tmp_path / "specs.yaml")
    one = call("grants", tmp_path / "specs.yaml", "--select", "a")

    assert (both.code, both.out) == (3, "")
    assert "2 databases" in both.err
    assert one.code == 0
