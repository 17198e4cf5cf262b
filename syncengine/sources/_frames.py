"""Arrow data that a Python caller hands over: tables, batches, readers, datasets, DataFrames of pandas and Polars.

Whatever speaks Arrow's C interface is read through it, without a copy where that is possible.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any

from syncengine.errors import SourceError, SyncError
from syncengine.sources._arrowfiles import Fed, guarded
from syncengine.sources._tables import ArrowSource

# Packages and types of what holds its rows, and gives the same ones whenever it is asked.  Whatever else has a length
# may be a query, or read from something that changes.
_HELD = {
    *(("pyarrow", name) for name in ("Table", "RecordBatch", "ChunkedArray", "StructArray")),
    *(("pyarrow", name) for name in ("InMemoryDataset", "FileSystemDataset", "UnionDataset")),
    ("pandas", "DataFrame"),
    ("polars", "DataFrame"),
}
# pandas calls an index without a name so.
_UNNAMED = "__index_level_"


def is_arrow(rows: object) -> bool:
    """Tell whether an object hands Arrow data over; a class does not."""
    if isinstance(rows, type):
        return False
    streams = any(hasattr(rows, name) for name in ("__arrow_c_stream__", "__arrow_c_array__"))
    return streams or _is_dataset(rows) or _is_old_frame(rows)


def _is_dataset(rows: object) -> bool:
    """Tell whether an object is like a dataset of pyarrow's, or a scanner: a schema, and batches."""
    return hasattr(rows, "to_batches") and (hasattr(rows, "schema") or hasattr(rows, "projected_schema"))


def _is_old_frame(rows: object) -> bool:
    """Tell whether an object is a DataFrame of a pandas that has no stream of Arrow's yet."""
    return type(rows).__module__.startswith("pandas.") and type(rows).__name__ == "DataFrame"


def frame_source(rows: object) -> ArrowSource:
    """Return the source of an object that hands Arrow data over."""
    label = f"{type(rows).__name__} from Python"
    return ArrowSource([FramePart(rows)], label, reopenable=_is_held(rows))


def _is_held(rows: object) -> bool:
    package = type(rows).__module__.partition(".")[0]
    return (package, type(rows).__name__) in _HELD


class FramePart:
    """What was handed over, as a part of a source (_tables.Part)."""

    label = ""
    size = None

    def __init__(self, rows: object) -> None:
        self._rows = rows

    @cached_property
    def schema(self) -> Any:
        return self._first.schema

    @cached_property
    def rows(self) -> int | None:
        count = getattr(self._rows, "__len__", None)
        return count() if count is not None and _is_held(self._rows) else None

    @cached_property
    def _first(self) -> Any:
        """Return the reader that shows the schema; what can be read only once is then read by it."""
        with guarded("the data handed over"):
            return _reader(self._rows)

    @contextmanager
    def opened(self, skip: int) -> Iterator[Fed]:
        with guarded("the data handed over"):
            reader = self._first
            # A reader that was taken is not taken again: a table gives another one.
            del self._first
            yield Fed(_told(iter(reader)), 0, lambda: 0)


def _told(batches: Iterator[Any]) -> Iterator[Any]:
    """Yield batches; what the caller's own code raises is an error of the source, whatever else it may look like."""
    while True:
        try:
            with guarded("the data handed over"):
                batch = next(batches, None)
        except SyncError:
            raise
        except Exception as error:
            message = "the data handed over can't be read"
            raise SourceError(message, detail=f"{type(error).__name__}: {error}") from error
        if batch is None:
            return
        yield batch


def _reader(rows: Any) -> Any:
    """Return a reader of batches."""
    from syncengine.columnar.lib import pa

    if isinstance(rows, pa.RecordBatchReader):
        return rows
    if _is_old_frame(rows):
        rows = pa.Table.from_pandas(rows)
    if hasattr(rows, "__arrow_c_stream__"):
        return _without_index(pa.RecordBatchReader.from_stream(rows))
    if hasattr(rows, "__arrow_c_array__"):
        batch = pa.record_batch(rows)
        return pa.RecordBatchReader.from_batches(batch.schema, [batch])
    schema = getattr(rows, "projected_schema", None) or rows.schema
    return pa.RecordBatchReader.from_batches(schema, rows.to_batches())


def _without_index(reader: Any) -> Any:
    """Return a reader without the index that pandas numbers rows by, where nobody named it."""
    from syncengine.columnar.lib import pa

    names = [name for name in reader.schema.names if not name.startswith(_UNNAMED)]
    if len(names) == len(reader.schema.names):
        return reader
    if not names:
        raise SourceError("the DataFrame has no columns")
    schema = pa.schema([reader.schema.field(name) for name in names])
    return pa.RecordBatchReader.from_batches(schema, (batch.select(names) for batch in reader))
