"""The allow-list and the deparsed text, as servers see them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from syncengine.errors import Location
from syncengine.spec.allowed import functions
from syncengine.spec.expressions import parse, parse_type
from tests.servers import Database, Server

pytestmark = pytest.mark.every_server

CLOCK = {"clock_timestamp"}
# One overload, of timetz, was called volatile until PostgreSQL 15 called it stable.
CALLED_VOLATILE = {"timezone"}
SETUP = """
CREATE TEMP TABLE target AS
  SELECT 3 AS a, 'It''s a\\b' AS t, NULL::int AS n, timestamp '2024-02-29 12:00' AS d,
  '{"k": [1, 2]}'::jsonb AS j, ARRAY['x', 'y'] AS tags;
CREATE TEMP TABLE excluded AS SELECT 5 AS a, 'b%' AS t, 1 AS n, timestamp '2024-03-01' AS d,
  '{"k": null}'::jsonb AS j, ARRAY['x'] AS tags;
"""
EXPRESSIONS = [
    "target.a - (excluded.a - 1)",
    "-target.a ^ 2 + 1 * -2",
    "not target.a > 1 and target.n is null or excluded.a = 5",
    "target.a between 1 and 3 and not excluded.a between 1 and 3",
    "(target.a, target.t) < (excluded.a, excluded.t)",
    "target.t like '%a!\\b' escape '!'",
    "target.t || ' ' || excluded.t",
    "E'tab\\there' || U&'\\0041' || $$dollar's$$",
    "extract(day from target.d) + date_part('hour', target.d)",
    "date_trunc('month', target.d) + interval '1 day 02:00'",
    "target.d at time zone 'Europe/Berlin'",
    "substring(target.t from 2 for 3) || overlay(excluded.t placing 'x' from 1)",
    "trim(both 'I' from target.t) || position('s' in target.t)::text",
    "case when target.n is null then 'none' when target.a > 1 then 'many' end",
    "coalesce(target.n, nullif(excluded.n, 2), greatest(1, target.a))",
    "target.j -> 'k' ->> 1",
    "target.tags[1:1] || excluded.tags",
    "target.a = any (array[1, 2, 3]) and target.a <> all ('{4,5}'::int[])",
    "(target.a / 2.0)::numeric(12,1)",
    'target.t collate "C" < excluded.t',
    "format('%s-%s', variadic array[target.t, excluded.t])",
    "make_interval(days => target.a, hours => 1)",
    "(target.d, target.d) overlaps (excluded.d, interval '1 day')",
    "'today'::date = current_date",
]


@pytest.fixture(scope="module")
def db(server: Server) -> Iterator[Database]:
    """One database for all tests here; none of them changes the two tables."""
    with server.database() as database:
        database.execute(SETUP)
        yield database


@pytest.mark.parametrize("text", EXPRESSIONS)
def test_the_sent_text_means_what_was_written(db: Database, text: str) -> None:
    parts = parse(text, location=Location("s.yaml"), allowed=frozenset({"target", "excluded"})).parts
    sent = "".join(part if isinstance(part, str) else f'"{part.relation}"."{part.name}"' for part in parts)

    assert db.one(f"SELECT {sent} FROM target, excluded") == db.one(f"SELECT {text} FROM target, excluded")


def test_no_allowed_function_is_volatile_reads_tables_or_returns_sets(db: Database) -> None:
    found = db.execute(
        "SELECT DISTINCT proname::text FROM pg_proc"
        " WHERE pronamespace = 'pg_catalog'::regnamespace AND proname = ANY (%s)"
        "   AND (provolatile = 'v' OR proretset OR prokind <> 'f' OR prosecdef)",
        [list(functions())],
    )

    assert {name for (name,) in found} <= CLOCK | CALLED_VOLATILE


@pytest.mark.parametrize(
    "text",
    [
        "numeric(12,2)",
        "bit varying(3)",
        "timestamp(3) with time zone",
        "int[][]",
        "interval day to second",
        "double precision",
    ],
)
def test_a_types_name_stays_the_type(db: Database, text: str) -> None:
    sent = parse_type(text, location=Location("s.yaml"))
    db.execute("DROP TABLE IF EXISTS types")
    db.execute(f"CREATE TEMP TABLE types (written {text}, sent {sent})")

    types = db.execute(
        "SELECT format_type(atttypid, atttypmod) FROM pg_attribute"
        " WHERE attrelid = 'types'::regclass AND attname IN ('written', 'sent')"
    )

    assert types[0] == types[1]
