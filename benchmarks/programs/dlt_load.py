"""dlt: Arrow tables (its fast way: no row is normalised), loader files in CSV, which is its fastest for PostgreSQL.

From the environment: FILE, MODE, DATABASE_URL, SCRATCH (its state goes there).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("RUNTIME__DLTHUB_TELEMETRY", "false")
os.environ.setdefault("DATA_WRITER__DISABLE_COMPRESSION", "true")

import dlt
import pyarrow as pa
from dlt.destinations import postgres
from pyarrow import csv, parquet

FILE = Path(os.environ["FILE"])
HINTS = {
    "id": {"data_type": "bigint", "primary_key": True, "nullable": False},
    "amount": {"data_type": "decimal", "precision": 12, "scale": 2},
    "quantity": {"data_type": "bigint", "precision": 32},
    "note": {"data_type": "text"},
    "attrs": {"data_type": "json"},
}
STAMP = pa.timestamp("us", tz="UTC")
TYPES = {
    "id": pa.int64(), "email": pa.string(), "name": pa.string(), "amount": pa.decimal128(12, 2), "quantity": pa.int32(),
    "active": pa.bool_(), "created_at": STAMP, "updated_at": STAMP, "note": pa.string(), "attrs": pa.string(),
}  # fmt: skip


def tables() -> Iterator[Any]:
    """Yield Arrow tables."""
    for batch in (
        parquet.ParquetFile(FILE).iter_batches(100_000) if FILE.suffix == ".parquet" else csv_batches()
    ):
        yield pa.Table.from_batches([batch])


def csv_batches() -> Any:
    convert = csv.ConvertOptions(
        column_types=TYPES, strings_can_be_null=True, null_values=[""], quoted_strings_can_be_null=False
    )
    parse = csv.ParseOptions(newlines_in_values=True)
    return csv.open_csv(FILE, csv.ReadOptions(block_size=16 << 20), parse, convert)


how: Any = "append" if os.environ["MODE"] == "insert" else {"disposition": "merge", "strategy": "upsert"}
resource = dlt.resource(tables, name="t", write_disposition=how, primary_key="id", columns=HINTS)
pipeline = dlt.pipeline(
    "bench",
    destination=postgres(credentials=os.environ["DATABASE_URL"]),
    dataset_name="bench_dlt",
    pipelines_dir=str(Path(os.environ["SCRATCH"], "dlt")),
)
print(pipeline.run(resource, loader_file_format="csv"))
