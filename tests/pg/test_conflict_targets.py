"""Conflict targets of every kind: what identifies a row, which rows never conflict, and which of several wins."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.features import needs
from tests.runs import counts, places, refused, sync
from tests.servers import Database

pytestmark = pytest.mark.every_server

METHODS = ["staged", "rows"]


@pytest.fixture
def db(emptied: Database) -> Database:
    return emptied


@dataclass(frozen=True, kw_only=True)
class Case:
    """A table with its rows, what is synced into it, and the books of that run.

    The second run, by the other strategy, changes nothing; `again` are its books where rows are inserted each time.
    """

    table: str
    spec: dict[str, Any]
    source: list[dict[str, Any]]
    counts: dict[str, int]
    rows: list[str]
    again: dict[str, int] = field(default_factory=dict)


CASES = {
    "columns-in-any-order": Case(
        table="CREATE TABLE t (a int, b text, v text, PRIMARY KEY (a, b)); INSERT INTO t VALUES (1, 'x', 'old')",
        spec={"conflict_keys": ["b", "a"]},
        source=[{"a": 1, "b": "x", "v": "new"}, {"a": 1, "b": "y", "v": "new"}],
        counts={"updated": 1, "inserted": 1},
        rows=["(1,x,new)", "(1,y,new)"],
    ),
    "keys-in-another-case": Case(
        table="CREATE TABLE t (\"Id\" int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'old')",
        spec={"conflict_keys": ["id"]},
        source=[{"ID": 1, "v": "new"}],
        counts={"updated": 1},
        rows=["(1,new)"],
    ),
    "expression": Case(
        table="CREATE TABLE t (email text, v text); CREATE UNIQUE INDEX ON t (lower(email));"
        "INSERT INTO t VALUES ('Ada@x', 'old')",
        spec={"conflict_keys": ["lower(email)"], "update_columns": ["v"]},
        source=[{"email": "ADA@x", "v": "new"}, {"email": "Bob@x", "v": "new"}],
        counts={"updated": 1, "inserted": 1},
        rows=["(Ada@x,new)", "(Bob@x,new)"],
    ),
    "expression-and-the-column-itself-updated": Case(
        table="CREATE TABLE t (email text, v text); CREATE UNIQUE INDEX ON t (lower(email));"
        "INSERT INTO t VALUES ('Ada@x', 'old')",
        spec={"conflict_keys": ["lower(email)"]},
        source=[{"email": "ADA@x", "v": "old"}],
        counts={"updated": 1},
        rows=["(ADA@x,old)"],
    ),
    "expression-over-varchar": Case(
        table="CREATE TABLE t (email varchar(20), v text); CREATE UNIQUE INDEX ON t (lower(email));"
        "INSERT INTO t VALUES ('Ada@x', 'old')",
        spec={"conflict_keys": ["lower(email)"], "update_columns": ["v"]},
        source=[{"email": "ADA@x", "v": "new"}],
        counts={"updated": 1},
        rows=["(Ada@x,new)"],
    ),
    "expression-as-the-server-writes-it": Case(
        table="CREATE TABLE t (email varchar(20), v text); CREATE UNIQUE INDEX ON t (lower(email));"
        "INSERT INTO t VALUES ('Ada@x', 'old')",
        spec={"conflict_keys": ["lower((email)::text)"], "update_columns": ["v"]},
        source=[{"email": "ADA@x", "v": "new"}],
        counts={"updated": 1},
        rows=["(Ada@x,new)"],
    ),
    "expression-and-column": Case(
        table="CREATE TABLE t (tenant int, name text, v text);"
        "CREATE UNIQUE INDEX ON t (tenant, upper(name), (v || ''));"
        "INSERT INTO t VALUES (1, 'a', 'v')",
        spec={"conflict_keys": ["v || ''", "tenant", "upper(name)"], "update_columns": ["name"]},
        source=[{"tenant": 1, "name": "A", "v": "v"}, {"tenant": 2, "name": "a", "v": "v"}],
        counts={"updated": 1, "inserted": 1},
        rows=["(1,A,v)", "(2,a,v)"],
    ),
    "partial-index": Case(
        table="CREATE TABLE t (k text, gone boolean, v text); CREATE UNIQUE INDEX ON t (k) WHERE NOT gone;"
        "INSERT INTO t VALUES ('a', true, 'old'), ('a', false, 'old')",
        spec={"conflict_keys": ["k"], "conflict_where": "NOT gone"},
        source=[{"k": "a", "gone": False, "v": "new"}, {"k": "b", "gone": False, "v": "new"}],
        counts={"updated": 1, "inserted": 1},
        rows=["(a,f,new)", "(a,t,old)", "(b,f,new)"],
    ),
    "partial-index-implied-by-the-predicate": Case(
        table="CREATE TABLE t (k int, n int, v text); CREATE UNIQUE INDEX ON t (k) WHERE n > 5;"
        "INSERT INTO t VALUES (1, 11, 'old'), (1, 1, 'old')",
        spec={"conflict_keys": ["k"], "conflict_where": "n > 10", "update_columns": ["v"]},
        source=[{"k": 1, "n": 12, "v": "new"}],
        counts={"updated": 1},
        rows=["(1,1,old)", "(1,11,new)"],
    ),
    "partial-index-over-a-column-that-is-not-loaded": Case(
        table="CREATE TABLE t (k int, deleted_at date, v text); CREATE UNIQUE INDEX ON t (k) WHERE deleted_at IS NULL;"
        "INSERT INTO t VALUES (1, NULL, 'old'), (1, '2024-01-01', 'old'), (2, '2024-01-01', 'old')",
        spec={"conflict_keys": ["k"], "conflict_where": "deleted_at IS NULL"},
        source=[{"k": 1, "v": "new"}, {"k": 2, "v": "new"}],
        counts={"updated": 1, "inserted": 1},
        rows=["(1,,new)", "(1,2024-01-01,old)", "(2,,new)", "(2,2024-01-01,old)"],
    ),
    "rows-outside-the-predicate-are-inserted-each-time": Case(
        table="CREATE TABLE t (k text, gone boolean, v text); CREATE UNIQUE INDEX ON t (k) WHERE NOT gone",
        spec={"conflict_keys": ["k"], "conflict_where": "NOT gone", "null_keys": "insert"},
        source=[
            {"k": "a", "gone": False, "v": "x"},
            {"k": "a", "gone": True, "v": "x"},
            {"k": "a", "gone": None, "v": "x"},
        ],
        counts={"inserted": 3},
        again={"inserted": 2, "unchanged": 1},
        rows=["(a,,x)", "(a,f,x)", "(a,t,x)"],
    ),
    "constraint": Case(
        table="CREATE TABLE t (id int PRIMARY KEY, k text, v text, CONSTRAINT t_k_uq UNIQUE (k));"
        "INSERT INTO t VALUES (1, 'a', 'old')",
        spec={"conflict_constraint": "t_k_uq", "update_columns": ["v"]},
        source=[{"id": 9, "k": "a", "v": "new"}, {"id": 2, "k": "b", "v": "new"}],
        counts={"updated": 1, "inserted": 1},
        rows=["(1,a,new)", "(2,b,new)"],
    ),
    "unique-index-by-name": Case(
        table="CREATE TABLE t (k text, v text); CREATE UNIQUE INDEX t_lower ON t (lower(k));"
        "INSERT INTO t VALUES ('a', 'old')",
        spec={"conflict_constraint": "t_lower", "update_columns": ["v"]},
        source=[{"k": "A", "v": "new"}, {"k": "b", "v": "new"}],
        counts={"updated": 1, "inserted": 1},
        rows=["(a,new)", "(b,new)"],
    ),
    "primary-key-by-name": Case(
        table="CREATE TABLE t (a int, b int, v text, PRIMARY KEY (b, a)); INSERT INTO t VALUES (1, 2, 'old')",
        spec={"conflict_constraint": "t_pkey"},
        source=[{"a": 1, "b": 2, "v": "new"}, {"a": 2, "b": 1, "v": "new"}],
        counts={"updated": 1, "inserted": 1},
        rows=["(1,2,new)", "(2,1,new)"],
    ),
    "nulls-not-distinct": Case(
        table="CREATE TABLE t (k text UNIQUE NULLS NOT DISTINCT, v text); INSERT INTO t VALUES (NULL, 'old')",
        spec={"conflict_keys": ["k"]},
        source=[{"k": None, "v": "new"}, {"k": "a", "v": "new"}],
        counts={"updated": 1, "inserted": 1},
        rows=["(,new)", "(a,new)"],
    ),
    "nulls-not-distinct-in-one-of-two-columns": Case(
        table="CREATE TABLE t (a int NOT NULL, b text, v text, UNIQUE NULLS NOT DISTINCT (a, b));"
        "INSERT INTO t VALUES (1, NULL, 'old'), (1, 'x', 'old'), (2, NULL, 'same')",
        spec={"conflict_keys": ["a", "b"], "null_keys": "match"},
        source=[
            {"a": 1, "b": None, "v": "new"},
            {"a": 1, "b": "", "v": "new"},
            {"a": 2, "b": None, "v": "same"},
            {"a": 3, "b": None, "v": "new"},
        ],
        counts={"updated": 1, "unchanged": 1, "inserted": 2},
        rows=['(1,"",new)', "(1,,new)", "(1,x,old)", "(2,,same)", "(3,,new)"],
    ),
    "nulls-not-distinct-by-an-expression": Case(
        table="CREATE TABLE t (k text, v text); CREATE UNIQUE INDEX ON t (lower(k)) NULLS NOT DISTINCT;"
        "INSERT INTO t VALUES (NULL, 'old'), ('A', 'old')",
        spec={"conflict_keys": ["lower(k)"], "update_columns": ["v"]},
        source=[{"k": None, "v": "new"}, {"k": "a", "v": "new"}],
        counts={"updated": 2},
        rows=["(,new)", "(A,new)"],
    ),
    "null-keys-inserted": Case(
        table="CREATE TABLE t (a int, b int, v text, UNIQUE (a, b))",
        spec={"conflict_keys": ["a", "b"], "null_keys": "insert"},
        source=[{"a": 1, "b": None, "v": "x"}, {"a": 1, "b": None, "v": "y"}, {"a": 1, "b": 1, "v": "x"}],
        counts={"inserted": 3},
        again={"inserted": 2, "unchanged": 1},
        rows=["(1,,x)", "(1,,y)", "(1,1,x)"],
    ),
    "hash-partitions": Case(
        table="CREATE TABLE t (k int PRIMARY KEY, v text) PARTITION BY HASH (k);"
        "CREATE TABLE t0 PARTITION OF t FOR VALUES WITH (MODULUS 2, REMAINDER 0);"
        "CREATE TABLE t1 PARTITION OF t FOR VALUES WITH (MODULUS 2, REMAINDER 1);"
        "INSERT INTO t SELECT n, 'old' FROM generate_series(1, 4) AS n",
        spec={"conflict_keys": ["k"]},
        source=[{"k": n, "v": "old" if n == 1 else "new"} for n in range(1, 7)],
        counts={"updated": 3, "inserted": 2, "unchanged": 1},
        rows=["(1,old)", "(2,new)", "(3,new)", "(4,new)", "(5,new)", "(6,new)"],
    ),
    "list-partitions-with-default": Case(
        table="CREATE TABLE t (region text, k int, v text, PRIMARY KEY (region, k)) PARTITION BY LIST (region);"
        "CREATE TABLE te PARTITION OF t FOR VALUES IN ('eu'); CREATE TABLE td PARTITION OF t DEFAULT;"
        "INSERT INTO t VALUES ('eu', 1, 'old'), ('us', 1, 'old')",
        spec={"conflict_keys": ["k", "region"]},
        source=[{"region": r, "k": 1, "v": "new"} for r in ("eu", "us", "as")],
        counts={"updated": 2, "inserted": 1},
        rows=["(as,1,new)", "(eu,1,new)", "(us,1,new)"],
    ),
    "range-partitions-with-columns-in-another-order": Case(
        table="CREATE TABLE t (day date, k int, v text, PRIMARY KEY (day, k)) PARTITION BY RANGE (day);"
        "CREATE TABLE t1 (v text, k int NOT NULL, day date NOT NULL);"
        "ALTER TABLE t ATTACH PARTITION t1 FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');"
        "CREATE TABLE t2 PARTITION OF t FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');"
        "INSERT INTO t VALUES ('2024-06-01', 1, 'old')",
        spec={"conflict_keys": ["day", "k"]},
        source=[{"day": "2024-06-01", "k": 1, "v": "new"}, {"day": "2025-06-01", "k": 1, "v": "new"}],
        counts={"updated": 1, "inserted": 1},
        rows=["(2024-06-01,1,new)", "(2025-06-01,1,new)"],
    ),
    "partitions-by-an-expression-key": Case(
        table="CREATE TABLE t (p int, name text, v text) PARTITION BY LIST (p);"
        "CREATE TABLE t1 PARTITION OF t FOR VALUES IN (1); CREATE TABLE t2 PARTITION OF t FOR VALUES IN (2);"
        "CREATE UNIQUE INDEX ON t (p, lower(name)); INSERT INTO t VALUES (1, 'a', 'old'), (2, 'a', 'old')",
        spec={"conflict_keys": ["p", "lower(name)"], "update_columns": ["v"]},
        source=[
            {"p": 1, "name": "A", "v": "one"},
            {"p": 2, "name": "A", "v": "two"},
            {"p": 2, "name": "B", "v": "three"},
        ],
        counts={"updated": 2, "inserted": 1},
        rows=["(1,a,one)", "(2,B,three)", "(2,a,two)"],
    ),
    "citext": Case(
        table="CREATE SCHEMA ext; CREATE EXTENSION citext SCHEMA ext;"
        "CREATE TABLE t (k ext.citext PRIMARY KEY, v text);"
        "INSERT INTO t VALUES ('Ada', 'old')",
        spec={"conflict_keys": ["k"], "duplicates": "last"},
        source=[{"k": "ADA", "v": "x"}, {"k": "ada", "v": "new"}, {"k": "Bob", "v": "new"}],
        counts={"updated": 1, "inserted": 1, "duplicates": 1},
        rows=["(Ada,new)", "(Bob,new)"],
    ),
    "domain": Case(
        table="CREATE DOMAIN code AS varchar(5) CHECK (value ~ '^[A-Z]+$');"
        "CREATE TABLE t (k code PRIMARY KEY, v text);"
        "INSERT INTO t VALUES ('AB', 'old')",
        spec={"conflict_keys": ["k"]},
        source=[{"k": "AB", "v": "new"}, {"k": "CD", "v": "new"}],
        counts={"updated": 1, "inserted": 1},
        rows=["(AB,new)", "(CD,new)"],
    ),
    "enum-in-another-schema": Case(
        table="CREATE SCHEMA s; CREATE TYPE s.\"Mood\" AS ENUM ('sad', 'glad');"
        'CREATE TABLE t (k s."Mood" PRIMARY KEY, v text);'
        "INSERT INTO t VALUES ('sad', 'old')",
        spec={"conflict_keys": ["k"]},
        source=[{"k": "sad", "v": "new"}, {"k": "glad", "v": "new"}],
        counts={"updated": 1, "inserted": 1},
        rows=["(glad,new)", "(sad,new)"],
    ),
    "uuid-in-another-spelling": Case(
        table="CREATE TABLE t (k uuid PRIMARY KEY, v text);"
        "INSERT INTO t VALUES ('6b6f1d1c8d1b4d7e9a550d3c6e6f0001', 'old')",
        spec={"conflict_keys": ["k"]},
        source=[{"k": "{6B6F1D1C-8D1B-4D7E-9A55-0D3C6E6F0001}", "v": "new"}],
        counts={"updated": 1},
        rows=["(6b6f1d1c-8d1b-4d7e-9a55-0d3c6e6f0001,new)"],
    ),
    "date": Case(
        table="CREATE TABLE t (k date PRIMARY KEY, v text); INSERT INTO t VALUES ('2024-02-29', 'old')",
        spec={"conflict_keys": ["k"]},
        source=[{"k": "20240229", "v": "new"}, {"k": "infinity", "v": "new"}],
        counts={"updated": 1, "inserted": 1},
        rows=["(2024-02-29,new)", "(infinity,new)"],
    ),
    "timestamptz-in-another-zone": Case(
        table="CREATE TABLE t (k timestamptz PRIMARY KEY, v text);"
        "INSERT INTO t VALUES ('2024-02-29 12:00+00', 'old')",
        spec={"conflict_keys": ["k"]},
        source=[{"k": "2024-02-29T14:00:00+02:00", "v": "new"}],
        counts={"updated": 1},
        rows=['("2024-02-29 12:00:00+00",new)'],
    ),
    "numeric-of-another-scale": Case(
        table="CREATE TABLE t (k numeric PRIMARY KEY, v text); INSERT INTO t VALUES (1.0, 'old')",
        spec={"conflict_keys": ["k"], "duplicates": "first"},
        source=[{"k": "1.00", "v": "new"}, {"k": "1", "v": "x"}],
        counts={"updated": 1, "duplicates": 1},
        rows=["(1.0,new)"],
    ),
    "float-zeros": Case(
        table="CREATE TABLE t (k float8 PRIMARY KEY, v text); INSERT INTO t VALUES (0, 'old'), ('NaN', 'old')",
        spec={"conflict_keys": ["k"]},
        source=[{"k": "-0", "v": "new"}, {"k": "NaN", "v": "new"}],
        counts={"updated": 2},
        rows=["(0,new)", "(NaN,new)"],
    ),
    "text-by-the-byte": Case(
        table='CREATE TABLE t (k text COLLATE "C" PRIMARY KEY, v text);'
        "INSERT INTO t VALUES ('a', 'old'), ('é', 'old')",
        spec={"conflict_keys": ["k"]},
        source=[
            {"k": "a", "v": "new"},
            {"k": "A", "v": "new"},
            {"k": "e\u0301", "v": "new"},
            {"k": "é", "v": "old"},
        ],
        counts={"updated": 1, "inserted": 2, "unchanged": 1},
        rows=["(A,new)", "(a,new)", "(e\u0301,new)", "(é,old)"],
    ),
    "blank-padded": Case(
        table="CREATE TABLE t (k char(5) PRIMARY KEY, v text); INSERT INTO t VALUES ('ab', 'old')",
        spec={"conflict_keys": ["k"]},
        source=[{"k": "ab   ", "v": "new"}, {"k": "c", "v": "new"}],
        counts={"updated": 1, "inserted": 1},
        rows=['("ab   ",new)', '("c    ",new)'],
    ),
    "bytea-inet-and-array": Case(
        table="CREATE TABLE t (a bytea, b inet, c int[], v text, PRIMARY KEY (a, b, c));"
        "INSERT INTO t VALUES ('\\x00ff', '10.0.0.1', '{1,2}', 'old')",
        spec={"conflict_keys": ["a", "b", "c"]},
        source=[
            {"a": b"\x00\xff", "b": "10.0.0.1/32", "c": [1, 2], "v": "new"},
            {"a": b"", "b": "::1", "c": [], "v": "new"},
        ],
        counts={"updated": 1, "inserted": 1},
        rows=['("\\\\x",::1,{},new)', '("\\\\x00ff",10.0.0.1,"{1,2}",new)'],
    ),
    "range-and-jsonb": Case(
        table="CREATE TABLE t (a int4range, b jsonb, v text, PRIMARY KEY (a, b));"
        "INSERT INTO t VALUES ('[1,5)', '{\"a\": 1}', 'old')",
        spec={"conflict_keys": ["a", "b"]},
        source=[{"a": "[1,4]", "b": {"a": 1}, "v": "new"}],
        counts={"updated": 1},
        rows=['("[1,5)","{""a"": 1}",new)'],
    ),
    "identity-by-default": Case(
        table="CREATE TABLE t (id int GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, v text);"
        "INSERT INTO t VALUES (1, 'old')",
        spec={"conflict_keys": ["id"]},
        source=[{"id": 1, "v": "new"}, {"id": 5, "v": "new"}],
        counts={"updated": 1, "inserted": 1},
        rows=["(1,new)", "(5,new)"],
    ),
    "index-with-included-columns": Case(
        table="CREATE TABLE t (k int, v text, UNIQUE (k) INCLUDE (v)); INSERT INTO t VALUES (1, 'old')",
        spec={"conflict_keys": ["k"]},
        source=[{"k": 1, "v": "new"}],
        counts={"updated": 1},
        rows=["(1,new)"],
    ),
    "update-without-index": Case(
        table="CREATE TABLE t (k int, v text); INSERT INTO t VALUES (1, 'old'), (2, 'same'), (4, 'old'), (4, 'old')",
        spec={"mode": "update", "conflict_keys": ["k"]},
        source=[{"k": 1, "v": "new"}, {"k": 2, "v": "same"}, {"k": 3, "v": "new"}],
        counts={"updated": 1, "unchanged": 1, "skipped": 1},
        again={"unchanged": 2, "skipped": 1},
        rows=["(1,new)", "(2,same)", "(4,old)", "(4,old)"],
    ),
    "update-without-index-by-an-expression": Case(
        table="CREATE TABLE t (k text, v text); INSERT INTO t VALUES ('A', 'old'), ('b', 'old')",
        spec={"mode": "update", "conflict_keys": ["lower(k)"], "update_columns": ["v"]},
        source=[{"k": "a", "v": "new"}],
        counts={"updated": 1},
        rows=["(A,new)", "(b,old)"],
    ),
    "ignore-by-an-expression": Case(
        table="CREATE TABLE t (k text, v text); CREATE UNIQUE INDEX ON t (lower(k));"
        "INSERT INTO t VALUES ('A', 'old')",
        spec={"mode": "ignore", "conflict_keys": ["lower(k)"], "duplicates": "first"},
        source=[{"k": "a", "v": "new"}, {"k": "A", "v": "old"}, {"k": "b", "v": "x"}],
        counts={"skipped": 1, "inserted": 1, "duplicates": 1},
        again={"skipped": 1, "unchanged": 1, "duplicates": 1},
        rows=["(A,old)", "(b,x)"],
    ),
}


def rows_of(db: Database) -> list[str]:
    db.execute("SET TimeZone = 'UTC'")
    return [str(row[0]) for row in db.execute('SELECT t::text FROM t ORDER BY t::text COLLATE "C"')]


@pytest.mark.parametrize(
    "case", [pytest.param(case, id=name, marks=needs(case.table)) for name, case in CASES.items()]
)
def test_conflict_target(db: Database, case: Case):
    db.execute(case.table)

    first = sync(db, case.source, **case.spec, execution={"method": "staged"})

    assert counts(first) == case.counts
    assert rows_of(db) == case.rows
    before = places(db)
    kept = {name: number for name, number in case.counts.items() if name in ("skipped", "duplicates")}
    unchanged = len(case.source) - sum(kept.values())

    second = sync(db, case.source, **case.spec, execution={"method": "rows"})

    assert counts(second) == (case.again or {"unchanged": unchanged, **kept})
    if not second.inserted:
        assert places(db) == before


# What can't be a conflict target.
REFUSED = {
    "no-index": (
        "CREATE TABLE t (k int, v text)",
        {"conflict_keys": ["k"]},
        "no-arbiter-index",
        "CREATE UNIQUE INDEX",
    ),
    "wider-index": (
        "CREATE TABLE t (k int, v text, UNIQUE (k, v))",
        {"conflict_keys": ["k"]},
        "no-arbiter-index",
        "has more keys",
    ),
    "narrower-index": (
        "CREATE TABLE t (k int UNIQUE, v text)",
        {"conflict_keys": ["k", "v"]},
        "no-arbiter-index",
        "has fewer keys",
    ),
    "partial-index-without-predicate": (
        "CREATE TABLE t (k int, v text); CREATE UNIQUE INDEX ON t (k) WHERE v IS NULL",
        {"conflict_keys": ["k"]},
        "no-arbiter-index",
        "conflict_where",
    ),
    "partial-index-by-name": (
        "CREATE TABLE t (k int, v text); CREATE UNIQUE INDEX i ON t (k) WHERE v IS NULL",
        {"conflict_constraint": "i"},
        "no-arbiter-index",
        "partial",
    ),
    "another-predicate": (
        "CREATE TABLE t (k int, v text); CREATE UNIQUE INDEX ON t (k) WHERE v IS NULL",
        {"conflict_keys": ["k"], "conflict_where": "v = 'a'"},
        "no-arbiter-index",
        "WHERE",
    ),
    "deferrable": (
        "CREATE TABLE t (k int UNIQUE DEFERRABLE, v text)",
        {"conflict_keys": ["k"]},
        "no-arbiter-index",
        "DEFERRABLE",
    ),
    "exclusion": (
        "CREATE TABLE t (k int, v text, CONSTRAINT x EXCLUDE (k WITH =))",
        {"conflict_constraint": "x"},
        "no-arbiter-index",
        "arbitrate",
    ),
    "no-such-constraint": (
        "CREATE TABLE t (k int UNIQUE, v text)",
        {"conflict_constraint": "t_k"},
        "no-arbiter-index",
        "t_k_key",
    ),
    "key-not-loaded": (
        "CREATE TABLE t (id int PRIMARY KEY, k int, v text)",
        {"conflict_keys": ["id"]},
        "invalid-spec",
        "not loaded",
    ),
    "expression-over-a-column-not-loaded": (
        "CREATE TABLE t (e text, k int, v text); CREATE UNIQUE INDEX ON t (lower(e))",
        {"conflict_keys": ["lower(e)"]},
        "invalid-spec",
        "not loaded",
    ),
    "predicate-over-a-column-with-a-default": (
        "CREATE TABLE t (k int, v text, gone boolean DEFAULT false); CREATE UNIQUE INDEX ON t (k) WHERE NOT gone",
        {"conflict_keys": ["k"], "conflict_where": "NOT gone"},
        "invalid-spec",
        "not loaded",
    ),
    "a-key-twice": (
        "CREATE TABLE t (k int PRIMARY KEY, v text)",
        {"conflict_keys": ["k", "K"]},
        "invalid-spec",
        "twice",
    ),
    "json-key": (
        "CREATE TABLE t (k json, v text)",
        {"mode": "update", "conflict_keys": ["k"]},
        "invalid-spec",
        "equality",
    ),
    "match-without-such-an-index": (
        "CREATE TABLE t (k int UNIQUE, v text)",
        {"conflict_keys": ["k"], "null_keys": "match"},
        "invalid-spec",
        "NULLS NOT DISTINCT",
    ),
    "insert-with-such-an-index": (
        "CREATE TABLE t (k int UNIQUE NULLS NOT DISTINCT, v text)",
        {"conflict_keys": ["k"], "null_keys": "insert"},
        "invalid-spec",
        "NULLS NOT DISTINCT",
    ),
}


@pytest.mark.parametrize(
    ("table", "spec", "code", "says"),
    [pytest.param(*row, id=name, marks=needs(row[0])) for name, row in REFUSED.items()],
)
def test_what_cannot_identify_rows_is_refused(
    db: Database, table: str, spec: dict[str, Any], code: str, says: str
):
    db.execute(table)

    error = refused(db, [{"k": 1, "v": "a"}], **spec)

    assert (error.code, error.exit_code) == (code, 3)
    assert says in str(error)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "source",
    [
        pytest.param([{"k": "a", "gone": False}, {"k": None, "gone": False}], id="null"),
        pytest.param([{"k": "a", "gone": False}, {"k": "b", "gone": True}], id="outside"),
        pytest.param([{"k": "a", "gone": False}, {"k": "b", "gone": None}], id="unknown"),
    ],
)
def test_rows_that_cannot_conflict_are_an_error_unless_stated(
    db: Database, source: list[dict[str, Any]], method: str
):
    db.execute("CREATE TABLE t (k text, gone boolean); CREATE UNIQUE INDEX ON t (k) WHERE NOT gone")

    spec = {"conflict_keys": ["k"], "conflict_where": "NOT gone", "execution": {"method": method}}
    error = refused(db, source, **spec)

    assert (error.code, error.exit_code) == ("null-keys", 1)
    assert db.one("SELECT count(*) FROM t") == 0


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("mode", ["upsert", "ignore", "update", "insert"])
def test_another_unique_index_refuses_the_rows_and_nothing_changes(db: Database, mode: str, method: str):
    db.execute("CREATE TABLE t (id int PRIMARY KEY, email text CONSTRAINT email_once UNIQUE)")
    db.execute("INSERT INTO t VALUES (1, 'a'), (2, 'b')")
    before = places(db)
    source = {
        "upsert": [{"id": 1, "email": "x"}, {"id": 3, "email": "b"}],
        "ignore": [{"id": 3, "email": "b"}, {"id": 4, "email": "c"}],
        "update": [{"id": 1, "email": "b"}],
        "insert": [{"id": 4, "email": "c"}, {"id": 3, "email": "b"}],
    }[mode]
    keys = {} if mode == "insert" else {"conflict_keys": ["id"]}

    error = refused(db, source, mode=mode, execution={"method": method}, **keys)

    assert (error.code, error.exit_code) == ("database-error", 1)
    assert "email_once" in str(error)
    assert places(db) == before


@pytest.mark.parametrize("method", METHODS)
def test_two_rows_may_not_swap_a_unique_value_by_halves(db: Database, method: str):
    db.execute("CREATE TABLE t (id int PRIMARY KEY, place int UNIQUE DEFERRABLE INITIALLY DEFERRED)")
    db.execute("INSERT INTO t VALUES (1, 1), (2, 2)")

    report = sync(
        db, [{"id": 1, "place": 2}, {"id": 2, "place": 1}], conflict_keys=["id"], execution={"method": method}
    )

    assert counts(report) == {"updated": 2}
    assert rows_of(db) == ["(1,2)", "(2,1)"]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("keys", [["k"], ["lower(k)"]], ids=["column", "expression"])
def test_a_key_that_matches_several_stored_rows_is_an_error(db: Database, keys: list[str], method: str):
    db.execute("CREATE TABLE t (k text, v text); INSERT INTO t VALUES ('a', '1'), ('a', '2'), ('b', '1')")
    before = places(db)

    error = refused(
        db,
        [{"k": "a", "v": "x"}, {"k": "b", "v": "x"}],
        mode="update",
        conflict_keys=keys,
        execution={"method": method},
    )

    assert (error.code, error.exit_code) == ("ambiguous-key", 1)
    assert '"a"' in (error.detail or "")
    assert places(db) == before


# Rows of one source with equal keys.
REPEATED = [
    {"k": "a", "v": "1", "n": 2},
    {"k": "b", "v": "1", "n": None},
    {"k": "a", "v": "2", "n": 5},
    {"k": "a", "v": "3", "n": 5},
    {"k": "a", "v": "4", "n": None},
    {"k": "b", "v": "2", "n": None},
    {"k": "c", "v": "1", "n": 1},
]


@pytest.mark.parametrize(
    ("duplicates", "expected"),
    [
        pytest.param("first", ["(a,1,2)", "(b,1,)", "(c,1,1)"], id="first"),
        pytest.param("last", ["(a,4,)", "(b,2,)", "(c,1,1)"], id="last"),
        pytest.param(
            {"keep": "max", "by": "n"}, ["(a,3,5)", "(b,2,)", "(c,1,1)"], id="max-ties-go-to-the-later"
        ),
        pytest.param({"keep": "min", "by": "N"}, ["(a,1,2)", "(b,2,)", "(c,1,1)"], id="min-null-loses"),
        pytest.param({"keep": "max", "by": "v"}, ["(a,4,)", "(b,2,)", "(c,1,1)"], id="max-of-text"),
    ],
)
@pytest.mark.parametrize(("key", "method"), [("k", "staged"), ("upper(k)", "rows")])
def test_of_equal_keys_the_stated_row_wins(
    db: Database, duplicates: Any, expected: list[str], key: str, method: str
):
    db.execute("CREATE TABLE t (k text, v text, n int)")
    db.execute(f"CREATE UNIQUE INDEX ON t ({key}); INSERT INTO t VALUES ('c', '1', 1)")
    spec = {"conflict_keys": [key], "duplicates": duplicates, "execution": {"method": method}}

    first = sync(db, REPEATED, **spec)

    assert counts(first) == {"inserted": 2, "unchanged": 1, "duplicates": 4}
    assert rows_of(db) == expected
    before = places(db)
    assert counts(sync(db, REPEATED, **spec)) == {"unchanged": 3, "duplicates": 4}
    assert places(db) == before


@pytest.mark.parametrize("method", METHODS)
def test_equal_keys_of_different_rows_are_an_error_by_default(db: Database, method: str):
    db.execute("CREATE TABLE t (k text PRIMARY KEY, v text, n int)")

    error = refused(db, REPEATED, conflict_keys=["k"], execution={"method": method})

    assert (error.code, error.exit_code) == ("duplicate-keys", 1)
    assert '"a"' in (error.detail or "")
    assert '"b"' in (error.detail or "")
    assert '"c"' not in (error.detail or "")
    assert db.one("SELECT count(*) FROM t") == 0


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("key", ["k", "upper(k)"])
def test_identical_rows_are_duplicates_without_error(db: Database, key: str, method: str):
    db.execute(f"CREATE TABLE t (k text, v text, doc json, n numeric); CREATE UNIQUE INDEX ON t ({key})")
    row = {"k": "a", "v": None, "doc": {"x": 1}, "n": "1.0"}

    report = sync(
        db, [row, dict(row), {**row, "k": "b"}, dict(row)], conflict_keys=[key], execution={"method": method}
    )

    assert counts(report) == {"inserted": 2, "duplicates": 2}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "other",
    [
        pytest.param({"n": "1.00"}, id="scale"),
        pytest.param({"doc": '{"x":1}'}, id="json-text"),
        pytest.param({"v": ""}, id="empty-and-null"),
    ],
)
def test_rows_that_are_equal_but_not_identical_are_an_error(db: Database, other: dict[str, Any], method: str):
    db.execute("CREATE TABLE t (k text PRIMARY KEY, v text, doc json, n numeric)")
    row = {"k": "a", "v": None, "doc": '{"x": 1}', "n": "1.0"}

    error = refused(db, [row, {**row, **other}], conflict_keys=["k"], execution={"method": method})

    assert error.code == "duplicate-keys"


@pytest.mark.parametrize("method", METHODS)
def test_keys_that_differ_in_case_alone_meet_in_an_expression(db: Database, method: str):
    db.execute("CREATE TABLE t (k text, v text); CREATE UNIQUE INDEX ON t (lower(k))")

    error = refused(
        db,
        [{"k": "a", "v": "1"}, {"k": "A", "v": "1"}],
        conflict_keys=["lower(k)"],
        execution={"method": method},
    )

    assert error.code == "duplicate-keys"


@needs("NULLS NOT DISTINCT")
@pytest.mark.parametrize("method", METHODS)
def test_null_keys_that_match_are_duplicates_of_one_another(db: Database, method: str):
    db.execute("CREATE TABLE t (a int, b int, v text, UNIQUE NULLS NOT DISTINCT (a, b))")
    source = [{"a": 1, "b": None, "v": "1"}, {"a": 1, "b": None, "v": "2"}, {"a": None, "b": None, "v": "3"}]
    spec = {"conflict_keys": ["a", "b"], "execution": {"method": method}}

    assert refused(db, source, **spec).code == "duplicate-keys"
    assert counts(sync(db, source, duplicates="last", **spec)) == {"inserted": 2, "duplicates": 1}
    assert rows_of(db) == ["(,,3)", "(1,,2)"]


@pytest.mark.parametrize("method", METHODS)
def test_null_keys_that_never_conflict_are_no_duplicates(db: Database, method: str):
    db.execute("CREATE TABLE t (k int UNIQUE, v text)")
    source = [{"k": None, "v": "1"}, {"k": None, "v": "1"}, {"k": 1, "v": "1"}, {"k": 1, "v": "1"}]

    report = sync(db, source, conflict_keys=["k"], null_keys="insert", execution={"method": method})

    assert counts(report) == {"inserted": 3, "duplicates": 1}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("mode", ["upsert", "update"])
def test_touch_unchanged_writes_rows_that_would_not_change(db: Database, mode: str, method: str):
    db.execute(
        "CREATE TABLE t (k int PRIMARY KEY, v text, seen int DEFAULT 0);"
        "INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c')"
    )
    before = dict(db.execute("SELECT k, xmin::text FROM t"))
    source = [{"k": 1, "v": "a"}, {"k": 2, "v": "x"}, {"k": 3, "v": "c"}]

    report = sync(
        db,
        source,
        mode=mode,
        conflict_keys=["k"],
        touch_unchanged=True,
        where="target.k < 3",
        update_columns=["*", {"seen": "target.seen + 1"}],
        execution={"method": method},
    )

    assert counts(report) == {"updated": 2, "skipped": 1}
    assert db.execute("SELECT * FROM t ORDER BY k") == [(1, "a", 1), (2, "x", 1), (3, "c", 0)]
    after = dict(db.execute("SELECT k, xmin::text FROM t"))
    assert [k for k in before if before[k] != after[k]] == [1, 2]


def test_mode_insert_with_keys_takes_the_source_apart_but_leaves_conflicts_to_the_database(db: Database):
    db.execute("CREATE TABLE t (k int PRIMARY KEY, v text)")
    source = [{"k": 1, "v": "a"}, {"k": 1, "v": "a"}, {"k": 2, "v": "b"}]

    report = sync(db, source, mode="insert", conflict_keys=["k"])
    error = refused(db, source, mode="insert", conflict_keys=["k"])

    assert counts(report) == {"inserted": 2, "duplicates": 1}
    assert (error.code, error.exit_code) == ("database-error", 1)
    assert rows_of(db) == ["(1,a)", "(2,b)"]
