"""Around bad rows a source is read record by record: sources of every kind, bad rows at every place."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

import syncengine
from syncengine.errors import SourceError
from syncengine.protocols import START, Position, Record
from syncengine.sources._csvsource import CsvSource
from tests.servers import Database

ROWS = 1000
# Numbers of rows of which the value does not go into its column, and of those that the table refuses.
UNREAD = (1, 2, 97, 98, 499, 500, 501, 900, ROWS)
REFUSED = (3, 96, 194, 700, 999)
BAD = sorted((*UNREAD, *REFUSED))


def rows() -> list[dict[str, int]]:
    found = [{"id": n, "n": n} for n in range(1, ROWS + 1)]
    for n in UNREAD:
        found[n - 1]["n"] = 2**40
    for n in REFUSED:
        found[n - 1]["n"] = -1
    return found


def as_csv(end: str = "\n") -> bytes:
    lines = ["id,n", *(f"{row['id']},{row['n']}" for row in rows()), ""]
    return end.join(lines).encode()


def as_jsonl() -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows())


def two_files(folder: Path) -> str:
    head, *lines = as_csv().splitlines(keepends=True)
    (folder / "part1.csv").write_bytes(head + b"".join(lines[:400]))
    (folder / "part2.csv").write_bytes(head + b"".join(lines[400:]))
    return "part*.csv"


def written(name: str, data: Callable[[], bytes]) -> Callable[[Path], Any]:
    def write(folder: Path) -> str:
        (folder / name).write_bytes(data())
        return name

    return write


def parquet(folder: Path) -> str:
    table = pyarrow.Table.from_pylist(rows())
    pyarrow.parquet.write_table(table, folder / "t.parquet", row_group_size=300)
    return "t.parquet"


SOURCES = {
    "csv": written("t.csv", as_csv),
    "csv-with-cr-lf": written("t.csv", lambda: as_csv("\r\n")),
    "csv-in-utf-16": lambda folder: {
        "path": written("t.csv", lambda: as_csv().decode().encode("utf-16"))(folder),
        "encoding": "utf-16",
    },
    "csv-compressed": written("t.csv.gz", lambda: gzip.compress(as_csv())),
    "two-files": two_files,
    "jsonl": written("t.jsonl", as_jsonl),
    "jsonl-compressed": written("t.jsonl.gz", lambda: gzip.compress(as_jsonl())),
    "parquet": parquet,
}


@pytest.fixture
def db(emptied: Database, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Database:
    monkeypatch.chdir(tmp_path)
    emptied.execute("CREATE TABLE t (id int PRIMARY KEY, n int CHECK (n > 0))")
    return emptied


def spec_of(source: object, **execution: object) -> dict[str, Any]:
    keys = {"conflict_keys": ["id"], "bad_rows": "quarantine", "execution": execution}
    return {"name": "t", "target": "t", **keys, **({} if source is None else {"source": source})}


def check(db: Database, report: syncengine.Report) -> None:
    assert (report.rows_read, report.inserted, report.quarantined) == (ROWS, ROWS - len(BAD), len(BAD))
    found = db.execute("SELECT number, raw, row FROM syncengine.quarantine ORDER BY number")
    assert [number for number, _, _ in found] == BAD
    values = {row["id"]: row["n"] for row in rows()}
    for number, raw, row in found:
        text = json.dumps(row) if raw is None else bytes(raw).replace(b"\0", b"").decode("latin-1")
        assert str(number) in text
        assert str(values[number]) in text
    good = [n for n in range(1, ROWS + 1) if n not in BAD]
    assert [n for (n,) in db.execute("SELECT id FROM t ORDER BY id")] == good


@pytest.mark.parametrize("transaction", ["all", "chunk"])
@pytest.mark.parametrize("size", [{}, {"chunk_rows": 97}], ids=["as-it-comes", "97-rows"])
@pytest.mark.parametrize("source", SOURCES)
def test_files(db: Database, tmp_path: Path, source: str, size: dict[str, int], transaction: str):
    spec = spec_of(SOURCES[source](tmp_path), transaction=transaction, **size)

    check(db, syncengine.run(spec, connection=db.url))


@pytest.mark.parametrize("transaction", ["all", "chunk"])
@pytest.mark.parametrize("size", [{}, {"chunk_rows": 97}], ids=["as-it-comes", "97-rows"])
@pytest.mark.parametrize("once", [False, True], ids=["list", "generator"])
def test_python_rows(db: Database, size: dict[str, int], transaction: str, *, once: bool):
    spec = spec_of(None, transaction=transaction, **size)
    source = iter(rows()) if once else rows()

    check(db, syncengine.run(spec, source=source, connection=db.url))


def test_only_what_stands_around_a_bad_row_is_read_record_by_record(
    db: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    lines = [f"{n},{n}\n" for n in range(1, 50_001)]
    lines[40_000] = "x,1\n"
    (tmp_path / "t.csv").write_text("id,n\n" + "".join(lines))
    records, seen = CsvSource.records, []

    def watched(self: CsvSource, after: Position = START, number: int = 1) -> Generator[Record, None, None]:
        for record in records(self, after, number):
            seen.append(record.number)
            yield record

    monkeypatch.setattr(CsvSource, "records", watched)
    report = syncengine.run(spec_of("t.csv"), connection=db.url)

    assert (report.inserted, report.quarantined) == (49_999, 1)
    assert 40_001 in seen
    assert len(seen) < 50


@pytest.mark.parametrize("transaction", ["all", "chunk"])
@pytest.mark.parametrize("bad", [False, True], ids=["no-bad-row", "a-bad-row-in-front"])
def test_what_can_not_be_read_to_its_end_does_not_pass_for_shorter(
    db: Database, tmp_path: Path, transaction: str, *, bad: bool
):
    values = [2**40 if bad and n == 5 else 1 for n in range(60_000)]
    table = pyarrow.table({"id": list(range(60_000)), "n": values})
    path = tmp_path / "t.parquet"
    pyarrow.parquet.write_table(table, path, row_group_size=20_000, compression="zstd", use_dictionary=False)
    damaged = bytearray(path.read_bytes())
    begin = pyarrow.parquet.ParquetFile(path).metadata.row_group(2).column(0).data_page_offset + 60
    damaged[begin : begin + 140] = bytes(byte ^ 0x5A for byte in damaged[begin : begin + 140])
    path.write_bytes(damaged)
    db.execute("INSERT INTO t SELECT n, 1 FROM generate_series(0, 59999) AS n")
    spec = {
        **spec_of("t.parquet", transaction=transaction),
        "mode": "mirror" if transaction == "all" else "upsert",
    }

    with pytest.raises(SourceError, match="can't be read"):
        syncengine.run(spec, connection=db.url)

    assert db.one("SELECT count(*) FROM t WHERE n = 1") == 60_000


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz"])
def test_records_behind_a_very_long_one_are_found_again(db: Database, tmp_path: Path, name: str):
    db.execute("ALTER TABLE t ADD COLUMN v text")
    long = "x,7,8\n" * 10_001
    data = f'id,n,v\n1,1,a\n2,1,"{long}"\n3,1,c\n4,-1,bad\n5,1,e\n'.encode()
    (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith("gz") else data)

    report = syncengine.run(spec_of(name), connection=db.url)

    assert (report.inserted, report.quarantined) == (4, 1)
    kept = db.execute("SELECT number, line, raw FROM syncengine.quarantine")
    assert kept == [(4, 10_006, b"4,-1,bad\n")]
