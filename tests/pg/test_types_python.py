"""Typed values, of JSON Lines and of Python: into each column as they are, or refused with their place."""

from __future__ import annotations

import datetime as dt
import enum
import uuid
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import syncengine
from tests.builders import a_spec
from tests.runs import counts, refused, sync
from tests.servers import Database

ZONE = dt.timezone(dt.timedelta(hours=5, minutes=30))


class Colour(enum.StrEnum):
    RED = "red"


class Size(enum.Enum):
    LARGE = 7


@pytest.fixture
def db(emptied: Database) -> Database:
    return emptied


# column type, value, what the column then shows as text
TAKEN: list[tuple[str, object, str]] = [
    ("smallint", 32767, "32767"),
    ("int", 1.0, "1"),
    ("int", Decimal("2E+2"), "200"),
    ("bigint", -(2**63), str(-(2**63))),
    ("bigint", 1e16, "10000000000000000"),
    ("numeric", 2**70, str(2**70)),
    ("numeric", Decimal("1.100"), "1.100"),
    ("numeric", Decimal("NaN"), "NaN"),
    ("numeric", float("-inf"), "-Infinity"),
    ("numeric(12,2)", 19.99, "19.99"),
    ("numeric(12,2)", Decimal("1.500"), "1.50"),
    ("double precision", 0.1 + 0.2, "0.30000000000000004"),
    ("double precision", 5e-324, "5e-324"),
    ("double precision", float("nan"), "NaN"),
    ("real", 0.1, "0.1"),
    ("boolean", True, "true"),
    ("boolean", 0, "false"),
    ("text", True, "true"),
    ("text", Colour.RED, "red"),
    ("varchar(5)", Size.LARGE, "7"),
    ("uuid", uuid.UUID(int=7), "00000000-0000-0000-0000-000000000007"),
    ("date", dt.date(2024, 2, 29), "2024-02-29"),
    ("date", dt.datetime(2024, 2, 29), "2024-02-29"),
    ("timestamp", dt.datetime(2024, 2, 29, 1, 2, 3, 4), "2024-02-29 01:02:03.000004"),
    ("timestamp", dt.date(2024, 2, 29), "2024-02-29 00:00:00"),
    ("timestamptz", dt.datetime(2024, 2, 29, 12, tzinfo=ZONE), "2024-02-29 06:30:00+00"),
    ("timestamptz", dt.datetime(1, 1, 1, tzinfo=dt.UTC), "0001-01-01 00:00:00+00"),
    ("time", dt.time(1, 2, 3), "01:02:03"),
    ("timetz", dt.time(1, 2, 3, tzinfo=ZONE), "01:02:03+05:30"),
    ("interval", dt.timedelta(days=-1, microseconds=1), "-1 days +00:00:00.000001"),
    ("bytea", b"\x00\xff", "\\x00ff"),
    ("bytea", memoryview(b"a"), "\\x61"),
    ("bytea[]", [b"\x01", None], '{"\\\\x01",NULL}'),
    ("int[]", [1, None], "{1,NULL}"),
    ("int[]", [[1, 2], [3, 4]], "{{1,2},{3,4}}"),
    ("text[]", ["a,b", 'q"', "", "NULL", None], '{"a,b","q\\"","","NULL",NULL}'),
    ("jsonb", {"b": Decimal("1.10"), "a": [None, True, 'ü"']}, '{"a": [null, true, "ü\\""], "b": 1.10}'),
    ("json", [1, {"a": 2**70}], '[1, {"a": 1180591620717411303424}]'),
    ("jsonb[]", [{"a": 1}, [1, "b"], None, 7, "true"], '{"{\\"a\\": 1}","[1, \\"b\\"]",NULL,7,true}'),
    ("json[]", [], "{}"),
]
REFUSED: list[tuple[str, object, str]] = [
    ("int", 1.5, "1.5"),
    ("int", Decimal("1.5"), "1.5"),
    ("int", float("nan"), "nan"),
    ("int", 2**31, "out of range"),
    ("bigint", 1e300, "1e\\+300|out of range"),
    ("int", True, "true"),
    ("numeric", True, "true"),
    ("numeric(12,2)", 0.1 + 0.2, "rounded"),
    ("boolean", 2, "boolean"),
    ("timestamp", dt.datetime(2024, 1, 1, tzinfo=ZONE), r"zone, \+05:30"),
    ("date", dt.datetime(2024, 1, 1, 12), "time, 12:00"),
    ("time", dt.time(1, tzinfo=ZONE), "zone"),
    ("time", dt.datetime(2024, 1, 1, 12), "date"),
    ("text", b"abc", "bytes are no text"),
    ("jsonb", {"a": float("nan")}, "json"),
    ("jsonb", {"a": "\0"}, "(?i)unicode|u0000"),
    ("text", "a\0b", "NUL"),
    ("text", "\ud800", "surrogate"),
    ("pair", {"a": 1, "b": "x"}, "malformed record literal"),
    ("int[]", [[1], [2, 3]], "malformed array literal|must have array expressions"),
    ("int", {"a": 1}, "integer"),
]


def named(value: object) -> str:
    return type(value).__name__


@pytest.mark.parametrize("method", ["staged", "rows"])
def test_a_value_is_stored_as_it_is(db: Database, method: str):
    columns = {f"c{number}": case for number, case in enumerate(TAKEN)}
    made = ", ".join(f"{column} {name}" for column, (name, *_) in columns.items())
    db.execute(f"CREATE TABLE t (id int PRIMARY KEY, {made})")
    row: dict[str, Any] = {"id": 1} | {column: value for column, (_, value, _) in columns.items()}
    spec: dict[str, Any] = {"conflict_keys": ["id"], "execution": {"method": method}}

    first, second = (sync(db, [row], **spec) for _ in range(2))

    db.execute("SET TimeZone = 'UTC'")
    shown = db.execute(f"SELECT {', '.join(f'{column}::text' for column in columns)} FROM t")[0]
    assert dict(zip(columns, shown, strict=True)) == {
        column: text for column, (_, _, text) in columns.items()
    }
    assert (counts(first), counts(second)) == ({"inserted": 1}, {"unchanged": 1})


@pytest.mark.parametrize(("name", "value", "words"), REFUSED, ids=[f"{n}-{named(v)}" for n, v, _ in REFUSED])
def test_a_value_that_does_not_fit_is_refused_with_its_row(
    db: Database, name: str, value: object, words: str
):
    db.execute("CREATE TYPE pair AS (a int, b text)")
    db.execute(f"CREATE TABLE t (id int PRIMARY KEY, v {name})")

    error = refused(db, [{"id": 1, "v": None}, {"id": 2, "v": value}], conflict_keys=["id"])

    with pytest.raises(syncengine.BadRow, match=words):
        raise error
    assert str(error.location) == "row 2"
    assert db.one("SELECT count(*) FROM t") == 0


JSON = {
    "int": ("int", "1", "1"),
    "fraction_of_none": ("int", "1.0", "1"),
    "exact": ("numeric", "12345678901234567890.123456789", "12345678901234567890.123456789"),
    "scaled": ("numeric(12,2)", "1.5", "1.50"),
    "double": ("double precision", "0.1", "0.1"),
    "flag": ("boolean", "true", "true"),
    "number_as_text": ("text", "1.50", "1.50"),
    "structure_as_text": ("text", '{"b": [1, 2.50]}', '{"b": [1, 2.50]}'),
    "nested": ("jsonb", '{"a": {"b": [1.10, "x", null]}}', '{"a": {"b": [1.10, "x", null]}}'),
    "word": ("jsonb", '"true"', '"true"'),
    "escaped": ("json", '{"a": "\\u0000"}', '{"a": "\\u0000"}'),
    "numbers": ("int[]", "[1, null, 3]", "{1,NULL,3}"),
    "matrix": ("numeric[]", "[[1.10, 2], [3, 4]]", "{{1.10,2},{3,4}}"),
    "words": ("text[]", '["a", "NULL", "b,c"]', '{a,"NULL","b,c"}'),
    "documents": ("jsonb[]", '[{"a": 1}, [1], "x", null]', '{"{\\"a\\": 1}",[1],"\\"x\\"",NULL}'),
    "moment": ("timestamptz", '"2024-02-29T12:00:00.5+02:00"', "2024-02-29 10:00:00.5+00"),
}


@pytest.mark.parametrize("method", ["staged", "rows"])
def test_a_json_value_is_stored_as_it_is(db: Database, tmp_path: Path, method: str):
    made = ", ".join(f"{column} {name}" for column, (name, *_) in JSON.items())
    db.execute(f"CREATE TABLE t (id int PRIMARY KEY, {made})")
    pairs = ", ".join(f'"{column}": {value}' for column, (_, value, _) in JSON.items())
    (tmp_path / "rows.jsonl").write_text(f'{{"id": 1, {pairs}}}\n', encoding="utf-8")
    spec = a_spec(tmp_path, "rows.jsonl", conflict_keys=["id"], execution={"method": method})

    first, second = (syncengine.run(spec, connection=db.url) for _ in range(2))

    db.execute("SET TimeZone = 'UTC'")
    shown = db.execute(f"SELECT {', '.join(f'{column}::text' for column in JSON)} FROM t")[0]
    assert dict(zip(JSON, shown, strict=True)) == {column: text for column, (*_, text) in JSON.items()}
    assert (counts(first), counts(second)) == ({"inserted": 1}, {"unchanged": 1})


@pytest.mark.parametrize(
    ("value", "words"),
    [
        pytest.param('{"a": 1, "a": 2}', "comes twice", id="duplicate-key"),
        pytest.param('"a\\u0000b"', "NUL", id="nul"),
        pytest.param('{"a": "\\u0000"}', "(?i)unicode", id="nul-within"),
        pytest.param('"\\ud800"', "surrogate", id="lone-surrogate"),
        pytest.param("NaN", "NaN is not JSON", id="nan"),
    ],
)
def test_json_that_jsonb_can_not_hold_is_refused_with_its_line(
    db: Database, tmp_path: Path, value: str, words: str
):
    db.execute("CREATE TABLE t (id int PRIMARY KEY, v jsonb)")
    (tmp_path / "rows.jsonl").write_text(f'{{"id": 1}}\n{{"id": 2, "v": {value}}}\n', encoding="utf-8")

    with pytest.raises(syncengine.BadRow, match=words) as failure:
        syncengine.run(a_spec(tmp_path, "rows.jsonl", conflict_keys=["id"]), connection=db.url)

    assert str(failure.value.location) == "rows.jsonl:2"


def test_types_inferred_for_mixed_numbers_round_none_of_them(db: Database):
    rows = [
        {"n": 2**60 + 1, "d": Decimal("1.10")},
        {"n": float("nan"), "d": 1e300},
        {"n": 1.5, "d": float("inf")},
    ]

    sync(db, rows, target={"table": "t", "create": True})

    assert db.execute("SELECT n::text, d::text FROM t") == [
        (str(2**60 + 1), "1.10"),
        ("NaN", str(10**300)),
        ("1.5", "Infinity"),
    ]
