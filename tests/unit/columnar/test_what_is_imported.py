"""pyarrow imports pandas for much that does not need it: not here, as that takes memory and time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet

TABLE = pa.table(
    {
        "bigint": pa.array([1, None]),
        "real": pa.array([1.5, None], pa.float32()),
        "numeric": pa.array([1, None]).cast(pa.decimal128(21, 2)),
        "boolean": pa.array([True, None]),
        "text": pa.array(["a", None]),
        "date": pa.array([1, None], pa.int32()).cast(pa.date32()),
        "timestamp with time zone": pa.array([1, None]).cast(pa.timestamp("us", "UTC")),
        "interval": pa.array([1, None]).cast(pa.duration("us")),
        "integer[]": pa.array([[1, None], None], pa.list_(pa.int32())),
    }
)
PROGRAM = """
import sys
from syncengine.columnar import values
from syncengine.columnar.encoder import Encoder, Wire
from syncengine.columnar.lib import parquet

(batch,) = parquet().ParquetFile(sys.argv[1]).iter_batches()
wires = [Wire(field=name, type=name, to_text=str) for name in batch.schema.names]
assert len(Encoder(wires, utc=True).rows(batch)) and len(list(values.rows(batch))) == 2
assert "pandas" not in sys.modules
"""


def test_batches_are_encoded_and_become_rows_without_pandas(tmp_path: Path):
    pyarrow.parquet.write_table(TABLE, tmp_path / "a.parquet")

    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path / "a.parquet")],
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")
