"""Rows that are converted and copied many at once, on real servers: values, places of errors, memory of places."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import syncengine
from syncengine.errors import BadRow, SourceError, SyncError
from tests.servers import Database

TEXTS = [
    "",
    "\\N",
    "\\.",
    "a\tb",
    "c\nd\re",
    "\\",
    '"',
    "\x1d",
    "\x1e|\x1f",
    "é😀",
    "N",
    "\x7f\b\f\v",
    None,
    "null",
]


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def spec_of(**keys: Any) -> dict[str, Any]:
    return {"name": "t", "source": "t.jsonl", "target": "t", "mode": "insert", **keys}


def write(records: list[dict[str, Any]]) -> None:
    Path("t.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))


@pytest.mark.every_server
@pytest.mark.parametrize("method", ["copy", "staged"])
def test_texts_of_any_kind_arrive_as_they_are(db: Database, folder: Path, method: str):
    db.execute("CREATE TABLE t (id int, v text, d jsonb, w text)")
    # Odd characters stand in a batch of their own kind, and among many rows without.
    rows = [{"id": n, "v": TEXTS[n % len(TEXTS)], "d": {"v": [n, 1.5]}} for n in range(1000)]
    write(rows)

    syncengine.run(spec_of(execution={"method": method}), connection=db.url)
    syncengine.run(spec_of(), source=[{**row, "w": "python"} for row in rows], connection=db.url)

    found = db.execute("SELECT id, v, d, w FROM t ORDER BY w NULLS FIRST, id")
    assert found == [(*row.values(), None) for row in rows] + [(*row.values(), "python") for row in rows]


def test_digits_stay_through_batches(db: Database, folder: Path):
    db.execute("CREATE TABLE t (id int, n numeric, v text, d json)")
    Path("t.jsonl").write_text(
        '{"id": 1, "n": 1.10, "v": 1e5, "d": {"b": 1.10, "a":1e2}}\n'
        '{"id": 2.0, "n": 123456789012345678901234567890, "v": true, "d": "x"}\n'
        '{"v": "x", "n": -0.0, "id": 3, "d": null}\n'
    )

    syncengine.run(spec_of(), connection=db.url)

    assert db.execute("SELECT id, n::text, v, d::text FROM t ORDER BY id") == [
        (1, "1.10", "1E+5", '{"b": 1.10, "a": 1E+2}'),
        (2, "123456789012345678901234567890", "true", '"x"'),
        (3, "0.0", "x", None),
    ]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"id": "x", "v": "a"}', "invalid input syntax for type integer"),
        ('{"id": 1, "v": "a", "v": "b"}', 'the key "v" comes twice'),
        ('{"id": 1, "v": "a", "at": "2024-01-01 00:00:00.1234567"}', "finer than a microsecond"),
    ],
)
def test_the_place_of_a_bad_row_among_many_is_told(db: Database, folder: Path, line: str, message: str):
    db.execute("CREATE TABLE t (id int, v text, at timestamptz)")
    good = ['{"id": 1, "v": "x\\ny"}', "", '{"id": 2}'] * 3000
    Path("t.jsonl").write_text("\n".join([*good, line, *good]))

    with pytest.raises(SyncError, match=message) as caught:
        syncengine.run(spec_of(), connection=db.url)

    assert str(caught.value.location) == f"t.jsonl:{len(good) + 1}"
    assert db.one("SELECT count(*) FROM t") == 0


@pytest.mark.parametrize(("bad", "error"), [("a\0b", SyncError), ("\ud800", BadRow), (b"x", BadRow)])
def test_the_number_of_an_odd_row_from_python_is_told(db: Database, bad: object, error: type[SyncError]):
    db.execute("CREATE TABLE t (id int, v text)")
    rows = [{"id": n, "v": "x"} for n in range(700)]
    rows[600]["v"] = bad

    with pytest.raises(error) as caught:
        syncengine.run({"name": "t", "target": "t", "mode": "insert"}, source=rows, connection=db.url)

    assert str(caught.value.location).removeprefix("row ") == "601"


def test_a_generator_that_fails_has_its_rows_counted(db: Database):
    db.execute("CREATE TABLE t (id int)")

    def rows() -> Iterator[dict[str, int]]:
        for n in range(777):
            yield {"id": n}
        raise RuntimeError("gone")

    with pytest.raises(SourceError, match="raised RuntimeError after row 777"):
        syncengine.run({"name": "t", "target": "t", "mode": "insert"}, source=rows(), connection=db.url)

    assert db.one("SELECT count(*) FROM t") == 0


def test_inferred_types_are_those_of_all_batches(db: Database):
    rows = [{"n": 1, "d": [1], "m": None} for _ in range(1000)] + [
        {"n": Decimal("1.5"), "d": {}, "m": "2024-01-01"}
    ]

    syncengine.run(
        {"name": "t", "target": {"table": "t", "create": True}, "mode": "insert"},
        source=rows,
        connection=db.url,
    )

    assert db.execute(
        "SELECT attname::text, atttypid::regtype::text FROM pg_attribute"
        " WHERE attrelid = 't'::regclass AND attnum > 0 ORDER BY attnum"
    ) == [("n", "numeric"), ("d", "jsonb"), ("m", "date")]


@pytest.mark.direct
def test_places_in_the_ledger_have_their_bytes(emptied: Database, folder: Path):
    emptied.execute("CREATE TABLE t (id int)")
    lines = [f'{{"id": {n}}}\n' for n in range(1000)]
    Path("t.jsonl").write_text("".join(lines))

    syncengine.run(spec_of(execution={"transaction": "chunk", "chunk_rows": 300}), connection=emptied.url)

    ends = [place for (place,) in emptied.execute("SELECT ends FROM syncengine.chunks ORDER BY number")]
    assert [(place["records"], place["offset"]) for place in ends if place] == [
        (count, len("".join(lines[:count]))) for count in (300, 600, 900, 1000)
    ]
