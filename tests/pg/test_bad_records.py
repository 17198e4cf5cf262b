"""Bad records of JSON Lines, of the spec and from Python are refused with their place; nothing is written."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import syncengine
from syncengine.errors import SyncError
from tests.builders import a_spec, untouched
from tests.servers import Database, Server

TABLE = """
CREATE TABLE t (id int PRIMARY KEY, name varchar(10) NOT NULL, qty numeric(6,2), doc jsonb, tags text[]);
INSERT INTO t VALUES (1, 'one', 1.50, '{"a": 1}', '{x}');
INSERT INTO t VALUES (2, 'two')"""
GOOD = '{"id": 1, "name": "one"}\n{"id": 2, "name": "zwei"}\n'
SPEC = {"target": "public.t", "conflict_keys": ["id"]}
METHODS = ["staged", "rows"]

LINES = {
    "not-json": ('{"id": 3, "name": }\n', "not valid JSON"),
    "array-instead-of-an-object": ('[3, "three"]\n', "an array, expected was one object"),
    "nan": ('{"id": 3, "name": "c", "qty": NaN}\n', "NaN is not JSON"),
    "infinity": ('{"id": 3, "name": "c", "qty": -Infinity}\n', "-Infinity is not JSON"),
    "lone-surrogate": ('{"id": 3, "name": "\\ud800"}\n', "surrogate"),
    "lone-surrogate-in-json": ('{"id": 3, "name": "c", "doc": ["\\udc00"]}\n', "surrogate"),
    "nul": ('{"id": 3, "name": "\\u0000"}\n', "NUL"),
    "nul-in-json": ('{"id": 3, "name": "c", "doc": {"a": "\\u0000"}}\n', "\\u0000"),
    "key-twice": ('{"id": 3, "name": "c", "id": 4}\n', '"id" comes twice'),
    "huge-integer": ('{"id": 3, "name": "c", "qty": ' + "9" * 5000 + "}\n", "5000 digits"),
    "integer-out-of-range": ('{"id": 99999999999, "name": "c"}\n', "out of range"),
    "huge-exponent": ('{"id": 3, "name": "c", "qty": 1e99999999}\n', "column qty"),
    "text-in-a-number": ('{"id": 3, "name": "c", "qty": "x"}\n', "column qty"),
    "object-in-a-number": ('{"id": 3, "name": "c", "qty": {"a": 1}}\n', "column qty"),
    "text-too-long": ('{"id": 3, "name": "much too long"}\n', "varying(10)"),
    "broken-utf-8": (b'{"id": 3, "name": "\xff"}\n', "UTF-8"),
    "two-objects-in-a-line": ('{"id": 3, "name": "c"} {"id": 4, "name": "d"}\n', "not valid JSON"),
    "object-over-several-lines": ('{"id": 3,\n"name": "c"}\n', "not valid JSON"),
    "deep-nesting": (
        '{"id": 3, "name": "c", "doc": ' + "[" * 100_000 + "]" * 100_000 + "}\n",
        "nested too deeply",
    ),
}


@pytest.fixture(scope="module")
def target(server: Server) -> Iterator[Database]:
    """Make one database with the table for all tests that change nothing, on each server version in turn."""
    with server.database() as database:
        database.execute(TABLE)
        yield database


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("line", "says"), LINES.values(), ids=LINES)
def test_bad_line_of_json_is_refused(
    line: str | bytes, says: str, method: str, target: Database, tmp_path: Path
):
    data = line.encode() if isinstance(line, str) else line
    (tmp_path / "rows.jsonl").write_bytes(GOOD.encode() + data + b'{"id": 9, "name": "nine"}\n')
    spec = a_spec(tmp_path, "rows.jsonl", conflict_keys=["id"], execution={"method": method})

    with untouched(target), pytest.raises(SyncError) as caught:
        syncengine.run(spec, connection=target.url)

    assert caught.value.code == "bad-row"
    assert says in str(caught.value)
    assert str(caught.value.location) == "rows.jsonl:3"
    assert len(str(caught.value)) < 1500


def test_json_array_is_refused_with_the_remedy(newdb: Database, tmp_path: Path):
    (tmp_path / "rows.jsonl").write_text('[{"id": 3, "name": "three"}]')
    newdb.execute(TABLE)

    with untouched(newdb), pytest.raises(SyncError, match="JSON array") as caught:
        syncengine.run(a_spec(tmp_path, "rows.jsonl", conflict_keys=["id"]), connection=newdb.url)

    assert "jq" in str(caught.value.hint)


def test_empty_json_lines_are_no_rows(newdb: Database, tmp_path: Path):
    (tmp_path / "rows.jsonl").write_text("\n\n")
    newdb.execute(TABLE)
    columns = {"id": "id", "name": "name"}

    with untouched(newdb):
        report = syncengine.run(
            a_spec(tmp_path, "rows.jsonl", conflict_keys=["id"], columns=columns), connection=newdb.url
        )

    assert report.rows_read == 0


def test_key_of_json_without_a_column_is_refused(newdb: Database, tmp_path: Path):
    (tmp_path / "rows.jsonl").write_text('{"id": 3, "name": "c", "nmae": 1}\n')
    newdb.execute(TABLE)

    with untouched(newdb), pytest.raises(SyncError, match="'nmae'") as caught:
        syncengine.run(a_spec(tmp_path, "rows.jsonl", conflict_keys=["id"]), connection=newdb.url)

    assert caught.value.exit_code == 3


ROWS: dict[str, tuple[object, str, int]] = {
    "no-list": ({"id": 3}, "rows", 3),
    "no-mapping": ([{"id": 3, "name": "c"}, 4], "rows", 3),
    "lists": ([[3, "c"]], "rows", 3),
    "unknown-field": ([{"id": 3, "name": "c", "colour": "red"}], "'colour'", 3),
    "text-in-a-number": ([{"id": 3, "name": "c"}, {"id": "x", "name": "d"}], "item 2", 1),
    "null-key": ([{"name": "c"}, {"id": 4, "name": "d"}], "is NULL", 1),
    "one-key-twice": ([{"id": 3, "name": "c"}, {"id": 3, "name": "d"}], '{"id" : 3}', 1),
    "null-in-not-null": ([{"id": 3}], "name", 1),
}


@pytest.mark.parametrize(("rows", "says", "exit_code"), ROWS.values(), ids=ROWS)
def test_bad_rows_in_the_spec_are_refused(
    rows: object, says: str, exit_code: int, newdb: Database, tmp_path: Path
):
    newdb.execute(TABLE)
    columns = {"id": "id", "name": "name"}
    spec = a_spec(tmp_path, {"type": "rows", "rows": rows}, conflict_keys=["id"], columns=columns)

    with untouched(newdb), pytest.raises(SyncError) as caught:
        syncengine.run(spec, connection=newdb.url)

    assert caught.value.exit_code == exit_code
    assert says in str(caught.value)


class Odd:
    def __str__(self) -> str:
        raise RuntimeError("no text")


class Pair(NamedTuple):
    id: int
    name: str


def good_rows(count: int) -> Iterator[dict[str, object]]:
    for number in range(count):
        yield {"id": number, "name": f"n{number}"}


def then(count: int, *rows: object) -> Iterator[object]:
    """Yield `count` good rows, and these after them."""
    yield from good_rows(count)
    yield from rows


BATCHES = {
    "late-field": (then(1500, {"id": 3000, "name": "c", "colour": "red"}), "'colour'", "row 1501"),
    "number": (then(1, 7), "an int", "row 2"),
    "none": (then(2, None), "None", "row 3"),
    "text": (iter(["id,name"]), "a str", "row 1"),
    "tuple-after-dicts": (then(1, (3, "c")), "a tuple", "row 2"),
    "dict-after-tuples": (iter([(3, "c", 1, None, None), {"id": 4}]), "a dict", "row 2"),
    "tuple-too-short": (iter([(3, "c", 1, None, None), (4,)]), "1 values", "row 2"),
    "named-tuple-after-tuples": (iter([(3, "c", 1, None, None), Pair(4, "d")]), "Pair", "row 2"),
    "key-that-is-no-text": (iter([{1: "a"}]), "the key 1", "row 1"),
    "text-in-a-number": (then(1200, {"id": 5000, "name": "c"}, {"id": "x", "name": "d"}), '"x"', "row 1202"),
    "nul": (then(5, {"id": 6, "name": "a\0b"}), "NUL", "row 6"),
    "lone-surrogate": (then(5, {"id": 6, "name": "\ud800"}), "surrogate", "row 6"),
    "value-without-a-text": (then(5, {"id": 6, "name": Odd()}), "no text", "row 6"),
    "nan": (then(5, {"id": float("nan"), "name": "c"}), "column id", "row 6"),
}


@pytest.mark.parametrize("name", BATCHES)
def test_bad_row_from_python_is_refused(name: str, newdb: Database):
    rows, says, place = BATCHES[name]
    newdb.execute(TABLE)

    with untouched(newdb), pytest.raises(SyncError) as caught:
        syncengine.run(SPEC, source=rows, connection=newdb.url)

    assert says in str(caught.value)
    assert str(caught.value.location) == place
    assert caught.value.exit_code == 1


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("count", [0, 10, 5000])
def test_generator_that_raises_leaves_the_target_alone(count: int, method: str, target: Database):
    def rows() -> Iterator[dict[str, object]]:
        yield from good_rows(count)
        raise ValueError("the sensor is off")

    with untouched(target), pytest.raises(SyncError, match="the sensor is off") as caught:
        syncengine.run(SPEC, source=rows(), connection=target.url)

    assert caught.value.code == "source-unreadable"
    assert f"after row {count}" in caught.value.message
    assert isinstance(caught.value.__cause__, ValueError)


def test_asynchronous_generator_that_raises_leaves_the_target_alone(newdb: Database):
    async def rows() -> AsyncIterator[dict[str, object]]:
        for row in good_rows(3000):
            yield row
        raise ValueError("the sensor is off")

    newdb.execute(TABLE)
    with untouched(newdb), pytest.raises(SyncError, match="the sensor is off") as caught:
        asyncio.run(syncengine.arun(SPEC, source=rows(), connection=newdb.url))

    assert isinstance(caught.value.__cause__, ValueError)


async def nothing() -> AsyncIterator[dict[str, object]]:
    yield {"id": 1}


SOURCES = {
    "number": (7, "an int"),
    "text": ("rows.csv", "a str"),
    "one-dict": ({"id": 3, "name": "c"}, "[row]"),
    "function": (good_rows, "a function"),
    "asynchronous": (nothing(), "arun"),
}


@pytest.mark.parametrize(("source", "says"), SOURCES.values(), ids=SOURCES)
def test_source_that_holds_no_rows_is_refused(source: object, says: str, newdb: Database):
    newdb.execute(TABLE)

    with untouched(newdb), pytest.raises(SyncError) as caught:
        syncengine.run(SPEC, source=source, connection=newdb.url)

    assert caught.value.exit_code == 3
    assert says in str(caught.value)


def test_generator_without_rows_writes_nothing(newdb: Database):
    newdb.execute(TABLE)
    columns = {"id": "id", "name": "name"}

    with untouched(newdb):
        report = syncengine.run({**SPEC, "columns": columns}, source=iter(()), connection=newdb.url)

    assert report.rows_read == 0
