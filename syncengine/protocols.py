"""The doors: what a source, a mode, a strategy and a view must offer.  Read this file to extend anything."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, ClassVar, Protocol, runtime_checkable

from msgspec import Struct

from syncengine.errors import Location, SyncError
from syncengine.model.facts import Handover, SourceFacts
from syncengine.model.plan import Plan, Unit, Verdict
from syncengine.model.record import RunRecord
from syncengine.model.report import Report
from syncengine.model.rights import Grants
from syncengine.model.spec import SourceSpec, Spec
from syncengine.model.steps import Step
from syncengine.model.task import Task


class Watch(Struct, frozen=True, kw_only=True):
    """What to look out for in a CSV file as it passes.  `faults` tell of the field at a place what is wrong with it.

    Bytes in which none of `suspects` is found hold no such field; None: there is no telling.  A record that has one is
    handed to `refuse`, with its place, and that raises.
    """

    suspects: tuple[re.Pattern[bytes], ...] | None
    faults: tuple[tuple[int, Callable[[str], str | None]], ...]
    refuse: Callable[[Sequence[str | None], Location], None]


class Position(Struct, frozen=True, kw_only=True):
    """A place between two records of a source, up to which it has been read.

    `part` counts its files from 0, `records` those of that file before this place, and `line` is where the next one
    begins.  `offset` is that place in bytes, where the file can be sought; None: what comes before is read again.
    """

    part: int = 0
    records: int = 0
    line: int = 0
    offset: int | None = None


START = Position()


class Record(Struct, frozen=True, kw_only=True):
    """One record of a source as it stands there, good or bad.

    `number` counts from 1 in the whole source, `line` in its file; 0 where it has no lines.  `first` and `last` are the
    bytes that it takes in the file, uncompressed, from 0, the last one beyond its end; 0 and no `raw` where it is no
    file.  `values` are those of SourceFacts.fields (and of ABSENT where rows are partial), None where `fault` says why
    there are none, `sqlstate` what the server would call it.  `head` is the header of its file.
    `after` is where the next one begins.
    """

    number: int
    label: str
    line: int
    first: int
    last: int
    raw: bytes
    values: tuple[object, ...] | None
    fault: str | None = None
    sqlstate: str | None = None
    head: bytes = b""
    after: Position = Position()


class ChunkSize(Struct, frozen=True, kw_only=True):
    """Where a chunk may end: with the record that brings it to so many bytes, or so many records.

    None: at no such place.  It ends with its file in any case.
    """

    bytes: int | None = None
    records: int | None = None


class CsvChunk(Protocol):
    """Records of one file of a CSV source: UTF-8 blocks that COPY can take as they are, without BOM and header.

    Reading `blocks` to their end moves `records` (complete records), and sets `end`, where the next chunk begins, and
    `last`, which tells that there is none.  Lines end in LF.
    """

    label: str
    fields: tuple[str, ...]
    start: Position
    end: Position
    last: bool
    records: int

    def blocks(self, watch: Watch | None = None) -> Iterator[bytes]: ...

    def locate(self, line: int) -> str:
        """Return `file:line` of the record whose last line COPY counted as `line` of this chunk."""
        ...

    def before(self, line: int) -> int:
        """Return how many of its records begin before a line of the file."""
        ...


@runtime_checkable
class CsvBytes(Protocol):
    """Hand-over CSV_BYTES; each chunk is its own COPY, with its own order of fields.

    `bytes_read` counts bytes of the files, compressed ones where they are.
    """

    @property
    def bytes_read(self) -> int: ...

    def chunk(self, size: ChunkSize) -> CsvChunk | None:
        """Return the next chunk, None after the last one; the one before must have been read to its end."""
        ...

    def rewind(self) -> None:
        """Go back to the beginning of the chunk that was returned last."""
        ...


class RowStream(Protocol):
    """Hand-over ROWS: tuples of Python values in the order of `fields`, those of SourceFacts; None is NULL.

    Rows are numbered from 1 in the whole source, also where the stream begins later.
    """

    fields: tuple[str, ...]
    bytes_read: int

    def __iter__(self) -> Iterator[tuple[object, ...]]: ...

    def locate(self, row: int) -> str:
        """Return where the row number `row` (from 1) stands, such as `users.jsonl:17`."""
        ...


class RowBatch(Protocol):
    """Rows that follow one another, one at least."""

    @property
    def rows(self) -> Sequence[tuple[object, ...]]: ...

    @property
    def after(self) -> Callable[[int], Position]:
        """Return the place behind so many of them."""
        ...


@runtime_checkable
class RowBatches(Protocol):
    """A RowStream that gives batches of rows, some 100 kB each, and knows the places between rows.

    Its values are those of JSON: texts, int, Decimal, bool, None, and lists and dicts of them.
    """

    fields: tuple[str, ...]
    bytes_read: int

    def __iter__(self) -> Iterator[tuple[object, ...]]: ...

    def row_batches(self) -> Iterator[RowBatch]: ...

    def locate(self, row: int, after: Position = START) -> str:
        """Return where the row number `row` (from 1) behind a place stands."""
        ...


@runtime_checkable
class ArrowStream(RowStream, Protocol):
    """Hand-over ARROW: a RowStream whose rows come in batches of pyarrow's (RecordBatch) as well, the one or the other.

    A batch is small enough to be taken apart in memory, and has the columns of `fields`.
    """

    def batches(self) -> Iterator[Any]: ...


Payload = CsvBytes | RowStream


class Source(Protocol):
    """Somewhere rows come from.  Describing is cheap; opening reads the rows once, in bounded memory.

    All raise SourceError.
    """

    def describe(self) -> SourceFacts: ...

    def stamp(self) -> str | None:
        """Return what is another text once the data is another, by a cheap look; None where only reading can tell."""
        ...

    def open(self, handover: Handover, after: Position = START) -> AbstractContextManager[Payload]:
        """Return the rows that come after a place; what can be read only once is opened at its start, once."""
        ...

    def records(
        self, after: Position = START, number: int = 1, *, accepted: bool = False
    ) -> Generator[Record, None, None]:
        """Yield the records that come after a position, the broken ones as well; the first is `number`.

        Slow, and in bounded memory.  What it reads is read for good where the source can be read only once.
        `accepted`: the server has taken them as a whole, so that none is broken, however long it is.
        """
        ...


class Whereabouts(Struct, frozen=True, kw_only=True):
    """What a source may know of its spec: the folder paths are relative to, and the folders it may read.

    `expected` are the fields that the spec names, which a source without a header counts among its own.
    """

    folder: str
    roots: tuple[str, ...]
    expected: tuple[str, ...] = ()


class SourcePlugin(Protocol):
    """A source type.  `options` is the JSON Schema of its keys beside `type`; `extensions` (without the dot) and
    `schemes` (`https`) let a plain string choose it.
    """

    name: ClassVar[str]
    extensions: ClassVar[tuple[str, ...]]
    schemes: ClassVar[tuple[str, ...]]
    options: ClassVar[Mapping[str, object]]

    def open_source(self, spec: SourceSpec, where: Whereabouts) -> Source: ...

    def reopen_source(
        self, spec: SourceSpec, where: Whereabouts, records: Sequence[tuple[str, bytes, bytes]]
    ) -> Source:
        """Return a source of records (label, header of the file, bytes) that such a source has given before."""
        ...


class Mode(Protocol):
    """What must hold at the end, as statements over the staged relation.  Pure.

    `privileges` are those on the target.  `locks`: it keeps other writers off the target (docs/spec.md §11, rule 3),
    which takes a table.  `resets`: columns that are not loaded go back to their defaults.
    `versions`: a key has a row a version.
    """

    name: ClassVar[str]
    needs_keys: ClassVar[bool]
    needs_arbiter: ClassVar[bool]
    locks: ClassVar[bool]
    resets: ClassVar[bool]
    versions: ClassVar[bool]
    privileges: ClassVar[tuple[str, ...]]

    def publish(self, task: Task) -> tuple[Step, ...]:
        """Return the steps from the relation `task.staged` to the target: classify, apply, return rows."""
        ...


class Strategy(Protocol):
    """How the rows get there.  Pure: it asks the mode for SQL and never sees a connection.

    `stages`: the target sees the rows only after they are classified, so that it can be rehearsed.
    """

    name: ClassVar[str]
    stages: ClassVar[bool]

    def judge(self, task: Task) -> Verdict: ...

    def units(self, task: Task, mode: Mode) -> tuple[Unit, ...]: ...


class View(Protocol):
    """Plans and reports for people or machines; each method returns the whole text."""

    name: ClassVar[str]

    def plans(
        self, plans: Iterable[Plan], failures: Iterable[tuple[str, SyncError]], *, sql: bool
    ) -> str: ...

    def reports(self, run_id: str, reports: Iterable[Report]) -> str: ...

    def problems(self, run_id: str, error: SyncError) -> str: ...

    def grants(self, found: Grants) -> str: ...

    def history(self, records: Sequence[RunRecord]) -> str: ...

    def record(self, record: RunRecord) -> str: ...

    def collected(self, names: Sequence[str]) -> str: ...

    def valid(self, specs: Iterable[Spec]) -> str: ...
