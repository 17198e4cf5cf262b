"""What the catalog tells about types: names, base types, equality, and types that only a text names."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from syncengine.catalog import table_facts, types
from syncengine.errors import SpecError, SpecErrors, TargetError
from syncengine.model.facts import ColumnFacts
from tests.servers import Database, Server

pytestmark = pytest.mark.every_server

EQ = ("pg_catalog", "=")
SETUP = """
CREATE SCHEMA shop;
CREATE SCHEMA ext;
CREATE EXTENSION citext SCHEMA ext;
CREATE EXTENSION hstore SCHEMA ext;
CREATE TYPE shop.mood AS ENUM ('bad', 'good');
CREATE TYPE shop.pair AS (a int, b text);
CREATE TYPE shop.loose AS (a int, b json);
CREATE TYPE shop.measure AS (a int, b numeric(4,1));
CREATE DOMAIN shop.email AS varchar(40) CHECK (VALUE LIKE '%@%');
CREATE DOMAIN shop.work_email AS shop.email NOT NULL;
CREATE DOMAIN shop.price AS numeric(8,2);
CREATE DOMAIN shop.document AS jsonb;
CREATE DOMAIN shop.list AS int[];
CREATE DOMAIN shop.feeling AS shop.mood;
CREATE COLLATION shop.loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
"""


@pytest.fixture(scope="module")
def db(server: Server) -> Iterator[Database]:
    """One database with some types of its own; no test writes to it but temporary tables."""
    with server.database() as database:
        for statement in SETUP.strip().split(";\n"):
            if "icu" not in statement or has_icu(database):
                database.execute(statement)
        yield database


def has_icu(db: Database) -> bool:
    return "--with-icu" in str(db.one("SELECT setting FROM pg_config WHERE name = 'CONFIGURE'"))


def of_column(db: Database, definition: str) -> ColumnFacts:
    db.execute("DROP TABLE IF EXISTS public.t")
    db.execute(f"CREATE TABLE public.t (a {definition})")
    return table_facts(db.conn, None, "t").columns[0]


# written, type, base type, `=` is identity, `=`, kind
TYPES = [
    ("smallint", "smallint", "smallint", True, EQ, "plain"),
    ("int4", "integer", "integer", True, EQ, "plain"),
    ("bigint", "bigint", "bigint", True, EQ, "plain"),
    ("oid", "oid", "oid", True, EQ, "plain"),
    ("bool", "boolean", "boolean", True, EQ, "plain"),
    ("uuid", "uuid", "uuid", True, EQ, "plain"),
    ("date", "date", "date", True, EQ, "plain"),
    ("time(3)", "time(3) without time zone", "time without time zone", True, EQ, "plain"),
    ("timetz", "time with time zone", "time with time zone", True, EQ, "plain"),
    ("timestamp", "timestamp without time zone", "timestamp without time zone", True, EQ, "plain"),
    (
        "timestamp(0) with time zone",
        "timestamp(0) with time zone",
        "timestamp with time zone",
        True,
        EQ,
        "plain",
    ),
    ("money", "money", "money", True, EQ, "plain"),
    ('"char"', '"char"', '"char"', True, EQ, "plain"),
    ("name", "name", "name", True, EQ, "plain"),
    ("bytea", "bytea", "bytea", True, EQ, "plain"),
    ("macaddr", "macaddr", "macaddr", True, EQ, "plain"),
    ("macaddr8", "macaddr8", "macaddr8", True, EQ, "plain"),
    ("text", "text", "text", True, EQ, "plain"),
    ("varchar(9)", "character varying(9)", "character varying", True, EQ, "plain"),
    ("char(3)", "character(3)", "bpchar", False, EQ, "plain"),
    ("bit(3)", "bit(3)", '"bit"', False, EQ, "plain"),
    ("bit varying(3)", "bit varying(3)", "bit varying", False, EQ, "plain"),
    ("numeric", "numeric", "numeric", False, EQ, "plain"),
    ("numeric(12,2)", "numeric(12,2)", "numeric", False, EQ, "plain"),
    ("real", "real", "real", False, EQ, "plain"),
    ("double precision", "double precision", "double precision", False, EQ, "plain"),
    ("interval", "interval", "interval", False, EQ, "plain"),
    ("interval year to month", "interval year to month", "interval", False, EQ, "plain"),
    ("inet", "inet", "inet", False, EQ, "plain"),
    ("cidr", "cidr", "cidr", False, EQ, "plain"),
    ("regclass", "regclass", "regclass", False, EQ, "plain"),
    ("json", "json", "json", False, None, "json"),
    ("jsonb", "jsonb", "jsonb", False, EQ, "json"),
    ("xml", "xml", "xml", False, None, "plain"),
    ("point", "point", "point", False, None, "plain"),
    ("tsvector", "tsvector", "tsvector", False, EQ, "plain"),
    ("int4range", "int4range", "int4range", False, EQ, "plain"),
    ("int4multirange", "int4multirange", "int4multirange", False, EQ, "plain"),
    ("int[]", "integer[]", "integer[]", False, EQ, "array"),
    ("varchar(3)[]", "character varying(3)[]", "character varying[]", False, EQ, "array"),
    ("json[]", "json[]", "json[]", False, None, "json array"),
    ("shop.mood", "shop.mood", "shop.mood", True, EQ, "plain"),
    ("shop.mood[]", "shop.mood[]", "shop.mood[]", False, EQ, "array"),
    ("shop.pair", "shop.pair", "shop.pair", False, EQ, "plain"),
    ("shop.loose", "shop.loose", "shop.loose", False, None, "plain"),
    ("shop.email", "shop.email", "character varying", True, EQ, "plain"),
    ("shop.work_email", "shop.work_email", "character varying", True, EQ, "plain"),
    ("shop.price", "shop.price", "numeric", False, EQ, "plain"),
    ("shop.document", "shop.document", "jsonb", False, EQ, "json"),
    ("shop.list", "shop.list", "integer[]", False, EQ, "array"),
    ("shop.email[]", "shop.email[]", "shop.email[]", False, EQ, "array"),
    ("shop.feeling", "shop.feeling", "shop.mood", False, None, "plain"),
    ("ext.citext", "ext.citext", "ext.citext", False, ("ext", "="), "plain"),
    ("ext.hstore", "ext.hstore", "ext.hstore", False, ("ext", "="), "plain"),
]


@pytest.mark.parametrize(
    ("written", "type_text", "base", "identity", "equality", "kind"), TYPES, ids=[row[0] for row in TYPES]
)
def test_a_type_is_the_same_in_a_column_and_in_a_text(
    db: Database, written: str, type_text: str, base: str, identity: bool, equality: object, kind: str
) -> None:
    in_column = of_column(db, written)
    in_text = types(db.conn, {"a": written})["a"]

    for found in (in_column, in_text):
        assert (found.name, found.type, found.base_type) == ("a", type_text, base)
        assert (found.identity_equal, found.equality, found.kind) == (identity, equality, kind)


# type, what reads its texts, whether its modifiers may round, whether those of a part may
ROUNDING = [
    ("numeric(8,2)", "numeric(8,2)", True, False),
    ("numeric", "numeric", False, False),
    ("numeric(8,2)[]", "numeric(8,2)[]", True, False),
    ("shop.price", "numeric(8,2)", True, False),
    ("timestamp(0)", "timestamp(0) without time zone", True, False),
    ("timestamptz(6)", "timestamp(6) with time zone", False, False),
    ("time(3)", "time(3) without time zone", True, False),
    ("interval(6)", "interval(6)", False, False),
    ("interval(2)", "interval(2)", True, False),
    ("interval day to minute", "interval day to minute", True, False),
    ("interval", "interval", False, False),
    ("varchar(3)", "character varying(3)", False, False),
    ("shop.work_email", "character varying(40)", False, False),
    ("char(3)", "character(3)", False, False),
    ("shop.list", "integer[]", False, False),
    ("shop.pair", "shop.pair", False, False),
    ("shop.measure", "shop.measure", False, True),
    ("ext.citext", "ext.citext", False, False),
]


@pytest.mark.parametrize(("written", "reads", "rounds", "inside"), ROUNDING, ids=[row[0] for row in ROUNDING])
def test_modifiers_that_round_are_known_within_domains_and_arrays_too(
    db: Database, written: str, reads: str, rounds: bool, inside: bool
) -> None:
    in_column = of_column(db, written)
    in_text = types(db.conn, {"a": written})["a"]

    for found in (in_column, in_text):
        assert (found.input_type, found.rounds, found.rounds_inside) == (reads, rounds, inside)


def test_the_equality_that_is_told_is_one_the_server_can_use(db: Database) -> None:
    for written, *_, equality, _kind in TYPES:
        if equality is not None:
            schema, name = equality
            db.execute(f"SELECT NULL::{written} OPERATOR({schema}.{name}) NULL::{written} LIMIT 0")


def test_types_of_the_roles_own_path_come_out_qualified(db: Database) -> None:
    db.execute("SET search_path = shop, ext")
    try:
        found = types(db.conn, {"a": "mood", "b": "CITEXT", "c": "email[]"})
    finally:
        db.execute("RESET search_path")

    assert [facts.type for facts in found.values()] == ["shop.mood", "ext.citext", "shop.email[]"]


@pytest.mark.parametrize(
    ("definition", "collation", "identity"),
    [
        ("text", None, True),
        ('text COLLATE "C"', ("pg_catalog", "C"), True),
        ('varchar(5) COLLATE "POSIX"', ("pg_catalog", "POSIX"), True),
        ("int", None, True),
    ],
)
def test_a_collation_is_told_if_it_is_not_the_types_own(
    db: Database, definition: str, collation: object, identity: bool
) -> None:
    found = of_column(db, definition)

    assert (found.collation, found.identity_equal) == (collation, identity)


def test_equality_under_a_nondeterministic_collation_is_not_identity(db: Database) -> None:
    if not has_icu(db):
        pytest.skip("this server is built without ICU")
    found = of_column(db, "text COLLATE shop.loose")

    assert (found.collation, found.identity_equal) == (("shop", "loose"), False)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "int; DROP TABLE t",
        "int FROM pg_authid",
        "int AS x, pg_sleep(1)",
        "int)",
        "(int",
        "int -- x",
        "int /* x */",
        "int NOT NULL",
        "int DEFAULT 1",
        "text COLLATE x",
        "numeric('1')",
        "numeric(1+1)",
        "pg_sleep(1) || ''",
        'x"y',
        '"x',
        "int\0",
        "SELECT 1",
        "1",
        "int = 1",
        "a.b.'c'",
    ],
)
def test_a_text_that_is_no_types_name_never_reaches_the_server(db: Database, text: str) -> None:
    with pytest.raises(SpecError) as raised:
        types(db.conn, {"a": text})

    assert "is not the name of a type (column a)" in raised.value.message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nope", 'column a: type "nope" does not exist'),
        ("nope.nope", 'column a: schema "nope" does not exist'),
        ('"INT"', 'column a: type "INT" does not exist'),
        ("varchar(0)", "column a: length for type varchar must be at least 1"),
        ("serial", 'column a: type "serial" does not exist'),
        ("select", 'column a: syntax error at or near "select"'),
    ],
)
def test_a_type_that_the_server_does_not_know_is_named(db: Database, text: str, message: str) -> None:
    with pytest.raises(TargetError) as raised:
        types(db.conn, {"ok": "int", "a": text})

    assert raised.value.message == message


def test_pseudo_types_are_refused(db: Database) -> None:
    with pytest.raises(TargetError):
        types(db.conn, {"a": "void"})


def test_all_unknown_types_are_reported(db: Database) -> None:
    with pytest.raises(SpecErrors) as raised:
        types(db.conn, {"a": "nope", "ok": "int", "b": "neither"})

    assert [error.message for error in raised.value.each()] == [
        'column a: type "nope" does not exist',
        'column b: type "neither" does not exist',
    ]


def test_no_types_need_no_query(db: Database) -> None:
    assert types(db.conn, {}) == {}
