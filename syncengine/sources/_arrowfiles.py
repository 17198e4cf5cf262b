"""Files of Arrow data as parts of a source: Parquet, and Arrow's own in both its forms."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any, BinaryIO, Protocol

from syncengine.errors import Location, SourceError, SpecError, SyncError
from syncengine.model.facts import Handover
from syncengine.model.spec import SourceSpec
from syncengine.protocols import START, Payload, Position, Whereabouts
from syncengine.sources._files import FileInput, stamp_of, steady
from syncengine.sources._filter import parse
from syncengine.sources._paths import inputs, source_label
from syncengine.sources._tables import ArrowSource, Batches, Wanted

OPTIONS: Mapping[str, object] = {
    "path": {
        "title": "Path",
        "type": "string",
        "minLength": 1,
        "examples": ["data/users.parquet", "data/*.parquet"],
        "description": "A file, or a glob such as data/*.parquet (read in order of name).",
    },
    "columns": {
        "title": "Columns",
        "type": "array",
        "minItems": 1,
        "uniqueItems": True,
        "items": {"type": "string"},
        "examples": [["email", "name"]],
        "description": "The fields to read; all of them unless stated.",
    },
    "filter": {
        "title": "Filter",
        "type": "string",
        "minLength": 1,
        "examples": ["country = 'AT' AND amount >= 10"],
        "description": "The rows to read: fields compared with literals by =, <>, <, <=, >, >=, IN, IS NULL; "
        "joined by AND, OR, NOT.",
    },
}


class Reader(Protocol):
    """A form of file that is open."""

    schema: Any
    rows: int | None

    def batches(self, skip: int) -> Batches: ...


OpenReader = Callable[[BinaryIO, "FilePart"], Reader]


class FilePart:
    """One file; `open_reader` knows its form."""

    def __init__(self, found: FileInput, open_reader: OpenReader) -> None:
        self.label = found.label
        self.input = found
        self._open_reader = open_reader

    @cached_property
    def _known(self) -> tuple[Any, int | None]:
        with self._reader() as reader:
            return reader.schema, reader.rows

    @property
    def schema(self) -> Any:
        return self._known[0]

    @property
    def rows(self) -> int | None:
        return self._known[1]

    @property
    def size(self) -> int:
        return self.input.size

    @contextmanager
    def opened(self, skip: int) -> Iterator[Batches]:
        with self._reader() as reader:
            yield reader.batches(skip)

    @contextmanager
    def _reader(self) -> Iterator[Reader]:
        with self.input.seekable() as file, guarded(self.label):
            yield self._open_reader(file, self)


@contextmanager
def guarded(label: str) -> Iterator[None]:
    """Turn what pyarrow raises about a file into a SourceError."""
    from syncengine.columnar.lib import pa

    try:
        yield
    except SyncError:
        raise
    except (pa.ArrowException, OSError) as error:
        raise SourceError(
            f"{label} can't be read",
            detail=str(error),
            hint="make the file anew; is its type the one stated?",
            location=Location(label),
        ) from error


class ColumnarFiles(ArrowSource):
    """Files that must stay as they are while they are read."""

    def __init__(self, parts: Sequence[FilePart], label: str, wanted: Wanted) -> None:
        super().__init__(parts, label, wanted=wanted)
        self._inputs = [part.input for part in parts]

    def stamp(self) -> str | None:
        return stamp_of(self._inputs)

    @contextmanager
    def open(self, handover: Handover, after: Position = START) -> Iterator[Payload]:
        with steady(self._inputs), super().open(handover, after) as stream:
            yield stream


def open_files(spec: SourceSpec, where: Whereabouts, open_reader: OpenReader) -> ColumnarFiles:
    """Return the source of a spec's files.  Raises SyncError."""
    path, options = str(spec.options["path"]), spec.options
    wanted = Wanted(
        fields=_names(options.get("columns")),
        condition=parse(str(options["filter"])) if options.get("filter") is not None else None,
    )
    found = inputs(path, None, where)
    return ColumnarFiles(
        [FilePart(_file(one, spec.type), open_reader) for one in found], source_label(path, found), wanted
    )


def _names(value: object) -> tuple[str, ...] | None:
    return tuple(map(str, value)) if isinstance(value, Sequence) else None


def _file(found: object, kind: str) -> FileInput:
    if not isinstance(found, FileInput):
        raise SpecError(
            f"a {kind} file can't be read from standard input: its end has to be read first",
            hint="save it to a file, and name that",
        )
    if found.compression != "none":
        raise SpecError(
            f"{found.label} is compressed as a whole with {found.compression}",
            hint=f"unpack it first: {kind} files are compressed inside, and read in parts",
        )
    return found


class Fed:
    """Batches that were skipped to, with what is known of the bytes read (_tables.Batches)."""

    def __init__(self, batches: Iterator[Any], skipped: int, bytes_read: Callable[[], int]) -> None:
        self.skipped = skipped
        self._batches = batches
        self._bytes_read = bytes_read

    @property
    def bytes_read(self) -> int:
        return self._bytes_read()

    def __iter__(self) -> Iterator[Any]:
        return self._batches
