"""Names that need quoting, or that the engine uses itself, work; those that PostgreSQL would cut are refused."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from psycopg.sql import SQL, Identifier

import syncengine
from syncengine.errors import SyncError
from tests.builders import a_spec, untouched
from tests.conftest import GetServer, newest
from tests.servers import Database

METHODS = ["staged", "rows"]
NAMES = {
    "capitals": "UserName",
    "spaces": "user name ",
    "double-quote": 'a "b" c',
    "single-quote": "o'neill",
    "percent": "50% %s %(x)s %%",
    "reserved-word": "select",
    "umlauts": "größe",
    "chinese": "名字",
    "emoji": "🦆",
    "braces": "{a} {0} {",
    "backslash": "a\\b",
    "dot": "a.b",
    "dollar": "a$1$$",
    "digit-first": "1st",
    "colon": "a:b",
    "comma": "a,b",
    "semicolon": "a; DROP TABLE t; --",
    "newline": "a\nb",
    "63-bytes": "n" * 63,
    "63-bytes-of-umlauts": "ä" * 31 + "x",
    "of-the-engine": "syncengine",
}
TAKEN = [
    "_op",
    "_rn",
    "_tid",
    "__op",
    "target",
    "excluded",
    "source",
    "changes",
    "stage",
    "load",
    "ctid_",
    "tableoid_",
]


@pytest.fixture(scope="module")
def shared(servers: GetServer, pytestconfig: pytest.Config) -> Iterator[Database]:
    """Make one database for all tests whose names do not meet."""
    with servers(newest(pytestconfig)).database() as database:
        yield database


def quoted(*parts: str) -> str:
    return ".".join('"' + part.replace('"', '""') + '"' for part in parts)


def as_csv(*rows: tuple[object, ...]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def as_key(name: str) -> str:
    """Return a name as conflict_keys takes it: what could only be an expression must be quoted."""
    return quoted(name) if re.search(r"[();']", name) else name


def other(name: str) -> str:
    """Return a second name of the same kind."""
    return "v" + name[1:]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_name_may_be_that_of_schema_table_key_column_and_field(
    name: str, method: str, shared: Database, tmp_path: Path
):
    value = other(name)
    (tmp_path / "rows.csv").write_text(as_csv((name, value), (1, "a"), (2, "b"), (3, "c")), newline="")
    shared.execute(f"DROP SCHEMA IF EXISTS {quoted(name)} CASCADE")
    shared.execute(f"CREATE SCHEMA {quoted(name)}")
    shared.execute(
        f"CREATE TABLE {quoted(name, name)} ({quoted(name)} int PRIMARY KEY, {quoted(value)} text)"
    )
    shared.execute(f"INSERT INTO {quoted(name, name)} VALUES (1, 'a'), (2, 'x')")
    spec = a_spec(
        tmp_path,
        target=quoted(name, name),
        conflict_keys=[as_key(name)],
        update_columns=[{value: f"excluded.{quoted(value)} || ''"}],
        where=f"target.{quoted(value)} <> excluded.{quoted(value)}",
        returning={"columns": [name, value], "to": "out.csv"},
        execution={"method": method},
    )

    report = syncengine.run(spec, connection=shared.url)

    assert (report.inserted, report.updated, report.unchanged) == (1, 1, 1)
    assert shared.execute(f"SELECT * FROM {quoted(name, name)} ORDER BY 1") == [(1, "a"), (2, "b"), (3, "c")]
    with (tmp_path / "out.csv").open(newline="", encoding="utf-8") as file:
        assert sorted(csv.reader(file)) == sorted(
            [[name, value, "_op"], ["2", "b", "update"], ["3", "c", "insert"]]
        )


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_name_may_be_that_of_a_created_table_and_a_mapped_field(name: str, shared: Database, tmp_path: Path):
    (tmp_path / "rows.csv").write_text(as_csv((name, "v"), (1, "a")), newline="")
    expression = {"expression": f"source.{quoted(name)} || '!'", "type": "text"}
    spec = a_spec(
        tmp_path,
        target={"table": quoted("public", name), "create": True},
        columns={name: {"field": name, "type": "integer"}, other(name): expression},
        ignore_fields=["v"],
        conflict_keys=[as_key(name)],
    )

    syncengine.run(spec, connection=shared.url)

    query = SQL("SELECT {}, {} FROM public.{}")
    found = shared.conn.execute(query.format(*map(Identifier, (name, other(name), name)))).fetchall()
    assert found == [(1, "1!")]


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_error_about_an_odd_name_shows_it(name: str, shared: Database, tmp_path: Path):
    (tmp_path / "rows.csv").write_text(as_csv((name,), ("x",)), newline="")
    shared.execute(f"DROP TABLE IF EXISTS t; CREATE TABLE t ({quoted(name)} int UNIQUE)")

    with untouched(shared), pytest.raises(SyncError) as caught:
        syncengine.run(a_spec(tmp_path, conflict_keys=[as_key(name)]), connection=shared.url)

    assert f"column {name}: invalid input syntax" in caught.value.message


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("duplicates", ["error", "last"])
def test_columns_may_have_the_names_that_the_engine_uses(
    method: str, duplicates: str, db: Database, tmp_path: Path
):
    (tmp_path / "rows.csv").write_text(as_csv(["id", *TAKEN], *([row, *TAKEN] for row in (1, 2, 3))))
    db.execute(f"CREATE TABLE t (id int, {', '.join(f'{quoted(name)} text' for name in TAKEN)})")
    db.execute("CREATE UNIQUE INDEX ON t (id, _op, _rn, target, excluded, source)")
    values = ", ".join(repr(name) for name in TAKEN)
    db.execute(f"INSERT INTO t VALUES (1, {values}), (2, {values}); UPDATE t SET load = 'x' WHERE id = 2")
    spec = a_spec(
        tmp_path,
        conflict_keys=["id", "_op", "_rn", "target", "excluded", "source"],
        update_columns=["*", {"stage": "coalesce(excluded.stage, target.stage)"}],
        where="target.target = excluded.target and excluded.excluded = target.excluded",
        returning={"columns": ["id", *TAKEN], "to": "out.jsonl"},
        duplicates=duplicates,
        execution={"method": method},
    )

    report = syncengine.run(spec, connection=db.url)

    assert (report.inserted, report.updated, report.unchanged) == (1, 1, 1)
    assert set(db.execute(f"SELECT {', '.join(map(quoted, TAKEN))} FROM t")) == {tuple(TAKEN)}
    assert (tmp_path / "out.jsonl").read_text().count('"___op"') == 2


LONG = "n" * 64
TOO_LONG: dict[str, dict[str, object]] = {
    "table": {"target": f"public.{LONG}"},
    "schema": {"target": f"{LONG}.t"},
    "created-table": {"target": {"table": f"public.{LONG}", "create": True}},
    "column": {"columns": {LONG: "name"}},
    "key": {"conflict_keys": [LONG]},
    "constraint": {"conflict_keys": None, "conflict_constraint": LONG},
    "update-column": {"update_columns": [LONG]},
    "returned-column": {"returning": {"columns": [LONG], "to": "out.csv"}},
    "umlauts": {"target": f"public.{quoted('ä' * 32)}"},
}


@pytest.mark.parametrize("keys", TOO_LONG.values(), ids=TOO_LONG)
def test_name_of_more_than_63_bytes_is_refused(keys: dict[str, object], newdb: Database, tmp_path: Path):
    """PostgreSQL would cut it without a word, and might meet another table."""
    (tmp_path / "rows.csv").write_text("id,name\n1,a\n")
    newdb.execute(f"CREATE TABLE {LONG[:63]} (id int PRIMARY KEY, name text)")
    newdb.execute("CREATE TABLE t (id int PRIMARY KEY, name text)")
    keys = {"conflict_keys": ["id"], **keys}
    spec = a_spec(tmp_path, **{key: value for key, value in keys.items() if value is not None})

    with untouched(newdb), pytest.raises(SyncError) as caught:
        syncengine.run(spec, connection=newdb.url)

    assert caught.value.exit_code == 3
    assert caught.value.location is not None
    assert caught.value.location.line
    assert len(str(caught.value)) < 600


def test_long_field_is_loaded_under_another_name(newdb: Database, tmp_path: Path):
    fields = [f"{'f' * 100}{number}" for number in range(3)]
    (tmp_path / "rows.csv").write_text(as_csv(("id", *fields), (1, "a", "b", "c")))
    newdb.execute("CREATE TABLE t (id int PRIMARY KEY, a text, b text, c text)")

    columns = dict(zip("abc", fields, strict=True))
    syncengine.run(a_spec(tmp_path, columns=columns, conflict_keys=["id"]), connection=newdb.url)

    assert newdb.execute("SELECT a, b, c FROM t") == [("a", "b", "c")]


def test_long_field_can_not_name_a_created_column(newdb: Database, tmp_path: Path):
    (tmp_path / "rows.csv").write_text(as_csv(("id", LONG), (1, "a")))
    spec = a_spec(tmp_path, target={"table": "public.t", "create": True}, conflict_keys=["id"])

    with untouched(newdb), pytest.raises(SyncError) as caught:
        syncengine.run(spec, connection=newdb.url)

    assert caught.value.exit_code == 3
    assert "63 bytes" in str(caught.value)
