"""Parquet, Arrow and Feather files, tables and DataFrames, end to end: the table is that of a CSV of the same data."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import psycopg
import pyarrow as pa
import pyarrow.csv
import pyarrow.dataset
import pyarrow.feather
import pyarrow.parquet
import pytest

import syncengine
from syncengine.errors import SourceError, SyncError
from syncengine.model import events as ev
from tests.builders import a_spec
from tests.runs import counts, places, refused, sync
from tests.servers import Database

COLUMNS = (
    "id bigint PRIMARY KEY, email text, amount numeric(12,2), n int, ok boolean, day date, at timestamptz"
)
START = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)


def table(rows: int = 50, changed: int = 0) -> Any:
    """Return a table; every seventh value of most columns is NULL."""
    some = [number % 7 != 0 for number in range(rows)]

    def column(make: Callable[[int], object]) -> list[object]:
        return [make(number) if good else None for number, good in enumerate(some)]

    return pa.table(
        {
            "id": pa.array(range(rows), pa.int64()),
            "email": pa.array([f'u{n},"{"x" * (n % 40)}\nä' for n in range(rows)]),
            "amount": pa.array(
                column(lambda n: Decimal(n + (n < changed)) + Decimal("0.10")), pa.decimal128(10, 2)
            ),
            "n": pa.array(column(lambda n: n - 20), pa.int32()),
            "ok": pa.array(column(lambda n: n % 2 == 0)),
            "day": pa.array(column(lambda n: dt.date(2024, 1, 1) + dt.timedelta(days=n)), pa.date32()),
            "at": pa.array(
                column(lambda n: START + dt.timedelta(microseconds=n * 10**9 + n)), pa.timestamp("us", "UTC")
            ),
            "doc": pa.array(column(lambda n: f'{{"b": {n}.10, "a": null}}')),
        }
    )


def write_parquet(found: Any, path: Path) -> None:
    pyarrow.parquet.write_table(found, path, row_group_size=17)


def write_stream(found: Any, path: Path) -> None:
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, found.schema) as writer:
        writer.write_table(found, max_chunksize=13)


def write_feather(found: Any, path: Path) -> None:
    pyarrow.feather.write_feather(found, str(path), chunksize=11)


WRITERS: dict[str, Callable[[Any, Path], None]] = {
    "rows.parquet": write_parquet,
    "rows.arrow": write_stream,
    "rows.feather": write_feather,
    "rows.ipc": write_feather,
}
HANDED_OVER: dict[str, Callable[[], object]] = {
    "table": table,
    "batch": lambda: table().to_batches()[0],
    "reader": lambda: table().to_reader(max_chunksize=9),
    "dataset": lambda: pyarrow.dataset.dataset(table()),
    "scanner": lambda: pyarrow.dataset.dataset(table()).scanner(),
    "polars": lambda: pl.from_arrow(table()),
    "pandas-of-arrow": lambda: table().to_pandas(types_mapper=pd.ArrowDtype),
}


@pytest.fixture
def db(emptied: Database) -> Database:
    emptied.execute(f"CREATE TABLE t ({COLUMNS}, doc jsonb)")
    return emptied


def stored(db: Database) -> list[tuple[object, ...]]:
    return db.execute("SELECT t::text FROM t ORDER BY id")


def expected(db: Database, found: Any) -> list[tuple[object, ...]]:
    """Return what COPY makes of a CSV of the data."""
    db.execute("DROP TABLE IF EXISTS expected")
    db.execute("CREATE TEMP TABLE expected (LIKE t)")
    sink = pa.BufferOutputStream()
    pyarrow.csv.write_csv(found, sink)
    with db.conn.cursor() as cursor, cursor.copy("COPY expected FROM STDIN (FORMAT csv, HEADER)") as copy:
        copy.write(sink.getvalue().to_pybytes())
    return db.execute("SELECT e::text FROM expected AS e ORDER BY id")


def of_file(path: Path, **spec: Any) -> dict[str, Any]:
    return {"source": {"path": str(path)}, "conflict_keys": ["id"], **spec}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.every_server
@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("method", ["staged", "rows"])
def test_files_give_what_a_csv_of_them_gives(db: Database, folder: Path, name: str, method: str):
    WRITERS[name](table(), folder / name)

    spec = of_file(Path(name), execution={"method": method})
    if method == "rows" and name == "rows.arrow":
        assert "not known to be small" in str(refused(db, None, **spec).message)
        return
    report = sync(db, None, **spec)

    assert counts(report) == {"inserted": 50}
    assert stored(db) == expected(db, table())


@pytest.mark.parametrize("make", HANDED_OVER.values(), ids=HANDED_OVER)
def test_what_is_handed_over_gives_what_a_csv_of_it_gives(db: Database, make: Callable[[], object]):
    report = sync(db, make(), conflict_keys=["id"])

    assert counts(report) == {"inserted": 50}
    assert stored(db) == expected(db, table())


def test_a_second_run_writes_nothing(db: Database, folder: Path):
    write_parquet(table(3000), folder / "rows.parquet")
    sync(db, None, **of_file(Path("rows.parquet")))
    before = places(db)

    assert counts(sync(db, None, **of_file(Path("rows.parquet")))) == {"unchanged": 3000}
    assert places(db) == before


def test_only_what_changed_is_written(db: Database):
    sync(db, table(700), conflict_keys=["id"])

    report = sync(db, table(700, changed=20), conflict_keys=["id"], mode="mirror")

    assert counts(report) == {"updated": 17, "unchanged": 683}  # of 20 rows, three have no amount


def test_data_frames_of_pandas_keep_their_meaning(db: Database):
    frame = pd.DataFrame(
        {
            "id": [1, 2],
            "email": ["a", None],
            "amount": [1.5, float("nan")],
            "n": pd.array([7, None], dtype="Int64"),
            "at": pd.to_datetime(["2024-02-29 01:02:03.000004Z", None]),
            "ok": pd.Categorical([True, False]),
        },
        index=["not", "loaded"],
    )

    sync(db, frame, conflict_keys=["id"])

    assert db.execute("SELECT id, email, amount::text, n, at::text, ok FROM t ORDER BY id") == [
        (1, "a", "1.50", 7, "2024-02-29 01:02:03.000004+00", True),
        (2, None, None, None, None, False),
    ]


def test_whole_floats_are_integers(db: Database):
    sync(db, pd.DataFrame({"id": [1.0, 2.0], "n": [3.0, None]}), conflict_keys=["id"])

    assert db.execute("SELECT id, n FROM t ORDER BY id") == [(1, 3), (2, None)]


def test_texts_go_into_other_types_as_those_of_a_csv_do(db: Database):
    found = pa.table(
        {"id": ["1", "2"], "day": ["2024-02-29", None], "amount": ["1.1", "2"], "ok": ["yes", "off"]}
    )

    sync(db, found, conflict_keys=["id"])

    assert db.execute("SELECT id, day::text, amount::text, ok FROM t ORDER BY id") == [
        (1, "2024-02-29", "1.10", True),
        (2, None, "2.00", False),
    ]


# what is handed over, part of the message, where
REFUSED = {
    "out-of-range": ({"n": [1, 2**40]}, "out of range", "row 2"),
    "fraction": ({"n": [1.0, 1.5]}, "invalid input syntax for type integer", "row 2"),
    "nul": ({"email": ["a", "b\0"]}, "0x00", "row 2"),
    "no-json": ({"doc": ["{}", "{"]}, "column doc: invalid input syntax for type json", "row 2"),
    "rounded": (
        {"amount": [Decimal("1.10"), Decimal("1.105")]},
        "would be rounded by numeric(12,2)",
        "row 2",
    ),
    "a-time-in-a-date": (
        {"day": [START.replace(tzinfo=None), dt.datetime(2024, 1, 1, 5)]},
        "its time",
        "row 2",
    ),
    "bytes-as-text": ({"email": [b"a", b"b"]}, "bytes are no text", "row 1"),
    "no-boolean": ({"ok": [1.5, 2.5]}, "invalid input syntax for type boolean", "row 1"),
    "infinity": ({"n": [1.0, float("inf")]}, "invalid input syntax for type integer", "row 2"),
}


@pytest.mark.parametrize(("columns", "message", "place"), REFUSED.values(), ids=REFUSED)
def test_a_value_that_does_not_fit_is_refused_with_its_place(
    db: Database, columns: dict[str, Any], message: str, place: str
):
    error = refused(db, pa.table({"id": [1, 2], **columns}), conflict_keys=["id"])

    assert message in error.message
    assert str(error.location) == place
    assert error.exit_code == 1
    assert db.one("SELECT count(*) FROM t") == 0


def test_only_the_bad_rows_are_kept_apart(db: Database, folder: Path):
    found = pa.table({"id": [1, 2, 3, 4], "n": [1, 2**40, 3, None], "email": ["a", "b", "c\0", "d"]})
    write_parquet(found, folder / "rows.parquet")

    report = sync(db, None, **of_file(Path("rows.parquet"), bad_rows="quarantine"))

    assert counts(report) == {"inserted": 2, "quarantined": 2}
    assert db.execute("SELECT id FROM t ORDER BY id") == [(1,), (4,)]
    assert [row[0] for row in db.execute("SELECT place FROM syncengine.quarantine ORDER BY id")] == [
        "rows.parquet, row 2",
        "rows.parquet, row 3",
    ]


def test_a_map_that_would_lose_a_value_is_a_bad_row(db: Database, folder: Path):
    kind = pa.map_(pa.string(), pa.int32())
    docs = pa.array([[("a", 1), ("b", 2)], [("a", 1), ("a", 2)], None], kind)
    write_parquet(pa.table({"id": [1, 2, 3], "doc": docs}), folder / "rows.parquet")
    spec = of_file(Path("rows.parquet"))

    error = refused(db, None, **spec)

    assert (error.code, error.message, error.detail) == (
        "bad-row",
        "two keys of a map are the same in JSON",
        "the key 'a'",
    )
    assert str(error.location) == "rows.parquet, row 2"
    assert "list of keys and values" in str(error.hint)
    assert refused(db, None, **spec, sensitive=["doc"]).detail == "***"
    report = sync(db, None, **spec, bad_rows="quarantine")
    assert counts(report) == {"inserted": 2, "quarantined": 1}
    assert [str(row) for row in report.bad_rows] == [
        "rows.parquet, row 2: column doc: two keys of a map are the same in JSON (the key 'a')"
    ]
    assert db.execute("SELECT id, doc FROM t ORDER BY id") == [(1, {"a": 1, "b": 2}), (3, None)]


def test_floats_of_four_bytes_are_the_integers_of_their_digits(db: Database):
    found = pa.table({"id": pa.array([123456789.0, 7.0], pa.float32()), "n": pa.array([1.0, None])})

    sync(db, found, conflict_keys=["id"])

    assert db.execute("SELECT id, n FROM t ORDER BY id") == [(7, None), (123456790, 1)]


def test_the_last_of_equal_keys_wins_in_the_order_of_the_files(db: Database, folder: Path):
    write_parquet(pa.table({"id": [1, 2], "email": ["a", "b"]}), folder / "1.parquet")
    write_parquet(pa.table({"email": ["c", "d"], "id": pa.array([2, 3], pa.int32())}), folder / "2.parquet")

    report = sync(db, None, **of_file(Path("*.parquet"), duplicates="last"))

    assert counts(report) == {"inserted": 3, "duplicates": 1}
    assert db.execute("SELECT id, email FROM t ORDER BY id") == [(1, "a"), (2, "c"), (3, "d")]


def test_columns_are_computed_from_the_texts_of_the_fields(db: Database):
    found = table(5)
    computed = {
        "email": {"expression": "source.email || ' ' || source.n"},
        "n": {"expression": "length(source.ok)"},
        "day": {"field": "day", "type": "timestamp"},
    }

    sync(db, found, conflict_keys=["id"], columns=computed)

    assert db.execute("SELECT email, n, day::text FROM t WHERE id = 1") == [('u1,"x\nä -19', 5, "2024-01-02")]


def test_a_table_is_made_with_the_types_of_the_data(emptied: Database):
    found = pa.table(
        {
            "id": pa.array([1], pa.int32()),
            "big": pa.array([1], pa.uint64()),
            "price": pa.array([Decimal("1.10")], pa.decimal128(9, 3)),
            "at": pa.array([0], pa.timestamp("ms", "UTC")),
            "tags": pa.array([["a"]]),
            "doc": pa.array([{"a": 1}]),
            "raw": pa.array([b"a"]),
            "kind": pa.array(["x"]).dictionary_encode(),
            "nothing": pa.nulls(1),
        }
    )

    sync(emptied, found, target={"table": "t", "create": True}, conflict_keys=["id"])

    assert emptied.execute("SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute"
                           " WHERE attrelid = 't'::regclass AND attnum > 0 ORDER BY attnum") == [
        ("id", "integer"),
        ("big", "numeric(20,0)"),
        ("price", "numeric(9,3)"),
        ("at", "timestamp with time zone"),
        ("tags", "text[]"),
        ("doc", "jsonb"),
        ("raw", "bytea"),
        ("kind", "text"),
        ("nothing", "text"),
    ]  # fmt: skip


@pytest.mark.every_server
@pytest.mark.parametrize("mode", ["insert", "upsert"])
def test_chunks_commit_one_by_one(db: Database, folder: Path, mode: str):
    write_parquet(table(100), folder / "rows.parquet")
    keys = {} if mode == "insert" else {"conflict_keys": ["id"]}
    seen: list[ev.Event] = []

    report = syncengine.run(
        {
            "name": "t",
            "source": "rows.parquet",
            "target": "t",
            "mode": mode,
            "execution": {"transaction": "chunk", "chunk_rows": 30},
            **keys,
        },
        connection=db.url,
        emit=seen.append,
    )

    assert counts(report) == {"inserted": 100}
    assert sum(isinstance(event, ev.ChunkCommitted) for event in seen) >= 4
    assert stored(db) == expected(db, table(100))


def test_a_run_goes_on_behind_its_last_chunk(db: Database, folder: Path):
    write_parquet(table(100), folder / "rows.parquet")
    chunks = {"transaction": "chunk", "chunk_rows": 30, "workers": 1}
    spec = {"name": "t", "source": "rows.parquet", "target": "t", "mode": "insert", "execution": chunks}
    seen: list[ev.Event] = []

    def stop_at_the_second(event: ev.Event) -> None:
        seen.append(event)
        if sum(isinstance(one, ev.ChunkCommitted) for one in seen) == 2:
            raise RuntimeError("stopped")

    with pytest.raises(RuntimeError):
        syncengine.run(spec, connection=db.url, emit=stop_at_the_second)
    assert db.one("SELECT count(*) FROM t") == 60

    report = syncengine.run(spec, connection=db.url)

    assert (report.resumed, counts(report)) == (True, {"inserted": 100})
    assert stored(db) == expected(db, table(100))


def test_a_chosen_part_of_a_file_is_loaded(db: Database, folder: Path):
    write_parquet(table(), folder / "rows.parquet")
    source = {
        "path": "rows.parquet",
        "columns": ["id", "n"],
        "filter": "n > 0 AND ok = true OR id IN (1, 2)",
    }

    sync(db, None, source=source, conflict_keys=["id"])

    chosen = (
        one for one in table().to_pylist() if one["id"] in (1, 2) or ((one["n"] or -1) > 0 and one["ok"])
    )
    ids = [one["id"] for one in chosen]
    assert [row[0] for row in db.execute("SELECT id FROM t WHERE email IS NULL ORDER BY id")] == ids


UNFIT = {
    "unknown-field": ({"filter": "m = 1"}, "names the field 'm'"),
    "unknown-column": ({"columns": ["idd"]}, "names the field 'idd'"),
    "other-type": ({"filter": "n = 'a'"}, "compares the field n, which is int32, with a"),
    "no-condition": ({"filter": "n = 1; drop"}, "`filter` has `;`"),
    "no-literal": ({"filter": "n = id"}, "`filter` has `id`"),
}


@pytest.mark.parametrize(("options", "message"), UNFIT.values(), ids=UNFIT)
def test_a_wrong_choice_is_refused_before_anything_is_read(
    db: Database, folder: Path, options: dict[str, Any], message: str
):
    write_parquet(table(), folder / "rows.parquet")
    spec = a_spec(folder, source={"path": "rows.parquet", **options}, conflict_keys=["id"], target="t")

    with pytest.raises(SyncError) as failure:
        syncengine.run(spec, connection=db.url)

    assert message in failure.value.message
    assert (failure.value.exit_code, failure.value.location is not None) == (3, True)


def test_moments_without_a_zone_are_those_of_the_session(db: Database):
    found = pa.table({"id": [1], "at": pa.array([dt.datetime(2024, 7, 1, 12)], pa.timestamp("us"))})

    sync(db, found, conflict_keys=["id"], session={"TimeZone": "Europe/Berlin"})

    assert db.execute("SELECT at::text FROM t") == [("2024-07-01 10:00:00+00",)]


def test_batches_of_both_forms_keep_their_order(db: Database):
    """Only the second of three batches has a number that no double holds by its digits."""

    def batches() -> Iterator[Any]:
        for start, odd in ((0, 0.5), (10, 1e-7), (20, 0.25)):
            yield pa.record_batch({"id": list(range(start, start + 10)), "amount": [odd] * 10})

    db.execute("ALTER TABLE t ALTER amount TYPE numeric")
    first = pa.record_batch({"id": [0], "amount": [0.5]})
    reader = pa.RecordBatchReader.from_batches(first.schema, batches())

    report = sync(db, reader, conflict_keys=["id"], duplicates="last")

    assert counts(report) == {"inserted": 30}
    assert db.execute("SELECT amount::text, count(*) FROM t GROUP BY 1 ORDER BY min(id)") == [
        ("0.5", 10),
        ("0.0000001", 10),
        ("0.25", 10),
    ]


def test_what_the_callers_own_batches_raise_is_an_error_of_the_source(emptied: Database):
    """Also where it looks like an error of the target's connection, which would be tried again."""
    emptied.execute("CREATE TABLE t (id int PRIMARY KEY)")
    schema = pa.schema([("id", pa.int32())])

    def batches() -> Iterator[pa.RecordBatch]:
        yield pa.record_batch([pa.array(range(1000), pa.int32())], schema=schema)
        raise psycopg.OperationalError("the other server is gone")

    reader = pa.RecordBatchReader.from_batches(schema, batches())
    with pytest.raises(SourceError) as caught:
        syncengine.run(
            {"name": "t", "target": "t", "conflict_keys": ["id"]}, source=reader, connection=emptied.url
        )

    assert "the other server is gone" in f"{caught.value.message} {caught.value.detail}"
    assert emptied.one("SELECT count(*) FROM t") == 0


def test_no_number_loses_more_digits_than_a_word_holds(emptied: Database):
    emptied.execute("CREATE TABLE t (n numeric(10, 0))")
    table = pa.table({"n": pa.array([Decimal("0.5")], pa.decimal128(38, 19))})

    with pytest.raises(SyncError):
        syncengine.run({"name": "t", "target": "t", "mode": "insert"}, source=table, connection=emptied.url)

    assert emptied.one("SELECT count(*) FROM t") == 0
