"""Objects planted on the role's search_path: none of them is ever run by the engine's own statements.

A schema that comes before pg_catalog holds a double of each of its functions, operators and types; a double that is
called fails.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import syncengine
from syncengine.catalog import table_facts
from syncengine.errors import BadRow
from tests.runs import counts
from tests.servers import Database, Server

_PLANT = r"""
CREATE SCHEMA planted;
CREATE FUNCTION planted.sprung() RETURNS text LANGUAGE plpgsql AS
    $$BEGIN RAISE EXCEPTION 'a planted object was used'; END$$;
DO $do$
DECLARE
    one record;
    -- What PL/pgSQL and casts are spelt with here must stay pg_catalog's.
    body text := '$b$BEGIN PERFORM planted.sprung(); RETURN NULL; END$b$';
BEGIN
    FOR one IN
        SELECT DISTINCT p.proname AS name, pg_catalog.format_type(p.prorettype, NULL) AS result,
               ARRAY(SELECT t::regtype FROM unnest(p.proargtypes) AS t) AS types
        FROM pg_catalog.pg_proc AS p
        WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.prokind <> 'p' AND NOT p.proretset
    LOOP
        BEGIN
            EXECUTE format('CREATE FUNCTION planted.%I (%s) RETURNS %s LANGUAGE plpgsql IMMUTABLE AS ' || body,
                           one.name, array_to_string(one.types, ', '), one.result);
        EXCEPTION WHEN OTHERS THEN NULL;  -- what takes any type or is internal can't have a double
        END;
    END LOOP;
    FOR one IN
        SELECT o.oprname AS name, o.oprleft::regtype AS l, o.oprright::regtype AS r, o.oprresult::regtype AS result,
               row_number() OVER () AS number
        FROM pg_catalog.pg_operator AS o
        WHERE o.oprnamespace = 'pg_catalog'::regnamespace AND o.oprleft <> 0 AND o.oprresult <> 0
          AND NOT EXISTS (SELECT FROM unnest(ARRAY[o.oprleft, o.oprright, o.oprresult]) AS used
                          WHERE used::regtype::text LIKE 'any%' OR used::regtype::text IN ('record', '"char"'))
        UNION ALL
        -- Of types that need a cast for pg_catalog's own: a better match for them.
        SELECT name, l::regtype, r::regtype, 'boolean'::regtype, 100000 + row_number() OVER ()
        FROM unnest(ARRAY['=', '<>', '<', '>', '~', '*<>', '*=']) AS name,
             (VALUES ('varchar', 'varchar'), ('text', 'varchar'), ('varchar', 'text'), ('bpchar', 'text'),
                     ('int', 'text'), ('name', 'varchar')) AS pairs (l, r)
    LOOP
        CONTINUE WHEN to_regoperator(format('planted.%s(%s,%s)', one.name, one.l, one.r)) IS NOT NULL;
        EXECUTE format('CREATE FUNCTION planted.op_%s (%s, %s) RETURNS %s LANGUAGE plpgsql IMMUTABLE AS ' || body,
                       one.number, one.l, one.r, one.result);
        EXECUTE format('CREATE OPERATOR planted.%s (LEFTARG = %s, RIGHTARG = %s, FUNCTION = planted.op_%s)',
                       one.name, one.l, one.r, one.number);
    END LOOP;
    FOR one IN
        SELECT t.typname AS name FROM pg_catalog.pg_type AS t
        WHERE t.typnamespace = 'pg_catalog'::regnamespace AND t.typtype = 'b' AND t.typname !~ '^_'
    LOOP
        EXECUTE format('CREATE DOMAIN planted.%I AS pg_catalog.%I CHECK (planted.sprung() IS NULL)',
                       one.name, one.name);
    END LOOP;
END$do$
"""
_TABLE = """
CREATE TABLE public.parents (id int PRIMARY KEY, code varchar NOT NULL);
INSERT INTO public.parents VALUES (1, 'p'), (2, 'q');
CREATE TABLE public.t (
    id int NOT NULL, k varchar(20) NOT NULL, v text, n numeric(9,2), d date, j jsonb, a int[], parent int,
    gone boolean DEFAULT false, at timestamptz DEFAULT now(), UNIQUE (id, k));
CREATE UNIQUE INDEX t_lower ON public.t (lower(k)) WHERE v IS NOT NULL;
CREATE TABLE public.h (id int NOT NULL, k varchar, v text, valid_from timestamptz, valid_to timestamptz)
"""


@pytest.fixture(scope="module")
def planted(server: Server) -> Iterator[Database]:
    """Make a database whose roles look into the planted schema first."""
    with server.database() as database:
        database.execute(_TABLE)
        database.execute(_PLANT)
        name = database.one("SELECT current_database()")
        database.execute(f'ALTER DATABASE "{name}" SET search_path = planted, pg_catalog, public')
        yield database


@pytest.fixture(autouse=True)
def emptied(planted: Database) -> None:
    planted.execute("TRUNCATE public.t, public.h")


def test_doubles_are_called_by_who_does_not_mind(planted: Database) -> None:
    fresh = planted.connect()
    for query in ("SELECT lower('a')", "SELECT 'a'::text", "SELECT 1 = 1", "SELECT 'a'::varchar = 'a'::text"):
        with pytest.raises(Exception, match="a planted object was used"):
            fresh.execute(query.encode())
    found = planted.one("SELECT count(*) FROM pg_proc WHERE pronamespace = 'planted'::regnamespace")
    assert int(str(found)) > 2000


FIRST = [
    {"id": 1, "k": "a", "v": "x", "n": "1.50", "d": "2026-01-31", "j": {"b": 1}, "a": [1, 2], "code": "p"},
    {"id": 2, "k": "b", "v": "y", "n": None, "d": None, "j": None, "a": None, "code": "q"},
    {"id": 2, "k": "b", "v": "y", "n": None, "d": None, "j": None, "a": None, "code": "q"},
]
SECOND = [FIRST[0] | {"v": "z", "j": {"c": 2}}, FIRST[1] | {"k": "c"}]
KEYED: dict[str, Any] = {
    "target": "public.t",
    "conflict_keys": ["id", "k"],
    "duplicates": "last",
    "lookups": {"parent": {"table": "public.parents", "select": "id", "match": {"code": "source.code"}}},
    "ignore_fields": ["code"],
}
SPECS: dict[str, dict[str, Any]] = {
    "upsert": {"where": "target.v <> excluded.v OR excluded.k = 'a'"},
    "upsert-rules": {
        "update_columns": [
            {"v": "append"},
            {"n": "sum"},
            {"j": "jsonb_merge"},
            {"d": "greatest"},
            {"a": "append"},
        ]
    },
    "upsert-expressions": {
        "columns": {"v": {"expression": "upper(source.v) || '!'"}, "at": {"expression": "now()"}},
        "update_columns": ["*", {"v": "concat(target.v, lower(excluded.v))"}],
    },
    "upsert-by-expression": {"conflict_keys": ["lower(k)"], "conflict_where": "v IS NOT NULL"},
    "ignore": {"mode": "ignore"},
    "insert": {"mode": "insert"},
    "update": {"mode": "update"},
    "mirror": {"mode": "mirror", "limits": {"max_deletes": "100%"}, "delete": {"scope": "target.id < 99"}},
    "mirror-softly": {"mode": "mirror", "limits": {"max_deletes": 9}, "delete": {"soft": {"gone": "true"}}},
    "replace": {"mode": "replace"},
    "upsert-by-chunks": {"execution": {"transaction": "chunk", "chunk_rows": 1}},
    "insert-by-chunks": {"mode": "insert", "execution": {"transaction": "chunk", "chunk_rows": 1}},
    "returning": {"returning": {"columns": ["id", "k"], "to": "out.jsonl", "rows": "all"}},
}


RUNS = [
    (name, method)
    for name in SPECS
    for method in ("staged", "rows")
    if (name[-6:], method) != ("chunks", "rows")
]


@pytest.mark.parametrize(("name", "method"), RUNS)
def test_no_mode_and_no_strategy_uses_what_is_planted(
    name: str, method: str, planted: Database, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    spec = {"name": f"{name}-{method}", **KEYED, **SPECS[name]}
    spec["execution"] = {**spec.get("execution", {}), "method": method}

    def counted(rows: list[dict[str, Any]]) -> dict[str, int]:
        syncengine.plan(spec, source=rows, connection=planted.url, diff=True)
        return counts(syncengine.run(spec, source=rows, connection=planted.url))

    first, second = (
        counted(FIRST),
        counted([row | {"k": f"{row['k']}2"} for row in SECOND] if spec.get("mode") == "insert" else SECOND),
    )

    assert first.pop("duplicates") == 1
    assert first == ({"inserted": 2} if name != "update" else {"skipped": 2})
    assert second


# pg_catalog goes first on this path, and still a function that suits the arguments better is taken.
def test_better_matches_in_public_are_not_used_either(newdb: Database) -> None:
    newdb.execute("CREATE TABLE t (k varchar, v text, gone text, by text)")
    newdb.execute("CREATE UNIQUE INDEX ON t (lower(k || ''))")
    newdb.execute(
        "CREATE FUNCTION spring() RETURNS text LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'used'; END$$;"
        "CREATE FUNCTION lower(varchar) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT spring()';"
        "CREATE FUNCTION joined(varchar, text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT spring()';"
        "CREATE OPERATOR || (LEFTARG = varchar, RIGHTARG = text, FUNCTION = joined)"
    )
    spec: dict[str, Any] = {
        "name": "t",
        "target": "t",
        "mode": "mirror",
        "conflict_keys": ["lower(k || '')"],
        "update_columns": {"v": "lower(excluded.k)"},
        "delete": {"soft": {"gone": "lower('YES'::varchar)"}},
        "limits": {"max_deletes": "100%"},
    }

    def books(mode: str, *keys: str) -> dict[str, int]:
        here = {
            key: value for key, value in spec.items() if mode == "mirror" or key not in ("delete", "limits")
        }
        rows = [{"k": key, "v": key} for key in keys]
        return counts(syncengine.run(here | {"mode": mode}, source=rows, connection=newdb.url))

    assert books("upsert", "A", "B") == {"inserted": 2}
    assert books("upsert", "A", "C") == {"updated": 1, "inserted": 1}
    assert books("mirror", "A") == {"unchanged": 1, "deleted": 2}
    left = newdb.execute("SELECT k::text, v, gone FROM t ORDER BY 1")
    assert left == [("A", "a", None), ("B", "B", "yes"), ("C", "C", "yes")]


def test_history_uses_nothing_that_is_planted(planted: Database) -> None:
    spec = {"name": "h", "target": "public.h", "mode": "history", "conflict_keys": ["id"]}

    for v, books in (("x", {"inserted": 1}), ("y", {"updated": 1}), ("y", {"unchanged": 1})):
        rows = [{"id": 1, "k": "a", "v": v}]
        assert counts(syncengine.run(spec, source=rows, connection=planted.url)) == books


@pytest.mark.parametrize("method", ["staged", "rows", "copy"])
def test_looking_for_a_bad_row_uses_nothing_that_is_planted(
    method: str, planted: Database, tmp_path: Any
) -> None:
    (tmp_path / "rows.csv").write_text("id,k,n\n1,a,1\n2,b,x\n")
    spec = tmp_path / "bad.yaml"
    spec.write_text(f"{{source: rows.csv, target: public.t, execution: {{method: {method}}}}}")

    with pytest.raises(BadRow, match=r"rows\.csv:3"):
        syncengine.run(spec, connection=planted.url)


@pytest.mark.parametrize("transaction", ["all", "chunk"])
def test_keeping_bad_rows_apart_uses_nothing_that_is_planted(
    transaction: str, planted: Database, tmp_path: Any
) -> None:
    (tmp_path / "rows.csv").write_text("id,k,n\n1,a,1\n2,b,x\n3,c,3\n")
    keys = f"{{transaction: {transaction}, chunk_rows: 1}}" if transaction == "chunk" else "{}"
    spec = tmp_path / f"apart-{transaction}.yaml"
    spec.write_text(
        "{source: rows.csv, target: public.t, conflict_keys: [id, k], bad_rows: quarantine,"
        f" execution: {keys}}}"
    )

    report = syncengine.run(spec, connection=planted.url)

    assert (report.inserted, report.quarantined) == (2, 1)


def test_table_is_made_of_inferred_types_without_what_is_planted(planted: Database) -> None:
    spec = {"name": "made", "target": {"table": "public.made", "create": True}, "conflict_keys": ["id"]}
    rows = [
        {
            "id": 1,
            "t": "x",
            "n": 1.5,
            "d": "2026-01-31",
            "u": "6f1a0f0e-9a5b-4d3e-8a54-3d1f6f3b2c11",
            "b": True,
        }
    ]

    report = syncengine.run(spec, source=rows, connection=planted.url)

    assert report.inserted == 1
    found = planted.execute(
        "SELECT attname::text, atttypid::regtype::text FROM pg_attribute"
        " WHERE attrelid = 'public.made'::regclass AND attnum > 0 ORDER BY attnum"
    )
    types = {"id": "bigint", "t": "text", "n": "double precision", "d": "date", "u": "uuid", "b": "boolean"}
    assert dict(found) == types


def test_a_temporary_table_is_never_taken_for_a_target(newdb: Database) -> None:
    newdb.execute("CREATE TABLE public.t (id int PRIMARY KEY)")
    newdb.execute("CREATE TEMP TABLE t (id int PRIMARY KEY, trap text)")

    found = table_facts(newdb.conn, None, "t")

    assert (found.schema, [column.name for column in found.columns]) == ("public", ["id"])
