"""Source type parquet: Parquet files, read by row groups."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, BinaryIO, ClassVar

from syncengine.model.spec import SourceSpec
from syncengine.protocols import Source, Whereabouts
from syncengine.sources._arrowfiles import OPTIONS, ColumnarFiles, Fed, FilePart, open_files
from syncengine.sources._tables import BATCH_ROWS

# What is read ahead of each column: a row group may be larger than memory.
BUFFER = 256 * 1024


class Parquet:
    name = "parquet"
    extensions = ("parquet",)
    schemes: ClassVar[tuple[str, ...]] = ()
    options: ClassVar[Mapping[str, object]] = OPTIONS

    def open_source(self, spec: SourceSpec, where: Whereabouts) -> ColumnarFiles:
        return open_files(spec, where, ParquetReader)

    def reopen_source(
        self, spec: SourceSpec, where: Whereabouts, records: Sequence[tuple[str, bytes, bytes]]
    ) -> Source:
        raise AssertionError("records of Parquet files have no bytes")


class ParquetReader:
    """An open Parquet file; whole row groups are skipped without reading them."""

    def __init__(self, file: BinaryIO, part: FilePart) -> None:
        from syncengine.columnar.lib import parquet

        self._file: Any = parquet().ParquetFile(file, buffer_size=BUFFER, pre_buffer=False)
        self._part = part
        self.schema: Any = self._file.schema_arrow
        self.rows: int | None = self._file.metadata.num_rows
        self._read = 0

    def batches(self, skip: int) -> Fed:
        groups = [self._file.metadata.row_group(n).num_rows for n in range(self._file.num_row_groups)]
        skipped = first = 0
        while first < len(groups) and skipped + groups[first] <= skip:
            skipped += groups[first]
            first += 1
        self._read = skipped
        return Fed(self._batches(list(range(first, len(groups)))), skipped, self._bytes_read)

    def _batches(self, groups: list[int]) -> Iterator[Any]:
        # The server takes longer than one thread here, and each more would take its own memory.
        for batch in self._file.iter_batches(BATCH_ROWS, row_groups=groups, use_threads=False):
            self._read += batch.num_rows
            yield batch

    def _bytes_read(self) -> int:
        """Return the file's share of what was read: parts of it lie all over the file."""
        return self._part.size * self._read // self.rows if self.rows else self._part.size


PLUGIN = Parquet()
