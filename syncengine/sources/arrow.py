"""Source type arrow: files of Arrow's own format (also called Feather), and its streams in files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, BinaryIO, ClassVar

from syncengine.errors import Location, SourceError
from syncengine.model.spec import SourceSpec
from syncengine.protocols import Source, Whereabouts
from syncengine.sources._arrowfiles import OPTIONS, ColumnarFiles, Fed, FilePart, Reader, open_files

_FILE, _OLD_FEATHER = b"ARROW1", b"FEA1"
# Up to this size the rows are counted beforehand, so that few rows are known to be few.
COUNTED = 4 * 1024 * 1024


class Arrow:
    name = "arrow"
    extensions = ("arrow", "feather", "ipc")
    schemes: ClassVar[tuple[str, ...]] = ()
    options: ClassVar[Mapping[str, object]] = OPTIONS

    def open_source(self, spec: SourceSpec, where: Whereabouts) -> ColumnarFiles:
        return open_files(spec, where, open_reader)

    def reopen_source(
        self, spec: SourceSpec, where: Whereabouts, records: Sequence[tuple[str, bytes, bytes]]
    ) -> Source:
        raise AssertionError("records of Arrow files have no bytes")


def open_reader(file: BinaryIO, part: FilePart) -> Reader:
    """Return a reader for the form that the file has."""
    start = file.read(len(_FILE))
    file.seek(0)
    if start.startswith(_OLD_FEATHER):
        raise SourceError(
            f"{part.label} is of the first version of Feather, which is no longer in use",
            hint="write it anew: pyarrow.feather.write_feather(pyarrow.feather.read_feather(path), path)",
            location=Location(part.label),
        )
    return FileReader(file, part) if start == _FILE else StreamReader(file, part)


class FileReader:
    """A file whose batches are listed at its end; each is read when it is its turn."""

    def __init__(self, file: BinaryIO, part: FilePart) -> None:
        from syncengine.columnar.lib import pa

        self._file: Any = pa.ipc.open_file(file)
        self._part = part
        self._done = 0
        self.schema: Any = self._file.schema
        self.rows = _counted(self._all(), part)

    def batches(self, skip: int) -> Fed:
        return Fed(self._all(), 0, self._bytes_read)

    def _all(self) -> Iterator[Any]:
        for number in range(self._file.num_record_batches):
            yield self._file.get_batch(number)
            self._done = number + 1

    def _bytes_read(self) -> int:
        return self._part.size * self._done // max(1, int(self._file.num_record_batches))


class StreamReader:
    """Batches one after the other, as a stream has them."""

    def __init__(self, file: BinaryIO, part: FilePart) -> None:
        from syncengine.columnar.lib import pa

        self._file = file
        self._stream: Any = pa.ipc.open_stream(file)
        self.schema: Any = self._stream.schema
        self.rows: int | None = None

    def batches(self, skip: int) -> Fed:
        return Fed(iter(self._stream), 0, self._file.tell)


def _counted(batches: Iterator[Any], part: FilePart) -> int | None:
    return sum(batch.num_rows for batch in batches) if part.size <= COUNTED else None


PLUGIN = Arrow()
