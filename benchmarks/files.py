"""The files of the benchmark: made once, kept in the cache, the same bytes wherever they are made."""

from __future__ import annotations

import csv
import gzip
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks.rows import Delta, Row, generate
from benchmarks.shapes import Shape

BLOCK_BYTES = 16 << 20


def data_file(folder: Path, shape: Shape, rows: int, delta: Delta, form: str = "csv") -> Path:
    """Return the file of a source, made first if it is not there; `form` is its extension."""
    path = folder / f"{shape.data}-{rows}-{delta.slug}.{form}"
    if not path.exists():
        if form == "csv":
            _write_csv(path, shape, generate(shape.data, rows, delta))
        else:
            FORMS[form](data_file(folder, shape, rows, delta), path, shape)
    return path


def lacking(form: str) -> str | None:
    """Say why a file of that format can't be made here, None if it can."""
    if form == "parquet" and find_spec("pyarrow") is None:
        return "pyarrow is not installed"
    return None


@contextmanager
def _whole(path: Path) -> Iterator[Path]:
    """Give a path to write to, which becomes the stated one at the end: half a file is never taken for one."""
    fresh = path.with_name(f"new-{path.name}")
    yield fresh
    fresh.rename(path)


def _write_csv(path: Path, shape: Shape, rows: Iterator[Row]) -> None:
    """Write a header and the rows; an empty field is NULL, as COPY reads it, and no value is an empty text."""
    with _whole(path) as fresh, fresh.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(shape.names)
        writer.writerows(rows)


def _write_gzip(source: Path, path: Path, shape: Shape) -> None:
    with (
        _whole(path) as fresh,
        source.open("rb") as plain,
        fresh.open("wb") as file,
        # No name and no time in it: the same bytes each time.
        gzip.GzipFile(filename="", fileobj=file, mode="wb", compresslevel=6, mtime=0) as packed,
    ):
        shutil.copyfileobj(plain, packed, BLOCK_BYTES)


def _write_jsonl(source: Path, path: Path, shape: Shape) -> None:
    readers = [_JSON.get(column.type, str) for column in shape.columns]
    names = shape.names
    with (
        _whole(path) as fresh,
        source.open(encoding="utf-8", newline="") as plain,
        fresh.open("w", encoding="utf-8", newline="") as file,
    ):
        records = csv.reader(plain)
        next(records)
        for record in records:
            values = (read(text) if text else None for read, text in zip(readers, record, strict=True))
            file.write(json.dumps(dict(zip(names, values, strict=True)), ensure_ascii=False) + "\n")


# Decimals go as numbers, as most programs write them.
_JSON: dict[str, Callable[[str], Any]] = {
    "bigint": int,
    "integer": int,
    "numeric(12,2)": float,
    "double precision": float,
    "boolean": lambda text: text == "true",
    "jsonb": json.loads,
}


def _write_parquet(source: Path, path: Path, shape: Shape) -> None:
    import pyarrow as pa
    from pyarrow import csv as arrow_csv
    from pyarrow import parquet

    types: dict[str, Any] = {
        "bigint": pa.int64(),
        "integer": pa.int32(),
        "numeric(12,2)": pa.decimal128(12, 2),
        "double precision": pa.float64(),
        "boolean": pa.bool_(),
        "timestamptz": pa.timestamp("us", tz="UTC"),
    }
    schema = pa.schema([(column.name, types.get(column.type, pa.string())) for column in shape.columns])
    batches = arrow_csv.open_csv(
        source,
        read_options=arrow_csv.ReadOptions(block_size=BLOCK_BYTES),
        parse_options=arrow_csv.ParseOptions(newlines_in_values=True),
        convert_options=arrow_csv.ConvertOptions(
            column_types=schema, strings_can_be_null=True, null_values=[""], quoted_strings_can_be_null=False
        ),
    )
    with _whole(path) as fresh, parquet.ParquetWriter(fresh, schema) as writer:
        for batch in batches:
            writer.write_batch(batch)


FORMS: dict[str, Callable[[Path, Path, Shape], None]] = {
    "csv.gz": _write_gzip,
    "jsonl": _write_jsonl,
    "parquet": _write_parquet,
}
